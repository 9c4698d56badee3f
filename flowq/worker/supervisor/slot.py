"""A slot executes one task at a time: it feeds a horse, collects output and outcome, and enforces the hard timeout.

An execution ends when its outcome arrives, and the slot takes the next task, with another horse: the one that has told its outcome exits
beside it (`departure`). One that was sent a signal, or leaves processes, keeps the slot until all are gone. Outcome and exit can be seen in
one turn of the loop in either order, so a lane is always read to its end before an exit is believed.

Timeouts, by this process's own clock (the job cannot dodge it); the stop grace is the task's, else the worker's grace:
    call, pickle    T: exception in the horse    T + grace: SIGTERM to the group    + stop grace: SIGKILL
    shell, argv                                  T: SIGTERM to the group            + stop grace: SIGKILL

No horse yet: a fork server has `ForkServerClient.limit` seconds to give one. Then it is killed, and the job goes back to its queue; the copy
of a program is not tried again: the job has failed. An execution that is killed before it has a horse ends at once.

A timeout counts from the moment at which the horse has read its task. One that does not read it hangs in flowq's own code or in an at-fork
hook: a lock that a thread of the program held when its worker was cloned stays locked in the copy. It is killed after `_BEGIN_LIMIT`,
and the job has failed with that reason.

The fork server carries the signals out. For one that has not read a SIGKILL soon (an import, an at-fork hook can hang) it is done here, so that
the job ends in time. It is killed in turn, together with all its horses, if it does not report the exit (`departure`): no job keeps a slot.
"""

from __future__ import annotations

import logging
import signal
import time
from typing import TYPE_CHECKING, Final

from flowq.defaults import TIMEOUT_GRACE
from flowq.worker.ipc.messages import failed
from flowq.worker.ipc.platform import describe
from flowq.worker.secrets.resolve import SecretError
from flowq.worker.supervisor import ends
from flowq.worker.supervisor.departure import EXIT_LIMIT, Departure, Kill
from flowq.worker.supervisor.ends import Ended, KillCause, Owner
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.fork_servers.lane import Lane, group_of
from flowq.worker.supervisor.output.job_output import JobOutput

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task, TaskResult
    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.supervisor.fork_servers.client import ForkServerClient

_log = logging.getLogger("flowq.worker")
_TOLD_AFTER: Final = 5.0  # s without a horse after which the job's output says so
_BEGIN_LIMIT: Final = 10.0  # s a horse may take to read its task, from the moment at which it was sent
_LOOK: Final = 0.25  # s between looks whether a late one has


class Slot:
    """One place for a running job. `index` is its number, from 0."""

    def __init__(self, loop: Loop, owner: Owner[Slot], index: int, *, grace: float = TIMEOUT_GRACE) -> None:
        self.index = index
        self.task: Task | None = None
        self.about: dict[str, str] = {}  # the run of its job, and the flow, for records of the log
        self._loop = loop
        self._owner = owner
        self._grace = self._stop_grace = grace
        self._fork_server: ForkServerClient | None = None
        self._lane: Lane | None = None
        self._leaving: list[Departure] = []  # horses of earlier executions
        self._output = JobOutput(None)
        self._secrets: ExecutionSecrets | None = None
        self._over = True  # the outcome of the current task is known
        self._looks = False  # and the horse is to tell whether it stays
        self._cause: KillCause | None = None
        self._alarm: float | None = None  # monotonic time of the next signal
        self._warned = False  # SIGTERM was sent
        self._killing: Kill | None = None
        self._begin_by: float | None = None  # monotonic time; None: the horse has begun, or there is none yet
        self._due: float | None = None  # monotonic time of the hard limit
        self._answer_by = 0.0  # monotonic time at which a fork server is killed that gives no horse
        self._stuck = False  # it was killed because it did not begin
        self._told = False  # that it waits for a horse
        self._look_at: float | None = None  # monotonic time at which commands that give secrets are looked at
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
    def fork_server(self) -> ForkServerClient:
        """The fork server of the execution in progress."""
        assert self._fork_server is not None
        return self._fork_server

    @property
    def alarm(self) -> float | None:
        """The monotonic time of the next call of `tick`."""
        if not self._leaving:
            return self._alarm
        soonest = min(departure.alarm for departure in self._leaving)
        return soonest if self._alarm is None else min(soonest, self._alarm)

    @property
    def settled(self) -> bool:
        """Whether no process is left of what was executed here."""
        return self.free and not self._leaving

    def start(self, task: Task, fork_server: ForkServerClient, secrets: ExecutionSecrets | None = None) -> None:
        """Execute a task. The slot must be free. `secrets`: those of a job that has some."""
        assert self.task is None, "a slot holds one task at a time"
        self.task = task
        self._over = self._looks = False
        self._cause = None
        self._warned = self._stuck = self._told = False
        self._killing = None
        self._begin_by = None
        self._so_far = None
        self._secrets = secrets
        self._output = JobOutput(None)
        self._stop_grace = float(task.get("stop_grace", self._grace))
        self._fork_server = fork_server
        self._obtain()

    def _obtain(self) -> None:
        """Ask for a horse, as soon as all secrets are known: their masks come before the job's first output."""
        assert self.task is not None
        try:
            self._alarm = self._look_at = None if self._secrets is None else self._secrets.look_up()
        except (SecretError, OSError) as error:
            self._end_unstarted(str(error), unstarted=isinstance(error, OSError))
            return
        if self._look_at is not None:
            return
        self._output = JobOutput(self._secrets)
        for text in (*(self._secrets.warnings() if self._secrets is not None else ()), self.task.get("note", "")):
            self._output.note(text)
        now = time.monotonic()
        self._answer_by = now + self.fork_server.limit
        self._alarm = min(now + _TOLD_AFTER, self._answer_by)
        self.fork_server.obtain(self._got_lane, group_of(self.task))

    @property
    def memory_limit(self) -> tuple[int, float] | None:
        """The process of the job, and the bytes that it may have together with its descendants; None without a limit."""
        if self._over or self._lane is None or self.task is None or "memory" not in self.task:
            return None
        return self._lane.pid, self.task["memory"]

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
        return self._lane is not None

    def kill(self, cause: KillCause) -> None:
        """End the execution before its time. Politely first for a cancel or a stop, at once for the others and before it has begun."""
        if self._over:
            return
        if self._cause is None or cause in {KillCause.FENCED, KillCause.RETURNED}:
            self._cause = cause
        if self._lane is None:
            if self._look_at is None:
                self.fork_server.withdraw(self._got_lane)
            self._end_unstarted("the job was killed before it began", unstarted=True)
        elif cause in {KillCause.FENCED, KillCause.RETURNED, KillCause.KILL, KillCause.MEMORY}:
            self._kill_group(self._lane)
        elif not self._warned and self._killing is None:
            self._warn(self._lane)

    def tick(self) -> None:
        """Send the due signals."""
        now = time.monotonic()
        for departure in tuple(self._leaving):
            departure.tick(now)
        if self._alarm is None or now < self._alarm:
            return
        self._alarm = None
        if self._look_at is not None:
            self._obtain()
        elif self._lane is None:
            self._await_lane(now)
        elif self._killing is not None:
            self._await_exit(self._lane, self._killing)
        elif self._over or self._warned:
            self._kill_group(self._lane)
        elif not self._awaits_begin(now):
            self._cause = KillCause.TIMEOUT
            self._warn(self._lane)

    def _await_lane(self, now: float) -> None:
        server = self.fork_server
        if now >= self._answer_by:
            self._stuck = server.threads > 0
            server.abandon()  # which calls `_got_lane`
            return
        self._alarm = self._answer_by
        assert self.task is not None
        text = f"waiting for a process: the fork server does not answer, and is killed after {server.limit:g} s"
        self._told = True
        self._output.note(text)
        _log.warning("job %s: %s", self.task["id"], text, extra=self.about)

    def _await_exit(self, lane: Lane, killing: Kill) -> None:
        # If the worker stops, it needs no fork server any more.
        killed = killing.repeat(stopping=self._cause is KillCause.RETURNED)
        if self._lane is not lane:
            return  # its fork server was killed, and with that it has ended
        if killed and not self._over:
            self._read_outcome()
            self._output.drain()
            self._tell_death(-signal.SIGKILL, lane)
        self._alarm = killing.alarm

    def _awaits_begin(self, now: float) -> bool:
        """Return whether the hard limit is not due, because the horse has not begun or only just has; kill it if it takes too long."""
        if self._begin_by is None:
            return False
        assert self._lane is not None
        assert self.task is not None
        if not self._lane.unread and not self.fork_server.executor:
            self._begin_by = None
            self._alarm = self._due
            return self._due is None or now < self._due
        if now >= self._begin_by:
            self._stuck = True
            self.fork_server.distrust()
            self._kill_group(self._lane)
        elif not self.fork_server.executor:
            self._due = ends.hard_limit(self.task, now, self._grace)
            self._alarm = min(self._begin_by, now + _LOOK)
        return True

    def _warn(self, lane: Lane) -> None:
        """Let the horse and its commands end by themselves, for a while."""
        lane.signal(signal.SIGTERM)
        self._warned = True
        self._alarm = time.monotonic() + self._stop_grace

    def _kill_group(self, lane: Lane) -> None:
        self._killing = Kill(lane)
        self._alarm = self._killing.alarm

    # -- life of one execution ---------------------------------------------------------------------------------------------

    def _got_lane(self, lane: Lane | None, why: str) -> None:
        assert self.task is not None
        if lane is not None:
            if self._told:
                self._output.note("the process is there")
            try:
                self._hand_over(lane, self.task)
            except OSError as error:
                why = describe(error)
                lane.close()
            else:
                return
        if self._stuck:
            self._end(Ended(self._not_begun()))
            self._release()
            return
        useless = "" if self._fork_server is None else self._fork_server.useless
        self._end_unstarted(useless or f"no process could be started for the job: {why}", unstarted=not useless)

    def _end_unstarted(self, text: str, *, unstarted: bool = False) -> None:
        self._end(Ended(failed("error", text), self._cause, unstarted=unstarted))
        self._release()

    def _hand_over(self, lane: Lane, task: Task) -> None:
        before = time.monotonic()  # the horse does not begin earlier
        self._output.watch(lane.pipes())  # before the job can write: there are no reports of earlier writes
        try:
            lane.hand_over(task, {} if self._secrets is None else self._secrets.environment(), self._read_outcome)
        except BaseException:
            self._output.close()
            raise
        self._lane = lane
        lane.on_exit = self._exited
        server = self.fork_server
        self._alarm = self._begin_by = time.monotonic() + (server.start_timeout if server.executor else _BEGIN_LIMIT)
        self._due = None if server.executor else ends.hard_limit(task, before, self._grace)
        if self._due is not None:
            self._alarm = min(self._begin_by, self._due)

    def _read_outcome(self) -> None:
        assert self._lane is not None
        messages = self._lane.receive()
        while messages and not messages[0].keys() & {"outcome", "stays"}:
            self._go_on(messages.pop(0))  # several phases may arrive together
        if not (messages or self._over or self._lane.command is None or self.task is None) and self._lane.executes:
            self._cause = KillCause.FENCED if self._lane.fenced else self._cause
            messages = [ends.ended_by_itself(self.task, self._lane.command, self._cause)]
        if messages and not self._over:
            self._take_outcome(messages.pop(0), self._lane, alone=not messages)
            if self._looks and not messages:
                messages = self._lane.receive()  # to report the end has taken longer than to look
        if messages and self._looks:  # the horse has told that it stays, or not
            self._looks = False
            self._leave(self._lane, stays=messages.pop(0)["stays"], orderly=not messages)

    def _take_outcome(self, outcome: TaskResult, lane: Lane, *, alone: bool) -> None:
        unstarted, left = outcome.pop("unstarted", False), outcome.pop("left", False)
        self._looks = outcome.pop("looks", False)
        self._output.drain()  # what the job printed before its end belongs before its end
        outcome = self._masked(outcome)
        self._output.note(outcome.pop("note", ""))
        self._end(Ended(self._judged(outcome), self._cause, unstarted=unstarted))
        self._alarm = time.monotonic() + EXIT_LIMIT
        if not self._looks:
            self._leave(lane, stays=False, orderly=alone and not left)

    def _leave(self, lane: Lane, *, stays: bool, orderly: bool) -> None:
        """Free the slot while the horse exits, or waits for another job like this one; not yet if something was out of order."""
        if not orderly or self._cause or self._warned or self._killing:
            if stays:
                lane.close()  # it exits, because it gets no other task
            return
        assert self.task is not None
        self._output.part()
        if stays and (group := group_of(self.task)) is not None:
            self.fork_server.keep(lane, group)
        else:
            self._leaving.append(Departure(lane, self._leaving.remove))
        self._release()

    def _go_on(self, phase: TaskResult) -> None:
        """Handle the end of the job's function: the callback has its own time. A failure is kept in case the callback does not return.

        Of an executor it is that the job has begun; the node keeps its times from then on.
        """
        if "executes" in phase:
            return
        self._begin_by = None
        if "granted" in phase:
            self._alarm = self._alarm if self._warned or self._killing else None
            return
        if phase["phase"] is not None:
            self._alarm = time.monotonic() + float(phase["phase"]) + self._grace
        self._so_far = phase["so_far"]

    def _exited(self, code: int | None) -> None:
        assert self._lane is not None
        lane = self._lane
        if not self._over or self._looks:
            self._read_outcome()
        if self._lane is not lane:
            return  # all was in order
        self._output.close()
        self._tell_death(code, lane)
        self._release()

    def _tell_death(self, code: int | None, lane: Lane) -> None:
        if self._over:
            return
        if lane.fenced and code is not None:
            self._cause = KillCause.FENCED  # not the job's fault: its lease runs out, and it is lost as with its worker
        if code == -signal.SIGALRM and self._due is not None and time.monotonic() >= self._due - self._grace:
            # The alarm of its function has hit the program that the job has executed in its place.
            self._cause = KillCause.TIMEOUT
        death = ends.died(code, self._cause, garbled=lane.garbled)
        outcome = self._not_begun() if self._stuck else self._judged(death)
        if self._so_far is not None and not self._stuck:
            outcome = ends.called_after(self._masked(self._so_far), death, self._cause)
        self._end(Ended(outcome, self._cause, pid=lane.pid, code=code, usage=lane.usage))

    def _not_begun(self) -> TaskResult:
        server = self.fork_server
        if server.executor:
            return ends.not_started(server.executor, server.start_timeout)
        return ends.not_begun(_BEGIN_LIMIT if self._lane is not None else None, server.limit, server.threads)

    def _judged(self, outcome: TaskResult) -> TaskResult:
        assert self.task is not None
        return ends.judged(self.task, outcome, self._cause)

    def _masked(self, outcome: TaskResult) -> TaskResult:
        return outcome if self._secrets is None else self._secrets.masked(outcome, self._output.note)

    def _end(self, end: Ended) -> None:
        self._over = True
        self._output.end()
        self._owner.ended(self, end)

    def _release(self) -> None:
        if self._look_at is not None and self._secrets is not None:
            self._secrets.stop()
        self._lane = self._fork_server = self._alarm = self._look_at = self.task = self._secrets = None
        self._owner.freed(self)
