"""The lanes of a fork server: streams to the supervisor, each with at most one horse, which the next one follows.

A lane is made once and used by horse after horse, each for one job. Between two horses nothing is left in it: the next one is forked when the
former has exited well and all that it had started has ended (`flowq.worker.fork_server.children`), so no process of the former job can read
what is meant for the next one. Output has pipes of its own for each job.
"""

from __future__ import annotations

import os

from flowq.worker.horse.entry import LaneEnd

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Lanes:
    """The open lanes by number, and the horses in them."""

    __slots__ = ("_horses", "_lanes", "_numbers", "streams")

    def __init__(self) -> None:
        self.streams: list[int] = []
        self._lanes: dict[int, LaneEnd] = {}
        self._horses: dict[int, int] = {}  # number -> pid
        self._numbers: dict[int, int] = {}  # pid -> number

    def open(self, number: int, stream: int) -> None:
        """Take over the stream of a new lane."""
        self.streams.append(stream)
        self._lanes[number] = LaneEnd(stream)

    def next_turn(self, number: int, scratch: str) -> LaneEnd:
        """Return the lane for a horse that is about to be forked. `scratch` is a directory for the files of all horses."""
        lane = self._lanes[number]
        lane.turn += 1
        lane.scratch = f"{scratch}/{number}-{lane.turn}"
        return lane

    def entered(self, number: int, pid: int) -> None:
        """Register the horse that was forked into a lane."""
        self._horses[number] = pid
        self._numbers[pid] = number

    def left(self, pid: int) -> int | None:
        """Forget a horse that has ended; return the number of its lane, None if it was no horse."""
        number = self._numbers.pop(pid, None)
        if number is not None:
            del self._horses[number]
        return number

    def scratch(self, number: int) -> str:
        """Return the path for files of the latest horse in a lane."""
        return self._lanes[number].scratch

    def horse(self, number: int) -> int | None:
        """Return the pid of the horse in a lane, None if there is none."""
        return self._horses.get(number)

    def horses(self) -> Iterable[tuple[int, int]]:
        """Return number and pid of all horses."""
        return tuple(self._horses.items())

    def close(self, number: int) -> None:
        """Give up a lane."""
        stream = self._lanes.pop(number).stream
        self.streams.remove(stream)
        os.close(stream)
