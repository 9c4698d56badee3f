"""The heartbeat of a worker that executes jobs in its own process: from a thread, while the main thread is at work."""

import logging
import signal
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Self

from flowq.exceptions import ServerError
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


class HeartbeatThread:
    """The heartbeat of the worker and the job it executes; interrupts the job when it must end.

    By a signal, which gets through a sleep or a read. SIGURG, because an extra one does no harm and the clock needs SIGALRM.

    Args:
        store: beats go there.
        worker: what the worker was registered with.
        interval: seconds between two beats.
        impatient: whether the user who stops the worker does not want to wait for its job.

    Attributes:
        counters: executions that finished, that failed, and the milliseconds they took, to be told with each beat.
        cause: why the latest job was interrupted; None when it was not.
        errand: done with every beat while a job is executed, when the main thread cannot do it.
    """

    def __init__(self, store: "Store", worker: "Registration", interval: float, impatient: Callable[[], bool]) -> None:
        self.counters = (0, 0, 0)
        self.cause: KillCause | None = None
        self.errand: Callable[[], None] = lambda: None
        self._store = store
        self._worker = worker
        self._interval = min(interval, _LONGEST_WAIT)
        self._impatient = impatient
        self._claim: Claim | None = None
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

    def begin(self, claim: Claim) -> None:
        """Renew this job's lease from now on; `JobStopped` may interrupt it."""
        self.cause = None
        self._claim = claim

    def end(self) -> None:
        """Stop interrupting the job, because it has ended. (A call that is itself interrupted must be repeated.)"""
        with self._lock:
            self._claim = None

    def _interrupt(self, *_: object) -> None:
        if self._claim is not None:
            raise JobStopped

    def _run(self) -> None:
        # For the main thread: were they delivered here, a job that sleeps would not be woken by them.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP)
        while not self._over.wait(self._interval):
            claim = self._claim
            try:
                cause = self._beat(claim)
                with self._lock:  # the main thread is at the job, and stays there while this has the lock
                    if claim is None or self._claim is not claim:
                        continue
                    self.errand()
                    if cause is not None and self.cause is None:
                        self.cause = cause
                        signal.pthread_kill(self._executor, signal.SIGURG)
            except ServerError as error:
                _log.warning("%s", error)

    def _beat(self, claim: Claim | None) -> KillCause | None:
        verdict = self._store.workers.heartbeat(self._worker, claim, self.counters)
        if claim is not None and self._impatient():
            return KillCause.RETURNED
        return None if verdict is None else _CAUSES.get(verdict)
