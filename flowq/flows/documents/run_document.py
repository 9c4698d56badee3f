"""The documents of one run for the page: pure, from the plan and the view. Keys are only ever added.

A run of 10,000 jobs is two documents: the run without its jobs, of which cells of one job are folded, and the table of all jobs, as
arrays, because names of keys would be most of it.
"""

import hashlib
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from flowq.expr import written
from flowq.flows.views.json_documents import job_json, run_json
from flowq.flows.views.run_view import JobView, RunView, matrix_status
from flowq.flows.views.text import safe_line
from flowq.plan import Fetch, Json, Plan
from flowq.states import JobStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.records import Event

COLUMNS: Final = (
    "ordinal",
    "name",
    "node",
    "status",
    "reason",
    "attempts",
    "started_at",
    "ended_at",
    "duration",
    "worker",
    "queue",
    "allowed",
    "line",
)
"""The columns of the table of jobs."""


def run_document(plan: Plan, run: RunView, *, position: str, expected_end_ms: int | None) -> dict[str, Json]:
    """Return a run without its jobs.

    Args:
        plan: of the run.
        run: its view.
        position: of the latest event: changes after it are still to come.
        expected_end_ms: when it will probably have ended.
    """
    document = run_json(run)
    del document["jobs"]
    return document | {
        "position": position,
        "size": len(run.jobs),
        "with_artifacts": sum(job.has_artifacts for job in run.jobs),
        "description": plan.description,
        "expected_end": iso(expected_end_ms),
        "plan": plan_hash(plan),
        "nodes": _nodes(plan, run),
        "stages": list(dict.fromkeys(node.stage for node in plan.nodes if node.stage)),
        "approvals": [approval_json(job) for job in run.approvals],
        "damaged": [{"ordinal": job.ordinal, "job": job.name, "error": job.damaged} for job in run.jobs if job.damaged],
        "command": commands_of(run),
    }


def plan_hash(plan: Plan) -> str:
    """Return a hash of the shape of a plan, with the cells that it has by now: layouts are cached by it."""
    said = repr([(cell.name, cell.node, [(edge.parent, edge.condition) for edge in cell.parents]) for cell in plan.cells])
    said += repr(plan.open_matrices) if plan.open_matrices else ""
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def jobs_table(run: RunView) -> dict[str, Json]:
    """Return all jobs of a run as rows of `COLUMNS`."""
    return {"columns": list(COLUMNS), "rows": [_row(job) for job in run.jobs]}


def job_document(plan: Plan, run: RunView, job: JobView, attempts: Sequence[Mapping[str, Json]]) -> dict[str, Json]:
    """Return one job: as in `flowq status --json`, with its executions and what its line of the flow says."""
    node = plan.nodes[plan.cells[job.ordinal].node]
    name = shlex.quote(safe_line(job.name))
    return job_json(job) | {
        "ordinal": job.ordinal,
        "run": run.id,
        "kind": node.action.kind,
        "description": node.description,
        "labels": dict(node.labels),
        "stage": node.stage or None,
        "phase": job.phase or None,
        "max_attempts": job.max_attempts,
        "waits_for": list(job.waits_for),
        "due_at": iso(job.due_ms),
        "item": job.item or None,
        "secrets": sorted(node.secrets),
        "fetch": [fetch_json(item) for item in node.fetch],
        "attempts_list": list(attempts),
        "command": {
            "logs": f"flowq logs {run.id} {name}",
            "why": f"flowq why {run.id} {name}",
            "retry": f"flowq retry {run.id} --job {name}",
        },
    }


def fetch_json(item: Fetch) -> dict[str, Json]:
    """Return an artifact that a job gets before it begins. `to`: as in the flow, below the directory of the job."""
    return {"job": item.job, "artifact": item.artifact, "to": written(item.to), "optional": item.optional}


def approval_json(job: JobView) -> dict[str, Json]:
    """Return an approval that waits."""
    message = "" if job.approval is None else job.approval.message
    return {"ordinal": job.ordinal, "job": job.name, "message": message}


def commands_of(run: RunView) -> dict[str, Json]:
    """Return the commands that do on a terminal what the page's buttons do."""
    found: dict[str, Json] = {"status": f"flowq status {run.id}", "logs": f"flowq logs {run.id}"}
    if run.ended:
        found["retry"] = f"flowq retry {run.id} --failed" + (" --reload" if run.changed else "")
        found["again"] = f"flowq run --again {run.id}"
    else:
        found["watch"] = f"flowq status {run.id} --watch"
        found["cancel"] = f"flowq cancel {run.id}"
    if run.orphaned:
        found["resume"] = f"flowq run --resume {run.id}"
    return found


def _nodes(plan: Plan, run: RunView) -> list[Json]:
    """Return the jobs of the file, in graph order, each with its cells counted."""
    cells: dict[int, list[JobView]] = {}
    for job in run.jobs:
        cells.setdefault(plan.cells[job.ordinal].node, []).append(job)
    return [_node(plan, index, jobs) for index, jobs in cells.items()]


def _node(plan: Plan, index: int, jobs: Sequence[JobView]) -> dict[str, Json]:
    node = plan.nodes[index]
    status = matrix_status(jobs) if node.matrix or len(jobs) > 1 else jobs[0].status
    counts = Counter(job.status for job in jobs if job.status is not None)
    return {
        "node": index,
        "name": jobs[0].job,
        "kind": node.action.kind,
        "stage": node.stage or None,
        "phase": jobs[0].phase or None,
        "matrix": node.matrix or node.foreach is not None,
        "first": jobs[0].ordinal,
        "size": len(jobs),
        "status": None if status is None else str(status),
        "counts": {str(item): counts[item] for item in JobStatus if counts.get(item)},
        "line": node.line,
    }


def _row(job: JobView) -> list[Json]:
    return [
        job.ordinal,
        job.name,
        job.job,
        None if job.status is None else str(job.status),
        None if job.reason is None else str(job.reason),
        job.attempts,
        iso(job.started_ms),
        iso(job.ended_ms),
        job.duration,
        job.worker,
        job.queue,
        job.allowed,
        job.line,
    ]


def attempts_of(events: Iterable[Event]) -> list[dict[str, Json]]:
    """Return the executions of a job, oldest first, from the events of that job."""
    found: list[dict[str, Json]] = []
    for event in events:
        if event.new == JobStatus.STARTED:
            found.append(
                {
                    "execution": event.execution,
                    "attempt": event.attempt,
                    "status": "started",
                    "reason": None,
                    "started_at": iso(event.at_ms),
                    "ended_at": None,
                }
            )
        elif event.old == JobStatus.STARTED and found:
            found[-1] |= {"status": event.new, "reason": event.reason, "ended_at": iso(event.at_ms)}
    return found
