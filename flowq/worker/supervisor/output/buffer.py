"""Cut a stream of output bytes into entries for the log: whole lines, as long as lines are of reasonable length."""

from __future__ import annotations

from collections import deque
from itertools import count

from flowq.defaults import MAX_LOG_LINE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowq.worker.secrets.masking import MaskedStream

_ENTRY = 64 * 1024  # bytes of lines put into one entry
_KEPT = 8 * 1024 * 1024  # bytes that wait for the store before its job is held back, per stream
_CHARACTER = 4  # bytes of the longest character in UTF-8


class OutputBuffer:
    """Collects one stream; `mask` takes the job's secrets out of it before anything else is done.

    `places` numbers the entries: streams that share it can be put in order.

    It never drops anything by itself: the caller that feeds it checks `full` and either stops reading, which holds the writer back, or
    calls `shed`. That drops the oldest entries, because the reason of a failure is at the end, and notes how many bytes were dropped.
    """

    __slots__ = ("_ended", "_kept", "_lost", "_mask", "_partial", "_places", "_ready")

    def __init__(self, mask: MaskedStream | None = None, places: Iterator[int] | None = None) -> None:
        self._places = count() if places is None else places
        self._mask = mask
        self._partial = bytearray()
        self._ended = True  # what was kept so far ends with a line
        self._ready: deque[tuple[int, bytes]] = deque()  # with their places
        self._kept = 0
        self._lost = 0

    def feed(self, data: bytes) -> None:
        """Add bytes as they were read."""
        if self._mask is None and not self._partial and len(data) <= _ENTRY and data.endswith(b"\n"):
            self._kept += len(data)
            self._ended = True
            self._ready.append((next(self._places), data))
            return
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
        """Finish the stream: a last line without newline counts too."""
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
        """Drop the oldest entries until it is no longer full."""
        while self.full:
            dropped = len(self._ready.popleft()[1])
            self._kept -= dropped
            self._lost += dropped

    def take(self) -> list[bytes]:
        """Return the entries that are complete, and forget them."""
        return [data for _, data in self.take_placed()]

    def take_placed(self) -> list[tuple[int, bytes]]:
        """Return `(place, entry)` of what `take` would return."""
        if self._lost:
            place = self._ready[0][0] if self._ready else next(self._places)
            self._ready.appendleft((place, b"[flowq: %d bytes of output could not be kept here]\n" % self._lost))
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
            self._ready.append((next(self._places), data[start:end]))
            start = end


def _character_end(data: bytes | bytearray, end: int) -> int:
    """Return the end of the last character of UTF-8 that is complete at `end`; `end` itself if this is other data."""
    for place in range(end, max(0, end - _CHARACTER), -1):
        if data[place] & 0xC0 != 0x80:  # not the inside of a character, so a new one begins here
            return place
    return end
