"""Explanations of a job's state: the chain of causes, from the given job to the causes that the user can act on.

A chain is computed from one read of the run, by the same rules as the engine (`flowq.flows.forecast.graph_rules`): nothing of it is stored.
A waiting job leads to what it waits for, a skipped one to the edge that did not hold, a queued one to the workers, a failed one
to its error. Chains stay short enough to be read: long ones skip to their end and say how many steps they left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from flowq.durations import format_duration
from flowq.expr import ExprSyntaxError, parse, to_text
from flowq.flows.explain.failures import attempts, failure, kinds, progress
from flowq.flows.explain.queue_state import FULL, QueueState
from flowq.flows.explain.waiting import ASKS, BREADTH, Answer, Waits, urgency
from flowq.flows.forecast import graph_rules
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Cell, Edge, Json, Node, Plan, SourcePlace
from flowq.plan.foreach import order
from flowq.states import ENDED, UPSTREAM, Condition, JobStatus, Reason

_DEPTH: Final = 8  # steps shown of one chain before it skips to its end
_TOTAL: Final = 40  # causes shown at all

_BEGUN: Final = graph_rules.End(JobStatus.FINISHED)  # of the gate of a sub-flow
_CANCELED: Final[Mapping[str, str]] = {
    Reason.RUN_CANCELED: "the run was canceled",
    Reason.FAIL_FAST: "another job failed, and `fail_fast` ends the others",
}
_SKIPPED: Final[Mapping[str, str]] = {
    Reason.NOT_SELECTED: "the run's outcome is not the one that this handler is for",
    Reason.FAIL_FAST: "another job failed before it was started, and `fail_fast` ends the others",
}


@dataclass(frozen=True, slots=True)
class Cause:
    """One job in the chain.

    `details` are further facts, a sentence each. `causes` are what it comes from; `more` of them are not shown, `skipped` is the
    number of steps left out between this one and its causes.
    """

    name: str
    ordinal: int
    status: JobStatus | None
    reason: str | None
    text: str
    place: SourcePlace
    details: tuple[str, ...] = ()
    causes: tuple["Cause", ...] = ()
    more: int = 0
    skipped: int = 0
    damaged: bool = False  # not all of its record could be read
    failing: bool = False  # a group: some of its jobs have failed, and others have not ended

    def leaves(self) -> list["Cause"]:
        """Return the ends of the chains, which the user can act on."""
        return [leaf for cause in self.causes for leaf in cause.leaves()] if self.causes else [self]


def explain(plan: Plan, run: RunView, ordinal: int, around: QueueState) -> Cause:
    """Return the explanation of a job's state.

    Args:
        plan: of the run.
        run: the run as read.
        ordinal: of the job, or of the group of a matrix.
        around: workers and queues as read.
    """
    return _Explanation(plan, run, around).of(ordinal, 0)


def cause_json(cause: Cause) -> dict[str, Json]:
    """Return a chain for programs."""
    return {
        "name": cause.name,
        "status": None if cause.status is None else str(cause.status),
        "reason": None if cause.reason is None else str(cause.reason),
        "text": cause.text,
        "file": cause.place.file,
        "line": cause.place.line,
        "details": list(cause.details),
        "skipped": cause.skipped,
        "more": cause.more,
        "causes": [cause_json(item) for item in cause.causes],
    }


class _Explanation:
    def __init__(self, plan: Plan, run: RunView, around: QueueState) -> None:
        self._plan = plan
        self._run = run
        self._around = around
        self._jobs = {job.ordinal: job for job in (*run.gates, *run.jobs)}
        self._ends = self._all_ends()
        self._waits = Waits(plan, run, around, self._jobs, self._ends)
        self._left = _TOTAL

    def of(self, ordinal: int, depth: int) -> Cause:
        """Return the chain from this cell on."""
        self._left -= 1
        cell = self._plan.cells[ordinal]
        text, details, before = self._group(cell) if cell.group else self._job(cell)
        skipped = 0
        if depth >= _DEPTH and before:
            before, skipped = self._end_of_chain(before[0])
        causes = [self.of(parent, depth + 1) for parent in before[:BREADTH] if self._left > 0]
        job = self._jobs.get(ordinal)
        end = self._ends[ordinal]
        return Cause(
            name=cell.label,
            ordinal=ordinal,
            status=end.status if job is None and end is not None else job.status if job is not None else JobStatus.DEFERRED,
            reason=None if job is None else job.reason,
            text=text,
            place=self._plan.place_of(self._plan.node_of(cell)),
            details=(
                *details,
                *self._of_server(job),
                *([job.damaged] if job is not None and job.damaged and job.status is not None else []),
            ),
            causes=tuple(causes),
            more=len(before) - len(causes),
            skipped=skipped,
            damaged=job is not None and bool(job.damaged),
            failing=bool(cell.group) and end is None and any(member.bad for member in self._members(cell)),
        )

    # -- the causes of a cell: a sentence, more facts, and the ordinals of its causes ----------------------------------------

    def _job(self, cell: Cell) -> Answer:
        job, node = self._jobs[cell.ordinal], self._plan.node_of(cell)
        match job.status:
            case None if job.damaged:
                return job.damaged, [], []
            case None:
                return "its record has expired: its result_ttl or failure_ttl has passed", [], []
            case JobStatus.DEFERRED:
                return self._waits.deferred(cell, job)
            case JobStatus.SCHEDULED:
                return self._waits.scheduled(job)
            case JobStatus.QUEUED:
                return self._waits.queued(job)
            case JobStatus.STARTED:
                return self._started(job, node)
            case JobStatus.SKIPPED:
                return self._skipped(cell, job, node)
            case JobStatus.FAILED | JobStatus.STOPPED:
                return (*failure(job, node, run_timeout=self._plan.timeout), [])
            case JobStatus.CANCELED:
                why = self._turned_away(job, "fail") or _CANCELED.get(job.reason or "", "this job was canceled")
                return why, [progress(job)], self._failed_before(cell, job)
            case _ if job.cache is not None and job.cache.hit:
                return f"it did not run, it has the result of run {job.cache.run}", [f"since then: {job.cache.reason}"], []
            case _ if self._plan.is_empty(cell) or (node.foreach is not None and not node.matrix):
                return "it has no cells: there was nothing to do", [], []
            case _:
                ran = [] if job.cache is None else [f"it ran, although it has a `cache`: {job.cache.reason}"]
                took = "" if job.duration is None else f"it took {format_duration(round(job.duration, 2))}"
                return took or "nothing was executed", [*attempts(job), *ran], []

    def _group(self, cell: Cell) -> Answer:
        """Explain a matrix, a foreach or a sub-flow as a whole, by those of its jobs that matter."""
        gate = next((edge.parent for edge in cell.parents if self._is_gate(edge.parent)), None)
        if gate is not None and (self._ends[gate] is None or self._ends[gate] != _BEGUN):
            return ("has not begun" if self._ends[gate] is None else "was never begun"), [], [gate]
        if self._plan.node_of(cell).flows:
            return self._flows(cell)
        members = self._members(cell)
        bad = [job for job in members if job.bad]
        open_jobs = [job for job in members if not job.ended]
        unfinished = [job for job in members if job.status in {JobStatus.CANCELED, JobStatus.SKIPPED}]
        some = bad or open_jobs or unfinished or [job for job in members if job.allowed]
        what = (
            "failed"
            if bad
            else "have not ended"
            if open_jobs
            else "did not finish"
            if unfinished
            else "failed, which is allowed"
        )
        noun = "cells" if self._plan.node_of(cell).matrix else "jobs"
        none = "it has no cells" if noun == "cells" else "it has no jobs"
        text = f"{len(some)} of {len(members)} {noun} {what}" if some else f"all {noun} finished" if members else none
        details = kinds(bad) if len(bad) > BREADTH else []  # fewer are all shown
        if bad and open_jobs:
            details.append(f"{len(open_jobs)} {'has' if len(open_jobs) == 1 else 'have'} not ended yet")
        return text, details, [job.ordinal for job in sorted(some, key=urgency)]

    def _flows(self, cell: Cell) -> Answer:
        """Explain a matrix of sub-flows, by those that matter."""
        parts = {edge.parent: self._ends[edge.parent] for edge in cell.parents}
        bad = [part for part, end in parts.items() if end is not None and end.status in graph_rules.FAILING]
        still = [part for part, end in parts.items() if end is None]
        some = bad or still or [part for part, end in parts.items() if end is not None and not end.succeeded]
        what = "failed" if bad else "have not ended" if still else "did not finish"
        text = f"{len(some)} of {len(parts)} flows {what}" if some else "all flows finished" if parts else "it has no cells"
        return text, [], some

    def _is_gate(self, ordinal: int) -> bool:
        cell = self._plan.cells[ordinal]
        return cell.hidden and not cell.group

    def _members(self, cell: Cell) -> list[JobView]:
        """Return the jobs that a group counts, also through groups that it counts."""
        found: list[JobView] = []
        waiting = [edge.parent for edge in reversed(cell.parents)]
        while waiting:
            part = self._plan.cells[waiting.pop()]
            if part.group:
                waiting += [edge.parent for edge in reversed(part.parents)]
            elif part.ordinal in self._jobs and not part.hidden:
                found.append(self._jobs[part.ordinal])
        return found

    def _started(self, job: JobView, node: Node) -> Answer:
        since = "" if job.duration is None else f" for {job.duration:.1f} s"
        details = [f"on worker {job.worker}"] if job.worker else []
        if node.timeout is not None:
            details.append(f"one attempt may take {format_duration(node.timeout)}")
        if note := self._around.notes.get(job.ordinal):
            details.append(note)
        return f"it is running{since}", [*details, *attempts(job)], []

    def _of_server(self, job: JobView | None) -> list[str]:
        """Return what holds up every job that is running, or is the next to start."""
        return [FULL] if self._around.full and job is not None and job.status in {JobStatus.STARTED, JobStatus.QUEUED} else []

    def _skipped(self, cell: Cell, job: JobView, node: Node) -> Answer:
        if job.reason == Reason.IF_FALSE:
            return f"its `if: {node.condition}` was false", self._condition_values(cell, node), []
        if not cell.selected:
            asked = "the run is of a part of the flow, and this job is not in it"
            return "it was not selected", [asked], []
        if job.reason not in UPSTREAM:
            text = _SKIPPED.get(job.reason or "", (job.reason or "skipped").replace("_", " "))
            return self._turned_away(job, "skip") or text, [], self._failed_before(cell, job)
        broken = [edge for edge in cell.parents if self._breaks(edge)]
        if not broken:  # the parents have been run again since, or their records have expired
            return job.reason.replace("_", " "), [], []
        edge = broken[0]
        end = self._ends[edge.parent]
        ended = "ended" if end is None else _ended_word(end)
        text = f"it needs {self._name(edge)} {ASKS[Condition(edge.condition)]}, but it {ended}"
        return text, [], [item.parent for item in broken]

    def _turned_away(self, job: JobView, how: str) -> str:
        """Return why a job did not run whose run was turned away; "" of another one."""
        if job.reason != Reason.CONCURRENCY:
            return ""
        holder = f" by run {self._run.turned_away_by}" if self._run.turned_away_by else ""
        return f"the run's concurrency group was taken{holder}, and its `on_conflict` is `{how}`"

    def _failed_before(self, cell: Cell, job: JobView) -> list[int]:
        """Return the jobs whose failure ended this one by `fail_fast`, the first to fail first: those beside it, else of the run."""
        if job.reason != Reason.FAIL_FAST:
            return []
        bad = sorted((other for other in self._run.bad_jobs if not self._plan.cells[other.ordinal].phase), key=_ended_at)
        beside = [other.ordinal for other in bad if self._plan.cells[other.ordinal].node == cell.node]
        return beside if beside and self._plan.node_of(cell).fail_fast else [other.ordinal for other in bad]

    def _condition_values(self, cell: Cell, node: Node) -> list[str]:
        """Return the values of the names in a job's `if`, as far as the run's record has them."""
        try:
            references = parse(node.condition or "").references()
        except ExprSyntaxError:
            return []
        found: dict[str, None] = {}
        params = self._plan.params_of(node)
        for reference in references:
            match reference.path:
                case ("params", str(name), *_) if name in params:
                    found[f"params.{name} = {to_text(params[name])}"] = None
                case ("matrix", str(name), *_) if cell.matrix is not None and name in cell.matrix:
                    found[f"matrix.{name} = {to_text(cell.matrix[name])}"] = None
                case ("jobs", str(name), "status", *_):
                    target = self._plan.targets().get(node.scope + name)
                    end = None if target is None else self._ends[target]
                    if end is not None:
                        found[f"jobs.{name}.status = {end.status}"] = None
                case _:
                    continue
        return list(found)

    # -- the graph ------------------------------------------------------------------------------------------------------------

    def _all_ends(self) -> list[graph_rules.End | None]:
        """Return how each cell ended, None while it has not. A record that has expired counts as finished."""
        ends: list[graph_rules.End | None] = [None] * len(self._plan.cells)
        for cell in order(self._plan):
            if cell.group:
                members = [ends[edge.parent] for edge in cell.parents]
                known = [end for end in members if end is not None]
                ends[cell.ordinal] = graph_rules.group_end(known) if len(known) == len(members) else None
            elif (job := self._jobs.get(cell.ordinal)) is not None:
                status = JobStatus.FINISHED if job.status is None else job.status
                ends[cell.ordinal] = graph_rules.End(status, allowed=job.allowed) if status in ENDED else None
        return ends

    def _breaks(self, edge: Edge) -> bool:
        end = self._ends[edge.parent]
        return end is not None and not graph_rules.holds(end, edge.condition)

    def _before(self, ordinal: int) -> list[int]:
        cell = self._plan.cells[ordinal]
        return (self._group(cell) if cell.group else self._job(cell))[2]

    def _end_of_chain(self, ordinal: int) -> tuple[list[int], int]:
        """Follow the first causes to the last one; return it and the number of steps to it. Parents come first: it ends."""
        steps = 0
        while before := self._before(ordinal):
            ordinal = before[0]
            steps += 1
        return [ordinal], steps

    def _name(self, edge: Edge) -> str:
        return self._plan.cells[edge.parent].label


def _ended_at(job: JobView) -> int:
    return job.ended_ms or 0


def _ended_word(end: graph_rules.End) -> str:
    if end.mixed:
        return "had cells that were skipped"
    if end.status is JobStatus.FAILED and end.allowed:
        return "failed, but is allowed to"
    return {JobStatus.FINISHED: "finished", JobStatus.FAILED: "failed"}.get(end.status, f"was {end.status}")
