"""The two pipes for stdout and stderr, which the jobs of a lane have one after the other.

To make pipes for each job, and to let the kernel watch them, took a sixth of what a supervisor needs for a job. They go on to the next job of the
lane only if all processes of the former one have ended, nothing is left in them, and they are set as they were when they were made: size and
flags belong to a pipe, not to those who hold its ends. Otherwise the next job gets new ones.

While a job uses both streams, each pipe holds one write at a time, and the kernel reports the writes (`flowq.worker.ipc.write_order`).
"""

from __future__ import annotations

import fcntl
import os
import select
import sys
import termios
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flowq.worker.supervisor.event_loop import Loop

READ: Final = 64 * 1024  # bytes; the usual size of a pipe
PAGE: Final = os.sysconf("SC_PAGE_SIZE")  # bytes; the smallest size of a pipe, which holds one write
_PACKETS: Final = getattr(os, "O_DIRECT", 0)  # of a pipe: a write is not added to the one before
_GETTERS: Final = [getattr(fcntl, name, fcntl.F_GETFL) for name in ("F_GETFL", "F_GETPIPE_SZ", "F_GETOWN", "F_GETSIG")]
_STREAMS: Final = (0, 1)  # stdout, stderr
_NONE: Final = bytes(4)  # a C int


class OutputPipes:
    """A pair of pipes. Holds both ends of each: the ends to write are given to horses, and their flags are set here.

    `in_turns`: each pipe holds one write at a time, and writes are reported.

    Raises:
        OSError: no descriptor is left.
    """

    __slots__ = ("_loop", "_new", "_poll", "_readable", "_reads", "_unwatched", "_used", "_watches", "writes")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._reads, self.writes = _two_pipes()
        self._readable: Callable[[int], None] | None = None
        self._unwatched: set[int] = set()  # streams that are not read for now
        self._used = False  # something was written
        self._watches: tuple[int, ...] = ()
        self.take_turns()
        self._new = self._state()
        poll = select.poll()
        for fd in self._reads:
            poll.register(fd, select.POLLIN)
        self._poll = poll.poll
        for stream, fd in zip(_STREAMS, self._reads, strict=True):
            os.set_blocking(fd, False)
            loop.watch(fd, partial(self._ready, stream))

    @property
    def in_turns(self) -> bool:
        """Whether each pipe holds one write at a time."""
        return bool(self._watches)

    @property
    def closed(self) -> bool:
        """Whether they are closed."""
        return not self._reads

    @property
    def attached(self) -> bool:
        """Whether a job has them, whose output closes them or lets them go."""
        return self._readable is not None

    def attach(self, readable: Callable[[int], None]) -> None:
        """Give them to a job: `readable` is called with the stream, 0 or 1, that can be read."""
        self._readable = readable

    def part(self) -> None:
        """Take them from a job whose output is not wanted any more. What is written from now on closes them."""
        self._readable = None
        for stream in tuple(self._unwatched):
            self.resume(stream)

    def renew(self) -> bool:
        """Return whether another job may have them. All processes of the former one have ended."""
        if self._readable is not None or not self._watches:
            return False
        if self._used:
            self._used = False
            self._loop.writes.take(self._watches)  # reports of what was read before they came
        return self.empty and self._state() == self._new

    def close(self) -> None:
        """Close them; again: do nothing."""
        self.unwatch_writes()
        for stream, fd in zip(_STREAMS, self._reads, strict=False):
            if stream not in self._unwatched:
                self._loop.forget(fd)
        for fd in (*self._reads, *self.writes):
            os.close(fd)
        self._reads, self.writes = (), ()
        self._readable = None

    # -- reading -----------------------------------------------------------------------------------------------------------

    def read(self, stream: int) -> bytes:
        """Read a pipe once; return nothing if nothing is there."""
        if not self._reads:
            return b""
        try:
            data = os.read(self._reads[stream], READ)
        except BlockingIOError:
            return b""
        self._used = True
        return data

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be read."""
        return not (self._reads and self._poll(0))

    def unread(self, stream: int) -> int:
        """Return how many bytes a pipe holds."""
        return int.from_bytes(fcntl.ioctl(self._reads[stream], termios.FIONREAD, _NONE), sys.byteorder)

    def hold(self, stream: int) -> None:
        """Do not tell that a pipe can be read, until `resume`."""
        self._unwatched.add(stream)
        self._loop.forget(self._reads[stream])

    def resume(self, stream: int) -> None:
        """Tell again when a pipe can be read."""
        self._unwatched.discard(stream)
        self._loop.watch(self._reads[stream], partial(self._ready, stream))

    def reports(self) -> list[int]:
        """Return the streams that were written to since the last call, oldest first, or `write_order.MISSING`; only `in_turns`."""
        return self._loop.writes.take(self._watches)

    # -- one write at a time -----------------------------------------------------------------------------------------------

    def take_turns(self) -> bool:
        """Let each pipe hold one write, if this system reports writes; return whether it does. It fails while a pipe holds more."""
        self._set_packets(_PACKETS)
        if _PACKETS and _resize(self._reads, PAGE):
            self._watches = self._loop.writes.watch(self._reads)
        if not self._watches:
            self.let_run()
        return bool(self._watches)

    def let_run(self) -> None:
        """Let each pipe hold as much as usual."""
        self.unwatch_writes()
        self._set_packets(0)
        _resize(self._reads, READ)

    def unwatch_writes(self) -> None:
        """Have writes reported no more."""
        self._loop.writes.forget(self._watches)
        self._watches = ()

    def are_non_blocking(self) -> bool:
        """Return whether the job has made its stdout or stderr non-blocking."""
        return any(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK for fd in self.writes)

    def _ready(self, stream: int) -> None:
        if self._readable is not None:
            self._readable(stream)
        elif not self.empty:  # it is, if what made it readable in this turn of the loop was read with the outcome
            self.close()  # a late write of a job that has told its outcome

    def _state(self) -> list[int]:
        """Return what a job can change of them."""
        modes = [os.fstat(fd).st_mode for fd in self.writes]
        return modes + [fcntl.fcntl(fd, number) for fd in self.writes for number in _GETTERS]

    def _set_packets(self, flag: int) -> None:
        for fd in self.writes:
            flags = fcntl.fcntl(fd, fcntl.F_GETFL)
            if flags & _PACKETS != flag:
                fcntl.fcntl(fd, fcntl.F_SETFL, flags & ~_PACKETS | flag)


def _two_pipes() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the ends to read and the ends to write of two pipes."""
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
