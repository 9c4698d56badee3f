"""Execution of a submitted run, for `run`, `retry` and `resume`: start its worker, then follow it."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowq.cli.context import CliContext, complain
from flowq.cli.follow.follow import Following, Standby, announce_unserved, last_position, shows_live
from flowq.cli.follow.local_worker import Tended
from flowq.cli.interrupts import Interrupts
from flowq.cli.options.flows import Manner
from flowq.cli.render.output import show_json
from flowq.cli.targets import select_run
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.flows.local_worker.missing_secrets import absent_on_resume, refuse_absent, some
from flowq.flows.local_worker.orphaned_runs import has_worker, room_taken
from flowq.flows.local_worker.worker import LocalWorker, stored_queues
from flowq.flows.views.follow import START
from flowq.flows.views.json_documents import run_json
from flowq.flows.views.snapshot import read_plan, read_view
from flowq.plan.foreach import foreach_groups
from flowq.states import RunStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.flows.local_worker.missing_secrets import Absent
    from flowq.flows.local_worker.process import WorkerProcess
    from flowq.plan import Plan
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord


def is_embedded(store: "Store") -> bool:
    """Return whether the store is on the embedded server, where each run has its own worker."""
    return store.anchor is not None


def refuse_workers(store: "Store", workers: int | None) -> None:
    """Refuse `--workers` if this command does not start workers.

    Raises:
        UsageError: the server is not the embedded one.
    """
    if workers is not None and not is_embedded(store):
        raise UsageError(
            "--workers is for the embedded server; on a server of your own, start workers with `flowq worker -c N`"
        )


def tell_absent(absent: "Sequence[Absent]") -> None:
    """Refuse jobs that would be executed here without their secrets, and warn of jobs that may lack one.

    Raises:
        UsageError: a job that will be executed lacks a secret.
    """
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
    """Start a worker for a submitted run, and follow the run unless it is detached; return the exit code.

    `fresh`: no worker can be executing it yet. Else a local run gets a worker only if it has none, now or while it is followed.
    """
    queues = stored_queues(plan, run.queue_prefix)
    worker, standby = None, None
    if not run.local:
        announce_unserved(store, run, queues)
    elif fresh or not has_worker(store, queues, certain=manner.detach):
        worker = _start_worker(run, queues, manner, waiting)
    else:
        complain(f"run {run.id} has its worker already: following it")
        standby = Standby(queues, lambda: _start_worker(run, queues, manner))
    if manner.detach:
        _tell_detached(store, run.id, as_json=manner.as_json)
        _tell_turn(store, run)
        return 0
    known = (
        plan if fresh and events_after == START and not foreach_groups(plan) else None
    )  # lists are counted as the stored plan has them
    following = Following(
        store, run.id, interrupts, worker, events_after=events_after, manner=manner, standby=standby, plan=known
    )
    return following.to_the_end()


def resume(session: CliContext, given: str, manner: Manner) -> int:
    """Start a worker for a run that has lost its own, and follow it; return the exit code.

    Raises:
        InvalidRunOperation: the run has ended.
    """
    store = session.store()
    refuse_workers(store, manner.workers)
    run = store.runs.require(select_run(store, given, change=True))
    if run.ended:
        raise InvalidRunOperation(
            f"run {run.id} has ended ({run.status}): there is nothing to resume; `flowq retry {run.id} --failed` runs it again"
        )
    if run.local:
        tell_absent(absent_on_resume(store, run.id))
    plan = read_plan(store, run.id)
    position = last_position(store, run.id)
    manner = replace(manner, url=session.given_url)
    with Interrupts() as interrupts:
        return execute(store, run, plan, interrupts, manner, events_after=position, fresh=False)


def _start_worker(run: "RunRecord", queues: "Sequence[str]", manner: Manner, waiting: "WorkerProcess | None" = None) -> Tended:
    if not Path(run.directory).is_dir():
        raise InvalidRunOperation(
            f"run {run.id} was started in {run.directory!r}, which does not exist any more: make it, or start a new run"
        )
    log = _log_file() if not manner.detach and shows_live(manner) else None  # its messages must not garble the live display
    worker = LocalWorker(run.id, queues, directory=run.directory, slots=manner.workers, detach=manner.detach, log=log)
    worker.start(waiting, manner.url)
    return Tended(worker, log)


def _log_file() -> Path:
    """Return a new file for the worker's own messages."""
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
    """Say which runs a detached run waits for, if its concurrency group is full."""
    if run.waits_for and run.status is RunStatus.QUEUED:
        for number, sentence in enumerate(room_taken(store, run.waits_for)):
            complain(f"run {run.id} {sentence}" if number == 0 else sentence)
