"""Limits of memory: what the processes of a job have for themselves is looked at from time to time, and one that has too much is killed.

The kernel's own limits hold for each process alone, or need rights that a worker has not. A look reads `/proc` (Linux) and costs what there are
processes on the machine, so there is none while no job has a limit. What grows and is given back between two looks is not seen.
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from flowq.worker.supervisor.ends import KillCause

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from flowq.worker.supervisor.slot import Slot

SUPPORTED: Final = os.path.exists("/proc/self/statm")
"""Whether this system tells what a process has."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_LOOK: Final = 0.25  # s between two looks


class MemoryWatch:
    """The looks at the jobs of one worker. `alarm` is the monotonic time of the next one, infinity while no job has a limit."""

    def __init__(self) -> None:
        self.alarm = math.inf

    def begin(self) -> None:
        """Look from now on: a job with a limit is started."""
        self.alarm = min(self.alarm, time.monotonic() + _LOOK)

    def look(self, slots: Sequence[Slot]) -> None:
        """Kill the jobs that have more memory than they asked for, if it is time to look."""
        now = time.monotonic()
        if now < self.alarm:
            return
        limits = [(slot, found) for slot in slots if (found := slot.memory_limit) is not None]
        is_limited = any(slot.task is not None and "memory" in slot.task for slot in slots)  # it may wait for its process
        self.alarm = now + _LOOK if is_limited else math.inf
        children = _children() if limits else {}
        for slot, (pid, limit) in limits:
            if sum(map(_own, _tree(pid, children))) > limit:
                slot.kill(KillCause.MEMORY)


def _children() -> Mapping[int, list[int]]:
    """Return the processes of this machine by their parents."""
    found = defaultdict(list)
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue  # it has just ended
            found[parent].append(int(name))
    return found


def _tree(pid: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    """Yield a process and its descendants."""
    waiting = [pid]
    while waiting:
        yield (one := waiting.pop())
        waiting += children.get(one, ())


def _own(pid: int) -> int:
    """Return the bytes in memory that belong to no file; 0 for a process that has ended."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0
    return (resident - shared) * _PAGE
