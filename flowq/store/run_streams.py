"""The streams of runs: their histories and their output. An entry that cannot be read is left out, and logged."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from flowq.store.client.session import Session
from flowq.store.schema.records import Event, LogEntry
from flowq.store.schema.run_rows import Row, end_before, events_of, logs_of

_T = TypeVar("_T")


class RunStreams:
    """The part of `Runs` that reads streams."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def events(self, run: str, after: str = "0", block_ms: int | None = None, count: int = 1000) -> list[Event]:
        """Return the run's events after a position, oldest first; when there are none, wait for some, up to `block_ms`."""
        return self._read_stream(events_of, "events", run, after, block_ms=block_ms, count=count)

    def logs(self, run: str, after: str = "0", block_ms: int | None = None, count: int = 500) -> list[LogEntry]:
        """Return captured output after a position, oldest first; when there is none, wait for some, up to `block_ms`."""
        return self._read_stream(logs_of, "logs", run, after, block_ms=block_ms, count=count)

    def latest_logs(self, run: str, count: int, before: str = "+") -> list[LogEntry]:
        """Return the last entries of captured output before a position, newest first."""
        end = end_before(before)
        with self._session.translated:
            while rows := self._session.client.xrevrange(self._keys("logs", run), end, count=count):
                if found := logs_of(run, [(seq.decode(), row) for seq, row in reversed(rows)]):
                    return found[::-1]
                end = f"({rows[-1][0].decode()}"
        return []

    def position(self, run: str) -> str:
        """Return the position of the latest event of a run, "0" if none is kept."""
        with self._session.translated:
            rows = self._session.client.xrevrange(self._keys("events", run), count=1)
        return rows[0][0].decode() if rows else "0"

    def logs_dropped(self, run: str) -> int:
        """Return how many entries of a run's output are not kept any more: the oldest, when it was more than the limit."""
        key = self._keys("logs", run)
        with self._session.translated:
            if not self._session.client.exists(key):
                return 0
            info = self._session.client.xinfo_stream(key)
        return int(info["entries-added"]) - int(info["length"])

    def _read_stream(
        self,
        read: Callable[[str, Sequence[Row]], list[_T]],
        kind: str,
        run: str,
        after: str,
        *,
        block_ms: int | None,
        count: int,
    ) -> list[_T]:
        block = None if block_ms is None else int(self._session.bounded_wait(block_ms / 1000) * 1000)
        while True:
            with self._session.translated:
                found = self._session.client.xread({self._keys(kind, run): after}, count=count, block=block)
            if not found:
                return []
            entries = next(iter(found.values()))[0] if isinstance(found, dict) else found[0][1]
            if readable := read(run, [(seq.decode(), row) for seq, row in entries]):
                return readable
            after = entries[-1][0].decode()
