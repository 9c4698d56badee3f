"""`JobState`: a plain job as stored, read only when it is used."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowq.connections.stores import store_for
from flowq.exceptions import NoSuchJobError
from flowq.states import JobStatus
from flowq.store.schema.records import JobRecord, StoredJob

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.new_jobs import NewJob


class JobState:
    """The id of a job, its store, and the data that was read last.

    Attributes:
        id: its id.
        queue: the name of its queue; "" while there is none.
        is_new: it was made here and is not known to be in the store.
        is_named: a user has chosen its id.
        record: the record as last read.
        payload: its call as it was read last; None also when that was not read.
        meta: its meta, likewise.
        shown: a status that this handle shows in place of the one that was read last: that of the end which a callback belongs to.
        pinned: reading again does not end that: this process executes the job, knows its end, and has not reported it yet.
        worker: the name of a worker that was set here.
        given: times that were set here; this handle shows them until everything is read again, and they are not stored.
    """

    def __init__(self, job_id: str, connection: Any = None) -> None:
        self.id = job_id
        self.queue = ""
        self.is_new = False
        self.is_named = True
        self.record: JobRecord | None = None
        self.payload: bytes | None = None
        self.meta: bytes | None = None
        self.shown: JobStatus | None = None
        self.pinned = False
        self.worker: str | None = None
        self.given: dict[str, datetime | None] = {}
        self._store: Store | None = None if connection is None else store_for(connection)
        self._made = time.time()

    @property
    def store(self) -> "Store":
        """The store; the configured server's where no connection was given."""
        if self._store is None:
            self._store = store_for(None)
        return self._store

    def connect(self, connection: Any) -> None:
        """Take the store that a redis-py client reaches."""
        self._store = store_for(connection)

    def rename(self, job_id: str) -> None:
        """Give a job that is not enqueued yet another id."""
        self.id = job_id
        self.is_named = True

    def show(self, status: str) -> None:
        """Show this status until it is read again."""
        self.shown = JobStatus(status)

    def foresee(self, new: "NewJob") -> None:
        """Show what a request that a pipeline is still to send will make of the job, until it is read again."""
        self.given["enqueued_ms"] = datetime.now(UTC)
        if new.due_ms >= 0:
            self.show(JobStatus.SCHEDULED)
        else:
            parents = self.store.jobs.get_many([parent for parent, _ in new.parents])
            met = all(parent is not None and parent.status is JobStatus.FINISHED for parent in parents)
            self.show(JobStatus.QUEUED if met else JobStatus.DEFERRED)

    def put_into(self, store: "Store", queue: str) -> None:
        """Record that the job was put on a queue."""
        self._store = store
        self.queue = queue
        self.is_new = False

    def load(self) -> None:
        """Read everything again.

        Raises:
            NoSuchJobError: it is gone: expired or deleted.
        """
        stored = self.store.jobs.load_many([self.id])[0]
        if stored is None:
            raise NoSuchJobError(
                f"no job with the id {self.id!r}: it was never enqueued, was deleted, or its result_ttl has passed"
            )
        self._forget_shown()
        self.given.clear()
        self.take(stored)

    def take(self, stored: StoredJob) -> None:
        """Set the data that was read."""
        self._look(stored.record)
        self.payload = stored.payload
        self.meta = stored.meta

    def refresh(self) -> JobRecord | None:
        """Read the record again and return it; None when the job is gone: then the data read before is kept."""
        record = self.store.jobs.get(self.id)
        if record is not None:
            self._look(record)
        return record

    def current(self) -> JobRecord | None:
        """Return the record as it is now. One that has ended is not read again, it does not change by itself; one that was skipped does."""
        if self._only_here:
            return None
        if self.record is None or not self.record.ended or self.record.status is JobStatus.SKIPPED:
            self.refresh()
        return self.record

    def status(self, *, refresh: bool) -> JobStatus:
        """Return the status, with `refresh` the one that it has now. A plain job that was skipped is `deferred`, as in RQ.

        Raises:
            NoSuchJobError: it is gone.
        """
        if self._only_here:
            return JobStatus.CREATED
        if self.shown is not None and (self.pinned or not refresh):
            return self.shown
        self._forget_shown()
        known = self.refresh() if refresh or self.record is None else self.record
        if known is not None:
            return _shown_status(known)
        if self.is_new:
            return JobStatus.CREATED
        raise NoSuchJobError(f"no job with the id {self.id!r}: it was deleted, or its result_ttl has passed")

    def skipped(self) -> bool:
        """Return whether the job was skipped, and waits for no other again.

        Raises:
            NoSuchJobError: it is gone.
        """
        self.status(refresh=True)
        return self.record is not None and self.record.status is JobStatus.SKIPPED

    def time(self, name: str) -> datetime | None:
        """Return one of the times of the current record, by its name there, or the one that was set here."""
        if name in self.given:
            return self.given[name]
        record = self.current()
        return None if record is None else _time(getattr(record, name))

    @property
    def created_at(self) -> datetime:
        """The time at which it was created; if it is not stored, the time at which it was made."""
        if (given := self.given.get("created_ms")) is not None:
            return given
        if self.record is None and self._store is not None:
            self.refresh()
        stored = None if self.record is None else _time(self.record.created_ms)
        return datetime.fromtimestamp(self._made, UTC) if stored is None else stored

    @property
    def _only_here(self) -> bool:
        return self.is_new and self._store is None  # then no server has to be looked for

    def _forget_shown(self) -> None:
        if not self.pinned:
            self.shown = None

    def _look(self, record: JobRecord) -> None:
        self.record = record
        self.queue = record.queue
        self.is_new = False


def _shown_status(record: JobRecord) -> JobStatus:
    """Return the status that users of the job queue see.

    RQ has no status `skipped`. What RQ's users, and the dashboards built on it, look for where a job before did not succeed is a
    deferred job: the requeue of that job lets it run. A job of a run that was skipped runs no more, unless the run is retried.
    """
    return JobStatus.DEFERRED if record.status is JobStatus.SKIPPED and record.run is None else record.status


def _time(millis: int | None) -> datetime | None:
    return None if millis is None else datetime.fromtimestamp(millis / 1000, UTC)
