"""Reading many streams of runs at once: for one reader that tells many others."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from flowq.store.client.session import Session
from flowq.store.schema.records import Event, LogEntry
from flowq.store.schema.run_rows import events_of, logs_of

_Entry = TypeVar("_Entry", Event, LogEntry)
_AT_ONCE = 2000  # entries of a stream


@dataclass(frozen=True, slots=True)
class Changes:
    """What was read: events and output by run, and the position up to which each stream is read."""

    events: Mapping[str, list[Event]]
    logs: Mapping[str, list[LogEntry]]
    positions: Mapping[tuple[str, str], str]

    def until(self, ends: Mapping[tuple[str, str], str]) -> "Changes":
        """Return what came up to these positions, one for each stream."""
        events = {run: _up_to(found, ends["events", run]) for run, found in self.events.items()}
        logs = {run: _up_to(found, ends["logs", run]) for run, found in self.logs.items()}
        places = {stream: min(place, ends[stream], key=order_of) for stream, place in self.positions.items()}
        return Changes(
            {run: found for run, found in events.items() if found}, {run: found for run, found in logs.items() if found}, places
        )


def order_of(position: str) -> tuple[int, int]:
    """Return the key by which positions in a stream are in order."""
    at_ms, _, number = position.partition("-")
    return int(at_ms), int(number or 0)


def _up_to(entries: list[_Entry], end: str) -> list[_Entry]:
    return [entry for entry in entries if order_of(entry.seq) <= order_of(end)]


class LiveStreams:
    """The store's view of the streams of all runs."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._keys = session.keys

    def read(self, positions: Mapping[tuple[str, str], str], wait: float = 0.0) -> Changes:
        """Return what came after these positions.

        Args:
            positions: by kind of stream ("events" or "logs") and run; the positions after which to read.
            wait: seconds to wait if there is nothing; 0: not at all.
        """
        names = {self._keys(kind, run): (kind, run) for kind, run in positions}
        wanted = {self._keys(*name): after for name, after in positions.items()}
        block = None if wait <= 0 else max(1, int(self._session.bounded_wait(wait) * 1000))
        with self._session.translated:
            found = self._session.client.xread(wanted, count=_AT_ONCE, block=block) if wanted else []
        events: dict[str, list[Event]] = {}
        logs: dict[str, list[LogEntry]] = {}
        read: dict[tuple[str, str], str] = {}
        for key, rows in found.items() if isinstance(found, dict) else found or ():
            kind, run = names[key.decode()]
            entries = rows[0] if isinstance(found, dict) else rows
            read[kind, run] = entries[-1][0].decode()
            if kind == "events":
                events[run] = events_of(run, [(seq.decode(), row) for seq, row in entries])
            else:
                logs[run] = logs_of(run, [(seq.decode(), row) for seq, row in entries])
        return Changes(events, logs, read)
