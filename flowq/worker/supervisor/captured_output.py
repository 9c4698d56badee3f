"""The output of a job, from its two pipes to entries for the log, in the order in which it was written.

Order: while a job uses both streams, each pipe holds one write at a time, and the kernel reports the writes (`flowq.worker.ipc.write_order`).
So a report is one write, and the reports of both pipes have its order. A write that is longer than a page is reported at its end and read
piece by piece before. That costs a writer one change of processes per write. A job that has written much to one stream alone gets pipes of
the usual size until it uses the other one; so does one that has made its stdout or stderr non-blocking, as it would often find them full.

Output that is not fetched holds the job back, as a full pipe does everywhere: its pipe is not read any more until `take` was called.
Only when that takes too long (the owner decides, and calls `let_go`) the job continues, and its oldest output is dropped.
"""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import time
from collections import deque
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from flowq.worker.ipc.write_order import MISSING
from flowq.worker.supervisor.output_buffer import OutputBuffer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.supervisor.event_loop import Loop

_READ: Final = 64 * 1024  # bytes; the usual size of a pipe
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")  # bytes; the smallest size of a pipe, which holds one write
_PACKETS: Final = getattr(os, "O_DIRECT", 0)  # of a pipe: a write is not added to the one before
_DRAIN_READS: Final = 17  # one pipe of 1 MiB (the largest an unprivileged program can make) and the end of it
_ALONE_BYTES: Final = 64 * 1024  # to one stream alone, after which its pipe holds more than one write
_ALONE_WRITES: Final = 500
_TURNS: Final = 64  # writes that are read in one go, before other descriptors get their turn
_LOOKS: Final = 50  # for the report of a write that can be read already: its writer was interrupted between the two
_PATIENCE: Final = 20  # turns of the loop without the report
_STREAMS: Final = ("out", "err")


class JobOutput:
    """The output of one execution: reads its two pipes and keeps the data until it is taken."""

    def __init__(self, loop: Loop, secrets: ExecutionSecrets | None) -> None:
        self._loop = loop
        places = count()
        self.buffers = {name: OutputBuffer(None if secrets is None else secrets.stream(), places) for name in _STREAMS}
        self.held_back: set[int] = set()  # pipes that are not read until the output is taken
        self._by_stream = tuple(self.buffers.values())
        self._pipes: dict[int, int] = {}  # descriptor -> stream, 0 or 1
        self._reads: tuple[int, ...] = ()  # by stream: the end that is read
        self._writes: tuple[int, ...] = ()  # by stream: the job's end, whose flags are set here
        self._watches: tuple[int, ...] = ()  # while a pipe holds one write at a time
        self._reports: deque[int] = deque()  # streams in the order of the writes; the data of these is not read yet
        self._rest = (bytearray(), bytearray())  # what was read before its report, of writes that were added to one another
        self._early = [False, False]  # of each stream: a write was read before its report, which is still to come
        self._late = 0  # turns in which there was data without a report
        self._alone = (0, 0, 0)  # the stream that was used last, its bytes and its writes since the other one was
        self._freely = not _PACKETS  # its pipes may hold more than one write until its end
        self._in_use = False  # something was written
        self._held_since = 0.0  # monotonic time
        self._shedding = False  # the output is not fetched: the oldest is dropped

    def watch(self, reads: Sequence[int], writes: Sequence[int]) -> None:
        """Read from now on, and close in the end: the ends of stdout and stderr. Nothing was written yet; `writes` stay the caller's."""
        self._reads = tuple(reads)
        self._writes = tuple(map(os.dup, writes))
        if not self._freely:
            self._take_turns()
        for stream, fd in enumerate(reads):
            os.set_blocking(fd, False)
            self._pipes[fd] = stream
            self._watch(fd)

    def note(self, text: str) -> None:
        """Add a line of flowq's own."""
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
        # A grandchild may never stop writing: at most what fits into a pipe is from before this moment.
        for _ in range(_DRAIN_READS):
            if self._watches and self._read():
                continue
            if not sum(self._receive(stream) for stream in (self._alone[0], 1 - self._alone[0])):
                break

    def end(self) -> None:
        """Finish both streams: a last line without newline counts too."""
        for stream, buffer in enumerate(self._by_stream):
            self._feed(stream, b"")
            buffer.end()

    def close(self) -> None:
        """Read the rest and close the pipes: no process that could write is left, or it cannot be swept here."""
        self.drain()
        self._unwatch()
        for fd in self._pipes:
            self._loop.forget(fd)
        for fd in (*self._pipes, *self._writes):
            os.close(fd)
        self._pipes.clear()
        self.held_back.clear()
        self._writes = ()

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _watch(self, fd: int) -> None:
        self._loop.watch(fd, partial(self._readable, fd))

    def _readable(self, fd: int) -> None:
        self._in_use = True
        if not self._read(fd) and self._watches:
            self._receive_unreported(self._pipes[fd])
        self._hold_back()

    def _hold_back(self) -> None:
        if not self._is_full:
            return
        if self._watches:
            self._let_run()  # a stream that floods does not hold back the other one
        for pipe, stream in self._pipes.items():
            if self._by_stream[stream].full and pipe not in self.held_back:
                if not self.held_back:
                    self._held_since = time.monotonic()
                self.held_back.add(pipe)
                self._loop.forget(pipe)

    def _read_on(self) -> None:
        while self.held_back:
            self._watch(self.held_back.pop())

    def _read(self, readable: int = -1) -> bool:
        """Read what was written, in its order; return whether something was. `readable`: a pipe with data."""
        if not self._watches:
            return readable >= 0 and self._read_freely(self._pipes[readable])
        found = 0
        while found < _TURNS and self._look_for_reports(_LOOKS if found else 1):
            while self._reports and not self._is_full:
                self._receive_reported(self._reports.popleft())
                found += 1
            if not self._watches or self._is_full:
                break
        if found and self._watches:
            self._look_for_other_flags()
        return found > 0

    def _look_for_reports(self, times: int) -> bool:
        """Return whether there are reports. A process that writes to both streams does so again within microseconds: to sleep takes longer."""
        for look in range(times):
            if look:
                os.sched_yield()
            self._reports.extend(self._loop.writes.take(self._watches))
            if self._reports:
                return True
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
        for _ in range(_LOOKS):
            if _unread(self._reads[stream]) >= _PAGE:
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
        try:
            data = os.read(self._reads[stream], _READ)
        except BlockingIOError:
            data = b""
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
        if self._watches and (self._alone[1] > _ALONE_BYTES or self._alone[2] > _ALONE_WRITES):
            self._let_run()

    def _look_for_other_flags(self) -> None:
        """Let the job run if it has made its stdout or stderr non-blocking."""
        self._freely = any(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in self._writes)
        if self._freely:
            self._let_run()

    def _let_run(self) -> None:
        """Let each pipe hold as much as usual."""
        self._unwatch()
        self._set_packets(0)
        _resize(self._reads, _READ)

    def _take_turns(self) -> None:
        """Let each pipe hold one write, if this system reports writes. It fails while a pipe holds more."""
        self._set_packets(_PACKETS)
        if _resize(self._reads, _PAGE):
            self._watches = self._loop.writes.watch(self._reads)
            self._freely = not self._watches
        if not self._watches:
            self._let_run()

    def _set_packets(self, flag: int) -> None:
        for fd in self._writes:
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if flags & _PACKETS != flag:
                fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~_PACKETS | flag)

    def _unwatch(self) -> None:
        self._loop.writes.forget(self._watches)
        self._watches = ()
        self._reports.clear()
        self._early = [False, False]


def output_pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the ends to read and the ends to write of the pipes for stdout and stderr."""
    first = _pipe()
    try:
        second = _pipe()
    except OSError:
        for fd in first:
            os.close(fd)
        raise
    return (first[0], second[0]), (first[1], second[1])


def _pipe() -> tuple[int, int]:
    return os.pipe2(_PACKETS | os.O_CLOEXEC) if _PACKETS else os.pipe()


def _resize(pipes: Sequence[int], size: int) -> bool:
    """Set the size of pipes; return whether all have it: one may hold more, or the user's share of memory for pipes is used up."""
    try:
        return all(fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size) == size for fd in pipes)
    except OSError:
        return False


def _unread(fd: int) -> int:
    """Return how many bytes a pipe holds."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0\0\0\0"))[0]
    return size


def _end_of_line(data: bytearray, number: int) -> int:
    """Return where the first so many lines end; the end of the data where there are fewer."""
    end = 0
    for _ in range(number):
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
    return end
