"""`Result`: the outcome of one execution of a job."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, ClassVar, Final

from flowq import signing
from flowq.exceptions import DeserializationError
from flowq.retry import Retry
from flowq.serializers import resolve_serializer
from flowq.store.schema.records import ResultRecord


class ResultType(IntEnum):
    """The kinds of outcome. `RETRIED`: it failed, or asked for a retry, and the job was executed again.

    `MAX_RETRIES_EXCEEDED`: it returned a `Retry` once more than that `Retry` allows.
    """

    SUCCESSFUL = 1
    FAILED = 2
    STOPPED = 3
    RETRIED = 4
    MAX_RETRIES_EXCEEDED = 5


_ASKED: Final = "the job asked for another attempt by returning Retry: "  # as a worker reports it
_TYPES = {
    "successful": ResultType.SUCCESSFUL,
    "failed": ResultType.FAILED,
    "stopped": ResultType.STOPPED,
    "retried": ResultType.RETRIED,
    "max_retries_exceeded": ResultType.MAX_RETRIES_EXCEEDED,
}


@dataclass(frozen=True, slots=True)
class Result:
    """One execution's outcome.

    `return_value` is what the function returned (None unless successful, or a `Retry` that was not granted), `exc_string` the error's
    text, which ends with a line break (None where there is none).
    `worker_name` and the times are of the execution, which is counted from 1; `created_at` is its end.
    """

    Type: ClassVar[type[ResultType]] = ResultType

    id: str
    job_id: str
    type: ResultType
    created_at: datetime
    execution: int
    return_value: Any = None
    exc_string: str | None = None
    worker_name: str = ""
    execution_started_at: datetime | None = None

    @property
    def execution_id(self) -> str:
        """The number of the execution, as text."""
        return str(self.execution)

    @property
    def execution_ended_at(self) -> datetime:
        """The time at which the execution ended."""
        return self.created_at

    @classmethod
    def all(cls, job: Any, serializer: Any = None) -> "list[Result]":
        """Return the results of the ten latest executions of a job, newest first."""
        records = job.store.jobs.results(job.id)
        return [cls.from_record(job.id, record, job.serializer if serializer is None else serializer) for record in records]

    @classmethod
    def count(cls, job: Any) -> int:
        """Return how many results of a job are kept."""
        return len(job.store.jobs.results(job.id))

    @classmethod
    def fetch_latest(cls, job: Any, serializer: Any = None, timeout: float = 0) -> "Result | None":
        """Return the latest result of a job, None for none.

        Args:
            job: the job.
            serializer: decodes the value; that of the job unless given.
            timeout: seconds to wait for one when there is none yet.
        """
        record = job.store.jobs.result(job.id)
        if record is None and timeout > 0:
            record = job.store.jobs.wait_for_result(job.id, timeout)
        return None if record is None else cls.from_record(job.id, record, job.serializer if serializer is None else serializer)

    @classmethod
    def from_record(cls, job_id: str, record: ResultRecord, serializer: Any = None) -> "Result":
        """Make a result of a stored one.

        Raises:
            DeserializationError: the stored value cannot be decoded here (its classes cannot be imported, say).
        """
        kind = _TYPES[record.type]
        successful = kind is ResultType.SUCCESSFUL
        asked = None if successful else Retry.restored(_asked(record.error))
        return cls(
            id=f"{job_id}-{record.execution}",
            job_id=job_id,
            type=kind,
            created_at=datetime.fromtimestamp(record.created_ms / 1000, UTC),
            execution=record.execution,
            return_value=decode(job_id, record.value, serializer) if successful else asked,
            worker_name=record.worker,
            execution_started_at=None if record.started_ms is None else datetime.fromtimestamp(record.started_ms / 1000, UTC),
            exc_string=None if asked is not None else error_text(record),
        )


def error_text(record: ResultRecord) -> str | None:
    """Return the text of an error as `Result` and `Job` have it, with a line break at its end; None where there is none."""
    return None if record.error is None else f"{record.error}\n"


def _asked(text: str | None) -> str:
    """Return the stored form of the `Retry` that a job returned; empty for an error, or a job of a version that did not store it."""
    return (text or "").removeprefix(_ASKED) if (text or "").startswith(_ASKED) else ""


def decode(job_id: str, value: bytes | None, serializer: Any = None) -> Any:
    """Return the object that a job returned.

    Raises:
        DeserializationError: it cannot be decoded here.
        SignatureError: it is not signed with the key that is set here.
    """
    if value is None:
        return None
    plain = signing.unseal(value, "result of job", job_id)
    try:
        return resolve_serializer(serializer).loads(plain)
    except Exception as error:
        raise DeserializationError(f"the result of job {job_id} cannot be decoded here: {error}") from error
