"""The graph as a page draws it: boxes in columns and rows, edges between them. It has no states, so it stays the same while a run changes."""

from flowq.flows.render.graph.layout import Layout, lay_out
from flowq.flows.render.graph.model import Drawing, Vertex, graph_of
from flowq.flows.views.text import safe_line
from flowq.plan import Json, Plan


def graph_layout_json(plan: Plan, *, cells: bool = False) -> dict[str, Json]:
    """Return the positions of a plan's graph: `{"boxes", "passes", "edges", "columns", "rows", "cells"}`.

    A box has `id`, `label`, `kind` (job, matrix, foreach, approval, group), `column`, `row`, and `ordinals`: the jobs of a run whose
    states it shows. `passes` are `[column, row]` of points through which edges go that cross columns. An edge is
    `[from, to, condition]` by index, boxes first, then passes; it leads from one column to the next.

    Args:
        plan: the plan of a run or a flow.
        cells: a box for each cell of a matrix, instead of one for the matrix.
    """
    graph = graph_of(plan, cells=cells)
    layout = lay_out(graph)
    column_of = [0] * len(layout.rows)
    for column, items in enumerate(layout.columns):
        for item in items:
            column_of[item] = column
    kinds = {node.name: _kind_of_action(plan, index) for index, node in enumerate(plan.nodes)}
    return {
        "boxes": [
            {
                "id": index,
                "label": safe_line(vertex.label),
                "kind": _kind(vertex, kinds.get(vertex.name, "job")),
                "ordinals": list(vertex.ordinals),
                "queue": vertex.queue,
                **({"queues": list(vertex.queues)} if vertex.queues else {}),
                "column": column_of[index],
                "row": layout.rows[index],
            }
            for index, vertex in enumerate(graph.vertices)
        ],
        "passes": [[column_of[item], layout.rows[item]] for item in range(layout.vertices, len(layout.rows))],
        "edges": [list(edge) for edge in _edges(graph, layout)],
        "columns": len(layout.columns),
        "rows": layout.height,
        "cells": cells,
    }


def _edges(graph: Drawing, layout: Layout) -> list[tuple[int, int, str]]:
    """Return the pieces of edges between neighbouring columns. The last piece of a longer edge has its condition, if it has one only."""
    conditions = {(parent, child): condition for parent, child, condition in graph.edges}
    special = any(condition != "success" for condition in conditions.values())
    origins = _origins(layout) if special else []

    def condition_of(parent: int, child: int) -> str:
        if not special or child >= layout.vertices:
            return "success"
        found = {conditions.get((origin, child), "success") for origin in origins[parent]}
        return found.pop() if len(found) == 1 else "success"

    return [(parent, item, condition_of(parent, item)) for item, some in enumerate(layout.parents) for parent in some]


def _origins(layout: Layout) -> list[frozenset[int]]:
    """Return the vertices from which edges lead to each item: itself, or what lies before a pass."""
    found: list[frozenset[int]] = [frozenset((item,)) for item in range(len(layout.rows))]
    for column in layout.columns:
        for item in column:
            if item >= layout.vertices:
                found[item] = frozenset().union(*(found[parent] for parent in layout.parents[item]))
    return found


def _kind_of_action(plan: Plan, index: int) -> str:
    node = plan.nodes[index]
    if node.foreach is not None:
        return "foreach"
    return "approval" if node.action.kind == "approval" else "job"


def _kind(vertex: Vertex, action: str) -> str:
    if vertex.group:
        return "group"
    return "matrix" if vertex.matrix else action
