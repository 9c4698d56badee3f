"""The JSON forms of runs, jobs and events, for programs. Keys are only ever added.

Times are ISO 8601 in UTC with milliseconds, durations are seconds.
"""

from flowq.flows.views.run_view import ApprovalView, CacheView, JobView, RunView, ordinal_of
from flowq.plan import Json, Plan, Selection
from flowq.plan.foreach import cell_at
from flowq.states import JobStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.records import Event


def run_json(run: RunView) -> dict[str, Json]:
    """Return the document of `flowq status --json`. Keys are only ever added."""
    return {
        "id": run.id,
        "flow": run.flow,
        "status": str(run.status),
        "canceling": run.canceling and not run.ended,
        "orphaned": run.orphaned,
        "turned_away_by": run.turned_away_by or None,
        "schedule": run.schedule or None,
        "scheduled_at": iso(run.slot_ms),
        "cause": run.cause or None,
        "by": run.by or None,
        "commit": run.commit or None,
        "dirty": run.dirty if run.commit else None,
        "bundle": None if run.bundle is None else dict(run.bundle),
        "attempt": run.attempt,
        "params": dict(run.params),
        "labels": dict(run.labels),
        "warnings": run.warnings,
        "created_at": iso(run.created_ms),
        "started_at": iso(run.started_ms),
        "ended_at": iso(run.ended_ms),
        "duration": run.duration,
        "counts": {str(status): run.counts[status] for status in JobStatus if run.counts.get(status)},
        "not_needed": run.not_needed,
        "file": run.file,
        "directory": run.directory,
        "changed_files": list(run.changed),
        "selection": selection_json(run.selection),
        "jobs": [job_json(job) for job in run.jobs],
    }


def selection_json(selection: Selection) -> dict[str, Json] | None:
    """Return the part of the flow that a run is of; None: all of it."""
    if not selection:
        return None
    return {name: list(getattr(selection, name)) for name in ("jobs", "stages", "until", "without")}


def event_json(event: Event, plan: Plan) -> dict[str, Json]:
    """Return one line of `flowq run --json`: a change of a job, or of the run itself (`job` and `name` null)."""
    cell = cell_at(plan, ordinal_of(event.job))
    return {
        "v": 1,
        "seq": event.seq,
        "at": iso(event.at_ms),
        "run": event.run,
        "job": event.job,
        "name": None if cell is None else cell.label,
        "from": event.old or None,
        "to": event.new,
        "reason": event.reason or None,
        "execution": event.execution,
        "attempt": event.attempt,
    }


def job_json(job: JobView) -> dict[str, Json]:
    """Return one job of a run, as in `flowq status --json`."""
    return {
        "name": job.name,
        "job": job.job,
        "id": job.id,
        "status": None if job.status is None else str(job.status),
        "reason": None if job.reason is None else str(job.reason),
        "allowed": job.allowed,
        "attempts": job.attempts,
        "queue": job.queue,
        "worker": job.worker,
        "depends_on": list(job.depends_on),
        "started_at": iso(job.started_ms),
        "ended_at": iso(job.ended_ms),
        "duration": job.duration,
        "error": job.error,
        "file": job.place.file,
        "line": job.place.line,
        **({"damaged": job.damaged} if job.damaged else {}),
        **({} if job.approval is None else {"approval": _approval_json(job.approval)}),
        **({} if job.cache is None else {"cache": _cache_json(job.cache)}),
        **({"artifacts": {name: one.to_json() for name, one in job.artifacts.items()}} if job.artifacts else {}),
    }


def _cache_json(cache: CacheView) -> dict[str, Json]:
    return {"hit": cache.hit, "reason": cache.reason, "run": cache.run}


def _approval_json(approval: ApprovalView) -> dict[str, Json]:
    return {"message": approval.message, "by": approval.by, "at": iso(approval.at_ms), "comment": approval.comment}
