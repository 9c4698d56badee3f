"""The remaining time of a run in progress."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from flowq.flows.forecast.duration import expected_seconds, with_expected_cells
from flowq.flows.forecast.history import History
from flowq.flows.forecast.makespan import makespan
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.forecast.ranks import ranks
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Plan
from flowq.states import JobStatus

LARGEST: Final = 5000  # cells of a plan for which it is worked out while it runs


@dataclass(frozen=True, slots=True)
class Outlook:
    """The remaining time of a run on this many slots. `plan` is the flow's own, whatever cells the run's foreach jobs have."""

    plan: Plan
    history: History
    slots: int

    def left(self, run: RunView) -> float:
        """Return the seconds until the run will probably have ended."""
        jobs = {job.name: job for job in run.jobs}
        known = Counter(job.job for job in run.jobs if job.name != job.job)
        plan = with_expected_cells(self.plan, {**self.history.fan_out, **known})
        rest, delays = [0.0] * len(plan.cells), [0.0] * len(plan.cells)
        for cell, seconds in zip(plan.cells, expected_seconds(plan, predict_ends(self.plan), self.history), strict=True):
            job = jobs.get(cell.name) or jobs.get(plan.node_of(cell).name)  # a foreach is one job until it has cells
            if job is not None and not job.ended:
                rest[cell.ordinal] = max(0.0, (self.history.median if seconds is None else seconds) - (job.duration or 0.0))
                delays[cell.ordinal] = _delay_left(job, run.now_ms, plan.node_of(cell).delay or 0.0)
        return makespan(plan, rest, self.slots, self.history.overhead, delays=delays, ranks=ranks(plan, rest))


def _delay_left(job: JobView, now_ms: int, delay: float) -> float:
    """Return the seconds before a job is queued, without the wait for others. `delay`: of a job that has not been released."""
    if job.due_ms is not None:
        return max(0, job.due_ms - now_ms) / 1000
    return delay if job.status is JobStatus.DEFERRED else 0.0


def outlook(plan: Plan, history: History, slots: int) -> Outlook | None:
    """Return the outlook of a run that begins; None when nothing of the flow ever ran, or it is too large to be worked out often."""
    return Outlook(plan, history, slots) if history.cells and len(plan.cells) <= LARGEST else None
