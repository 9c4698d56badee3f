"""Waiting for a condition with a deadline, so that no test sleeps for a fixed time."""

import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_LONGEST_LOOK = 1.0  # s that one look at a condition counts at most, with the pause after it


class Deadline:
    """The end of a wait in which something is looked at again and again.

    A virtual machine may stand still for half a minute, with all that it waits for, while its clocks go on. So a look that took longer
    than a second counts as one second.
    """

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._last = time.monotonic()

    def passed(self) -> bool:
        """Count the time since the last look; return whether the deadline has passed."""
        now = time.monotonic()
        self._left -= min(now - self._last, _LONGEST_LOOK)
        self._last = now
        return self._left < 0


def until(predicate: Callable[[], T], timeout: float = 30.0, message: str | Callable[[], str] = "") -> T:
    """Call `predicate` until it returns a true value, and return that value.

    The pauses grow from 1 ms to 20 ms, because most conditions of the tests hold within a few milliseconds.

    Args:
        predicate: the condition, called repeatedly; its exceptions are not caught.
        timeout: seconds to wait, see `Deadline`.
        message: the condition in words, for the error; or a function that returns it, where the words tell what was there at the end.

    Raises:
        AssertionError: the condition did not hold in time; with the message and the last value.
    """
    deadline = Deadline(timeout)
    pause = 0.001
    while True:
        value = predicate()
        if value:
            return value
        if deadline.passed():
            words = message if isinstance(message, str) else message()
            what = words or getattr(predicate, "__name__", "the condition")
            raise AssertionError(f"waited {timeout:g} s for {what}; last value: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Let a call that waits without end, such as the opening of a pipe, raise `TimeoutError` in place of stopping the suite. Main thread only."""

    def ring(_number: int, _frame: object) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def remove(directory: Path) -> None:
    """Remove a directory, again and again until it is gone: processes that were told to end may still write there."""

    def is_gone() -> bool:
        shutil.rmtree(directory, ignore_errors=True)
        return not directory.exists()

    until(is_gone, message=f"{directory} to be removed, in which a process may write")
