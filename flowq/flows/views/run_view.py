"""Views of a run for users and programs: pure functions from the store's records and the plan.

A view is a moment: made from one read, never updated. The text of `flowq status`, its JSON and the live display are made
from the same views, so they cannot disagree. Nothing here reads the store, the clock or the terminal.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowq.artifacts.manifest import Manifest
from flowq.flows.views.job_output import plain_output
from flowq.ids import member_id
from flowq.plan import Cell, Json, Plan, Selection, SourcePlace, bulk
from flowq.plan.foreach import foreach_counts, order
from flowq.states import ENDED, RUN_ENDED, JobStatus, Reason, RunStatus
from flowq.store.schema.documents import bundle_json
from flowq.store.schema.records import JobRecord, RunRecord


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One read of a run, the input of `run_view`.

    `jobs` and `errors` are by ordinal, as long as the plan's cells; groups and jobs whose record has expired are None.
    `unserved` are queues with waiting jobs on which no live worker listens; `suspended`: all workers are suspended. `lanes` numbers
    the jobs that run at once, from 1, where the reader has followed them from their start.
    """

    run: RunRecord
    jobs: Sequence[JobRecord | None]
    errors: Mapping[int, str] = field(default_factory=dict)
    unserved: frozenset[str] = frozenset()
    now_ms: int = 0
    suspended: bool = False
    lanes: Mapping[int, int] = field(default_factory=dict)
    changed: tuple[str, ...] = ()  # see `flowq.flows.views.sources`
    orphaned: bool = False  # see `flowq.flows.views.orphans`
    items: Mapping[int, str] = field(default_factory=dict)  # of failed cells of a foreach, as JSON
    damaged: Mapping[int, str] = field(default_factory=dict)  # by ordinal: why not all of a record could be read


@dataclass(frozen=True, slots=True)
class ApprovalView:
    """The question of an approval, and the user who has decided."""

    message: str
    by: str | None = None
    at_ms: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CacheView:
    """Whether a job with `cache` took over an earlier result (of which run), and why, or why not."""

    hit: bool
    reason: str
    run: str | None


@bulk.record
class JobView:
    """One job of a run. Times in ms since the epoch, durations in seconds. `status` is None once the record has expired, or is damaged there."""

    name: str
    job: str
    id: str
    ordinal: int
    status: JobStatus | None
    reason: str | None
    allowed: bool
    attempts: int
    max_attempts: int
    queue: str
    worker: str | None
    depends_on: tuple[str, ...]
    waits_for: tuple[str, ...]
    started_ms: int | None
    ended_ms: int | None
    due_ms: int | None
    duration: float | None
    error: str | None
    place: SourcePlace
    semaphores: tuple[str, ...] = ()  # of a job that waits for some of them
    approval: "ApprovalView | None" = None
    phase: str = ""  # of a handler, see `Cell.phase`
    cache: CacheView | None = None  # once it is decided
    selected: bool = True  # a run of a part of the flow leaves the others out
    item: str = ""  # of a failed cell of a foreach, as JSON
    outcome: str | None = None  # of its latest execution: an end, retried, exceeded, lost, unclaimed
    has_artifacts: bool = False  # it has left files
    artifacts: Mapping[str, Manifest] = field(default_factory=dict)  # read by `views.artifacts`, where they are needed
    lane: int | None = None  # of a running job: which of the slots it occupies, as far as one can tell from outside
    damaged: str = ""  # why not all of its record could be read

    @property
    def line(self) -> int:
        """The line of its place."""
        return self.place.line

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status is None or self.status in ENDED

    @property
    def bad(self) -> bool:
        """Whether the job needs the user's attention: failed (not allowed) or stopped."""
        return self.status in {JobStatus.FAILED, JobStatus.STOPPED} and not self.allowed

    @property
    def is_idle_handler(self) -> bool:
        """Whether it is a handler that was skipped because it is for another outcome of the run."""
        return bool(self.phase) and self.status is JobStatus.SKIPPED and self.reason == Reason.NOT_SELECTED

    @property
    def error_line(self) -> str | None:
        """The most informative line of the error, without the place of the job: `place` has it."""
        return (
            None
            if self.error is None
            else error_line(self.error).removeprefix(f"{self.place.file}:{self.place.line}: job {self.job}: ")
        )


@dataclass(frozen=True, slots=True)
class RunView:
    """A run with its jobs in graph order. Times in ms since the epoch, `duration` in seconds, up to now while it runs."""

    id: str
    flow: str
    status: RunStatus
    attempt: int
    params: Mapping[str, Json]
    labels: Mapping[str, str]
    warnings: int
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    duration: float | None
    now_ms: int
    counts: Mapping[JobStatus, int]
    jobs: tuple[JobView, ...]
    file: str
    directory: str
    local: bool
    queue_prefix: str  # in front of the names of its queues in the store
    canceling: bool
    semaphore: str | None = None  # of the concurrency group that it waits for
    selection: Selection = field(default_factory=Selection)  # empty: the whole flow
    foreach: int = 0  # selected jobs with foreach
    added: int = 0  # jobs by which their cells are more than one for each
    changed: tuple[str, ...] = ()  # its flow files whose text is another one now
    orphaned: bool = False  # it has not ended, and no worker executes it
    schedule: str = ""  # of which slot it is
    slot_ms: int | None = None
    cause: str = ""  # what started it, as of `RunRecord`
    by: str = ""
    commit: str = ""  # of the repository of its flow, when it was submitted; empty: none is known
    dirty: bool = False  # whether files differed from that commit
    bundle: Mapping[str, str | None] | None = None  # the files that travel with it: hash, root, requires
    turned_away_by: str = ""  # the run that held its concurrency group
    timed_out: bool = False  # its time was over
    gates: tuple[JobView, ...] = ()  # of sub-flows: what decides whether their jobs run at all; jobs only where they failed

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in RUN_ENDED

    @property
    def selected_jobs(self) -> tuple[JobView, ...]:
        """The jobs without those that were not selected."""
        return tuple(job for job in self.jobs if job.selected) if self.selection else self.jobs

    @property
    def not_needed(self) -> int:
        """How many of the jobs were not to run at all: those that were not selected, and handlers for another outcome."""
        return sum(job.is_idle_handler or not job.selected for job in self.jobs)

    @property
    def approvals(self) -> tuple[JobView, ...]:
        """The approvals that wait for a decision."""
        return tuple(job for job in self.jobs if job.status is JobStatus.DEFERRED and job.reason == Reason.APPROVAL)

    @property
    def bad_jobs(self) -> tuple[JobView, ...]:
        """The jobs that made the run fail."""
        return tuple(job for job in self.jobs if job.bad)


def run_view(plan: Plan, snapshot: Snapshot) -> RunView:
    """Build a run's view. Linear in jobs and edges."""
    run = snapshot.run
    ended = _ended_by_ordinal(plan, snapshot)
    names = _visible_parents(plan)
    foreach, added = foreach_counts(plan)
    gates = {cell.ordinal: _job_view(plan, cell, snapshot, ended, names) for cell in plan.jobs() if cell.hidden}
    jobs = tuple(
        gates[cell.ordinal] if cell.hidden else _job_view(plan, cell, snapshot, ended, names)
        for cell in order(plan)
        if not cell.group and (not cell.hidden or gates[cell.ordinal].bad)
    )
    return RunView(
        id=run.id,
        flow=run.flow,
        status=run.status,
        attempt=run.attempt,
        params=json.loads(run.params or "{}"),
        labels=json.loads(run.labels or "{}"),
        warnings=run.warnings,
        created_ms=run.created_ms,
        started_ms=run.started_ms,
        ended_ms=run.ended_ms,
        duration=elapsed(run.started_ms, run.ended_ms, snapshot.now_ms),
        now_ms=snapshot.now_ms,
        counts=dict(Counter(job.status for job in jobs if job.status is not None)),
        jobs=jobs,
        file=run.file or plan.file,
        directory=run.directory,
        local=run.local,
        queue_prefix=run.queue_prefix,
        canceling=run.canceling,
        semaphore=run.waits_for or None if run.status is RunStatus.QUEUED else None,
        selection=plan.selection,
        foreach=foreach,
        added=added,
        changed=snapshot.changed,
        orphaned=snapshot.orphaned,
        schedule=run.schedule,
        slot_ms=run.slot,
        cause=run.cause,
        by=run.by,
        commit=run.commit,
        dirty=run.dirty,
        bundle=bundle_json(run),
        turned_away_by=run.turned_away_by,
        timed_out=run.timed_out,
        gates=tuple(gates.values()),
    )


def matrix_status(cells: Sequence[JobView]) -> JobStatus | None:
    """Return the status of a matrix: the most important one of its cells."""
    statuses = {JobStatus.FINISHED if job.allowed else job.status for job in cells}
    for status in (JobStatus.FAILED, JobStatus.STOPPED, JobStatus.STARTED, JobStatus.SCHEDULED, JobStatus.QUEUED):
        if status in statuses:
            return status
    if JobStatus.DEFERRED in statuses and len(statuses) > 1:
        return JobStatus.STARTED
    for status in (JobStatus.DEFERRED, JobStatus.CANCELED, JobStatus.FINISHED, JobStatus.SKIPPED):
        if status in statuses:
            return status
    return None


def ordinal_of(job: str | None) -> int | None:
    """Return the ordinal of a run's job from its id."""
    if not job:
        return None
    tail = job.rpartition(":" if ":" in job else "-")[2]
    return int(tail) if tail.isdigit() else None


def elapsed(started_ms: int | None, ended_ms: int | None, now_ms: int) -> float | None:
    """Return the seconds from start to end, or to now while there is no end; None before the start."""
    if started_ms is None:
        return None
    return max(0, (now_ms if ended_ms is None else ended_ms) - started_ms) / 1000


def error_of(plan: Plan, ordinal: int, text: str) -> str:
    """Return the most informative line of the error of a job, without its place and name."""
    return error_line(text).removeprefix(f"{plan.where(plan.node_of(plan.cells[ordinal]))}: ")


def error_line(text: str) -> str:
    """Return the most informative line of an error's text: of a traceback the exception itself, else the first line; without colours."""
    lines = [line for line in map(plain_output, text.splitlines()) if line.strip()]
    if not lines:
        return ""
    if lines[-1].startswith("    +---"):  # a group of exceptions, drawn as a tree: its own line stands left of all others
        lines = [line.removeprefix("  | ").removeprefix("  + Exception Group ") for line in lines if not line.startswith("   ")]
    headers = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if not headers:
        return lines[0].strip()
    for line in lines[headers[-1] + 1 :]:
        if not line[0].isspace():
            return line.strip()
    return lines[-1].strip()


# -- one job ------------------------------------------------------------------------------------------------------------------


def _job_view(
    plan: Plan, cell: Cell, snapshot: Snapshot, ended: Sequence[bool], visible: Mapping[int, tuple[int, ...]]
) -> JobView:
    node = plan.nodes[cell.node]
    record = snapshot.jobs[cell.ordinal]
    parents = [ordinal for edge in cell.parents for ordinal in visible.get(edge.parent, (edge.parent,))]
    waiting = () if record is None or record.status is not JobStatus.DEFERRED else parents
    waits_for = tuple(plan.cells[ordinal].name for ordinal in waiting if not ended[ordinal])
    started = record.started_ms if record is not None and record.status is not JobStatus.DEFERRED else None
    ended_ms = record.ended_ms if record is not None and record.ended else None
    return JobView(
        name=cell.label,
        job=cell.label if cell.hidden else node.name,
        id=member_id(snapshot.run.id, cell.ordinal),
        ordinal=cell.ordinal,
        status=None if record is None else record.status,
        reason=None if record is None else _reason(record, snapshot, ready=not (waits_for or cell.phase)),
        allowed=record is not None and record.allowed,
        attempts=0 if record is None else record.attempt,
        max_attempts=1 + (node.retry.max if node.retry else 0),
        queue=plan.queue_of(cell),
        worker=None if record is None else record.worker,
        depends_on=tuple(plan.cells[ordinal].name for ordinal in parents),
        waits_for=waits_for,
        started_ms=started,
        ended_ms=ended_ms,
        due_ms=record.due_ms if record is not None and record.status is JobStatus.SCHEDULED else None,
        duration=_duration(record, ended_ms, snapshot.now_ms),
        error=snapshot.errors.get(cell.ordinal),
        item=snapshot.items.get(cell.ordinal, ""),
        place=plan.place_of(node),
        semaphores=_semaphores(record),
        phase=cell.phase,
        approval=_approval(record) if node.action.kind == "approval" and record is not None else None,
        cache=None if record is None else _cache(record),
        selected=cell.selected,
        outcome=None if record is None else record.fields.get("outcome"),
        has_artifacts=record is not None and "artifacts" in record.fields,
        lane=snapshot.lanes.get(cell.ordinal),
        damaged=snapshot.damaged.get(cell.ordinal, ""),
    )


def _semaphores(record: JobRecord | None) -> tuple[str, ...]:
    """Return the names of what a job waits for."""
    return () if record is None or record.status is not JobStatus.DEFERRED else record.awaits


def _approval(record: JobRecord) -> ApprovalView:
    return ApprovalView(record.message, record.decided_by, record.decided_ms, record.comment)


def _cache(record: JobRecord) -> CacheView | None:
    if record.cache is None or not (record.ended or record.attempt):
        return None
    found = json.loads(record.cache)
    return CacheView(found["hit"], found["reason"], found["run"])


def _visible_parents(plan: Plan) -> dict[int, tuple[int, ...]]:
    """Return the named jobs behind a cell that users do not see (a stage, the gate of a sub-flow)."""
    found: dict[int, tuple[int, ...]] = {}
    for cell in plan.cells:
        if cell.hidden:
            behind = (ordinal for edge in cell.parents for ordinal in found.get(edge.parent, (edge.parent,)))
            found[cell.ordinal] = tuple(dict.fromkeys(behind))
    return found


def _duration(record: JobRecord | None, ended_ms: int | None, now_ms: int) -> float | None:
    """Return the seconds of the last execution. A job that waits again, was ended while it did, or never ran, has none."""
    if record is None or not (record.ended or record.status is JobStatus.STARTED):
        return None
    if record.status is JobStatus.CANCELED and record.fields.get("outcome") == "retried":
        return None
    return elapsed(record.started_ms, ended_ms, now_ms)


def _reason(record: JobRecord, snapshot: Snapshot, *, ready: bool) -> str | None:
    """Return the stored reason of an ended job; the reason of a waiting one is computed, never stored."""
    match record.status:
        case JobStatus.DEFERRED:
            turn = ready and snapshot.run.status is RunStatus.QUEUED  # of the run, in its group or schedule
            return record.reason or (Reason.CONCURRENCY if turn else Reason.DEPENDENCIES)
        case JobStatus.SCHEDULED:
            return Reason.RETRY if record.attempt > 0 else Reason.DELAY
        case JobStatus.QUEUED:
            if record.queue in snapshot.unserved:
                return Reason.NO_WORKER
            return Reason.SUSPENDED if snapshot.suspended else None
        case JobStatus.STARTED:
            return Reason.NO_WORKER if record.queue in snapshot.unserved else None  # its worker is lost, and no worker sweeps
        case _:
            return record.reason or None


def _ended_by_ordinal(plan: Plan, snapshot: Snapshot) -> list[bool]:
    """Return for each ordinal whether it has ended; a group has when its cells have."""
    ended = [True] * len(plan.cells)
    for cell in order(plan):
        record = snapshot.jobs[cell.ordinal]
        ended[cell.ordinal] = all(ended[edge.parent] for edge in cell.parents) if cell.group else record is None or record.ended
    return ended
