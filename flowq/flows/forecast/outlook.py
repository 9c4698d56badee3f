"""The remaining time of a run in progress."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Final

from flowq.flows.forecast.duration import expected_seconds, with_expected_cells
from flowq.flows.forecast.history import History
from flowq.flows.forecast.makespan import makespan
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.forecast.ranks import ranks
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Plan
from flowq.states import JobStatus, Reason

LARGEST: Final = 5000  # cells of a plan for which it is worked out while it runs
_FEWEST: Final = 10  # cells of a job that have to end before the others are expected to be like them
_UNKNOWN: Final = 0.1  # share of the jobs to come of which nothing is known, above which a flow's first run has no estimate
_MOST: Final = 0.5  # s between two jobs of a slot; more has another cause


@dataclass(frozen=True, slots=True)
class Outlook:
    """The remaining time of a run on this many slots. `plan` is the flow's own, whatever cells the run's foreach jobs have."""

    plan: Plan
    history: History
    slots: int

    def left(self, run: RunView) -> float | None:
        """Return the seconds until the run will probably have ended; None where its jobs were not seen before and too few have ended."""
        jobs = {job.name: job for job in run.jobs}
        known = Counter(job.job for job in run.jobs if job.name != job.job)
        plan = with_expected_cells(self.plan, {**self.history.fan_out, **known})
        history = self.history if self.history.cells else replace(self.history, jobs=seen(run))
        overhead = self.history.overhead if self.history.cells else _overhead(run, self.slots)
        rest, delays = [0.0] * len(plan.cells), [0.0] * len(plan.cells)
        coming = unknown = 0
        for cell, seconds in zip(plan.cells, expected_seconds(plan, predict_ends(self.plan), history), strict=True):
            job = jobs.get(cell.name) or jobs.get(plan.node_of(cell).name)  # a foreach is one job until it has cells
            if job is not None and not job.ended:
                coming += 1
                unknown += seconds is None
                rest[cell.ordinal] = max(0.0, (history.median if seconds is None else seconds) - (job.duration or 0.0))
                delays[cell.ordinal] = _delay_left(job, run.now_ms, plan.node_of(cell).delay or 0.0)
        if not self.history.cells and unknown > coming * _UNKNOWN:
            return None
        return makespan(plan, rest, self.slots, overhead, delays=delays, ranks=ranks(plan, rest))


def seen(run: RunView) -> Mapping[str, float]:
    """Return the mean seconds of the cells of each matrix and foreach that have ended in this run, where they are enough.

    The mean, as their sum is asked for: of a few long cells among many short ones the median knows nothing.
    """
    taken: defaultdict[str, list[float]] = defaultdict(list)
    for job in run.jobs:
        ran = job.status in {JobStatus.FINISHED, JobStatus.FAILED} and job.reason != Reason.CACHED
        if ran and job.name != job.job and job.duration is not None:
            taken[job.job].append(job.duration)
    return {name: fmean(found) for name, found in taken.items() if len(found) >= _FEWEST}


def _overhead(run: RunView, slots: int) -> float:
    """Return the seconds between two jobs of a slot so far, as if all slots had been taken. Longer gaps, as of a run that was interrupted, are left out."""
    ran = sorted(
        (job.started_ms / 1000, job.started_ms / 1000 + job.duration)
        for job in run.jobs
        if job.started_ms is not None and job.duration is not None and job.reason != Reason.CACHED
    )
    busy, until = 0.0, ran[0][0] if ran else 0.0
    for start, end in ran:
        gap = max(0.0, start - until)
        busy += max(0.0, end - max(start, until)) + (gap if gap < _MOST else 0.0)
        until = max(until, end)
    taken = sum(end - start for start, end in ran)
    return min(_MOST, max(0.0, busy * slots - taken) / len(ran)) if ran else 0.0


def _delay_left(job: JobView, now_ms: int, delay: float) -> float:
    """Return the seconds before a job is queued, without the wait for others. `delay`: of a job that has not been released."""
    if job.due_ms is not None:
        return max(0, job.due_ms - now_ms) / 1000
    return delay if job.status is JobStatus.DEFERRED else 0.0


def outlook(plan: Plan, history: History, slots: int) -> Outlook | None:
    """Return the outlook of a run that begins; None when it is too large to be worked out often."""
    return Outlook(plan, history, slots) if len(plan.cells) <= LARGEST else None
