"""The loop of a worker that executes jobs one after the other, in its own process."""

import logging
import math
import time
from typing import TYPE_CHECKING, Final

from flowq import ids
from flowq.exceptions import DataLostError, ServerError
from flowq.jobs import context
from flowq.states import Reason
from flowq.store.schema.outcomes import Claim, ExecutionReport, Outcome
from flowq.timeouts import JobStopped
from flowq.worker import bad_records, registration
from flowq.worker.horse import callbacks
from flowq.worker.inprocess import sync
from flowq.worker.inprocess.heartbeat import Heartbeat
from flowq.worker.options import WorkerOptions
from flowq.worker.signals import SAME_STOP, StopSignals
from flowq.worker.supervise import reopen
from flowq.worker.supervisor.active_job import ActiveJob
from flowq.worker.supervisor.ends import Ended, KillCause
from flowq.worker.supervisor.event_loop import Loop
from flowq.worker.supervisor.plain_jobs import LOST, callback_task
from flowq.worker.supervisor.queue_order import QueueOrder
from flowq.worker.supervisor.shutdown import Shutdown, ShutdownStage, watch_lifeline
from flowq.worker.webhooks.delivery import Deliveries

if TYPE_CHECKING:
    from flowq.store import Store

_log = logging.getLogger("flowq.worker")
_IMPATIENT: Final = 2  # stop signals after which the running job is not waited for
_LONGEST_WAIT: Final = 1.0  # s between looks at signals and the clock


def execute(store: "Store", options: WorkerOptions, engine: "type[Engine]", heartbeat: type[Heartbeat]) -> bool:
    """Work until a reason to stop comes, also when the server loses its data; return whether a job was executed.

    Args:
        store: opened, with `follow=False`.
        options: of the worker.
        engine: the class of the loop.
        heartbeat: the class of what renews leases meanwhile.
    """
    executed = False
    with StopSignals(SAME_STOP) as signals:
        stopping = Shutdown(options, signals)
        while True:
            worker = registration.register(store, options)
            try:
                with heartbeat(store, worker, options.beat, lambda: stopping.signals >= _IMPATIENT) as beats:
                    return engine(store, options, stopping, beats).run() or executed
            except DataLostError as error:
                _log.error("%s", error)
                executed = executed or stopping.claimed > 0
            finally:  # after the last heartbeat, which would register the worker again
                registration.unregister(store, worker)
            if not reopen(store, options.name, signals):
                return executed


class Engine:
    """One call to the store for each job: the end of the last one, and the claim of the next. Sweeps in between.

    It has what a `Supervisor` is made of, where no process is needed for it: the same stages of stopping, order of queues, reports of
    ends, callbacks of lost jobs and deliveries of webhooks.
    """

    def __init__(self, store: "Store", options: WorkerOptions, stopping: Shutdown, heartbeat: Heartbeat) -> None:
        self._store = store
        self._options = options
        self._stopping = stopping
        self._heartbeat = heartbeat
        self._loop = Loop()
        if options.lifeline is not None:
            self._loop.watch(options.lifeline, watch_lifeline(options.lifeline, self._parent_gone))
        self._deliveries = Deliveries(store, self._loop)
        heartbeat.errand = self._report_deliveries
        self._queues = QueueOrder(options.queues, options.strategy)
        self._next_sweep = time.monotonic()
        self._ended: list[ExecutionReport] = []  # to be reported
        self._asked: list[str] = []  # ids of the claims of the next step; kept until it is answered: a reply may be lost
        self._more = False  # jobs are still to be released: the queues are not dry
        self._executed = False
        self._working = 0.0  # s spent executing

    def run(self) -> bool:
        """Work until a reason to stop comes; return whether a job was executed."""
        _log.info("worker %s listens on %s", self._options.name, ", ".join(self._options.queues))
        try:
            self._work()
        finally:
            self._settle()
        return self._executed

    def _settle(self) -> None:
        """Deliver the webhooks that are due."""
        try:
            self._deliveries.settle(lambda: self._stopping.look(busy=True, dry=False) >= ShutdownStage.COLD)
            self._deliveries.give_back()
        except ServerError as error:
            _log.warning("%s", error)
        finally:
            self._deliveries.close()
            self._loop.close()

    def _parent_gone(self) -> None:
        assert self._options.lifeline is not None
        self._loop.forget(self._options.lifeline)
        self._stopping.at_least(ShutdownStage.WARM)

    def _work(self) -> None:
        dry = False
        while True:
            self._loop.turn(0)
            stage = self._stopping.look(busy=bool(self._ended), dry=dry)
            if stage is not ShutdownStage.RUNNING and not self._ended and not self._asked:
                return
            try:
                self._sweep()
                claim = self._step()
                if claim is not None:
                    self._execute(claim)
                elif stage is ShutdownStage.RUNNING and not self._options.burst and not self._more:
                    self._wait()
            except DataLostError:
                raise
            except ServerError as error:
                _log.warning("%s", error)
                if stage >= ShutdownStage.COLD:
                    return  # the user does not want to wait: the lease runs out
                time.sleep(_LONGEST_WAIT)
                continue
            dry = claim is None and not self._more

    def _report_deliveries(self) -> None:
        """Report the webhooks that have been answered while a job is executed, so that no other worker takes them for lost."""
        self._deliveries.wanted = False
        self._loop.turn(0)
        self._deliveries.tick(running=True)

    def _sweep(self) -> None:
        now = time.monotonic()
        if now < self._next_sweep:
            return
        self._next_sweep = now + self._options.sweep
        reply = self._store.workers.sweep(self._options.lease, self._options.queues)
        self._more = reply.more
        bad_records.report(reply.set_aside)
        self._deliveries.wanted = True
        self._loop.turn(0)
        self._deliveries.tick(running=True)
        self._call_lost()
        if any(command == "shutdown" for _, command in self._store.workers.commands(self._options.name)):
            self._stopping.at_least(ShutdownStage.WARM)

    def _call_lost(self) -> None:
        """Call the failure callbacks of executions that were lost with their workers."""
        for lost in self._store.workers.callbacks(self._options.queues, 1) if self._stopping.claiming else ():
            self._call_back(lost, LOST)
            self._store.workers.called(lost)

    def _call_back(self, claim: Claim, end: Ended) -> None:
        task = callback_task(claim, end, self._options)
        if task is not None:
            with context.here(task, self._store):
                callbacks.after_death(task)

    def _step(self) -> Claim | None:
        """Report what has ended and claim the next job, in one call."""
        if not self._asked and self._stopping.allowance(1):
            self._asked = [ids.nonce()]
        options = self._options
        reply = self._store.workers.exchange(options.name, self._queues.next(), options.lease, self._ended, self._asked)
        for execution, outcome in zip(self._ended, reply.ended, strict=True):
            if outcome is Outcome.FENCED:
                _log.warning("job %s: its end was refused, the execution had lost the job", execution.id)
        self._ended, self._asked, self._more = [], [], reply.more
        if reply.more:
            self._next_sweep = time.monotonic()
        claim = reply.claims[0] if reply.claims else None
        if claim is not None:
            self._stopping.claimed += 1
            self._queues.served(claim.queue)
        return claim

    def _wait(self) -> None:
        self._store.workers.wait(self._options.name, self._options.queues, _LONGEST_WAIT)
        self._next_sweep = min(self._next_sweep, time.monotonic())  # it may be a call: what for is looked up there

    def _execute(self, claim: Claim) -> None:
        held = ActiveJob(claim, 0.0, result_ttl=self._options.result_ttl, unlisted=self._options.unlisted)
        self._executed = True
        if claim.run is not None:
            text = "a SimpleWorker executes plain jobs only: start a Worker, or `flowq worker`, for the jobs of flows (in a test `flowq_work(forked=True)`)"
            self._ended.append(held.failed(Reason.ERROR, text, allowed=False, retryable=False))
            return
        _log.info("job %s: attempt %d", claim.id, claim.attempt)
        started = time.monotonic()
        end = self._watched(claim)
        if end.cause is KillCause.FENCED:
            if "rate_limit" in claim.fields:
                self._store.workers.vacate(claim)
            return
        if end.cause is KillCause.RETURNED:
            self._store.workers.unclaim(claim.id, claim.token)
            return
        self._call_back(claim, end)
        execution = held.ended(end, allowed=False)
        self._ended.append(execution)
        self._count(execution, time.monotonic() - started)
        _log.info("job %s: %s %s", claim.id, execution.outcome, execution.reason, extra={"outcome": execution.outcome})

    def _watched(self, claim: Claim) -> Ended:
        if claim.canceling:
            return Ended({}, KillCause.CANCEL)
        self._heartbeat.begin(claim)
        try:
            outcome = sync.execute(self._store, claim, options=self._options)
            self._heartbeat.end()
        except JobStopped:
            self._heartbeat.end()
            outcome = {}
        return Ended(outcome, self._heartbeat.cause)

    def _count(self, execution: ExecutionReport, seconds: float) -> None:
        self._working += seconds
        finished, failed, _ = self._heartbeat.counters
        more = execution.outcome == "finished", execution.outcome == "failed"
        self._heartbeat.counters = (finished + more[0], failed + more[1], math.ceil(self._working * 1000))
