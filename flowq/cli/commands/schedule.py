"""`flowq schedule`."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowq.cli.completion.candidates import complete_schedules
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.options.queues import logging_options
from flowq.cli.options.serving import reload_option, ship_option
from flowq.cli.options.types import Pair, params_of
from flowq.cli.render.output import show, show_json
from flowq.cli.schedule.backfills import backfill, backfills
from flowq.cli.schedule.coming import next_
from flowq.cli.schedule.tables import history_table, pause_text, schedules_table
from flowq.cli.schedule.times import moment, moment_ahead
from flowq.cli.terminal import echo
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.approval import user
from flowq.schedules.requests import Asked, known_schedule
from flowq.schedules.requests import trigger as start_run
from flowq.schedules.selection import select_schedule, select_schedules
from flowq.schedules.users.history import read_history
from flowq.schedules.views import entry_json, read_schedules, schedule_json
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.schedules.summary import Summary

_LINE = "%(asctime)s %(message)s"


@click.group(epilog="Example: flowq schedule list", no_args_is_help=True)
def command() -> None:
    """Show and change the schedules of flows.

    A scheduler (`flowq serve DIR`, `flowq schedule run DIR`) fires the schedules of the flow files of a directory. NAME is an id such as
    `flows/etl/nightly:weekdays`, its end (`nightly:weekdays`, `nightly`), a pattern (`etl/*`), or the flow file (`etl/nightly.yaml:weekdays`).
    """


command.add_command(next_)
command.add_command(backfill)
command.add_command(backfills)


@command.command("list", epilog="Example: flowq schedule list --json")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_schedules)
@click.option("--all", "every", is_flag=True, help="Also those that are not in the files any more.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
def list_(session: CliContext, names: tuple[str, ...], *, every: bool, as_json: bool) -> None:
    """List schedules: when they run, their next and last slot, and whether they are paused."""
    store = session.store()
    chosen = select_schedules(store, names) if names else store.schedules.names()
    views = [view for view in read_schedules(store, chosen) if every or names or not view.gone]
    if as_json:
        show_json([schedule_json(view) for view in views])
        return
    if views:
        show(schedules_table(views, session.out), session.out)
    else:
        complain('no schedules: a flow file declares them (`schedule: "0 6 * * *"`), `flowq serve DIR` fires them')
    if views and not store.schedules.schedulers():
        complain("no scheduler is alive now: `flowq serve DIR` starts one")


@command.command(epilog="Example: flowq schedule history nightly")
@click.argument("name", shell_complete=complete_schedules)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many entries to show.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
def history(session: CliContext, name: str, limit: int, *, as_json: bool) -> None:
    """Show what became of the slots of a schedule, newest first: run, skipped, left out or refused, and why."""
    store = session.store()
    (view,) = read_schedules(store, [select_schedule(store, name)])
    log = read_history(store, view.record.id, limit)
    if as_json:
        show_json([entry_json(item) for item in log])
    elif log:
        statuses = store.schedules.existing([item.run for item in log])
        show(history_table(log, statuses, view.timezone, session.out), session.out)
    else:
        complain(f"no slot of {view.record.id} has been due yet")


@command.command(epilog='Example: flowq schedule pause nightly --note "migration" --until 2h')
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete_schedules)
@click.option("--note", default="", metavar="TEXT", help="Why; the list shows it.")
@click.option("--until", metavar="TIME", help="Resume by itself: 2h, 2026-01-31T06:00.")
@click.option("--all", "every", is_flag=True, help="All schedules.")
@url_option
@pass_context
def pause(session: CliContext, names: tuple[str, ...], note: str, until: str | None, *, every: bool) -> None:
    """Let schedules fire nothing until they are resumed. Runs that are open go on."""
    store = session.store()
    for name in select_schedules(store, names, every=every):
        (view,) = read_schedules(store, [name])
        end = None if until is None else moment_ahead(until, view.timezone, store.now_ms(), "--until")
        store.schedules.pause(name, user(), note, end)
        echo(f"paused {name}")
        if before := view.record.pause:  # two people operate: the one before should not be forgotten
            complain(f"it was {pause_text(before, view.timezone)}; this pause replaces that one")


@command.command(epilog="Example: flowq schedule resume nightly --catch-up")
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete_schedules)
@click.option(
    "--catch-up", is_flag=True, help="Make up what was missed, as the entry's `catch_up` says; without it, nothing is."
)
@click.option("--all", "every", is_flag=True, help="All schedules that are paused.")
@url_option
@pass_context
def resume(session: CliContext, names: tuple[str, ...], *, catch_up: bool, every: bool) -> None:
    """Let paused schedules fire again."""
    store = session.store()
    chosen = select_schedules(store, names, every=every)
    resumed = [name for name in chosen if store.schedules.resume(name, catch_up=catch_up) is Outcome.DONE]
    for name in resumed:
        echo(f"resumed {name}")
    by_file = [view.record.id for view in read_schedules(store, chosen) if view.entry is not None and view.entry.paused]
    if by_file:
        complain(f"{', '.join(by_file)}: paused by the file, remove `paused: true` there")
    if not resumed and not by_file:
        raise InvalidRunOperation(f"{', '.join(chosen) or 'no schedule'}: not paused")


@command.command(epilog="Example: flowq schedule skip nightly")
@click.argument("names", nargs=-1, metavar="NAME...", shell_complete=complete_schedules)
@click.option("--all", "every", is_flag=True, help="All schedules.")
@url_option
@pass_context
def skip(session: CliContext, names: tuple[str, ...], *, every: bool) -> None:
    """Leave out the slots that are due and have not run: a backlog is empty at once."""
    store = session.store()
    for view in read_schedules(store, select_schedules(store, names, every=every)):
        store.schedules.skip(view.record.id, view.first_ms, view.backlog)
        echo(f"{view.record.id}: {view.backlog} left out")


@command.command(epilog="Example: flowq schedule trigger nightly -p region=eu")
@click.argument("name", shell_complete=complete_schedules)
@click.option("--at", "slot", metavar="SLOT", help="The run is the one of this slot: 2026-01-31T06:00, in the entry's zone.")
@click.option(
    "-p", "--param", "params", type=Pair(), multiple=True, help="Value of a param, over that of the entry; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@url_option
@pass_context
def trigger(session: CliContext, name: str, slot: str | None, params: tuple[tuple[str, str], ...], *, as_json: bool) -> None:
    """Start a run of a schedule's entry now, with its params, also while it is paused. `overlap` does not apply to it."""
    store = session.store()
    schedule = select_schedule(store, name)
    zone = known_schedule(store, schedule)[0].entry.timezone
    at = None if slot is None else moment(slot, zone, "--at")
    run = start_run(store, schedule, at, params_of(params), Asked(user()))
    if as_json:
        show_json({"run": run, "schedule": schedule})
    else:
        echo(run)


@command.command(epilog="Example: flowq schedule run flows/")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@click.option("--name", metavar="NAME", help="First part of the names of schedules.  [default: the directory's name]")
@ship_option
@reload_option
@click.option("--lifeline", type=int, hidden=True, help="An inherited descriptor: its end stops the scheduler.")
@click.option("--report", type=int, hidden=True, help="An inherited descriptor for JSON lines about the flows.")
@logging_options("--log-level", "-l", line=_LINE)
@url_option
@pass_context
def run(
    session: CliContext,
    directory: str,
    name: str | None,
    lifeline: int | None,
    report: int | None,
    log: dict[str, str],
    *,
    ships: bool,
    polls: bool,
) -> None:
    """Fire the schedules of the flows of a directory, in the foreground; the first Ctrl+C ends it.

    Jobs are executed by workers elsewhere (`flowq serve DIR` has both). Any number of schedulers may run for one directory.
    """
    from flowq.config import load_settings
    from flowq.log_format import log_to_stderr
    from flowq.schedules.directory.catalog import Catalog
    from flowq.schedules.directory.identity import claim_name
    from flowq.schedules.directory.names import served_prefix
    from flowq.schedules.heartbeat import Heart
    from flowq.schedules.scheduler import Scheduler
    from flowq.schedules.slot_runs import Maker

    log_to_stderr(log["level"], log["format"], log["dates"])
    store = session.store()
    root = str(Path(directory).absolute())
    catalog = Catalog(root, claim_name(store, root, name), polls=polls)
    settings = load_settings(session.url)
    prefix = served_prefix(catalog.name) if settings.url is None else ""
    tell = None if report is None else _reporter(report)
    heart = None if settings.heartbeat is None else Heart(settings.heartbeat.value)
    Scheduler(store, catalog, maker=Maker(store, root, prefix, ships), tell=tell, heart=heart).run(lifeline)


def _reporter(descriptor: int) -> "Callable[[Summary], None]":
    """Return a function that writes a summary as a JSON line; a parent that has gone is no error."""

    def tell(summary: "Summary") -> None:
        with suppress(BrokenPipeError), open(descriptor, "wb", closefd=False) as out:
            out.write(json.dumps(summary.to_json()).encode() + b"\n")

    return tell
