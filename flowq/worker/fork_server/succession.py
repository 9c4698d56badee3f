"""The succession of horses in the lanes of a fork server: one has ended, the next one is forked.

The usual turn of a lane is one function (`Succession.follow`) in place of the parts that know all cases. Between two forks a fork server copies
a page for nearly each object that it uses, because Python counts the references to it: the parts, called one by one, copied a hundred.
"""

from __future__ import annotations

import os
from os import access, fork, killpg, pread, waitpid

from flowq.worker.fork_server import at_fork, huge_pages
from flowq.worker.fork_server.scratch import remove_tree
from flowq.worker.horse import horse, shell
from flowq.worker.horse.entry import Entrance
from flowq.worker.ipc import channel, platform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from flowq.worker.fork_server.children import Children
    from flowq.worker.fork_server.lanes import Lanes
    from flowq.worker.fork_server.scratch import ScratchDirectory
    from flowq.worker.horse.entry import LaneEnd
    from flowq.worker.ipc.channel import Channel

NONE: Final = 0
"""No child has ended."""
DONE: Final = 1
"""A horse has ended well, and the next one is in its lane."""
OTHER: Final = 2
"""What has to be seen to in the long way (`Children.reap`)."""

_ENDED: Final = getattr(os, "WEXITED", 0) | os.WNOHANG | getattr(os, "WNOWAIT", 0)
_P_ALL: Final = getattr(os, "P_ALL", 0)
_EXITED: Final = getattr(os, "CLD_EXITED", 1)
_SIGKILL: Final = 9  # the enum's member copies pages
_LISTED: Final = 4096  # bytes of the list of children: some hundred
_GATHERS: Final = 16  # turn of a lane after which it pays to look for memory that could lie in huge pages, and then every
_AGAIN: Final = 64  # turns, because modules are imported ahead
_waitid = getattr(os, "waitid", None)


class Succession:
    """The forks of one server.

    Args:
        control: where ends are told.
        children: all children of the server.
        lanes: with the horses in them.
        scratch: the directory of the server.
        ends: which a horse has no use for.
        user_code: what is forked with while there are hooks of users.
    """

    __slots__ = (
        "_children",
        "_control",
        "_ends",
        "_entrance",
        "_horses",
        "_known",
        "_lanes",
        "_me",
        "_numbers",
        "_own",
        "_scratch",
        "_user_code",
    )

    def __init__(
        self,
        control: Channel,
        children: Children,
        lanes: Lanes,
        scratch: ScratchDirectory,
        ends: platform.ChildEnds,
        *,
        user_code: at_fork.UserCode,
    ) -> None:
        self._control = control
        self._children = children
        self._known = children.known
        self._lanes = lanes
        self._horses = lanes.horses
        self._numbers = lanes.numbers
        self._scratch = scratch
        self._ends = ends.fd
        self._entrance = Entrance(control, lanes.streams, at_fork.replaced, None if platform.SWEEPS else ends.leave)
        self._user_code = user_code
        self._own = self._descriptors()
        self._me = os.getpid()

    def rehearsed(self, sample: bytes, warm_after: float) -> None:
        """Let later horses execute this task once when they have waited for so many seconds."""
        self._entrance.sample = sample
        self._entrance.warm_after = warm_after

    def descriptors(self) -> list[int]:
        """Return the descriptors that a child closes, but for the control channel."""
        return [*self._lanes.streams, *self._descriptors()]

    def _descriptors(self) -> tuple[int, ...]:
        return tuple(fd for fd in (self._ends, self._children.listing, self._scratch.lock) if fd >= 0)

    def fork(self, number: int) -> int:
        """Fork a horse into a lane that has none, and return its pid.

        Raises:
            OSError: the system has no process to spare.
        """
        self._scratch.ensure()
        self._own = self._descriptors()
        lane = self._lanes.next_turn(number, self._scratch.path)
        pid = self._user_code.fork()
        if pid == 0:
            horse.live(self._entrance, lane, self._own, self._me)
        self._known.add(pid)
        self._lanes.entered(number, pid)
        return pid

    def judge(self, number: int, written: bytes | str, left: str) -> bool:
        """Fork a horse in place of a command that has exited with 0 and written much, to judge that; return whether it was done."""
        if not shell.is_much(written):
            return False
        self._own = self._descriptors()
        lane = self._lanes.open_lanes[number]
        try:
            pid = self._user_code.fork()
        except OSError:
            return False
        if pid == 0:
            horse.judge(self._entrance, lane, self._own, self._me, written=written, left=left)
        self._known.add(pid)
        self._lanes.entered(number, pid)
        self._control.tell((channel.READS, number, pid))
        return True

    def _is_judged(self, number: int, lane: LaneEnd) -> bool:
        """Tell what a command has written that has exited with 0 and left nothing; return whether another horse does that."""
        written = shell.collect(lane.scratch)
        if access(lane.scratch, 0):
            remove_tree(lane.scratch)
            lane.scratch = f"{self._scratch.path}/{number}-{lane.turn + 1}"  # something of it may have stayed
        if self.judge(number, written, ""):
            return True
        self._control.tell((channel.ENDED, number, 0, written, ""))
        return False

    def follow(self) -> int:
        """Look for a horse that has ended well and has left nothing, and fork the next one into its lane; return which case it was."""
        if _waitid is None or self._children.sweeping:
            return OTHER
        try:
            found = _waitid(_P_ALL, 0, _ENDED)
        except ChildProcessError:
            return NONE
        if found is None:
            return NONE
        pid, _, _, status, how = found
        number = self._numbers.get(pid, 0)
        listing = self._children.listing
        if status or how != _EXITED or not number or listing < 0 or not access(self._scratch.path, 0):
            return OTHER
        lane = self._lanes.open_lanes[number]
        was_command = access(lane.scratch, 0)
        if was_command and pread(listing, _LISTED, 0).count(b" ") != len(self._known):
            return OTHER  # what it has left is looked at before it is killed
        try:
            killpg(pid, _SIGKILL)  # what is left of its group, before it is reaped: until then the group id is its own
        except OSError:
            return OTHER
        waitpid(pid, 0)
        self._known.remove(pid)
        if pread(listing, _LISTED, 0).count(b" ") != len(self._known):
            self._children.sweep_after(pid)
            return OTHER
        del self._numbers[pid]
        del self._horses[number]
        if was_command and self._is_judged(number, lane):
            return DONE
        lane.turn += 1
        try:
            successor = self._user_code.fork() if self._user_code.hooks else fork()
            if successor == 0:
                horse.live(self._entrance, lane, self._own, self._me)
        except OSError:
            self._control.tell((channel.EXITED, number, 0, 0))
            self._lanes.close(number)
            return DONE
        self._known.add(successor)
        self._numbers[successor] = number
        self._horses[number] = successor
        self._control.tell((channel.EXITED, number, 0, successor))
        if lane.turn % _AGAIN == _GATHERS:
            huge_pages.gather()  # now, when no answer of this server is awaited
        return DONE
