"""The lanes of a fork server: streams to the supervisor, each with at most one horse, which the next one follows.

A lane is made once and used by horse after horse, each for one job. Between two horses nothing is left in it: the next one is forked when the
former has exited well and all that it had started has ended (`flowq.worker.fork_server.children`), so no process of the former job can read
what is meant for the next one. Output has pipes of its own for each job.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Lanes:
    """The open lanes by number. `turn` counts the horses of a lane, from 1."""

    __slots__ = ("_horses", "_numbers", "_streams", "_turns")

    def __init__(self) -> None:
        self._streams: dict[int, int] = {}  # number -> descriptor
        self._turns: dict[int, int] = {}
        self._horses: dict[int, int] = {}  # number -> pid
        self._numbers: dict[int, int] = {}  # pid -> number

    def open(self, number: int, stream: int) -> None:
        """Take over the stream of a new lane."""
        self._streams[number] = stream
        self._turns[number] = 0

    def stream(self, number: int) -> int:
        """Return the descriptor of a lane's stream."""
        return self._streams[number]

    def turn(self, number: int) -> int:
        """Return how many horses the lane has had."""
        return self._turns[number]

    def next_turn(self, number: int) -> int:
        """Count a horse that is about to be forked."""
        self._turns[number] += 1
        return self._turns[number]

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

    def horse(self, number: int) -> int | None:
        """Return the pid of the horse in a lane, None if there is none."""
        return self._horses.get(number)

    def horses(self) -> Iterable[tuple[int, int]]:
        """Return number and pid of all horses."""
        return tuple(self._horses.items())

    def close(self, number: int) -> None:
        """Give up a lane."""
        del self._turns[number]
        os.close(self._streams.pop(number))

    def close_all(self) -> None:
        """Close the streams, in a fresh child."""
        for stream in self._streams.values():
            os.close(stream)
