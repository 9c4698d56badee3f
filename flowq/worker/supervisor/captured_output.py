"""The output of a job, from its two pipes to entries for the log, in the order in which it was written.

Order: the kernel tells in which order the pipes were written to (`flowq.worker.ipc.write_order`), not how much at a time. What is found in
them when the loop comes by is therefore dealt out by lines: with as many lines as notes, each note is one line, which is exact; with a
multiple, it is that multiple. A job that has written much to one stream alone is not watched until it uses the other one.

Output that is not fetched holds the job back, as a full pipe does everywhere: its pipe is not read any more until `take` was called.
Only when that takes too long (the owner decides, and calls `let_go`) the job continues, and its oldest output is dropped.
"""

from __future__ import annotations

import fcntl
import os
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

_READ: Final = 64 * 1024  # bytes
_DRAIN_READS: Final = 17  # one pipe of 1 MiB (the largest an unprivileged program can make) and the end of it
_ALONE: Final = 512 * 1024  # bytes of one stream alone after which nothing is watched: a note costs a writer half a microsecond
_SMALL: Final = 16 * 1024  # bytes of a pipe that is watched: even of lines of two bytes the kernel can keep all notes
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
        self._watches: tuple[int, ...] = ()
        # streams in the order in which they were written to; the data of these notes is not dealt out yet
        self._notes: deque[int] = deque()
        self._read = (bytearray(), bytearray())  # what was read and is not dealt out
        self._early = [False, False]  # of each stream: a write was dealt out before its note, which is still to come
        self._dealt = [0, 0]  # bytes of each stream that were dealt out
        self._seen = [0, 0]  # bytes of each stream that had been read when output was taken last
        self._alone = (0, 0)  # the stream that is in use alone, and its bytes since then
        self._in_use = False  # something was written
        self._gone = 0  # pipes that no process can write to any more
        self._held_since = 0.0  # monotonic time
        self._shedding = False  # the output is not fetched: the oldest is dropped

    def watch(self, pipes: Sequence[int]) -> None:
        """Read these from now on, and close them in the end: the reading ends of stdout and stderr. Nothing was written yet."""
        self._watches = self._loop.writes.watch(pipes)
        if self._watches:
            _resize(pipes, _SMALL)
        for stream, fd in enumerate(pipes):
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
        return any(buffer.ready for buffer in self._by_stream) or any(self._read)

    def take(self) -> list[tuple[str, bytes]]:
        """Return the output since the last call: `(stream, lines)`, stream is "out" or "err"."""
        if not self._in_use:
            return []  # what is written first makes a pipe readable
        self._turn([pipe for pipe in self._pipes if pipe not in self.held_back])
        self._deal_overdue()
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
            if not self._turn(tuple(self._pipes)):
                break

    def end(self) -> None:
        """Finish both streams: a last line without newline counts too."""
        self._turn(())
        self._deal_rest()
        for buffer in self._by_stream:
            buffer.end()

    def close(self) -> None:
        """Read the rest and close the pipes: no process that could write is left, or it cannot be swept here."""
        self.drain()
        self._turn(())
        self._deal_rest()
        for fd in tuple(self._pipes):
            self._close(fd)
        self._unwatch()

    # -- reading -----------------------------------------------------------------------------------------------------------

    def _watch(self, fd: int) -> None:
        self._loop.watch(fd, partial(self._readable, fd))

    def _readable(self, fd: int) -> None:
        # Both, because what stands in the other one may have been written before. One that is held back stays as it is.
        self._turn([pipe for pipe in self._pipes if pipe == fd or pipe not in self.held_back])
        for pipe, stream in self._pipes.items():
            if self._by_stream[stream].full and not self._shedding and pipe not in self.held_back:
                if not self.held_back:
                    self._held_since = time.monotonic()
                self.held_back.add(pipe)
                self._loop.forget(pipe)

    def _read_on(self) -> None:
        while self.held_back:
            self._watch(self.held_back.pop())

    def _turn(self, pipes: Sequence[int]) -> bool:
        """Read each of the pipes once, and deal out what came; return whether there may be more."""
        if not pipes and not self._in_use:
            return False
        # What was read in earlier turns has its notes by now. Of what is read in this one some may be missing: a write is noted after its
        # data can be read, and the writer that wakes this process may be interrupted between the two.
        self._take_notes()
        lines = [pending.count(b"\n") for pending in self._read]
        sizes = [0, 0]
        for fd in pipes:
            stream = self._pipes[fd]
            sizes[stream] = self._read_once(fd)
        self._look_who_is_alone(sizes)
        self._deal(lines)
        if not self._watches:
            self._deal_rest()
        if self._shedding:
            for buffer in self._by_stream:
                buffer.shed()
        return any(sizes)

    def _read_once(self, fd: int) -> int:
        """Read once; return how many bytes came."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return 0
        if not data:
            self._gone += 1
            self._close(fd)
            return 0
        self._in_use = True
        self._read[self._pipes[fd]].extend(data)
        return len(data)

    def _close(self, fd: int) -> None:
        self._loop.forget(fd)
        self.held_back.discard(fd)
        del self._pipes[fd]
        os.close(fd)

    # -- order -------------------------------------------------------------------------------------------------------------

    def _take_notes(self) -> None:
        if self._watches:
            self._notes.extend(self._loop.writes.take(self._watches))

    def _deal(self, lines: list[int]) -> None:
        """Give the buffers what was written, note by note; `lines`: how many there are of each stream that certainly have notes."""
        notes = [self._notes.count(0), self._notes.count(1)] if self._notes else []
        while self._notes:
            stream = self._notes.popleft()
            if stream == MISSING:
                self._early = [False, False]
                self._deal_rest()
                return
            if self._early[stream]:
                self._early[stream] = False
                notes[stream] -= 1
                continue
            wanted = max(1, lines[stream] // notes[stream])
            notes[stream] -= 1
            lines[stream] = max(0, lines[stream] - wanted)
            self._feed(stream, _end_of_line(self._read[stream], wanted))

    def _deal_overdue(self) -> None:
        """Give the buffers what has been without a note since the last time: its writer was interrupted between its write and the note of it.

        That is one write. Were its note taken for the next one when it comes, every later line would be one place too early.
        """
        for stream in (self._alone[0], 1 - self._alone[0]):
            size = self._seen[stream] - self._dealt[stream]
            if size > 0:
                self._early[stream] = True
                self._feed(stream, size)
            self._seen[stream] = self._dealt[stream] + len(self._read[stream])

    def _deal_rest(self) -> None:
        """Give the buffers what there is no note of."""
        self._notes.clear()
        for stream in (self._alone[0], 1 - self._alone[0]):
            self._feed(stream, len(self._read[stream]))

    def _feed(self, stream: int, size: int) -> None:
        if size:
            self._by_stream[stream].feed(bytes(self._read[stream][:size]))
            del self._read[stream][:size]
            self._dealt[stream] += size

    def _look_who_is_alone(self, sizes: Sequence[int]) -> None:
        """Stop watching when one stream has been used alone for long, watch again when the other one is used."""
        stream, size = self._alone
        if not sizes[1 - stream]:
            self._alone = stream, size + sizes[stream]
            if self._watches and self._alone[1] > _ALONE:
                self._unwatch()
                _resize(tuple(self._pipes), _READ)
            return
        if size > _ALONE:
            # What was written of the one before the other was used comes first; what of it is in its pipe by now was.
            for fd in [fd for fd, alone in self._pipes.items() if alone == stream]:
                self._read_once(fd)
            self._deal_rest()
            if len(self._pipes) == len(_STREAMS):
                self._watches = self._loop.writes.watch(tuple(self._pipes))
        self._alone = 1 - stream, 0

    def _unwatch(self) -> None:
        self._loop.writes.forget(self._watches, gone=self._gone == len(_STREAMS))
        self._watches = ()
        self._notes.clear()
        self._early = [False, False]


def output_pipes() -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the ends to read and the ends to write of the pipes for stdout and stderr."""
    first = os.pipe()
    try:
        second = os.pipe()
    except OSError:
        for fd in first:
            os.close(fd)
        raise
    return (first[0], second[0]), (first[1], second[1])


def _resize(pipes: Sequence[int], size: int) -> None:
    for fd in pipes:
        try:
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, size)
        except OSError:
            return  # the user's share of memory for pipes is used up: it stays as it is


def _end_of_line(data: bytearray, number: int) -> int:
    """Return where the first so many lines end; the end of the data where there are fewer."""
    end = 0
    for _ in range(number):
        end = data.find(b"\n", end) + 1
        if not end:
            return len(data)
    return end
