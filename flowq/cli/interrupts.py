"""Ctrl+C while a run is followed: the handler only counts, and the loop acts between two updates.

The third one ends the command, wherever it is: a request to a server that does not answer takes half a minute.
"""

import signal
from types import FrameType, TracebackType
from typing import Any, Final, Self

_ASKED: Final = (signal.SIGINT, signal.SIGTERM)
_MOST: Final = 3


class Interrupts:
    """A counter of SIGINT and SIGTERM inside a `with` block, in place of their default actions."""

    def __init__(self) -> None:
        self.count = 0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in _ASKED:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count >= _MOST:
            raise KeyboardInterrupt
