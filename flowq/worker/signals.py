"""Signals as counters and a descriptor: handlers do nothing, so no code is ever interrupted half-way."""

import os
import signal
from types import FrameType, TracebackType
from typing import Any, Final, Self

STOP: Final = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Counts the stop signals of this process while it is entered. Main thread only; the former handlers come back at the exit."""

    def __init__(self) -> None:
        self.count = 0
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
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_wakeup)
        os.close(self._read)
        os.close(self._write)

    def _noticed(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
