"""Values with their labels."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from flowq.store.page.stats import BOUNDS_S
from flowq.store.schema.constants import COUNTED_NAMES

OTHER: Final = "other"
"""In place of the names beyond the first 200."""

_MERGED: Final[dict[str, Callable[[float, float], float]]] = {
    "flowq_queue_oldest_seconds": max,
    "flowq_schedule_lag_seconds": max,
    "flowq_schedule_next_timestamp_seconds": min,
    "flowq_executor_up": min,
}
"""How values of `other` are put together where their sum says nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A value. `suffix`: of the parts of a histogram, `_bucket`, `_sum` and `_count`."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    suffix: str = ""


def sample(name: str, value: float, **labels: str) -> Sample:
    """Return a value with its labels."""
    return Sample(name, tuple(labels.items()), value)


class Histogram:
    """Times in buckets, of which the last one has no bound. The sum is known of times that were observed one by one."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum: float | None = None  # s

    def observe(self, seconds: float) -> None:
        """Count a time."""
        self.add(seconds, 1)
        self._sum = (self._sum or 0.0) + seconds

    def add(self, bound: float, count: int) -> None:
        """Count times by the bound (s) of their bucket."""
        self._counts[bisect_left(BOUNDS_S, bound)] += count

    def samples(self, name: str, **labels: str) -> Iterator[Sample]:
        """Yield its parts."""
        pairs, total = tuple(labels.items()), 0
        for bound, count in zip((*BOUNDS_S, float("inf")), self._counts, strict=True):
            total += count
            yield Sample(name, (*pairs, ("le", "+Inf" if bound == float("inf") else f"{bound:g}")), total, "_bucket")
        if self._sum is not None:
            yield Sample(name, pairs, self._sum, "_sum")
        yield Sample(name, pairs, total, "_count")


def bounded(samples: Iterable[Sample], label: str) -> Iterator[Sample]:
    """Yield samples of gauges, those with names beyond the first 200 put together as `other`."""
    names: set[str] = set()
    rest: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for item in samples:
        name = dict(item.labels)[label]
        if name in names or len(names) < COUNTED_NAMES:
            names.add(name)
            yield item
        else:
            labels = tuple((key, OTHER if key == label else value) for key, value in item.labels)
            before = rest.get((item.name, labels))
            rest[item.name, labels] = item.value if before is None else _merged(item.name, before, item.value)
    for (metric, labels), value in rest.items():
        yield Sample(metric, labels, value)


def _merged(name: str, one: float, another: float) -> float:
    merge = _MERGED.get(name)
    return one + another if merge is None else merge(one, another)
