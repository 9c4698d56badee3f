"""Run chosen jobs of an ended run again: they are reset whatever became of them, with or without what depends on them.

The counterpart of `flowq.flows.retry`, which chooses by what failed. What is not reset keeps its end and its result, and a reset job
is decided against those ends as it would have been the first time.
"""

from collections.abc import Collection, Mapping, Sequence

from flowq.exceptions import InvalidRunOperation
from flowq.flows import rules
from flowq.flows.retry import RetryPlan, after
from flowq.flows.views import visible_parents
from flowq.plan import Cell, Plan
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.records import JobRecord
from flowq.store.runs import ResetJob


def plan_rerun(store: Store, run: str, chosen: Collection[int], *, only: bool) -> RetryPlan:
    """Return what it means to run these jobs again.

    Args:
        store: where the run is.
        run: its id.
        chosen: ordinals of jobs.
        only: leave what depends on them as it is, even if it used their results.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or a chosen job's record has expired.
    """
    record = store.runs.require(run)
    if not record.ended:
        raise InvalidRunOperation(
            f"run {run} is {record.status}: only a run that has ended can be retried (`flowq cancel {run}` ends it)"
        )
    plan = Plan.from_json(store.runs.plan(run))
    records = store.runs.jobs(run, range(len(plan.cells)))
    for ordinal in chosen:
        if not plan.cells[ordinal].selected:
            name = plan.cells[ordinal].name
            raise InvalidRunOperation(f"{name!r} was not selected in run {run}: `flowq run --again {run} --job {name}` runs it")
        if records[ordinal] is None:
            raise InvalidRunOperation(f"{plan.cells[ordinal].name!r} of run {run} cannot run again: its record has expired")
    why = _reasons(plan, frozenset(chosen), only=only)
    ends = _ends(plan, records)
    names = tuple(
        (plan.cells[ordinal].name, reason)
        for ordinal, reason in why.items()
        if not (plan.cells[ordinal].group or plan.cells[ordinal].hidden)
    )
    return RetryPlan(run, record.attempt, names, tuple(_reset(plan.cells[ordinal], why, ends) for ordinal in why))


def _reasons(plan: Plan, chosen: frozenset[int], *, only: bool) -> dict[int, str]:
    """Return the cells that are reset with their reasons; the group of a chosen cell counts again in any case."""
    why: dict[int, str] = {}
    visible = visible_parents(plan)
    for cell in plan.cells:  # parents have smaller ordinals: one pass sees every parent before its children
        reason = after(plan, cell, why, visible)
        if cell.ordinal in chosen:
            why[cell.ordinal] = "chosen"
        elif reason is not None and (cell.group or not only):
            why[cell.ordinal] = reason
    return why


def _ends(plan: Plan, records: Sequence[JobRecord | None]) -> list[rules.End]:
    """Return how each cell has ended; a record that has expired had finished, or its run would not be this old."""
    ends: list[rules.End] = []
    for cell, record in zip(plan.cells, records, strict=True):
        if cell.group:
            ends.append(rules.group_end(ends[edge.parent] for edge in cell.parents))
        else:
            ends.append(
                rules.End(JobStatus.FINISHED if record is None else record.status, allowed=bool(record and record.allowed))
            )
    return ends


def _reset(cell: Cell, why: Mapping[int, str], ends: Sequence[rules.End]) -> ResetJob:
    staying = [ends[edge.parent] for edge in cell.parents if edge.parent not in why]
    pending = len(cell.parents) - len(staying)
    if cell.group:
        finished = sum(end.succeeded for end in staying)
        failed = sum(end.status in rules.FAILING and not end.succeeded for end in staying)
        skipped = sum(end.status is JobStatus.SKIPPED for end in staying)
        return ResetJob(cell.ordinal, pending, tally=(finished, failed, skipped, len(staying) - finished - failed - skipped))
    kept = [edge for edge in cell.parents if edge.parent not in why]
    broken = next((edge for edge in kept if not rules.holds(ends[edge.parent], edge.condition)), None)
    return ResetJob(cell.ordinal, pending, verdict="" if broken is None else str(rules.skip_reason(ends[broken.parent])))
