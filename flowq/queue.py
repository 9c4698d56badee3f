"""`Queue`: a queue of plain jobs, as users of RQ know it."""

from collections.abc import Iterator
from functools import total_ordering
from typing import TYPE_CHECKING, Any

from flowq import defaults
from flowq.connections.stores import connection_of, store_for
from flowq.dotted_names import load_class
from flowq.durations import parse_duration, whole
from flowq.exceptions import InvalidJobOperation
from flowq.ids import checked_name
from flowq.job import Job, restore
from flowq.jobs.enqueue import Enqueueing
from flowq.jobs.prepared import EnqueueData
from flowq.registry import (
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    SkippedJobRegistry,
    StartedJobRegistry,
)
from flowq.serializers import resolve_serializer
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store

__all__ = ["EnqueueData", "Queue"]


@total_ordering
class Queue(Enqueueing):
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

    DEFAULT_TIMEOUT = int(defaults.JOB_TIMEOUT)
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
        self.name = checked_name(name, "a queue's name")
        self.store: Store = store_for(connection)
        self.default_timeout = whole(
            defaults.JOB_TIMEOUT if default_timeout is None else parse_duration(default_timeout, never=True)
        )
        self.is_async = is_async
        self.serializer = resolve_serializer(serializer)
        self.death_penalty_class = death_penalty_class
        if job_class is not None:
            self.job_class = load_class(job_class, Job)

    @classmethod
    def all(
        cls, connection: Any = None, job_class: Any = None, serializer: Any = None, death_penalty_class: Any = None
    ) -> "list[Queue]":
        """Return all queues that hold or held jobs, by name."""
        store = store_for(connection)
        options = {"job_class": job_class, "serializer": serializer, "death_penalty_class": death_penalty_class}
        return [cls(name, connection_of(store), **options) for name in store.queues.names()]

    @property
    def connection(self) -> Any:
        """The redis-py client that the queue's server is reached with."""
        return connection_of(self.store)

    # -- looking --------------------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        return True  # an empty queue is a queue

    def __iter__(self) -> "Iterator[Queue]":
        yield self  # one queue may stand where several are asked for

    @property
    def count(self) -> int:
        """How many jobs wait; deferred ones and those whose ttl has passed are not counted."""
        return self.store.queues.count(self.name)

    @property
    def job_ids(self) -> list[str]:
        """The ids of the waiting jobs, the next one first."""
        return self.get_job_ids()

    def get_job_ids(self, offset: int = 0, length: int = -1) -> list[str]:
        """Return ids of waiting jobs, the next one first; a negative length is all of them."""
        if length == 0:
            return []
        return self.store.queues.job_ids(self.name, offset, length)

    @property
    def jobs(self) -> list[Job]:
        """The waiting jobs, the next one first."""
        return self.get_jobs()

    def get_jobs(self, offset: int = 0, length: int = -1) -> list[Job]:
        """Return waiting jobs, the next one first."""
        return restore(self.get_job_ids(offset, length), self.connection, self.job_class)

    def get_job_position(self, job_or_id: Job | str) -> int | None:
        """Return how many jobs are before this one, None when it does not wait here."""
        return self.store.queues.position(self.name, job_or_id if isinstance(job_or_id, str) else job_or_id.id)

    def is_empty(self) -> bool:
        """Return whether no job waits."""
        return self.count == 0

    def fetch_job(self, job_id: str) -> Job | None:
        """Return the job with this id if it is of this queue, else None."""
        job = self.job_class.fetch_many([job_id], self.connection)[0]
        return job if job is not None and job.origin == self.name else None

    @property
    def scheduler_pid(self) -> int | None:
        """The process id of a living worker of this queue: every worker enqueues what is due. None without a worker."""
        return next((worker.pid for worker in self.store.workers.live() if self.name in worker.queues), None)

    def get_redis_server_version(self) -> tuple[int, ...]:
        """Return the version of the server: (7, 2, 4); of Valkey the version of Redis that it is compatible with."""
        info = self.connection.info("server")
        return tuple(int(part) for part in str(info["redis_version"]).split("."))

    # -- clearing -------------------------------------------------------------------------------------------------------------

    def empty(self) -> int:
        """Delete the jobs that wait here and return how many; their dependents are decided (skipped, as a rule)."""
        return self.store.queues.empty(self.name)

    def compact(self) -> None:
        """Do nothing: a job that is gone is in no queue. RQ's users call it to drop such entries."""

    def delete(self, delete_jobs: bool = True) -> None:
        """Remove the queue; its next job creates it again.

        Args:
            delete_jobs: False: the jobs that wait are canceled and their records stay.
        """
        if delete_jobs:
            self.empty()
        else:
            for job_id in self.job_ids:
                self.store.jobs.cancel(job_id)
        self.store.queues.drop(self.name)

    def remove(self, job_or_id: Job | str) -> int:
        """Remove a waiting job from the queue: it is canceled. One that does not wait here is left alone.

        Returns:
            How many jobs were removed: 1 or 0.
        """
        job_id = job_or_id if isinstance(job_or_id, str) else job_or_id.id
        record = self.store.jobs.get(job_id)
        if record is None or record.queue != self.name or record.status is not JobStatus.QUEUED:
            return 0
        return int(self.store.jobs.cancel(job_id) is Outcome.DONE)

    def requeue(self, job_id: str) -> Job:
        """Execute a failed or skipped job of this queue again.

        Raises:
            InvalidJobOperation: it is in neither of these registries.
        """
        for registry in (self.failed_job_registry, self.skipped_job_registry):
            if job_id in registry:
                return registry.requeue(job_id)
        raise InvalidJobOperation(f"job {job_id!r} is not in the failed or skipped registry of queue {self.name!r}")

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

    @property
    def skipped_job_registry(self) -> SkippedJobRegistry:
        """Jobs of this queue that were skipped because of a job that they depend on."""
        return SkippedJobRegistry(queue=self)

    def __eq__(self, other: object) -> bool:
        return self.name == _queue(other).name

    def __lt__(self, other: "Queue") -> bool:
        return self.name < _queue(other).name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __str__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def _queue(other: object) -> Queue:
    """Return what a queue is compared with. A name is refused: the comparison would be false, and the mistake hard to see."""
    if not isinstance(other, Queue):
        raise TypeError(f"a queue can only be compared with queues, found {other!r}: compare its name")
    return other
