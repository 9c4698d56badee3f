"""A named pipe to which jobs write numbers, so that the reader does not have to poll."""

import os
import select
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 120  # s for one mark
_LOOK: Final = 0.25  # s between two checks whether the writers are still alive


class MissingMarkError(Exception):
    """No mark arrived, and none can arrive any more."""


class Marks:
    """The reading end of the pipe; it is open while jobs write, so that no writer blocks.

    Args:
        path: the pipe; created if it does not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._read: list[int] = []

    def __enter__(self) -> Self:
        try:
            os.mkfifo(self._path)
        except FileExistsError:  # the driver reads the pipe that its parent created
            pass
        self._file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    def read(self, over: Callable[[], bool] = lambda: False) -> int:
        """Wait for the next number.

        Args:
            over: whether no process is left that could write one.

        Raises:
            MissingMarkError: no number arrived in time.
        """
        deadline = time.monotonic() + PATIENCE
        while not self._read:
            last = over() or time.monotonic() > deadline  # checked first, so that numbers written before the end are still read
            if select.select([self._file], [], [], 0 if last else _LOOK)[0]:
                self._read += [int(line) for line in os.read(self._file, 65536).split()]
            elif last:
                raise MissingMarkError
        return self._read.pop(0)
