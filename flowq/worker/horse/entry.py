"""The first steps of a horse, from the fork to the stream of its lane.

After a fork each page is copied when it is first written to, and Python writes to each object that it uses: it counts references. So what every
horse does first is one function here, with few names and calls. The usual layers in its place copied seventy pages more.
"""

from __future__ import annotations

from _signal import SIG_SETMASK, pthread_sigmask  # type: ignore[import-not-found]
from os import close, dup2, set_blocking, setsid

from flowq.worker.ipc.channel import Channel
from flowq.worker.ipc.platform import settle_below

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
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
        streams: of all lanes that are open.
        hooks: functions that get this code in each horse (`flowq.worker.fork_server.at_fork`).
        leave: what else a horse undoes of its fork server.

    Attributes:
        channel: that of the horse, on its lane.
        sample: a task that does nothing, in `marshal` form: executed once while a horse waits, it copies the pages that a task needs. Empty: none,
            and no task is executed in the short way.
        warm_after: seconds without a task after which a horse does that.
    """

    __slots__ = ("_hooks", "_leave", "_number", "_streams", "channel", "sample", "warm_after")

    def __init__(self, control: Channel, streams: list[int], hooks: Hooks, leave: Callable[[], None] | None = None) -> None:
        self.channel = control.twin()
        self.sample = b""
        self.warm_after = 0.0
        self._streams = streams
        self._hooks = hooks
        self._leave = leave
        self._number = control.fileno()

    def enter(self, lane: LaneEnd, own: Iterable[int], parent: int) -> None:
        """Make a fresh child a horse that has the lane's stream behind `channel`.

        `own` are the descriptors of the fork server, beside the streams of its lanes; `parent` is its pid.
        """
        for function, code in self._hooks:
            function.__code__ = code
        kept = -1
        try:
            dup2(lane.stream, self._number, False)
        except OSError:  # the number is beyond the limit of open files, which was lowered: keep that of the stream
            kept = lane.stream
            self.channel = Channel.adopt(kept)
        set_blocking(self._number if kept < 0 else kept, True)  # a former job of the lane may have changed that
        for fd in self._streams:
            if fd != kept:
                close(fd)
        for fd in own:
            close(fd)
        setsid()
        settle_below(parent)
        if self._leave is not None:
            self._leave()
        pthread_sigmask(SIG_SETMASK, ())  # not only what the fork server blocks: a mask is inherited from far away
