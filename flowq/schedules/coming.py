"""The next slots of an entry, from its file alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flowq.plan.schedule import Entry
from flowq.slots.timezones import named

_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ComingSlot:
    """A slot that is still to come. `note`: by how much the clocks were changed since the one before, or ""."""

    slot: int
    note: str = ""


def coming_slots(entry: Entry, begin: int) -> Iterator[ComingSlot]:
    """Yield the slots of an entry from a time (ms) on."""
    zone = named(entry.timezone)
    before = datetime.fromtimestamp(begin / 1000, zone).utcoffset() or timedelta()
    slot = entry.series.after(begin - 1)
    while slot is not None:
        offset = datetime.fromtimestamp(slot / 1000, zone).utcoffset() or timedelta()
        yield ComingSlot(slot, _change(offset - before))
        before, slot = offset, entry.series.after(slot)


def _change(by: timedelta) -> str:
    if not by:
        return ""
    hours = abs(by) / _HOUR
    amount = f"{hours:g} h" if hours >= 1 else f"{hours * 60:g} min"
    return f"clocks {'forward' if by > timedelta() else 'back'} {amount}"
