"""Checks of expressions that need the graph: names, ancestors, missing results, types."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from flowq.compiler.analysis.graph import Graph
from flowq.compiler.analysis.matrix_cells import Cells
from flowq.compiler.analysis.script_outputs import text_outputs
from flowq.compiler.binding.spec import FlowSpec, JobSpec, MatrixSpec
from flowq.compiler.diagnostics.codes import Code
from flowq.compiler.expressions.checks import check_site
from flowq.compiler.expressions.fallbacks import fallback_help
from flowq.compiler.expressions.names import Known
from flowq.compiler.expressions.sites import ExpressionSite
from flowq.compiler.shell.interpolation import is_posix
from flowq.compiler.syntax.source import Report
from flowq.expr import ExprSyntaxError, Reference, parse
from flowq.expr.types import ANY, MAP, NULL, NUMBER, STRING, Type, common, infer, type_of
from flowq.states import ENDED, RUN_ENDED, JobStatus, RunStatus

if TYPE_CHECKING:
    from flowq.compiler.signatures import Signature

MAX_SAMPLES: Final = 1_000  # values of an axis from which its type is inferred

_NO_STATUS: Final = {
    **dict.fromkeys(("success", "succeeded", "successful", "ok", "done", "complete", "completed", "passed"), "finished"),
    **dict.fromkeys(("failure", "error", "errored"), "failed"),
    **dict.fromkeys(("cancelled", "cancel"), "canceled"),
}
"""Words for statuses in other systems, and conditions of dependencies, with the status of each."""
_JOB_STATUS: Final = Type("string", values=tuple(str(status) for status in JobStatus if status in ENDED), meant=_NO_STATUS)
_RUN_STATUS: Final = Type(  # no handler of a skipped run is executed
    "string", values=tuple(str(status) for status in RunStatus if status in RUN_ENDED - {RunStatus.SKIPPED}), meant=_NO_STATUS
)
_RUN = Type(
    "map",
    keys={
        "id": STRING,
        "name": STRING,
        "date": STRING,
        "flow_dir": STRING,
        "attempt": NUMBER,
        "scheduled_at": STRING,
        "schedule": STRING,  # null in most runs, for which they need a fallback
    },
)
_HANDLER_RUN = Type("map", keys={**(_RUN.keys or {}), "status": _RUN_STATUS, "failed_jobs": Type("list", STRING)})
_NOTHING = Type("map", keys={})
_OUTPUT: Final = Type("string", output=True)
_JOB = Type("map", keys={"name": STRING, "attempt": NUMBER})
_FILES: Final = Type("list", Type("map", keys={"path": STRING, "size": NUMBER, "sha256": STRING}))  # of an artifact


@dataclass(frozen=True, slots=True)
class Results:
    """The known types of the results of jobs.

    Attributes:
        outputs: the names of the outputs of each job with `flow`; None if that flow has a problem.
        signatures: the signatures of the jobs' callables.
    """

    outputs: Mapping[str, tuple[str, ...] | None]
    signatures: "Mapping[str, Signature]" = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outer:
    """The graph as handlers see it: its jobs, and which of them always have a result."""

    jobs: Sequence[JobSpec]
    sure: frozenset[int]


@dataclass(frozen=True, slots=True)
class Scene:
    """The jobs that are checked together.

    Attributes:
        flow: the flow.
        jobs: the jobs of its graph, or the handlers of one section.
        cells: the cells of the jobs with a matrix.
        results: the known results of sub-flows and callables.
        outer: the graph, if the jobs are handlers.
    """

    flow: FlowSpec
    jobs: Sequence[JobSpec]
    cells: Mapping[str, Cells]
    results: Results
    outer: Outer | None = None


@dataclass(frozen=True, slots=True)
class _Use:
    """The use of another job's result or status in an expression."""

    site: ExpressionSite
    reference: Reference
    job: int


def check_expressions(scene: Scene, graph: Graph, report: Report) -> None:
    """Report what is wrong with the expressions of jobs that are evaluated in the run.

    Args:
        scene: the jobs.
        graph: of these jobs.
        report: where problems go.
    """
    _Checks(scene, report).run(graph)


def check_outputs(flow: FlowSpec, graph: Graph, report: Report, *, results: Results) -> None:
    """Report what is wrong with the `outputs` of a flow: they are made when it has ended, of any of its jobs."""
    if not flow.head.output_sites:
        return
    sure = graph.never_skipped()
    checks = _Checks(Scene(flow, (), {}, results, Outer(flow.jobs, sure)), report)
    known = Known(tuple(spec.name for spec in flow.head.bound.specs), jobs=_names(flow.jobs))
    for site in flow.head.output_sites:
        checks.outside(site, known)


def reads_of(sites: Iterable[ExpressionSite]) -> tuple[str, ...]:
    """Return the names of the jobs whose result or status the expressions use, in order of first use."""
    names: dict[str, None] = {}
    for site in sites:
        for reference in site.expression.references():
            if reference.path[0] == "jobs" and len(reference.path) > 1:
                names[str(reference.path[1])] = None
    return tuple(names)


def _names(jobs: Sequence[JobSpec]) -> dict[str, int]:
    return {job.name: number for number, job in enumerate(jobs) if not job.counts}


class _Checks:
    def __init__(self, scene: Scene, report: Report) -> None:
        flow, jobs, outer = scene.flow, scene.jobs, scene.outer
        self._flow = flow
        self._jobs = jobs
        self._cells = scene.cells
        self._report = report
        self._outer = outer
        self._names = _names(jobs)
        self._outer_names = _names(outer.jobs) if outer is not None else {}
        self._uses: dict[int, list[_Use]] = defaultdict(list)  # by the number of the used job
        self._axes: dict[int, set[str]] | None = None  # by the text of an expression, made when one is asked for
        self._params = tuple(spec.name for spec in flow.head.bound.specs)
        handler = outer is not None and bool(jobs)
        seen = (*outer.jobs, *jobs) if outer is not None else jobs
        used = any(job.sites for job in jobs) or (outer is not None and not jobs)
        self._signatures = scene.results.signatures
        types = {job.name: _job_type(job, scene.results) for job in seen} if used else {}
        run = _HANDLER_RUN if handler else _RUN
        self._scope = {"params": flow.head.bound.types(), "run": run, "job": _JOB, "jobs": Type("map", keys=types)}

    def run(self, graph: Graph) -> None:
        if self._outer is None:
            for site in self._flow.head.env_sites:
                check_site(site, Known(self._params), self._scope, self._report)
        for number, job in enumerate(self._jobs):
            if job.sites or job.name in self._signatures:
                self._job(number, job)
        for used in self._uses:
            self._check_uses(used, graph)

    def outside(self, site: ExpressionSite, known: Known) -> None:
        """Check an expression outside of jobs."""
        if check_site(site, known, self._scope, self._report):
            self._collect(site, -1)

    def _job(self, number: int, job: JobSpec) -> None:
        cells = self._cells.get(job.name, ())
        axes = axes_of(cells, job.matrix) if cells or job.matrix is not None else {}
        known = Known(
            params=self._params,
            env=tuple(job.env),
            jobs={**self._outer_names, **self._names} if self._outer_names else self._names,
            matrix=axes,
            is_matrix=job.matrix is not None,
            is_foreach=job.foreach is not None,
            is_handler=self._outer is not None,
            job=job.name,
            shared=self._shared,
        )
        env = Type("map", keys=dict.fromkeys(job.env, STRING)) if job.env else _NOTHING
        scope = {**self._scope, "env": env, "matrix": _matrix_type(cells, axes) if axes else _NOTHING}
        if job.foreach is not None:
            listed, _ = infer(parse(job.foreach), self._scope)
            scope.update(item=(listed.item or ANY) if listed.kind == "list" else ANY, index=NUMBER)
        for site in job.sites:
            if check_site(site, known, scope, self._report):
                self._collect(site, number)
        if job.name in self._signatures:
            typed = lambda source: _type_of(source, scope)  # noqa: E731 - asked only where an argument has a known type
            from flowq.compiler.analysis.calls import check_arguments

            check_arguments(job, self._signatures[job.name], typed, self._report)

    def _shared(self, site: ExpressionSite) -> set[str]:
        """Return the matrix values of all jobs that have this text: what a template reads need not be in each matrix below it."""
        if self._axes is None:
            self._axes = defaultdict(set)
            for job in self._jobs:
                names = axes_of(self._cells.get(job.name, ()), job.matrix)
                for own in job.sites if names else ():
                    self._axes[id(own.scalar)] |= names.keys()
        return self._axes[id(site.scalar)]

    def _collect(self, site: ExpressionSite, number: int) -> None:
        for reference in site.expression.references():
            if reference.path[0] != "jobs":
                continue
            if len(reference.path) < 2:
                span = site.span(self._report, reference.start, reference.end)
                self._report.add(
                    Code.NAME_NOT_HERE, span, "`jobs` needs a constant name behind it", "write jobs.name or jobs['name']"
                )
                continue
            name = str(reference.path[1])
            if name in self._names:
                self._uses[self._names[name]].append(_Use(site, reference, number))
            else:
                self._check_outer(_Use(site, reference, number), self._outer_names[name])

    def _check_outer(self, use: _Use, used: int) -> None:
        """Check a handler's use of a job of the graph, which has ended but may have no result."""
        assert self._outer is not None
        job = self._outer.jobs[used]
        if (
            _needs_result(use, job)
            and not use.reference.guarded
            and (used not in self._outer.sure or job.allow_failure is not False)
        ):
            self._maybe_absent(use, job, "may have been skipped or failed")

    def _check_uses(self, used: int, graph: Graph) -> None:
        """Check all uses of one job together, with two walks through the graph."""
        uses = self._uses[used]
        askers = {use.job for use in uses}
        below = graph.below(used, askers)
        sure = graph.surely_after(used, below)
        for use in uses:
            if use.job not in below:
                self._not_below(use, used)
            elif use.job not in sure and not use.reference.guarded and _needs_result(use, self._jobs[used]):
                self._maybe_absent(use, self._jobs[used], "may be skipped or fail before this job runs")

    def _not_below(self, use: _Use, used: int) -> None:
        name, asker = self._jobs[used].name, self._jobs[use.job].name
        message = (
            "a job cannot use its own result"
            if name == asker
            else f"`{asker}` uses `{name}`, but does not depend on it: there may be no result yet"
        )
        hint = "" if name == asker else f"add {name} to `depends_on` of {asker}"
        self._report.add(
            Code.NOT_AN_ANCESTOR, use.site.span(self._report, use.reference.start, use.reference.end), message, hint
        )

    def _maybe_absent(self, use: _Use, job: JobSpec, otherwise: str) -> None:
        why = "is allowed to fail" if job.allow_failure is not False else otherwise
        span = use.site.span(self._report, use.reference.start, use.reference.end)
        hint = fallback_help(use.site, use.reference)
        self._report.add(Code.MAYBE_ABSENT, span, f"`{job.name}` {why}: it may have no result", hint)


def _type_of(source: str, scope: Mapping[str, Type]) -> Type:
    """Return the type of an expression; `ANY` for invalid syntax, which is reported elsewhere."""
    try:
        return infer(parse(source), scope)[0]
    except ExprSyntaxError:
        return ANY


def _needs_result(use: _Use, job: JobSpec) -> bool:
    """Return whether a use fails without a result: not for a status, nor for the list of a matrix or foreach, which may contain null."""
    path = use.reference.path
    return len(path) > 2 and path[2] in {"result", "artifacts"} and not job.several


def _job_type(job: JobSpec, results: Results) -> Type:
    kinds = {"shell": MAP, "argv": MAP, "join": NULL}
    result = kinds.get(job.action.kind, ANY)
    if job.action.kind == "shell" and is_posix(job.action.shell):
        result = Type("map", keys=dict.fromkeys(text_outputs(job.action.script), _OUTPUT))
    if job.name in results.signatures:
        result = results.signatures[job.name].result
    if job.sub is not None:
        outputs = results.outputs.get(job.name)
        result = MAP if outputs is None else Type("map", keys=dict.fromkeys(outputs, ANY), part=f"output of `{job.name}`")
    artifacts = Type("map", keys={one.name: _FILES for one in job.artifacts}, part=f"artifact of `{job.name}`")
    return Type(
        "map",
        keys={"result": Type("list", result) if job.several else result, "status": _JOB_STATUS, "artifacts": artifacts},
    )


def axes_of(cells: Cells, matrix: MatrixSpec | None) -> dict[str, bool]:
    """Return for each value of a matrix whether every cell has it. If there are no cells, all names count as known."""
    if not cells and matrix is not None:
        return dict.fromkeys([*matrix.axes, *(name for rule in matrix.include for name in rule.values)], True)
    counts: dict[str, int] = {}
    for cell in cells:
        for name in cell:
            counts[name] = counts.get(name, 0) + 1
    return {name: count == len(cells) for name, count in counts.items()}


def _matrix_type(cells: Cells, axes: Mapping[str, bool]) -> Type:
    keys = {}
    for name in axes:
        samples = [cell[name] for cell in cells if name in cell]
        keys[name] = common([type_of(value) for value in samples]) if len(samples) <= MAX_SAMPLES else ANY
    return Type("map", keys=keys)
