"""A slot executes one task at a time: it feeds a horse, collects output and outcome, and enforces the hard timeout.

An execution ends when its outcome arrives; the slot is free when the horse and all it started are gone. Both can be seen in one
turn of the loop in either order, so the horse's channel is always read to its end before an exit is believed.

Timeouts, by this process's own clock (the job cannot dodge it); the stop grace is the task's, else the worker's grace:
    call, pickle    T: exception in the horse    T + grace: SIGTERM to the group    + stop grace: SIGKILL
    shell, argv                                  T: SIGTERM to the group            + stop grace: SIGKILL

A timeout counts from the moment at which the horse has read its task. One that does not read it hangs in flowq's own code or in an at-fork
hook: a lock that a thread of the program held when its worker was cloned stays locked in the copy. It is killed after `_BEGIN_LIMIT`,
and the job has failed with that reason.

The fork server carries the signals out. One that does not (a job can stop its parent, an import can hang) is killed in turn, together
with all its horses, `_ANSWER_LIMIT` after a SIGKILL that had no effect: no job keeps a slot.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from flowq.defaults import TIMEOUT_GRACE
from flowq.worker.horse.exit_text import killed_text
from flowq.worker.ipc.channel import PeerGoneError, ProtocolError
from flowq.worker.ipc.messages import failed
from flowq.worker.ipc.platform import describe
from flowq.worker.supervisor.captured_output import JobOutput, output_pipes
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_server_client import ForkServerClient, Horse

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task, TaskResult
    from flowq.worker.secrets.execution import ExecutionSecrets

_START_LIMIT: Final = 60.0  # s a fork server may take to give a horse; then something is badly stuck
_BEGIN_LIMIT: Final = 10.0  # s a horse may take to read its task, from the moment at which it was sent
_BEGIN_LOOK: Final = 0.25  # s between looks whether a late one has
_EXIT_LIMIT: Final = 5.0  # s a horse may take to exit after its outcome
_ANSWER_LIMIT: Final = 5.0  # s from a SIGKILL to the report of the exit; then the fork server is killed

_TERM_SENT, _KILL_SENT = 2, 3  # how far the signals of an execution have gone


class KillCause(StrEnum):
    """The cause for which a slot killed its horse; reported in place of the horse's own outcome."""

    TIMEOUT = "timeout"
    CANCEL = "canceled"
    STOP = "stopped"
    FENCED = "fenced"  # the store has given the job to another worker: report nothing
    KILL = "killed"  # a client asked to kill what runs; it is a failure like any other
    RETURNED = "returned"  # the worker stops now: the job goes back to its queue


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an execution. `cause` is set when it was killed on purpose; `unstarted` when no horse was available."""

    outcome: TaskResult
    cause: KillCause | None = None
    unstarted: bool = False
    pid: int = 0  # of the horse, when it died without an outcome
    code: int | None = None  # and its exit code
    usage: tuple[float, ...] | None = None  # and what it and its children used: the values of `resource.struct_rusage`


class Owner(Protocol):
    """The owner of a slot. The loop makes both calls; `ended` always comes before `freed`."""

    def ended(self, slot: Slot, end: Ended) -> None:
        """Handle the end of the execution; the horse may still be exiting."""

    def freed(self, slot: Slot) -> None:
        """Handle the release of the slot: it can take the next task."""


class Slot:
    """One place for a running job. `index` is its number, from 0."""

    def __init__(self, loop: Loop, owner: Owner, index: int, *, grace: float = TIMEOUT_GRACE) -> None:
        self.index = index
        self.task: Task | None = None
        self._loop = loop
        self._owner = owner
        self._grace = self._stop_grace = grace
        self._fork_server: ForkServerClient | None = None
        self._horse: Horse | None = None
        self._output = JobOutput(loop, None)
        self._secrets: ExecutionSecrets | None = None
        self._over = True  # the outcome of the current task is known
        self._cause: KillCause | None = None
        self._alarm: float | None = None  # monotonic time of the next signal
        self._stage = 0  # 0, `_TERM_SENT` or `_KILL_SENT`
        self._begin_by: float | None = None  # monotonic time; None: the horse has begun, or there is none yet
        self._due: float | None = None  # monotonic time of the hard limit
        self._stuck = False  # it was killed because it did not begin
        self._so_far: TaskResult | None = None  # the failure for which a callback is being called

    @property
    def free(self) -> bool:
        """Whether a task can be started."""
        return self.task is None

    @property
    def running(self) -> bool:
        """Whether an execution is in progress whose end has not been told."""
        return not self._over

    @property
    def alarm(self) -> float | None:
        """The monotonic time of the next call of `tick`."""
        return self._alarm

    def start(self, task: Task, fork_server: ForkServerClient, secrets: ExecutionSecrets | None = None) -> None:
        """Execute a task. The slot must be free. `secrets`: those of a job that has some."""
        assert self.task is None, "a slot holds one task at a time"
        self.task = task
        self._over = False
        self._cause = None
        self._stage = 0
        self._begin_by = None
        self._stuck = False
        self._so_far = None
        self._secrets = secrets
        self._output = JobOutput(self._loop, secrets)
        self._stop_grace = float(task.get("stop_grace", self._grace))
        for warning in secrets.warnings() if secrets is not None else ():
            self._output.note(warning)
        self._alarm = time.monotonic() + _START_LIMIT
        self._fork_server = fork_server
        fork_server.obtain(self._got_horse)

    @property
    def has_output(self) -> bool:
        """Whether `logs` would return something."""
        return self._output.ready

    def logs(self) -> list[tuple[str, bytes]]:
        """Return the output since the last call: `(stream, lines)`, stream is "out" or "err"."""
        return self._output.take()

    def let_go(self, since: float) -> None:
        """Resume a job that has been held back since before this monotonic time; its oldest output is dropped."""
        self._output.let_go(since)

    @property
    def has_horse(self) -> bool:
        """Whether a process executes the task by now."""
        return self._horse is not None

    def kill(self, cause: KillCause) -> None:
        """End the execution before its time. Politely first for a cancel or a stop, at once for the others."""
        if self._over:
            return
        if self._cause is None or cause in {KillCause.FENCED, KillCause.RETURNED}:
            self._cause = cause
        if cause in {KillCause.FENCED, KillCause.RETURNED, KillCause.KILL}:
            self._kill_group()
        elif self._stage == 0:
            self._signal(signal.SIGTERM)
            self._stage = _TERM_SENT
            self._alarm = time.monotonic() + self._stop_grace

    def tick(self) -> None:
        """Send the due signals."""
        now = time.monotonic()
        if self._alarm is None or now < self._alarm:
            return
        self._alarm = None
        if self._horse is None or self._stage == _KILL_SENT:
            assert self._fork_server is not None
            self._stuck = self._stuck or (self._horse is None and self._fork_server.threads > 0)
            self._fork_server.abandon()  # it does not answer; its end tells `_got_horse` or `_exited`
        elif self._over or self._stage == _TERM_SENT:
            self._kill_group()
        elif not self._awaits_begin(now):
            self._cause = KillCause.TIMEOUT
            self._signal(signal.SIGTERM)
            self._stage = _TERM_SENT
            self._alarm = now + self._stop_grace

    def _awaits_begin(self, now: float) -> bool:
        """Return whether the hard limit is not due, because the horse has not begun or only just has; kill it if it takes too long."""
        if self._begin_by is None:
            return False
        assert self._horse is not None
        assert self._fork_server is not None
        assert self.task is not None
        if not self._horse.channel.unread:
            self._begin_by = None
            self._alarm = self._due
            return self._due is None or now < self._due
        if now >= self._begin_by:
            self._stuck = True
            self._fork_server.distrust()
            self._kill_group()
        else:
            self._due = self._hard_limit(self.task)
            self._alarm = min(self._begin_by, now + _BEGIN_LOOK)
        return True

    def _kill_group(self) -> None:
        """Kill the horse's process group; while there is no horse yet, the limit for getting one stays."""
        if self._horse is not None:
            self._signal(signal.SIGKILL)
            self._stage = _KILL_SENT
            self._alarm = time.monotonic() + _ANSWER_LIMIT

    # -- life of one execution ---------------------------------------------------------------------------------------------

    def _got_horse(self, horse: Horse | None, why: str) -> None:
        task = self.task
        if task is None or self._over:  # given up while we waited
            if horse is not None:
                horse.channel.close()
            return
        if horse is not None and self._cause is None:
            try:
                self._hand_over(horse, task)
            except OSError as error:
                why = describe(error)
                horse.channel.close()
            else:
                return
        if self._stuck:
            self._end(Ended(self._not_begun(), self._cause))
            self._release()
            return
        text = f"no process could be started for the job: {why}"
        if horse is not None and self._cause is not None:
            horse.channel.close()
            text = "the job was killed before it began"
        self._end(Ended(failed("error", text), self._cause, unstarted=True))
        self._release()

    def _hand_over(self, horse: Horse, task: Task) -> None:
        values = {} if self._secrets is None else self._secrets.environment()
        reads, writes = output_pipes()
        self._output.watch(reads)  # before the job can write: there are no notes of earlier writes
        try:
            horse.channel.send((task, values), writes)  # the socket is empty, so the descriptors are on their way at least
        except PeerGoneError:
            pass  # it died while it waited; its exit is on the way and tells how
        except BaseException:
            self._output.close()
            raise
        finally:
            for fd in writes:
                os.close(fd)
        self._horse = horse
        horse.on_exit = self._exited
        self._loop.watch(horse.channel.fileno(), self._read_outcome, self._write_task)
        if horse.channel.sending:
            self._loop.wants_write(horse.channel.fileno(), True)
        self._begin_by = time.monotonic() + _BEGIN_LIMIT
        self._due = self._hard_limit(task)
        self._alarm = self._begin_by if self._due is None else min(self._begin_by, self._due)

    def _hard_limit(self, task: Task) -> float | None:
        timeout = task.get("timeout")
        if timeout is None or timeout <= 0:
            return None
        soft = task["kind"] in {"call", "pickle", "callback"}
        return time.monotonic() + float(timeout) + (self._grace if soft else 0.0)

    def _write_task(self) -> None:
        assert self._horse is not None
        channel = self._horse.channel
        try:
            written = channel.flush()
        except PeerGoneError:
            written = True  # its exit is on the way
        if written:
            self._loop.wants_write(channel.fileno(), False)

    def _read_outcome(self) -> None:
        assert self._horse is not None
        channel = self._horse.channel
        try:
            messages = channel.receive()
        except (PeerGoneError, ProtocolError):
            self._loop.forget(channel.fileno())  # its exit is on the way; garbage is treated like no outcome
            return
        while messages and "phase" in messages[0][0]:
            self._go_on(messages.pop(0)[0])  # several phases may arrive together
        if messages and not self._over:
            self._output.drain()  # what the job printed before its end belongs before its end
            self._end(Ended(self._judged(self._masked(messages[0][0])), self._cause))
            self._alarm = time.monotonic() + _EXIT_LIMIT

    def _go_on(self, phase: TaskResult) -> None:
        """Handle the end of the job's function: the callback has its own time. A failure is kept in case the callback does not return."""
        self._begin_by = None
        if phase["phase"] is not None:
            self._alarm = time.monotonic() + float(phase["phase"]) + self._grace
        self._so_far = phase["so_far"]

    def _exited(self, code: int | None) -> None:
        assert self._horse is not None
        if not self._over:
            self._read_outcome()
        self._output.close()
        if not self._over:
            if self._horse.fenced and code is not None:
                self._cause = KillCause.FENCED  # not the job's fault: its lease runs out, and it is lost as with its worker
            self._end(Ended(self._died(code), self._cause, pid=self._horse.pid, code=code, usage=self._horse.usage))
        self._loop.forget(self._horse.channel.fileno())
        self._release()

    def _died(self, code: int | None) -> TaskResult:
        """Return the outcome of a horse that ended without one; that of its job's function if a callback has ended the process."""
        if self._stuck:
            return self._not_begun()
        death = _death(code, self._cause)
        if self._so_far is None:
            return self._judged(death)
        how = "took too long and was killed" if self._cause is KillCause.TIMEOUT else f"did not come back: {death['error']}"
        so_far = self._masked(self._so_far)
        return {**so_far, "error": f"{so_far['error']}\n\nWhat was called for this failure {how}"}

    def _not_begun(self) -> TaskResult:
        """Return the outcome of an execution whose process was killed before it had read its task."""
        assert self._fork_server is not None
        text = f"the job's process did not begin within {_BEGIN_LIMIT:g} s and was killed"
        if self._horse is None:
            text = f"the copy of the program that jobs are forked from did not answer within {_START_LIMIT:g} s and was killed"
        others = self._fork_server.threads - 1
        if others > 0:
            text += (
                f": the program had {others} other thread{'s' if others > 1 else ''} when its worker copied it, and a lock that one of them"
                " held stays locked in the copy. Call work() before threads are started, or use SpawnWorker or `flowq worker`"
            )
        return failed("killed", text)

    def _masked(self, outcome: TaskResult) -> TaskResult:
        """Return an outcome without the job's secrets."""
        if self._secrets is None:
            return outcome
        outcome, notes = self._secrets.outcome(outcome)
        for note in notes:
            self._output.note(note)
        return outcome

    def _judged(self, outcome: TaskResult) -> TaskResult:
        """Return the outcome to report: after our own SIGTERM or SIGKILL for a timeout it is a timeout, whatever the horse says."""
        if self._cause is not KillCause.TIMEOUT or outcome.get("reason") == "timeout":
            return outcome
        assert self.task is not None
        text = f"the job ran longer than its timeout of {float(self.task['timeout']):g} s and was killed"
        return failed("timeout", text, exit_code=outcome.get("exit_code"))

    def _end(self, end: Ended) -> None:
        self._over = True
        self._output.end()
        self._owner.ended(self, end)

    def _release(self) -> None:
        self._horse = self._fork_server = None
        self._alarm = None
        self.task = None
        self._secrets = None
        self._owner.freed(self)

    def _signal(self, number: int) -> None:
        if self._horse is not None:
            self._horse.signal(number)


def _death(code: int | None, cause: KillCause | None) -> TaskResult:
    """Return the outcome of a horse that ended without one. An exit code of 0 is no better than any other."""
    if code is None:
        return failed("killed", "the job's processes were killed together with the fork server they belonged to")
    if code >= 0:
        return failed(
            "killed",
            f"the job's process exited with code {code} without a result (os._exit, or a crash at exit)",
            exit_code=code,
        )
    text = f"the job's process was {killed_text(-code)}"
    if -code == signal.SIGKILL and cause is None:
        text += "; this worker did not send it: the system was probably out of memory"
    elif cause is KillCause.KILL:
        text += " on request"
    return failed("killed", text, exit_code=128 - code)
