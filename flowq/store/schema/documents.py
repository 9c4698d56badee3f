"""The JSON form of a run's record, for programs. Keys are only ever added. Times are ISO 8601 in UTC with milliseconds."""

import json
from datetime import UTC, datetime
from typing import Any

from flowq.states import JobStatus
from flowq.store.schema.records import RunRecord


def bundle_json(run: RunRecord) -> dict[str, str | None] | None:
    """Return what names the files that travel with a run: their hash, the directory that they are of, their requirements file."""
    return {"hash": run.bundle, "root": run.bundle_root, "requires": run.bundle_requires or None} if run.bundle else None


def record_json(run: RunRecord, *, orphaned: bool = False) -> dict[str, Any]:
    """Return the document of one run in `flowq runs --json`, from its record; `orphaned`: no worker executes it."""
    return {
        "id": run.id,
        "flow": run.flow,
        "status": str(run.status),
        "canceling": run.canceling and not run.ended,
        "orphaned": orphaned,
        "turned_away_by": run.turned_away_by or None,
        "schedule": run.schedule or None,
        "scheduled_at": iso(run.slot),
        "cause": run.cause or None,
        "by": run.by or None,
        "commit": run.commit or None,
        "dirty": run.dirty if run.commit else None,
        "bundle": bundle_json(run),
        "attempt": run.attempt,
        "params": json.loads(run.params or "{}"),
        "labels": json.loads(run.labels or "{}"),
        "warnings": run.warnings,
        "created_at": iso(run.created_ms),
        "started_at": iso(run.started_ms),
        "ended_at": iso(run.ended_ms),
        "counts": {str(status): run.counts[status] for status in JobStatus if run.counts.get(status)},
        "total": run.total,
        "selected": run.total - run.left_out,
        "not_needed": run.not_needed,
        "file": run.file,
        "directory": run.directory,
    }


def iso(at_ms: int | None) -> str | None:
    """Return a time as ISO 8601 in UTC with milliseconds: `2026-01-31T06:00:00.123Z`."""
    if at_ms is None:
        return None
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"
