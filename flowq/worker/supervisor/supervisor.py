"""The supervisor: one process, one thread, one loop that keeps slots busy and the store informed.

A job costs one round trip: the report of one end, its output and the claim of the next job travel together, and ends that come while a
request is under way share the next one. Nothing waits for the server, except reading what a job needs of earlier results.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Final

from flowq import ids
from flowq.exceptions import FlowqError, ServerError
from flowq.store.schema.outcomes import BeatReply, ExchangeReply, SweepReply
from flowq.worker import bad_records, registration
from flowq.worker.ipc import platform
from flowq.worker.signals import StopSignals
from flowq.worker.supervisor.active_job import FollowUp
from flowq.worker.supervisor.active_jobs import ActiveJobs
from flowq.worker.supervisor.connections import StoreConnections
from flowq.worker.supervisor.ends import KillCause
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.expressions.conditions import Conditions
from flowq.worker.supervisor.expressions.job_scope import JobScopes, UnpreparableError
from flowq.worker.supervisor.failure_policy import FailurePolicy
from flowq.worker.supervisor.fork_servers.key import ForkServerKey
from flowq.worker.supervisor.fork_servers.pool import ForkServerPool
from flowq.worker.supervisor.periodic_requests import PeriodicRequests, Starvation
from flowq.worker.supervisor.queue_order import QueueOrder
from flowq.worker.supervisor.run_watch import RunWatch
from flowq.worker.supervisor.shutdown import Shutdown, ShutdownStage, watch_lifeline
from flowq.worker.supervisor.store_calls import StoreCalls
from flowq.worker.supervisor.task_builder import TaskBuilder
from flowq.worker.webhooks.delivery import Deliveries

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.outcomes import Claim, ExecutionReport, LogLines
    from flowq.store.schema.records import Registration
    from flowq.worker.options import WorkerOptions

_log = logging.getLogger("flowq.worker")
_EVALUATING: Final = 0.05  # s in one turn of the loop for what jobs wait to have evaluated
_LONGEST_TURN: Final = 1.0  # s
_FLUSH: Final = 0.1  # s that output may wait for a step to travel with
_LOG_BUDGET: Final = 1024 * 1024  # bytes of output in one step
_REFUSED: Final = 0.5  # s without requests after the server refused one
_FAREWELL: Final = 20.0  # s for which a stopping worker tries to deliver its last reports


class Supervisor:
    """Executes jobs until a reason to stop comes. `signals`: entered, counts the stop signals of this process."""

    def __init__(self, store: Store, options: WorkerOptions, signals: StopSignals) -> None:
        self._store = store
        self._options = options
        self._signals = signals
        self._stopping = Shutdown(options, signals)
        self._loop = Loop()
        self._fork_servers = ForkServerPool(self._loop, options)
        self._deliveries = Deliveries(store, self._loop, self._fork_servers.tolerate)
        scopes = JobScopes(store)
        self._builder = TaskBuilder(store, scopes, options)
        self._conditions = Conditions(store, scopes)
        self._jobs = ActiveJobs(self._loop, options, self._fork_servers, self._builder, FailurePolicy(scopes))
        self._jobs.on_last_end = self._send_what_is_due
        self._connections = StoreConnections(
            self._loop, store.link(options.name, options.lease), store.waiter(options.name), store.waiter(options.name)
        )
        self._connections.anchor = store.anchor
        self._connections.on_reply = self._replied
        self._connections.on_refused = self._refused
        self._connections.on_hint = self._hinted
        self._calls = StoreCalls(self._connections.refused_elsewhere)
        self._registration: Registration | None = None
        self._queues = QueueOrder(options.queues, options.strategy)
        self._called = False  # there may be commands to carry out
        self._obeyed: set[str] = set()  # those that were
        self._hungry = True  # a claim may find something
        self._news = False  # it became so after the claims that are under way were sent: their reply does not know
        self._released = False  # dependents are about to be released: not dry yet
        self._swept_once = False  # a burst worker is not dry before it has seen to what is overdue
        self._sent: tuple[float, list[LogLines], list[ExecutionReport]] = (0.0, [], [])
        self._beaten: list[str] = []  # tokens in the beat that is under way
        now = time.monotonic()
        self._periodic = PeriodicRequests(options, now)
        self._run_watch = None if options.until_run is None else RunWatch(store, options.until_run)
        self._next_flush = self._due = self._ticked = now
        self._lost_callbacks = True  # lost executions may have left failure callbacks
        self._starvation = Starvation(grows=options.executor is not None)
        self._pause_until = self._quiet_until = 0.0  # no claims, no requests before

    @property
    def executed(self) -> int:
        """How many executions of this worker have ended so far."""
        return sum(self._jobs.counters[:2])

    @property
    def claimed(self) -> int:
        """How many jobs this worker has claimed so far."""
        return self._stopping.claimed

    def run(self) -> None:
        """Work until a reason to stop comes. Once only.

        Raises:
            ServerError: the server could not be used at the start.
            DataLostError: the data was deleted or replaced; the jobs of this worker were killed.
        """
        self._loop.watch(self._signals.fileno(), self._signals.acknowledge)
        if self._options.lifeline is not None:
            self._loop.watch(self._options.lifeline, watch_lifeline(self._options.lifeline, self._parent_gone))
        if self._options.alone:
            platform.become_subreaper()
        try:
            self._announce()
            self._work(self._stopping)
        finally:
            self._leave()

    # -- the loop ----------------------------------------------------------------------------------------------------------

    def _work(self, stopping: Shutdown) -> None:
        before = ShutdownStage.RUNNING
        deadline: float | None = None
        while True:
            waiting = self._released or self._conditions.pending or self._deliveries.pending
            todo = waiting or self._hungry or not self._swept_once
            stage = stopping.look(busy=not self._jobs.empty, dry=not todo)
            if stage is not before:
                self._stop(stage)
                before = stage
                deadline = time.monotonic() + _FAREWELL
            delivered = stage is ShutdownStage.COLD or not self._deliveries.pending
            through = delivered and self._jobs.empty and self._connections.ready
            if stage is ShutdownStage.NOW or (stage is not ShutdownStage.RUNNING and through):
                return
            if not self._connections.online and not self._jobs.running:
                if deadline is not None and time.monotonic() > deadline:
                    _log.error("the server is still unreachable; ends that could not be reported: %d", self._jobs.unreported)
                    return
                self._connections.refuse_to_wait()
            self._send_what_is_due()
            self._loop.turn(self._patience())
            self._tick()

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._due:  # else nothing of these is due: it was asked when before this turn
            self._ticked = now
            self._fork_servers.renew()
            self._connections.tick()
            self._jobs.tick()
        make = self._calls.make
        make(self._obey)
        make(self._jobs.start)
        if self._jobs.was_starved():  # before anything is handed back, or it would be claimed again at once
            self._pause_until = time.monotonic() + self._starvation.pause(self.executed)
        make(self._deliver)
        make(self._send_follow_ups)
        make(self._take_lost_callbacks)
        self._evaluate_conditions()
        self._check_run()

    def _deliver(self) -> None:
        if self._connections.online:
            self._deliveries.tick(running=self._stopping.claiming)

    def _send_follow_ups(self) -> None:
        if self._connections.online:
            self._jobs.follow_up(self._follow_up)

    def _follow_up(self, kind: FollowUp, claim: Claim) -> None:
        workers = self._store.workers
        if kind is FollowUp.RETURN:
            workers.unclaim(claim.id, claim.token)
        elif kind is FollowUp.RELEASE:
            workers.vacate(claim)
            self._hungry = self._news = True
        else:
            workers.called(claim)

    def _take_lost_callbacks(self) -> None:
        """Take over failure callbacks of executions that were lost with their workers."""
        if not (self._lost_callbacks and self._connections.online and self._stopping.claiming and self._jobs.capacity > 0):
            return
        self._lost_callbacks = False  # if this is refused, a heartbeat tells again that there are some
        for lost in self._store.workers.callbacks(self._options.queues, self._jobs.capacity):
            self._jobs.call_back(lost)

    def _evaluate_conditions(self) -> None:
        if not self._stopping.claiming or not self._connections.online:
            self._conditions.forget()  # they are handed out again, to any worker
        elif self._conditions.resolve(_EVALUATING):
            self._hungry = self._news = True
            self._periodic.sweep_at(time.monotonic() + _FLUSH)

    def _patience(self) -> float:
        """Return the seconds until something is due by the clock."""
        now = time.monotonic()
        self._due = now if self._conditions.pending else self._next_due(now)
        return max(0.0, self._due - now)

    def _next_due(self, now: float) -> float:
        """Return the monotonic time at which something is due next. Each turn of the loop asks."""
        longest = self._ticked + _LONGEST_TURN  # since that time: other events may end every turn early
        due = min(longest, self._fork_servers.renewal, self._jobs.alarm(), self._connections.again, self._calls.due)
        if self._jobs.has_follow_ups and self._connections.online and not self._calls.waits(self._send_follow_ups):
            return now
        if self._run_watch is not None and self._connections.online and self._jobs.empty:
            due = min(due, self._run_watch.next)
        if self._connections.ready:
            if self._quiet_until > now:
                return min(due, self._quiet_until)
            flush = self._next_flush if self._jobs.has_output else due
            due = min(due, flush, self._periodic.next, self._pause_until if self._pause_until > now else due)
        return due

    # -- requests ----------------------------------------------------------------------------------------------------------

    def _send_what_is_due(self) -> None:
        now = time.monotonic()
        if not self._connections.ready or now < self._quiet_until:
            return
        claims = self._wanted() if now >= self._pause_until else 0
        if now >= self._periodic.next_beat:
            self._beat(now)
        elif self._jobs.unreported or claims or (self._jobs.has_output and now >= self._next_flush):
            self._step(now, claims)
        elif self._periodic.sweep_is_due(now):
            in_turn = self._periodic.sweep(now)
            self._connections.send(lambda link: link.sweep(self._options.queues, in_turn=in_turn))
        elif self._stopping.allowance(self._jobs.capacity) and now >= self._pause_until:
            self._connections.arm(self._options.queues)

    def _wanted(self) -> int:
        """Return how many jobs to ask for. Ends may release some; one more than these shows whether others wait for free slots."""
        ends = self._jobs.unreported
        places = self._jobs.capacity if self._hungry else min(self._jobs.capacity, ends + 1 if ends else 0)
        return self._stopping.allowance(places)

    def _beat(self, now: float) -> None:
        executions = self._jobs.executions()
        self._periodic.beat(now, busy=bool(executions))
        self._beaten = [token for _, token in executions]
        self._sent = (platform.boottime(), [], [])
        away = self._fork_servers.away
        state = "stopping" if not self._stopping.claiming else "away" if away else "busy" if executions else "idle"
        worker = self._registration
        assert worker is not None
        self._connections.send(lambda link: link.heartbeat(worker, state, executions, self._jobs.counters))

    def _step(self, now: float, claims: int) -> None:
        self._next_flush = now + _FLUSH
        logs, reports = self._jobs.take_logs(_LOG_BUDGET), self._jobs.take_reports()
        self._sent, self._news = (platform.boottime(), logs, reports), False
        wanted, queues = [ids.nonce() for _ in range(claims)], self._queues.next()
        self._connections.send(lambda link: link.exchange(queues, logs=logs, ended=reports, claims=wanted))

    def _replied(self, reply: ExchangeReply | SweepReply | BeatReply) -> None:
        if isinstance(reply, ExchangeReply):
            self._stepped(reply)
        elif isinstance(reply, SweepReply):
            self._swept(reply)
        else:
            verdicts = list(zip(self._beaten, reply.verdicts, strict=True))
            self._jobs.renewed([token for token, verdict in verdicts if verdict != "fenced"], self._sent[0])
            self._jobs.judged(verdicts)
            self._lost_callbacks |= reply.callbacks
            if reply.unswept:
                self._periodic.unswept(time.monotonic())

    def _stepped(self, reply: ExchangeReply) -> None:
        since, _, reports = self._sent
        self._sent = (since, [], [])
        for execution, outcome in zip(reports, reply.ended, strict=True):
            self._jobs.acknowledged(execution, outcome)
        for claim in reply.claims:
            if claim is not None:
                self._stopping.claimed += 1
                self._queues.served(claim.queue)
                self._jobs.take(claim, since)
        self._calls.make(self._jobs.start)  # the rest can wait
        if reply.claims:
            self._hungry = self._news or None not in reply.claims
            self._periodic.claimed(time.monotonic())
        elif reports:
            self._hungry = True
        self._released = reply.more
        self._deliveries.wanted |= reply.webhooks
        if reply.more:
            self._periodic.sweep_at(time.monotonic())

    def _swept(self, reply: SweepReply) -> None:
        self._swept_once = True
        bad_records.report(reply.set_aside)
        self._periodic.swept(time.monotonic(), standby=reply.standby, again=reply.again)
        if reply.more:
            self._periodic.sweep_at(time.monotonic())
        self._lost_callbacks |= reply.reaped > 0
        self._released = reply.more or bool(reply.decide)
        self._deliveries.wanted |= reply.webhooks > 0
        self._hungry |= bool(reply.released or reply.due or reply.reaped or reply.decide)
        if self._stopping.claiming:
            self._conditions.add(reply.decide)

    def _refused(self, _error: ServerError) -> None:
        """Handle an error reply (read-only, out of memory, loading): try again after a pause."""
        (_, logs, reports), self._sent = self._sent, (0.0, [], [])
        self._jobs.restore(logs, reports)
        self._quiet_until = time.monotonic() + _REFUSED

    def _hinted(self, queue: str) -> None:
        if queue == "":
            self._periodic.next_beat = time.monotonic()  # about a job: the verdicts say what
            self._called = True
        elif queue == "@decide":
            self._periodic.sweep_at(time.monotonic())
        else:
            self._hungry = self._news = True
            self._send_what_is_due()  # the rest of the turn can wait

    def _obey(self) -> None:
        """Carry out the commands that this worker has received, if it was called for some."""
        if not (self._called and self._connections.online):
            return
        commands = self._store.workers.commands(self._options.name)
        self._called = False
        for nonce, command in commands:
            if nonce in self._obeyed:
                continue
            self._obeyed.add(nonce)
            _log.info("told to %s", command)
            if command == "shutdown":
                self._stopping.at_least(ShutdownStage.WARM)
            elif command == "kill-horse":
                self._jobs.kill_all(KillCause.KILL)

    # -- begin and end -----------------------------------------------------------------------------------------------------

    def _announce(self) -> None:
        options = self._options
        self._registration = registration.register(self._store, options)
        # For nothing, so that script and connection are there: a worker that is out of descriptors must be able to hand back.
        self._store.workers.unclaim("-", "-")
        self._connections.connect()
        self._fork_servers.renew()
        self._start_ahead()
        slots = f"{options.slots} slot{'s' * (options.slots != 1)}"
        _log.info("worker %s listens on %s with %s", options.name, ", ".join(options.queues), slots)

    def _start_ahead(self) -> None:
        """Start the fork server that will be wanted while the first claim is under way."""
        if self._options.clone or self._options.executor is not None:
            self._fork_servers.prepare(ForkServerKey())
        elif self._options.until_run is not None:
            try:
                self._fork_servers.prepare(self._builder.first_place(self._options.until_run))
            except UnpreparableError:
                return

    def _check_run(self) -> None:
        if self._run_watch is None or (self._connections.online and not self._jobs.empty):
            return
        stage = self._run_watch.look(online=self._connections.online)
        if stage is ShutdownStage.NOW or not self._deliveries.soon:
            self._stopping.at_least(stage)

    def _parent_gone(self) -> None:
        if self._options.lifeline is not None:
            self._loop.forget(self._options.lifeline)
        self._stopping.at_least(ShutdownStage.COLD)

    def _stop(self, stage: ShutdownStage) -> None:
        self._jobs.return_waiting()
        self._periodic.next_beat = time.monotonic()  # report at once that this worker claims no more jobs
        if stage is ShutdownStage.WARM:
            running = self._jobs.running
            _log.info("stopping: %s", f"running jobs are finished first ({running})" if running else "no job runs")
        elif stage is ShutdownStage.COLD:
            text = "stopping now: running jobs are killed (%d), and go back to their queues unless they are canceled"
            _log.warning(text, self._jobs.running)
            self._jobs.kill_all(KillCause.RETURNED)

    def _leave(self) -> None:
        self._fork_servers.close()
        if self._stopping.stage is ShutdownStage.NOW:
            self._connections.hand_back(self._jobs.returnable())
        else:
            try:
                self._deliveries.give_back()
                if self._registration is not None:
                    self._store.workers.leave(self._options.name, self._registration.nonce)
            except (FlowqError, OSError):
                _log.info("could not unregister the worker")
        self._deliveries.close()
        self._connections.close()
        self._loop.close()
