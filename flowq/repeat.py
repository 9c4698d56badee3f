"""`Repeat`: a job that is executed again after each success."""

from collections.abc import Iterable, Sequence

from flowq.durations import from_milliseconds, parse_intervals, parse_times


class Repeat:
    """Execute a job again after it has succeeded.

    Args:
        times: repetitions after the first execution, at least 1.
        interval: time between the end of one and the next, in seconds or as text such as `"5m"`; several give one wait per repetition,
            the last one repeats.

    Raises:
        UsageError: `times` is no whole number of at least 1, or an interval is no duration.
    """

    def __init__(self, times: int, interval: float | str | Iterable[float | str] | None = 0) -> None:
        self.times = parse_times(times, "Repeat(times=…)")
        self.intervals = parse_intervals(interval, "Repeat(interval=…)")

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
