"""The phases of each job of a run (executed, or waited, and what for), from the run's events."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from flowq.flows.views.run_view import ordinal_of
from flowq.plan import Node, Plan
from flowq.states import ENDED, JobStatus
from flowq.store.schema.records import Event


class Activity(StrEnum):
    """The kinds of a job's phases after its dependencies have been decided."""

    EXECUTION = "execution"
    WORKER = "worker"  # queued: no slot was free
    DELAY = "delay"
    RETRY = "retry"  # the delay before another attempt
    MAX_PARALLEL = "max_parallel"
    CONCURRENCY = "concurrency"
    RATE_LIMIT = "rate_limit"
    APPROVAL = "approval"


SHARED = frozenset({Activity.WORKER, Activity.MAX_PARALLEL, Activity.CONCURRENCY, Activity.RATE_LIMIT})
"""Waits that other jobs cause: they are no part of the critical path."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One stretch of a job's time, in ms since the epoch; `end_ms` is None while it lasts."""

    activity: Activity
    begin_ms: int
    end_ms: int | None


def phases(plan: Plan, events: Iterable[Event]) -> Mapping[int, list[Phase]]:
    """Return the phases of each job in the latest attempt of the run, by ordinal, one after the other.

    The first one of a job that waits for others begins at any time before: cut it at the end of its dependencies.
    """
    found: dict[int, list[Phase]] = {}
    for event in events:
        ordinal = ordinal_of(event.job)
        if ordinal is None or ordinal >= len(plan.cells):
            continue
        mine, node = found.setdefault(ordinal, []), plan.node_of(plan.cells[ordinal])
        if event.old in ENDED or event.old == "-":
            mine.clear()
        elif mine and mine[-1].end_ms is None:
            mine[-1] = Phase(mine[-1].activity, mine[-1].begin_ms, event.at_ms)
        elif not mine and event.old == JobStatus.DEFERRED:  # since the run was submitted, or reset
            mine.append(Phase(_reason(node, None), 0, event.at_ms))
        activity = _activity(node, event)
        if activity is not None:
            mine.append(Phase(activity, event.at_ms, None))
    return found


def _activity(node: Node, event: Event) -> Activity | None:
    match event.new:
        case JobStatus.STARTED:
            return Activity.EXECUTION
        case JobStatus.QUEUED:
            return Activity.WORKER
        case JobStatus.SCHEDULED:
            return Activity.RETRY if event.attempt > 0 else Activity.DELAY
        case JobStatus.RATE_LIMITED:
            return Activity.RATE_LIMIT
        case JobStatus.DEFERRED:
            return _reason(node, event.reason)
        case _:
            return None


def _reason(node: Node, stated: str | None) -> Activity:
    """Return what a deferred job waits for, once it does not wait for other jobs."""
    if node.action.kind == "approval":
        return Activity.APPROVAL
    if stated in {Activity.MAX_PARALLEL, Activity.CONCURRENCY}:
        return Activity(stated)
    if node.concurrency is not None:
        return Activity.CONCURRENCY
    return Activity.WORKER if node.max_parallel is None else Activity.MAX_PARALLEL  # else: until a worker has released it
