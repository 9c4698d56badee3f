"""`flowq runs`."""

from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_schedules
from flowq.cli.context import CliContext, complain, pass_context, tell_damaged, url_option, zone_option
from flowq.cli.options.types import Pair, TimeAgo, since_ms
from flowq.cli.render.output import show, show_json
from flowq.cli.render.runs_table import runs_table
from flowq.flows.views.run_list import ORPHANED, RunFilter, all_runs
from flowq.states import CAUSES, RunStatus
from flowq.store.schema.documents import record_json

if TYPE_CHECKING:
    from datetime import datetime

    from flowq.store import Store


@click.command(epilog="Example: flowq runs --status failed --limit 5")
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option(
    "--status", type=click.Choice([*(str(status) for status in RunStatus), ORPHANED]), help="Only runs with this status."
)
@click.option(
    "--since", type=TimeAgo(), metavar="WHEN", help="Only runs submitted since then: 2h, 7d, 2026-01-31, 2026-01-31T06:00."
)
@click.option("--until", type=TimeAgo(), metavar="WHEN", help="Only runs submitted before then, as of --since.")
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only runs with this label; may be repeated.")
@click.option("--schedule", metavar="NAME", help="Only runs of the slots of this schedule.", shell_complete=complete_schedules)
@click.option("--cause", type=click.Choice(CAUSES), help="Only runs that were started by this.")
@click.option("-n", "--limit", type=click.IntRange(min=0), default=20, show_default=True, help="How many to show; 0 for all.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@zone_option
@url_option
@pass_context
def command(
    session: CliContext,
    flow: str | None,
    status: str | None,
    since: "float | datetime | None",
    until: "float | datetime | None",
    labels: tuple[tuple[str, str], ...],
    schedule: str | None,
    cause: str | None,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """List the latest runs, newest first.

    A run is `orphaned` if the command that executed it was killed: `flowq resume RUN` continues it.
    """
    store = session.store()
    now = store.now_ms()
    first, end = (None if when is None else since_ms(when, now) for when in (since, until))
    wanted = None if schedule is None else _schedule(store, schedule)
    chosen = RunFilter(flow, status, first, end, labels=labels, schedule=wanted, cause=cause)
    page = all_runs(store, chosen, limit or None)
    found, lost = page.runs, page.orphaned
    if as_json:
        show_json([record_json(run, orphaned=run.id in lost) for run in found])
    elif found:
        terminal = session.out
        show(runs_table(found, terminal, lost), terminal)
    else:
        complain("no runs: `flowq run FILE` starts one" if chosen == RunFilter() else "no such runs")
    tell_damaged(page.damaged)


def _schedule(store: "Store", given: str) -> str:
    from flowq.schedules.selection import select_schedule

    return select_schedule(store, given)
