"""Backfills: runs for past slots of a schedule, which schedulers make one after the other.

Only the number of open runs is bounded; what is still to come is a cursor, not a pile of runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowq import ids
from flowq.store.client.session import Session
from flowq.store.schedules import NONE
from flowq.store.schema.outcomes import Outcome


@dataclass(frozen=True, slots=True)
class BackfillRecord:
    """A backfill. `fields` are what its maker stored."""

    id: str
    state: str  # running, paused, canceled, done
    reason: str
    cursor: int  # the latest slot that was dealt with, `NONE` at first
    max: int  # runs of it that may be open at once
    created: int  # runs
    left_out: int  # slots
    created_ms: int
    ended_ms: int | None
    open: int
    fields: Mapping[str, str] = field(default_factory=dict)


class Backfills:
    """The store's view of backfills."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def create(self, backfill: str, fields: Mapping[str, str | int]) -> Outcome:
        """Begin a backfill; `fields` must hold `max`, the runs that may be open at once."""
        flat = [part for pair in fields.items() for part in pair]
        return Outcome(self._session.run("backfill/create", backfill, ids.nonce(), flat)[0].decode())

    def advance(self, backfill: str, after: int, cursor: int, *, left_out: int, done: bool) -> Outcome:
        """Move the cursor of a backfill over slots for which it makes no run; `done`: there are no more."""
        return Outcome(self._session.run("backfill/advance", backfill, after, cursor, left_out, done)[0].decode())

    def change(self, backfill: str, state: str, reason: str = "", *, latest_code: bool = False) -> tuple[Outcome, str]:
        """Set the state of a backfill (running, paused, canceled); return the outcome and the state that it had.

        With `latest_code` it goes on with the flow's present text, and any later one.
        """
        outcome, had = self._session.run("backfill/change", backfill, state, reason, latest_code)
        return Outcome(outcome.decode()), had.decode()

    def names(self, limit: int = 1000) -> list[str]:
        """Return the ids of backfills, newest first."""
        with self._session.translated:
            return [item.decode() for item in self._session.client.zrevrange(self._keys("backfills"), 0, limit - 1)]

    def times(self) -> dict[str, int]:
        """Return when each backfill was created (ms), by its id."""
        with self._session.translated:
            rows = self._session.client.zrange(self._keys("backfills"), 0, -1, withscores=True)
        return {item.decode(): int(score) for item, score in rows}

    def get(self, backfill: str) -> BackfillRecord | None:
        """Return a backfill, None if there is none of this id."""
        with self._session.translated:
            pipe = self._session.client.pipeline(transaction=False)
            pipe.hgetall(self._keys("backfill", backfill))
            pipe.zcard(self._keys("holders", f"backfill/{backfill}"))
            row, still_open = pipe.execute()
        return _record(backfill, row, int(still_open)) if row else None

    def open_runs(self, backfill: str) -> list[str]:
        """Return the runs of a backfill that have not ended."""
        with self._session.translated:
            found = self._session.client.zrange(self._keys("holders", f"backfill/{backfill}"), 0, -1)
        return [item.decode() for item in found]


def _record(name: str, row: Mapping[bytes, bytes], still_open: int) -> BackfillRecord:
    fields = {key.decode(): value.decode("utf-8", "replace") for key, value in row.items()}
    ended = fields.get("ended_at")
    return BackfillRecord(
        id=name,
        state=fields["state"],
        reason=fields.get("reason", ""),
        cursor=int(fields.get("cursor", NONE)),
        max=int(fields["max"]),
        created=int(fields["created"]),
        left_out=int(fields["left_out"]),
        created_ms=int(fields["created_at"]),
        ended_ms=None if ended is None else int(ended),
        open=still_open,
        fields=fields,
    )
