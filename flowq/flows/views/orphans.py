"""Orphaned runs: local runs that have not ended and that no worker executes, because their command and its worker were killed.

"Orphaned" is computed by readers and never stored: with `flowq run --resume` the same run continues. A run that was submitted or retried just now is
not orphaned, and neither is one that only waits for the decision of a person. On a server of one's own no run is: there the workers
are not those of one run, and its jobs have the reason `no_worker`.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from flowq.exceptions import CorruptRecordError
from flowq.plan import Plan
from flowq.plan.foreach import foreach_groups
from flowq.states import ENDED, JobStatus, Reason
from flowq.store.schema.records import JobRecord, RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

_START_MS: Final = 2000  # in which the worker of a new run, or of a retry, begins
_BEFORE: Final = frozenset({JobStatus.CREATED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.SKIPPED})


def orphaned(store: "Store", runs: Iterable[str], damaged: dict[str, str] | None = None) -> list[str]:
    """Return those of these runs that are orphaned; of which that cannot be told, because a record cannot be read, is in `damaged`, by id."""
    unread = {} if damaged is None else damaged
    lost = without_worker(store, store.runs.readable(dict.fromkeys(runs), unread))
    return [run.id for run in lost if not _waits(store, run, unread)]


def without_worker(store: "Store", runs: Iterable[RunRecord]) -> list[RunRecord]:
    """Return the local runs that have not ended and have no worker, without those whose worker may not have begun yet."""
    open_runs = [run for run in runs if run.local and not run.ended]
    if not open_runs:
        return []
    served = {queue.partition("/")[0] for worker in store.workers.live() for queue in worker.queues if "/" in queue}
    unserved = [run for run in open_runs if run.id not in served]
    now_ms = store.now_ms() if unserved else 0
    return [run for run in unserved if not _is_starting(run, now_ms)]


def waits_for_a_person(jobs: Sequence[JobRecord | None]) -> bool:
    """Return whether an approval is all that a run waits for, from the records of its jobs."""
    still = [job for job in jobs if job is not None and job.status not in ENDED]
    return any(job.reason == Reason.APPROVAL for job in still) and all(job.status is JobStatus.DEFERRED for job in still)


def _waits(store: "Store", run: RunRecord, damaged: dict[str, str]) -> bool:
    try:
        return waits_for_a_person(_jobs(store, run))
    except CorruptRecordError as error:
        damaged[run.id] = str(error)
        return True


def _is_starting(run: RunRecord, now_ms: int) -> bool:
    if run.attempt > 1:  # jobs have ended before it
        return not run.counts.get(JobStatus.STARTED) and now_ms - (run.started_ms or 0) < _START_MS
    begun = any(count and status not in _BEFORE for status, count in run.counts.items())
    return not begun and now_ms - run.created_ms < _START_MS


def _jobs(store: "Store", run: RunRecord) -> list[JobRecord | None]:
    """Read the records of a run's jobs; none if a job of it could be executed, which is known without them."""
    if any(count and status not in ENDED and status is not JobStatus.DEFERRED for status, count in run.counts.items()):
        return []
    plan = Plan.from_json(store.runs.plan(run.id))
    members = store.runs.members(run.id, foreach_groups(plan))
    last = max((cells.stop for cells in members.values() if cells), default=len(plan.cells))
    return store.runs.jobs(run.id, range(last), {})
