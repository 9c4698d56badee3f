"""The layout of a graph: vertices in columns from left to right, an edge never goes back.

The steps of Sugiyama's method, in a form for few lines of text:

    columns    the longest path from a root decides
    bundles    an edge that crosses columns passes through a *pass* in each of them; edges with the same targets left share one
    order      the mean of the neighbours' places, forth and back a few times
    rows       each item goes as near to the middle of its neighbours as the order allows
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from flowq.flows.render.graph.model import Drawing

_SWEEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Layout:
    """A graph in columns. Items are numbered: below `vertices` the graph's own vertices, from there on passes.

    `columns` lists the items of each column from top to bottom, `rows` has each item's row, `parents` each item's parents, all of
    them in the column to its left.
    """

    vertices: int
    columns: tuple[tuple[int, ...], ...]
    rows: tuple[int, ...]
    parents: tuple[tuple[int, ...], ...]

    @property
    def height(self) -> int:
        """The number of rows."""
        return max(self.rows, default=-1) + 1

    def children(self) -> list[list[int]]:
        """Return each item's children."""
        return _children(self.parents)


def lay_out(graph: Drawing) -> Layout:
    """Lay a graph out. Edges that follow from others are left out: a -> c where there is a -> b -> c."""
    level = levels(graph)
    parents = reduced(graph)
    columns, item_parents = _with_passes(level, parents)
    children = _children(item_parents)
    for sweep in range(_SWEEPS):
        _order(columns, item_parents if sweep % 2 == 0 else children, reverse=sweep % 2 == 1)
    rows = _rows(columns, item_parents, children)
    return Layout(len(graph.vertices), tuple(map(tuple, columns)), tuple(rows), tuple(map(tuple, item_parents)))


def levels(graph: Drawing) -> list[int]:
    """Return the column of each vertex: 0 without parents, else one more than the largest of the parents'."""
    level = [0] * len(graph.vertices)
    for parent, child, _condition in sorted(graph.edges, key=lambda edge: edge[1]):  # children in topological order
        level[child] = max(level[child], level[parent] + 1)
    return level


def reduced(graph: Drawing) -> list[list[int]]:
    """Return each vertex's parents without those that another parent already comes after.

    Sets of ancestors are integers with a bit per vertex: for 10,000 vertices they take some ten megabytes and 20 ms.
    networkx's `transitive_reduction` takes 3.5 s and 80 MB for the same graph with 30,000 edges.
    """
    ancestors: list[int] = []
    kept: list[list[int]] = []
    for some in graph.parents():
        above = 0
        for parent in some:
            above |= ancestors[parent]
        kept.append([parent for parent in some if not above >> parent & 1])
        for parent in some:
            above |= 1 << parent
        ancestors.append(above)
    return kept


def _with_passes(level: Sequence[int], parents: Sequence[Sequence[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the items of each column, and the parents of each item, which are all in the column before it."""
    columns: list[list[int]] = [[] for _ in range(max(level, default=-1) + 1)]
    for vertex, column in enumerate(level):
        columns[column].append(vertex)
    targets: list[set[int]] = [set() for _ in level]
    for vertex, some in enumerate(parents):
        for parent in some:
            targets[parent].add(vertex)
    item_parents: list[list[int]] = [[] for _ in level]
    for column, items in enumerate(columns[:-1]):
        passes: dict[frozenset[int], int] = {}
        for item in list(items):
            for target in sorted(targets[item]):
                if level[target] == column + 1:
                    item_parents[target].append(item)
            beyond = frozenset(target for target in targets[item] if level[target] > column + 1)
            if not beyond:
                continue
            if beyond not in passes:
                passes[beyond] = len(item_parents)
                columns[column + 1].append(len(item_parents))
                item_parents.append([])
                targets.append(set(beyond))
            item_parents[passes[beyond]].append(item)
    return columns, item_parents


def _children(parents: Sequence[Sequence[int]]) -> list[list[int]]:
    out: list[list[int]] = [[] for _ in parents]
    for item, some in enumerate(parents):
        for parent in some:
            out[parent].append(item)
    return out


def _order(columns: list[list[int]], neighbours: Sequence[Sequence[int]], *, reverse: bool) -> None:
    """Sort each column by the mean place of its items' neighbours in the column before (or after) it."""
    place = {item: index for column in columns for index, item in enumerate(column)}
    for column in reversed(columns) if reverse else columns:

        def wish(item: int) -> float:
            near = neighbours[item]
            return sum(place[other] for other in near) / len(near) if near else place[item]

        column.sort(key=wish)
        place.update((item, index) for index, item in enumerate(column))


def _rows(columns: Sequence[Sequence[int]], parents: Sequence[Sequence[int]], children: Sequence[Sequence[int]]) -> list[int]:
    rows = [0] * len(parents)
    for column in columns:
        for index, item in enumerate(column):
            rows[item] = index
    for neighbours, order in ((parents, columns), (children, columns[::-1]), (parents, columns)):
        for column in order:
            wishes = [
                float(median(rows[other] for other in neighbours[item])) if neighbours[item] else rows[item] for item in column
            ]
            for item, row in zip(column, _spread(wishes), strict=True):
                rows[item] = row
    top = min(rows, default=0)
    return [row - top for row in rows]


def _spread(wishes: Sequence[float]) -> list[int]:
    """Return rows as near to the wishes as possible, strictly growing (least squares: neighbours that collide are pooled)."""
    pools: list[tuple[float, int]] = []
    for index, wish in enumerate(wishes):
        total, count = wish - index, 1
        while pools and pools[-1][0] / pools[-1][1] >= total / count:
            more, others = pools.pop()
            total, count = total + more, count + others
        pools.append((total, count))
    flat = [total / count for total, count in pools for _ in range(count)]
    return [int(value // 1) + index for index, value in enumerate(flat)]
