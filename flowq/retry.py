"""`Retry`: how often and when a job is executed again. Light to import: horses recognise it as a return value."""

from collections.abc import Iterable, Sequence

from flowq.durations import from_milliseconds, parse_intervals, parse_times


class Retry:
    """Ask for more attempts, at `enqueue(retry=Retry(...))` for exceptions, or as a job's return value.

    Args:
        max: retries after the first attempt, at least 1.
        interval: time to wait before a retry, in seconds or as text such as `"5m"`; several give one wait per retry, the last one repeats.
        enqueue_at_front: put the job at the front of its queue.

    Raises:
        UsageError: `max` is no whole number of at least 1, or an interval is no duration.
    """

    def __init__(
        self,
        max: int,  # noqa: A002 - RQ's name
        interval: float | str | Iterable[float | str] | None = 0,
        enqueue_at_front: bool = False,
    ) -> None:
        self.max = parse_times(max, "Retry(max=…)")
        self.intervals = parse_intervals(interval, "Retry(interval=…)")
        self.enqueue_at_front = enqueue_at_front

    def interval_for(self, retry: int) -> float:
        """Return the seconds to wait before the `retry`-th retry, counted from 1; the last interval repeats."""
        return self.intervals[min(retry, len(self.intervals)) - 1]

    @classmethod
    def get_interval(cls, count: int, intervals: "float | Sequence[float] | None") -> float:
        """Return the seconds to wait before a retry, counted from 0: that of `intervals`, of which the last one repeats."""
        waits = cls(1, intervals or 0).intervals
        return waits[min(count, len(waits) - 1)]

    def stored(self) -> str:
        """Return its stored form: `<max>|<ms>,<ms>,…|<jitter in %>|<front 0 or 1>`."""
        waits = ",".join(str(int(item * 1000)) for item in self.intervals)
        return f"{self.max}|{waits}|0|{1 if self.enqueue_at_front else 0}"

    @classmethod
    def restored(cls, text: str | None) -> "Retry | None":
        """Return it from its stored form."""
        if not text:
            return None
        times, waits, _, front = text.split("|")
        return cls(int(times), [from_milliseconds(item) for item in waits.split(",")], front == "1") if int(times) else None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Retry) and other.stored() == self.stored()

    def __hash__(self) -> int:
        return hash(self.stored())

    def __repr__(self) -> str:
        interval = self.intervals[0] if len(self.intervals) == 1 else self.intervals
        return f"Retry(max={self.max}, interval={interval}, enqueue_at_front={self.enqueue_at_front})"
