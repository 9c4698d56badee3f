"""The end of a horse that is killed or has told its outcome: signals that are repeated, and what is done where the fork server hangs."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.supervisor.fork_servers.lane import Lane

_SOON_LIMIT: Final = (
    0.1  # s after its outcome in which a horse usually has exited; later jobs do not wait for its lane any more
)
EXIT_LIMIT: Final = 5.0  # s a horse may take to exit after its outcome
_LOOK: Final = 0.25  # s between looks whether a fork server has read a SIGKILL
_ANSWER_LIMIT: Final = 5.0  # s from a SIGKILL to the report of the exit; then the fork server is killed


class Kill:
    """A SIGKILL to the process group of a horse, from its first sending on. `alarm` is the monotonic time of the next call of `repeat`."""

    __slots__ = ("_answer_by", "_lane", "alarm")

    def __init__(self, lane: Lane) -> None:
        now = time.monotonic()
        self._lane = lane
        self._answer_by = now + _ANSWER_LIMIT
        self.alarm = now + _LOOK
        lane.signal(signal.SIGKILL)

    def repeat(self, *, stopping: bool = False) -> bool:
        """Send it once more, or carry it out for a fork server that hangs; return whether all have ended by that.

        A fork server that has not reported the exit in time is killed, and at once if it hangs while this worker stops.
        """
        now = time.monotonic()
        server = self._lane.fork_server
        hangs = server.hangs
        if now >= self._answer_by or (stopping and hangs):
            server.abandon()  # which reports the exit
            return False
        killed = hangs and server.kill_for(self._lane)
        self._lane.signal(signal.SIGKILL)  # which wakes a server that the job has stopped
        self.alarm = min(self._answer_by, now + _LOOK)
        return killed


class Departure:
    """A horse that has told its outcome and exits, while its slot has the next task. `alarm` is the monotonic time of the next call of `tick`."""

    __slots__ = ("_by", "_gone", "_kill", "_lane", "alarm")

    def __init__(self, lane: Lane, gone: Callable[[Departure], None]) -> None:
        now = time.monotonic()
        self._lane = lane
        self._gone = gone
        self._by = now + EXIT_LIMIT
        self._kill: Kill | None = None
        self.alarm = now + _SOON_LIMIT
        lane.part(self._exited)

    def tick(self, now: float) -> None:
        """Do what is due."""
        if now < self.alarm:
            return
        if now < self._by:
            self._lane.fork_server.give_up(self._lane)
            self.alarm = self._by
        elif self._kill is None:
            self._kill = Kill(self._lane)
            self.alarm = self._kill.alarm
        else:
            self._kill.repeat()
            self.alarm = self._kill.alarm

    def _exited(self, _code: int | None) -> None:
        self._gone(self)
