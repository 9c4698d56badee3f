"""Why a schedule did not run at a time, or does not run now: sentences for `flowq why`."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowq.schedules.entries import KnownEntry, events_of
from flowq.schedules.requests import beside, known_schedule
from flowq.schedules.users.history import read_history
from flowq.schedules.views import ScheduleView, find_slot, local_ms, outcome_text, read_schedules
from flowq.slots.timezones import named, time_in
from flowq.store.schedules import SlotEntry

if TYPE_CHECKING:
    from flowq.store import Store


def explain_schedule(store: "Store", schedule: str, time: str | None) -> tuple[int | None, list[str]]:
    """Return the slot that is meant, and sentences about it: the answer first, then facts.

    Args:
        store: where the schedule is.
        schedule: its id.
        time: a slot: a date-time, or an hour of the last day such as 06:00, in the entry's zone; None: the latest and the next one.

    Raises:
        ValueError: `time` is no time.
        UsageError: nothing usable is known of the schedule.
    """
    view = next(iter(read_schedules(store, [schedule])), None)
    if view is not None and time is None and events_of(view.record.description):
        latest = (
            "no event has come yet" if view.last is None else _dealt_with(view.last, view.last.slot, view.timezone, "event")[0]
        )
        return None, [latest, f"events start its runs: {view.when}", *_now(store, view)]
    known, _ = known_schedule(store, schedule)
    assert view is not None, "it is known"
    if time is None:
        return None, [*_latest(view), *_now(store, view)]
    slot = _meant(time, view.timezone, store.now_ms())
    found = find_slot(read_history(store, schedule), slot)
    if next(known.series.between(slot, slot + 1), None) is None and found is None:
        return slot, [f"{time_in(slot, view.timezone)} is no slot of this schedule{beside(known, slot)}"]
    if found is not None:
        return slot, _dealt_with(found, slot, view.timezone)
    return slot, _not_dealt_with(store, view, known, slot)


def _meant(time: str, timezone: str, now: int) -> int:
    """Return the time (ms) that a text means; an hour alone is its latest occurrence."""
    if "-" in time:
        return local_ms(time, timezone)
    here = datetime.fromtimestamp(now / 1000, named(timezone))
    clock = datetime.strptime(time, "%H:%M").time()  # noqa: DTZ007 - the zone is added
    moment = here.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    if moment > here:
        moment = (moment.replace(tzinfo=None) - timedelta(days=1)).replace(tzinfo=named(timezone))
    return round(moment.astimezone(UTC).timestamp() * 1000)


def _dealt_with(found: SlotEntry, slot: int, timezone: str, what: str = "slot") -> list[str]:
    when = f"{what} {time_in(slot, timezone)}"
    match found.outcome:
        case "run":
            by = {"by_hand": " by a user", "backfill": " by a backfill"}.get(found.reason, "")
            return [f"the {when} ran: run {found.run} was started{by} at {time_in(found.at_ms, timezone)}"]
        case "skipped":
            return [f"the {when} was skipped: {outcome_text(found)}", f"run {found.run} was open"]
        case "left_out":
            return [f"the {when} was left out: {outcome_text(found)}"]
        case _:
            return [f"the {when} was refused: {found.reason}"]


def _not_dealt_with(store: "Store", view: ScheduleView, known: KnownEntry, slot: int) -> list[str]:
    when, record = time_in(slot, view.timezone), view.record
    if slot > store.now_ms():
        return [f"the slot {when} is still to come", *_now(store, view)]
    if slot <= record.since_ms:
        began = time_in(record.since_ms // 1000 * 1000, view.timezone)
        return [
            f"the slot {when} was before the schedule began: its present times were first seen at {began}",
            f"`flowq schedule backfill {record.id} --from TIME --to TIME` makes runs for past slots",
        ]
    if record.slot is not None and slot <= record.slot:
        return [f"the slot {when} passed while the schedule was paused, or longer ago than its log goes back"]
    return [f"the slot {when} has not been dealt with yet{_delayed(known, slot)}", *_now(store, view)]


def _delayed(known: KnownEntry, slot: int) -> str:
    delay = known.delay(slot)
    return f"; its run begins {delay / 1000:.0f} s later (jitter)" if delay else ""


def _latest(view: ScheduleView) -> list[str]:
    return ["no slot has been due yet"] if view.last is None else _dealt_with(view.last, view.last.slot, view.timezone)


def _now(store: "Store", view: ScheduleView) -> list[str]:
    """Return what keeps a schedule from running, and its next slot."""
    found = []
    if view.gone:
        found.append("it is not in the files any more")
    if view.problem:
        found.append(f"its flow is not valid: {view.problem}")
    if view.entry is not None and view.entry.paused:
        found.append("it is paused by its file (`paused: true`)")
    if pause := view.record.pause:
        note = f" ({pause.note})" if pause.note else ""
        until = "" if pause.until_ms is None else f" until {time_in(pause.until_ms, view.timezone)}"
        found.append(f"it is paused by {pause.by}{until}{note}: `flowq schedule resume {view.record.id}` ends that")
    if not store.schedules.schedulers():
        found.append("no scheduler is alive: `flowq serve DIR` starts one")
    if view.record.open:
        found.append(f"run {view.record.open[0]} is open")
    if view.next_ms is not None and not view.paused:
        found.append(f"the next slot is {time_in(view.next_ms, view.timezone)}")
    return found
