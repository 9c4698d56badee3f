"""A run over time as a page draws it: the phases of each job in milliseconds since the start of the run."""

from collections.abc import Sequence

from flowq.flows.render.gantt import Bar, bars
from flowq.flows.render.timeline import Activity
from flowq.flows.views.run_view import RunView
from flowq.flows.views.text import safe_line
from flowq.plan import Json, Plan
from flowq.store.schema.documents import iso
from flowq.store.schema.records import Event


def timeline_json(plan: Plan, run: RunView, events: Sequence[Event] = ()) -> dict[str, Json]:
    """Return `{"begin", "end", "now", "bars"}` of the latest attempt of a run.

    A bar has `ordinal`, `name`, `worker`, `queue`, `status`, `critical` (its job is on the chain that took longest) and `phases`:
    `[kind, from, to]` in ms since `begin`, one after the other. The kinds are those of `Activity`; the last phase is the job's latest
    execution, or the wait of an approval. `to` is null while it lasts. `end` is null while the run has not ended.
    """
    found = bars(plan, run, events)
    return {
        "begin": iso(_begin(run, found)),
        "end": iso(run.ended_ms) if run.ended else None,
        "now": iso(run.now_ms),
        "bars": [_bar_json(bar) for bar in found],
    }


def _begin(run: RunView, found: Sequence[Bar]) -> int:
    """Return the moment from which the bars count, in ms since the epoch."""
    for bar in found:
        if bar.job.started_ms is not None:
            return bar.job.started_ms - round(bar.begin * 1000)
    return run.started_ms or run.created_ms


def _bar_json(bar: Bar) -> dict[str, Json]:
    job = bar.job
    last = Activity.APPROVAL if job.approval is not None else Activity.EXECUTION
    return {
        "ordinal": job.ordinal,
        "name": safe_line(job.name),
        "worker": job.worker,
        "queue": job.queue,
        "status": None if job.status is None else str(job.status),
        "critical": bar.critical,
        "phases": [
            *([str(part.activity), round(part.begin * 1000), round(part.end * 1000)] for part in bar.before),
            [str(last), round(bar.begin * 1000), round(bar.end * 1000) if job.ended else None],
        ],
    }
