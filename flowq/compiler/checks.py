"""What can be said about the expressions of a flow once its graph is known: names, ancestors, missing results, types."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowq.compiler.codes import Code
from flowq.compiler.expand import Cells
from flowq.compiler.graph import Graph
from flowq.compiler.names import Known, check_names
from flowq.compiler.sites import Site
from flowq.compiler.source import Report
from flowq.compiler.spec import FlowSpec, JobSpec, MatrixSpec
from flowq.expr import Reference
from flowq.expr.types import ANY, MAP, NULL, NUMBER, STRING, Type, common, infer, type_of

MAX_SAMPLES: Final = 1_000  # values of an axis that are looked at for its type

_RUN = Type("map", keys={"id": STRING, "name": STRING, "date": STRING, "attempt": NUMBER})
_JOB = Type("map", keys={"name": STRING, "attempt": NUMBER})


@dataclass(frozen=True, slots=True)
class _Use:
    """A result or status of another job that an expression uses."""

    site: Site
    reference: Reference
    job: int


def check_expressions(flow: FlowSpec, graph: Graph | None, cells: Mapping[str, Cells], report: Report) -> None:
    """Report what is wrong with the expressions that are evaluated in the run.

    Args:
        flow: the flow.
        graph: None where it has a cycle; then nothing is said about ancestors.
        cells: the cells of the jobs with a matrix.
        report: where problems go.
    """
    _Checks(flow, graph, cells, report).run()


def reads_of(job: JobSpec) -> tuple[str, ...]:
    """Return the names of the jobs whose result or status a job's expressions use, in order of first use."""
    names: dict[str, None] = {}
    for site in job.sites:
        for reference in site.expression.references():
            if reference.path[0] == "jobs" and len(reference.path) > 1:
                names[str(reference.path[1])] = None
    return tuple(names)


class _Checks:
    def __init__(self, flow: FlowSpec, graph: Graph | None, cells: Mapping[str, Cells], report: Report) -> None:
        self._flow = flow
        self._graph = graph
        self._cells = cells
        self._report = report
        self._names = {job.name: number for number, job in enumerate(flow.jobs)}
        self._uses: dict[int, list[_Use]] = defaultdict(list)  # by the job that is used
        self._params = tuple(spec.name for spec in flow.head.bound.specs)
        jobs = {job.name: _job_type(job) for job in flow.jobs} if any(job.sites for job in flow.jobs) else {}
        self._scope = {"params": flow.head.bound.types(), "run": _RUN, "job": _JOB, "jobs": Type("map", keys=jobs)}

    def run(self) -> None:
        head = Known(self._params)
        for site in self._flow.head.env_sites:
            self._site(site, head, self._scope)
        for number, job in enumerate(self._flow.jobs):
            if job.sites:
                self._job(number, job)
        if self._graph is not None:
            for used in self._uses:
                self._check_uses(used, self._graph)

    def _job(self, number: int, job: JobSpec) -> None:
        cells = self._cells.get(job.name, ())
        axes = _axes(cells, job.matrix)
        known = Known(self._params, tuple(job.env), self._names, axes, job.matrix is not None)
        scope = {**self._scope, "env": Type("map", keys=dict.fromkeys(job.env, STRING)), "matrix": _matrix_type(cells, axes)}
        for site in job.sites:
            if self._site(site, known, scope):
                self._collect(site, number)

    def _site(self, site: Site, known: Known, scope: Mapping[str, Type]) -> bool:
        """Check names, then types: a type says nothing where a name is wrong."""
        if not check_names(site, known, self._report):
            return False
        found, problems = infer(site.expression, scope)
        for problem in problems:
            code = Code.FUNCTION if problem.unknown_function else Code.TYPE
            self._report.add(code, site.span(self._report, problem.start, problem.end), problem.message, problem.help)
        if site.boolean and not problems and found.kind not in ("boolean", "any"):
            span = site.span(self._report, 0, len(site.expression.source))
            self._report.add(
                Code.TYPE, span, f"`if` needs a boolean, this is a {found}", "compare it, such as x == 'yes' or len(x) > 0"
            )
        return True

    def _collect(self, site: Site, number: int) -> None:
        for reference in site.expression.references():
            if reference.path[0] != "jobs":
                continue
            if len(reference.path) < 2:
                span = site.span(self._report, reference.start, reference.end)
                self._report.add(
                    Code.NAME_NOT_HERE, span, "`jobs` needs a constant name behind it", "write jobs.name or jobs['name']"
                )
                continue
            self._uses[self._names[str(reference.path[1])]].append(_Use(site, reference, number))

    def _check_uses(self, used: int, graph: Graph) -> None:
        """Check all uses of one job together: two walks through the graph answer for all of them."""
        uses = self._uses[used]
        askers = {use.job for use in uses}
        below = graph.below(used, askers)
        sure = graph.surely_after(used, below)
        for use in uses:
            if use.job not in below:
                self._not_below(use, used)
            elif use.job not in sure and not use.reference.guarded and self._needs_result(use, used):
                self._maybe_absent(use, used)

    def _needs_result(self, use: _Use, used: int) -> bool:
        """A status is always there, and so is the list of a matrix, in which missing results are null."""
        path = use.reference.path
        return len(path) > 2 and path[2] == "result" and self._flow.jobs[used].matrix is None

    def _not_below(self, use: _Use, used: int) -> None:
        name, asker = self._flow.jobs[used].name, self._flow.jobs[use.job].name
        message = (
            "a job cannot use its own result"
            if name == asker
            else f"`{asker}` uses `{name}`, but does not depend on it: there may be no result yet"
        )
        hint = "" if name == asker else f"add {name} to `depends_on` of {asker}"
        self._report.add(
            Code.NOT_AN_ANCESTOR, use.site.span(self._report, use.reference.start, use.reference.end), message, hint
        )

    def _maybe_absent(self, use: _Use, used: int) -> None:
        name = self._flow.jobs[used].name
        why = (
            "is allowed to fail"
            if self._flow.jobs[used].allow_failure is not False
            else "may be skipped or fail before this job runs"
        )
        text = use.site.expression.source[use.reference.start : use.reference.end]
        span = use.site.span(self._report, use.reference.start, use.reference.end)
        self._report.add(Code.MAYBE_ABSENT, span, f"`{name}` {why}: it may have no result", f"say what then: {text} ?? null")


def _job_type(job: JobSpec) -> Type:
    result = {"shell": MAP, "argv": MAP, "join": NULL}.get(job.action.kind, ANY)
    return Type("map", keys={"result": result if job.matrix is None else Type("list", ANY), "status": STRING})


def _axes(cells: Cells, matrix: MatrixSpec | None) -> dict[str, bool]:
    """Return for each value of a matrix whether every cell has it. Where there are no cells, every name has the benefit of the doubt."""
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
