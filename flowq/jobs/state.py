"""What a handle on a job knows of its state: read from the store when it is asked for, and only then."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowq import ids
from flowq.connections.stores import store_for
from flowq.exceptions import NoSuchJobError
from flowq.executions import Execution
from flowq.jobs.call import Call
from flowq.jobs.options import JobOptions, checked_id
from flowq.results import Result
from flowq.serializers import resolve_serializer
from flowq.states import JobStatus
from flowq.store.schema.records import JobRecord, StoredJob

if TYPE_CHECKING:
    from flowq.store import Store


class JobState:
    """The part of `Job` that looks: what has become of the job."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ's name
        self._id = ids.job_id() if id is None else checked_id(id)
        self.origin = ""
        self.serializer = resolve_serializer(serializer)
        self._explicit_serializer = serializer is not None
        self._store: Store | None = None if connection is None else store_for(connection)
        self._record: JobRecord | None = None
        self._call: Call | None = None
        self._payload: bytes | None = None
        self._options: JobOptions | None = None
        self._changes: set[str] = set()
        self._meta: dict[str, Any] | None = None
        self._stored_meta: bytes | None = None
        self._enqueued = False  # by this handle
        self._created = datetime.now(UTC)

    @property
    def id(self) -> str:
        """Its id; can be set until it is enqueued."""
        return self._id

    @id.setter  # noqa: A003 - RQ's name
    def id(self, value: str) -> None:
        self._id = checked_id(value)

    # -- state ----------------------------------------------------------------------------------------------------------------

    @property
    def store(self) -> "Store":
        """The store the job is in."""
        if self._store is None:
            self._store = store_for(None)
        return self._store

    @property
    def connection(self) -> Any:
        """The redis-py client that the job's server is reached with."""
        return self.store.client

    def refresh(self) -> None:
        """Read everything again.

        Raises:
            NoSuchJobError: it is gone: expired or deleted.
        """
        stored = self.store.jobs.load_many([self.id])[0]
        if stored is None:
            raise NoSuchJobError(
                f"no job with the id {self.id!r}: it was never enqueued, was deleted, or its result_ttl has passed"
            )
        self._take(stored)

    def refresh_if_there(self) -> None:
        """Read the record again; a job that is gone by now stays as it was known."""
        record = self.store.jobs.get(self.id)
        if record is not None:
            self._look(record)

    def _take(self, stored: StoredJob) -> None:
        self._look(stored.record)
        if not self._explicit_serializer:
            self.serializer = resolve_serializer(stored.record.serializer)
        self._call = None
        self._options = None
        self._changes.clear()
        self._payload = stored.payload
        self._meta = None
        self._stored_meta = stored.meta

    def _look(self, record: JobRecord) -> None:
        self._record = record
        self.origin = record.queue

    def _live(self) -> JobRecord | None:
        """Return the record as it is now; one that has ended is not read again (`refresh` does), it does not change by itself."""
        if self._store is None and self._call is not None:
            return None  # made here, and nowhere else yet
        if self._record is None or not self._record.ended:
            record = self.store.jobs.get(self.id)
            if record is None:
                return self._record
            self._look(record)
        return self._record

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return the status; of a job that was not enqueued yet, `created`."""
        if self._store is None and self._call is not None:
            return JobStatus.CREATED  # made here, and nowhere else yet
        if refresh or self._record is None:
            record = self.store.jobs.get(self.id)
            if record is None:
                if self.is_new:
                    return JobStatus.CREATED
                raise NoSuchJobError(f"no job with the id {self.id!r}: it was deleted, or its result_ttl has passed")
            self._look(record)
        assert self._record is not None
        return self._record.status

    @property
    def is_new(self) -> bool:
        """Whether it was made here and is not known to be in the store."""
        return self._call is not None and self._record is None and not self._enqueued

    @property
    def is_finished(self) -> bool:
        """Whether it has finished."""
        return self.get_status() is JobStatus.FINISHED

    @property
    def is_failed(self) -> bool:
        """Whether it has failed."""
        return self.get_status() is JobStatus.FAILED

    @property
    def is_queued(self) -> bool:
        """Whether it waits in its queue."""
        return self.get_status() is JobStatus.QUEUED

    @property
    def is_started(self) -> bool:
        """Whether a worker executes it."""
        return self.get_status() is JobStatus.STARTED

    @property
    def is_deferred(self) -> bool:
        """Whether it waits for others."""
        return self.get_status() is JobStatus.DEFERRED

    @property
    def is_scheduled(self) -> bool:
        """Whether it waits for its time."""
        return self.get_status() is JobStatus.SCHEDULED

    @property
    def is_rate_limited(self) -> bool:
        """Whether it waits for its rate limit."""
        return self.get_status() is JobStatus.RATE_LIMITED

    @property
    def is_canceled(self) -> bool:
        """Whether it was canceled."""
        return self.get_status() is JobStatus.CANCELED

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped while it ran."""
        return self.get_status() is JobStatus.STOPPED

    is_skipped = property(
        lambda self: self.get_status() is JobStatus.SKIPPED, doc="Whether it never ran, because of another job."
    )

    @property
    def skip_reason(self) -> str | None:
        """Why the job was skipped: `upstream_failed`, `upstream_canceled` or `upstream_skipped`; None for other jobs."""
        record = self._live()
        return record.reason if record is not None and record.status is JobStatus.SKIPPED else None

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        if self._record is None and self._store is not None:
            self._live()
        return self._created if self._record is None else _time(self._record.created_ms) or self._created

    @property
    def enqueued_at(self) -> datetime | None:
        """When it last went into its queue."""
        record = self._live()
        return None if record is None else _time(record.enqueued_ms)

    @property
    def started_at(self) -> datetime | None:
        """When its latest execution started."""
        record = self._live()
        return None if record is None else _time(record.started_ms)

    @property
    def ended_at(self) -> datetime | None:
        """When its latest execution ended."""
        record = self._live()
        return None if record is None else _time(record.ended_ms)

    @property
    def worker_name(self) -> str | None:
        """The worker that executes it, or did last."""
        record = self._live()
        return None if record is None else record.worker

    @property
    def last_heartbeat(self) -> datetime | None:
        """Time of the last heartbeat of the worker that executes it; None while no worker does."""
        executions = self.get_executions()
        return executions[0].last_heartbeat if executions else None

    def get_executions(self) -> list[Execution]:
        """Return the executions that are in progress: one, or none."""
        return list(Execution.of_jobs([self.id], self.store).values())

    def get_position(self) -> int | None:
        """Return how many jobs of its queue are before it; None when it does not wait there."""
        return self.store.queues.position(self.origin, self.id) if self.origin else None

    # -- results --------------------------------------------------------------------------------------------------------------

    @property
    def result(self) -> Any:
        """The return value; None while there is none."""
        return self.return_value()

    def return_value(self, refresh: bool = False) -> Any:  # noqa: ARG002 - RQ's signature; it is always the present one
        """Return the latest result's value; None unless that is a success."""
        latest = self.latest_result()
        return None if latest is None else latest.return_value

    def latest_result(self, timeout: float = 0) -> Result | None:
        """Return the latest result, or None.

        Args:
            timeout: seconds to wait for one when there is none yet.
        """
        record = self.store.jobs.result(self.id)
        if record is None and timeout > 0:
            record = self.store.jobs.wait_for_result(self.id, timeout)
        return None if record is None else Result.from_record(self.id, record, self.serializer)

    def results(self) -> list[Result]:
        """Return the results of the ten latest executions, newest first."""
        return [Result.from_record(self.id, record, self.serializer) for record in self.store.jobs.results(self.id)]

    @property
    def exc_info(self) -> str | None:
        """The text of the latest error; None when the latest execution was no failure."""
        latest = self.latest_result()
        return None if latest is None else latest.exc_string


def _time(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
