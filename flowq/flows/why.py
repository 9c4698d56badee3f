"""Why a job is as it is: the chain of causes, from the job that was asked for down to where something can be done about it.

A chain is computed from one read of the run, by the same rules as the engine (`flowq.flows.rules`): nothing of it is stored.
A waiting job leads to what it waits for, a skipped one to the edge that did not hold, a queued one to the workers, a failed one
to its error. Chains stay short enough to be read: long ones skip to their end and say how many steps they left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from flowq.durations import format_duration
from flowq.expr import ExprSyntaxError, parse, to_text
from flowq.flows import rules
from flowq.flows.failures import attempts, failure
from flowq.flows.submit import queue_of
from flowq.flows.surroundings import Surroundings
from flowq.flows.views import JobView, RunView
from flowq.grown import cell_at, order
from flowq.plan import Cell, Edge, Json, Node, Plan
from flowq.states import ENDED, RUN_ENDED, Condition, JobStatus, Reason

_DEPTH: Final = 8  # steps shown of one chain before it skips to its end
_BREADTH: Final = 3  # causes shown of one job
_TOTAL: Final = 40  # causes shown at all

_UPSTREAM: Final = frozenset(
    {Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.UPSTREAM_CANCELED, Reason.UPSTREAM_FINISHED}
)
_ASKS: Final = {
    Condition.SUCCESS: "to succeed",
    Condition.OK: "to succeed or be skipped",
    Condition.FAILURE: "to fail",
    Condition.SKIPPED: "to be skipped",
    Condition.DONE: "to end",
}
_CANCELED: Final[Mapping[str, str]] = {
    Reason.RUN_CANCELED: "the run was canceled",
    Reason.FAIL_FAST: "another job failed, and `fail_fast` ends the others",
    Reason.CONCURRENCY: "the run's concurrency group was taken, and its `on_conflict` is `fail`",
}
_SKIPPED: Final[Mapping[str, str]] = {
    Reason.NOT_SELECTED: "the run's outcome is not the one that this handler is for",
    Reason.FAIL_FAST: "another job failed before it was started, and `fail_fast` ends the others",
    Reason.CONCURRENCY: "the run's concurrency group was taken, and its `on_conflict` is `skip`",
}
_URGENCY: Final = (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.STARTED, JobStatus.DEFERRED)


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
    line: int
    details: tuple[str, ...] = ()
    causes: tuple["Cause", ...] = ()
    more: int = 0
    skipped: int = 0

    def leaves(self) -> list["Cause"]:
        """Return the ends of the chains, where something can be done."""
        return [leaf for cause in self.causes for leaf in cause.leaves()] if self.causes else [self]


def explain(plan: Plan, run: RunView, ordinal: int, around: Surroundings) -> Cause:
    """Return why a job is as it is.

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
        "line": cause.line,
        "details": list(cause.details),
        "skipped": cause.skipped,
        "more": cause.more,
        "causes": [cause_json(item) for item in cause.causes],
    }


class _Explanation:
    def __init__(self, plan: Plan, run: RunView, around: Surroundings) -> None:
        self._plan = plan
        self._run = run
        self._around = around
        self._jobs = {job.ordinal: job for job in run.jobs}
        self._ends = self._all_ends()
        self._left = _TOTAL

    def of(self, ordinal: int, depth: int) -> Cause:
        """Return the chain from this cell on."""
        self._left -= 1
        cell = self._plan.cells[ordinal]
        text, details, before = self._group(cell) if cell.group else self._job(cell)
        skipped = 0
        if depth >= _DEPTH and before:
            before, skipped = self._end_of_chain(before[0])
        causes = [self.of(parent, depth + 1) for parent in before[:_BREADTH] if self._left > 0]
        job = self._jobs.get(ordinal)
        end = self._ends[ordinal]
        return Cause(
            name=cell.name,
            ordinal=ordinal,
            status=end.status if job is None and end is not None else job.status if job is not None else JobStatus.DEFERRED,
            reason=None if job is None else job.reason,
            text=text,
            line=self._plan.node_of(cell).line,
            details=tuple(details),
            causes=tuple(causes),
            more=len(before) - len(causes),
            skipped=skipped,
        )

    # -- what a cell comes from: a sentence, more facts, and the ordinals of its causes --------------------------------------

    def _job(self, cell: Cell) -> tuple[str, list[str], list[int]]:
        job, node = self._jobs[cell.ordinal], self._plan.node_of(cell)
        match job.status:
            case None:
                return "its record has expired: its result_ttl or failure_ttl has passed", [], []
            case JobStatus.DEFERRED:
                return self._waiting(cell, node)
            case JobStatus.SCHEDULED:
                return self._scheduled(job)
            case JobStatus.QUEUED:
                return self._queued(job)
            case JobStatus.STARTED:
                return self._started(job, node)
            case JobStatus.SKIPPED:
                return self._skipped(cell, job, node)
            case JobStatus.FAILED | JobStatus.STOPPED:
                return (*failure(job, node), [])
            case JobStatus.CANCELED:
                why = _CANCELED.get(job.reason or "", "somebody canceled this job")
                return why, ["it was running" if job.attempts else "it had not been started"], []
            case _:
                return "finished", attempts(job), []

    def _group(self, cell: Cell) -> tuple[str, list[str], list[int]]:
        """A matrix as a whole: the cells that matter."""
        cells = [self._jobs[edge.parent] for edge in cell.parents if edge.parent in self._jobs]
        bad = [job for job in cells if job.bad]
        open_cells = [job for job in cells if not job.ended]
        some = bad or open_cells or [job for job in cells if job.status in {JobStatus.CANCELED, JobStatus.SKIPPED}]
        what = "failed" if bad else "have not ended" if open_cells else "did not finish"
        text = f"{len(some)} of {len(cells)} cells {what}" if some else "all cells finished" if cells else "it has no cells"
        return text, [], [job.ordinal for job in sorted(some, key=_urgency)]

    def _waiting(self, cell: Cell, node: Node) -> tuple[str, list[str], list[int]]:
        if self._run.semaphore is not None:
            name = self._run.semaphore.removeprefix("run/")
            return f"the run waits for its turn in the concurrency group {name}", self._holders([self._run.semaphore]), []
        job = self._jobs[cell.ordinal]
        if job.reason == Reason.APPROVAL:
            asks = f": {job.approval.message}" if job.approval is not None and job.approval.message else ""
            return f"waits for somebody's approval{asks}", [f"flowq approve {self._run.id} {cell.name} [--reject]"], []
        if job.reason in {Reason.CONCURRENCY, Reason.MAX_PARALLEL}:
            what = (
                f"{node.max_parallel} cells of {node.name} are"
                if job.reason == Reason.MAX_PARALLEL
                else "its concurrency group is"
            )
            return (
                f"waits: {what} {'running' if job.reason == Reason.MAX_PARALLEL else 'full'}",
                self._holders(job.semaphores),
                [],
            )
        if cell.phase and self._run.status not in RUN_ENDED and not self._graph_ended():
            return "a handler: it waits for the end of the run's other jobs", [], []
        missing = [edge for edge in cell.parents if self._ends[edge.parent] is None]
        if missing:
            details = [f"it needs {self._name(edge)} {_ASKS[Condition(edge.condition)]}" for edge in missing[:_BREADTH]]
            missing.sort(key=lambda edge: self._urgency(edge.parent))
            count = f"{len(missing)} of {len(cell.parents)} jobs" if len(cell.parents) > 1 else self._name(missing[0])
            return f"waits for {count}", details, [edge.parent for edge in missing]
        if node.condition is None:
            return "its dependencies have just been decided: the next sweep of a worker releases it", [], []
        served = any(worker.state != "stopping" for worker in self._around.workers)
        who = "a worker decides it in a moment" if served else "no worker is there to decide it"
        return f"its `if: {node.condition}` is to be decided; {who}", [], []

    def _holders(self, semaphores: Sequence[str]) -> list[str]:
        """Return a sentence per semaphore about who holds it."""
        return [
            f"{name.partition('/')[2]} is held by {', '.join(self._job_name(job) for job in held[:_BREADTH])}"
            + (f" and {len(held) - _BREADTH} more" if len(held) > _BREADTH else "")
            for name in semaphores
            if (held := self._around.holders.get(name, ()))
        ]

    def _job_name(self, job: str) -> str:
        run, _, ordinal = job.rpartition("-")
        cell = cell_at(self._plan, int(ordinal)) if run == self._run.id else None
        return job if cell is None else cell.name

    def _graph_ended(self) -> bool:
        return all(self._ends[cell.ordinal] is not None for cell in self._plan.cells if not cell.phase)

    def _scheduled(self, job: JobView) -> tuple[str, list[str], list[int]]:
        wait = "" if job.due_ms is None else f" in {max(0, job.due_ms - self._run.now_ms) / 1000:.1f} s"
        if job.reason != Reason.RETRY:
            return f"its delay has not passed: it is queued{wait}", [], []
        details = [f"attempt {job.attempts} failed: {job.error_line}"] if job.error_line else []
        return f"waits to be tried again: attempt {job.attempts + 1} of {job.max_attempts} is queued{wait}", details, []

    def _queued(self, job: JobView) -> tuple[str, list[str], list[int]]:
        queue = queue_of(job.queue, self._run.id, local=self._run.local)
        workers = [worker for worker in self._around.workers if queue in worker.queues]
        if not workers:
            if self._run.local:
                return "nobody works on this run now: the command that started it is gone", [], []
            return f"no worker listens on queue {job.queue}", self._others(), []
        if self._around.suspended:
            return "the workers are suspended: none of them starts a job", [], []
        slots, busy = sum(worker.slots for worker in workers), sum(worker.busy for worker in workers)
        before = self._around.positions.get(job.ordinal)
        place = "" if before is None else "next" if before == 0 else f"behind {before} other{'s' if before > 1 else ''}"
        text = f"waits in queue {job.queue}" + (f", {place}" if place else "")
        return text, [f"{_count(len(workers), 'worker')} with {_count(slots, 'slot')}, {busy} busy"], []

    def _others(self) -> list[str]:
        served = sorted({queue for worker in self._around.workers for queue in worker.queues})
        return [f"workers that are there listen on: {', '.join(served)}"] if served else ["no worker is there at all"]

    def _started(self, job: JobView, node: Node) -> tuple[str, list[str], list[int]]:
        since = "" if job.duration is None else f" for {job.duration:.1f} s"
        details = [f"on worker {job.worker}"] if job.worker else []
        if node.timeout is not None:
            details.append(f"one attempt may take {format_duration(node.timeout)}")
        return f"it is running{since}", [*details, *attempts(job)], []

    def _skipped(self, cell: Cell, job: JobView, node: Node) -> tuple[str, list[str], list[int]]:
        if job.reason == Reason.IF_FALSE:
            return f"its `if: {node.condition}` was false", self._condition_values(cell, node), []
        if not cell.selected:
            asked = "the run is of a part of the flow, and this job is not in it"
            return "it was not selected", [asked], []
        if job.reason not in _UPSTREAM:
            return _SKIPPED.get(job.reason or "", (job.reason or "skipped").replace("_", " ")), [], []
        broken = [edge for edge in cell.parents if self._breaks(edge)]
        if not broken:  # the parents have been run again since, or their records have expired
            return job.reason.replace("_", " "), [], []
        edge = broken[0]
        end = self._ends[edge.parent]
        ended = "ended" if end is None else _ended_word(end)
        text = f"it needs {self._name(edge)} {_ASKS[Condition(edge.condition)]}, which {ended}"
        return text, [], [item.parent for item in broken]

    def _condition_values(self, cell: Cell, node: Node) -> list[str]:
        """Return what the names in a job's `if` stood for, as far as the run's record tells."""
        try:
            references = parse(node.condition or "").references()
        except ExprSyntaxError:
            return []
        found: dict[str, None] = {}
        for reference in references:
            match reference.path:
                case ("params", str(name), *_) if name in self._run.params:
                    found[f"params.{name} = {to_text(self._run.params[name])}"] = None
                case ("matrix", str(name), *_) if cell.matrix is not None and name in cell.matrix:
                    found[f"matrix.{name} = {to_text(cell.matrix[name])}"] = None
                case ("jobs", str(name), "status", *_):
                    target = self._plan.targets().get(name)
                    end = None if target is None else self._ends[target]
                    if end is not None:
                        found[f"jobs.{name}.status = {end.status}"] = None
                case _:
                    continue
        return list(found)

    # -- the graph ------------------------------------------------------------------------------------------------------------

    def _all_ends(self) -> list[rules.End | None]:
        """Return how each cell ended, None while it has not. A record that has expired counts as finished."""
        ends: list[rules.End | None] = [None] * len(self._plan.cells)
        for cell in order(self._plan):
            if cell.group:
                members = [ends[edge.parent] for edge in cell.parents]
                known = [end for end in members if end is not None]
                ends[cell.ordinal] = rules.group_end(known) if len(known) == len(members) else None
            elif (job := self._jobs.get(cell.ordinal)) is not None:
                status = JobStatus.FINISHED if job.status is None else job.status
                ends[cell.ordinal] = rules.End(status, allowed=job.allowed) if status in ENDED else None
            else:  # the gate of a sub-flow, which no view has: it has ended with what it waits for
                behind = [ends[edge.parent] for edge in cell.parents]
                held = all(
                    end is not None and rules.holds(end, edge.condition) for end, edge in zip(behind, cell.parents, strict=True)
                )
                ends[cell.ordinal] = None if None in behind else rules.End(JobStatus.FINISHED if held else JobStatus.SKIPPED)
        return ends

    def _breaks(self, edge: Edge) -> bool:
        end = self._ends[edge.parent]
        return end is not None and not rules.holds(end, edge.condition)

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

    def _urgency(self, ordinal: int) -> int:
        job = self._jobs.get(ordinal)
        if job is not None:
            return _urgency(job)
        cells = [self._jobs[edge.parent] for edge in self._plan.cells[ordinal].parents if edge.parent in self._jobs]
        return min(map(_urgency, cells), default=0)

    def _name(self, edge: Edge) -> str:
        return self._plan.cells[edge.parent].name


def _urgency(job: JobView) -> int:
    """Return a rank: what nothing moves without help comes first, then what is nearest to its end."""
    if job.reason in {Reason.NO_WORKER, Reason.SUSPENDED}:
        return 0
    return 1 + _URGENCY.index(job.status) if job.status in _URGENCY else 1


def _ended_word(end: rules.End) -> str:
    if end.mixed:
        return "had cells that were skipped"
    if end.status is JobStatus.FAILED and end.allowed:
        return "failed, but is allowed to"
    return {JobStatus.FINISHED: "finished", JobStatus.FAILED: "failed"}.get(end.status, f"was {end.status}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
