"""The pauses of a worker that gets no process for its jobs: it claims nothing meanwhile, or it would claim the same jobs again at once."""

from typing import Final

_PAUSE: Final = 1.0  # s
_LONGEST: Final = (
    60.0  # s, for an executor whose engine cannot be reached: its jobs stay in the queue, where other workers find them
)


class Starvation:
    """The next pause. `grows`: the cause is likely to last, so each one is twice as long as the one before until a job has ended."""

    def __init__(self, *, grows: bool) -> None:
        self._grows = grows
        self._next = _PAUSE
        self._executed = 0

    def pause(self, executed: int) -> float:
        """Return the seconds of a pause that begins now. `executed`: how many executions have ended so far."""
        if not self._grows or executed != self._executed:
            self._next = _PAUSE
        self._executed = executed
        pause, self._next = self._next, min(_LONGEST, self._next * 2)
        return pause
