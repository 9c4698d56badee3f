"""The output of a job, from its two pipes to entries for the log, in the order in which it was written.

Order: while a job uses both streams, each pipe holds one write at a time, and the kernel reports the writes (`flowq.worker.ipc.write_order`).
So a report is one write, and the reports of both pipes have its order. A write that is longer than a page is reported at its end and read
piece by piece before. That costs a writer one change of processes per write. A job that has written much to one stream alone gets pipes of
the usual size until it uses the other one; so does one that has made its stdout or stderr non-blocking, as it would often find them full.

Output that is not fetched holds the job back, as a full pipe does everywhere: its pipe is not read any more until `take` was called.
Only when that takes too long (the owner decides, and calls `let_go`) the job continues, and its oldest output is dropped.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Final

from flowq.worker.ipc.write_order import MISSING
from flowq.worker.supervisor.output.buffer import OutputBuffer
from flowq.worker.supervisor.output.pipes import PAGE

if TYPE_CHECKING:
    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.supervisor.output.pipes import OutputPipes

_DRAIN_READS: Final = 17  # one pipe of 1 MiB (the largest an unprivileged program can make) and the end of it
_ALONE_BYTES: Final = 64 * 1024  # to one stream alone, after which its pipe holds more than one write
_ALONE_WRITES: Final = 500
_TURNS: Final = 64  # writes that are read in one go, before other descriptors get their turn
_LOOKS: Final = 50  # for the report of a write that can be read already: its writer was interrupted between the two
_FEWEST_LOOKS: Final = 4
_PATIENCE: Final = 20  # turns of the loop without the report
_STREAMS: Final = ("out", "err")


class JobOutput:
    """The output of one execution: reads its two pipes and keeps the data until it is taken. Streams are numbers here: 0 is stdout, 1 stderr."""

    def __init__(self, secrets: ExecutionSecrets | None) -> None:
        places = count()
        self.buffers = {name: OutputBuffer(None if secrets is None else secrets.stream(), places) for name in _STREAMS}
        self.held_back: set[int] = set()  # streams that are not read until the output is taken
        self._by_stream = tuple(self.buffers.values())
        self._pipes: OutputPipes | None = None
        self._in_turns = False  # each pipe holds one write at a time
        self._reports: deque[int] = deque()  # streams in the order of the writes; the data of these is not read yet
        self._rest = (bytearray(), bytearray())  # what was read before its report, of writes that were added to one another
        self._early = [False, False]  # of each stream: a write was read before its report, which is still to come
        self._looks = _LOOKS  # for another report after one
        self._late = 0  # turns in which there was data without a report
        self._alone = (0, 0, 0)  # the stream that was used last, its bytes and its writes since the other one was
        self._freely = False  # its pipes may hold more than one write until its end
        self._in_use = False  # something was written
        self._held_since = 0.0  # monotonic time
        self._shedding = False  # the output is not fetched: the oldest is dropped

    def watch(self, pipes: OutputPipes) -> None:
        """Read these pipes from now on. Nothing was written yet."""
        self._pipes = pipes
        self._in_turns = pipes.in_turns
        self._freely = not self._in_turns
        pipes.attach(self._readable)

    def note(self, text: str) -> None:
        """Add a line of flowq's own, if there is a text."""
        if text:
            self._in_use = True
            self.buffers["err"].note(text)

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        return any(buffer.ready for buffer in self._by_stream)

    def take(self) -> list[tuple[str, bytes]]:
        """Return the output since the last call: `(stream, lines)`, stream is "out" or "err"."""
        if not self._in_use:
            return []  # what is written first makes a pipe readable
        self._read()
        placed = [(place, stream, data) for stream, buffer in self.buffers.items() for place, data in buffer.take_placed()]
        self._shedding = False
        self._read_on()
        return [(stream, data) for _, stream, data in sorted(placed)]

    def let_go(self, since: float) -> None:
        """Resume a job that has been held back since before this monotonic time; its oldest output is dropped."""
        if self.held_back and self._held_since < since:
            self._shedding = True
            self._read_on()

    def drain(self) -> None:
        """Read what has been written before this moment."""
        if self._pipes is None or self._pipes.empty:
            return
        # A grandchild may never stop writing: at most what fits into a pipe is from before this moment.
        for _ in range(_DRAIN_READS):
            if self._in_turns and self._read():
                continue
            first = self._receive(self._alone[0])
            if not (self._receive(1 - self._alone[0]) or first):
                break

    def end(self) -> None:
        """Finish both streams: a last line without newline counts too."""
        for stream, buffer in enumerate(self._by_stream):
            self._feed(stream, b"")
            buffer.end()

    def part(self) -> None:
        """Leave the pipes to the next job. What is still written to them is not of this one any more: its outcome is told."""
        if self._pipes is not None:
            self._pipes.part()
        self._leave()

    def close(self) -> None:
        """Read the rest and close the pipes: no process that could write is left, or it cannot be swept here."""
        self.drain()
        if self._pipes is not None:
            self._pipes.close()
        self._leave()

    def _leave(self) -> None:
        self._pipes = None
        self._in_turns = False
        self.held_back.clear()

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _readable(self, stream: int) -> None:
        self._in_use = True
        if not self._read(stream) and self._in_turns:
            self._receive_unreported(stream)
        self._hold_back()

    def _hold_back(self) -> None:
        if self._pipes is None or not self._is_full:
            return
        if self._in_turns:
            self._let_run()  # a stream that floods does not hold back the other one
        for stream, buffer in enumerate(self._by_stream):
            if buffer.full and stream not in self.held_back:
                if not self.held_back:
                    self._held_since = time.monotonic()
                self.held_back.add(stream)
                self._pipes.hold(stream)

    def _read_on(self) -> None:
        while self.held_back and self._pipes is not None:
            self._pipes.resume(self.held_back.pop())

    def _read(self, readable: int = -1) -> bool:
        """Read what was written, in its order; return whether something was. `readable`: a stream with data."""
        if not self._in_turns:
            return readable >= 0 and self._read_freely(readable)
        found = 0
        while found < _TURNS and self._look_for_reports(again=found > 0):
            while self._reports and not self._is_full:
                self._receive_reported(self._reports.popleft())
                found += 1
            if self._is_full or not self._in_turns:
                break
        if found and self._in_turns:
            self._look_for_other_flags()
        return found > 0

    def _look_for_reports(self, *, again: bool) -> bool:
        """Return whether there are reports. `again`: there was one just now.

        A process that writes to both streams does so again within microseconds, and to sleep takes longer. Where it has to wait for a core, as it
        does on a busy machine, looking takes time from it: so looking in vain makes the next looks fewer.
        """
        assert self._pipes is not None
        for _ in range(self._looks if again else 1):
            self._reports.extend(self._pipes.reports())
            if self._reports:
                self._looks = _LOOKS if again else self._looks
                return True
        if again:
            self._looks = max(_FEWEST_LOOKS, self._looks // 2)
        return False

    @property
    def _is_full(self) -> bool:
        out, err = self._by_stream
        if self._shedding:
            out.shed()
            err.shed()
        return out.full or err.full

    def _receive_reported(self, stream: int) -> None:
        """Read a write that was reported. There are reports of later ones only if the kernel has added them to one another."""
        if stream == MISSING:
            self._reports.clear()
            self.drain()
        elif self._early[stream] and self._reports:
            self._early[stream] = False
        else:
            self._early[stream] = False
            self._receive(stream, 1 + self._reports.count(stream))

    def _receive_unreported(self, stream: int) -> None:
        """Read the first pages of a long write, which is reported at its end; else wait for the report, up to a limit."""
        assert self._pipes is not None
        for _ in range(_LOOKS):
            if self._pipes.unread(stream) >= PAGE:
                self._receive(stream)
                return
            if self._read():
                return
        self._late += 1
        if self._late > _PATIENCE:
            self._late = 0
            self._early[stream] = self._receive(stream)

    def _read_freely(self, stream: int) -> bool:
        """Read a pipe of the usual size. The other stream is in use again: what was written to the one before is older."""
        if stream == self._alone[0] or self._freely or self.held_back:
            return self._receive(stream)
        self._receive(self._alone[0])
        found = self._receive(stream)
        self._alone = stream, 0, 0
        self._take_turns()
        return found

    def _receive(self, stream: int, reports: int = 1) -> bool:
        """Read a pipe once and give the buffer its part of that, where several writes are reported; return whether something was there."""
        data = b"" if self._pipes is None else self._pipes.read(stream)
        if not data and not self._rest[stream]:
            return False
        if data:
            self._in_use = True
            self._late = 0
            self._look_who_is_alone(stream, len(data))
        self._feed(stream, data, reports)
        return bool(data)

    def _feed(self, stream: int, data: bytes, reports: int = 1) -> None:
        rest = self._rest[stream]
        if reports > 1:
            rest += data
            size = _end_of_line(rest, max(1, rest.count(b"\n") // reports))
            data = bytes(rest[:size])
            del rest[:size]
        elif rest:
            data = bytes(rest) + data
            rest.clear()
        if data:
            self._by_stream[stream].feed(data)

    # -- one write at a time -----------------------------------------------------------------------------------------------

    def _look_who_is_alone(self, stream: int, size: int) -> None:
        last, total, writes = self._alone
        self._alone = (stream, total + size, writes + 1) if stream == last else (stream, size, 1)
        if self._in_turns and (self._alone[1] > _ALONE_BYTES or self._alone[2] > _ALONE_WRITES):
            self._let_run()

    def _look_for_other_flags(self) -> None:
        """Let the job run if it has made its stdout or stderr non-blocking."""
        assert self._pipes is not None
        self._freely = self._pipes.are_non_blocking()
        if self._freely:
            self._let_run()

    def _let_run(self) -> None:
        """Let each pipe hold as much as usual."""
        assert self._pipes is not None
        self._pipes.let_run()
        self._forget_reports()

    def _take_turns(self) -> None:
        """Let each pipe hold one write, if this system reports writes."""
        assert self._pipes is not None
        self._in_turns = self._pipes.take_turns()
        self._freely = not self._in_turns
        if self._freely:
            self._forget_reports()

    def _forget_reports(self) -> None:
        self._in_turns = False
        self._reports.clear()
        self._early = [False, False]


def _end_of_line(data: bytearray, number: int) -> int:
    """Return where the first so many lines end; the end of the data where there are fewer."""
    end = 0
    for _ in range(number):
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
    return end
