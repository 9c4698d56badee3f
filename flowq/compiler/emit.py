"""The last stage: units to the plan, with ordinals that put parents first.

A unit is written under a prefix: "" for the flow itself, `job/` for a sub-flow, `on_exit/` for a section of handlers. Jobs keep the names
of their file until here, where they get the names of the plan.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import repeat
from operator import attrgetter
from typing import Any, Final

from flowq.compiler.analysis.cell_settings import CellSettings
from flowq.compiler.analysis.expressions import reads_of
from flowq.compiler.analysis.matrix_cells import Cells
from flowq.compiler.analysis.matrix_match import by_values, key_of
from flowq.compiler.binding.flow import PHASES
from flowq.compiler.binding.secrets import sources_of
from flowq.compiler.binding.spec import DependencySpec, JobSpec
from flowq.compiler.expressions.sites import ExpressionSite
from flowq.compiler.syntax.nodes import Json
from flowq.compiler.units import Section, Unit
from flowq.plan import GATE, OPEN_QUEUE, Action, Cell, Edge, Fetch, JobFields, Node, Plan, cell_name, is_gate
from flowq.plan.bulk import record
from flowq.plan.cell_names import PLAIN, spellings

_STOPPED_BY_A_SKIP: Final = frozenset({"success", "failure"})
_NO_SETTINGS: Final = CellSettings((), {})
_after_action = attrgetter(*(item.name for item in fields(JobFields) if item.name != "action"))


def make_plan(unit: Unit, file: str) -> Plan:
    """Return the plan of a flow without errors."""
    emitter = _Emitter(file)
    emitter.section(_Frame(unit, unit.main))
    for name, handlers in unit.handlers.items():
        emitter.section(_Frame(unit, handlers, prefix=f"{name}/", phase=PHASES[name]))
    head = unit.flow.head
    return Plan(
        name=head.name,
        nodes=tuple(emitter.nodes),
        cells=tuple(emitter.cells),
        file=file,
        params=dict(head.bound.values),
        description=head.description,
        labels=head.labels,
        retention=head.retention,
        timezone=head.timezone,
        date=str(head.bound.scope.run.get("date", "")),
        scheduled_at=str(head.bound.scope.run.get("scheduled_at") or ""),
        schedule=str(head.bound.scope.run.get("schedule") or ""),
        timeout=head.timeout,
        fail_fast=head.fail_fast,
        concurrency=head.concurrency,
        notify=head.notify,
        shipment=head.shipment,
        keep=head.keep,
        keep_of_entry=head.keep_of_entry,
        scopes=emitter.scopes,
        open_matrices=tuple(emitter.open_matrices),
        withheld=tuple(sorted(_withheld(unit))),
    )


def _withheld(unit: Unit) -> set[str]:
    """Return the variables that hold secrets of a flow or of its sub-flows."""
    return sources_of(unit.flow.head.secrets).union(*(_withheld(part) for parts in unit.parts.values() for part in parts))


@record
class _Values:
    """The values of a cell of a matrix, and how they are spelled in its name."""

    matrix: Mapping[str, Json]
    spelling: int = PLAIN
    queue: str = ""  # if it is not that of the node
    own: Mapping[str, Json] | None = None  # other settings that are not those of the node

    def name(self, node: str) -> str:
        """Return the cell's name; the gate of a sub-flow has that of its node, which has the values."""
        return node if is_gate(node) else cell_name(node, self.matrix, self.spelling)


def _values_of(cells: Cells, settings: CellSettings = _NO_SETTINGS) -> Iterator[_Values]:
    """Return the values of cells. The settings of the first one are those of the node, and so of the others that have the same."""
    queues, own = settings.queues, settings.own
    other = ("" if queue == queues[0] else queue for queue in queues) if queues else repeat("")
    rows = (
        {name: values[index] for name, values in own.items() if values[index] != values[0]} or None
        for index in range(len(cells))
    )
    return map(_Values, cells, spellings(cells), other, rows if own else repeat(None))


def _nothing(node: Node) -> Node:
    """Return what is left of a job whose matrix has no cells: it waits for what they would have waited for, and nothing is executed."""
    return replace(node, action=Action("join"), condition=None, concurrency=None, cache=None, fetch=(), secrets={}, reads=())


@dataclass(frozen=True, slots=True)
class _Frame:
    """A section being written. `gate` is the cell on which all jobs of a sub-flow depend."""

    unit: Unit
    section: Section
    prefix: str = ""
    phase: str = ""
    gate: int | None = None
    targets: dict[int, int] = field(default_factory=dict)  # number of a job -> the ordinal of its cell or group
    members: dict[int, list[int]] = field(default_factory=dict)  # number of a job with a matrix -> the ordinals of its cells
    wholes: dict[int, int] = field(default_factory=dict)  # number of a job with a matrix -> the index of its node
    matched: dict[tuple[int, tuple[str, ...], tuple[str, ...]], int] = field(default_factory=dict)
    indexes: dict[tuple[int, tuple[str, ...]], Mapping[tuple[str, ...], list[int]]] = field(default_factory=dict)

    def cells_of(self, job: JobSpec) -> Cells:
        """Return the cells of a job with a matrix."""
        return self.section.cells.get(job.name, ())

    def is_open(self, number: int) -> bool:
        """Return whether the cells of a job's matrix are not known, because a param has no value."""
        job = self.section.graph.jobs[number]
        return job.matrix is not None and not job.matrix.complete

    def fitting(self, parent: int, axes: tuple[str, ...], key: tuple[str, ...]) -> list[int]:
        """Return the ordinals of the cells of a job with these values on these axes."""
        index = self.indexes.get((parent, axes))
        if index is None:
            index = self.indexes[parent, axes] = by_values(self.cells_of(self.section.graph.jobs[parent]), axes)
        return [self.members[parent][position] for position in index.get(key, ())]


class _Emitter:
    def __init__(self, file: str) -> None:
        self.nodes: list[Node] = []
        self.cells: list[Cell] = []
        self.scopes: dict[str, dict[str, Json]] = {}
        self.open_matrices: list[str] = []
        self._file = file
        self._shared: dict[tuple[int, str], Edge] = {}

    def section(self, frame: _Frame) -> None:
        """Write the jobs of a section, parents first."""
        for number in frame.section.graph.order:
            job = frame.section.graph.jobs[number]
            edges = self._edges(frame, number)
            if job.counts:
                counted = [edge.parent for edge in edges]
                frame.targets[number] = self._group(self._node(frame, job, Action("join")), counted, frame, hidden=True)
            elif job.matrix is not None:
                frame.targets[number] = self._matrix(frame, number, edges)
            elif job.sub is not None:
                frame.targets[number] = self._part(frame, job, frame.unit.parts[job.name][0], edges)
            else:
                node = self._node(frame, job, job.action)
                frame.targets[number] = self._add(node, edges, frame, group=job.foreach is not None)

    def _matrix(self, frame: _Frame, number: int, edges: tuple[Edge, ...]) -> int:
        job = frame.section.graph.jobs[number]
        cells = frame.cells_of(job)
        edges += tuple(self._open_edges(frame, number))
        node = frame.wholes[number] = self._node(frame, job, Action("join") if job.sub is not None else job.action)
        settings = frame.section.settings.get(job.name, _NO_SETTINGS)
        if cells:
            firsts: dict[str, Any] = {name: values[0] for name, values in settings.own.items()}
            firsts |= {"queue": settings.queues[0]} if settings.queues else {}
            self.nodes[node] = replace(self.nodes[node], **firsts)
        matches = [
            (parent, item) for parent, item in frame.section.graph.parents(number) if item.match and not frame.is_open(parent)
        ]
        # Emit all edges first, because they may need groups: the ordinals of a matrix's cells must be contiguous.
        matched = [
            [edge for parent, item in matches for edge in self._matched(frame, parent, item, values)] for values in cells
        ]
        if job.sub is not None:
            found = self._parts(frame, number, edges, matched)
        else:
            found = [
                self._add(node, (*edges, *own), frame, values=values)
                for values, own in zip(_values_of(cells, settings), matched, strict=True)
            ]
        frame.members[number] = found
        if cells:
            return self._group(node, found, frame)
        if frame.is_open(number):
            self.open_matrices.append(self.nodes[node].name)
            if job.queues is not None:
                self.nodes[node] = replace(self.nodes[node], queue=OPEN_QUEUE)
            return self._add(node, edges, frame)
        self.nodes[node] = _nothing(self.nodes[node])
        return self._add(node, edges, frame)

    def _parts(self, frame: _Frame, number: int, edges: tuple[Edge, ...], matched: Sequence[Sequence[Edge]]) -> list[int]:
        """Write a sub-flow for each cell of a matrix; return the ordinals of their groups, whose results are the matrix's."""
        job = frame.section.graph.jobs[number]
        cells = frame.cells_of(job)
        found = [
            self._part(frame, job, part, (*edges, *own), values)
            for values, part, own in zip(_values_of(cells), frame.unit.parts.get(job.name, ()), matched, strict=True)
        ]
        names = tuple(self.nodes[self.cells[ordinal].node].name for ordinal in found)
        whole = frame.wholes[number]
        self.nodes[whole] = replace(self.nodes[whole], condition=None, reads=(), flows=names)
        return found

    def _open_edges(self, frame: _Frame, number: int) -> Iterator[Edge]:
        """Yield the edges to whole matrices where it is not known which cells match which."""
        for parent, item in frame.section.graph.parents(number):
            if item.match and (frame.is_open(number) or frame.is_open(parent)):
                yield self._edge(frame.targets[parent], item.condition)

    def _matched(self, frame: _Frame, parent: int, dependency: DependencySpec, values: Mapping[str, Json]) -> Sequence[Edge]:
        """Return the edge to those cells of a parent that have equal values on some axes.

        To one cell it is an ordinary edge. Several cells are counted by a new group, which ends like the whole matrix.
        """
        axes = dependency.match
        key = key_of(values, axes)
        if key is None:
            return ()
        target = frame.matched.get((parent, axes, key))
        if target is None:
            fitting = frame.fitting(parent, axes, key)
            if not fitting:
                return ()
            target = fitting[0]
            if len(fitting) > 1:
                shared = {axis: values[axis] for axis in axes}
                target = self._group(frame.wholes[parent], fitting, frame, values=_Values(shared), hidden=True)
            frame.matched[parent, axes, key] = target
        return (Edge(target, dependency.condition),)

    def _part(
        self,
        frame: _Frame,
        job: JobSpec,
        part: Unit,
        edges: tuple[Edge, ...],
        values: _Values | None = None,
    ) -> int:
        """Write a sub-flow: the gate, which has the edges and the `if`, its jobs, and the group that counts them.

        `values` are those of the matrix cell, if any.
        """
        name = frame.prefix + (job.name if values is None else values.name(job.name))
        gate_node = self._node(frame, job, Action("join"), name=f"{name}/{GATE}")
        self.nodes[gate_node] = replace(self.nodes[gate_node], matrix=False)
        gate = self._add(gate_node, edges, frame, values=values, hidden=True)
        scope = f"{name}/"
        self.scopes[scope] = dict(part.flow.head.bound.values)
        inner = _Frame(part, part.main, prefix=scope, phase=frame.phase, gate=gate)
        self.section(inner)
        head = part.flow.head
        group_node = len(self.nodes)
        self.nodes.append(
            replace(
                self.nodes[gate_node],
                name=name,
                condition=None,
                outputs=dict(head.outputs),
                reads=self._reads(inner, head.output_sites),
                scope=scope,
            )
        )
        jobs = part.main.graph.jobs
        counted = [inner.targets[number] for number in part.main.graph.order if not jobs[number].counts]
        return self._group(group_node, [gate, *counted], frame)

    def _edges(self, frame: _Frame, number: int) -> tuple[Edge, ...]:
        """Return the edges that all cells of a job have.

        In a sub-flow, a job also depends on the gate, unless one of its edges already skips it when its parents are skipped.
        """
        parents = frame.section.graph.parents(number)
        edges = [self._edge(frame.targets[parent], item.condition) for parent, item in parents if not item.match]
        if frame.gate is not None and not any(edge.condition in _STOPPED_BY_A_SKIP for edge in edges):
            edges.insert(0, Edge(frame.gate))
        return tuple(edges)

    def _edge(self, parent: int, condition: str) -> Edge:
        """Return an edge, shared by the children of a job to save memory."""
        known = self._shared.get((parent, condition))
        if known is None:
            known = self._shared[parent, condition] = Edge(parent, condition)
        return known

    def _add(
        self,
        node: int,
        edges: tuple[Edge, ...],
        frame: _Frame,
        *,
        values: _Values | None = None,
        group: bool = False,
        hidden: bool = False,
    ) -> int:
        name = self.nodes[node].name
        if values is None:
            cell = Cell(len(self.cells), name, node, edges, None, group, hidden, frame.phase)
        else:
            matrix, spelling = values.matrix, values.spelling
            cell = Cell(
                len(self.cells),
                values.name(name),
                node,
                edges,
                matrix,
                group,
                hidden,
                frame.phase,
                spelling=spelling,
                queue=values.queue,
                own=values.own,
            )
        self.cells.append(cell)
        return len(self.cells) - 1

    def _group(
        self,
        node: int,
        counted: Iterable[int],
        frame: _Frame,
        *,
        values: _Values | None = None,
        hidden: bool = False,
    ) -> int:
        edges = tuple(Edge(ordinal, "done") for ordinal in counted)
        return self._add(node, edges, frame, values=values, group=True, hidden=hidden)

    def _reads(self, frame: _Frame, sites: Iterable[ExpressionSite]) -> tuple[str, ...]:
        """Return the full names of the jobs that expressions use: of the same section, or, for handlers, of the graph."""
        own = frame.section.graph.numbers
        return tuple(frame.prefix + name if name in own else name for name in reads_of(sites))

    def _node(self, frame: _Frame, job: JobSpec, action: Action, *, name: str = "") -> int:
        file = frame.unit.file
        node = Node(
            action,
            *_after_action(job),
            name=name or frame.prefix + job.name,
            line=job.span.line,
            reads=self._reads(frame, job.sites),
            scope=frame.prefix,
            file="" if file == self._file else file,
            matrix=job.matrix is not None,
            stage="" if frame.prefix else job.stage,
        )
        self.nodes.append(node if not job.fetch else replace(node, fetch=tuple(self._fetched(frame, job.fetch))))
        return len(self.nodes) - 1

    def _fetched(self, frame: _Frame, items: Iterable[Fetch]) -> Iterator[Fetch]:
        """Yield what a job fetches, with the full names of the jobs."""
        own = frame.section.graph.numbers
        return (replace(item, job=frame.prefix + item.job) if item.job in own else item for item in items)
