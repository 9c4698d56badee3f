"""A run over time: when and where each job ran, what it waited for, and the jobs that decided the run's duration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowq.flows.forecast.duration import critical_path
from flowq.flows.render.timeline import SHARED, Activity, Phase, phases
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Plan
from flowq.plan.foreach import order
from flowq.states import JobStatus, Reason
from flowq.store.schema.records import Event

_RANK = {"": 0, "exit": 2}  # by the phase of a job: the handlers for an outcome are in between
_DECIDED = frozenset({JobStatus.FINISHED, JobStatus.FAILED})  # of an approval


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a job's time. Seconds since the start of the run."""

    activity: Activity
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Bar:
    """The last execution of a job, or the wait for the decision of an approval. Seconds since the start of the run.

    `waited` is from the end of its last parent. `before` is what that time was taken by: waits, and earlier executions. `needed` is the
    time that no number of workers makes shorter.
    """

    job: JobView
    begin: float
    end: float
    waited: float
    critical: bool
    before: tuple[Stretch, ...] = ()
    needed: float = 0.0


def bars(plan: Plan, run: RunView, events: Sequence[Event] = ()) -> list[Bar]:
    """Return the executed jobs of a run and its approvals, in the order of their starts; those on the critical path are marked.

    The critical path is the chain of dependent jobs that took longest as measured: no number of workers would have made the run
    quicker than it. Without `events` of the run, all waits count as waits for a worker.
    """
    chart = _Chart(plan, run, phases(plan, events))
    found = [chart.bar(ordinal) for ordinal in chart.shown]
    return sorted(found, key=lambda bar: (bar.begin, bar.job.ordinal))


class _Chart:
    """The times of one run: when each job was ready, began its last execution and ended (ms)."""

    def __init__(self, plan: Plan, run: RunView, taken: Mapping[int, Sequence[Phase]]) -> None:
        self._now = run.now_ms
        self._taken = taken
        self._jobs = {job.ordinal: job for job in run.jobs}
        executed = [job.started_ms for job in run.jobs if job.started_ms is not None]
        executed += [
            phase.begin_ms for ordinal in self._jobs for phase in taken.get(ordinal, ()) if phase.activity is Activity.EXECUTION
        ]
        self._zero = min(executed, default=run.started_ms or run.created_ms)
        self._ready: dict[int, int] = {}
        self._begun: dict[int, int] = {}
        ends: dict[int, int] = {}
        for cell in order(plan):
            ready = max((ends[edge.parent] for edge in cell.parents), default=self._begin_of(cell.phase))
            ends[cell.ordinal] = self._place(cell.ordinal, ready, run)
        self.shown = tuple(sorted(self._begun))
        self._needed = [self._seconds_needed(cell.ordinal) for cell in plan.cells]
        self._critical = frozenset(critical_path(plan, self._needed)) if self.shown else frozenset()

    def bar(self, ordinal: int) -> Bar:
        """Return the bar of a job that is shown."""
        job, begin = self._jobs[ordinal], self._begun[ordinal]
        needed = self._needed[ordinal]
        return Bar(
            job=job,
            begin=self._since(begin),
            end=self._since(job.ended_ms or self._now),
            waited=max(0, begin - self._ready[ordinal]) / 1000,
            critical=ordinal in self._critical and needed > 0,
            before=tuple(self._before(ordinal)),
            needed=needed,
        )

    def _begin_of(self, phase: str) -> int:
        """Return when jobs without dependencies were ready: at the start, handlers when all that have their turn before had ended."""
        rank = _RANK.get(phase, 1)
        return max((job.ended_ms or 0 for job in self._jobs.values() if _RANK.get(job.phase, 1) < rank), default=self._zero)

    def _place(self, ordinal: int, ready: int, run: RunView) -> int:
        """Record when a job was ready and began; return when it had ended, with its parents if it has not."""
        job = self._jobs.get(ordinal)
        self._ready[ordinal] = ready
        if job is None:
            return ready
        if job.started_ms is not None:
            self._begun[ordinal] = job.started_ms
        elif job.approval is not None and (job.reason == Reason.APPROVAL or job.status in _DECIDED):
            self._begun[ordinal] = max(ready, run.started_ms or ready)
        return max(ready, job.ended_ms) if job.ended_ms is not None else ready

    def _before(self, ordinal: int) -> list[Stretch]:
        """Return the waits and executions between the end of the last parent and the last execution."""
        first, last = self._ready[ordinal], self._begun[ordinal]
        known = self._taken.get(ordinal) or [Phase(Activity.WORKER, first, last)]
        cut = ((item.activity, max(first, item.begin_ms), min(last, item.end_ms or last)) for item in known)
        return [Stretch(activity, self._since(begin), self._since(end)) for activity, begin, end in cut if begin < end]

    def _seconds_needed(self, ordinal: int) -> float:
        if ordinal not in self._begun:
            return 0.0
        job = self._jobs[ordinal]
        last = ((job.ended_ms or self._now) - self._begun[ordinal]) / 1000
        return last + sum(item.end - item.begin for item in self._before(ordinal) if item.activity not in SHARED)

    def _since(self, moment: int) -> float:
        return (moment - self._zero) / 1000
