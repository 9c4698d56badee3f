"""A pipe with a name, into which jobs write numbers: whoever waits for them does not have to look again and again."""

import os
import select
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

PATIENCE: Final = 120  # s for one mark
_LOOK: Final = 0.25  # s between two looks at whether those who should write still live


class MissingMarkError(Exception):
    """Nobody wrote, and nobody will."""


class Marks:
    """The reading end; open while jobs write, so that no writer waits for a reader.

    Args:
        path: the pipe; made if it is not there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = -1
        self._read: list[int] = []

    def __enter__(self) -> Self:
        try:
            os.mkfifo(self._path)
        except FileExistsError:  # the driver reads the pipe that was made for it
            pass
        self._file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._file)

    def read(self, over: Callable[[], bool] = lambda: False) -> int:
        """Wait for the next number.

        Args:
            over: whether nobody is left who could write one.

        Raises:
            MissingMarkError: it did not come in time.
        """
        deadline = time.monotonic() + PATIENCE
        while not self._read:
            last = over() or time.monotonic() > deadline  # asked first: what was written before the end is read after it
            if select.select([self._file], [], [], 0 if last else _LOOK)[0]:
                self._read += [int(line) for line in os.read(self._file, 65536).split()]
            elif last:
                raise MissingMarkError
        return self._read.pop(0)
