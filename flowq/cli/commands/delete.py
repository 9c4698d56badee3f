"""`flowq delete`."""

from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.targets import select_run, when_orphaned
from flowq.cli.terminal import echo
from flowq.exceptions import CorruptRecordError, InvalidRunOperation
from flowq.flows.views.text import safe_line

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord


@click.command(epilog="Example: flowq delete 7k2m 9x0d")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, shell_complete=complete_runs)
@url_option
@pass_context
def command(session: CliContext, runs: tuple[str, ...]) -> None:
    """Delete runs that have ended, with their results and logs.

    Runs are deleted automatically when their retention has passed; this command deletes them now. If one of the runs cannot be
    deleted, none is.
    """
    store = session.store()
    found = {run: _record(store, run) for run in dict.fromkeys(select_run(store, given, change=True) for given in runs)}
    for run in found.values():
        if run is not None and not run.ended:
            raise InvalidRunOperation(
                f"cannot delete run {run.id}: it is {run.status}; `flowq cancel {run.id}` ends it{when_orphaned(store, run.id)}. Nothing was deleted"
            )
    for run_id, run in found.items():
        store.runs.refuse(run_id, store.runs.delete(run_id), "delete")
        echo(f"deleted run {run_id} ({'its record was damaged' if run is None else f'{safe_line(run.flow)}, {run.status}'})")


def _record(store: "Store", run: str) -> "RunRecord | None":
    """Return the record of a run; None if it cannot be read: whether it has ended is then for the server to say."""
    try:
        return store.runs.require(run)
    except CorruptRecordError:
        return None
