"""The tables of `flowq schedule`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from flowq.cli.render.styled_text import Line, columns, fit, pad
from flowq.cli.terminal import Terminal
from flowq.flows.views.text import safe_line
from flowq.plan.schedule import Entry
from flowq.schedules.coming import ComingSlot
from flowq.schedules.requests import PlannedSlot
from flowq.schedules.views import ScheduleView, outcome_text
from flowq.slots.timezones import named, time_in
from flowq.store.backfills import BackfillRecord
from flowq.store.schedules import Pause, SlotEntry

_STYLES: Final = {
    "run": "good",
    "finished": "good",
    "done": "good",
    "failed": "badbold",
    "refused": "badbold",
    "canceled": "warn",
    "skipped": "warn",
    "paused": "warn",
    "left_out": "dim",
    "running": "busy",
}


def schedules_table(views: Sequence[ScheduleView], terminal: Terminal) -> Iterator[Line]:
    """Yield a line per schedule: its name, when it runs, its next and its last slot, and what is special about it now."""
    rows = [("SCHEDULE", "WHEN", "NEXT", "LAST", "NOW")]
    for view in views:
        paused = view.paused or view.next_ms is None
        coming = "" if paused or view.next_ms is None else time_in(view.next_ms, view.timezone)
        what = "" if view.last is None else view.last_status or view.last.outcome.replace("_", " ")
        last = "" if view.last is None else f"{time_in(view.last.slot, view.timezone)} {what}"
        when = view.when
        rows.append((view.record.id, when, coming, last, _now(view)))
    return _table(rows, terminal, {"paused": "warn", "not valid": "badbold"})


def pause_text(pause: Pause, timezone: str) -> str:
    """Return who has paused a schedule, until when, and why."""
    until = "" if pause.until_ms is None else f" until {time_in(pause.until_ms, timezone)}"
    return f"paused by {pause.by}{until}" + (f": {pause.note}" if pause.note else "")


def _now(view: ScheduleView) -> str:
    parts = []
    if view.gone:
        parts.append("not in the files any more")
    if view.problem:
        parts.append(f"not valid: {view.problem}")
    if view.entry is not None and view.entry.paused:
        parts.append("paused by its file")
    if pause := view.record.pause:
        parts.append(pause_text(pause, view.timezone))
    if view.record.open:
        parts.append(f"{len(view.record.open)} open")
    if view.backlog and not view.paused:
        parts.append(f"{view.backlog} due")
    return ", ".join(parts)


def coming_table(rows: Sequence[tuple[str, Entry, ComingSlot]], terminal: Terminal) -> Iterator[Line]:
    """Yield a line per slot that is still to come. `rows`: what the entry is called, the entry, the slot."""
    lines = [("ENTRY", "SLOT", "DAY", "")]
    for title, entry, found in rows:
        notes = [found.note, "paused by the file" if entry.paused else ""]
        lines.append(
            (
                title,
                time_in(found.slot, entry.timezone),
                _weekday(found.slot, entry.timezone),
                ", ".join(filter(None, notes)),
            )
        )
    return _table(lines, terminal, {"clocks": "warn", "paused": "warn"})


def _weekday(slot: int, timezone: str) -> str:
    return datetime.fromtimestamp(slot / 1000, named(timezone)).strftime("%a")


def history_table(log: Sequence[SlotEntry], statuses: Mapping[str, str], timezone: str, terminal: Terminal) -> Iterator[Line]:
    """Yield a line per entry of a schedule's log, newest first. `statuses`: of runs that are there, by id."""
    rows = [("SLOT", "OUTCOME", "RUN", "STATUS", "WHY")]
    for item in log:
        status = statuses.get(item.run, "") if item.outcome == "run" else ""
        rows.append((time_in(item.slot, timezone), item.outcome.replace("_", " "), item.run, status, outcome_text(item)))
    return _table(rows, terminal, _STYLES)


def backfills_table(records: Sequence[BackfillRecord], terminal: Terminal) -> Iterator[Line]:
    """Yield a line per backfill."""
    rows = [("BACKFILL", "SCHEDULE", "STATE", "RUNS", "OPEN", "LEFT OUT", "WHY")]
    for record in records:
        counts = (str(record.created), str(record.open), str(record.left_out))
        rows.append((record.id, record.fields.get("schedule", ""), record.state, *counts, record.reason))
    return _table(rows, terminal, _STYLES)


def planned_table(slots: Sequence[PlannedSlot], timezone: str, terminal: Terminal) -> Iterator[Line]:
    """Yield a line per slot of a backfill: when it is, and the run that it has or gets."""
    rows = [("SLOT", "RUN", "STATUS", "")]
    for item in slots:
        what = "runs" if item.wanted else "left out"
        rows.append((time_in(item.slot, timezone), item.run or "", item.status or "", what))
    return _table(rows, terminal, _STYLES)


def _table(rows: Sequence[tuple[str, ...]], terminal: Terminal, styles: Mapping[str, str]) -> Iterator[Line]:
    """Yield rows as aligned lines that fit the width, the head dim; a cell that begins with a word of `styles` has its style."""
    cells = [[safe_line(cell) for cell in row] for row in rows]
    widths = [max(columns(row[index]) for row in cells) for index in range(len(cells[0]))]
    for number, row in enumerate(cells):
        padded = [pad(cell, width) for cell, width in zip(row[:-1], widths, strict=False)] + [row[-1]]
        segments = []
        for cell, text in zip(row, padded, strict=True):
            style = "dim" if number == 0 else next((style for word, style in styles.items() if cell.startswith(word)), "")
            segments.append((text, style))
            segments.append(("  ", ""))
        yield fit(tuple(segments[:-1]), terminal.width, unicode=terminal.unicode)
