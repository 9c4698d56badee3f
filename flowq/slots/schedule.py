"""Schedules: cron expressions and intervals as pure functions of time, in milliseconds since the epoch.

`cronsim` evaluates cron expressions as Debian's cron does, also when clocks are changed: an expression with a fixed minute and
hour happens once on such a day (right after a skipped hour, in the first of two repeated hours); one whose minute or hour starts
with `*`, or that has several seconds, follows real time.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final, Protocol

from flowq.durations import milliseconds, parse_duration
from flowq.exceptions import UsageError
from flowq.slots.timezones import local_of, named, next_change, offset_at

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = 5
_SECONDS: Final = 60
_MINUTE: Final = 60_000
_WINDOWS: Final = tuple(_MINUTE * minutes for minutes in (1, 60, 24 * 60, 32 * 24 * 60, 367 * 24 * 60, 41 * 366 * 24 * 60))
_SHORTEST: Final = 100  # ms
_SECOND: Final = 1000  # ms; the slots of an expression are whole seconds
_FROM: Final = 1_767_225_600_000  # 2026-01-01, from which on an expression has to happen: the same for all machines


class Timetable(Protocol):
    """A schedule. A slot is a time at which it is due."""

    def next_slot(self, after: int | None, now: int) -> int | None:
        """Return the first slot after `after` (the latest slot so far) and after `now`, or None."""

    def missed_slot(self, after: int | None, now: int) -> int | None:
        """Return the last slot later than `after` and not later than `now`, or None."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A fixed interval in milliseconds, counted from the first slot, which is due at once."""

    length: int

    @classmethod
    def of(cls, value: object) -> "Interval":
        """Return the interval for seconds or a string such as "5m".

        Raises:
            UsageError: not a duration, or too short.
        """
        try:
            length = milliseconds(parse_duration(value))
        except UsageError as error:
            raise type(error)(f"interval: {error}") from error
        if length < _SHORTEST:
            raise UsageError(f"interval: expected {_SHORTEST} ms or more, found {value!r}")
        return cls(length)

    def next_slot(self, after: int | None, now: int) -> int | None:
        """See `Timetable`."""
        if after is None or after > now:
            return now if after is None else after + self.length
        return after + ((now - after) // self.length + 1) * self.length

    def missed_slot(self, after: int | None, now: int) -> int | None:
        """See `Timetable`."""
        if after is None:
            return now
        passed = (now - after) // self.length
        return after + passed * self.length if passed > 0 else None


@dataclass(frozen=True, slots=True)
class CronExpression:
    """A cron expression in a time zone."""

    text: str  # as it was written
    fields: str  # as `cronsim` reads it
    zone: tzinfo
    second: int = 0  # within the minute; for an expression with six fields of which the last is one number

    @classmethod
    def of(cls, text: object, zone: tzinfo | str | None = None) -> "CronExpression":
        """Read an expression: five fields, or six with the seconds last, or an alias such as "@daily".

        Args:
            text: the expression.
            zone: a time zone or its name; None: the local one.

        Raises:
            UsageError: not an expression, one that never happens, or an unknown zone.
        """
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"cron: expected an expression such as '30 2 * * *', found {text!r}")
        fields, second = _fields(text)
        made = cls(text, fields, named(zone), second)
        from cronsim import CronSimError

        try:
            never = next(made.slots(_FROM), None) is None
        except CronSimError as error:
            problem = str(error).lower().replace("bad", "wrong")
            raise UsageError(f"cron: {problem} in {text!r}: {_advice(text)}") from error
        if never:
            raise UsageError(f"cron: {text!r} never happens")
        return made

    def next_slot(self, after: int | None, now: int) -> int | None:
        """See `Timetable`: the first of `slots`."""
        start = now if after is None else max(after, now)
        return next(self.slots(start), None)

    def missed_slot(self, after: int | None, now: int) -> int | None:
        """See `Timetable`. Looks back in growing steps, so as not to visit every minute of a year."""
        if after is None or after >= now:
            return None
        for window in _WINDOWS:
            start = max(after, now - window)
            found = self._last(start, now)
            if found is not None or start == after:
                return found
        return None

    def _first(self, after: int, until: int) -> int | None:
        """Return the first slot in (after, until]."""
        slot = next(self.slots(after), None)
        return None if slot is None or slot > until else slot

    def _last(self, after: int, until: int) -> int | None:
        """Return the last slot in (after, until], by halving what lies behind the first one: there may be millions."""
        found = self._first(after, until)
        if found is None or self._first(found, until) is None:
            return found
        end = until
        while end - found >= _SECOND:
            middle = (found + end) // 2
            later = self._first(middle, until)
            if later is None:
                end = middle
            else:
                found = later
        return found

    def slots(self, after: int) -> Iterator[int]:
        """Iterate over the slots later than a time, increasing."""
        offset = self.second * 1000
        times = self._real_times(after - offset) if self._follows_real_time else self._wall_times(after - offset)
        return (time + offset for time in times)

    @property
    def _follows_real_time(self) -> bool:
        minute, hour, *rest = self.fields.split()
        return len(rest) > _FIELDS - 2 or minute.startswith("*") or hour.startswith("*")

    def _wall_times(self, after: int) -> Iterator[int]:
        """Yield the times at which a clock on the wall first shows the time, or would have: where clocks are changed, see above.

        In a repeated hour `cronsim` begins with a time in the first of the two, also when it is asked in the second.
        """
        for time in self._search(local_of(after, self.zone)):
            at = round(time.timestamp() * 1000)
            if at > after:
                yield at

    def _real_times(self, after: int) -> Iterator[int]:
        """Yield all times at which a clock on the wall shows the time.

        The search is in times without a zone, from one change of the clocks to the next: with a zone, `cronsim` looks for hours at the
        wrong minutes once clocks are changed by half an hour.
        """
        start, known = after, after  # where the search begins, and up to where the offset is known
        while True:
            offset = offset_at(known, self.zone)
            for time in self._search(local_of(start, UTC).replace(tzinfo=None) + offset):
                at = round((time.replace(tzinfo=UTC) - offset).timestamp() * 1000)
                change = next_change(known, at, self.zone)
                if change is not None:
                    start, known = change - 1000, change
                    break
                known = at
                yield at
            else:
                return

    def _search(self, start: datetime) -> Iterator[datetime]:
        from cronsim import CronSim

        try:
            yield from CronSim(self.fields, start)
        except OverflowError:  # the end of the year 9999
            return


def _advice(text: str) -> str:
    """Return what to write in the place of an expression with a wrong field."""
    from flowq.slots.cron_ranges import without_wrapping

    meant = without_wrapping(text)
    if meant != " ".join(text.split()):
        with suppress(UsageError):
            CronExpression.of(meant, UTC)
            return f"a range goes up, write {meant!r}"
    return "expected minute hour day month weekday, and seconds as a sixth field if need be"


def _fields(text: str) -> tuple[str, int]:
    """Return an expression for `cronsim`, which has the seconds as first field, and the seconds to add to its times.

    A single fixed second is added afterwards, because with six fields `cronsim` does not handle clock changes.
    """
    written = text.strip().lower()
    if written.startswith("@"):
        if written not in _ALIASES:
            raise UsageError(f"cron: there is no {text!r}, expected one of {', '.join(_ALIASES)}")
        return _ALIASES[written], 0
    *fields, last = text.split()
    if len(fields) == _FIELDS - 1:
        return " ".join([*fields, last]), 0
    if len(fields) == _FIELDS and last.isascii() and last.isdigit() and int(last) < _SECONDS:
        return " ".join(fields), int(last)
    if len(fields) == _FIELDS:
        return " ".join([last, *fields]), 0
    raise UsageError(
        f"cron: expected five fields (minute hour day month weekday), or six with the seconds last, found {len(fields) + 1} in {text!r}"
    )
