"""Reading one run from the store for a view: the plan, the records, the errors, who serves its queues."""

import time
from typing import TYPE_CHECKING

from flowq.exceptions import NoSuchRunError
from flowq.flows.submit import queue_of
from flowq.flows.views import RunView, Snapshot, run_view
from flowq.flows.why import Surroundings
from flowq.grown import foreach_groups, grow
from flowq.plan import Plan
from flowq.states import JobStatus
from flowq.store.records import JobRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.store import Store

_POSITIONS = 50  # queued jobs of which the place in the queue is asked
_WITH_ERROR = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SCHEDULED})


def read_view(store: "Store", run_id: str) -> RunView:
    """Read a run as it is now. The reads take one round trip per kind of record, whatever the number of jobs.

    Raises:
        NoSuchRunError: the run is not, or no longer, on the server.
    """
    return run_view(*read_snapshot(store, run_id))


def read_snapshot(store: "Store", run_id: str) -> tuple[Plan, Snapshot]:
    """Read the plan of a run, with the cells of its foreach jobs, and the records."""
    plan = read_plan(store, run_id)
    return plan, take_snapshot(store, run_id, plan)


def read_plan(store: "Store", run_id: str) -> Plan:
    """Read the plan that a run was submitted with, with the cells that its foreach jobs have made since."""
    plan = Plan.from_json(store.runs.plan(run_id))
    groups = foreach_groups(plan)
    return grow(plan, store.runs.members(run_id, groups)) if groups else plan


def take_snapshot(store: "Store", run_id: str, plan: Plan) -> Snapshot:
    """Read the records of a run whose plan is known."""
    # The run first: a job that ends in between makes the jobs newer than the run, never a run that ended with open jobs.
    run = store.runs.get(run_id)
    if run is None:
        raise NoSuchRunError(f"run {run_id} is no longer on the server: its retention has passed or it was deleted")
    ordinals = [cell.ordinal for cell in plan.jobs()]
    jobs: list[JobRecord | None] = [None] * len(plan.cells)
    for ordinal, record in zip(ordinals, store.runs.jobs(run_id, ordinals), strict=True):
        jobs[ordinal] = record
    queues = frozenset(job.queue for job in jobs if job is not None and job.status is JobStatus.QUEUED)
    return Snapshot(
        run=run,
        jobs=jobs,
        errors=read_errors(
            store, run_id, [job.ordinal for job in jobs if job and job.ordinal is not None and _may_have_error(job)]
        ),
        unserved=queues - store.workers.serving(queues) if queues else queues,
        now_ms=time.time_ns() // 1_000_000,
        suspended=bool(queues) and store.queues.suspended(),
    )


def read_surroundings(store: "Store", run: RunView) -> Surroundings:
    """Read what explains the queued jobs of a run: the workers, and the places in the queues. Nothing if none is queued."""
    queued = [job for job in run.jobs if job.status is JobStatus.QUEUED]
    waiting = [job for job in run.jobs if job.status is JobStatus.DEFERRED]
    if not queued and not waiting:
        return Surroundings()
    limits = {name for job in waiting for name in job.semaphores} | ({run.semaphore} if run.semaphore else set())
    positions = {}
    for job in queued[:_POSITIONS]:
        place = store.queues.position(queue_of(job.queue, run.id, local=run.local), job.id)
        if place is not None:
            positions[job.ordinal] = place
    return Surroundings(
        store.workers.all(),
        positions,
        bool(queued) and store.queues.suspended(),
        {name: store.semaphores.holders(name) for name in limits},
    )


def read_errors(store: "Store", run_id: str, ordinals: "Sequence[int]") -> dict[int, str]:
    """Read the text of the latest error of each of these jobs that has one."""
    if not ordinals:
        return {}
    texts = zip(ordinals, store.runs.errors(run_id, ordinals), strict=True)
    return {ordinal: text.decode("utf-8", "backslashreplace") for ordinal, text in texts if text}


def _may_have_error(job: JobRecord) -> bool:
    return job.status in _WITH_ERROR and (job.attempt > 0 or job.status is JobStatus.FAILED)
