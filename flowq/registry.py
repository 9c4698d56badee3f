"""Registries: the jobs of a queue by status. Counting is O(1) or O(log n) and changes nothing."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from flowq.binding import store_for
from flowq.exceptions import InvalidJobOperation
from flowq.job import Job
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store


class BaseRegistry:
    """The jobs of one queue that have one status.

    Args:
        name: the queue's name.
        connection: a redis-py client.
        queue: a queue, instead of both.
    """

    status: ClassVar[JobStatus]

    def __init__(self, name: str = "default", connection: Any = None, queue: Any = None) -> None:
        self.name: str = name if queue is None else queue.name
        self._store: Store = store_for(connection) if queue is None else queue.store

    def __len__(self) -> int:
        return self.count

    @property
    def count(self) -> int:
        """How many jobs there are; expired ones are not counted."""
        return self._store.queues.registry_count(self.name, self.status)

    def get_job_ids(self, start: int = 0, end: int = -1, desc: bool = False) -> list[str]:
        """Return ids, soonest to leave first (`desc`: last)."""
        return self._store.queues.registry_ids(self.name, self.status, start, end, descending=desc)

    def get_expiration_time(self, job: Job | str) -> datetime:
        """Return when the entry expires.

        Raises:
            InvalidJobOperation: the job is not in this registry, or never expires.
        """
        job_id = job if isinstance(job, str) else job.id
        score = self._store.queues.registry_score(self.name, self.status, job_id)
        if score is None or score == float("inf"):
            raise InvalidJobOperation(f"job {job_id} is not in this registry, or never expires")
        return datetime.fromtimestamp(score / 1000, UTC)

    def __contains__(self, job: Job | str) -> bool:
        job_id = job if isinstance(job, str) else job.id
        return self._store.queues.registry_score(self.name, self.status, job_id) is not None

    def requeue(self, job: Job | str) -> Job:
        """Put a job of this registry back into its queue.

        Raises:
            InvalidJobOperation: it is not in this registry, or belongs to a run.
        """
        handle = job if isinstance(job, Job) else Job.fetch(job, self._store)
        if handle not in self:
            raise InvalidJobOperation(f"job {handle.id} is not in the {self.status} registry of queue {self.name!r}")
        return handle.requeue()


class StartedJobRegistry(BaseRegistry):
    """Jobs that a worker executes now."""

    status = JobStatus.STARTED


class FinishedJobRegistry(BaseRegistry):
    """Jobs that finished, until their `result_ttl` has passed."""

    status = JobStatus.FINISHED


class FailedJobRegistry(BaseRegistry):
    """Jobs that failed, until their `failure_ttl` has passed."""

    status = JobStatus.FAILED


class DeferredJobRegistry(BaseRegistry):
    """Jobs that wait for their dependencies."""

    status = JobStatus.DEFERRED


class ScheduledJobRegistry(BaseRegistry):
    """Jobs that wait for their time: scheduled ones and retries."""

    status = JobStatus.SCHEDULED


class CanceledJobRegistry(BaseRegistry):
    """Jobs that were canceled."""

    status = JobStatus.CANCELED
