"""The retry of a run: which jobs are reset, and why. Linear in jobs and edges.

Reset are the jobs that failed, were stopped or canceled, those skipped because of such a job, and everything that depends on a
reset job, whatever the edge. Finished jobs that depend on none of them keep their results.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows import rules
from flowq.plan import Cell, Plan
from flowq.states import ENDED, JobStatus, Reason
from flowq.store import Store
from flowq.store.outcomes import Outcome
from flowq.store.records import JobRecord
from flowq.store.runs import ResetJob

_SEED_STATUSES = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
_SEED_REASONS = frozenset({Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.UPSTREAM_CANCELED})


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would do.

    `jobs` are the names of the jobs that would run again, each with the reason; `resets` is the same for the store.
    """

    run: str
    attempt: int
    jobs: tuple[tuple[str, str], ...]
    resets: tuple[ResetJob, ...]

    def apply(self, store: Store) -> int:
        """Carry the retry out, at one instant; return the run's new attempt.

        Raises:
            InvalidRunOperation: the run is running, or was retried by somebody else meanwhile.
        """
        outcome = store.runs.reset(self.run, ids.nonce(), self.attempt, self.resets)
        if outcome not in {Outcome.DONE, Outcome.DUPLICATE}:
            store.runs.refuse(self.run, outcome, "retry")
        return self.attempt + 1


def plan_retry(store: Store, run: str) -> RetryPlan:
    """Return what a retry of the failed jobs of a run would do.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or nothing of it failed.
    """
    record = store.runs.require(run)
    if not record.ended:
        raise InvalidRunOperation(
            f"run {run} is {record.status}: only a run that has ended can be retried (`flowq cancel {run}` ends it)"
        )
    plan = Plan.from_json(store.runs.plan(run))
    records = store.runs.jobs(run, range(len(plan.cells)))
    jobs, resets = select(plan, records)
    if not resets:
        raise InvalidRunOperation(f"nothing to retry in run {run}: no job of it failed or was canceled")
    return RetryPlan(run, record.attempt, jobs, resets)


def select(plan: Plan, records: Sequence[JobRecord | None]) -> tuple[tuple[tuple[str, str], ...], tuple[ResetJob, ...]]:
    """Return the reset jobs of an ended run, by name with the reason, and as the store takes them."""
    why: dict[int, str] = {}
    for cell in plan.cells:  # parents have smaller ordinals: one pass sees every parent before its children
        reason = _seed(records[cell.ordinal]) if not cell.group else None
        if reason is None:
            parent = next((edge.parent for edge in cell.parents if edge.parent in why), None)
            reason = None if parent is None else f"depends on {plan.cells[parent].name}"
        if reason is not None:
            why[cell.ordinal] = reason
    ends = _ends(plan, records)
    resets = tuple(_reset(plan.cells[ordinal], why, ends) for ordinal in why)
    names = tuple((plan.cells[ordinal].name, reason) for ordinal, reason in why.items() if not plan.cells[ordinal].group)
    return names, resets


def _seed(record: JobRecord | None) -> str | None:
    if record is None or record.status not in ENDED:
        return None
    if record.status in _SEED_STATUSES:
        return str(record.status)
    if record.status is JobStatus.SKIPPED and record.reason in _SEED_REASONS:
        return f"skipped ({record.reason})"
    return None


def _ends(plan: Plan, records: Sequence[JobRecord | None]) -> list[rules.End]:
    ends: list[rules.End] = []
    for cell in plan.cells:
        record = records[cell.ordinal]
        if cell.group:
            ends.append(rules.group_end(ends[edge.parent] for edge in cell.parents))
        else:
            ends.append(rules.End(record.status if record else JobStatus.CANCELED, allowed=bool(record and record.allowed)))
    return ends


def _reset(cell: Cell, why: dict[int, str], ends: list[rules.End]) -> ResetJob:
    staying = [edge for edge in cell.parents if edge.parent not in why]
    pending = len(cell.parents) - len(staying)
    if cell.group:
        kept = [ends[edge.parent] for edge in staying]
        finished = sum(end.succeeded for end in kept)
        failed = sum(end.status in rules.FAILING and not end.succeeded for end in kept)
        skipped = sum(end.status is JobStatus.SKIPPED for end in kept)
        return ResetJob(cell.ordinal, pending, tally=(finished, failed, skipped, len(kept) - finished - failed - skipped))
    broken = next((edge for edge in staying if not rules.holds(ends[edge.parent], edge.condition)), None)
    return ResetJob(cell.ordinal, pending, verdict="" if broken is None else str(rules.skip_reason(ends[broken.parent])))
