"""Signals as counters and a descriptor: handlers do nothing, so no code is ever interrupted half-way.

Whether a signal arrives must not depend on the process that started this one: the mask is inherited, through `exec` too.
"""

from __future__ import annotations

import os
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Final, NoReturn, Self

STOP: Final = (signal.SIGINT, signal.SIGTERM)
SAME_STOP: Final = 1.0  # s, for `StopSignals(together=…)` of workers


def hold() -> None:
    """Block stop signals, until `release` or `leave_when_stopped`; they stay blocked through an `exec` too."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP)


def release() -> None:
    """Unblock stop signals; pending ones are delivered."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)


def leave_when_stopped() -> None:
    """Begin a program that ends with 0 at a stop signal: nothing is blocked, and until it counts signals itself it exits at once."""
    for number in STOP:
        signal.signal(number, leave)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, as a parent may have left it, it hides how children end
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """Exit, as the handler of a stop before a worker has begun or after it has ended."""
    os._exit(0)


class StopSignals:
    """Counts the stop signals of this process while it is entered, also where they were blocked.

    Main thread only; former handlers and mask come back at the exit.

    Args:
        together: seconds after the first signal within which another one is the same: a terminal and a manager may both have sent it.
    """

    def __init__(self, together: float = 0.0) -> None:
        self.count = 0
        self._together = together
        self._first = 0.0
        self._former: dict[int, Any] = {}
        self._former_wakeup = -1
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        """Return a descriptor that can be read when a signal has come."""
        return self._read

    def acknowledge(self) -> None:
        """Empty the descriptor."""
        try:
            while os.read(self._read, 512):
                pass
        except BlockingIOError:
            return

    def __enter__(self) -> Self:
        self._former_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        for number in STOP:
            self._former[number] = signal.signal(number, self._noticed)
        self._former_mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._former_mask)
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._read)
        os.close(self._write)

    def _noticed(self, _number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if self.count == 0:
            self._first = now
        elif now - self._first < self._together:
            return
        self.count += 1
