"""The output of one execution of a job as bytes: a part of it, the lines that have a text in them, all of it.

Bytes are counted from the first one that the execution wrote, whether it is still kept or not, so a byte keeps its number. However much
there is, a part takes the memory of a few of its entries: `JobLogs` tells where it begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowq.flows.views.job_log import LogChoice, read_entries
from flowq.flows.views.run_view import ordinal_of
from flowq.ids import member_id
from flowq.plan import Json
from flowq.store.page.live import order_of
from flowq.store.schema.records import LogEntry, LogIndex

if TYPE_CHECKING:
    from flowq.store import Store

_SEARCHED: Final = 8 * 1024 * 1024  # bytes of output that one search looks at
_LINE: Final = 500  # characters of a line that has been found
_LONGEST: Final = 1024 * 1024  # bytes of a line: more count as several
_END: Final = 2**62  # a byte behind all others
_HEAD: Final = 64 * 1024  # bytes that are kept at the beginning (`HEAD_BYTES` in `append_logs.lua`)


@dataclass(frozen=True, slots=True)
class LogPart:
    """A part of a job's output.

    Attributes:
        data: the bytes.
        first: number of the first one; behind the one that was asked for if that is not kept any more.
        total: bytes that the execution has written.
        dropped: entries of the run that are not kept any more.
    """

    data: bytes
    first: int
    total: int
    dropped: int


def read_part(store: "Store", run: str, choice: LogChoice, *, offset: int, limit: int, tail: bool = False) -> LogPart:
    """Return a part of a job's output.

    Args:
        store: where the run is.
        run: its id.
        choice: of which job; of one stream, only its bytes count.
        offset: of the first byte.
        limit: bytes at most.
        tail: the last bytes, whatever `offset` is.
    """
    dropped = store.runs.logs_dropped(run)
    output = _Output.of(store, run, choice)
    if output is None:
        return LogPart(b"", 0, 0, dropped)
    if choice.stream is not None or output.index.written is None:
        return _counted(output.chunks(), offset, limit, dropped, tail=tail)
    total = output.total()
    offset = max(0, total - limit) if tail else min(offset, total)
    first, found = offset, bytearray()
    for at, data in output.chunks(offset):
        if at + len(data) <= offset:
            continue
        begin = max(at, offset)
        if not found:
            first = begin
        elif begin != first + len(found):
            break  # what is between is not kept
        found += data[begin - at :]
        if len(found) >= limit:
            break
    return LogPart(bytes(found[:limit]), first if found else total, total, dropped)


def read_chunks(store: "Store", run: str, choice: LogChoice) -> Iterator[bytes]:
    """Yield the output of a job as it was printed, in one pass, with a line in place of what is not kept."""
    output = _Output.of(store, run, choice)
    end = 0
    for at, data in () if output is None else output.chunks():
        if at > end:
            yield b"[flowq: %d bytes were not kept]\n" % (at - end)
        end = at + len(data)
        yield data


def find_text(store: "Store", run: str, choice: LogChoice, text: str, limit: int, *, offset: int = 0) -> dict[str, Json]:
    """Return lines of a job's output that have a text in them: number of the line's first byte, and the line.

    A to Z and a to z are the same. A search looks at a few megabytes: `next` is where another one goes on, None at the end.
    """
    output = _Output.of(store, run, choice)
    hits: list[Json] = []
    wanted = text.encode().lower()
    searched = 0
    for at, lines in () if output is None else _lines(output.chunks(offset), offset):
        low, place = lines.lower(), 0
        while (place := low.find(wanted, place)) >= 0:
            begin, end = lines.rfind(b"\n", 0, place) + 1, lines.find(b"\n", place)
            end = len(lines) if end < 0 else end
            hits.append([at + begin, _around(lines[begin:end], place - begin)])
            place = end + 1
            if len(hits) == limit:
                return {"hits": hits, "next": at + place}
        searched += len(lines)
        if searched >= _SEARCHED:
            return {"hits": hits, "next": at + len(lines)}
    return {"hits": hits, "next": None}


def _around(line: bytes, place: int) -> str:
    begin = max(0, place - _LINE // 2) if len(line) > _LINE else 0
    return line[begin : begin + _LINE].decode("utf-8", "backslashreplace")


def _lines(chunks: Iterator[tuple[int, bytes]], offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield whole lines that begin at or behind an offset, many at a time, with the number of their first byte."""
    rest, begin = b"", offset
    for number, chunk in chunks:
        data = chunk[max(0, offset - number) :]
        at = number + len(chunk) - len(data)
        if rest and at != begin + len(rest):
            yield begin, rest
            rest = b""
        if not rest:
            begin = at
        rest += data
        end = len(rest) if len(rest) > _LONGEST else rest.rfind(b"\n") + 1
        if end:
            yield begin, rest[:end]
            rest, begin = rest[end:], begin + end
    if rest:
        yield begin, rest


def _counted(chunks: Iterator[tuple[int, bytes]], offset: int, limit: int, dropped: int, *, tail: bool) -> LogPart:
    """Return a part of what has not been counted: all of it is read, and the part alone is kept."""
    found, total = bytearray(), 0
    for _, data in chunks:
        if tail:
            found += data
            del found[: max(0, len(found) - limit)]
        elif total + len(data) > offset and len(found) < limit:
            found += data[max(0, offset - total) :]
        total += len(data)
    first = total - len(found) if tail else min(offset, total)
    return LogPart(bytes(found[:limit]), first, total, dropped)


@dataclass(frozen=True, slots=True)
class _Output:
    """What one execution of a job printed."""

    store: "Store"
    run: str
    job: str
    choice: LogChoice
    index: LogIndex
    execution: int

    @classmethod
    def of(cls, store: "Store", run: str, choice: LogChoice) -> "_Output | None":
        """Return the output that is meant, None if there is none."""
        assert choice.ordinal is not None, "the output of one job"
        job = member_id(run, choice.ordinal)
        index = store.job_logs.index(job)
        if index is None or (choice.execution or 0) > index.execution:
            return None
        return cls(store, run, job, choice, index, choice.execution or index.execution)

    def total(self) -> int:
        """Return how many bytes it has written."""
        if self.execution == self.index.execution and self.index.written is not None:
            return self.index.written
        total = 0
        for at, data in replace(self, choice=replace(self.choice, stream=None)).chunks(_END):
            total = at + len(data)
        return total

    def chunks(self, offset: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield numbers of first bytes and the bytes, from the entry that has a byte, or from an earlier one."""
        counted = 0
        for entry in self._entries(self._begin(offset)):
            at = counted if entry.offset is None else entry.offset
            counted = at + len(entry.data)
            if self.choice.fits(entry):
                yield at, entry.data
            if self.execution == self.index.execution and self.index.written == counted:
                return

    def _begin(self, offset: int) -> str:
        """Return a position before the entry that has a byte."""
        mark = self.store.job_logs.mark(self.job, self.execution, offset)
        if mark is None:
            return _before(self.index.first)
        if mark[0] > _HEAD and order_of(mark[1]) <= order_of(self.index.trimmed):
            return self.index.trimmed
        return _before(mark[1])

    def _entries(self, after: str) -> Iterator[LogEntry]:
        for entry in read_entries(self.store, self.run, after):
            if ordinal_of(entry.job) == self.choice.ordinal:
                if entry.execution > self.execution:
                    return
                if entry.execution == self.execution:
                    yield entry


def _before(position: str) -> str:
    """Return the position that is just before another one."""
    at_ms, number = order_of(position)
    if number:
        return f"{at_ms}-{number - 1}"
    return f"{at_ms - 1}-{2**64 - 1}" if at_ms else "0"
