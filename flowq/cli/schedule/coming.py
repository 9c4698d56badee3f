"""`flowq schedule next`."""

import time
from itertools import islice
from os.path import isfile
from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_flows_and_schedules
from flowq.cli.context import CliContext, complain, pass_context, url_option
from flowq.cli.flow_choice import STDIN, shown_name
from flowq.cli.flow_file import compile_now, show_diagnostics
from flowq.cli.options.flows import Inputs
from flowq.cli.render.output import show, show_json
from flowq.cli.schedule.tables import coming_table
from flowq.cli.schedule.times import moment
from flowq.exceptions import UsageError
from flowq.schedules.coming import ComingSlot, coming_slots
from flowq.schedules.requests import known_schedule
from flowq.schedules.selection import is_file_name, select_schedules, split_file
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.plan.schedule import Entry


@click.command("next", epilog="Example: flowq schedule next nightly.yaml:weekdays -n 20 --from 2026-03-27")
@click.argument("name", metavar="FILE[:ENTRY]|NAME", shell_complete=complete_flows_and_schedules)
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many slots of an entry.")
@click.option("--from", "begin", metavar="TIME", help="From then on, in the entry's zone.  [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@url_option
@pass_context
def next_(session: CliContext, name: str, count: int, begin: str | None, *, as_json: bool) -> int:
    """Show the next slots of a schedule, with changes of the clocks; nothing is run.

    Of a flow file, as it is now: no server is needed. Of a NAME, as the schedulers know it.
    """
    entries = _of_file(session, name) if _is_file(name) or is_file_name(name) else _of_names(session, name)
    if entries is None:
        return exit_codes.INVALID
    now = time.time_ns() // 1_000_000
    rows = [
        (title, entry, found)
        for title, entry in entries
        for found in islice(coming_slots(entry, now if begin is None else moment(begin, entry.timezone, "--from")), count)
    ]
    if as_json:
        show_json([_json(title, entry, found) for title, entry, found in rows])
    elif rows:
        show(coming_table(rows, session.out), session.out)
    else:
        complain(f"{shown_name(name)}: no slots from then on")
    return exit_codes.OK


def _of_file(session: CliContext, given: str) -> "list[tuple[str, Entry]] | None":
    """Return the entries of a flow file with their names; None, with messages, if it is not valid."""
    from flowq.compiler import Code

    file, name = (given, None) if _is_file(given) else split_file(given)
    compilation = compile_now(file, Inputs())
    problems = [item for item in compilation.diagnostics if item.severity == "error"]
    if compilation.schedules:  # what is missing are params of runs by hand
        problems = [item for item in problems if item.code != Code.MISSING_PARAM]
    if problems:
        show_diagnostics(problems, session.err, err=True)
        return None
    return [(entry.name, entry) for entry in _chosen(compilation.schedules, file, name)]


def _is_file(given: str) -> bool:
    return given == STDIN or isfile(given)  # noqa: PTH113 - a name that is too long is no file


def _of_names(session: CliContext, given: str) -> "list[tuple[str, Entry]]":
    """Return the entries of schedules with their ids."""
    store = session.store()
    return [(name, known_schedule(store, name)[0].entry) for name in select_schedules(store, [given])]


def _chosen(entries: "tuple[Entry, ...]", file: str, name: str | None) -> "list[Entry]":
    if not entries:
        raise UsageError(
            f'{shown_name(file)} has no schedule: `schedule: "0 6 * * *"` at the top of the file runs it every day at six (UTC)'
        )
    found = [entry for entry in entries if name in {None, entry.name}]
    if not found:
        raise UsageError(
            f"{shown_name(file)} has no entry {name!r} in its schedule, but {', '.join(entry.name for entry in entries)}"
        )
    return found


def _json(title: str, entry: "Entry", found: ComingSlot) -> dict[str, object]:
    return {
        "entry": title,
        "slot": iso(found.slot),
        "timezone": entry.timezone,
        "note": found.note or None,
        "paused": entry.paused,
    }
