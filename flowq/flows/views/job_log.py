"""What one job, or all jobs of a run, printed: parts of it by position or by bytes.

A run keeps one stream of output; that of a job is found by reading it. What is not kept any more is counted in entries of the run.
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
"""Bytes of a part."""

_AT_ONCE: Final = 500  # entries


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


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a job's output: its bytes, where they are among all of them, and the entries of the run that are not kept any more."""

    data: bytes
    first: int
    total: int
    dropped: int
    execution: int | None


def read_entries(store: "Store", run: str, after: str = "0") -> Iterator[LogEntry]:
    """Yield the output of a run after a position, oldest first."""
    while entries := store.runs.logs(run, after=after, count=_AT_ONCE):
        after = entries[-1].seq
        yield from entries


def read_chunks(store: "Store", run: str, choice: LogChoice) -> Iterator[bytes]:
    """Yield the output of a job as it was printed, in one pass."""
    execution = _execution(store, run, choice)
    for entry in read_entries(store, run):
        if choice.fits(entry) and entry.execution == execution:
            yield entry.data


def read_part(store: "Store", run: str, choice: LogChoice, *, offset: int, limit: int, tail: bool = False) -> LogPart:
    """Return a part of a job's output.

    Args:
        store: where the run is.
        run: its id.
        choice: of which job.
        offset: of the first byte.
        limit: bytes at most.
        tail: the last bytes, whatever `offset` is.
    """
    execution = _execution(store, run, choice)
    whole = b"".join(read_chunks(store, run, LogChoice(choice.ordinal, execution, choice.stream)))
    first = max(0, len(whole) - limit) if tail else min(offset, len(whole))
    return LogPart(whole[first : first + limit], first, len(whole), store.runs.logs_dropped(run), execution)


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


def entry_row(entry: LogEntry) -> list[Json]:
    """Return an entry as a row."""
    return [entry.seq, iso(entry.at_ms), ordinal_of(entry.job), entry.stream, entry.data.decode("utf-8", "backslashreplace")]


def find_text(store: "Store", run: str, choice: LogChoice, text: str, limit: int) -> list[Json]:
    """Return the lines of a job's output that have a text in them: number of the line, from 1, and the line."""
    found: list[Json] = []
    number, rest = 0, b""
    wanted = text.encode()
    for chunk in read_chunks(store, run, choice):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            number += 1
            if wanted in line:
                found.append([number, line.decode("utf-8", "backslashreplace")])
                if len(found) == limit:
                    return found
    if wanted in rest:
        found.append([number + 1, rest.decode("utf-8", "backslashreplace")])
    return found


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


def _execution(store: "Store", run: str, choice: LogChoice) -> int | None:
    """Return the execution that is meant: the latest one of which there is output."""
    if choice.execution is not None:
        return choice.execution
    latest = None
    for entry in read_entries(store, run):
        if choice.fits(entry):
            latest = entry.execution if latest is None else max(latest, entry.execution)
    return latest
