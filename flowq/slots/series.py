"""`Series`: the slots of one schedule entry, as pure functions of time.

A slot is a time in milliseconds since the epoch. Everything here depends on the entry alone, not on a clock, so every scheduler on every machine
computes the same.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from flowq.slots.schedule import CronExpression
from flowq.slots.timezones import named

_ALPHABET: Final = "abcdefghjkmnpqrstvwxyz0123456789"  # that of the ids of runs
_ID: Final = 12  # characters


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """The slots of a schedule entry; exactly one of `cron`, `every` and `at` is given.

    Attributes:
        cron: cron expressions, of which the series has the slots of all.
        every: ms between two slots in real time, counted from `start`, or from 1970-01-01T00:00 in the zone.
        at: local date-times such as `2026-12-24T18:00`.
        timezone: name in the IANA database.
        start: local date or date-time; earlier slots do not exist.
        end: likewise; slots from then on do not exist.
    """

    cron: tuple[str, ...] = ()
    every: int | None = None
    at: tuple[str, ...] = ()
    timezone: str = "UTC"
    start: str | None = None
    end: str | None = None

    def after(self, ms: int) -> int | None:
        """Return the first slot that is later, None if there is none."""
        first, end = self._bounds()
        found = self._next(max(ms, first - 1))
        return None if found is None or (end is not None and found >= end) else found

    def between(self, first: int, end: int) -> Iterator[int]:
        """Yield the slots in [first, end), increasing."""
        slot = self.after(first - 1)
        while slot is not None and slot < end:
            yield slot
            slot = self.after(slot)

    def last(self, after: int, until: int) -> int | None:
        """Return the last slot in (after, until], None if there is none."""
        first, end = self._bounds()
        begin, limit = max(after, first - 1), until if end is None else min(until, end - 1)
        if begin >= limit:
            return None
        if self.every is not None:
            origin = self._origin()
            slot = limit - (limit - origin) % self.every
        elif self.at:
            slot = max((item for item in self._times() if item <= limit), default=begin)
        else:
            found = (expression.missed_slot(begin, limit) for expression in self._expressions())
            slot = max((item for item in found if item is not None), default=begin)
        return slot if slot > begin else None

    def definition(self, jitter: int = 0) -> str:
        """Return a digest of the series, and of by how much its runs begin later (ms)."""
        said = [self.cron, self.every, self.at, self.timezone, self.start, self.end, jitter]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]

    def _next(self, ms: int) -> int | None:
        if self.every is not None:
            origin = self._origin()
            return origin + ((ms - origin) // self.every + 1) * self.every
        if self.at:
            return min((item for item in self._times() if item > ms), default=None)
        found = (expression.next_slot(ms, ms) for expression in self._expressions())
        return min((item for item in found if item is not None), default=None)

    def _bounds(self) -> tuple[int, int | None]:
        first = -(2**62) if self.start is None else _local(self.start, self.timezone)
        return first, None if self.end is None else _local(self.end, self.timezone)

    def _origin(self) -> int:
        return _local(self.start or "1970-01-01", self.timezone)

    def _times(self) -> tuple[int, ...]:
        return tuple(_local(text, self.timezone) for text in self.at)

    def _expressions(self) -> list[CronExpression]:
        return [_expression(text, self.timezone) for text in self.cron]


def jitter_of(schedule: str, slot: int, jitter: int) -> int:
    """Return by how much (ms) the run of a slot begins later: at least 0, less than `jitter`, the same for all schedulers."""
    number = int.from_bytes(hashlib.sha256(f"{schedule}\n{slot}".encode()).digest()[:8], "big")
    return jitter * number >> 64


def slot_id(schedule: str, key: str, salt: str = "") -> str:
    """Return the id of the run of a slot (`key`: its ms) or of an event (`key`: the event's): 12 characters."""
    digest = hashlib.sha256(f"{schedule}\n{key}\n{salt}".encode("utf-8", "surrogatepass")).digest()
    return "".join(_ALPHABET[byte & 31] for byte in digest[:_ID])


@lru_cache(maxsize=4096)
def _local(text: str, timezone: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=named(timezone)).astimezone(UTC).timestamp() * 1000)


@lru_cache(maxsize=4096)
def _expression(text: str, timezone: str) -> CronExpression:
    return CronExpression.of(text, timezone)
