"""The state of a worker, for any process: each property is read from the store when it is used."""

import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, Self, TypeVar, overload

from flowq import __version__
from flowq.connections.stores import connection_of
from flowq.executions import Execution
from flowq.job import Job
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import WorkerRecord


_T = TypeVar("_T")


class WorkerStatus(StrEnum):
    """The states of a worker."""

    STARTED = "started"
    SUSPENDED = "suspended"
    BUSY = "busy"
    IDLE = "idle"
    STOPPING = "stopping"


class _Recorded(Generic[_T]):
    """An attribute that is read from the worker's record each time, until another value is set on the object.

    Args:
        read: returns its value, given the record.
        before: returns its value while there is no record.
        doc: what it is.
    """

    def __init__(self, read: "Callable[[WorkerRecord], _T]", before: Callable[[], _T], doc: str) -> None:
        self.__doc__ = doc
        self._read, self._before = read, before

    @overload
    def __get__(self, worker: None, owner: type) -> Self: ...
    @overload
    def __get__(self, worker: "WorkerInfo", owner: type) -> _T: ...
    def __get__(self, worker: "WorkerInfo | None", owner: type) -> "Self | _T":
        if worker is None:
            return self
        record = worker.record()
        return self._before() if record is None else self._read(record)

    if TYPE_CHECKING:
        # Not at run time: without this method, Python looks first at what was set on the object.
        def __set__(self, worker: "WorkerInfo", value: _T) -> None: ...


class WorkerInfo:
    """The monitoring half of `Worker`.

    Of a worker that has stopped, values are those that were read last. Where none were, because it has not started, host, process and
    version are those of this process, counters are 0 and times are None. A value that a program sets is shown by this object, and not stored.
    """

    name: str
    store: "Store"
    job_class: type[Job]
    _last: "WorkerRecord | None" = None

    def record(self) -> "WorkerRecord | None":
        """Return the record, of a worker that has stopped the one that was read last."""
        self._last = self.store.workers.get(self.name) or self._last
        return self._last

    def seen(self, record: "WorkerRecord") -> Self:
        """Take over a record that was just read, and return itself."""
        self._last = record
        return self

    def get_state(self) -> WorkerStatus | None:
        """Return its state, None when the worker has stopped."""
        record = self.store.workers.get_live(self.name)
        if record is None:
            return None
        if record.state == "idle" and record.busy == 0 and self.store.queues.suspended():
            return WorkerStatus.SUSPENDED
        if record.state == "starting":
            return WorkerStatus.STARTED
        if record.state == "stopping":
            return WorkerStatus.STOPPING
        # The record says what the last heartbeat did; the jobs say what is so now.
        return WorkerStatus.BUSY if self.get_current_job_ids() else WorkerStatus.IDLE

    @property
    def state(self) -> WorkerStatus | None:
        """Its state, None when the worker has stopped."""
        return self.get_state()

    def get_current_job_id(self) -> str | None:
        """Return the id of the job that it executes, the one in its first slot when there are several; None for none."""
        ids = self.get_current_job_ids()
        return ids[0] if ids else None

    def get_current_job_ids(self) -> list[str]:
        """Return the ids of the jobs that it executes."""
        records = self.store.jobs.get_many(self.store.workers.jobs(self.name))
        return [item.id for item in records if item and item.status is JobStatus.STARTED and item.worker == self.name]

    def get_current_job(self) -> Job | None:
        """Return the job that it executes, None for none."""
        job_id = self.get_current_job_id()
        return None if job_id is None else self.job_class.fetch_many([job_id], connection_of(self.store))[0]

    def get_current_executions(self, refresh: bool = False) -> list[Execution]:  # noqa: ARG002 - they are always the current ones
        """Return the executions that are in progress."""
        found = Execution.of_jobs(self.store.workers.jobs(self.name), self.store).values()
        return [execution for execution in found if execution.worker_name == self.name]

    @property
    def current_execution_count(self) -> int:
        """How many executions are in progress."""
        return len(self.get_current_executions())

    hostname = _Recorded(lambda record: record.hostname, socket.gethostname, "The machine it is on.")
    pid = _Recorded(lambda record: record.pid, os.getpid, "Its process.")
    version = _Recorded(lambda record: record.version, lambda: __version__, "Its version of flowq.")
    successful_job_count = _Recorded(lambda record: record.finished, lambda: 0, "Jobs that finished since its start.")
    failed_job_count = _Recorded(lambda record: record.failed, lambda: 0, "Jobs that failed since its start.")
    total_working_time = _Recorded(lambda record: record.working_ms / 1000, lambda: 0.0, "Seconds it spent executing jobs.")
    birth_date = _Recorded[datetime | None](lambda record: _time(record.started_ms), lambda: None, "Its start time.")
    last_heartbeat = _Recorded[datetime | None](
        lambda record: _time(record.beat_ms), lambda: None, "The time of its last heartbeat."
    )


def _time(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
