"""`Queue`: where plain jobs are put, as users of RQ know it."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import total_ordering
from typing import TYPE_CHECKING, Any

from flowq import defaults, ids
from flowq.binding import store_for
from flowq.durations import parse_duration
from flowq.exceptions import DuplicateJobError, InvalidJobDependency, InvalidJobOperation, UsageError
from flowq.job import Job, restore
from flowq.options import split_call
from flowq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from flowq.store.jobs import NewJob
from flowq.store.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store


@total_ordering
class Queue:
    """A named queue. It exists from its first job on, without setup.

    Args:
        name: any name.
        connection: a redis-py client; without one the configured server, else the embedded one.
        default_timeout: of jobs that do not say their own; seconds or text such as "1h". 180 s.
    """

    def __init__(self, name: str = "default", connection: Any = None, default_timeout: float | str | None = None) -> None:
        if not name or any(character in name for character in "\n\r\0"):
            raise UsageError(f"a queue's name must be a text without line breaks, found {name!r}")
        self.name = name
        self.store: Store = store_for(connection)
        self.default_timeout = defaults.JOB_TIMEOUT if default_timeout is None else parse_duration(default_timeout, never=True)

    # -- enqueueing -----------------------------------------------------------------------------------------------------------

    def enqueue(self, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue; it is executed by a worker.

        Args:
            f: the function, or its dotted name where it cannot be imported here.
            *args: its positional arguments.
            **kwargs: its keyword arguments, and the options `job_timeout`, `result_ttl`, `ttl`, `failure_ttl`, `depends_on`, `job_id`,
                `at_front`, `description`, `meta`, `retry`, `unique`. `args=` and `kwargs=` give the function's arguments whole.

        Returns:
            A handle on the job.

        Raises:
            UsageError: the function or an option is not possible.
            DuplicateJobError: `unique` and the id is taken, or the job of this id is being executed.
            InvalidJobDependency: a dependency does not exist.
        """
        return self._enqueue_at(-1, f, args, kwargs)

    def enqueue_call(self, func: Callable[..., Any] | str, args: Any = None, kwargs: Any = None, **options: Any) -> Job:
        """Put a call on the queue with the function's arguments whole and the options under `Job.create`'s names."""
        renamed = {{"timeout": "job_timeout"}.get(name, name): value for name, value in options.items()}
        return self.enqueue(func, args=args, kwargs=kwargs, **renamed)

    def enqueue_at(self, when: datetime, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue at a time (a naive one is local time)."""
        return self._enqueue_at(int(when.timestamp() * 1000), f, args, kwargs)

    def enqueue_in(self, delay: timedelta, f: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Job:
        """Put a call on the queue after a while, by the server's clock."""
        return self._enqueue_at(self.store.now_ms() + int(delay.total_seconds() * 1000), f, args, kwargs)

    def enqueue_job(self, job: Job, *, at_front: bool = False) -> Job:
        """Put a job made with `Job.create` on the queue."""
        return self._submit(job, due_ms=-1, front=at_front or job.options.at_front)

    def _enqueue_at(self, due_ms: int, f: Callable[..., Any] | str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        positional, named, options = split_call(args, kwargs)
        job = Job.create(f, positional, named, connection=self.store)
        job.id = options.id or job.id
        job.options = options
        job.meta = options.meta
        return self._submit(job, due_ms=due_ms, front=options.at_front)

    def _submit(self, job: Job, *, due_ms: int, front: bool) -> Job:
        job._store = self.store  # noqa: SLF001 - a created job is bound to a store when it is enqueued
        new = NewJob(
            id=job.id,
            queue=self.name,
            payload=job.payload(),
            nonce=ids.nonce(),
            unique=job.options.unique,
            due_ms=due_ms,
            front=front,
            parents=[(parent, "success") for parent in job.options.depends_on],
            fields=job.options.fields(self.default_timeout),
        )
        outcome, detail = self.store.jobs.create(new)
        if outcome is Outcome.CONFLICT:
            raise DuplicateJobError(f"a job with the id {job.id!r} exists already, it is {detail}: choose another id")
        if outcome is Outcome.NOT_FOUND:
            raise InvalidJobDependency(f"job {job.id} depends on {detail!r}, which does not exist")
        job.origin = self.name
        if job.meta:
            job.save_meta()
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
        return restore(self.get_job_ids(offset, length), self.store)

    def get_job_position(self, job: Job | str) -> int | None:
        """Return how many jobs are before this one, None when it does not wait here."""
        return self.store.queues.position(self.name, job if isinstance(job, str) else job.id)

    def is_empty(self) -> bool:
        """Return whether no job waits."""
        return self.count == 0

    def fetch_job(self, job_id: str) -> Job | None:
        """Return the job with this id if it is of this queue, else None."""
        record = self.store.jobs.get(job_id)
        return None if record is None or record.queue != self.name else Job.fetch(job_id, self.store)

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
        return f"Queue({self.name!r})"
