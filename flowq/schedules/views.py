"""Schedules as users see them: what the file says, what is stored, and what comes next."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from flowq.durations import format_duration
from flowq.plan import Json
from flowq.plan.schedule import Entry
from flowq.schedules.due import backlog
from flowq.schedules.entries import GONE, Description, events_of, problem_told
from flowq.slots.series import jitter_of
from flowq.slots.timezones import named
from flowq.store.backfills import BackfillRecord
from flowq.store.schedules import NONE, ScheduleRecord, ScheduleState, SlotEntry
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.store import Store

REASONS: Final = {
    ("run", "by_hand"): "started by a user",
    ("run", "backfill"): "by a backfill",
    ("skipped", "running"): "the run before was not over",
    ("skipped", "too_many_waiting"): "ten runs were waiting",
    ("left_out", "latest"): "missed; the latest one ran (catch_up: latest)",
    ("left_out", "none"): "missed (catch_up: none)",
    ("left_out", "all"): "missed, and beyond the window or number of catch_up",
    ("left_out", "by_hand"): "left out by a user",
    ("left_out", "paused"): "it was paused",
    ("left_out", "if_false"): "the `if` of the trigger was false",
    ("left_out", "gap"): "more runs had ended than are kept",
}
"""What became of a slot, in words, by outcome and reason."""


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule at one moment.

    Attributes:
        record: what is stored.
        description: what a scheduler said about it; None if that was another version of flowq.
        next_ms: its next slot, None if there is none.
        backlog: slots that are due and were not dealt with, up to 10,000.
        first_ms: the first of them.
        last: the latest entry of its log.
        gone: whether it is in the files no more.
        last_status: that of the run of `last`; "" if there is none.
    """

    record: ScheduleRecord
    description: Description | None
    next_ms: int | None
    backlog: int
    first_ms: int
    last: SlotEntry | None
    gone: bool
    last_status: str = ""

    @property
    def entry(self) -> Entry | None:
        """What the file says."""
        return None if self.description is None else self.description.entry

    @property
    def when(self) -> str:
        """What it says about its times, or what starts its runs."""
        return events_of(self.record.description) if self.entry is None else when_text(self.entry)

    @property
    def timezone(self) -> str:
        """The zone in which its times are shown."""
        return "UTC" if self.entry is None else self.entry.timezone

    @property
    def problem(self) -> str:
        """Why it starts nothing now; "" if it does."""
        return problem_told(self.record.description)

    @property
    def paused(self) -> bool:
        """Whether it is paused, by a user or by its file."""
        return self.record.pause is not None or (self.entry is not None and self.entry.paused)


def read_schedules(store: "Store", names: Sequence[str]) -> list[ScheduleView]:
    """Read schedules by their ids; those that are not stored are left out."""
    now = store.now_ms()
    records = [record for record in store.schedules.get_many(names) if record is not None]
    latest: dict[str, int] = {}
    for record in records:
        catalog = record.id.partition("/")[0]
        latest[catalog] = max(latest.get(catalog, 0), record.seen_ms)
    views = [_view(store, record, now, latest[record.id.partition("/")[0]]) for record in records]
    statuses = store.schedules.existing([view.last.run for view in views if view.last is not None and view.last.run])
    return [view if view.last is None else replace(view, last_status=statuses.get(view.last.run, "")) for view in views]


def _view(store: "Store", record: ScheduleRecord, now: int, latest: int) -> ScheduleView:
    description = Description.from_json(record.description)
    coming, first, count = None, 0, 0
    if description is not None:
        series = description.entry.series
        coming = series.after(now)
        state = ScheduleState(NONE if record.slot is None else record.slot, record.since_ms)
        if not description.entry.paused:
            first, count = backlog(series, state, now)
    log = store.schedules.log(record.id, limit=1)
    return ScheduleView(record, description, coming, count, first, log[0] if log else None, latest - record.seen_ms > GONE)


def when_text(entry: Entry) -> str:
    """Return what an entry says about its times: `0 6 * * MON-FRI Europe/Berlin`, `every 1h`."""
    parts = [*entry.cron] if entry.cron else [f"at {', '.join(entry.at)}"] if entry.at else []
    if entry.every is not None:
        parts = [f"every {format_duration(entry.every / 1000)}"]
    zone = "" if entry.timezone == "UTC" else f" {entry.timezone}"
    return ", ".join(parts) + zone


def local_ms(text: str, timezone: str) -> int:
    """Return the time (ms) of a date, or a date-time with or without a distance to UTC, in a zone.

    Raises:
        ValueError: it is none.
    """
    moment = datetime.fromisoformat(text)
    return round(
        (moment if moment.tzinfo is not None else moment.replace(tzinfo=named(timezone))).astimezone(UTC).timestamp() * 1000
    )


def outcome_text(item: SlotEntry) -> str:
    """Return what became of a slot, in words."""
    known = REASONS.get((item.outcome, item.reason), item.reason)
    return f"{item.count} slots: {known}" if item.count > 1 else known


def schedule_json(view: ScheduleView) -> dict[str, Json]:
    """Return a schedule for programs. Keys are only ever added."""
    record, entry = view.record, view.entry
    pause = record.pause
    return {
        "id": record.id,
        "when": view.when or None,
        "events": events_of(record.description) or None,  # of a trigger, which has no slots
        "timezone": view.timezone,
        "next": iso(view.next_ms),
        "next_starts": None
        if view.next_ms is None or entry is None
        else iso(view.next_ms + jitter_of(record.id, view.next_ms, entry.jitter)),
        "last": None if view.last is None else entry_json(view.last) | {"status": view.last_status or None},
        "last_run": record.run,
        "open": list(record.open),
        "backlog": 0 if view.paused else view.backlog,
        "paused": view.paused,
        "paused_by_file": entry is not None and entry.paused,
        "pause": None
        if pause is None
        else {"by": pause.by, "at": iso(pause.at_ms), "note": pause.note, "until": iso(pause.until_ms)},
        "problem": view.problem or None,
        "file": None if view.description is None else view.description.path,
        "since": iso(record.since_ms),
        "seen": iso(record.seen_ms),
        "gone": view.gone,
    }


def entry_json(item: SlotEntry) -> dict[str, Json]:
    """Return an entry of a schedule's log for programs. Keys are only ever added."""
    return {
        "slot": iso(item.slot),
        "outcome": item.outcome,
        "reason": item.reason or None,
        "run": item.run or None,
        "first": iso(item.first),
        "count": item.count,
        "at": iso(item.at_ms),
    }


def find_slot(log: Iterable[SlotEntry], slot: int) -> SlotEntry | None:
    """Return the entry of a log that says what became of a slot; the newest one."""
    return next((item for item in log if item.first <= slot <= item.slot), None)


def backfill_json(record: BackfillRecord) -> dict[str, Json]:
    """Return a backfill for programs. Keys are only ever added."""
    fields = record.fields
    return {
        "id": record.id,
        "schedule": fields.get("schedule"),
        "state": record.state,
        "reason": record.reason or None,
        "from": iso(int(fields["from"])),
        "to": iso(int(fields["to"])),
        "mode": fields["mode"],
        "newest_first": fields["newest_first"] == "1",
        "max": record.max,
        "open": record.open,
        "created": record.created,
        "left_out": record.left_out,
        "cursor": None if record.cursor == NONE else iso(record.cursor),
        "params": json.loads(fields.get("params", "{}")),
        "by": fields.get("by") or None,
        "created_at": iso(record.created_ms),
        "ended_at": iso(record.ended_ms),
    }
