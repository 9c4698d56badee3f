"""`Series`: the slots of one schedule entry, as pure functions of time.

A slot is a time in milliseconds since the epoch. Everything here depends on the entry alone, not on a clock, so every scheduler on every machine
computes the same.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from heapq import merge
from itertools import count, groupby
from typing import Final

from flowq.slots.schedule import CronExpression
from flowq.slots.timezones import named

_ALPHABET: Final = "abcdefghjkmnpqrstvwxyz0123456789"  # that of the ids of runs
_ID: Final = 12  # characters
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time
_EVER: Final = -62_000_000_000_000  # ms, in the year 5
_NEVER: Final = 253_000_000_000_000  # ms, in the year 9987; no slot is as late


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
        return next(self.between(ms + 1, _NEVER), None)

    def between(self, first: int, end: int) -> Iterator[int]:
        """Yield the slots in [first, end), increasing."""
        begin, limit = self._bounds()
        for slot in self._later(max(first, begin) - 1):
            if slot >= end or (limit is not None and slot >= limit):
                return
            yield slot

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

    def _later(self, ms: int) -> Iterator[int]:
        """Yield the slots later than a time, whatever `start` and `end` say."""
        if self.every is not None:
            origin = self._origin()
            yield from count(origin + ((ms - origin) // self.every + 1) * self.every, self.every)
        elif self.at:
            yield from sorted({item for item in self._times() if item > ms})
        elif ms < _NEVER:
            found = merge(*(expression.slots(ms) for expression in self._expressions()))
            yield from (slot for slot, _ in groupby(found))

    def _bounds(self) -> tuple[int, int | None]:
        first = _EVER if self.start is None else _local(self.start, self.timezone)
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
    digest = hashlib.sha256(json.dumps([schedule, key, salt]).encode()).digest()  # JSON: no two triples are one text
    return "".join(_ALPHABET[byte & 31] for byte in digest[:_ID])


@lru_cache(maxsize=4096)
def _local(text: str, timezone: str) -> int:
    local = datetime.fromisoformat(text)
    offset = local.replace(tzinfo=named(timezone)).utcoffset() or timedelta()
    return (local - _EPOCH - offset) // timedelta(milliseconds=1)


@lru_cache(maxsize=4096)
def _expression(text: str, timezone: str) -> CronExpression:
    return CronExpression.of(text, timezone)
