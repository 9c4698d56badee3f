"""Queues and workers for programs. Keys are only ever added."""

from typing import Final

from flowq.plan import Json
from flowq.store.schema.documents import iso
from flowq.store.schema.records import QueueRecord, WorkerRecord

COUNTS: Final = ("queued", "started", "deferred", "scheduled", "finished", "failed", "canceled")


def queue_json(record: QueueRecord) -> dict[str, Json]:
    """Return a queue as `flowq info --json` does."""
    counts = {name: getattr(record, name) for name in (*COUNTS, "skipped", "rate_limited")}
    return {"name": record.name, "workers": record.workers, **counts}


def worker_json(worker: WorkerRecord) -> dict[str, Json]:
    """Return a worker as `flowq info --json` does."""
    return {
        "name": worker.name,
        "queues": list(worker.queues),
        "hostname": worker.hostname,
        "pid": worker.pid,
        "state": worker.state,
        "executor": worker.executor or None,
        "slots": worker.slots,
        "busy": worker.busy,
        "finished": worker.finished,
        "failed": worker.failed,
        "working_seconds": worker.working_ms / 1000,
        "version": worker.version,
        "started_at": iso(worker.started_ms),
        "seen_at": iso(worker.beat_ms),
    }
