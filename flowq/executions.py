"""`Execution`: one run of a job that is in progress."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Self

from flowq.connections.stores import connection_of, store_for
from flowq.exceptions import NoSuchExecutionError
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import JobRecord

_JOB: Final = "flowq.job"  # by name: jobs stand above their executions


@dataclass(frozen=True, slots=True)
class Execution:
    """A job that a worker executes now. `last_heartbeat` is the worker's; None when the worker is silent."""

    id: str
    job_id: str
    worker_name: str
    created_at: datetime
    last_heartbeat: datetime | None
    store: "Store" = field(repr=False, compare=False)

    @classmethod
    def fetch(cls, id: str, job_id: str, connection: Any = None) -> Self:  # noqa: A002 - RQ's name
        """Return an execution that is in progress.

        Raises:
            NoSuchExecutionError: it has ended, or was never there.
        """
        found = cls.of_jobs([job_id], store_for(connection)).get(job_id)
        if found is None or found.id != id:
            raise NoSuchExecutionError(f"execution {id} of job {job_id} is not in progress: it has ended, or was never there")
        return found

    @classmethod
    def from_composite_key(cls, composite_key: str, connection: Any = None) -> Self:
        """Return an execution by job and execution in one text, see `fetch`."""
        job_id, _, execution_id = composite_key.rpartition(":")
        return cls.fetch(execution_id, job_id, connection)

    @classmethod
    def of_jobs(cls, job_ids: list[str], store: "Store") -> Mapping[str, Self]:
        """Return the executions in progress of those of the jobs that have one, by the job's id."""
        started = [item for item in store.jobs.get_many(job_ids) if item is not None and item.status is JobStatus.STARTED]
        beats = {name: _beat(store, name) for name in {item.worker for item in started if item.worker is not None}}
        return {item.id: cls._of(item, item.worker, beats, store) for item in started if item.worker is not None}

    @classmethod
    def _of(cls, record: "JobRecord", worker: str, beats: Mapping[str, datetime | None], store: "Store") -> Self:
        return cls(str(record.execution), record.id, worker, _time(record.started_ms or 0), beats[worker], store)

    @property
    def composite_key(self) -> str:
        """Job and execution in one text."""
        return f"{self.job_id}:{self.id}"

    @property
    def job(self) -> Any:
        """The job.

        Raises:
            NoSuchJobError: it is gone.
        """
        return import_module(_JOB).Job.fetch(self.job_id, self.connection)

    @property
    def connection(self) -> Any:
        """The redis-py client that the server is reached with."""
        return connection_of(self.store)


class ExecutionRegistry:
    """The executions of one job that are in progress: one, or none.

    Args:
        job_id: the job's id.
        connection: a redis-py client; without one the configured server.
    """

    def __init__(self, job_id: str, connection: Any = None) -> None:
        self.job_id = job_id
        self.store: Store = store_for(connection)

    def get_executions(self, start: int = 0, end: int = -1) -> list[Execution]:
        """Return them."""
        found = list(Execution.of_jobs([self.job_id], self.store).values())
        return found[start:] if end == -1 else found[start : end + 1]

    def get_execution_ids(self, start: int = 0, end: int = -1) -> list[str]:
        """Return their ids."""
        return [execution.id for execution in self.get_executions(start, end)]

    def __len__(self) -> int:
        return len(self.get_executions())


def _beat(store: "Store", worker: str) -> datetime | None:
    record = store.workers.get(worker)
    return None if record is None else _time(record.beat_ms)


def _time(millis: int) -> datetime:
    return datetime.fromtimestamp(millis / 1000, UTC)
