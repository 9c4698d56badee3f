"""`flowq schedule next`."""

import time
from itertools import islice
from typing import TYPE_CHECKING

import click

from flowq.cli import exit_codes
from flowq.cli.completion.candidates import complete_flows
from flowq.cli.context import CliContext, complain, pass_context
from flowq.cli.flow_choice import shown_name
from flowq.cli.flow_file import compile_now, show_diagnostics
from flowq.cli.options.flows import Inputs
from flowq.cli.render.output import show, show_json
from flowq.cli.schedule.tables import coming_table
from flowq.cli.schedule.times import moment
from flowq.exceptions import UsageError
from flowq.schedules.coming import ComingSlot, coming_slots
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.plan.schedule import Entry


@click.command("next", epilog="Example: flowq schedule next nightly.yaml:weekdays -n 20 --from 2026-03-27")
@click.argument("flow", metavar="FILE[:ENTRY]", shell_complete=complete_flows)
@click.option("-n", "--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many slots of an entry.")
@click.option("--from", "begin", metavar="TIME", help="From then on, in the entry's zone.  [default: now]")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@pass_context
def next_(session: CliContext, flow: str, count: int, begin: str | None, *, as_json: bool) -> int:
    """Show the next slots of a flow file's schedule, with changes of the clocks. No server is needed, and nothing is run."""
    from flowq.compiler import Code

    file, entry = _parts(flow)
    compilation = compile_now(file, Inputs())
    problems = [item for item in compilation.diagnostics if item.severity == "error"]
    if compilation.schedules:  # what is missing are params of runs by hand
        problems = [item for item in problems if item.code != Code.MISSING_PARAM]
    if problems:
        show_diagnostics(problems, session.err, err=True)
        return exit_codes.INVALID
    now = time.time_ns() // 1_000_000
    rows = [
        (item, found)
        for item in _chosen(compilation.schedules, file, entry)
        for found in islice(coming_slots(item, now if begin is None else moment(begin, item.timezone, "--from")), count)
    ]
    if as_json:
        show_json([_json(item, found) for item, found in rows])
    elif rows:
        show(coming_table(rows, session.out), session.out)
    else:
        complain(f"{shown_name(file)}: no slots from then on")
    return exit_codes.OK


def _parts(given: str) -> tuple[str, str | None]:
    """Split FILE:ENTRY; a file may have a colon in its name."""
    file, colon, entry = given.rpartition(":")
    return (file, entry) if colon and file.endswith((".yaml", ".yml", ".json")) else (given, None)


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


def _json(entry: "Entry", found: ComingSlot) -> dict[str, object]:
    return {
        "entry": entry.name,
        "slot": iso(found.slot),
        "timezone": entry.timezone,
        "note": found.note or None,
        "paused": entry.paused,
    }
