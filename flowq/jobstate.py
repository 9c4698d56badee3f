"""What a handle on a job knows of its state: read from the store when it is asked for, and only then."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowq import ids
from flowq.binding import store_for
from flowq.call import Call
from flowq.callbacks import Callback
from flowq.exceptions import NoSuchJobError
from flowq.executions import Execution
from flowq.options import JobOptions, parse_options
from flowq.serializers import resolve_serializer
from flowq.states import JobStatus
from flowq.store.records import JobRecord, StoredJob

if TYPE_CHECKING:
    from flowq.store import Store


class JobState:
    """The half of `Job` that looks: status, times, and the options the job was enqueued with."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ's name
        self.id = id or ids.job_id()
        self.options = JobOptions()
        self.origin = ""
        self.serializer = resolve_serializer(serializer)
        self._explicit_serializer = serializer is not None
        self._store: Store | None = None if connection is None else store_for(connection)
        self._record: JobRecord | None = None
        self._call: Call | None = None
        self._meta: dict[str, Any] | None = None
        self._created = datetime.now(UTC)

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

    def bind(self, store: "Store", serializer: Any, origin: str) -> None:
        """Say where the job goes; a created job is bound when it is enqueued."""
        self._store = store
        self.origin = origin
        if not self._explicit_serializer:
            self.serializer = serializer

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
            self.serializer = resolve_serializer(stored.record.options.get("serializer"))
        self._call = None
        self._payload = stored.payload
        self._meta = None
        self._stored_meta = stored.meta

    _payload: bytes | None = None
    _stored_meta: bytes | None = None

    def _look(self, record: JobRecord) -> None:
        self._record = record
        self.origin = record.queue

    def _live(self) -> JobRecord | None:
        """Return the record as it is now; one that has ended is not read again (`refresh` does), it does not change by itself."""
        if self._record is None or not self._record.ended:
            record = self.store.jobs.get(self.id)
            if record is None:
                return self._record
            self._look(record)
        return self._record

    def _option(self, name: str) -> str | None:
        """Return a field that was stored with the job."""
        if self._record is None:
            self._live()
        return None if self._record is None else self._record.options.get(name)

    def get_status(self, refresh: bool = True) -> JobStatus:
        """Return the status; of a job that was not enqueued yet, `created`."""
        if self._store is None and self._call is not None:
            return JobStatus.CREATED  # made here, and nowhere else yet
        if refresh or self._record is None:
            record = self.store.jobs.get(self.id)
            if record is None:
                if self._call is not None and self._record is None:
                    return JobStatus.CREATED
                raise NoSuchJobError(f"no job with the id {self.id!r}: it was deleted, or its result_ttl has passed")
            self._look(record)
        assert self._record is not None
        return self._record.status

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
        """When the worker that executes it was last heard of; None while nobody does."""
        executions = self.get_executions()
        return executions[0].last_heartbeat if executions else None

    def get_executions(self) -> list[Execution]:
        """Return the executions that are in progress: one, or none."""
        record = self.store.jobs.get(self.id)
        if record is None or record.status is not JobStatus.STARTED or record.worker is None:
            return []
        worker = self.store.workers.get(record.worker)
        beat = None if worker is None else _time(worker.beat_ms)
        started = _time(record.started_ms) or self._created
        return [Execution(str(record.execution), self.id, record.worker, started, beat)]

    @property
    def call(self) -> Call:
        """The function and its arguments.

        Raises:
            NoSuchJobError: the job is gone.
            DeserializationError: the arguments cannot be decoded here.
        """
        if self._call is None:
            stored = self._payload if self._payload is not None else self.store.jobs.payload(self.id)
            if stored is None:
                raise NoSuchJobError(f"no job with the id {self.id!r}, or it is a job of a run, whose call is in the flow")
            self._call = Call.restored(stored, self.serializer, self.id)
        return self._call

    def get_position(self) -> int | None:
        """Return how many jobs of its queue are before it; None when it does not wait there."""
        return self.store.queues.position(self.origin, self.id) if self.origin else None

    # -- options --------------------------------------------------------------------------------------------------------------

    @property
    def description(self) -> str:
        """The given description, else the call as text."""
        if self.options.description is not None:
            return self.options.description
        return (self._option("description") if self._call is None or self._record is not None else None) or str(self.call)

    @description.setter
    def description(self, value: str) -> None:
        self.options = _changed(self.options, description=value)

    @property
    def timeout(self) -> float | None:
        """Seconds one execution may take; -1 without limit; None before it is enqueued, when it is the queue's."""
        return self._seconds("timeout", self.options.timeout, 1)

    @timeout.setter
    def timeout(self, value: float | str) -> None:
        self.options = _changed(self.options, timeout=value)

    @property
    def result_ttl(self) -> float | None:
        """Seconds the job is kept after a success; None: the worker's default."""
        return self._seconds("result_ttl", self.options.result_ttl)

    @property
    def failure_ttl(self) -> float | None:
        """Seconds the job is kept after a failure."""
        return self._seconds("failure_ttl", self.options.failure_ttl)

    @property
    def ttl(self) -> float | None:
        """Seconds the job may wait in its queue; None: for ever."""
        return self._seconds("ttl", self.options.ttl)

    def get_ttl(self, default_ttl: float | None = None) -> float | None:
        """Return `ttl`, or the default."""
        return default_ttl if self.ttl is None else self.ttl

    def get_result_ttl(self, default_ttl: float) -> float:
        """Return `result_ttl`, or the default."""
        return default_ttl if self.result_ttl is None else self.result_ttl

    def _seconds(self, name: str, given: float | None, divisor: int = 1000) -> float | None:
        if given is not None and self._record is None:
            return given
        stored = self._option(name)
        if stored is None:
            return given
        return -1 if float(stored) < 0 else float(stored) / divisor

    @property
    def number_of_retries(self) -> int:
        """How often it has been executed again after a failure."""
        record = self._live()
        return 0 if record is None else max(0, record.attempt - 1 - int(record.options.get("returns", 0)))

    @property
    def retries_left(self) -> int | None:
        """How often it will be executed again after a failure; None without `retry`."""
        record = self._live()
        if record is None:
            return None if self.options.retry is None else self.options.retry.max
        return max(0, record.retries - self.number_of_retries) if record.retries else None

    @property
    def repeats_left(self) -> int | None:
        """How often it will be executed again after a success; None without `repeat`."""
        record = self._live()
        stored = None if record is None else record.options.get("repeat")
        if stored is None or record is None:
            return None if self.options.repeat is None else self.options.repeat.times
        return int(stored.partition("|")[0]) - int(record.options.get("repeated", 0))

    @property
    def success_callback(self) -> Callback | None:
        """What is called after a success."""
        return self.options.on_success or Callback.restored(self._option("on_success"))

    @property
    def failure_callback(self) -> Callback | None:
        """What is called after a failure."""
        return self.options.on_failure or Callback.restored(self._option("on_failure"))

    @property
    def stopped_callback(self) -> Callback | None:
        """What is called after the job was stopped."""
        return self.options.on_stopped or Callback.restored(self._option("on_stopped"))


def _time(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)


def _changed(options: JobOptions, **values: Any) -> JobOptions:
    from dataclasses import replace

    return replace(options, **{name: getattr(parse_options({name: value}), name) for name, value in values.items()})
