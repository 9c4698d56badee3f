"""What became of a job that is in no run, and why."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowq.exceptions import NoSuchJobError
from flowq.flows.views.run_view import error_line
from flowq.flows.views.text import plural
from flowq.plan import Json
from flowq.states import JobStatus
from flowq.store.schema.documents import iso

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import JobRecord


@dataclass(frozen=True, slots=True)
class PlainJob:
    """A job that is in no run: `text` is why it has its status, `error` the whole text of what failed last."""

    record: "JobRecord"
    text: str
    error: str | None


def is_plain_job(store: "Store", given: str) -> bool:
    """Return whether this is the id of a job that is in no run. A run with the same id comes first."""
    record = None if store.runs.get(given) is not None else store.jobs.get(given)
    return record is not None and record.run is None


def explain_plain_job(store: "Store", job: str) -> PlainJob:
    """Return the state of a job, and why it has it.

    Raises:
        NoSuchJobError: it has expired meanwhile.
    """
    record = store.jobs.get(job)
    if record is None:
        raise NoSuchJobError(f"the record of job {job!r} has expired")
    result = store.jobs.result(job)
    error = None if result is None else result.error
    return PlainJob(record, _text(store, record, error), error)


def plain_job_json(found: PlainJob) -> dict[str, Json]:
    """Return the document of `flowq why --json` and `flowq status --json`. Keys are only ever added."""
    record = found.record
    return {
        "job": record.id,
        "status": str(record.status),
        "reason": record.reason,
        "text": found.text,
        "queue": record.queue,
        "worker": record.worker,
        "attempts": record.attempt,
        "created_at": iso(record.created_ms),
        "enqueued_at": iso(record.enqueued_ms),
        "started_at": iso(record.started_ms),
        "ended_at": iso(record.ended_ms),
        "duration": record.duration,
        "error": found.error,
    }


def _text(store: "Store", record: "JobRecord", error: str | None) -> str:
    if record.status in {JobStatus.FAILED, JobStatus.STOPPED}:
        return error_line(error or "") or (record.reason or "").replace("_", " ")
    if record.status is JobStatus.QUEUED:
        if store.queues.suspended():
            return "the workers are suspended"
        serving = [worker for worker in store.workers.live() if record.queue in worker.queues]
        place = store.queues.position(record.queue, record.id)
        before = "" if not place else f", behind {plural(place, 'job')}"
        return (f"it waits in queue {record.queue}" if serving else f"no worker listens on queue {record.queue}") + before
    if record.status is JobStatus.DEFERRED:
        return f"it waits for {plural(record.pending, 'job')}"
    return (record.reason or "").replace("_", " ")
