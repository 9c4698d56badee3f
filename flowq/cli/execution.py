"""What `run` and `retry` share: the worker that executes a run, and the display that follows it."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from flowq.cli.context import complain
from flowq.cli.follow.follow import Following, announce_unserved, shows_live
from flowq.cli.follow.local_worker import Tended
from flowq.cli.interrupts import Interrupts
from flowq.cli.options.flows import Manner
from flowq.cli.render.output import show_json
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.flows.local_worker.orphaned_runs import room_taken
from flowq.flows.local_worker.worker import LocalWorker, local_queues, needed_queues
from flowq.flows.views.follow import START
from flowq.flows.views.json_documents import run_json
from flowq.flows.views.snapshot import read_view
from flowq.states import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.flows.local_worker.missing_secrets import Absent
    from flowq.flows.local_worker.process import WorkerProcess
    from flowq.plan import Plan
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord


def is_embedded(store: "Store") -> bool:
    """Return whether the store is on the embedded server: runs then bring their own worker."""
    return store.anchor is not None


def refuse_workers(store: "Store", workers: int | None) -> None:
    """Refuse `--workers` where this command starts none.

    Raises:
        UsageError: the server is the user's own.
    """
    if workers is not None and not is_embedded(store):
        raise UsageError(
            "--workers is for the embedded server; on a server of your own, start workers with `flowq worker -c N`"
        )


def tell_absent(absent: "Sequence[Absent]") -> None:
    """Refuse what this machine would execute without its secrets, and warn of jobs that may lack one.

    Raises:
        UsageError: a job that will be executed lacks a secret.
    """
    from flowq.flows.local_worker.missing_secrets import refuse_absent, some

    for text in some([item.text for item in absent if not item.sure]):
        complain(f"warning: {text}")
    refuse_absent(absent)


def execute(
    store: "Store",
    run: "RunRecord",
    plan: "Plan",
    interrupts: Interrupts,
    manner: Manner,
    *,
    events_after: str = START,
    waiting: "WorkerProcess | None" = None,
    fresh: bool = True,
) -> int:
    """See to it that a submitted run is executed, and follow it unless it is detached; return the exit code.

    `fresh`: no worker can be executing it yet. Else a local run gets a worker only if it has none.
    """
    if not fresh and run.local and store.workers.serving(local_queues(plan, run.id)):
        complain(f"run {run.id} has its worker already: following it")
        return _follow_only(store, run, interrupts, manner, events_after)
    live = run.local and not manner.detach and shows_live(manner)
    log = _log_file() if live else None  # what the worker says must not tear the live display
    worker = _local_worker(run, plan, slots=manner.workers, detach=manner.detach, log=log) if run.local else None
    if worker is None:
        announce_unserved(store, needed_queues(plan))
    else:
        worker.start(waiting)
    if manner.detach:
        _tell_detached(store, run.id, as_json=manner.as_json)
        _tell_turn(store, run)
        return 0
    tended = None if worker is None else Tended(worker, log)
    return Following(store, run.id, interrupts, tended, events_after=events_after, manner=manner).to_the_end()


def _follow_only(store: "Store", run: "RunRecord", interrupts: Interrupts, manner: Manner, events_after: str) -> int:
    if manner.detach:
        _tell_detached(store, run.id, as_json=manner.as_json)
        return 0
    return Following(store, run.id, interrupts, None, events_after=events_after, manner=manner).to_the_end()


def _local_worker(run: "RunRecord", plan: "Plan", *, slots: int | None, detach: bool, log: Path | None) -> LocalWorker:
    if not Path(run.directory).is_dir():
        raise InvalidRunOperation(
            f"run {run.id} was started in {run.directory!r}, which does not exist any more: make it, or start a new run"
        )
    return LocalWorker(run.id, local_queues(plan, run.id), directory=run.directory, slots=slots, detach=detach, log=log)


def _log_file() -> Path:
    """Return a new file for what the worker says itself."""
    descriptor, name = tempfile.mkstemp(prefix="flowq-worker-", suffix=".log")
    os.close(descriptor)
    return Path(name)


def _tell_detached(store: "Store", run_id: str, *, as_json: bool) -> None:
    """Print the id alone, for scripts; the hint goes to standard error."""
    if as_json:
        show_json(run_json(read_view(store, run_id)))
        return
    echo(run_id)
    complain(f"run {run_id} goes on in the background: flowq status {run_id} --watch")


def _tell_turn(store: "Store", run: "RunRecord") -> None:
    """Say for whom a run waits that its concurrency group has not let in: it is not followed."""
    if run.semaphore is not None and run.status is RunStatus.QUEUED:
        for number, sentence in enumerate(room_taken(store, run.semaphore)):
            complain(f"run {run.id} {sentence}" if number == 0 else sentence)
