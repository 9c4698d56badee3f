"""Units: a flow with checked expressions, graph and cells, and its sub-flows.

Each flow file is a unit with its own names: the expressions of a sub-flow see the jobs and params of their file and nothing of the outer
flow, so a file means the same alone and as a sub-flow. `emit` combines the units.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowq.compiler.analysis.cell_settings import CellSettings, settings_of_cells
from flowq.compiler.analysis.expressions import Outer, Results, Scene, axes_of, check_expressions, check_outputs
from flowq.compiler.analysis.fetches import check_fetches
from flowq.compiler.analysis.graph import Graph, build_graph
from flowq.compiler.analysis.lint import warn
from flowq.compiler.analysis.matrix_cells import MAX_CELLS, Budget, Cells, expand
from flowq.compiler.analysis.matrix_match import check_matches
from flowq.compiler.binding.flow import Surroundings, of_run, read_flow
from flowq.compiler.binding.spec import FlowHead, FlowSpec, JobSpec, SubFlow
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.constants import StaticScope
from flowq.compiler.params.params import Given
from flowq.compiler.syntax.files import Beside, Files
from flowq.compiler.syntax.nodes import MapNode
from flowq.compiler.syntax.parser import read
from flowq.compiler.syntax.schema import check_shape
from flowq.compiler.syntax.source import Report, Source
from flowq.plan import cell_name

if TYPE_CHECKING:
    from flowq.compiler.signatures import Installed, Lookup, Signature

MAX_DEPTH: Final = 20  # levels of nested flows
MAX_UNITS: Final = 1_000  # sub-flows of one flow

_OF_A_RUN: Final = (
    "timeout",
    "timezone",
    "python",
    "code",
    "bundle",
    "fail_fast",
    "concurrency",
    "notify",
    "keep",
    "on_success",
    "on_failure",
    "on_cancel",
    "on_exit",
)


@dataclass(frozen=True, slots=True)
class Section:
    """Jobs with their graph, the cells of those with a matrix, and the settings that these cells have for themselves."""

    graph: Graph
    cells: Mapping[str, Cells]
    settings: Mapping[str, CellSettings]


@dataclass(frozen=True, slots=True)
class Unit:
    """A flow without errors. `handlers` are its handlers by section.

    `parts` are the units of its jobs with `flow`: one of each, or one for each cell of its matrix.
    """

    flow: FlowSpec
    main: Section
    handlers: Mapping[str, Section]
    parts: Mapping[str, tuple["Unit", ...]]
    file: str


@dataclass(slots=True)
class Units:
    """The builder of the units of one compilation, within its limits.

    `default_python` reads the interpreter of the settings. It is called at most once, when a flow with calls names none.
    """

    files: Files
    default_python: Callable[[], str]
    budget: Budget = field(default_factory=Budget)
    head: FlowHead | None = None  # of the flow that is compiled
    _trees: dict[str, MapNode | None] = field(default_factory=dict)  # by absolute path: a file is read and checked once
    _open: list[tuple[str, str]] = field(default_factory=list)  # (absolute path, path as shown) of the enclosing flows
    _count: int = 0
    _python: str | None = None
    _installed: "Installed | None" = None  # in the interpreter of the calls, if it is not this one
    _lookups: "dict[tuple[str, ...], Lookup]" = field(default_factory=dict)

    def top(self, source: Source, report: Report, around: Surroundings) -> Unit | None:
        """Return the unit of the flow that is compiled, or None after a problem."""
        tree = self._tree(source, report)
        if tree is None:
            return None
        self._open.append((around.place.file, around.place.name))
        around = of_run(tree, around, report)
        self._python = around.python or None
        return self._unit(tree, around, report)

    @property
    def python(self) -> str:
        """The interpreter of the calls; empty: the worker's."""
        if self._python is None:
            self._python = self.default_python()
        return self._python

    def _tree(self, source: Source, report: Report) -> MapNode | None:
        tree = read(source, report)
        if tree is not None:
            check_shape(tree, report)
        return tree if isinstance(tree, MapNode) else None

    def _unit(self, tree: MapNode, around: Surroundings, report: Report) -> Unit | None:
        before = self.budget.left
        flow = read_flow(tree, around, report)
        if around.alone:
            self.head = flow.head
        cells = expand(flow.jobs, self.budget, report)
        parts = {
            job.name: self._parts(job, cells.get(job.name), flow, around, report) for job in flow.jobs if job.sub is not None
        }
        main = self._section(flow.jobs, cells, report)
        names = {name: tuple(units[0].flow.head.outputs) if units else None for name, units in parts.items()}
        results = Results(names, self._signatures(flow, around, report))
        check_expressions(Scene(flow, flow.jobs, main.cells, results), main.graph, report)
        check_outputs(flow, main.graph, report, results=results)
        check_fetches(main.graph, main.cells, report)
        handlers = self._handlers(flow, main, results, report)
        if before >= 0 and self.budget.left < 0 and not report.failed:
            report.add(
                Code.TOO_MANY_JOBS, tree.key_span("jobs"), f"the flow has more than {MAX_CELLS:,} jobs", "split the flow"
            )
        found = {name: units for name, units in parts.items() if units is not None}
        if len(found) < len(parts) or (report.failed and not report.only_lacks_values):
            return None
        if not self.files.failed:
            warn(flow, main.graph, tree, report)
        if report.failed:
            return None
        return Unit(flow, main, handlers, found, around.place.absolute(around.place.file) if around.place.file else "")

    def _signatures(self, flow: FlowSpec, around: Surroundings, report: Report) -> "dict[str, Signature]":
        """Return the known signatures of the callables of a flow."""
        every = (*flow.jobs, *(job for section in flow.handlers.values() for job in section))
        jobs = [job for job in every if job.action.kind == "call"]
        if not (around.modules and jobs):
            return {}
        from flowq.compiler.analysis.calls import find_installed, find_signatures  # not imported for flows without callables
        from flowq.compiler.signatures import Lookup

        if self.python and self._installed is None:
            self._installed = find_installed(self.python, report)
        if around.modules not in self._lookups:
            self._lookups[around.modules] = Lookup(around.modules, self._installed)
        return find_signatures(jobs, self._lookups[around.modules], report)

    def _section(
        self,
        jobs: tuple[JobSpec, ...],
        cells: Mapping[str, Cells],
        report: Report,
        before: Mapping[str, int] | None = None,
    ) -> Section:
        graph = build_graph(jobs, report, before=before or ())
        check_matches(graph, cells, report)
        return Section(graph, cells, settings_of_cells(jobs, cells, report))

    def _handlers(self, flow: FlowSpec, main: Section, results: Results, report: Report) -> dict[str, Section]:
        found = {}
        for name, jobs in flow.handlers.items():
            cells = expand(jobs, self.budget, report)
            section = self._section(jobs, cells, report, before=main.graph.numbers)
            outer = Outer(flow.jobs, main.graph.never_skipped() if name == "on_success" else frozenset())
            check_expressions(Scene(flow, jobs, section.cells, results, outer), section.graph, report)
            check_fetches(section.graph, {**main.cells, **section.cells}, report, outer)
            found[name] = section
        return found

    def _parts(
        self, job: JobSpec, cells: Cells | None, flow: FlowSpec, around: Surroundings, report: Report
    ) -> tuple[Unit, ...] | None:
        """Return the units of a job with `flow`, one per cell if it has a matrix, or None after a problem."""
        assert job.sub is not None
        if job.matrix is None:
            unit = self._part(job.sub, job.sub.scope, flow, around, report)
            return None if unit is None else (unit,)
        if cells is None:
            return None if job.matrix.complete else ()
        axes = axes_of(cells, job.matrix)
        units = []
        outer = report.cell
        for cell in cells:
            report.cell = f"{outer and f'{outer}/'}{cell_name(job.name, cell)[:100]}"
            unit = self._part(job.sub, job.sub.scope.for_cell(cell, axes), flow, around, report)
            report.cell = outer
            if unit is None:
                return None  # the next cell would have the same problem
            units.append(unit)
        return tuple(units)

    def _part(self, sub: SubFlow, scope: StaticScope, flow: FlowSpec, around: Surroundings, report: Report) -> Unit | None:
        """Return a unit of a job with `flow`, or None after a problem. `scope`: the scope of its params."""
        place, name = around.place.absolute(sub.path), around.place.shown(sub.path)
        if not self._may_open(place, name, sub, report):
            return None
        loaded = self.files.read(around.place, sub.path, sub.span, report, code=Code.SUB_FLOW)
        if loaded is None:
            return None
        source, read_report = loaded
        if place not in self._trees:
            self._trees[place] = None if read_report.failed else self._tree(source, read_report)
            self._warn(self._trees[place], read_report)
        tree = self._trees[place]
        if tree is None:
            return None
        values = {name: scope.evaluate(value, report) for name, value in sub.params.items()}
        given = Given(values, {name: value.span for name, value in sub.params.items()}, report, sub.span, names=sub.names)
        run = {"name": flow.head.name, **around.run}
        self._open.append((place, name))
        modules = _modules_beside(around.modules, place)
        fresh = self.files.fresh(source, tree)
        fresh.cell = report.cell
        unit = self._unit(tree, Surroundings(given, run, Beside(name, place), self.files, modules), fresh)
        self._open.pop()
        return None if read_report.failed else unit

    def _may_open(self, place: str, name: str, sub: SubFlow, report: Report) -> bool:
        self._count += 1
        paths = [path for path, _ in self._open]
        if place in paths:
            names = [shown for _, shown in self._open[paths.index(place) :]]
            message = f"sub-flow cycle: {' -> '.join([*names, name])}"
            report.add(Code.SUB_FLOW_CYCLE, sub.span, message, "remove one of these jobs with `flow`")
            return False
        if len(paths) > MAX_DEPTH or self._count > MAX_UNITS:
            message = (
                f"sub-flows are nested more than {MAX_DEPTH} levels deep"
                if len(paths) > MAX_DEPTH
                else f"a flow may have {MAX_UNITS:,} others as parts"
            )
            report.add(Code.SUB_FLOW, sub.span, message, "call a flow with a list as a param, and use a matrix in it")
            return False
        return self.budget.left >= 0

    def _warn(self, tree: MapNode | None, report: Report) -> None:
        """Warn of keys that have no effect in a sub-flow."""
        for key in _OF_A_RUN:
            if tree is not None and key in tree.entries:
                message = f"`{key}` is for a run of this flow alone: where it is part of another flow it has no effect"
                report.add(Code.SUB_FLOW_IGNORES, tree.key_span(key), message, "write it into the flow that is run")


def _modules_beside(modules: tuple[str, ...], file: str) -> tuple[str, ...]:
    """Return the module folders of a sub-flow: the directory of the run, that of its own file, that of the top flow."""
    return tuple(dict.fromkeys((modules[0], os.path.dirname(file), modules[-1]))) if modules else ()  # noqa: PTH120
