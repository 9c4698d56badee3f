"""`flowq schedule backfill` and `flowq schedule backfills`."""

import sys
from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_schedules
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.types import Pair, params_of
from flowq.cli.render.output import show, show_json
from flowq.cli.schedule.tables import backfills_table, planned_table
from flowq.cli.schedule.times import moment
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidRunOperation, UsageError
from flowq.flows.actions.approval import user
from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.views.text import plural
from flowq.schedules.backfill import Range
from flowq.schedules.requests import ASKED, BackfillWish, PlannedSlot, known_schedule, plan_backfill
from flowq.schedules.selection import select_schedule
from flowq.schedules.views import backfill_json
from flowq.store.schema.documents import iso
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store

_SHOWN = 100  # slots that a dry run lists


@click.command(epilog="Example: flowq schedule backfill etl/nightly:weekdays --from 2026-01-01 --to 2026-02-01 --dry-run")
@click.argument("name", shell_complete=complete_schedules)
@click.option(
    "--from", "first", required=True, metavar="TIME", help="First time: 2026-01-31, 2026-01-31T06:00, in the entry's zone."
)
@click.option("--to", "end", required=True, metavar="TIME", help="Slots from then on are not part of it.")
@click.option("--max", "most", type=click.IntRange(1, 100), default=1, show_default=True, help="Runs that are open at once.")
@click.option("--failed", is_flag=True, help="Also slots whose run failed or was canceled.")
@click.option("--again", is_flag=True, help="All slots, whether they have a run or not.")
@click.option("--newest-first", is_flag=True, help="Begin with the latest slot.")
@click.option(
    "-p", "--param", "params", type=Pair(), multiple=True, help="Value of a param, over that of the entry; may be repeated."
)
@click.option("--latest-code", is_flag=True, help="Go on when the flow file changes; without it, the backfill pauses.")
@click.option("--dry-run", is_flag=True, help="Show the slots and the runs that they have; start nothing.")
@click.option("--yes", is_flag=True, help=f"Do not ask, also for more than {ASKED} slots.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def backfill(
    session: CliContext,
    name: str,
    first: str,
    end: str,
    most: int,
    params: tuple[tuple[str, str], ...],
    *,
    failed: bool,
    again: bool,
    newest_first: bool,
    latest_code: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Make runs for past slots of a schedule.

    The slots are those of the entry as it is now, from --from up to --to. Slots that have a run already are left out. Schedulers
    make the runs one after the other, with a lower priority than live ones; `flowq schedule backfills` shows how far they are.
    """
    if failed and again:
        raise click.UsageError("--again takes all slots, those of --failed too: choose one")
    store = session.store()
    schedule = select_schedule(store, name)
    zone = known_schedule(store, schedule)[0].entry.timezone
    mode = "again" if again else "failed" if failed else "missing"
    part = Range(moment(first, zone, "--from"), moment(end, zone, "--to"), mode, newest_first)
    if part.end <= part.first:
        raise UsageError(f"--to {end} must be later than --from {first}")
    slots = plan_backfill(store, schedule, part)
    wanted = sum(item.wanted for item in slots)
    if dry_run:
        _show_plan(session, schedule, slots, zone, as_json=as_json)
        return exit_codes.OK
    if not wanted:
        raise InvalidRunOperation(
            f"nothing is missing ({plural(len(slots), 'slot')} with runs): --failed or --again makes more"
        )
    if wanted > ASKED and not yes and not _agreed(wanted):
        return exit_codes.FAILED
    made = BackfillWish(schedule, part, most, params_of(params), latest_code, user()).begin(store)
    if as_json:
        show_json({"backfill": made, "schedule": schedule, "slots": len(slots), "runs": wanted})
    else:
        echo(made)
        complain(f"backfill {made} makes {plural(wanted, 'run')} of {schedule}: `flowq schedule backfills` shows how far it is")
    if not store.schedules.schedulers():
        complain("no scheduler is alive now: `flowq serve DIR` starts one")
    return exit_codes.OK


def _show_plan(session: CliContext, schedule: str, slots: list[PlannedSlot], zone: str, *, as_json: bool) -> None:
    if as_json:
        rows = [{"slot": iso(item.slot), "run": item.run, "status": item.status, "runs": item.wanted} for item in slots]
        show_json({"schedule": schedule, "slots": rows})
        return
    show(planned_table(slots[:_SHOWN], zone, session.out), session.out)
    wanted = sum(item.wanted for item in slots)
    more = f", {len(slots) - _SHOWN} more are not shown" if len(slots) > _SHOWN else ""
    complain(f"{plural(len(slots), 'slot')}, {plural(wanted, 'run')} would be made{more}")


def _agreed(wanted: int) -> bool:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            f"this makes {plural(wanted, 'run')}, and there is no terminal to ask on: --yes agrees, --dry-run shows them"
        )
    return click.confirm(f"make {plural(wanted, 'run')}?", err=True)


@click.group(invoke_without_command=True, epilog="Example: flowq schedule backfills cancel kcb9yfh2 --runs")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
@click.pass_context
def backfills(ctx: click.Context, session: CliContext, limit: int, *, as_json: bool) -> None:
    """List backfills, newest first, or change one."""
    if ctx.invoked_subcommand is not None:
        return
    store = session.store()
    records = [record for name in store.backfills.names(limit) if (record := store.backfills.get(name)) is not None]
    if as_json:
        show_json([backfill_json(record) for record in records])
    elif records:
        show(backfills_table(records, session.out), session.out)
    else:
        complain("no backfills: `flowq schedule backfill NAME --from TIME --to TIME` begins one")


@backfills.command(epilog="Example: flowq schedule backfills pause kcb9yfh2")
@click.argument("backfill_id", metavar="ID")
@url_option
@pass_context
def pause(session: CliContext, backfill_id: str) -> None:
    """Let a backfill make no more runs until it is resumed."""
    _change(session.store(), backfill_id, "paused", f"by {user()}")


@backfills.command(epilog="Example: flowq schedule backfills resume kcb9yfh2")
@click.argument("backfill_id", metavar="ID")
@click.option("--latest-code", is_flag=True, help="Go on although the flow file has changed.")
@url_option
@pass_context
def resume(session: CliContext, backfill_id: str, *, latest_code: bool) -> None:
    """Let a paused backfill go on."""
    _change(session.store(), backfill_id, "running", "", latest_code=latest_code)


@backfills.command(epilog="Example: flowq schedule backfills cancel kcb9yfh2 --runs")
@click.argument("backfill_id", metavar="ID")
@click.option("--runs", is_flag=True, help="Also cancel its runs that are open.")
@url_option
@pass_context
def cancel(session: CliContext, backfill_id: str, *, runs: bool) -> None:
    """End a backfill: it makes no more runs. Runs that are open go on."""
    store = session.store()
    found = _change(store, backfill_id, "canceled", f"by {user()}")
    for run in store.backfills.open_runs(found) if runs else ():
        cancel_run(store, run, force=False)
        complain(f"canceled run {run}")


def _change(store: "Store", given: str, state: str, reason: str, *, latest_code: bool = False) -> str:
    """Change the state of a backfill that is given by its id or the beginning of it; return its id."""
    fitting = [name for name in store.backfills.names() if name == given] or [
        name for name in store.backfills.names() if name.startswith(given.lower())
    ]
    if len(fitting) != 1:
        raise UsageError(
            f"{given!r} fits several backfills: {', '.join(fitting[:5])}"
            if fitting
            else f"there is no backfill {given!r}: `flowq schedule backfills` lists them"
        )
    outcome, had = store.backfills.change(fitting[0], state, reason, latest_code=latest_code)
    if outcome is Outcome.WRONG_STATE:
        raise InvalidRunOperation(f"backfill {fitting[0]} has ended: it is {had}")
    echo(f"{fitting[0]} is {state}")
    return fitting[0]
