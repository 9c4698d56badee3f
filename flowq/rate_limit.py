"""`RateLimit`: how many jobs of a kind may run or be queued at once, and how many may start in a period."""

from typing import TYPE_CHECKING, Any, Final

from flowq.connections.stores import connection_of, store_for
from flowq.durations import parse_duration
from flowq.exceptions import UsageError
from flowq.ids import checked_name

if TYPE_CHECKING:
    from flowq.store import Store

_MOST: Final = 100_000  # starts that are remembered for one limit


class RateLimit:
    """A limit shared by all jobs with the same key, whatever their queues: `queue.enqueue(f, rate_limit=RateLimit("api", 2))`.

    Args:
        key: what the jobs have in common, e.g. the service that they call.
        concurrency: how many of them may be queued or executed at once.
        rate: how many of them may start in any `period`.
        period: seconds, or text such as "1m"; belongs to `rate`.

    Raises:
        UsageError: neither `concurrency` nor `rate` is given, or one of them is not possible.
    """

    def __init__(
        self, key: str, concurrency: int | None = None, rate: int | None = None, period: float | str | None = None
    ) -> None:
        if concurrency is None and rate is None:
            raise UsageError("RateLimit needs concurrency=…, or rate=… and period=…, or all three")
        if (rate is None) != (period is None):
            raise UsageError("RateLimit: rate=… and period=… belong together")
        self.key = checked_name(key, "RateLimit(key=…)")
        self.concurrency = None if concurrency is None else _count("concurrency", concurrency)
        self.rate = None if rate is None else _count("rate", rate)
        self.period = None if period is None else parse_duration(period)
        if self.period is not None and self.period < 0.001:
            raise UsageError(f"RateLimit(period=…) must be at least a millisecond, found {period!r}")

    def fields(self) -> dict[str, str]:
        """Return its stored form."""
        numbers = (self.concurrency, self.rate, None if self.period is None else int(self.period * 1000))
        parts = ("" if number is None else str(number) for number in numbers)
        return {"semaphores": f"0 rate/{self.key}", "rate_limit": "|".join(parts)}

    @classmethod
    def restored(cls, semaphores: str | None, rate_limit: str | None) -> "RateLimit | None":
        """Return it from its stored form."""
        if not semaphores or not rate_limit:
            return None
        concurrency, rate, period = (int(part) if part else None for part in rate_limit.split("|"))
        return cls(semaphores.partition("/")[2], concurrency, rate, None if period is None else period / 1000)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RateLimit) and other.fields() == self.fields()

    def __hash__(self) -> int:
        return hash(tuple(self.fields().items()))

    def __repr__(self) -> str:
        given = {"concurrency": self.concurrency, "rate": self.rate, "period": self.period}
        return f"RateLimit({self.key!r}, {', '.join(f'{name}={value}' for name, value in given.items() if value is not None)})"


class RateLimitRegistry:
    """The jobs that run, are queued, or wait under one key.

    Args:
        key: of the rate limit.
        connection: a redis-py client; without one the configured server.
    """

    def __init__(self, key: str, connection: Any = None) -> None:
        self.key = key
        self.store: Store = store_for(connection)

    @classmethod
    def all(cls, connection: Any = None) -> "list[RateLimitRegistry]":
        """Return those that have jobs, by key."""
        store = store_for(connection)
        return [cls(key, connection_of(store)) for key in store.semaphores.limited()]

    def get_allowed_job_ids(self) -> list[str]:
        """Return the ids of the jobs that are executed or have a place in a queue."""
        return self.store.semaphores.holders(f"rate/{self.key}")

    def get_rate_limited_job_ids(self) -> list[str]:
        """Return the ids of the jobs that wait, the next one first."""
        return self.store.semaphores.waiters(f"rate/{self.key}")

    def get_allowed_job_count(self) -> int:
        """Return how many jobs are executed or have a place in a queue."""
        return len(self.get_allowed_job_ids())

    def get_rate_limited_job_count(self) -> int:
        """Return how many jobs wait."""
        return len(self.get_rate_limited_job_ids())

    def cleanup(self) -> None:
        """Do nothing: a job releases its place in the step in which it ends, is lost or is deleted."""


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= _MOST:
        raise UsageError(f"RateLimit({name}=…) must be a whole number from 1 to {_MOST:,}, found {value!r}")
    return value
