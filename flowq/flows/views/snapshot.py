"""Reads of one run from the store for a view: the plan, the records, the errors, the workers of its queues."""

import time
from collections import deque
from typing import TYPE_CHECKING

from flowq.exceptions import NoSuchRunError
from flowq.flows.views.orphans import waits_for_a_person, without_worker
from flowq.flows.views.run_view import RunView, Snapshot, ordinal_of, run_view
from flowq.flows.views.sources import changed_files
from flowq.ids import member_id, split_member_id
from flowq.plan import Plan
from flowq.plan.foreach import foreach_groups, with_foreach_cells
from flowq.states import JobStatus
from flowq.store.schema.records import Event, JobRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowq.store import Store

_EVENTS = 5000  # read at once
_ITEMS = 40  # of failed cells of foreach jobs: more are not shown
_OUTPUT = 2000  # entries of a job's output that are kept, the latest
_OUTPUT_BYTES = 100_000
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
    return with_foreach_cells(plan, store.runs.members(run_id, groups)) if groups else plan


def take_snapshot(store: "Store", run_id: str, plan: Plan) -> Snapshot:
    """Read the records of a run whose plan is known."""
    # The run first: a job that ends in between makes the jobs newer than the run, never a run that ended with open jobs.
    run = store.runs.get(run_id)
    if run is None:
        raise NoSuchRunError(
            f"run {run_id} is no longer on the server: its retention has passed, it was deleted, or the server lost its data"
        )
    ordinals = [cell.ordinal for cell in plan.jobs()]
    jobs: list[JobRecord | None] = [None] * len(plan.cells)
    damaged: dict[str, str] = {}
    for ordinal, record in zip(ordinals, store.runs.jobs(run_id, ordinals, damaged), strict=True):
        jobs[ordinal] = record
    failed = [job.ordinal for job in jobs if job and job.ordinal is not None and _may_have_error(job)]
    queues = frozenset(job.queue for job in jobs if job is not None and job.status in {JobStatus.QUEUED, JobStatus.STARTED})
    return Snapshot(
        run=run,
        jobs=jobs,
        damaged={split_member_id(job)[1]: why for job, why in damaged.items()},
        errors=read_errors(store, run_id, failed),
        items=read_items(store, run_id, plan, failed),
        unserved=queues - store.workers.serving(queues) if queues else queues,
        now_ms=time.time_ns() // 1_000_000,
        suspended=bool(queues) and store.queues.suspended(),
        changed=changed_files(run),
        orphaned=bool(without_worker(store, [run])) and not waits_for_a_person(jobs),
    )


def read_events(store: "Store", run_id: str) -> list[Event]:
    """Read all events of a run that are kept."""
    events: list[Event] = []
    while more := store.runs.events(run_id, after=events[-1].seq if events else "0", count=_EVENTS):
        events += more
    return events


def read_errors(store: "Store", run_id: str, ordinals: "Sequence[int]") -> dict[int, str]:
    """Read the text of the latest error of each of these jobs that has one."""
    if not ordinals:
        return {}
    texts = zip(ordinals, store.runs.errors(run_id, ordinals), strict=True)
    return {ordinal: text.decode("utf-8", "backslashreplace") for ordinal, text in texts if text}


def read_items(store: "Store", run_id: str, plan: Plan, ordinals: "Sequence[int]") -> dict[int, str]:
    """Read the items of those of these jobs that are cells of a foreach, as JSON; of the first ones, if there are many."""
    places = {
        edge.parent: (group, index)
        for group in foreach_groups(plan)
        if plan.cells[group].group and plan.node_of(plan.cells[group]).matrix
        for index, edge in enumerate(plan.cells[group].parents)
    }
    cells = [ordinal for ordinal in ordinals if ordinal in places][:_ITEMS]
    found = {ordinal: store.jobs.item(member_id(run_id, places[ordinal][0]), places[ordinal][1]) for ordinal in cells}
    return {ordinal: item.decode("utf-8", "backslashreplace") for ordinal, item in found.items() if item is not None}


def read_output(store: "Store", run_id: str, ordinals: "Sequence[int]") -> dict[int, str]:
    """Read the last output of each of these jobs' latest execution."""
    wanted = frozenset(ordinals)
    kept: dict[int, deque[bytes]] = {}
    executions: dict[int, int] = {}
    position = "0"
    while wanted and (entries := store.runs.logs(run_id, after=position)):
        position = entries[-1].seq
        for entry in entries:
            ordinal = ordinal_of(entry.job)
            if ordinal is None or ordinal not in wanted:
                continue
            if executions.get(ordinal) != entry.execution:
                executions[ordinal] = entry.execution
                kept[ordinal] = deque(maxlen=_OUTPUT)
            kept[ordinal].append(entry.data)
    return {ordinal: b"".join(chunks)[-_OUTPUT_BYTES:].decode("utf-8", "backslashreplace") for ordinal, chunks in kept.items()}


def _may_have_error(job: JobRecord) -> bool:
    return job.status in _WITH_ERROR and (job.attempt > 0 or job.status is JobStatus.FAILED)
