"""The graph that is drawn: vertices in topological order and edges between them, made from a plan and the state of a run.

A matrix is one vertex (`build ×4`) unless its cells are asked for; then the group that counts them is a vertex too, so that n
cells above m dependents stay n + m edges. Groups that exist only for the engine are not drawn, see `simplify`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowq.flows.render.graph.simplify import Contraction
from flowq.flows.views.run_view import JobView, RunView, matrix_status
from flowq.plan import GATE, OPEN_QUEUE, STAGE, Json, Plan, SourcePlace
from flowq.plan.foreach import order
from flowq.states import JobStatus


@dataclass(frozen=True, slots=True)
class Vertex:
    """One job as drawn. `status` is None without a run. `group`: it only counts the cells above it."""

    name: str
    queue: str | None  # not known: a param has no value; or there are several
    place: SourcePlace
    cells: tuple[str, ...] = ()  # of a matrix drawn as one
    queues: tuple[str, ...] = ()  # of its cells, where they are several
    matrix: bool = False  # drawn as one; it may have no cells
    is_open: bool = False  # its cells are not known, because a param has no value
    status: JobStatus | None = None
    allowed: bool = False
    group: bool = False
    duration: float | None = None  # s
    ordinals: tuple[int, ...] = ()  # of the jobs whose states it shows
    goes_on: bool = False  # some of these have not ended

    @property
    def label(self) -> str:
        """The label beside its mark."""
        return f"{self.name} ×{'?' if self.is_open else len(self.cells)}" if self.matrix else self.name


@dataclass(frozen=True, slots=True)
class Drawing:
    """Vertices in topological order; edges as `(parent, child, condition)` by index, each once."""

    name: str
    vertices: tuple[Vertex, ...]
    edges: tuple[tuple[int, int, str], ...]
    file: str = ""  # the flow that is run; places are shown as seen from there

    def parents(self) -> list[list[int]]:
        """Return the parents of each vertex, each once, in the order of the edges."""
        found: list[dict[int, None]] = [{} for _ in self.vertices]
        for parent, child, _condition in self.edges:
            found[child][parent] = None
        return [list(some) for some in found]


def graph_of(plan: Plan, run: RunView | None = None, *, cells: bool = False) -> Drawing:
    """Return the graph of a plan, with the states of a run of it. Linear in cells and edges.

    Args:
        plan: the plan.
        run: a run of this plan.
        cells: a vertex for each cell of a matrix, instead of one for the matrix.
    """
    jobs = {} if run is None else {job.ordinal: job for job in run.jobs}
    return _expanded(plan, jobs) if cells else _folded(plan, jobs)


def graph_json(graph: Drawing) -> dict[str, Json]:
    """Return the form for programs: `{"nodes": [...], "edges": [[parent, child, condition], ...]}`, by name."""
    return {
        "name": graph.name,
        "nodes": [
            {
                "name": vertex.name,
                "queue": vertex.queue,
                **({"queues": list(vertex.queues)} if vertex.queues else {}),
                "file": vertex.place.file,
                "line": vertex.place.line,
                "cells": list(vertex.cells),
                "group": vertex.group,
                **({"open": True} if vertex.is_open else {}),
                "status": None if vertex.status is None else str(vertex.status),
                "allowed": vertex.allowed,
            }
            for vertex in graph.vertices
        ],
        "edges": [
            [graph.vertices[parent].name, graph.vertices[child].name, condition] for parent, child, condition in graph.edges
        ],
    }


def _folded(plan: Plan, jobs: dict[int, JobView]) -> Drawing:
    drawing = Contraction(plan, cells=False)
    cells_of = plan.cells_of()
    places: dict[int, int] = {}  # node -> vertex, in the order of the ordinals: parents first, whatever the order of the file
    for cell in plan.cells:
        if cell.ordinal in drawing.drawn:
            places.setdefault(cell.node, len(places))
    vertices = []
    for index in places:
        node = plan.nodes[index]
        own = [ordinal for ordinal in cells_of.get(node.name, []) if plan.cells[ordinal].selected]  # none of a stage
        views = [jobs[ordinal] for ordinal in own if ordinal in jobs]
        queues = tuple(sorted({plan.queue_of(plan.cells[ordinal]) for ordinal in own} or {node.queue}))
        vertices.append(
            Vertex(
                name=_name(node.name),
                queue=_known(queues[0]) if len(queues) == 1 else None,
                queues=queues if len(queues) > 1 else (),
                place=plan.place_of(node),
                cells=tuple(plan.cells[ordinal].name for ordinal in own if plan.cells[ordinal].name != node.name)
                if node.matrix
                else (),
                matrix=bool(node.matrix),
                is_open=node.name in plan.open_matrices,
                status=matrix_status(views) if node.matrix else views[0].status if views else None,
                allowed=any(view.allowed for view in views),
                group=not own and not node.matrix and node.foreach is None,
                duration=_duration(views),
                ordinals=tuple(own),
                goes_on=not all(view.ended for view in views),
            )
        )
    edges: dict[tuple[int, int, str], None] = {}
    for above, below, condition in drawing.edges():
        parent, child = plan.cells[above].node, plan.cells[below].node
        if parent != child:
            edges[places[parent], places[child], condition] = None
    return Drawing(plan.name, tuple(vertices), tuple(edges), plan.file)


def _name(node: str) -> str:
    """Return the label of a node that is drawn only because it replaces very many edges."""
    return node.removesuffix(f"/{GATE}").replace(STAGE, "stage ")


def _expanded(plan: Plan, jobs: dict[int, JobView]) -> Drawing:
    drawing = Contraction(plan, cells=True)
    vertices: list[Vertex] = []
    places: dict[int, int] = {}
    for cell in order(plan):
        if cell.ordinal not in drawing.drawn:
            continue
        places[cell.ordinal] = len(vertices)
        node = plan.nodes[cell.node]
        view = jobs.get(cell.ordinal)
        views = [jobs[edge.parent] for edge in cell.parents if edge.parent in jobs] if cell.group else []
        vertices.append(
            Vertex(
                name=cell.label,
                matrix=cell.name in plan.open_matrices,
                is_open=cell.name in plan.open_matrices,
                queue=_known(plan.queue_of(cell)),
                place=plan.place_of(node),
                status=matrix_status(views) if cell.group else view.status if view else None,
                allowed=view is not None and view.allowed,
                group=cell.group,
                duration=view.duration if view else None,
                ordinals=tuple(edge.parent for edge in cell.parents) if cell.group else (cell.ordinal,),
                goes_on=not all(view.ended for view in views),
            )
        )
    edges = ((places[parent], places[child], condition) for parent, child, condition in drawing.edges())
    return Drawing(plan.name, tuple(vertices), tuple(dict.fromkeys(edges)), plan.file)


def _known(queue: str) -> str | None:
    return None if queue == OPEN_QUEUE else queue


def _duration(views: Sequence[JobView]) -> float | None:
    known = [view.duration for view in views if view.duration is not None]
    return max(known) if known else None
