"""`flowq run`.

What takes long to import is imported in the functions that need it: the worker process of a local run is started first, and imports
what it needs side by side with this one.
"""

import re
from typing import TYPE_CHECKING

import click

from flowq.cli.options import execution_options
from flowq.cli.pairs import Pair, params_of
from flowq.cli.session import Session, pass_session, url_option
from flowq.exceptions import InvalidRunOperation

if TYPE_CHECKING:
    from flowq.flows.process import WorkerProcess

_RUN_ID = re.compile(r"[a-z0-9]{8}\Z")


@click.command(epilog="Example: flowq run nightly.yaml -p day=2026-01-31 --workers 4")
@click.argument("file", required=False)
@click.option("-p", "--param", "params", type=Pair(), multiple=True, help="Value of a param of the flow; may be repeated.")
@click.option(
    "--label", "labels", type=Pair(), multiple=True, help="Label of the run, over those of the flow; may be repeated."
)
@click.option("--run-id", metavar="ID", help="Id of the run (8 letters and digits): a script that is run twice submits once.")
@click.option("--resume", metavar="RUN", help="Go on with a run whose command was killed, instead of starting one.")
@click.option("--dry-run", is_flag=True, help="Show what would run; submit nothing.")
@execution_options
@url_option
@pass_session
def command(
    session: Session,
    file: str | None,
    params: tuple[tuple[str, str], ...],
    labels: tuple[tuple[str, str], ...],
    run_id: str | None,
    resume: str | None,
    *,
    dry_run: bool,
    detach: bool,
    workers: int | None,
    as_json: bool,
) -> int:
    """Run a flow and follow it to its end.

    The exit code is the run's: 0 finished, 1 failed, 4 canceled by somebody else, 5 timed out; 3 when the file is not a
    valid flow. Ctrl+C cancels the run, a second one kills it; a run executed by workers elsewhere goes on, the command only
    detaches.
    """
    if resume is not None:
        if file is not None or params or labels or run_id is not None or dry_run:
            raise click.UsageError(
                "--resume goes on with a run as it was submitted: no FILE, -p, --label, --run-id or --dry-run with it"
            )
        return _resume(session, resume, detach=detach, workers=workers, as_json=as_json)
    if file is None:
        raise click.UsageError("expected the FILE of a flow")
    if run_id is not None and not _RUN_ID.match(run_id):
        raise click.UsageError(f"--run-id: expected 8 lower-case letters and digits, found {run_id!r}")
    given = params_of(params)
    if dry_run:
        _preview(session, file, given, as_json=as_json)
        return 0
    waiting = _early_worker(session)
    try:
        return _run(
            session, file, given, waiting, run_id=run_id, labels=dict(labels), detach=detach, workers=workers, as_json=as_json
        )
    finally:
        if waiting is not None and not detach:
            waiting.let_go()


def _early_worker(session: Session) -> "WorkerProcess | None":
    """Start the worker of a local run, before it is known whether there will be a run; without one it leaves unseen."""
    from flowq.config import load_settings
    from flowq.flows.process import WorkerProcess

    return WorkerProcess() if load_settings(session.url).url is None else None


def _run(
    session: Session,
    file: str,
    params: dict[str, str],
    waiting: "WorkerProcess | None",
    *,
    run_id: str | None,
    labels: dict[str, str],
    detach: bool,
    workers: int | None,
    as_json: bool,
) -> int:
    from flowq.cli.compiling import compile_flow
    from flowq.cli.executing import execute, is_embedded, refuse_workers
    from flowq.cli.selection import here
    from flowq.cli.signals import Interrupts
    from flowq.flows.submit import submit

    plan = compile_flow(file, params, session.err)
    store = session.store()
    refuse_workers(store, workers)
    with Interrupts() as interrupts:
        submitted = submit(store, plan, directory=here(), local=is_embedded(store), run_id=run_id, labels=labels)
        run = store.runs.require(submitted)
        return execute(store, run, plan, interrupts, detach=detach, workers=workers, as_json=as_json, waiting=waiting)


def _resume(session: Session, given: str, *, detach: bool, workers: int | None, as_json: bool) -> int:
    from flowq.cli.executing import execute, refuse_workers
    from flowq.cli.following import last_position
    from flowq.cli.selection import select_run
    from flowq.cli.signals import Interrupts
    from flowq.flows.snapshot import read_plan

    store = session.store()
    refuse_workers(store, workers)
    run = store.runs.require(select_run(store, given))
    if run.ended:
        raise InvalidRunOperation(
            f"run {run.id} has ended ({run.status}): there is nothing to resume; `flowq retry {run.id} --failed` runs it again"
        )
    plan = read_plan(store, run.id)
    position = last_position(store, run.id)
    with Interrupts() as interrupts:
        return execute(store, run, plan, interrupts, detach=detach, workers=workers, as_json=as_json, events_after=position)


def _preview(session: Session, file: str, params: dict[str, str], *, as_json: bool) -> None:
    from flowq.cli.compiling import compile_flow, preview_json, preview_lines
    from flowq.cli.output import show, show_json

    plan = compile_flow(file, params, session.err)
    if as_json:
        show_json(preview_json(plan))
    else:
        show(preview_lines(plan), session.out)
