"""A worker for a local run that is changed from elsewhere than a terminal: it executes the run, in the background, until that has ended."""

from pathlib import Path
from typing import TYPE_CHECKING

from flowq.exceptions import InvalidRunOperation
from flowq.flows.local_worker.missing_secrets import absent_on_resume, absent_on_retry, refuse_absent
from flowq.flows.local_worker.orphaned_runs import has_worker
from flowq.flows.local_worker.worker import LocalWorker, stored_queues
from flowq.flows.views.snapshot import read_plan
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.flows.actions.reset import RetryPlan
    from flowq.store import Store


def refuse_secretless(store: "Store", run: RunRecord, retry: "RetryPlan | None" = None) -> None:
    """Refuse to execute a local run, or a retry of it, where a job would lack a secret.

    Raises:
        UsageError: one would.
        InvalidRunOperation: the directory of the run is gone.
    """
    if not run.local:
        return
    if not Path(run.directory).is_dir():
        raise InvalidRunOperation(f"run {run.id} was started in {run.directory!r}, which does not exist any more")
    refuse_absent(absent_on_resume(store, run.id) if retry is None else absent_on_retry(store, retry))


def ensure_worker(store: "Store", run_id: str) -> bool:
    """Start a worker for a local run that has not ended and has none; return whether one was started.

    Raises:
        UsageError, InvalidRunOperation: as of `refuse_secretless`.
    """
    run = store.runs.require(run_id)
    if not run.local or run.ended:
        return False
    queues = stored_queues(read_plan(store, run_id), run.queue_prefix)
    if has_worker(store, queues):
        return False
    refuse_secretless(store, run)
    LocalWorker(run_id, queues, directory=run.directory, detach=True).start()
    return True
