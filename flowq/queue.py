"""`Queue`: where plain jobs are put, as users of RQ know it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import total_ordering
from importlib import import_module
from typing import TYPE_CHECKING, Any

from flowq import defaults, ids
from flowq.binding import store_for
from flowq.call import Call
from flowq.callables import load_class
from flowq.durations import parse_duration
from flowq.exceptions import DuplicateJobError, InvalidJobDependency, InvalidJobOperation, UsageError
from flowq.job import Job, restore, stored_fields
from flowq.options import JobOptions, as_arguments, parse_options, split_call
from flowq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from flowq.serializers import resolve_serializer
from flowq.states import JobStatus
from flowq.store.jobs import NewJob
from flowq.store.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store

_NOW = -1  # in place of a time
_INLINE = "flowq.worker.inline"  # by name: workers stand above queues, and sync mode borrows their way of executing a job


@dataclass(frozen=True, slots=True)
class EnqueueData:
    """One job for `Queue.enqueue_many`, made by `Queue.prepare_data`."""

    call: Call
    options: JobOptions


@total_ordering
class Queue:
    """A named queue. It exists from its first job on, without setup.

    Args:
        name: any name.
        connection: a redis-py client; without one the configured server, else the embedded one.
        default_timeout: of jobs that do not say their own; seconds or text such as "1h". 180 s.
        is_async: False: `enqueue` executes the job at once in this process, in place of a worker.
        job_class: class of the jobs that come out of it, or its dotted name.
        serializer: for arguments, results and meta: "pickle" (default), "json", a class, or its dotted name.
        death_penalty_class: how a timeout is enforced without a worker, see `flowq.timeouts`.
    """

    job_class: type[Job] = Job

    def __init__(  # noqa: PLR0913, PLR0917 - RQ's signature
        self,
        name: str = "default",
        connection: Any = None,
        default_timeout: float | str | None = None,
        is_async: bool = True,
        job_class: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> None:
        if not name or any(character in name for character in "\n\r\0"):
            raise UsageError(f"a queue's name must be a text without line breaks, found {name!r}")
        self.name = name
        self.store: Store = store_for(connection)
        self.default_timeout = defaults.JOB_TIMEOUT if default_timeout is None else parse_duration(default_timeout, never=True)
        self.is_async = is_async
        self.serializer = resolve_serializer(serializer)
        self.death_penalty_class = death_penalty_class
        if job_class is not None:
            self.job_class = load_class(job_class, Job)

    @classmethod
    def all(cls, connection: Any = None, job_class: Any = None, serializer: Any = None) -> "list[Queue]":
        """Return all queues that hold or held jobs, by name."""
        store = store_for(connection)
        return [cls(name, store, job_class=job_class, serializer=serializer) for name in store.queues.names()]

    @property
    def connection(self) -> Any:
        """The redis-py client that the queue's server is reached with."""
        return self.store.client

    # -- enqueueing -----------------------------------------------------------------------------------------------------------

    def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue; it is executed by a worker.

        Args:
            f: the function, or its dotted name where it cannot be imported here.
            *args: its positional arguments.
            **kwargs: its keyword arguments, and the options `job_timeout`, `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `job_id`,
                `at_front`, `description`, `meta`, `retry`, `repeat`, `on_success`, `on_failure`, `on_stopped`, `unique`, `pipeline`.
                `args=` and `kwargs=` give the function's arguments whole.

        Returns:
            A handle on the job.

        Raises:
            UsageError: the function or an option is not possible.
            DuplicateJobError: `unique` and the id is taken, or the job of this id is being executed.
            InvalidJobDependency: a dependency does not exist.
        """
        return self._enqueue(_NOW, f, args, kwargs)

    def enqueue_call(self, func: Callable[..., Any] | str, args: Any = None, kwargs: Any = None, **options: Any) -> Job:
        """Put a call on the queue with the function's arguments whole and the options under `Job.create`'s names."""
        renamed = {{"timeout": "job_timeout"}.get(name, name): value for name, value in options.items()}
        return self.enqueue(func, args=args, kwargs=kwargs, **renamed)

    def enqueue_at(self, when: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue at a time (a naive one is local time), or once its dependencies have ended if that is later."""
        return self._enqueue(_millis(when), f, args, kwargs)

    def enqueue_in(self, time_delta: timedelta, func: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue after a while, by the server's clock."""
        return self._enqueue(self.store.now_ms() + int(time_delta.total_seconds() * 1000), func, args, kwargs)

    def enqueue_job(self, job: Job, pipeline: Any = None, at_front: bool = False, unique: bool = False) -> Job:
        """Put a job made with `Job.create` (or `create_job`) on the queue."""
        return self._submit(job, due_ms=_NOW, pipeline=pipeline, front=at_front, unique=unique)

    def schedule_job(self, job: Job, when: datetime, pipeline: Any = None, unique: bool = False) -> Job:
        """Put a job made with `Job.create` on the queue at a time."""
        return self._submit(job, due_ms=_millis(when), pipeline=pipeline, unique=unique)

    def create_job(self, func: Callable[..., Any] | str, args: Any = None, kwargs: Any = None, **options: Any) -> Job:
        """Make a job for this queue without enqueueing it; `enqueue_job` does that. Options as of `prepare_data`."""
        data = self.prepare_data(func, args, kwargs, **options)
        return self.job_class.assemble(data.call, data.options, self.store, self.serializer, origin=self.name)

    @staticmethod
    def prepare_data(
        func: Callable[..., Any] | str, args: Any = None, kwargs: Mapping[str, Any] | None = None, **options: Any
    ) -> EnqueueData:
        """Describe a job for `enqueue_many`. Options as of `Job.create`, the id as `job_id`, and `at_front`."""
        if "job_id" in options:
            options["id"] = options.pop("job_id")
        if "job_timeout" in options:
            options["timeout"] = options.pop("job_timeout")
        return EnqueueData(Call.of(func, as_arguments(args), kwargs or {}), parse_options(options))

    def enqueue_many(self, job_datas: Iterable[EnqueueData], pipeline: Any = None) -> list[Job]:
        """Put many calls on the queue in one round trip. One may depend on another that stands before it in the list.

        Raises:
            DuplicateJobError, InvalidJobDependency: of the first job that was refused; the others are enqueued.
        """
        jobs = [self.job_class.assemble(data.call, data.options, self.store, self.serializer) for data in job_datas]
        if pipeline is not None or not self.is_async:
            return [self._submit(job, due_ms=_NOW, pipeline=pipeline) for job in jobs]
        news = [self._new(job, due_ms=_NOW) for job in jobs]
        answers = self.store.jobs.create_many(news)
        for job, (outcome, detail) in zip(jobs, answers, strict=True):
            _accept(job, outcome, detail)
        return jobs

    def run_sync(self, job: Job) -> Job:
        """Put a job on the queue and execute it at once in this process."""
        return self._submit(job, due_ms=_NOW, here=True)

    def _enqueue(self, due_ms: int, f: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        pipeline = kwargs.pop("pipeline", None)
        positional, named, options = split_call(args, kwargs)
        job = self.job_class.assemble(Call.of(f, positional, named), options, self.store, self.serializer)
        return self._submit(job, due_ms=due_ms, pipeline=pipeline)

    def _new(self, job: Job, *, due_ms: int, front: bool = False, unique: bool = False) -> NewJob:
        job.bind(self.store, self.serializer, self.name)
        return NewJob(
            id=job.id,
            queue=self.name,
            payload=job.payload(),
            nonce=ids.nonce(),
            unique=unique or job.options.unique,
            due_ms=due_ms,
            front=front or job.options.front,
            parents=job.options.edges,
            fields=stored_fields(job, self.default_timeout),
            meta=job.stored_meta() if job.meta else b"",
        )

    def _submit(
        self, job: Job, *, due_ms: int, pipeline: Any = None, front: bool = False, unique: bool = False, here: bool = False
    ) -> Job:
        new = self._new(job, due_ms=due_ms, front=front, unique=unique)
        if pipeline is not None:
            self.store.jobs.create_in(pipeline, new)
            return job
        if self.is_async and not here:
            return _accept(job, *self.store.jobs.create(new))
        inline: Any = import_module(_INLINE)
        _accept(job, *inline.create_and_execute(self.store, new, self.death_penalty_class))
        job.refresh_if_there()
        return job

    # -- looking --------------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.count

    @property
    def count(self) -> int:
        """How many jobs wait; deferred ones and those whose ttl has passed are not counted."""
        return self.store.queues.count(self.name)

    @property
    def job_ids(self) -> list[str]:
        """The ids of the waiting jobs, the next one first."""
        return self.get_job_ids()

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """Return ids of waiting jobs, the next one first."""
        return self.store.queues.job_ids(self.name, offset, length)

    @property
    def jobs(self) -> list[Job]:
        """The waiting jobs, the next one first."""
        return self.get_jobs()

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[Job]:
        """Return waiting jobs, the next one first."""
        return restore(self.get_job_ids(offset, length), self.store, self.job_class)

    def get_job_position(self, job: Job | str) -> int | None:
        """Return how many jobs are before this one, None when it does not wait here."""
        return self.store.queues.position(self.name, job if isinstance(job, str) else job.id)

    def is_empty(self) -> bool:
        """Return whether no job waits."""
        return self.count == 0

    def fetch_job(self, job_id: str) -> Job | None:
        """Return the job with this id if it is of this queue, else None."""
        job = self.job_class.fetch_many([job_id], self.store)[0]
        return job if job is not None and job.origin == self.name else None

    # -- clearing -------------------------------------------------------------------------------------------------------------

    def empty(self) -> int:
        """Delete the jobs that wait here and return how many; those who depend on them are decided (skipped, as a rule)."""
        return self.store.queues.empty(self.name)

    def delete(self, delete_jobs: bool = True) -> None:
        """Remove the queue; its next job brings it back.

        Args:
            delete_jobs: False: the jobs that wait are canceled and their records stay.
        """
        if delete_jobs:
            self.empty()
        else:
            for job_id in self.job_ids:
                self.store.jobs.cancel(job_id)
        self.store.queues.drop(self.name)

    def remove(self, job_or_id: Job | str) -> None:
        """Take a waiting job out of the queue: it is canceled.

        Raises:
            InvalidJobOperation: it does not wait here.
        """
        job_id = job_or_id if isinstance(job_or_id, str) else job_or_id.id
        record = self.store.jobs.get(job_id)
        if record is None or record.queue != self.name or record.status is not JobStatus.QUEUED:
            raise InvalidJobOperation(f"job {job_id} does not wait in queue {self.name!r}")
        self.store.jobs.cancel(job_id)

    def requeue(self, job_id: str) -> Job:
        """Execute a failed job of this queue again.

        Raises:
            InvalidJobOperation: it is not in the failed registry.
        """
        if job_id not in self.failed_job_registry:
            raise InvalidJobOperation(f"job {job_id} is not in the failed registry of queue {self.name!r}")
        return self.failed_job_registry.requeue(job_id)

    @property
    def started_job_registry(self) -> StartedJobRegistry:
        """Jobs of this queue that are executed now."""
        return StartedJobRegistry(queue=self)

    @property
    def finished_job_registry(self) -> FinishedJobRegistry:
        """Jobs of this queue that finished."""
        return FinishedJobRegistry(queue=self)

    @property
    def failed_job_registry(self) -> FailedJobRegistry:
        """Jobs of this queue that failed."""
        return FailedJobRegistry(queue=self)

    @property
    def deferred_job_registry(self) -> DeferredJobRegistry:
        """Jobs of this queue that wait for their dependencies."""
        return DeferredJobRegistry(queue=self)

    @property
    def scheduled_job_registry(self) -> ScheduledJobRegistry:
        """Jobs of this queue that wait for their time."""
        return ScheduledJobRegistry(queue=self)

    @property
    def canceled_job_registry(self) -> CanceledJobRegistry:
        """Jobs of this queue that were canceled."""
        return CanceledJobRegistry(queue=self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Queue) and other.name == self.name

    def __lt__(self, other: "Queue") -> bool:
        return self.name < other.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def _accept(job: Job, outcome: Outcome, detail: str) -> Job:
    """Return the job, unless the store refused it."""
    if outcome is Outcome.CONFLICT:
        raise DuplicateJobError(f"a job with the id {job.id!r} exists already, it is {detail}: choose another id")
    if outcome is Outcome.NOT_FOUND:
        raise InvalidJobDependency(f"job {job.id} depends on {detail!r}, which does not exist")
    return job


def _millis(when: datetime) -> int:
    return int(when.timestamp() * 1000)
