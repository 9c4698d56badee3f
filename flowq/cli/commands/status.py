"""`flowq status`."""

from typing import TYPE_CHECKING

import click

from flowq.cli import exits
from flowq.cli.completing import complete_runs
from flowq.cli.layout import run_lines
from flowq.cli.options import Manner
from flowq.cli.output import show, show_json
from flowq.cli.reports import Reporting
from flowq.cli.selection import select_run
from flowq.cli.session import Session, complain, pass_session, url_option
from flowq.flows.documents import run_json
from flowq.flows.snapshot import read_view
from flowq.flows.views import RunView

if TYPE_CHECKING:
    from flowq.store import Store


@click.command(epilog="Example: flowq status @latest --failed")
@click.argument("run", required=False, shell_complete=complete_runs)
@click.option("--json", "as_json", is_flag=True, help="Print the run as one JSON document.")
@click.option("--watch", is_flag=True, help="Stay and show every change until the run has ended.")
@click.option("--failed", is_flag=True, help="Show only the jobs that failed.")
@click.option("--junit", metavar="FILE", help="Write a JUnit report too: one test case per job.")
@click.option("--exit-status", is_flag=True, help="Exit with the code of the run (1 while it has not ended).")
@url_option
@pass_session
def command(
    session: Session, run: str | None, *, as_json: bool, watch: bool, failed: bool, junit: str | None, exit_status: bool
) -> int:
    """Show a run: its jobs, their states and why.

    RUN is an id or its beginning, @latest, or @2 for the second latest. Without RUN: the latest run of this directory, else the
    latest of all. The exit code is 0 whatever the run's status, unless --exit-status asks for it.
    """
    reporting = Reporting(junit)
    reporting.check(detach=False, as_json=as_json)
    store = session.store()
    run_id = select_run(store, run)
    if watch:
        return _watch(store, run_id, Manner(as_json=as_json, reporting=reporting), exit_status=exit_status)
    view = read_view(store, run_id)
    reporting.write(store, view)
    if as_json:
        show_json(run_json(view))
    else:
        terminal = session.out
        show(run_lines(view, terminal, failed_only=failed), terminal)
    return _code(view) if exit_status else 0


def _watch(store: "Store", run_id: str, manner: Manner, *, exit_status: bool) -> int:
    from flowq.cli.following import Following
    from flowq.cli.signals import Interrupts

    with Interrupts() as interrupts:
        code = Following(store, run_id, interrupts, manner=manner, only_watching=True).to_the_end()
    return code if exit_status or code == exits.INTERRUPTED else 0


def _code(view: RunView) -> int:
    if not view.ended:
        complain(f"run {view.id} has not ended: --watch waits for it")
    return exits.of_run(view)
