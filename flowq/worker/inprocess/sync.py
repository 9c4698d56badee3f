"""Executing plain jobs in the process that asks for it: sync mode (`Queue(is_async=False)`) and `SimpleWorker`.

It is the path of every job, only shorter: the same claim, the same task, the same `calls.execute`, the same report. There is no
horse, so a job can take the process down, and what it prints is not captured.
"""

import os
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from flowq.durations import NEVER
from flowq.exceptions import SignatureError
from flowq.jobs import context
from flowq.states import JobStatus
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Claim, Outcome
from flowq.timeouts import TimerDeathPenalty
from flowq.worker.horse import function, plain
from flowq.worker.ipc.messages import failed, finished
from flowq.worker.supervisor.active_job import ActiveJob
from flowq.worker.supervisor.ends import Ended
from flowq.worker.supervisor.plain_jobs import plain_task, timeout_of, unreadable
from flowq.worker.webhooks.delivery import deliver_here

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.options import WorkerOptions

_SPARE: Final = 60.0  # s of lease above the job's timeout: no heartbeat renews it
_FOREVER: Final = 100 * 86400.0  # s of lease of a job without a timeout
SYNC: Final = "sync"  # field of jobs that were made in sync mode: their successors are executed in the same process


def create_and_execute(store: "Store", new: NewJob, penalty_class: Any = None, job_class: Any = None) -> tuple[Outcome, str]:
    """Create a job, execute it if it is ready, then execute those of its successors that were made in sync mode too.

    Retries and repetitions follow at once, without their intervals: the caller waits. What an `on_failure` raises is raised in the end,
    as in RQ: the failure of a job is in its record, but no worker logs that of its callback.

    Returns:
        What `Jobs.create` returns.
    """
    raised: list[BaseException] = []
    worker = f"sync-{os.getpid()}-{threading.get_ident()}"
    timeout = timeout_of(new.fields)
    lease = _FOREVER if timeout == NEVER else timeout + _SPARE
    new = replace(new, fields={**new.fields, SYNC: "1"})
    created, claim = store.jobs.create_here(new, worker, lease)
    todo = deque([] if claim is None else [claim])
    while todo:
        claim = todo.popleft()
        outcome = execute(store, claim, penalty_class, raised=raised, job_class=job_class)
        store.jobs.finish(ActiveJob(claim, 0.0).ended(Ended(outcome), allowed=False))
        if "webhooks" in claim.fields:
            deliver_here(store, claim.id)
        if outcome.get("exception") == "KeyboardInterrupt":
            raise KeyboardInterrupt
        for job in (claim.id, *_successors(store, claim.id)):
            following = store.jobs.take(job, worker, lease)
            if following is not None:
                todo.append(following)
    if raised:
        raise raised[0]
    return created


def execute(
    store: "Store",
    claim: Claim,
    penalty_class: Any = None,
    options: "WorkerOptions | None" = None,
    *,
    raised: list[BaseException] | None = None,
    job_class: Any = None,
) -> dict[str, Any]:
    """Execute a claimed plain job in this thread and return its outcome.

    `options`: of the worker; None in sync mode. `raised` gets what its `on_failure` raises. `job_class`: of its queue, in
    sync mode.
    """
    try:
        task = plain_task(claim, options)
    except SignatureError as error:
        return failed("error", str(error))
    except ValueError as error:
        return failed("error", unreadable(claim.id, error))
    if penalty_class is None and threading.current_thread() is not threading.main_thread():
        penalty_class = TimerDeathPenalty  # signals are for the main thread
    if options is None:
        task["sync"] = True
        task["job_class"] = job_class
    if penalty_class is not None:
        task["penalty_class"] = penalty_class
    if raised is not None:
        task["raised"] = raised
    with context.here(task, store):
        if not plain.suits(task):
            return function.execute(task)
        outcome = plain.execute(*plain.call_of(task))
    return finished(outcome) if isinstance(outcome, bytes) else outcome


def _successors(store: "Store", job: str) -> list[str]:
    ids = store.jobs.dependents(job)
    records = store.jobs.get_many(ids)
    return [item.id for item in records if item is not None and item.status is JobStatus.QUEUED and item.sync]
