"""One lane of the driver: it takes the place of a horse, whose task is executed on a node."""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, Protocol

from flowq.worker.horse.horse import UNUSED
from flowq.worker.ipc.channel import LOST, Channel, PeerGoneError, ProtocolError
from flowq.worker.ipc.messages import failed

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task, TaskResult
    from flowq.worker.supervisor.event_loop import Loop

_WRITE: Final = select.PIPE_BUF  # bytes that a pipe with room takes at once, so that no write blocks
_TOLD: Final = 64 * 1024  # bytes of output after which the node is told that they were taken
_ANSWER_LIMIT: Final = 4.0  # s from SIGKILL to the end; less than a supervisor waits for a fork server (`supervisor.departure`)


class Stage(Enum):
    """The stages of an execution."""

    IDLE = auto()  # no task yet
    ASKED = auto()  # the engine was asked to start it
    GRANTED = auto()  # a node has the task
    GONE = auto()  # nothing is left of it


class StandInOwner(Protocol):
    """The driver, as a lane sees it."""

    def wants(self, lane: StandIn) -> None:
        """Get a task started."""

    def took(self, lane: StandIn, size: int) -> None:
        """Tell the node that so many bytes of output were taken."""

    def left(self, lane: StandIn, code: int, *, fenced: bool) -> None:
        """Tell the supervisor the end of the horse that was none."""


class StandIn:
    """A lane. `token` names the execution towards engine and nodes, `node` is the node that it was granted to."""

    def __init__(self, loop: Loop, number: int, channel: Channel, owner: StandInOwner) -> None:
        self.number = number
        self.token = ""
        self.node = ""
        self.task: Task = {}
        self.secrets: dict[str, str] = {}
        self.stage = Stage.IDLE
        self.kill_by: float | None = (
            None  # monotonic time by which a killed execution has ended, or its node is not to be trusted
        )
        self._loop = loop
        self._channel = channel
        self._owner = owner
        self._pipes: list[int] = []
        self._output: deque[tuple[int, bytes]] = deque()
        self._waits_for = -1  # the pipe that is full
        self._untold = 0  # bytes that were taken
        self._outcome: TaskResult | None = None
        self._told = False  # the outcome is on its way
        self._exited = False  # on the node
        loop.watch(channel.fileno(), self._readable, self._writable)

    # -- from the node -----------------------------------------------------------------------------------------------------

    def grant(self, node: str) -> tuple[Task, dict[str, str]]:
        """Let a node have the task; return it with its secrets, which are not kept."""
        self.stage = Stage.GRANTED
        self.node = node
        work = self.task, self.secrets
        self.task, self.secrets = {}, {}
        return work

    def begun(self) -> None:
        """Tell the supervisor that a horse has the task."""
        self._tell({"granted": self.node})

    def write(self, stream: int, data: bytes) -> None:
        """Add to the output of the job."""
        self._output.append((stream, data))
        if len(self._output) == 1:
            self._pump()

    def outcome(self, outcome: TaskResult) -> None:
        """Take the outcome; the supervisor gets it behind the output."""
        self._outcome = outcome
        self._pump()

    def hand_back(self, why: str) -> None:
        """Let the job go back to its queue: nothing of it was executed."""
        self.outcome({**failed("error", why), "unstarted": True})

    def exited(self) -> None:
        """Take note that no process is left on the node."""
        self._exited = True
        self._pump()

    def fence(self) -> None:
        """Give up an execution of which nothing is known any more."""
        self._leave(-signal.SIGKILL, fenced=True)

    # -- from the supervisor -----------------------------------------------------------------------------------------------

    def killed(self, number: int) -> None:
        """Take note of a signal that was sent to the node; an end is due after SIGKILL."""
        if number == signal.SIGKILL and self.kill_by is None:
            self.kill_by = time.monotonic() + _ANSWER_LIMIT
            self._pump()

    def drop(self, number: int) -> None:
        """End an execution that was not granted."""
        self._leave(-number)

    def _readable(self) -> None:
        try:
            messages = self._channel.receive()
        except (PeerGoneError, ProtocolError):
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            if self.stage is Stage.IDLE:
                self._leave(UNUSED)  # a lane that is not needed any more
            return
        for (_, task, secrets), pipes in messages:
            self.task, self.secrets, self._pipes = task, secrets, pipes
            if LOST in pipes:
                self._pipes = []
                self.hand_back("the driver of the executor has too many open files")
                self.exited()
                continue
            for pipe in pipes:
                self._loop.watch(pipe, self._closed, self._pump)
            self.stage = Stage.ASKED
            self._owner.wants(self)

    # -- output and outcome, in their order --------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Write what the supervisor takes now; when that was all, tell the outcome, and then the end."""
        while self._output:
            stream, data = self._output[0]
            if not self._write(stream, data):
                if self.kill_by is None:
                    return
                self._output.clear()  # a killed job does not wait until its output is taken
        if self._untold:
            self._owner.took(self, self._untold)
            self._untold = 0
        if self._outcome is not None and not self._told:
            self._told = True
            self._tell(self._outcome)
        if self._exited and not self._channel.sending:
            self._leave(0 if self._told else -signal.SIGKILL)

    def _write(self, stream: int, data: bytes) -> bool:
        """Write a part of the oldest output; return whether the pipe took it. Without a pipe it is not wanted, which counts too."""
        written = len(data)
        if self._pipes:
            pipe = self._pipes[stream]
            poller = select.poll()
            poller.register(pipe, select.POLLOUT)
            if not poller.poll(0):
                self._loop.wants_write(pipe, True)
                self._waits_for = pipe
                return False
            try:
                written = os.write(pipe, data[:_WRITE])
            except OSError:
                written = len(data)
            if self._waits_for == pipe:
                self._loop.wants_write(pipe, False)
                self._waits_for = -1
        if written < len(data):
            self._output[0] = (stream, data[written:])
        else:
            self._output.popleft()
        self._untold += written
        if self._untold >= _TOLD:
            self._owner.took(self, self._untold)
            self._untold = 0
        return True

    def _closed(self) -> None:
        """Handle that the supervisor does not read a pipe any more: it has the outcome, or has given up the job."""
        self._close_pipes()
        self._pump()

    def _close_pipes(self) -> None:
        for pipe in self._pipes:
            self._loop.forget(pipe)
            os.close(pipe)
        self._pipes = []

    def _tell(self, message: TaskResult) -> None:
        try:
            self._channel.send(message)
        except (PeerGoneError, OSError):
            return  # the supervisor has closed the lane: it wants to know no more
        if self._channel.sending:
            self._loop.wants_write(self._channel.fileno(), True)

    def _writable(self) -> None:
        try:
            written = self._channel.flush()
        except PeerGoneError:
            written = True
        if written:
            self._loop.wants_write(self._channel.fileno(), False)
            self._pump()

    def _leave(self, code: int, *, fenced: bool = False) -> None:
        if self.stage is Stage.GONE:
            return
        self.stage = Stage.GONE
        self._close_pipes()
        self._output.clear()
        self._loop.forget(self._channel.fileno())
        self._channel.close()
        self._owner.left(self, code, fenced=fenced)
