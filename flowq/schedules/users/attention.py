"""What needs a user now: failed runs, approvals, slots that could not run, pauses, queues that no worker serves."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from flowq.flows.views.run_list import RunFilter, select_runs, summary_json
from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.snapshot import read_view
from flowq.plan import Json
from flowq.schedules.views import ScheduleView, read_schedules
from flowq.states import JobStatus, RunStatus
from flowq.store.schema.documents import iso
from flowq.store.schema.records import RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

_DAY: Final = 86_400_000  # ms
_MOST: Final = 100  # of a kind


def attention(store: "Store", covers: Callable[[str], bool], flow_of: Callable[[RunRecord], str]) -> dict[str, Json]:
    """Return what needs a user, newest first.

    Args:
        store: where it is.
        covers: whether the user may know of a flow, `<catalog>/<flow>`.
        flow_of: the flow of a run.
    """
    now = store.now_ms()
    page = select_runs(store, RunFilter(since_ms=now - _DAY), 1000, visible=lambda run: covers(flow_of(run)))
    still = [run for run in page.runs if not run.ended]
    asking = [run for run in still if run.counts.get(JobStatus.DEFERRED)][:_MOST]
    views = read_schedules(store, [name for name in store.schedules.names() if covers(name.rpartition(":")[0])])
    schedules = [view for view in views if not view.gone]
    queues = [store.queues.get(name) for name in store.queues.names() if is_shared(name)]
    return {
        "failed": [summary_json(run, now) for run in page.runs if run.status is RunStatus.FAILED][:_MOST],
        "approvals": [item for run in asking for item in _approvals(read_view(store, run.id))],
        "refused": [_refused(view) for view in schedules if view.last is not None and view.last.outcome == "refused"],
        "paused": [_paused(view) for view in schedules if view.paused],
        "queues_without_workers": [
            {"queue": item.name, "queued": item.queued} for item in queues if item.queued and not item.workers
        ],
        "running": [summary_json(run, now, lost=run.id in page.orphaned) for run in still][:_MOST],
    }


def is_shared(queue: str) -> bool:
    """Return whether a queue is not that of one local run, whose command serves it."""
    return "/" not in queue or queue.startswith("serve/")


def _approvals(run: RunView) -> Iterator[dict[str, Json]]:
    ended = {job.name: job.ended_ms for job in run.jobs}
    for job in run.approvals:
        yield {
            "run": run.id,
            "flow": run.flow,
            "job": job.name,
            "ordinal": job.ordinal,
            "message": "" if job.approval is None else job.approval.message,
            "since": iso(_since(job, ended) or run.started_ms or run.created_ms),
        }


def _since(job: JobView, ended: dict[str, int | None]) -> int | None:
    """Return when the last of the jobs had ended that an approval waited for."""
    return max((at for name in job.depends_on if (at := ended.get(name)) is not None), default=None)


def _refused(view: ScheduleView) -> dict[str, Json]:
    assert view.last is not None
    flow, schedule = view.record.id.rpartition(":")[0], view.record.id
    return {"flow": flow, "schedule": schedule, "slot": iso(view.last.slot), "text": view.last.reason}


def _paused(view: ScheduleView) -> dict[str, Json]:
    pause = view.record.pause
    note, by, until = ("", None, None) if pause is None else (pause.note, pause.by, iso(pause.until_ms))
    return {"schedule": view.record.id, "note": note, "by": by, "by_file": pause is None, "until": until}
