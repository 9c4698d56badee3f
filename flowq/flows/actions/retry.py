"""The jobs that a retry starts from: failed jobs (`plan_retry`), or chosen jobs however they ended (`plan_rerun`).

`flowq.flows.actions.reset` adds the jobs that depend on them.

Reset are the jobs that failed, were stopped or canceled, and those skipped because of one that is reset or by `fail_fast`. A failure that was
allowed is tried again too, but only where no finished work is repeated by it: a job that went on after an allowed failure has taken
it as a success, and so it, and all below it, would have to run again although nothing was wrong with them.
"""

from collections.abc import Collection
from typing import Final

from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.reset import EndedRun, ResetSelection, RetryPlan, read_ended
from flowq.plan import Cell, Plan
from flowq.plan.foreach import order
from flowq.states import ENDED, UPSTREAM, JobStatus, Reason
from flowq.store import Store
from flowq.store.schema.records import JobRecord

_STATUSES: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
_REASONS: Final = frozenset({Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.UPSTREAM_CANCELED, Reason.FAIL_FAST})
_ALLOWED: Final = "failed (allowed)"


def plan_retry(store: Store, run: str, fresh: Plan | None = None) -> RetryPlan:
    """Return the retry of the failed jobs of a run.

    Args:
        store: where the run is.
        run: its id.
        fresh: the plan of the present text of its flow, from which the jobs that run again get their definitions.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or nothing of it failed.
    """
    ended = read_ended(store, run, fresh)
    seeds = seeds_of(ended) | ended.changed
    retry = ended.retry(seeds, passive=_passive(ended, seeds))
    if not retry.resets:
        raise InvalidRunOperation(f"nothing to retry in run {run}: {_why_nothing(ended)}")
    return retry


def plan_rerun(store: Store, run: str, chosen: Collection[int], *, only: bool, fresh: Plan | None = None) -> RetryPlan:
    """Return the retry that runs these jobs again.

    Args:
        store: where the run is.
        run: its id.
        chosen: ordinals of jobs, also of cells that a foreach has made.
        only: leave what depends on them as it is, even if it used their results.
        fresh: as of `plan_retry`.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or a chosen job's record has expired.
    """
    ended = read_ended(store, run, fresh)
    for ordinal in chosen:
        if not ended.plan.cells[ordinal].selected:
            name = ended.plan.cells[ordinal].name
            raise InvalidRunOperation(f"{name!r} was not selected in run {run}: `flowq run --again {run} --job {name}` runs it")
        if ended.records[ordinal] is None:
            name = ended.plan.cells[ordinal].name
            raise InvalidRunOperation(f"{name!r} of run {run} cannot run again: its record has expired")
    # A user who names a job wants it to run; dependents need not run if their inputs have not changed.
    return ended.retry(ended.changed | dict.fromkeys(sorted(chosen), "chosen"), only=only).without_cache(chosen)


def seeds_of(run: EndedRun) -> dict[int, str]:
    """Return the jobs that a retry starts from, by ordinal, each with the reason."""
    seeds = {
        cell.ordinal: reason
        for cell in run.plan.jobs()
        if not cell.phase and (reason := _seed(run.records[cell.ordinal])) is not None
    }
    if _ALLOWED not in seeds.values():
        return seeds
    firm = {ordinal: reason for ordinal, reason in seeds.items() if reason != _ALLOWED}
    kept = _above_kept_work(run, ResetSelection(run, firm, passive=_passive(run, firm)).why)
    return {ordinal: reason for ordinal, reason in seeds.items() if reason != _ALLOWED or ordinal not in kept}


def _passive(run: EndedRun, seeds: Collection[int]) -> set[int]:
    """Return those that were skipped because of another job: below one that an `if` skipped they would be again, and change nothing."""
    return {ordinal for ordinal in seeds if (record := run.records[ordinal]) is not None and record.reason in UPSTREAM}


def _seed(record: JobRecord | None) -> str | None:
    if record is None or record.status not in ENDED:
        return None
    if record.status in _STATUSES:
        return _ALLOWED if record.allowed else str(record.status)
    if record.status is JobStatus.SKIPPED and record.reason in _REASONS:
        return f"skipped ({record.reason})"
    return None


def _above_kept_work(run: EndedRun, reset: dict[int, str]) -> set[int]:
    """Return the cells with finished work below them, in any distance, that stays as it is when `reset` is reset."""
    above: set[int] = set()
    for cell in reversed(list(order(run.plan))):  # children first
        if cell.ordinal in above or _is_kept_work(run, cell, reset):
            edges = (*cell.parents, *(run.stored.cells[cell.ordinal].parents if cell.ordinal in run.expanded else ()))
            above.update(edge.parent for edge in edges)
    return above


def _is_kept_work(run: EndedRun, cell: Cell, reset: dict[int, str]) -> bool:
    record = run.records[cell.ordinal]
    if cell.group or cell.ordinal in reset or record is None:
        return False
    return record.status is JobStatus.FINISHED and run.plan.node_of(cell).action.kind != "join"


def _why_nothing(run: EndedRun) -> str:
    if run.turned_away:
        return f"it was skipped, because run {run.turned_away_by} held its concurrency group; `flowq run --again {run.id}` starts it as a new run"
    graph = (run.records[cell.ordinal] for cell in run.plan.jobs() if not cell.phase)
    if any(record is not None and record.allowed for record in graph):
        return (
            "what failed was allowed to, and finished jobs depend on it; `flowq retry RUN --job NAME` runs it again with them"
        )
    return "no job of it failed or was canceled"
