"""The heartbeat of a worker that executes jobs in its own process: from a thread, while the main thread is at work."""

import logging
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from flowq.exceptions import ServerError
from flowq.store.client.locking import taker
from flowq.store.schema.outcomes import Claim, Verdict
from flowq.timeouts import JobStopped
from flowq.worker.signals import STOP
from flowq.worker.supervisor.ends import KillCause

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import Registration

_log = logging.getLogger("flowq.worker")
_LONGEST_WAIT: Final = 1.0  # s between two checks for requests to interrupt the job
_CAUSES: Final = {Verdict.CANCEL: KillCause.CANCEL, Verdict.STOP: KillCause.STOP, Verdict.FENCED: KillCause.FENCED}


class Heartbeat:
    """The heartbeat of the worker and the job it executes, given by `beat`.

    Args:
        store: beats go there.
        worker: what the worker was registered with.
        interval: seconds between two beats.
        impatient: whether the user who stops the worker does not want to wait for its job.

    Attributes:
        counters: executions that finished, that failed, and the milliseconds they took, to be told with each beat.
        cause: why the latest job was interrupted; None when it was not.
        errand: done with every beat while a job is executed, when the main thread cannot do it.
        interval: seconds between two beats, one at most: signals are looked at between them.
    """

    def __init__(self, store: "Store", worker: "Registration", interval: float, impatient: Callable[[], bool]) -> None:
        self.counters = (0, 0, 0)
        self.cause: KillCause | None = None
        self.errand: Callable[[], None] = lambda: None
        self.interval = min(interval, _LONGEST_WAIT)
        self._store = store
        self._worker = worker
        self._impatient = impatient
        self._claim: Claim | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing: there is nothing to end."""

    def begin(self, claim: Claim) -> None:
        """Renew this job's lease from now on."""
        self.cause = None
        self._claim = claim

    def end(self) -> None:
        """Renew it no more, because the job has ended."""
        self._claim = None

    def beat(self) -> KillCause | None:
        """Send a beat, and return why the job must end, None if it need not.

        Raises:
            ServerError: the server cannot be used.
        """
        claim = self._claim
        verdict = self._store.workers.heartbeat(self._worker, claim, self.counters)
        if claim is not None and self._impatient():
            return KillCause.RETURNED
        return None if verdict is None else _CAUSES.get(verdict)


class HeartbeatThread(Heartbeat):
    """A heartbeat from a thread, which interrupts the job of the main thread when it must end.

    By a signal, which gets through a sleep or a read. SIGURG, because an extra one does no harm and the clock needs SIGALRM.
    """

    def __init__(self, store: "Store", worker: "Registration", interval: float, impatient: Callable[[], bool]) -> None:
        super().__init__(store, worker, interval, impatient)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._executor = threading.get_ident()
        self._thread = threading.Thread(target=self._run, name="flowq-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._former = signal.signal(signal.SIGURG, self._interrupt)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        signal.signal(signal.SIGURG, self._former)

    def end(self) -> None:
        """Stop interrupting the job, because it has ended. (A call that is itself interrupted must be repeated.)"""
        [_] = taker(self._lock)
        try:
            self._claim = None
        finally:
            self._lock.release()

    def _interrupt(self, *_: object) -> None:
        if self._claim is not None:
            raise JobStopped

    def _run(self) -> None:
        # For the main thread: were they delivered here, a job that sleeps would not be woken by them.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        while not self._over.wait(self.interval):
            claim = self._claim
            try:
                cause = self.beat()
                with self._lock:  # the main thread is at the job, and stays there while this has the lock
                    if claim is None or self._claim is not claim:
                        continue
                    self.errand()
                    if cause is not None and self.cause is None:
                        self.cause = cause
                        signal.pthread_kill(self._executor, signal.SIGURG)
            except ServerError as error:
                _log.warning("%s", error)
