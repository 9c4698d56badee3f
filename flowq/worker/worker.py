"""`Worker`: executing jobs from a program of one's own, as users of RQ know it.

`Worker([queue]).work()` clones the calling process once; the clone forks a work horse for each job, so imports, paths and patches of
the caller are there in its jobs.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from resource import struct_rusage
from typing import TYPE_CHECKING, Any, Self

from flowq import defaults
from flowq.connections import stores
from flowq.dotted_names import load_class
from flowq.durations import parse_duration, whole
from flowq.exceptions import UsageError
from flowq.ids import checked_name
from flowq.job import Job
from flowq.jobs import context
from flowq.log_format import formatter_of
from flowq.queue import Queue
from flowq.serializers import resolve_serializer, serializer_name
from flowq.worker import methods
from flowq.worker.horse import callbacks
from flowq.worker.horse.own_process import OwnProcess
from flowq.worker.inprocess.engine import execute
from flowq.worker.inprocess.heartbeat import Heartbeat
from flowq.worker.methods import WorkerMethods
from flowq.worker.monitoring import WorkerInfo
from flowq.worker.options import WorkerOptions
from flowq.worker.supervise import supervise

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.supervisor.ends import Ended

_LOGGER = "flowq.worker"
_LOG_FORMAT = "%(asctime)s %(message)s"
_DATE_FORMAT = "%H:%M:%S"


class DequeueStrategy(StrEnum):
    """The order in which a worker serves its queues."""

    DEFAULT = "default"  # as given: a later queue is served when those before it are empty
    ROUND_ROBIN = "round_robin"  # each in turn
    RANDOM = "random"


class Worker(WorkerMethods, WorkerInfo):
    """Executes the jobs of queues, each in a forked process.

    Args:
        queues: a queue, a queue's name, or several, in order of priority.
        name: how it is listed; random otherwise.
        default_result_ttl: seconds for which finished jobs are kept that do not say so themselves.
        connection: a redis-py client; without one that of the first queue, else the configured server.
        exception_handlers: called with `(job, type, value, traceback)` after a failure, in the job's process, one after the other
            until one returns False.
        job_class: class of the jobs; its `perform` executes them.
        queue_class: class of the queues in `queues`.
        serializer: the only one it reads; by default whatever each job was made with.
        disable_default_exception_handler: jobs that fail are not listed in `FailedJobRegistry`; status and result are stored all the same.
        work_horse_killed_handler: called with `(job, pid, wait status, rusage)` when a job's process has died without an end;
            `rusage` is what `os.wait4` returns.
        death_penalty_class: how timeouts are enforced in the job's process; SIGALRM by default.
        worker_ttl: seconds after which a job of a worker that has died is given to another (the lease, 10 s).

    `maintenance_interval`, `default_worker_ttl`, `log_job_description`, `job_monitoring_interval` and `prepare_for_work` are accepted and
    have no effect: flowq does by itself what they are about.

    Subclasses may set `job_class`, `queue_class` and `death_penalty_class`.
    """

    job_class: type[Job] = Job
    queue_class: type[Queue] = Queue
    death_penalty_class: Any = None
    python_version = sys.version
    dequeue_strategy = DequeueStrategy.DEFAULT
    lifeline: int | None = None  # a descriptor that closes when the process that started this one is gone

    def __init__(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        queues: "Queue | str | Iterable[Queue | str]",
        name: str | None = None,
        default_result_ttl: float | str = defaults.RESULT_TTL,
        connection: Any = None,
        exception_handlers: Callable[..., Any] | Sequence[Callable[..., Any]] | None = None,
        maintenance_interval: float | None = None,  # noqa: ARG002
        default_worker_ttl: float | None = None,  # noqa: ARG002
        worker_ttl: float | str | None = None,
        job_class: Any = None,
        queue_class: Any = None,
        log_job_description: bool = True,  # noqa: ARG002
        job_monitoring_interval: float | None = None,  # noqa: ARG002
        disable_default_exception_handler: bool = False,
        prepare_for_work: bool = True,  # noqa: ARG002
        serializer: Any = None,
        work_horse_killed_handler: Callable[..., Any] | None = None,
        *,
        death_penalty_class: Any = None,
    ) -> None:
        items = [queues] if isinstance(queues, (str, Queue)) or not isinstance(queues, Iterable) else list(queues)
        if not items:
            raise UsageError("a worker needs at least one queue")
        wrong: list[Any] = [item for item in items if not isinstance(item, (str, Queue))]  # type: ignore[redundant-expr]
        if wrong:
            raise UsageError(f"a worker serves queues, or names of queues; found {wrong[0]!r}")
        bound = next((item.store for item in items if not isinstance(item, str)), None)
        self.store: Store = stores.store_for(connection if connection is not None or bound is None else bound)
        if job_class is not None:
            self.job_class = load_class(job_class, Job)
        if queue_class is not None:
            self.queue_class = load_class(queue_class, Queue)
        self.queues = [self.queue_class(item, self.connection) if isinstance(item, str) else item for item in items]
        self.name = checked_name(name, "a worker's name") if name else WorkerOptions(()).name
        self.default_result_ttl = whole(parse_duration(default_result_ttl, never=True))
        self.exception_handlers = _as_list(exception_handlers)
        self.serializer = None if serializer is None else resolve_serializer(serializer)
        self.work_horse_killed_handler = work_horse_killed_handler
        self.disable_default_exception_handler = disable_default_exception_handler
        self.death_penalty_class = death_penalty_class or self.death_penalty_class
        self.lease = defaults.LEASE if worker_ttl is None else parse_duration(worker_ttl)
        self.worker_ttl = whole(self.lease)  # RQ's name
        self.log = logging.getLogger(_LOGGER)
        methods.warn_of_methods_never_called(self)

    @property
    def connection(self) -> Any:
        """The redis-py client that the worker's server is reached with."""
        return stores.connection_of(self.store)

    def queue_names(self) -> list[str]:
        """Return the names of its queues, in order of priority."""
        return [queue.name for queue in self.queues]

    def push_exc_handler(self, handler_func: Callable[..., Any]) -> None:
        """Add an exception handler behind those there are."""
        self.exception_handlers.append(handler_func)

    def pop_exc_handler(self) -> Callable[..., Any]:
        """Remove the last exception handler and return it."""
        return self.exception_handlers.pop()

    # -- working --------------------------------------------------------------------------------------------------------------

    def work(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        burst: bool = False,
        logging_level: str | int | None = None,
        date_format: str = _DATE_FORMAT,
        log_format: str = _LOG_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: float | None = None,
        with_scheduler: bool = False,  # noqa: ARG002 - every worker does what RQ's scheduler is for
        dequeue_strategy: str | DequeueStrategy | None = None,
        *,
        slots: int = 1,
        lease: float | None = None,
        allow: Iterable[str] = (),
    ) -> bool:
        """Execute jobs until stopped (SIGINT or SIGTERM: running jobs finish first; a second one hands them back).

        Args:
            burst: stop when the queues are empty.
            logging_level: log to standard error from this level on, unless logging is set up already; None: from INFO on.
            date_format: of that log.
            log_format: of that log.
            max_jobs: stop after that many jobs.
            max_idle_time: stop after that many seconds without a job.
            with_scheduler: makes no difference: every worker enqueues due jobs.
            dequeue_strategy: in what order the queues are served; that of the class unless given.
            slots: jobs at once.
            lease: seconds after which a job of a worker that has died is given to another; `worker_ttl` unless given.
            allow: patterns of the dotted names of what may be called, such as "reports.*"; none allow everything.

        Returns:
            Whether a job was executed.

        Raises:
            UsageError: there is no such strategy, or this is not the main thread.
            ServerError: the server could not be used at the start.
        """
        from flowq.store import Store

        if threading.current_thread() is not threading.main_thread():
            raise UsageError(
                "work() must be called in the main thread, where signals arrive; a thread can have a process do it"
            )
        set_up_logging(logging_level, log_format, date_format)
        options = self._options(
            burst=burst,
            max_jobs=max_jobs,
            max_idle=max_idle_time,
            slots=slots,
            lease=self.lease if lease is None else lease,
            allow=tuple(allow),
        )
        options = _with_strategy(options, self.dequeue_strategy if dequeue_strategy is None else dequeue_strategy)
        own = Store(self.store.client, self.store.namespace, follow=False, anchor=self.store.anchor)
        former_store = stores.set_default_store(self.store)
        self.working_in = os.getpid()
        try:
            with self.hooked(methods.through_replaced(self)):
                return self._execute(own.open(), options)
        finally:
            stores.set_default_store(former_store)

    def _execute(self, store: "Store", options: WorkerOptions) -> bool:
        if store.is_stand_in():  # its data is seen by this process alone, and its connections cannot be waited for
            from flowq.worker.inprocess.forking import ForkingEngine

            return execute(store, options, ForkingEngine, Heartbeat)
        return supervise(store, options)[1] > 0

    def _options(self, **settings: Any) -> WorkerOptions:
        lease = settings["lease"]
        return WorkerOptions(
            queues=tuple(self.queue_names()),
            name=self.name,
            clone=True,
            lifeline=self.lifeline,
            beat=lease * defaults.BEAT / defaults.LEASE,
            result_ttl=None if self.default_result_ttl == defaults.RESULT_TTL else self.default_result_ttl,
            unlisted=self.disable_default_exception_handler,
            killed=self._tell_killed if self.work_horse_killed_handler or methods.watches_deaths(self) else None,
            **settings,
        )

    @contextmanager
    def hooked(self, through: "callbacks.Methods | None") -> "Iterator[None]":
        """Let this process, and those that it forks, execute jobs by the hooks of this worker, and by `through` if that is given."""
        former_hooks, former_class = callbacks.install(self.hooks(through)), context.current_job_class()
        context.set_current_job_class(self.job_class)
        try:
            yield
        finally:
            callbacks.install(former_hooks)
            context.set_current_job_class(former_class)

    def hooks(self, through: "callbacks.Methods | None") -> callbacks.Hooks:
        """Return the hooks of this worker, see `flowq.worker.horse.callbacks`."""
        return callbacks.Hooks(
            self.job_class,
            None if self.serializer is None else (self.serializer, serializer_name(self.serializer)),
            self.death_penalty_class,
            self.exception_handlers,
            through,
        )

    def _tell_killed(self, job_id: str, end: "Ended") -> None:
        job = self.job_class.fetch(job_id, self.connection)
        status = 0 if end.code is None else -end.code if end.code < 0 else end.code << 8
        usage = None if end.usage is None else struct_rusage(end.usage)
        with OwnProcess():
            self.handle_work_horse_killed(job, end.pid, status, usage)
            queue = self.queue_class(job.origin, self.connection)
            self.handle_job_failure(job=job, queue=queue, exc_string=end.outcome["error"])
        if job.changed:  # `job.retries_left = 0`, say
            job.save(include_meta=False)

    # -- looking --------------------------------------------------------------------------------------------------------------

    @classmethod
    def all(
        cls,
        connection: Any = None,
        job_class: Any = None,
        queue_class: Any = None,
        queue: "Queue | None" = None,
        serializer: Any = None,
    ) -> list[Self]:
        """Return the workers that live, by name; with `queue`, those that serve it. The classes are of what they are asked for."""
        store = stores.store_for(connection if connection is not None or queue is None else queue.store)
        wanted = None if queue is None else queue.name
        classes = {"job_class": job_class, "queue_class": queue_class, "serializer": serializer}
        return [
            cls(list(record.queues), record.name, connection=stores.connection_of(store), **classes).seen(record)
            for record in store.workers.live()
            if wanted is None or wanted in record.queues
        ]

    @classmethod
    def count(cls, connection: Any = None, queue: "Queue | None" = None) -> int:
        """Return how many workers live; with `queue`, how many serve it."""
        return len(cls.all(connection, queue=queue))

    @classmethod
    def find(cls, name: str, connection: Any = None) -> Self | None:
        """Return the living worker of this name, None if there is none."""
        record = stores.store_for(connection).workers.get_live(name)
        return None if record is None else cls(list(record.queues), name, connection=connection).seen(record)

    def refresh(self) -> None:
        """Do nothing: properties are read from the store on each access."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Worker):
            raise TypeError(f"a worker cannot be compared with {other!r}: compare its name")  # as in RQ
        return other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.queue_names()}, name={self.name!r})"


def _as_list(handlers: Callable[..., Any] | Sequence[Callable[..., Any]] | None) -> list[Callable[..., Any]]:
    if handlers is None:
        return []
    return [handlers] if callable(handlers) else list(handlers)


def _with_strategy(options: WorkerOptions, strategy: str) -> WorkerOptions:
    from dataclasses import replace

    try:
        return replace(options, strategy=str(DequeueStrategy(strategy)))
    except ValueError as error:
        known = ", ".join(DequeueStrategy)
        raise UsageError(f"dequeue_strategy: expected one of {known}, found {strategy!r}") from error


def set_up_logging(level: str | int | None, log_format: str = _LOG_FORMAT, date_format: str = _DATE_FORMAT) -> None:
    """Let flowq log to standard error from this level on, unless logging is set up already; None: from INFO on, as RQ's workers."""
    logger = logging.getLogger(_LOGGER)
    unheard = not logger.hasHandlers()
    if level is not None or (unheard and logger.level == logging.NOTSET):
        logger.setLevel(logging.INFO if level is None else level)
    if unheard:
        handler = logging.StreamHandler()
        handler.setFormatter(formatter_of(log_format, date_format))
        logger.addHandler(handler)
