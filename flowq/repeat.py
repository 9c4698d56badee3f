"""`Repeat`: a job that is executed again after each success."""

from collections.abc import Iterable, Sequence

from flowq.durations import from_milliseconds, whole
from flowq.exceptions import UsageError


class Repeat:
    """Execute a job again after it has succeeded.

    Args:
        times: repetitions after the first execution, at least 1.
        interval: seconds between the end of one and the next; several give one wait per repetition, the last one repeats.

    Raises:
        UsageError: `times` below 1 or a negative interval.
    """

    def __init__(self, times: int, interval: float | Iterable[float] | None = 0) -> None:
        if times < 1:
            raise UsageError(f"Repeat(times=…) must be at least 1, got {times}")
        given = 0 if interval is None else interval
        intervals = [whole(given)] if isinstance(given, (int, float)) else [whole(item) for item in given]
        if any(item < 0 for item in intervals):
            raise UsageError(f"Repeat(interval=…) must not be negative, got {interval!r}")
        self.times = times
        self.intervals = intervals or [0]

    def intervals_before(self, repetitions: int) -> list[float]:
        """Return the waits before the repetitions that have been."""
        last = len(self.intervals) - 1
        return [self.intervals[min(number, last)] for number in range(repetitions)]

    def intervals_after(self, repetitions: int) -> list[float]:
        """Return the waits before those that are left after so many; the last one stays."""
        return self.intervals[min(repetitions, len(self.intervals) - 1) :]

    @classmethod
    def get_interval(cls, count: int, intervals: "float | Sequence[float] | None") -> float:
        """Return the seconds to wait before a repetition, counted from 0: that of `intervals`, of which the last one repeats."""
        waits = cls(1, intervals or 0).intervals
        return waits[min(count, len(waits) - 1)]

    def stored(self) -> str:
        """Return its stored form: `<times>|<ms>,<ms>,…`."""
        return f"{self.times}|{','.join(str(int(item * 1000)) for item in self.intervals)}"

    @classmethod
    def restored(cls, text: str | None) -> "Repeat | None":
        """Return it from its stored form."""
        if not text:
            return None
        times, _, waits = text.partition("|")
        return cls(int(times), [from_milliseconds(item) for item in waits.split(",")])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Repeat) and other.stored() == self.stored()

    def __hash__(self) -> int:
        return hash(self.stored())

    def __repr__(self) -> str:
        return f"Repeat(times={self.times}, intervals={self.intervals})"
