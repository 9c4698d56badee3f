"""The node: executes what its driver grants, in the slots and fork servers of a worker, and tells what becomes of it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from flowq import __version__
from flowq.exceptions import UsageError
from flowq.ids import nonce
from flowq.worker.executors import wire
from flowq.worker.executors.wire import WireError
from flowq.worker.ipc import platform
from flowq.worker.ipc.messages import failed
from flowq.worker.node.files import RunFiles
from flowq.worker.node.stream import HungUpError, NodeStream
from flowq.worker.options import WorkerOptions
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.interpreters import find_interpreter
from flowq.worker.supervisor.fork_servers.pool import ForkServerPool
from flowq.worker.supervisor.slot import Slot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flowq.worker.executors.wire import Message
    from flowq.worker.ipc.messages import Task
    from flowq.worker.secrets.execution import ExecutionSecrets

_TURN: Final = 1.0  # s between looks at the clock when nothing is due
_STARTING: Final = 0.05  # s in one turn for jobs that are to be started
_ABANDONED: Final = (
    120.0  # s without a word of the driver, at least, after which no word will come: a connection that broke without an end
)
_LEASES: Final = 3  # of a lease, likewise: the driver renews it more often


class GrantedJob:
    """A granted token in its slot, or on its way there. `unread`: bytes of output that the driver has not taken; `unsent`: output behind
    them; `last`: what is told behind all output.
    """

    def __init__(self, token: str, task: Task, secrets: dict[str, str]) -> None:
        self.token = token
        self.task = task
        self.secrets = secrets
        self.slot: Slot | None = None
        self.begun = False
        self.unread = 0
        self.unsent: deque[tuple[str, bytes]] = deque()
        self.last: deque[Message] = deque()


class ExecutorNode:
    """The executions of one driver on this machine."""

    def __init__(self) -> None:
        self._loop = Loop()
        self._stream = NodeStream(self._loop, self._received)
        self._pool = ForkServerPool(self._loop, WorkerOptions((), name="node", alone=True))
        self._pool.lend(0.0)
        self._files = RunFiles()
        self._slots: list[Slot] = []
        self._executions: dict[str, GrantedJob] = {}
        self._places: dict[
            str, tuple[str, dict[str, str]]
        ] = {}  # by token, of those that are not granted yet: nonce, variables
        self._ready: deque[GrantedJob] = deque()  # to be started
        self._waiting: dict[str, list[GrantedJob]] = {}  # by bundle that is on its way
        self._heard = time.monotonic()
        self._patience_with_driver = _ABANDONED

    def run(self) -> None:
        """Work until the driver is gone; then nothing is left that it started."""
        platform.become_subreaper()
        try:
            self._stream.send((wire.HELLO, __version__, socket.gethostname()))
            while time.monotonic() - self._heard < self._patience_with_driver:
                self._loop.turn(self._patience())
                self._start_some()
                for slot in self._slots:
                    slot.tick()
                for execution in tuple(self._executions.values()):
                    self._report(execution)
        except (HungUpError, WireError):
            pass
        finally:
            self._pool.close()

    def _patience(self) -> float:
        if self._ready:
            return 0.0
        alarms = [slot.alarm for slot in self._slots if slot.alarm is not None]
        return max(0.0, min(_TURN, *(alarm - time.monotonic() for alarm in alarms))) if alarms else _TURN

    # -- from the driver ---------------------------------------------------------------------------------------------------

    def _received(self, message: Message) -> None:
        self._heard = time.monotonic()
        match message:
            case (wire.START, str(token), dict(variables)):
                number, _ = self._places.setdefault(token, (nonce(), variables))
                self._stream.send((wire.READY, token, number))
            case (wire.GRANT, str(token), str(number), dict(task), dict(secrets)):
                granted, variables = self._places.get(token, ("", {}))
                if granted == number:
                    del self._places[token]
                    self._take(
                        GrantedJob(token, task | {"env": variables | task.get("env", {})} if variables else task, secrets)
                    )
            case (wire.REFUSE, str(token), str()) | (wire.CANCEL, str(token)):
                self._places.pop(token, None)
            case (wire.SIGNAL, str(token), int(number)):
                self._kill(token, number)
            case (wire.TAKEN, str(token), int(size)):
                if (execution := self._executions.get(token)) is not None:
                    execution.unread -= size
            case (wire.LEASE, float(seconds)):
                self._pool.lend(seconds)
                self._patience_with_driver = max(_ABANDONED, seconds * _LEASES)
                self._stream.send((wire.ALIVE,))
            case (wire.BUNDLE, str(name), archive):
                self._unpack(name, archive)

    def _take(self, execution: GrantedJob) -> None:
        self._executions[execution.token] = execution
        wanted = self._files.wanted(execution.task)
        if not wanted:
            self._ready.append(execution)
        elif wanted in self._waiting:
            self._waiting[wanted].append(execution)
        else:
            self._waiting[wanted] = [execution]
            self._stream.send((wire.WANTED, wanted))

    def _unpack(self, name: str, archive: bytes | None) -> None:
        why = self._files.add(name, archive)
        for execution in self._waiting.pop(name, []):
            if why:
                self._fail(execution, why)
            else:
                self._ready.append(execution)

    def _start_some(self) -> None:
        """Start a few jobs that are ready. Hundreds that come at once must not hold up a renewal, which all others wait for."""
        until = time.monotonic() + _STARTING
        while self._ready and time.monotonic() < until:
            self._start(self._ready.popleft())

    def _start(self, execution: GrantedJob) -> None:
        task = execution.task = self._files.placed(execution.task)
        try:
            if "python" in task:
                task["python"] = find_interpreter(task["python"], f"job {task['name']}")
            fork_server = self._pool.for_task(task)
        except UsageError as error:
            self._fail(execution, str(error))
            return
        except OSError as error:
            self._end(execution, (wire.UNSTARTED, execution.token, f"no process could be started: {platform.describe(error)}"))
            return
        execution.slot = self._free_slot()
        secrets, execution.secrets = execution.secrets, {}
        execution.slot.start(task, fork_server, _masked(secrets) if secrets else None)

    def _free_slot(self) -> Slot:
        slot = next((slot for slot in self._slots if slot.free), None)
        if slot is None:
            slot = Slot(self._loop, self, len(self._slots))
            self._slots.append(slot)
        return slot

    def _kill(self, token: str, number: int) -> None:
        execution = self._executions.get(token)
        if execution is None:
            return
        if number == signal.SIGKILL:
            execution.unread = -sys.maxsize  # the driver drops what it cannot pass on, and waits for the end
        if execution.slot is not None:
            execution.slot.kill(KillCause.KILL if number == signal.SIGKILL else KillCause.CANCEL)
            return
        for waiting in (self._ready, *self._waiting.values()):
            if execution in waiting:
                waiting.remove(execution)
        if not execution.last:
            self._end(execution)

    # -- owner of the slots ------------------------------------------------------------------------------------------------

    def ended(self, slot: Slot, end: Ended) -> None:
        """Tell the outcome, behind all output."""
        execution = self._in(slot)
        execution.unsent.extend(slot.logs())
        if end.cause is KillCause.FENCED:
            execution.last.append((wire.FENCED, execution.token))
        elif end.unstarted and end.cause is None:
            execution.last.append((wire.UNSTARTED, execution.token, end.outcome["error"]))
        else:
            if end.outcome["outcome"] == "finished":
                self._pool.used(execution.task, slot.fork_server)
            execution.last.append((wire.OUTCOME, execution.token, end.outcome))
        self._report(execution)

    def freed(self, slot: Slot) -> None:
        """Tell that all processes have ended."""
        execution = self._in(slot)
        execution.unsent.extend(slot.logs())
        execution.slot = None
        self._end(execution)

    def _in(self, slot: Slot) -> GrantedJob:
        return next(execution for execution in self._executions.values() if execution.slot is slot)

    # -- to the driver -----------------------------------------------------------------------------------------------------

    def _report(self, execution: GrantedJob) -> None:
        """Tell what there is to tell: output as far as the driver takes it, and behind all of it the end."""
        slot = execution.slot
        if slot is not None and not execution.begun and slot.has_horse:
            execution.begun = True
            self._stream.send((wire.BEGUN, execution.token))
        if slot is not None and not execution.unsent and execution.unread < wire.WINDOW and slot.has_output:
            execution.unsent.extend(slot.logs())
        while execution.unsent and execution.unread < wire.WINDOW:
            stream, data = execution.unsent.popleft()
            execution.unread += len(data)
            self._stream.send((wire.OUTPUT, execution.token, int(stream == "err"), data))
        while execution.last and not execution.unsent:
            message = execution.last.popleft()
            if message[0] == wire.EXITED:
                del self._executions[execution.token]
            self._stream.send(message)

    def _fail(self, execution: GrantedJob, why: str) -> None:
        self._end(execution, (wire.OUTCOME, execution.token, failed("error", why)))

    def _end(self, execution: GrantedJob, *last: Message) -> None:
        execution.last += (*last, (wire.EXITED, execution.token))
        self._report(execution)


def _masked(secrets: dict[str, str]) -> ExecutionSecrets:
    """Return the secrets of a job. Its worker has warned of those that cannot be masked."""
    from flowq.worker.secrets.execution import ExecutionSecrets

    class Quiet(ExecutionSecrets):
        __slots__ = ()

        def warnings(self) -> Iterator[str]:
            return iter(())

    return Quiet(secrets)


def main() -> None:
    """Run as the program of a node."""
    os.chdir("/")
    try:
        node = ExecutorNode()
    except PermissionError:  # of the event loop: its stdin is a file
        sys.exit(
            "error: this program speaks to an executor through its stdin and stdout; `flowq worker --executor NAME` starts it"
        )
    try:
        node.run()
    finally:
        sys.stderr.flush()
        os._exit(0)
