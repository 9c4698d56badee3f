"""The output of a job, from its pipes to entries for the log: whole lines, as long as lines are of reasonable length.

Output that is not fetched holds the job back, as a full pipe does everywhere: its pipe is not read any more until `take` was called.
Only when that takes too long (the owner decides, and calls `let_go`) the job goes on, and its oldest output is dropped.
"""

from __future__ import annotations

import os
import time
from collections import deque
from functools import partial

from flowq.defaults import MAX_LOG_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.secrets.masking import MaskedStream
    from flowq.worker.supervisor.event_loop import Loop

_READ = 64 * 1024  # bytes
_DRAIN_READS = 17  # one pipe of 1 MiB (the largest an unprivileged program can make) and the end of it
_ENTRY = 64 * 1024  # bytes of lines put into one entry
_KEPT = 8 * 1024 * 1024  # bytes that wait for the store before its job is held back, per stream
_CHARACTER = 4  # bytes of the longest character in UTF-8


class OutputBuffer:
    """Collects one stream; `mask` takes the job's secrets out of it before anything else is done.

    It never drops anything by itself: who feeds it looks at `full` and either reads no further, which holds the writer back, or
    calls `shed`. Then the oldest go, because the reason of a failure stands at the end; how many bytes that were is said.
    """

    __slots__ = ("_ended", "_kept", "_lost", "_mask", "_partial", "_ready")

    def __init__(self, mask: MaskedStream | None = None) -> None:
        self._mask = mask
        self._partial = bytearray()
        self._ended = True  # what was kept so far ends with a line
        self._ready: deque[bytes] = deque()
        self._kept = 0
        self._lost = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they were read."""
        self._add(data if self._mask is None else self._mask.feed(data))

    def note(self, text: str) -> None:
        """Add a line of flowq's own."""
        if self._mask is not None:
            self._add(self._mask.end())
        begin = "" if self._ended and not self._partial else "\n"
        self._add(f"{begin}[flowq: {text}]\n".encode())

    def _add(self, data: bytes) -> None:
        self._partial += data
        end = self._partial.rfind(b"\n") + 1
        if end:
            self._keep(bytes(self._partial[:end]))
            del self._partial[:end]
        while len(self._partial) > MAX_LOG_LINE:  # not at the limit itself: only the next byte tells where a character ends
            cut = _character_end(self._partial, MAX_LOG_LINE)
            self._keep(bytes(self._partial[:cut]))
            del self._partial[:cut]

    def end(self) -> None:
        """The stream has ended: a last line without newline counts too."""
        if self._mask is not None:
            self._add(self._mask.end())
        if self._partial:
            self._keep(bytes(self._partial))
            self._partial.clear()

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        return bool(self._ready or self._lost)

    @property
    def full(self) -> bool:
        """Whether so much waits to be taken that nothing more should be fed."""
        return self._kept >= _KEPT

    def shed(self) -> None:
        """Drop the oldest until it is not full any more."""
        while self.full:
            dropped = len(self._ready.popleft())
            self._kept -= dropped
            self._lost += dropped

    def take(self) -> list[bytes]:
        """Return the entries that are complete, and forget them."""
        if self._lost:
            self._ready.appendleft(b"[flowq: %d bytes of output could not be kept here]\n" % self._lost)
            self._lost = 0
        ready, self._ready = list(self._ready), deque()
        self._kept = 0
        return ready

    def _keep(self, data: bytes) -> None:
        """Keep complete lines, or a piece of a long one, in entries that end with a line where that is possible."""
        self._kept += len(data)
        self._ended = data.endswith(b"\n")
        start = 0
        while start < len(data):
            end = min(start + _ENTRY, len(data))
            if end < len(data):
                end = data.rfind(b"\n", start, end) + 1 or _character_end(data, end)
            self._ready.append(data[start:end])
            start = end


class JobOutput:
    """Reads the two pipes of one execution and keeps what came until it is taken."""

    def __init__(self, loop: Loop, secrets: ExecutionSecrets | None) -> None:
        self._loop = loop
        self.buffers = {name: OutputBuffer(None if secrets is None else secrets.stream()) for name in ("out", "err")}
        self.held_back: set[int] = set()  # pipes that are not read until the output is taken
        self._pipes: dict[int, OutputBuffer] = {}
        self._held_since = 0.0  # monotonic time
        self._shedding = False  # the output is not fetched: the oldest is dropped

    def watch(self, pipes: Sequence[int]) -> None:
        """Read these from now on, and close them in the end: the reading ends of stdout and stderr."""
        for fd, buffer in zip(pipes, self.buffers.values(), strict=True):
            os.set_blocking(fd, False)
            self._pipes[fd] = buffer
            self._watch(fd)

    def note(self, text: str) -> None:
        """Add a line of flowq's own."""
        self.buffers["err"].note(text)

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        return any(buffer.ready for buffer in self.buffers.values())

    def take(self) -> list[tuple[str, bytes]]:
        """Return the output since the last call: `(stream, lines)`, stream is "out" or "err"."""
        taken = [(stream, data) for stream, buffer in self.buffers.items() for data in buffer.take()]
        self._shedding = False
        self._read_on()
        return taken

    def let_go(self, since: float) -> None:
        """Let a job go on that has been held back since before this monotonic time, at the price of its oldest output."""
        if self.held_back and self._held_since < since:
            self._shedding = True
            self._read_on()

    def drain(self) -> None:
        """Read what has been written before this moment."""
        for fd in tuple(self._pipes):
            # A grandchild may never stop writing: at most what fits into a pipe is from before this moment.
            for _ in range(_DRAIN_READS):
                if not self._read(fd):
                    break

    def end(self) -> None:
        """The job has ended: a last line without newline counts too."""
        for buffer in self.buffers.values():
            buffer.end()

    def close(self) -> None:
        """Read what is left and let go of the pipes: no process that could write is left, or it cannot be swept here."""
        self.drain()
        for fd in tuple(self._pipes):
            self._close(fd)

    def _watch(self, fd: int) -> None:
        self._loop.watch(fd, partial(self._readable, fd))

    def _readable(self, fd: int) -> None:
        self._read(fd)
        if fd in self._pipes and self._pipes[fd].full and not self._shedding:
            if not self.held_back:
                self._held_since = time.monotonic()
            self.held_back.add(fd)
            self._loop.forget(fd)

    def _read_on(self) -> None:
        while self.held_back:
            self._watch(self.held_back.pop())

    def _read(self, fd: int) -> bool:
        """Read once; return whether there may be more."""
        try:
            data = os.read(fd, _READ)
        except BlockingIOError:
            return False
        if not data:
            self._close(fd)
            return False
        self._pipes[fd].feed(data)
        if self._shedding:
            self._pipes[fd].shed()
        return True

    def _close(self, fd: int) -> None:
        self._loop.forget(fd)
        self.held_back.discard(fd)
        self._pipes.pop(fd).end()
        os.close(fd)


def _character_end(data: bytes | bytearray, end: int) -> int:
    """Return the end of the last character of UTF-8 that is complete at `end`; `end` itself if this is other data."""
    for place in range(end, max(0, end - _CHARACTER), -1):
        if data[place] & 0xC0 != 0x80:  # not the inside of a character, so a new one begins here
            return place
    return end
