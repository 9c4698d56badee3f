"""`flowq runs`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_schedules
from flowq.cli.context import CliContext, complain, pass_context, url_option, zone_option
from flowq.cli.options.types import Pair, TimeAgo, since_ms
from flowq.cli.render.output import show, show_json
from flowq.cli.render.runs_table import runs_table
from flowq.flows.views.orphans import orphaned
from flowq.states import CAUSES, RunStatus
from flowq.store.schema.documents import record_json
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from datetime import datetime

    from flowq.store import Store

_ORPHANED = "orphaned"
_SCANNED = 1000  # latest runs that a filter looks at


@click.command(epilog="Example: flowq runs --status failed --limit 5")
@click.option("--flow", metavar="NAME", help="Only runs of this flow.")
@click.option(
    "--status", type=click.Choice([*(str(status) for status in RunStatus), _ORPHANED]), help="Only runs with this status."
)
@click.option(
    "--since", type=TimeAgo(), metavar="WHEN", help="Only runs submitted since then: 2h, 7d, 2026-01-31, 2026-01-31T06:00."
)
@click.option("--label", "labels", type=Pair(), multiple=True, help="Only runs with this label; may be repeated.")
@click.option("--schedule", metavar="NAME", help="Only runs of the slots of this schedule.", shell_complete=complete_schedules)
@click.option("--cause", type=click.Choice(CAUSES), help="Only runs that were started by this.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@zone_option
@url_option
@pass_context
def command(
    session: CliContext,
    flow: str | None,
    status: str | None,
    since: "float | datetime | None",
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
    after = None if since is None else since_ms(since, store.now_ms())
    chosen = _Filter(flow, status, after, labels, None if schedule is None else _schedule(store, schedule), cause)
    found = list(_select(store, chosen, limit))
    lost = orphaned(store, (run.id for run in found if not run.ended))
    if as_json:
        show_json([record_json(run, orphaned=run.id in lost) for run in found])
    elif found:
        terminal = session.out
        show(runs_table(found, terminal, lost), terminal)
    else:
        complain("no runs: `flowq run FILE` starts one" if chosen == _Filter() else "no such runs")


@dataclass(frozen=True, slots=True)
class _Filter:
    """The filter for runs."""

    flow: str | None = None
    status: str | None = None
    since_ms: int | None = None
    labels: tuple[tuple[str, str], ...] = ()
    schedule: str | None = None
    cause: str | None = None

    def fits(self, run: RunRecord) -> bool:
        """Return whether the run passes the filter."""
        labels = json.loads(run.labels or "{}") if self.labels else {}
        return (
            (self.flow is None or run.flow == self.flow)
            and (self.status in {None, run.status} or (self.status == _ORPHANED and not run.ended))
            and self.schedule in {None, run.schedule}
            and self.cause in {None, run.cause}
            and all(labels.get(name) == value for name, value in self.labels)
        )


def _schedule(store: "Store", given: str) -> str:
    from flowq.schedules.selection import select_schedule

    return select_schedule(store, given)


def _select(store: "Store", chosen: _Filter, limit: int) -> Iterator[RunRecord]:
    shown = 0
    for run_id in store.runs.recent(limit if chosen == _Filter() else _SCANNED):
        run = store.runs.get(run_id)
        if run is None:
            continue
        if chosen.since_ms is not None and run.created_ms < chosen.since_ms:
            return  # newest first: all others are older
        if chosen.fits(run) and (chosen.status != _ORPHANED or orphaned(store, [run_id])):
            yield run
            shown += 1
            if shown == limit:
                return
