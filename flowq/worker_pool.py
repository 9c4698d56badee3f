"""`WorkerPool`: several workers below one process, which replaces those that die and stops them when it ends.

Each worker is a child in a process group of its own, so that Ctrl+C in the terminal reaches the pool alone: it passes every stop signal
on once, and no worker counts one keystroke as two. All hold the reading end of one pipe, the lifeline: when the pool ends,
even by SIGKILL, they see the pipe close and stop.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Iterable
from enum import Enum
from types import FrameType
from typing import Any, Final, NamedTuple

from flowq import ids
from flowq.connections.stores import connection_of, store_for
from flowq.dotted_names import load_class
from flowq.exceptions import ServerError, UsageError
from flowq.job import Job
from flowq.queue import Queue
from flowq.serializers import resolve_serializer
from flowq.worker import forked_worker
from flowq.worker.signals import SAME_STOP, StopSignals
from flowq.worker.worker import Worker, set_up_logging

_LONGEST_WAIT: Final = 5.0  # s between checks of the workers; a signal reports their deaths
_EARLY: Final = 5.0  # s; a worker that dies sooner is likely to die again
_FIRST_PAUSE: Final = 0.5  # s before a worker that died early is replaced; doubled each time
_LONGEST_PAUSE: Final = 30.0
_SLACK: Final = 0.2  # s; a worker gets its first stop signal later than the pool, and must count the second one too
_BETWEEN_STOPS: Final = SAME_STOP + _SLACK  # s; an earlier one is the same signal to a worker
_STOPS: Final = 3  # stop signals that mean something different: finish, hand back, leave everything

log = logging.getLogger("flowq.worker.pool")


class WorkerData(NamedTuple):
    """One worker of a pool. `started` is monotonic time."""

    name: str
    pid: int
    started: float


class WorkerPool:
    """A pool that keeps a number of workers on the same queues.

    Args:
        queues: queues or their names, in order of priority.
        connection: a redis-py client; without one that of the first queue, else the configured server.
        num_workers: how many.
        worker_class: `Worker` or a subclass, or its dotted name.
        serializer: as of `Worker`.
        job_class: as of `Worker`.
        queue_class: as of `Worker`.
        exception_handlers: as of `Worker`.
        **options: further options of the worker class.

    Raises:
        UsageError: no queue, no worker, or an option that a worker does not have.
    """

    class Status(Enum):
        """The stages of a pool's life."""

        IDLE = 1
        STARTED = 2
        STOPPED = 3

    def __init__(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        queues: "Iterable[Queue | str]",
        connection: Any = None,
        num_workers: int = 1,
        worker_class: Any = Worker,
        serializer: Any = None,
        job_class: Any = None,
        queue_class: Any = None,
        exception_handlers: Any = None,
        **options: Any,
    ) -> None:
        if type(num_workers) is not int or num_workers < 1:
            raise UsageError(f"num_workers must be a number of at least 1, found {num_workers!r}")
        items = [queues] if isinstance(queues, (str, Queue)) else list(queues)
        bound = next((item.store for item in items if isinstance(item, Queue)), None)
        self.name = ids.nonce()
        self.status = self.Status.IDLE
        self.num_workers = num_workers
        self.store = store_for(connection if connection is not None or bound is None else bound)
        self.queue_class: type[Queue] = load_class(queue_class, Queue)
        self.job_class: type[Job] = load_class(job_class, Job)
        self.worker_class: type[Worker] = load_class(worker_class, Worker)
        self.serializer = None if serializer is None else resolve_serializer(serializer)
        self.exception_handlers = exception_handlers
        self.worker_dict: dict[str, WorkerData] = {}
        self.log = log
        self._queue_names = [item if isinstance(item, str) else item.name for item in items]
        self._options = options
        self._work: dict[str, Any] = {"burst": True}
        self._numbers = 0
        self._lifeline: tuple[int, int] | None = None
        self._pause = 0.0  # s to wait before a worker is replaced
        self._not_before = 0.0  # monotonic time
        self._new_worker(f"{self.name}.0")  # so that a wrong option is an error here, not in each child

    @property
    def connection(self) -> Any:
        """The redis-py client that the server is reached with."""
        return connection_of(self.store)

    @property
    def queues(self) -> list[Queue]:
        """The queues, in order of priority."""
        return [self.queue_class(name, connection=self.connection) for name in self._queue_names]

    @property
    def number_of_active_workers(self) -> int:
        """The number of workers that are not known to have ended."""
        return len(self.worker_dict)

    # -- the whole life -------------------------------------------------------------------------------------------------------

    def start(self, burst: bool = False, logging_level: str | int | None = "INFO", **work: Any) -> None:
        """Start the workers and stay until all of them have stopped.

        SIGINT or SIGTERM (Ctrl+C) lets running jobs finish first; a second one hands them back to their queues. Must be called in the main
        thread.

        Args:
            burst: workers stop when the queues are empty, and are not replaced.
            logging_level: log to standard error from this level on, unless logging is set up already.
            **work: further options of `Worker.work`.
        """
        set_up_logging(logging_level, **{name: work[name] for name in ("log_format", "date_format") if name in work})
        number, queues = self.num_workers, ", ".join(self._queue_names)
        log.info("worker pool %s: %d worker%s on %s", self.name, number, "s" * (number != 1), queues)
        with StopSignals(SAME_STOP + _SLACK) as signals:
            former = signal.signal(signal.SIGCHLD, _noticed)  # what wakes `_wait` is its number in the pipe
            try:
                self.start_workers(burst=burst, logging_level=logging_level, **work)
                self.status = self.Status.STARTED
                self._stay(signals, respawn=not burst)
            finally:
                self.status = self.Status.STOPPED
                self.kill_workers()
                signal.signal(signal.SIGCHLD, former)
        log.info("worker pool %s: all workers have stopped", self.name)

    def _stay(self, signals: StopSignals, *, respawn: bool) -> None:
        passed_on = 0
        while True:
            if passed_on < min(signals.count, _STOPS):
                passed_on += 1
                self.stop_workers()
            self.check_workers(respawn=respawn and self.status is not self.Status.STOPPED)
            stopped = not respawn or self.status is self.Status.STOPPED
            if stopped and not self.worker_dict:
                return
            patience = _LONGEST_WAIT
            if passed_on < min(signals.count, _STOPS):
                patience = _BETWEEN_STOPS
            elif self.number_of_active_workers < self.num_workers and not stopped:
                patience = min(patience, max(0.0, self._not_before - time.monotonic()))
            select.select([signals], [], [], patience)
            signals.acknowledge()

    # -- the parts of it ------------------------------------------------------------------------------------------------------

    def start_workers(self, burst: bool = True, logging_level: str | int | None = "INFO", **work: Any) -> None:
        """Start `num_workers` workers and return."""
        for _ in range(self.num_workers):
            self.start_worker(burst=burst, logging_level=logging_level, **work)

    def start_worker(
        self,
        count: int | None = None,  # noqa: ARG002 - RQ's signature
        burst: bool = True,
        logging_level: str | int | None = "INFO",
        **work: Any,
    ) -> None:
        """Start one more worker. Options as of `Worker.work`."""
        self._work = {"burst": burst, "logging_level": logging_level, **work}
        self._numbers += 1
        name = f"{self.name}.{self._numbers}"
        if self._lifeline is None:
            self._lifeline = os.pipe()
        pid = forked_worker.fork(lambda: self._be_worker(name), self._lifeline)
        self.worker_dict[name] = WorkerData(name, pid, time.monotonic())
        log.debug("started worker %s with pid %d", name, pid)

    def check_workers(self, respawn: bool = True) -> None:
        """Record dead workers and replace them; one that died soon after its start is replaced after a pause."""
        self.reap_workers()
        if respawn and self.status is not self.Status.STOPPED:
            while self.number_of_active_workers < self.num_workers and time.monotonic() >= self._not_before:
                self.start_worker(**self._work)

    def reap_workers(self) -> None:
        """Record the workers that have ended."""
        for data in tuple(self.worker_dict.values()):
            try:
                pid, status = os.waitpid(data.pid, os.WNOHANG)
            except ChildProcessError:  # other code in this process has waited for all children already
                pid, status = data.pid, 0
            if pid:
                self._ended(data, os.waitstatus_to_exitcode(status))

    def all_workers_have_stopped(self) -> bool:
        """Return whether no worker is left."""
        self.reap_workers()
        return not self.worker_dict

    def stop_worker(self, worker_data: WorkerData, sig: int = signal.SIGINT) -> None:
        """Send a stop signal to one worker: the first finishes its jobs, the second hands them back."""
        try:
            os.kill(worker_data.pid, sig)  # ours and not reaped: the pid cannot be another's
        except ProcessLookupError:
            log.debug("worker %s has ended already", worker_data.name)

    def stop_workers(self) -> None:
        """Send a stop signal to all workers and return; see `stop_worker`. They are not replaced from now on."""
        self.status = self.Status.STOPPED
        log.info("stopping the workers: %d", len(self.worker_dict))
        for data in tuple(self.worker_dict.values()):
            self.stop_worker(data)

    def request_stop(self, signum: int | None = None, frame: FrameType | None = None) -> None:  # noqa: ARG002 - a handler of signals
        """Stop the workers, as a stop signal does."""
        self.stop_workers()

    def kill_workers(self) -> None:
        """Kill the workers that are left and wait for their ends; what they executed is killed with them."""
        for data in tuple(self.worker_dict.values()):
            log.warning("killing worker %s", data.name)
            self.stop_worker(data, signal.SIGKILL)
            os.waitpid(data.pid, 0)
            self._ended(data, -signal.SIGKILL)
        if self._lifeline is not None:
            for end in self._lifeline:
                os.close(end)
            self._lifeline = None

    def _ended(self, data: WorkerData, code: int) -> None:
        self.worker_dict.pop(data.name, None)
        log.log(
            logging.DEBUG if code == 0 else logging.WARNING, "worker %s (pid %d) has ended: %s", data.name, data.pid, _how(code)
        )
        if code != 0:
            try:
                self.store.workers.leave(data.name)  # its jobs keep their leases; only its entry is removed
            except ServerError as error:
                log.debug("%s", error)
        early = time.monotonic() - data.started < _EARLY and self.status is not self.Status.STOPPED
        self._pause = min(max(_FIRST_PAUSE, self._pause * 2), _LONGEST_PAUSE) if early else 0.0
        self._not_before = time.monotonic() + self._pause

    # -- in the child ---------------------------------------------------------------------------------------------------------

    def _new_worker(self, name: str) -> Worker:
        return self.worker_class(
            self._queue_names,
            name=name,
            connection=self.connection,
            exception_handlers=self.exception_handlers,
            job_class=self.job_class,
            queue_class=self.queue_class,
            serializer=self.serializer,
            **self._options,
        )

    def _be_worker(self, name: str) -> None:
        assert self._lifeline is not None
        worker = self._new_worker(name)
        worker.lifeline = self._lifeline[0]
        worker.work(**self._work)


def _noticed(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the loop reads the signal's number from the wake-up pipe."""


def _how(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
