"""The times that the jobs of a run took, and nothing else of them: whole records of thousands of jobs take too long where only these are wanted."""

from typing import Final

from flowq.ids import member_id
from flowq.states import JobStatus, Reason
from flowq.store.client.session import Session

_AT_ONCE: Final = 500  # jobs that are read by one pipeline
_FIELDS: Final = ("status", "reason", "started_at", "ended_at")
_LONGEST: Final = 1e9  # s


def durations(session: Session, run: str, count: int) -> list[float | None]:
    """Return the seconds that each of the first `count` jobs of a run took, None of those that did not finish, or took an earlier result over."""
    seconds: list[float | None] = []
    for start in range(0, count, _AT_ONCE):
        with session.translated:
            pipe = session.client.pipeline(transaction=False)
            for ordinal in range(start, min(start + _AT_ONCE, count)):
                pipe.hmget(session.keys("job", member_id(run, ordinal)), _FIELDS)
            rows = pipe.execute(raise_on_error=False)  # of a damaged key, which is no hash, there is an error
        seconds += [_seconds(*found) if isinstance(found, list) else None for found in rows]
    return seconds


def _seconds(status: bytes | None, reason: bytes | None, started: bytes | None, ended: bytes | None) -> float | None:
    if status != JobStatus.FINISHED.encode() or reason == Reason.CACHED.encode() or started is None or ended is None:
        return None
    try:
        taken = (float(ended) - float(started)) / 1000
    except ValueError:  # a damaged record: nothing is known of it
        return None
    return max(0.0, taken) if taken < _LONGEST else None  # nor of one whose times are infinite, or no numbers
