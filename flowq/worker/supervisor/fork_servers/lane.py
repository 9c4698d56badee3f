"""The supervisor's end of a lane: a stream to the horses of a fork server, of which one lives at a time and executes one task.

A lane is used again only if nothing of the former job can reach the next one: the horse has told its outcome and nothing behind it, has exited
well without a signal from here, and the fork server has found nothing that it left. Any other lane is closed, and another one made.
"""

from __future__ import annotations

import os
import time
from errno import ENOENT
from signal import SIGKILL
from typing import TYPE_CHECKING, Final

from flowq.store.client.short_wait import ShortWait
from flowq.worker.horse import shell
from flowq.worker.ipc.channel import LOST, Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.messages import finished
from flowq.worker.ipc.platform import has_ended
from flowq.worker.ipc.short_form import shortened
from flowq.worker.supervisor.fork_servers.told import is_told
from flowq.worker.supervisor.output.pipes import OutputPipes

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.ipc.messages import Task, TaskResult
    from flowq.worker.supervisor.event_loop import Loop
    from flowq.worker.supervisor.fork_servers.client import ForkServerClient


_TELL_LIMIT: Final = 2.0  # s in which a fork server that runs tells the end of a command


def group_of(task: Task) -> str | None:
    """Return which jobs of a fork server may share a horse with this one, None for no other."""
    return "\0".join((task.get("flow_dir") or "", task.get("cwd") or "")) if "batch" in task else None


class Lane:
    """A lane, and with `pid` the horse that is in it: 0 before the first one.

    `on_exit` is called once for each horse, with its exit code, or None if it is unknown. `fenced`: its fork server has killed the horse,
    because no lease was renewed in time. `garbled`: the horse was killed, because what it told is no outcome. `usage`: what a horse has used that has not exited well. `returning`: its horse has told the
    outcome and should exit soon, so that the lane can be used again. `executes`: the horse has become a command. `command`: how that has ended: exit code,
    what it has written to `$FLOWQ_OUTPUT` or why that could not be read, and what it had left running, in words.
    """

    __slots__ = (
        "_channel",
        "_ended_since",
        "_in_order",
        "_looks",
        "_loop",
        "_pipes",
        "_spoilt",
        "_turn",
        "_waits",
        "_when_readable",
        "command",
        "executes",
        "fenced",
        "fork_server",
        "garbled",
        "number",
        "on_exit",
        "pid",
        "returning",
        "usage",
    )

    def __init__(self, loop: Loop, fork_server: ForkServerClient, number: int, channel: Channel) -> None:
        self.fork_server = fork_server
        self.number = number
        self.pid = 0
        self.on_exit: Callable[[int | None], None] | None = None
        self.fenced = False
        self.garbled = False
        self.returning = False
        self.usage: tuple[float, ...] | None = None
        self.executes = False
        self.command: tuple[int, bytes | str, str] | None = None
        self._ended_since: float | None = None  # monotonic time at which the command was found to have ended, untold
        self._loop = loop
        self._channel = channel
        self._pipes: OutputPipes | None = None
        self._looks = False  # the horse is to tell whether it stays
        self._turn = 1
        self._waits = ShortWait()  # for jobs that share a horse: others take longer than what this saves
        self._in_order = False
        self._spoilt = False
        self._when_readable: Callable[[], None] | None = None
        loop.watch(channel.fileno(), self._readable, self._writable)

    def pipes(self) -> OutputPipes:
        """Return the pipes for the output of the task that is handed over next.

        Raises:
            OSError: no descriptor is left for new ones.
        """
        if self._pipes is None or self._pipes.closed:
            self._pipes = OutputPipes(self._loop)
        return self._pipes

    def hand_over(self, task: Task, secrets: dict[str, str], when_readable: Callable[[], None]) -> None:
        """Give the horse its task, after `pipes`. `when_readable` is called when `receive` has something."""
        self._when_readable = when_readable
        self.executes = False  # a horse that stays may have said so before
        short = None if secrets or self.fork_server.executor else shortened(self._turn, task)
        try:
            # all is read, so the descriptors are on their way at least
            self._channel.send((self._turn, task, secrets) if short is None else short, self.pipes().writes)
        except PeerGoneError:
            return  # it died while it waited; its exit is on the way and tells how
        if self._channel.sending:
            self._loop.wants_write(self._channel.fileno(), True)
        if "batch" in task:
            self._loop.stay_awake(self._waits.asked())

    def receive(self) -> list[TaskResult]:
        """Return what the horse has told. One that tells anything else is killed: its job has written to the stream."""
        try:
            received = self._channel.receive()
        except PeerGoneError:
            self._spoil()
            return []
        except ProtocolError:
            self._refuse()
            return []
        told = [
            told
            for message, _ in received
            if self._is_told(told := finished(message) if isinstance(message, bytes) else message)
        ]
        if len(told) < len(received) or any(fds for _, fds in received):
            for fd in (fd for _, fds in received for fd in fds if fd != LOST):
                os.close(fd)
            self._refuse()
        self.executes |= any("executes" in message for message in told)
        if self.fork_server.executor:
            for message in told:
                self.fork_server.away = "unstarted" in message or (self.fork_server.away and "granted" not in message)
        return told

    def _is_told(self, message: object) -> bool:
        """Return whether a message may come now: that the horse stays, or not, after it has said that it looks, and only then."""
        if not is_told(message, by_driver=bool(self.fork_server.executor)):
            return False
        assert isinstance(message, dict)
        expected, self._looks = self._looks, "outcome" in message and "looks" in message
        return expected == ("stays" in message)

    @property
    def unread(self) -> bool:
        """Whether the horse has not read its task yet."""
        return self._channel.unread

    def part(self, on_exit: Callable[[int | None], None]) -> None:
        """Let the horse exit: the outcome was received, and the job gets no further attention."""
        self._in_order = True
        self._when_readable = None
        self.on_exit = on_exit
        self.fork_server.expect(self)

    def stay(self) -> bool:
        """Take back the lane of a horse that waits for another task; return whether it may get one."""
        self._when_readable = None
        self.on_exit = None
        self._renew_pipes()
        return self._is_empty() and not self._spoilt

    def signal(self, number: int) -> None:
        """Send a signal to the horse's process group. The lane is not used again: it might hit the next horse."""
        self._in_order = False
        self.fork_server.signal(self, number)

    def command_ended(self, code: int, written: bytes | str, left: str) -> None:
        """Take note of the end of the command that the horse has become; `exited` follows."""
        self.command = code, written, left
        if self._when_readable is not None:
            self._when_readable()

    def look(self) -> None:
        """Tell the end of a command in place of a fork server that hangs, which may be due to what the command has left. To be called again and again."""
        now = time.monotonic()
        if not self.executes or self.command is not None or not self.fork_server.hangs or not has_ended(self.pid):
            self._ended_since = None
        elif self._ended_since is None:
            self._ended_since = now
        elif now - self._ended_since > _TELL_LIMIT and self.fork_server.kill_for(self):
            self.exited(-SIGKILL)

    def exited(self, code: int | None, usage: object = None) -> None:
        """Handle the end of the horse."""
        if isinstance(usage, tuple):
            self.usage = usage
        if self.command is None and code is not None:  # if it has become one: its files are gone
            self.command = code, shell.unreadable(FileNotFoundError(ENOENT, os.strerror(ENOENT))), ""
        while self.on_exit is not None:  # a slot that finds the outcome now lets the horse go, and asks to be told of its exit
            told, self.on_exit = self.on_exit, None
            told(code)

    def next(self, pid: int) -> bool:
        """Take note of the next horse; return whether it may have a task."""
        self.pid = pid
        self.executes = self._looks = False
        self.command = None
        self._turn += 1
        self._renew_pipes()
        in_order = self._in_order and self._is_empty() and self._in_order
        self._in_order = False
        return in_order

    def close(self) -> None:
        """Close this end; a horse that waits for a task exits then."""
        self._loop.forget(self._channel.fileno())
        self._channel.close()
        if self._pipes is not None and not self._pipes.attached:  # else the job's output reads and closes them
            self.drop_pipes()

    def _readable(self) -> None:
        self._waits.answered()
        if self._when_readable is not None:
            self._when_readable()
        elif not self._is_empty():  # it can be: what made it readable in this turn was read already
            self._spoil()  # there is nothing to be told
            self.signal(SIGKILL)

    def _renew_pipes(self) -> None:
        if self._pipes is not None and not self._pipes.renew():
            self.drop_pipes()

    def drop_pipes(self) -> None:
        """Close the pipes, which no job has now; the next one gets new ones."""
        if self._pipes is not None:
            self._pipes.close()
            self._pipes = None

    def _is_empty(self) -> bool:
        return not (self.receive() or self._channel.partial)

    def _writable(self) -> None:
        try:
            written = self._channel.flush()
        except PeerGoneError:
            written = True  # its exit is on the way
        if written:
            self._loop.wants_write(self._channel.fileno(), False)

    def _refuse(self) -> None:
        self.garbled = True
        self._spoil()
        self.signal(SIGKILL)

    def _spoil(self) -> None:
        self.fork_server.forget(self)  # it may be waiting for a job
        self._in_order = False
        self._spoilt = True
        self._when_readable = None
        self._loop.forget(self._channel.fileno())
