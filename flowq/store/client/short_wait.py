"""Waiting without sleep for an answer that comes soon.

A process that sleeps until its answer comes is woken by another processor: the one that answers sends an interrupt, and the one that sleeps leaves its
idle state. With a server on this machine that takes as long as most answers do, and costs CPU time on both sides. So where the last answer has come
soon, the next one is looked for again and again before the process sleeps. Others may have the processor in between; when one has taken it, it is needed.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

LONGEST: Final = 0.00025
"""Seconds; an answer that takes longer is slept for."""

_TAKEN: Final = 0.00002  # s that a processor is given away for, if another process wanted it
_PROCESSORS: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_NEW_POLLER: Final[Callable[[], select.poll] | None] = getattr(select, "poll", None)  # eventlet removes it


class ShortWait:
    """The waits for one peer's answers, one after the other."""

    __slots__ = ("_asked", "_soon")

    def __init__(self) -> None:
        self._asked = 0.0  # monotonic time of the last question
        self._soon = False  # whether the last answer came soon

    def asked(self) -> float:
        """Take note of a question; return the monotonic time until which the answer is to be looked for without sleep, 0 for not at all."""
        self._asked = now = time.monotonic()
        return now + LONGEST if self._soon else 0.0

    def answered(self) -> None:
        """Take note of the answer."""
        self._soon = _PROCESSORS > 1 and time.monotonic() - self._asked < LONGEST

    def await_readable(self, sock: Any) -> None:
        """Look until a socket can be read, but not for longer than that; the question was just asked.

        Another socket than the system's is left alone: what TLS has received may be in the memory of this process already, and with gevent or eventlet
        other code of this thread has to go on.
        """
        until = self.asked()
        if until and _NEW_POLLER is not None and type(sock).__module__ == "socket":
            fd = sock.fileno()
            if fd >= 0:  # another thread may close the pool
                poller = _NEW_POLLER()
                poller.register(fd, select.POLLIN)
                look_until(lambda: poller.poll(0), until)


def look_until(look: Callable[[], T], until: float) -> T:
    """Call until it finds something, the monotonic time has come, or another process needs the processor; return the last answer."""
    found, before = look(), time.monotonic()
    while not found and before < until:
        os.sched_yield()
        now = time.monotonic()
        found = look()
        if now - before > _TAKEN:
            break
        before = now
    return found
