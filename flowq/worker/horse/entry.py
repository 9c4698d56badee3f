"""The first steps of a horse, from the fork to the stream of its lane.

After a fork each page is copied when it is first written to, and Python writes to each object that it uses: it counts references. So what every
horse does first is one function here, with few names and calls. The usual layers in its place copied seventy pages more.
"""

from __future__ import annotations

from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_SETMASK,
    SIGCHLD,
    pthread_sigmask,
    set_wakeup_fd,
    signal,
)
from os import close, dup2, setsid

from flowq.worker.ipc.channel import Channel
from flowq.worker.ipc.platform import settle_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import CodeType
    from typing import Any

    Hooks = list[tuple[Any, CodeType]]


class LaneEnd:
    """The end of a lane in a fork server, as a horse knows it.

    Attributes:
        stream: descriptor of the stream.
        turn: the number of the horse among those of the lane, from 1.
        scratch: path for a directory with files of its job.
    """

    __slots__ = ("scratch", "stream", "turn")

    def __init__(self, stream: int) -> None:
        self.stream = stream
        self.turn = 0
        self.scratch = ""


class Entrance:
    """The way from a fork server into a lane, made once, before the forks.

    Args:
        control: the fork server's control channel. The stream of the lane takes its place: `channel` is on the same number.
        hooks: functions that get this code in each horse (`flowq.worker.fork_server.at_fork`).
    """

    __slots__ = ("_hooks", "_number", "channel")

    def __init__(self, control: Channel, hooks: Hooks) -> None:
        self.channel = control.twin()
        self._hooks = hooks
        self._number = control.fileno()

    def enter(self, lane: LaneEnd, closing: Iterable[int], parent: int) -> None:
        """Make a fresh child a horse that has the lane's stream behind `channel`.

        `closing` are the descriptors of the fork server, the streams of all lanes among them; `parent` is its pid.
        """
        set_wakeup_fd(-1)
        for function, code in self._hooks:
            function.__code__ = code
        kept = -1
        try:
            dup2(lane.stream, self._number, False)
        except OSError:  # the number is beyond the limit of open files, which was lowered: keep that of the stream
            kept = lane.stream
            self.channel = Channel.adopt(kept)
        for fd in closing:
            if fd != kept:
                close(fd)
        setsid()
        settle_below(parent)
        signal(SIGCHLD, SIG_DFL)
        pthread_sigmask(SIG_SETMASK, ())  # not only what the fork server blocks: a mask is inherited from far away
