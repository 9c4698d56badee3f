"""`SimpleWorker`: a worker that executes jobs in its own process, one after the other. For tests and for debuggers."""

import logging
import os
import random
import select
import signal
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from flowq import __version__, context
from flowq.exceptions import ServerError
from flowq.states import Reason
from flowq.store.outcomes import Claim, Verdict
from flowq.timeouts import JobStopped
from flowq.worker import hooks, inline
from flowq.worker.deliveries import Deliveries
from flowq.worker.held import Held
from flowq.worker.loop import Loop
from flowq.worker.options import WorkerOptions
from flowq.worker.plain import callback_task
from flowq.worker.signals import StopSignals
from flowq.worker.slots import Cause, Ended
from flowq.worker.stopping import Stage, Stopping
from flowq.worker.worker import Worker

if TYPE_CHECKING:
    from flowq.store import Store

_log = logging.getLogger("flowq.worker")
_LONGEST_WAIT: Final = 1.0  # s between looks at signals and the clock
_CAUSES: Final = {Verdict.CANCEL: Cause.CANCEL, Verdict.STOP: Cause.STOP, Verdict.FENCED: Cause.FENCED}


class SimpleWorker(Worker):
    """A worker without work horses: a job runs in the process that called `work()`.

    Everything else is as of `Worker`, except what needs a process per job: a job that crashes takes the worker along, one that
    blocks in C code is not interrupted, and jobs of flows are refused.
    """

    def _execute(self, store: "Store", options: WorkerOptions) -> bool:
        with StopSignals() as signals:
            return _Loop(store, options, Stopping(options, signals)).run()


class _Loop:
    """Claims, executes, reports, waits; sweeps and beats in between."""

    def __init__(self, store: "Store", options: WorkerOptions, stopping: Stopping) -> None:
        self._store = store
        self._options = options
        self._stopping = stopping
        self._loop = Loop()
        self._deliveries = Deliveries(store, self._loop)
        self._queues = list(options.queues)
        self._next_beat = self._next_sweep = time.monotonic()
        self._more = False  # a sweep left something to do

    def run(self) -> bool:
        """Work until a reason to stop comes; return whether a job was executed."""
        options = self._options
        self._store.workers.register(
            options.name,
            queues=options.queues,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            slots=1,
            version=__version__,
        )
        _log.info("worker %s listens on %s", options.name, ", ".join(options.queues))
        dry = executed = False
        try:
            while self._stopping.look(busy=False, dry=dry) is Stage.RUNNING:
                if self._is_orphan():
                    self._stopping.at_least(Stage.WARM)
                    continue
                try:
                    self._keep_alive()
                    claim = self._claim()
                    if claim is not None:
                        self._execute(claim)
                        executed = True
                    elif not options.burst:
                        self._wait()
                except ServerError as error:
                    _log.warning("%s", error)
                    time.sleep(_LONGEST_WAIT)
                    continue
                dry = claim is None and not self._more
        finally:
            self._leave()
        return executed

    def _leave(self) -> None:
        try:
            self._deliveries.settle(lambda: self._stopping.look(busy=True, dry=False) >= Stage.COLD)
            self._deliveries.give_back()
            self._store.workers.leave(self._options.name)
        except ServerError as error:
            _log.warning("could not take leave of the server: %s", error)
        finally:
            self._deliveries.close()

    def _report_deliveries(self) -> None:
        """Report the webhooks that have been answered while a job is executed, so that nobody else takes them for lost."""
        self._deliveries.wanted = False
        self._loop.turn(0)
        self._deliveries.tick(running=True)

    def _keep_alive(self) -> None:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + self._options.sweep
            self._more = self._store.workers.sweep(self._options.lease)
            self._deliveries.wanted = True
            self._loop.turn(0)
            self._deliveries.tick(running=True)
        if now >= self._next_beat:
            self._next_beat = now + self._options.beat
            self._store.workers.beat(self._options.name, self._queues, self._options.lease, None, state="idle")

    def _is_orphan(self) -> bool:
        lifeline = self._options.lifeline
        return lifeline is not None and bool(select.select([lifeline], [], [], 0)[0])

    def _claim(self) -> Claim | None:
        if not self._stopping.allowance(1):
            return None
        if self._options.strategy == "random":
            random.shuffle(self._queues)
        claim = self._store.workers.claim(self._options.name, self._queues, self._options.lease)
        if claim is not None:
            self._stopping.claimed += 1
            if self._options.strategy == "round_robin" and claim.queue in self._queues:
                cut = self._queues.index(claim.queue) + 1
                self._queues = self._queues[cut:] + self._queues[:cut]
        return claim

    def _wait(self) -> None:
        self._store.workers.wait(self._options.name, self._queues, _LONGEST_WAIT)
        if any(command == "shutdown" for _, command in self._store.workers.commands(self._options.name)):
            self._stopping.at_least(Stage.WARM)

    def _execute(self, claim: Claim) -> None:
        held = Held(claim, 0.0, result_ttl=self._options.result_ttl)
        if claim.run is not None:
            text = "a SimpleWorker executes plain jobs only: start a Worker, or `flowq worker`, for the jobs of flows"
            self._store.jobs.finish(held.failed(Reason.ERROR, text, allowed=False, retryable=False))
            return
        _log.info("job %s: attempt %d", claim.id, claim.attempt)
        started = time.monotonic()
        end = self._watched(claim)
        if end.cause is Cause.FENCED:
            return
        task = callback_task(claim, end, self._options)
        if task is not None:
            with context.here(task, self._store):
                hooks.after_death(task)
        execution = held.ended(end, allowed=False)
        self._store.jobs.finish(execution)
        self._store.workers.count_job(self._options.name, execution.outcome, int((time.monotonic() - started) * 1000))
        _log.info("job %s: %s %s", claim.id, execution.outcome, execution.reason)

    def _watched(self, claim: Claim) -> Ended:
        pulse = _Pulse(self._store, self._options, claim, self._report_deliveries)
        try:
            with pulse:
                outcome = inline.execute(self._store, claim)
        except JobStopped:
            outcome = {}
        return Ended(outcome, pulse.cause)


class _Pulse:
    """Beats for one job from a thread of its own, and interrupts the job when a beat is answered so.

    By a signal, which gets through a sleep or a read. SIGURG, because nobody minds one too many and the clock needs SIGALRM.
    """

    def __init__(self, store: "Store", options: WorkerOptions, claim: Claim, errand: Callable[[], None]) -> None:
        self.cause: Cause | None = None
        self._store = store
        self._options = options
        self._claim = claim
        self._errand = errand  # done with every beat
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._executor = threading.get_ident()
        self._thread = threading.Thread(target=self._beat, name="flowq-pulse", daemon=True)

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGURG, self._interrupt)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._over.set()
        self._thread.join()
        signal.signal(signal.SIGURG, self._former)

    def _interrupt(self, *_: object) -> None:
        if not self._over.is_set():
            raise JobStopped

    def _beat(self) -> None:
        options = self._options
        while not self._over.wait(min(options.beat, _LONGEST_WAIT)):
            try:
                verdict = self._store.workers.beat(options.name, options.queues, options.lease, self._claim)
                self._errand()
            except ServerError as error:
                _log.warning("%s", error)
                continue
            if verdict is None or verdict is Verdict.GO_ON:
                continue
            with self._lock:
                if not self._over.is_set():
                    self.cause = _CAUSES[verdict]
                    signal.pthread_kill(self._executor, signal.SIGURG)
            return
