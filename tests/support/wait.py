"""Waiting for a condition with a deadline, so that no test sleeps a fixed time and hopes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(predicate: Callable[[], T], timeout: float = 10.0, message: str = "") -> T:
    """Call `predicate` until it returns something true and return that.

    The first waits are short (1 ms) and grow to 20 ms: most conditions of these tests come true within a few milliseconds.

    Args:
        predicate: asked again and again; an exception of it goes through.
        timeout: seconds until the wait is given up.
        message: what was waited for, or what to look at when it did not come.

    Raises:
        AssertionError: the condition did not come true in time; names the message and the last value.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            what = message or getattr(predicate, "__name__", "the condition")
            raise AssertionError(f"waited {timeout:g} s for {what}; last value: {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
