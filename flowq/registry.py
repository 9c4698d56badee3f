"""Registries: the jobs of a queue by status. Counting is O(1) or O(log n) and changes nothing."""

from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from flowq import defaults
from flowq.connections.stores import connection_of, store_for
from flowq.exceptions import InvalidJobOperation, NoSuchJobError
from flowq.job import Job
from flowq.serializers import resolve_serializer
from flowq.states import ENDED, JobStatus
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store


class BaseRegistry:
    """The jobs of one queue that have one status.

    Args:
        name: the queue's name.
        connection: a redis-py client.
        job_class: class of the jobs that `requeue` returns.
        queue: a queue, instead of name and connection.
        serializer: as of `Queue`.
        death_penalty_class: as of `Queue`.
    """

    status: ClassVar[JobStatus]
    also: ClassVar[tuple[JobStatus, ...]] = ()  # statuses that are listed here too

    def __init__(  # noqa: PLR0917 - RQ's signature
        self,
        name: str = "default",
        connection: Any = None,
        job_class: type[Job] | None = None,
        queue: Any = None,
        serializer: Any = None,
        death_penalty_class: Any = None,
    ) -> None:
        self._queue = queue
        self.death_penalty_class = death_penalty_class
        self.name: str = name if queue is None else queue.name
        self.store: Store = store_for(connection) if queue is None else queue.store
        self.job_class: type[Job] = job_class or (Job if queue is None else queue.job_class)
        self.serializer = resolve_serializer(queue.serializer if serializer is None and queue is not None else serializer)

    @property
    def connection(self) -> Any:
        """The redis-py client that the registry's server is reached with."""
        return connection_of(self.store)

    def get_queue(self) -> Any:
        """Return the queue whose jobs these are: the one that was given, else one that is made now.

        A queue passes itself when it makes a registry. Only a registry that was made by name has to make the queue, and it imports
        `flowq.queue` here, by name and at that moment: queues stand above their registries and import this module.
        """
        if self._queue is None:
            queues: Any = import_module("flowq.queue")
            self._queue = queues.Queue(self.name, self.connection, job_class=self.job_class, serializer=self.serializer)
        return self._queue

    @property
    def _statuses(self) -> tuple[JobStatus, ...]:
        return (self.status, *self.also)

    def __len__(self) -> int:
        return self.count

    @property
    def count(self) -> int:
        """How many jobs there are; expired ones are not counted. Changes nothing."""
        return sum(self.store.queues.registry_count(self.name, status) for status in self._statuses)

    def get_job_count(self, cleanup: bool = True) -> int:
        """Return `count`, with `cleanup` after `self.cleanup()`."""
        if cleanup:
            self.cleanup()
        return self.count

    def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False, cleanup: bool = False) -> list[str]:
        """Return ids, soonest to leave first (`desc`: last); expired ones are left out, with or without `cleanup`."""
        if cleanup:
            self.cleanup()
        lists = [
            self.store.queues.registry_ids(self.name, status, start, end, descending=desc)
            for status in self._statuses
            if not self.also or self.store.queues.registry_count(self.name, status)
        ]
        if len(lists) < 2:
            return lists[0] if lists else []
        return self.store.queues.registry_union(self.name, self._statuses, start, end, descending=desc)

    def get_expiration_time(self, job: Job | str) -> datetime:
        """Return when the entry expires.

        Raises:
            InvalidJobOperation: the job is not in this registry, or never expires.
        """
        entry = self._entry(job)
        if entry is None or entry[1] == float("inf"):
            raise InvalidJobOperation(f"job {_id(job)} is not in this registry, or never expires")
        return datetime.fromtimestamp(entry[1] / 1000, UTC)

    def _entry(self, job: Job | str) -> tuple[JobStatus, float] | None:
        """Return the status with which a job is listed here, and its time in ms; None where it is not."""
        for status in self._statuses:
            score = self.store.queues.registry_score(self.name, status, _id(job))
            if score is not None:
                return status, score
        return None

    def __contains__(self, job: object) -> bool:
        return isinstance(job, (Job, str)) and self._entry(job) is not None

    def requeue(self, job_or_id: Job | str, at_front: bool = False) -> Job:
        """Put a job of this registry back into its queue.

        Raises:
            InvalidJobOperation: it is not in this registry, or belongs to a run.
        """
        handle = job_or_id if isinstance(job_or_id, Job) else self.job_class.fetch(job_or_id, self.connection)
        if handle not in self:
            raise InvalidJobOperation(f"job {handle.id} is not in the {self.status} registry of queue {self.name!r}")
        return handle.requeue(at_front=at_front)

    def remove(self, job: Job | str, pipeline: Any = None, delete_job: bool = False) -> int:
        """Remove a job from the registry. The record of one that has ended stays until it expires; a job that waits is canceled.

        Args:
            job: the job or its id; one that is not in the registry is left alone.
            pipeline: a pipeline of redis-py, which then carries it out.
            delete_job: delete the job.

        Returns:
            How many jobs were removed, or will be by the pipeline: 1 or 0.

        Raises:
            InvalidJobOperation: it is being executed.
        """
        entry = self._entry(job)
        if entry is None:
            return 0
        if entry[0] is JobStatus.STARTED and not delete_job:
            raise InvalidJobOperation(f"job {_id(job)} is being executed: `Job.cancel` or `send_stop_job_command` end it")
        jobs = self.store.jobs
        how: Literal["unlist", "cancel", "delete"] = "delete" if delete_job else "unlist" if entry[0] in ENDED else "cancel"
        if pipeline is not None:
            jobs.remove_in(pipeline, _id(job), how)
            return 1
        return int({"delete": jobs.delete, "unlist": jobs.unlist, "cancel": jobs.cancel}[how](_id(job)) is Outcome.DONE)

    @staticmethod
    def parse_job_id(entry: str | bytes) -> str:
        """Return the id of the job of an entry; here, the entry is the id."""
        return entry.decode() if isinstance(entry, bytes) else entry

    def cleanup(self) -> None:
        """Drop expired entries now. Not needed: counts and lists leave them out, and every end of a job drops some."""
        for status in self._statuses:
            self.store.queues.shed(self.name, status)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BaseRegistry) and (other.status, other.name) == (self.status, self.name)

    def __hash__(self) -> int:
        return hash((self.status, self.name))


class StartedJobRegistry(BaseRegistry):
    """Jobs that a worker executes now."""

    status = JobStatus.STARTED

    def cleanup(self) -> None:
        """Remove the jobs of lost workers: they are retried or fail. Not needed: every worker does it each second."""
        while self.store.workers.sweep(defaults.LEASE).more:
            pass


class FinishedJobRegistry(BaseRegistry):
    """Jobs that finished, until their `result_ttl` has passed."""

    status = JobStatus.FINISHED


class FailedJobRegistry(BaseRegistry):
    """Jobs that failed or were stopped, until their `failure_ttl` has passed."""

    status = JobStatus.FAILED
    also = (JobStatus.STOPPED,)


class DeferredJobRegistry(BaseRegistry):
    """Jobs that wait for their dependencies, and those that were skipped because one of these did not succeed."""

    status = JobStatus.DEFERRED
    also = (JobStatus.SKIPPED,)

    def cleanup(self) -> None:
        """Drop expired entries of skipped jobs now. A job that waits leaves when its dependencies have ended."""
        self.store.queues.shed(self.name, JobStatus.SKIPPED)


class ScheduledJobRegistry(BaseRegistry):
    """Jobs that wait for their time: scheduled ones, retries and repetitions."""

    status = JobStatus.SCHEDULED

    def get_scheduled_time(self, job_or_id: Job | str) -> datetime:
        """Return when the job is due.

        Raises:
            NoSuchJobError: it is not in this registry.
        """
        entry = self._entry(job_or_id)
        if entry is None:
            raise NoSuchJobError(f"job {_id(job_or_id)} is not scheduled in queue {self.name!r}")
        return datetime.fromtimestamp(entry[1] / 1000, UTC)

    def get_jobs_to_schedule(self, timestamp: float | None = None, chunk_size: int = 1000) -> list[str]:
        """Return ids of jobs that are due, the first one first. Nothing is changed: the workers enqueue them.

        Args:
            timestamp: the time, in seconds since the epoch; now unless given.
            chunk_size: how many ids at most.
        """
        latest = self.store.now_ms() if timestamp is None else timestamp * 1000
        found = []
        for job in self.get_job_ids(0, chunk_size - 1):
            entry = self._entry(job)
            if entry is None or entry[1] > latest:
                break
            found.append(job)
        return found

    def cleanup(self) -> None:
        """Do nothing: a scheduled job leaves when it is due, by any worker's sweep."""


class CanceledJobRegistry(BaseRegistry):
    """Jobs that were canceled."""

    status = JobStatus.CANCELED


class SkippedJobRegistry(BaseRegistry):
    """Jobs that are not executed because a job that they depend on did not succeed, until that is requeued or their `failure_ttl` has passed."""

    status = JobStatus.SKIPPED


def clean_registries(queue: Any, exception_handlers: Any = None) -> None:  # noqa: ARG001 - RQ's signature
    """Drop expired entries from all registries of a queue. Not needed, see `BaseRegistry.cleanup`."""
    for kind in (StartedJobRegistry, FinishedJobRegistry, FailedJobRegistry, CanceledJobRegistry, SkippedJobRegistry):
        kind(queue=queue).cleanup()


def _id(job: Job | str) -> str:
    return job if isinstance(job, str) else job.id
