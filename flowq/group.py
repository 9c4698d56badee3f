"""`Group`: jobs that belong together, and the end of all of them."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from flowq import ids
from flowq.connections.stores import connection_of, store_for
from flowq.exceptions import InvalidJobOperation, NoSuchGroupError, NoSuchJobError
from flowq.job import Job, restore
from flowq.jobs.options import group_name
from flowq.queue import EnqueueData, Queue
from flowq.states import JobStatus
from flowq.store.schema.outcomes import Outcome

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import GroupRecord


class GroupStatus(StrEnum):
    """The status of a group's jobs as a whole."""

    EMPTY = "empty"  # it has no jobs yet, or none any more
    RUNNING = "running"  # some have not ended
    FINISHED = "finished"  # all have, and finished
    FAILED = "failed"  # all have ended, some failed or were stopped
    CANCELED = "canceled"  # all have ended, none failed, some were canceled or skipped


class Group:
    """A name for jobs that belong together. It exists on the server as long as any of its jobs does.

    Args:
        connection: a redis-py client; without one the configured server.
        name: any name; random otherwise.
    """

    def __init__(self, connection: Any = None, name: str | None = None) -> None:
        self.name = ids.job_id() if name is None else group_name(name)
        self.store: Store = store_for(connection)

    @classmethod
    def create(cls, connection: Any = None, name: str | None = None) -> Self:
        """Return a group to put jobs into. Nothing is stored before its first job."""
        return cls(connection, name)

    @classmethod
    def fetch(cls, name: str, connection: Any = None) -> Self:
        """Return a group that has jobs.

        Raises:
            NoSuchGroupError: it has none yet, or all have expired or were deleted.
        """
        group = cls(connection, name)
        if group.store.groups.get(group.name) is None:
            raise NoSuchGroupError(f"there is no group {name!r}: it has no jobs yet, or all have expired or were deleted")
        return group

    @classmethod
    def all(cls, connection: Any = None) -> list[Self]:
        """Return the groups that have jobs, by name."""
        store = store_for(connection)
        return [cls(connection_of(store), name) for name in store.groups.names()]

    @property
    def connection(self) -> Any:
        """The redis-py client that the group's server is reached with."""
        return connection_of(self.store)

    # -- jobs -----------------------------------------------------------------------------------------------------------------

    def enqueue_many(self, queue: Queue | str, job_datas: Iterable[EnqueueData], pipeline: Any = None) -> list[Job]:
        """Put many calls on a queue (or the one of this name), as jobs of this group; see `Queue.enqueue_many`.

        The group is not complete before the last of them is there, however fast the first ones are executed.
        """
        target = Queue(queue, self.connection) if isinstance(queue, str) else queue
        return target.enqueue_many(job_datas, pipeline, group_id=self.name)

    def get_jobs(self) -> list[Job]:
        """Return its jobs, the oldest first. Those that have expired or were deleted do not belong to it any more."""
        found = restore(self.store.groups.members(self.name), self.connection)
        return sorted(found, key=lambda job: job.created_at)

    def delete_job(self, job_id: str, pipeline: Any = None) -> None:
        """Remove a job from the group. The job itself stays; `Job.delete` removes it from the group as well.

        Raises:
            NoSuchJobError, InvalidJobOperation: there is no such job, or it does not belong to this group.
        """
        if pipeline is not None:
            self.store.groups.leave_in(pipeline, self.name, job_id)
            return
        outcome = self.store.groups.leave(self.name, job_id)
        if outcome is Outcome.NOT_FOUND:
            raise NoSuchJobError(f"no job with the id {job_id!r}")
        if outcome is Outcome.WRONG_STATE:
            raise InvalidJobOperation(f"job {job_id} does not belong to group {self.name!r}")

    def cleanup(self) -> None:
        """Do nothing: a job leaves its group in the step in which it is deleted, or with its record when that expires."""

    @classmethod
    def clean_registries(cls, connection: Any = None) -> None:
        """Do nothing: a group is deleted with its last job."""

    # -- completion -----------------------------------------------------------------------------------------------------------

    @property
    def counts(self) -> Mapping[str, int]:
        """The number of its jobs by status. Those that have expired count as they ended, deleted ones do not."""
        record = self._record()
        return {} if record is None else dict(record.counts)

    @property
    def status(self) -> GroupStatus:
        """The status of its jobs as a whole."""
        record = self._record()
        if record is None:
            return GroupStatus.EMPTY
        if not record.complete:
            return GroupStatus.RUNNING
        return _end(record.counts)

    @property
    def is_complete(self) -> bool:
        """Whether every job has ended. A group without jobs (any more) has nothing open."""
        record = self._record()
        return record is None or record.complete

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until every job has ended; return whether all have.

        Blocks in the server, does not poll. Returns at once for a group without jobs.

        Args:
            timeout: seconds; None waits without a limit.
        """
        return self.store.groups.wait(self.name, timeout)

    def _record(self) -> "GroupRecord | None":
        return self.store.groups.get(self.name)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __bool__(self) -> bool:
        return True

    def __contains__(self, job: object) -> bool:
        job_id = job.id if isinstance(job, Job) else job
        return job_id in self.store.groups.members(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.name})"


def _end(counts: Mapping[str, int]) -> GroupStatus:
    if counts.get(JobStatus.FAILED) or counts.get(JobStatus.STOPPED):
        return GroupStatus.FAILED
    if counts.get(JobStatus.CANCELED) or counts.get(JobStatus.SKIPPED):
        return GroupStatus.CANCELED
    return GroupStatus.FINISHED
