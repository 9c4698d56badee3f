"""A graph as lines of text: columns joined by lines where that fits the width, else a list in the same order.

Lines are unambiguous: two that meet without a corner cross, and a crossing is drawn as a gap in the vertical one; a line that joins
another and goes on is drawn as a tap (`╨`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.flows.render.graph.edge_routing import Bundle, bundles_between, route
from flowq.flows.render.graph.layout import Layout, lay_out, levels
from flowq.flows.render.graph.model import Drawing, Vertex

Piece = tuple[str, int]
"""Some text, and the vertex whose name it is (-1: a line)."""

Measure = Callable[[str], int]

_TALL: Final = 400  # rows beyond which lines cannot be followed
_WIDE: Final = 400  # cells beyond which a drawing cannot be read, in a pipe too
_NAME: Final = 10  # cells to which names may be cut before the drawing is given up
_CORNERS: Final = {  # (left, right, up, down) -> the character that joins them
    (0, 1, 0, 1): "╭",
    (0, 1, 1, 0): "╰",
    (1, 0, 0, 1): "╮",
    (1, 0, 1, 0): "╯",
    (0, 1, 1, 1): "├",
    (1, 0, 1, 1): "┤",
    (1, 1, 0, 1): "┬",
    (1, 1, 1, 0): "┴",
    (1, 1, 1, 1): "┼",
}
_TAPS: Final = {"┬": "╥", "┴": "╨", "┼": "╫"}
"""The mark where a line joins a shared vertical one and continues: lines along the vertical do not turn into it."""
_ASCII: Final = str.maketrans("─│╭╮╰╯├┤┬┴┼╥╨╫▶×←…", "-|+++++++++***>x<.")


@dataclass(frozen=True, slots=True)
class Pen:
    """The functions that measure, shorten and label text.

    `measure` gives the cells a text takes, `cut` shortens one to a number of cells, `label` gives what is written for a vertex.
    """

    measure: Measure
    cut: Callable[[str, int], str]
    label: Callable[[Vertex], str]
    unicode: bool = True


def draw(graph: Drawing, width: int | None, pen: Pen) -> list[list[Piece]] | None:
    """Return the drawing as lines of pieces, None when it does not fit the width or would be too tall to be followed."""
    layout = lay_out(graph)
    if layout.height > _TALL:
        return None
    for stretched in (False, True):
        rows = [2 * row + column % 2 if stretched else row for row, column in _with_columns(layout)]
        routed = [route(bundles_between(column, layout.parents, rows)) for column in layout.columns]
        gaps = [gap for gap in routed if gap is not None]
        if len(gaps) == len(routed):
            return _Sheet(graph, layout, rows, gaps).painted(width, pen)
    return None  # not reached: stretched rows of neighbouring columns never collide


def listing(graph: Drawing, pen: Pen) -> list[list[Piece]]:
    """Return the list form: a line per vertex, by column, with its parents behind an arrow."""
    level = levels(graph)
    conditions: list[dict[int, str]] = [{} for _ in graph.vertices]
    for parent, child, condition in graph.edges:
        conditions[child][parent] = condition
    order = sorted(range(len(level)), key=lambda vertex: level[vertex])
    labels = {vertex: pen.label(graph.vertices[vertex]) for vertex in order}
    widest = min(40, max((pen.measure(label) for label in labels.values()), default=0))
    digits = len(str(max(level, default=0) + 1))
    lines: list[list[Piece]] = []
    last = -1
    for vertex in order:
        number = f"{level[vertex] + 1:>{digits}}" if level[vertex] != last else " " * digits
        last = level[vertex]
        named = [
            graph.vertices[parent].name + ("" if condition == "success" else f" ({condition})")
            for parent, condition in conditions[vertex].items()
        ]
        line: list[Piece] = [(f"{number}  ", -1), (labels[vertex], vertex)]
        if named:
            line.append((" " * max(1, widest - pen.measure(labels[vertex]) + 2) + _plain("← ", pen) + ", ".join(named), -1))
        lines.append(line)
    return lines


def remarks(graph: Drawing, drawn: Sequence[Sequence[Piece]], pen: Pen) -> Iterator[str]:
    """Yield a drawing's legend: the meaning of taps, and edges with conditions other than success."""
    taps = [_plain(tap, pen) for tap in _TAPS.values()]
    if any(tap in text for line in drawn for text, vertex in line if vertex < 0 for tap in taps):
        yield f"{' '.join(dict.fromkeys(taps))} a line joins the one it crosses and goes on; the other does not turn into it"
    special: dict[int, list[str]] = {}
    for parent, child, condition in graph.edges:
        if condition != "success" and not graph.vertices[child].group:
            special.setdefault(child, []).append(f"{graph.vertices[parent].name} ({condition})")
    for child, parents in special.items():
        yield f"{graph.vertices[child].name} after {', '.join(parents)}"


def _with_columns(layout: Layout) -> list[tuple[int, int]]:
    columns = [0] * len(layout.rows)
    for index, items in enumerate(layout.columns):
        for item in items:
            columns[item] = index
    return list(zip(layout.rows, columns, strict=True))


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A layout with the row of each item and the routed gap to the left of each column."""

    graph: Drawing
    layout: Layout
    rows: Sequence[int]
    gaps: Sequence[Sequence[Bundle]]

    def painted(self, width: int | None, pen: Pen) -> list[list[Piece]] | None:
        """Return the lines, None when they do not fit."""
        layout, labels = self.layout, [pen.label(vertex) for vertex in self.graph.vertices]
        names = [
            max((pen.measure(labels[item]) for item in some if item < layout.vertices), default=1) for some in layout.columns
        ]
        between = [_gap_width(gap) for gap in self.gaps]
        names = _narrowed(names, (_WIDE if width is None else width) - sum(between) - 2 * (len(names) - 1))
        if not names:
            return None
        lines: list[list[Piece]] = [[] for _ in range(max(self.rows, default=-1) + 1)]
        for index, column in enumerate(layout.columns):
            if index:
                tips = {self.rows[item]: "──" if item >= layout.vertices else "▶ " for item in column if layout.parents[item]}
                for row, text in enumerate(_gap(self.gaps[index], between[index] - 2, len(lines))):
                    lines[row].append((_plain(text + tips.get(row, "  "), pen), -1))
            self._write_column(lines, index, names[index], labels, pen)
        return lines

    def _write_column(self, lines: list[list[Piece]], index: int, width: int, labels: Sequence[str], pen: Pen) -> None:
        here = {self.rows[item]: item for item in self.layout.columns[index]}
        last = index + 1 == len(self.layout.columns)
        goes_on = {parent for item in (() if last else self.layout.columns[index + 1]) for parent in self.layout.parents[item]}
        for row, line in enumerate(lines):
            item = here.get(row)
            if item is None:
                line.append((" " * (width + (0 if last else 2)), -1))
            elif item >= self.layout.vertices:
                line.append((_plain("─", pen) * (width + 2), -1))
            else:
                text = pen.cut(labels[item], width)
                rest = width - pen.measure(text)
                line.append((text, item))
                line.append((" " + _plain("─", pen) * (rest + 1) if item in goes_on else " " * (0 if last else rest + 2), -1))


def _narrowed(names: Sequence[int], room: int) -> list[int]:
    """Return the widths of the columns within the room, the widest cut first; nothing when it is too narrow for them."""
    if sum(min(width, _NAME) for width in names) > room:
        return []
    limit = max(names, default=0)
    while sum(min(width, limit) for width in names) > room:
        limit -= 1
    return [min(width, limit) for width in names]


def _gap_width(bundles: Sequence[Bundle]) -> int:
    tracks = max((bundle.track for bundle in bundles), default=-1) + 1
    return 2 * tracks + 1 + 2 if bundles else 0  # tracks with a cell between, then the arrow and a space


def _gap(bundles: Sequence[Bundle], spaces: int, height: int) -> list[str]:
    """Return the lines between two columns, row by row, without the tips of the arrows."""
    across = [[False] * (spaces + 1) for _ in range(height)]  # a line from this cell to the next one; [0] enters from the left
    down: dict[tuple[int, int], Bundle] = {}
    for bundle in bundles:
        place = 2 * bundle.track + 1 if bundle.track >= 0 else spaces
        for row in bundle.sources:
            for cell in range(place + 1):
                across[row][cell] = True
        for row in bundle.targets:
            for cell in range(place + 1, spaces + 1):
                across[row][cell] = True
        if bundle.track >= 0:
            for row in range(bundle.low, bundle.high + 1):
                down[row, place] = bundle
    return [_gap_row(row, across[row], down, spaces) for row in range(height)]


def _gap_row(row: int, across: Sequence[bool], down: dict[tuple[int, int], Bundle], spaces: int) -> str:
    cells = []
    for cell in range(spaces):
        left, right = across[cell], across[cell + 1]
        bundle = down.get((row, cell))
        if bundle is None:
            cells.append("─" if left or right else " ")
        elif row in bundle.sources or row in bundle.targets:
            corner = _CORNERS.get((int(left), int(right), int(row > bundle.low), int(row < bundle.high)), "│")
            goes_on = right and row not in bundle.targets and len(bundle.sources) > 1
            cells.append(_TAPS.get(corner, corner) if goes_on else corner)
        else:
            cells.append("─" if left or right else "│")
    return "".join(cells)


def _plain(text: str, pen: Pen) -> str:
    return text if pen.unicode else text.translate(_ASCII)
