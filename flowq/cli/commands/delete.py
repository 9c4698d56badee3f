"""`flowq delete`."""

import click

from flowq.cli.completion.candidates import complete_runs
from flowq.cli.context import CliContext, pass_context, url_option
from flowq.cli.targets import select_run, when_orphaned
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidRunOperation
from flowq.flows.views.text import safe_line


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
    found = [store.runs.require(run) for run in dict.fromkeys(select_run(store, given, change=True) for given in runs)]
    for run in found:
        if not run.ended:
            raise InvalidRunOperation(
                f"cannot delete run {run.id}: it is {run.status}; `flowq cancel {run.id}` ends it{when_orphaned(store, run.id)}. Nothing was deleted"
            )
    for run in found:
        store.runs.refuse(run.id, store.runs.delete(run.id), "delete")
        echo(f"deleted run {run.id} ({safe_line(run.flow)}, {run.status})")
