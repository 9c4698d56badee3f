"""The lanes of a fork server: streams to the supervisor, each with at most one horse, which the next one follows.

A lane is made once and used by horse after horse, each for one job. Between two horses nothing is left in it: the next one is forked when the
former has exited well and all that it had started has ended (`flowq.worker.fork_server.children`), so no process of the former job can read
what is meant for the next one. The pipes for output belong to the supervisor, which renews them (`flowq.worker.supervisor.output.pipes`).
"""

from __future__ import annotations

import os

from flowq.worker.horse.entry import LaneEnd


class Lanes:
    """The open lanes by number, the `horses` in them (number -> pid), and the `numbers` of their lanes (pid -> number).

    `streams`: of all lanes, those included that are about to be opened.
    """

    __slots__ = ("horses", "numbers", "open_lanes", "streams")

    def __init__(self) -> None:
        self.streams: list[int] = []
        self.open_lanes: dict[int, LaneEnd] = {}
        self.horses: dict[int, int] = {}
        self.numbers: dict[int, int] = {}

    def open(self, number: int, stream: int) -> None:
        """Take over the stream of a new lane, which is one of `streams`."""
        self.open_lanes[number] = LaneEnd(stream)

    def next_turn(self, number: int, scratch: str) -> LaneEnd:
        """Return the lane for a horse that is about to be forked. `scratch` is a directory for the files of all horses."""
        lane = self.open_lanes[number]
        lane.turn += 1
        lane.scratch = f"{scratch}/{number}-{lane.turn}"
        return lane

    def entered(self, number: int, pid: int) -> None:
        """Register the horse that was forked into a lane."""
        self.horses[number] = pid
        self.numbers[pid] = number

    def left(self, pid: int) -> int | None:
        """Forget a horse that has ended; return the number of its lane, None if it was no horse."""
        number = self.numbers.pop(pid, None)
        if number is not None:
            del self.horses[number]
        return number

    def scratch(self, number: int) -> str:
        """Return the path for files of the latest horse in a lane."""
        return self.open_lanes[number].scratch

    def files(self, pid: int) -> str:
        """Return the path for files of a horse, "" if it is none."""
        number = self.numbers.get(pid)
        return "" if number is None else self.open_lanes[number].scratch

    def horse(self, number: int) -> int | None:
        """Return the pid of the horse in a lane, None if there is none."""
        return self.horses.get(number)

    def close(self, number: int) -> None:
        """Give up a lane."""
        self.drop(self.open_lanes.pop(number).stream)

    def drop(self, stream: int) -> None:
        """Close a stream, if it was received."""
        if stream in self.streams:
            self.streams.remove(stream)
            os.close(stream)
