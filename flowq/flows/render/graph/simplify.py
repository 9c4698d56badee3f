"""Edges between drawn vertices, through those that are not drawn: stages, the gates and groups of sub-flows, the cells that fit a `match`.

The plan puts a counting cell between n jobs and the m that wait for them all. People did not write it and should not see it, so an edge
into it and one out of it are drawn as one. Of a group only the jobs at its end matter: the others have an edge inside. The edge asks what its
user's end asked: of a group the edge below it, of a gate the edge above it.
"""

from collections.abc import Iterator
from typing import Final

from flowq.plan import Cell, Plan
from flowq.plan.foreach import order

MOST: Final = 400  # edges that one cell may be replaced by; where it would be more, it is drawn after all


class Contraction:
    """The edges of a plan between the cells that are drawn.

    Args:
        plan: the plan.
        cells: whether the cells of a matrix are drawn one by one; else those that fit a `match` stand for their matrix.
    """

    def __init__(self, plan: Plan, *, cells: bool) -> None:
        self._plan = plan
        self._cells = cells
        self._children = [[edge.parent for edge in edges] for edges in plan.children()]
        self._targets = plan.targets()
        self._sources: dict[int, list[tuple[int, str]]] = {}  # of what is not drawn: (drawn cell, condition or "" for any)
        self.drawn: set[int] = set()
        for cell in order(plan):  # parents first
            if cell.selected and (not self._passes(cell) or not self._look_through(cell)):
                self.drawn.add(cell.ordinal)

    def edges(self) -> Iterator[tuple[int, int, str]]:
        """Yield the edges as (parent, child, condition) by ordinal, some perhaps twice."""
        for cell in self._plan.cells:
            if cell.ordinal in self.drawn:
                for edge in cell.parents:
                    for source, condition in self._behind(edge.parent):
                        yield source, cell.ordinal, condition or edge.condition

    def _behind(self, ordinal: int) -> list[tuple[int, str]]:
        return [(ordinal, "")] if ordinal in self.drawn else self._sources[ordinal]

    def _passes(self, cell: Cell) -> bool:
        """Return whether a cell is not written in the flow file."""
        if cell.hidden:
            return self._cells or _is_gate(cell) or cell.matrix is None
        node = self._plan.node_of(cell)
        return cell.group and (node.outputs is not None or bool(node.flows))

    def _look_through(self, cell: Cell) -> bool:
        """Find the edges that replace a cell; return whether they are few enough."""
        found: dict[tuple[int, str], None] = {}
        counted = {edge.parent for edge in cell.parents}
        for edge in cell.parents:
            if cell.group and (_is_gate(self._plan.cells[edge.parent]) or not self._is_last(edge.parent, cell, counted)):
                continue
            for source, condition in self._behind(edge.parent):
                found[source, "" if cell.group else condition or edge.condition] = None
        if len(found) > 1 and len(found) * len(self._children[cell.ordinal]) > MOST:
            return False
        self._sources[cell.ordinal] = list(found)
        return True

    def _is_last(self, member: int, group: Cell, counted: set[int]) -> bool:
        """Return whether no other member of a group comes after this one."""
        return not any(self._whole(child) & counted for child in self._children[member] if child != group.ordinal)

    def _whole(self, ordinal: int) -> set[int]:
        """Return the ordinal that stands for the whole of what a cell belongs to: of a cell its matrix, of a gate its sub-flow."""
        cell = self._plan.cells[ordinal]
        if cell.hidden and cell.group:
            return {whole for child in self._children[ordinal] for whole in self._whole(child)}
        return {self._targets.get(cell.label if cell.hidden else self._plan.node_of(cell).name, ordinal)}


def _is_gate(cell: Cell) -> bool:
    return cell.hidden and not cell.group
