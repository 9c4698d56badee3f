"""The fence: kills the horses of a supervisor that no longer renews them, because other workers may have its jobs by then."""

from __future__ import annotations

import os

from flowq.worker.ipc import platform

_STEP = 0.2  # s between checks of a supervisor that is late
# s after a check was due. Later than that, this process itself did not run: the machine slept, or its container was paused.
_LATE = 1.0


class Fence:
    """The time until which the horses may live.

    A supervisor that is stopped cannot learn that it has lost its jobs, so they are killed when its lease is over. One that runs but is
    late waits for a server that does not answer (nothing else takes that long): either no other worker has reached the server, or it
    will be told. So it has `patience` more. If this process itself did not run, a late check proves neither case.
    """

    __slots__ = ("_end", "_patience", "due")

    def __init__(self) -> None:
        self.due: float | None = None  # boot time of the next look, None while no supervisor has set a limit
        self._end = 0.0
        self._patience = 0.0

    def renew(self, seconds: float, patience: float) -> None:
        """Let the horses live for `seconds`, and while the supervisor is not stopped, for `patience` seconds more."""
        self.due = self._end = platform.boottime() + seconds
        self._patience = patience

    def passed(self) -> bool:
        """Return whether to kill the horses. After True there is no limit until the next renewal."""
        now = platform.boottime()
        if self.due is None or now < self.due:
            return False
        if self._patience and now - self.due > _LATE:
            self._end = now
        if now < self._end + self._patience and not platform.is_stopped(os.getppid()):
            self.due = now + _STEP
            return False
        self.due = None
        return True
