"""Cut a stream of output bytes into entries for the log: whole lines, as long as lines are of reasonable length."""

from __future__ import annotations

from flowq.defaults import MAX_LOG_LINE

_ENTRY = 64 * 1024  # bytes of lines put into one entry
_KEPT = 8 * 1024 * 1024  # bytes that wait for the store at most, per stream


class LineCutter:
    """Collects one stream. What the store cannot take (it is away, the job is faster) is counted and said, never cut silently."""

    __slots__ = ("_kept", "_lost", "_partial", "_ready")

    def __init__(self) -> None:
        self._partial = bytearray()
        self._ready: list[bytes] = []
        self._kept = 0
        self._lost = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they were read."""
        self._partial += data
        end = self._partial.rfind(b"\n") + 1
        if end:
            self._keep(bytes(self._partial[:end]))
            del self._partial[:end]
        while len(self._partial) >= MAX_LOG_LINE:
            self._keep(bytes(self._partial[:MAX_LOG_LINE]))
            del self._partial[:MAX_LOG_LINE]

    def end(self) -> None:
        """The stream has ended: a last line without newline counts too."""
        if self._partial:
            self._keep(bytes(self._partial))
            self._partial.clear()

    @property
    def ready(self) -> bool:
        """Whether `take` would return something."""
        return bool(self._ready or self._lost)

    def take(self) -> list[bytes]:
        """Return the entries that are complete, and forget them."""
        if self._lost:
            self._ready.append(b"[flowq: %d bytes of output could not be kept here]\n" % self._lost)
            self._lost = 0
        ready, self._ready = self._ready, []
        self._kept = 0
        return ready

    def _keep(self, data: bytes) -> None:
        if self._kept + len(data) > _KEPT:
            self._lost += len(data)
            return
        self._kept += len(data)
        for start in range(0, len(data), _ENTRY):
            # A piece may end within a line here; reading is by 64 kB, so that is the rare case of very long lines.
            self._ready.append(data[start : start + _ENTRY])
