"""Counters of what has happened, and what there is at this moment, for observers outside. Reading changes nothing."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowq.states import JobStatus
from flowq.store.client.session import Session
from flowq.store.schema.constants import TIME_BOUNDS
from flowq.store.schema.instants import instant

BOUNDS_S: Final = tuple(bound / 1000 for bound in TIME_BOUNDS)
"""The bounds of the buckets of times, in seconds."""

WAITING: Final = (JobStatus.STARTED, JobStatus.DEFERRED, JobStatus.SCHEDULED, JobStatus.RATE_LIMITED)
"""The statuses that a job of a queue may have before its end, besides queued."""

_SERIES: Final = re.compile(rb"(?P<labels>.*?)\|#(?P<length>\d+)\|(?P<names>.*)", re.DOTALL)
_RUNS: Final = 10_000  # the newest runs that are looked at
_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True)
class Count:
    """A counter.

    Attributes:
        kind: job (ended), run (ended), slot (dealt with), lost (execution).
        labels: words of flowq's own. Of a job: status, reason, and the buckets of the times of its last execution and of its wait before it: bounds in
            ms, `inf`, or "" if it was not executed. Of a run: status, cause, and the bucket of its time. Of a slot: what became of it.
        first: the name of a flow, queue or schedule; "" where there is none.
        second: of a job, the name of its queue.
        value: how often.
    """

    kind: str
    labels: tuple[str, ...]
    first: str
    second: str
    value: int


@dataclass(frozen=True, slots=True)
class QueueGauges:
    """A queue at this moment: jobs by status, and the age in seconds of the one that is next (None: there is none)."""

    name: str
    jobs: dict[JobStatus, int]
    oldest: float | None


class Stats:
    """The store's view of what is counted."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def counts(self) -> list[Count]:
        """Return all counters, in order of their names. They begin with the data of the namespace, and only grow."""
        with self._session.translated:
            found = self._session.client.hgetall(self._keys("stats"))
        return [_count(series, value) for series, value in sorted(found.items())]

    def queues(self, names: Sequence[str]) -> list[QueueGauges]:
        """Return the states of queues."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.time()
            for name in names:
                pipe.zcard(self._keys("queue", name))
                for status in WAITING:
                    pipe.zcard(self._keys("registry", status, name))
                pipe.zrange(self._keys("queue", name), 0, 0)
            (seconds, micros), *rows = pipe.execute()
            states = [rows[at : at + len(WAITING) + 2] for at in range(0, len(rows), len(WAITING) + 2)]
            pipe = self._session.client.pipeline(transaction=False)
            for state in states:
                pipe.hget(self._keys("job", state[-1][0].decode() if state[-1] else ""), "enqueued_at")
            since = pipe.execute()
        now = seconds + micros / 1e6
        return [
            QueueGauges(
                name,
                dict(zip((JobStatus.QUEUED, *WAITING), map(int, state), strict=False)),
                None if at is None else max(0.0, now - at / 1000),
            )
            for name, state, at in zip(names, states, map(_instant, since), strict=True)
        ]

    def runs(self) -> Counter[tuple[str, str]]:
        """Return how many runs are stored, by flow and status; of more than 10,000 the newest ones."""
        found: Counter[tuple[str, str]] = Counter()
        with self._session.translated:
            ids = self._session.client.zrevrange(self._keys("runs"), 0, _RUNS - 1)
            for some in (ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)):
                pipe = self._session.client.pipeline(transaction=False)
                for run in some:
                    pipe.hmget(self._keys("run", run.decode()), "flow", "status")
                found.update(
                    (flow.decode("utf-8", "replace"), status.decode("utf-8", "replace"))
                    for flow, status in pipe.execute()
                    if flow and status
                )
        return found


def _instant(text: bytes | None) -> int | None:
    """Return a time, None of none and of a damaged one: figures that are asked for every few seconds do not fail for one record."""
    try:
        return None if text is None else instant(text.decode())
    except ValueError:
        return None


def _count(series: bytes, value: bytes) -> Count:
    match = _SERIES.fullmatch(series)
    assert match is not None, "a field of the hash is a series"
    kind, *labels = match["labels"].decode().split("|")
    length, names = int(match["length"]), match["names"]
    first, second = (part.decode("utf-8", "replace") for part in (names[:length], names[length:]))
    return Count(kind, tuple(labels), first, second, int(value))
