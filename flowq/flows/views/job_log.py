"""What one job, or all jobs of a run, printed, as entries by their position.

A run keeps one stream of output. That of one job is found by its index: `flowq.flows.views.log_bytes` reads it by bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowq.flows.views.run_view import ordinal_of
from flowq.plan import Json
from flowq.store.schema.documents import iso
from flowq.store.schema.records import LogEntry

if TYPE_CHECKING:
    from flowq.store import Store

BYTES: Final = 1024 * 1024
"""Bytes of a part, and about as many as are read from the store at once: entries have up to 64 KiB."""

_FEW: Final = 16  # entries that have no more than BYTES
_MANY: Final = 250


@dataclass(frozen=True, slots=True)
class LogChoice:
    """Which output of a run.

    Attributes:
        ordinal: of the job; None: all jobs.
        execution: number of the execution; None: of the latest one that printed.
        stream: out or err; None: both.
    """

    ordinal: int | None = None
    execution: int | None = None
    stream: str | None = None

    def fits(self, entry: LogEntry) -> bool:
        """Return whether an entry belongs to it, whatever its execution."""
        return (self.ordinal is None or ordinal_of(entry.job) == self.ordinal) and self.stream in {None, entry.stream}


def read_entries(store: "Store", run: str, after: str = "0") -> Iterator[LogEntry]:
    """Yield the output of a run after a position, oldest first."""
    count = _FEW
    while entries := store.runs.logs(run, after=after, count=count):
        after = entries[-1].seq
        yield from entries
        size = sum(len(entry.data) for entry in entries)
        count = max(_FEW, min(_MANY, count * BYTES // max(size, 1)))


def read_page(store: "Store", run: str, choice: LogChoice, after: str, limit: int) -> dict[str, Json]:
    """Return entries after a position, as rows of position, time, ordinal, stream and text; of a choice of all executions, each one's."""
    rows: list[Json] = []
    size, position, more = 0, after, False
    for entry in _whole(read_entries(store, run, after)):
        if entry[0].seq != position and (len(rows) >= limit or size >= BYTES):
            more = True
            break
        position = entry[0].seq
        for piece in entry:
            if choice.fits(piece) and choice.execution in {None, piece.execution}:
                rows.append(entry_row(piece))
                size += len(piece.data)
    return {"entries": rows, "next": position, "more": more, "dropped": store.runs.logs_dropped(run)}


def read_page_before(store: "Store", run: str, before: str, limit: int) -> dict[str, Json]:
    """Return the latest entries before a position ("+": the latest of all), as `read_page`; `next` is the position of the first of them."""
    found: list[LogEntry] = []
    size, count, more = 0, _FEW, True
    while more and len(found) < limit and size < BYTES:
        entries = store.runs.latest_logs(run, count, before)
        more = bool(entries)
        found += entries
        size += sum(len(entry.data) for entry in entries)
        before = entries[-1].seq if entries else before
        count = max(_FEW, min(_MANY, limit, count * BYTES // max(size, 1)))
    rows: list[Json] = [entry_row(entry) for entry in reversed(found)]
    return {"entries": rows, "next": before, "more": more, "dropped": store.runs.logs_dropped(run)}


def entry_row(entry: LogEntry) -> list[Json]:
    """Return an entry as a row."""
    return [entry.seq, iso(entry.at_ms), ordinal_of(entry.job), entry.stream, entry.data.decode("utf-8", "backslashreplace")]


def _whole(entries: Iterator[LogEntry]) -> Iterator[Sequence[LogEntry]]:
    """Yield the pieces that were stored together: they have one position."""
    group: list[LogEntry] = []
    for entry in entries:
        if group and entry.seq != group[0].seq:
            yield group
            group = []
        group.append(entry)
    if group:
        yield group
