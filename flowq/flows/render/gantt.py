"""A run against time: which job ran when, on which worker, and which jobs decided how long it took."""

from dataclasses import dataclass

from flowq.flows.forecast.duration import critical_path
from flowq.flows.views.run_view import JobView, RunView
from flowq.plan import Plan
from flowq.plan.foreach import order


@dataclass(frozen=True, slots=True)
class Bar:
    """The last execution of a job. Seconds since the start of the run; `waited` is from the end of its last parent."""

    job: JobView
    begin: float
    end: float
    waited: float
    critical: bool


def bars(plan: Plan, run: RunView) -> list[Bar]:
    """Return the executed jobs of a run, in the order of their starts; those on the critical path are marked.

    The critical path is the chain of dependent jobs that took longest as measured: no number of workers would have made the run
    quicker than it.
    """
    executed = {job.ordinal: job for job in run.jobs if job.started_ms is not None}
    if not executed:
        return []
    seconds = [executed[cell.ordinal].duration or 0.0 if cell.ordinal in executed else 0.0 for cell in plan.cells]
    critical = frozenset(critical_path(plan, seconds))
    zero = min(job.started_ms or 0 for job in executed.values())
    ends = _ends(plan, executed, zero)
    found = [
        Bar(
            job=job,
            begin=((job.started_ms or 0) - zero) / 1000,
            end=((job.ended_ms or run.now_ms) - zero) / 1000,
            waited=max(
                0, (job.started_ms or 0) - max((ends[edge.parent] for edge in plan.cells[ordinal].parents), default=zero)
            )
            / 1000,
            critical=ordinal in critical and seconds[ordinal] > 0,
        )
        for ordinal, job in executed.items()
    ]
    return sorted(found, key=lambda bar: (bar.begin, bar.job.ordinal))


def _ends(plan: Plan, executed: dict[int, JobView], zero: int) -> dict[int, int]:
    """Return for each cell when it had ended (ms); one that was not executed ended with its parents."""
    ends: dict[int, int] = {}
    for cell in order(plan):
        job = executed.get(cell.ordinal)
        before = max((ends[edge.parent] for edge in cell.parents), default=zero)
        ends[cell.ordinal] = before if job is None or job.ended_ms is None else job.ended_ms
    return ends
