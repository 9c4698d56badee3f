"""The jobs this worker holds: claimed jobs, the slots that execute them, and their pending reports.

It knows nothing of connections: it takes claims and verdicts, and gives ends, output and follow-ups to send.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from flowq.defaults import SELF_FENCE
from flowq.exceptions import CorruptRecordError
from flowq.states import Reason
from flowq.store.schema.outcomes import Claim, ExecutionReport, LogLines, Outcome, Verdict
from flowq.worker.ipc.platform import boottime
from flowq.worker.supervisor.active_job import ActiveJob, FollowUp
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.expressions.job_scope import NewerPlanError, UnpreparableError
from flowq.worker.supervisor.fork_servers.memory_limit import MemoryWatch
from flowq.worker.supervisor.plain_jobs import LOST, tell_death
from flowq.worker.supervisor.slot import Slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowq.worker.ipc.messages import Task
    from flowq.worker.options import WorkerOptions
    from flowq.worker.supervisor.event_loop import Loop
    from flowq.worker.supervisor.failure_policy import FailurePolicy
    from flowq.worker.supervisor.fork_servers.pool import ForkServerPool
    from flowq.worker.supervisor.task_builder import TaskBuilder

_log = logging.getLogger("flowq.worker")
_BUFFERED: Final = 4 * 1024 * 1024  # bytes of output taken over from the slots while the store does not take them
_AWAY: Final = 10.0  # s without the store taking output after which jobs are not held back for it any more

_KILL: Final = {Verdict.CANCEL: KillCause.CANCEL, Verdict.STOP: KillCause.STOP, Verdict.FENCED: KillCause.FENCED}


class ActiveJobs:
    """The jobs between claim and acknowledged end. The owner sets `on_last_end`: nothing runs any more, and there may be an end to report."""

    on_last_end: Callable[[], None]

    def __init__(
        self, loop: Loop, options: WorkerOptions, fork_servers: ForkServerPool, builder: TaskBuilder, policy: FailurePolicy
    ) -> None:
        self._fork_servers = fork_servers
        self._builder = builder
        self._policy = policy
        self._options = options
        self._slots = [Slot(loop, self, index, grace=options.grace) for index in range(options.slots)]
        self._in_slot: dict[int, ActiveJob] = {}
        self._held: dict[str, ActiveJob] = {}  # by token, until the end was acknowledged
        self._callbacks: dict[int, Task] = {}  # by slot: to be executed there before anything else
        self._waiting: deque[ActiveJob] = deque()  # claimed, but every slot is still taken
        self._lost: deque[Claim] = deque()  # executions of workers that were lost: their callbacks are to be called
        self._logs: deque[LogLines] = deque()
        self._buffered = 0
        self._fetched = (0.0, 0.0)  # monotonic times at which output was fetched last, and before that
        self._reports: list[ExecutionReport] = []
        self._follow_ups: list[tuple[FollowUp, Claim]] = []  # the last one first: what was claimed last goes back first
        self._memory = MemoryWatch()
        self._stopping = False
        self._starved = False  # the system gave no process for a job
        self._finished = 0
        self._failed = 0
        self._working_ms = 0

    # -- what there is -----------------------------------------------------------------------------------------------------

    @property
    def empty(self) -> bool:
        """Whether nothing is executed, held or left to report."""
        return not (self._held or self._in_slot or self._lost or self._reports or self._follow_ups or self._logs)

    @property
    def capacity(self) -> int:
        """How many more jobs can be claimed: slots whose execution has ended count, their horse is on its way out."""
        places = len(self._slots)
        for index, held in self._in_slot.items():
            if self._slots[index].running:
                places -= held.slots
        return places - sum([held.slots for held in self._waiting])

    @property
    def running(self) -> int:
        """How many executions are in progress."""
        return len([True for slot in self._slots if slot.running])

    @property
    def unreported(self) -> int:
        """How many ends have not been reported to the store."""
        return len(self._reports)

    @property
    def has_follow_ups(self) -> bool:
        """Whether `follow_up` has something to do."""
        return bool(self._follow_ups)

    @property
    def counters(self) -> tuple[int, int, int]:
        """How many jobs finished and failed so far, of ends that the store has taken, and the milliseconds that executions took together."""
        return self._finished, self._failed, self._working_ms

    @property
    def has_output(self) -> bool:
        """Whether captured output waits to be reported."""
        return bool(self._logs) or any(slot.has_output for slot in self._slots)

    def executions(self) -> list[tuple[str, str]]:
        """Return `(job id, token)` of all that is held, for the heartbeat."""
        return [(held.claim.id, held.claim.token) for held in self._held.values()]

    def returnable(self) -> list[tuple[str, str]]:
        """Return `(job id, token)` of what has no end to report: it can go back to its queue. What was claimed last comes first."""
        held = [held.claim for held in reversed(self._held.values()) if not held.reported]
        told = [claim for kind, claim in reversed(self._follow_ups) if kind is FollowUp.RETURN]
        return [(claim.id, claim.token) for claim in (*held, *told)]

    def alarm(self) -> float:
        """Return the earliest monotonic time at which `tick` has something to do, infinity for none. Each turn of the loop asks."""
        soonest = self._memory.alarm
        for slot in self._slots:
            if (alarm := slot.alarm) is not None and alarm < soonest:
                soonest = alarm
        return soonest

    # -- in ----------------------------------------------------------------------------------------------------------------

    def take(self, claim: Claim, leased: float) -> None:
        """Take over a claimed job; it is started by `start`."""
        if self._stopping:
            self._follow_ups.append((FollowUp.RETURN, claim))
            return
        held = ActiveJob(claim, leased, result_ttl=self._options.result_ttl, unlisted=self._options.unlisted)
        self._held[claim.token] = held
        if claim.canceling:
            self._report(held, held.ended(Ended({}, KillCause.CANCEL), allowed=False))
            return
        self._waiting.append(held)

    def call_back(self, lost: Claim) -> None:
        """Take over the failure callback of an execution that was lost with its worker; it is called by `start`."""
        self._lost.append(lost)

    def start(self) -> None:
        """Start waiting jobs in free slots; callbacks of lost executions come first.

        Running jobs continue while the server is unreachable. A job whose lease may be over is not started: it waits for the next heartbeat.

        Raises:
            ServerError: something had to be read and could not; what waits keeps waiting.
        """
        if not (self._waiting or self._lost):
            return
        oldest = boottime() - self._options.lease * SELF_FENCE
        for slot in self._slots:
            if slot.free and self._lost:
                self._start_callback(slot, self._lost.popleft())
            while slot.free and self._waiting and self._waiting[0].leased > oldest and self._has_room(self._waiting[0]):
                self._start_in(slot, self._waiting[0])

    def acknowledged(self, execution: ExecutionReport, outcome: Outcome) -> None:
        """Handle the store's acknowledgement of an end."""
        held = self._held.pop(execution.token, None)
        if held is not None and outcome is Outcome.NOT_FOUND:
            self._vacate(held)
        if outcome is Outcome.FENCED:
            about = {} if held is None else self._about(held.claim)
            _log.warning("job %s: its end was refused, the execution had lost the job", execution.id, extra=about)
            return
        self._finished += execution.outcome == "finished"
        self._failed += execution.outcome == "failed"

    def judged(self, verdicts: list[tuple[str, Verdict]]) -> None:
        """Apply the verdicts of a heartbeat: `(token, verdict)`."""
        for token, verdict in verdicts:
            held = self._held.get(token)
            if held is None or held.reported or verdict is Verdict.GO_ON:
                continue
            if held.end is not None and verdict is not Verdict.FENCED:
                continue  # it has been killed already, what runs is its callback
            _log.info("job %s: %s", held.claim.id, verdict, extra=self._about(held.claim))
            if held.slot is not None:
                held.slot.kill(_KILL[verdict])
                continue
            self._waiting.remove(held)
            if verdict is Verdict.FENCED:
                self._vacate(self._held.pop(token))
            else:
                self._report(held, held.ended(Ended({}, _KILL[verdict]), allowed=False))

    def renewed(self, tokens: list[str], since: float) -> None:
        """Record that the leases of these executions were renewed, as requested at boot time `since`."""
        for token in tokens:
            if token in self._held:
                self._held[token].leased = since

    # -- out ---------------------------------------------------------------------------------------------------------------

    def take_reports(self) -> list[ExecutionReport]:
        """Return the ends to report: of executions whose output has been taken, because the store takes none after the end."""
        pending = {entry.token for entry in self._logs}
        reports = [report for report in self._reports if report.token not in pending]
        self._reports = [report for report in self._reports if report.token in pending]
        return reports

    def take_logs(self, budget: int) -> list[LogLines]:
        """Return up to `budget` bytes of output (at least one entry, if there is any)."""
        self._fetched = (time.monotonic(), self._fetched[0])
        for index, held in tuple(self._in_slot.items()):
            if self._buffered >= _BUFFERED:
                break
            self._collect(self._slots[index], held)
            self._in_slot[index] = self._in_slot.pop(index)  # the others come first the next time
        out = []
        while self._logs and budget > 0:
            entry = self._logs.popleft()
            self._buffered -= len(entry.data)
            budget -= len(entry.data)
            out.append(entry)
        return out

    def restore(self, logs: list[LogLines], reports: list[ExecutionReport]) -> None:
        """Take back what the store refused."""
        if logs:
            self._fetched = (self._fetched[1], self._fetched[1])  # the store did not take the output at that time
        self._logs.extendleft(reversed(logs))
        self._buffered += sum(len(entry.data) for entry in logs)
        self._reports[:0] = reports

    def follow_up(self, tell: Callable[[FollowUp, Claim], None]) -> None:
        """Send the pending reports to the store.

        Raises:
            ServerError: by `tell`; what was not told is kept.
        """
        while self._follow_ups:
            tell(*self._follow_ups[-1])
            self._follow_ups.pop()

    def was_starved(self) -> bool:
        """Return whether the system gave no process for a job since the last call."""
        starved, self._starved = self._starved, False
        return starved

    # -- time and stop -----------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do the work that is due by the clock: hard timeouts, limits of memory, dropping output that the store does not take."""
        self._memory.look(self._slots)
        limit = time.monotonic() - _AWAY
        for slot in self._slots:
            slot.tick()
            if self._fetched[0] < limit:
                slot.let_go(limit)

    def return_waiting(self) -> None:
        """Hand back the jobs that have not been started, and take no more."""
        self._stopping = True
        self._lost.clear()  # they are handed out again, to others
        while self._waiting:
            self._give_back(self._waiting.popleft())

    def kill_all(self, cause: KillCause) -> None:
        """Kill every running execution."""
        for slot in self._slots:
            slot.kill(cause)

    # -- owner of the slots ------------------------------------------------------------------------------------------------

    def ended(self, slot: Slot, end: Ended) -> None:
        """Handle the end of an execution: report it, hand it back, or drop it."""
        held = self._in_slot[slot.index]
        self._collect(slot, held)
        if held.lost:
            if end.cause is not KillCause.RETURNED and not end.unstarted:
                self._follow_ups.append((FollowUp.ACKNOWLEDGE, held.claim))
            return
        if held.started is not None:
            self._working_ms += int((boottime() - held.started) * 1000)
        if end.cause is KillCause.FENCED:
            self._held.pop(held.claim.token, None)
            held.fenced = True
        elif end.cause is KillCause.RETURNED:
            self._give_back(held)
        elif end.unstarted and end.cause is None:
            _log.warning("job %s: %s; handed back", held.claim.id, end.outcome["error"], extra=self._about(held.claim))
            self._starved = True
            self._give_back(held)
        elif held.end is None and (task := self._builder.callback(held.claim, end)) is not None:
            tell_death(self._options.killed, held.claim, end)
            held.end, held.started = end, None
            self._callbacks[slot.index] = task  # as soon as the slot is free
        else:
            if held.end is None:
                tell_death(self._options.killed, held.claim, end)
            end = held.end or end
            allowed = self._policy.allowed(held.claim, end.outcome)
            self._report(held, held.ended(end, allowed=allowed, retryable=self._policy.retryable(held.claim, end.outcome)))
            if not self.running:
                self.on_last_end()  # the server is at work while the slot is cleared
            if end.outcome["outcome"] == "finished" and slot.task is not None:
                self._fork_servers.used(slot.task, slot.fork_server)

    def freed(self, slot: Slot) -> None:
        """Handle a slot that has become free."""
        held = self._in_slot.pop(slot.index)
        self._collect(slot, held)
        if held.fenced:
            self._vacate(held)
        task = self._callbacks.pop(slot.index, None)
        if task is None:
            return
        self._in_slot[slot.index] = held
        try:
            slot.start(task, self._fork_servers.for_task(task))
        except OSError as error:
            _log.warning("job %s: no process could be started for its callback: %s", held.claim.id, error.strerror)
            self._in_slot.pop(slot.index)
            end = held.end or Ended({})
            self._report(held, held.ended(end, allowed=False))

    def _about(self, claim: Claim, **more: str) -> dict[str, str]:
        """Return the run of a job and its flow, for records of the log."""
        return more if claim.run is None else {"run": claim.run, "flow": self._builder.flow_of(claim.run)} | more

    def _start_in(self, slot: Slot, held: ActiveJob) -> None:
        try:
            task = self._builder.task(held.claim)
            held.slots = task.pop("slots", 1)
            if not self._has_room(held):
                return
            secrets = self._builder.secrets(held.claim)
            fork_server = self._fork_servers.for_task(task)
        except (NewerPlanError, OSError) as error:
            self._waiting.popleft()
            why = f"no process could be started ({error.strerror})" if isinstance(error, OSError) else str(error)
            _log.warning("job %s: %s; handed back", held.claim.id, why, extra=self._about(held.claim))
            self._starved = True
            self._give_back(held)
            return
        except (UnpreparableError, CorruptRecordError, ValueError, KeyError, TypeError, IndexError) as error:
            self._waiting.popleft()
            allowed = self._policy.allowed(held.claim, None)
            self._report(held, held.failed(Reason.ERROR, held.sentence(error), allowed=allowed, retryable=False))
            return
        self._waiting.popleft()
        held.slot = slot
        held.started = boottime()
        self._in_slot[slot.index] = held
        named = "" if task["name"] == held.claim.id else f"{task['name']}, "  # a plain job is named only by a description
        _log.info("job %s: %sattempt %d", held.claim.id, named, held.claim.attempt, extra=self._about(held.claim))
        if "memory" in task:
            self._memory.begin()
        slot.about = self._about(held.claim)
        slot.start(task, fork_server, secrets)

    def _has_room(self, held: ActiveJob) -> bool:
        """Return whether the slots are free that a job takes; those behind it wait, too, so that its turn comes."""
        return held.slots <= len(self._slots) - sum(other.slots for other in self._in_slot.values())

    def _start_callback(self, slot: Slot, lost: Claim) -> None:
        task = self._builder.callback(lost, LOST)
        if task is None:
            self._follow_ups.append((FollowUp.ACKNOWLEDGE, lost))
            return
        self._in_slot[slot.index] = ActiveJob(lost, 0.0, slot, lost=True)
        _log.info("job %s: its failure callback, the job was lost with its worker", lost.id)
        try:
            slot.start(task, self._fork_servers.for_task(task))
        except OSError as error:  # it is handed out again
            _log.warning("job %s: no process could be started for its callback: %s", lost.id, error.strerror)
            del self._in_slot[slot.index]

    def _report(self, held: ActiveJob, execution: ExecutionReport) -> None:
        held.reported = True
        _log.info("job %s: %s", execution.id, execution.sentence(), extra=self._about(held.claim, outcome=execution.outcome))
        if execution.cache is not None:
            _log.info("job %s: cache %s", execution.id, execution.cache.info, extra=self._about(held.claim))
        self._reports.append(execution)

    def _vacate(self, held: ActiveJob) -> None:
        if "rate_limit" in held.claim.fields:
            self._follow_ups.append((FollowUp.RELEASE, held.claim))

    def _give_back(self, held: ActiveJob) -> None:
        self._held.pop(held.claim.token, None)
        self._follow_ups.append((FollowUp.RETURN, held.claim))

    def _collect(self, slot: Slot, held: ActiveJob) -> None:
        for entry in held.log(pieces) if (pieces := slot.logs()) else ():
            self._logs.append(entry)
            self._buffered += len(entry.data)
