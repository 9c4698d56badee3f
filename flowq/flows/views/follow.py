"""Following a run: its events and logs as they come, through restarts of the server, until it has ended.

The run's stream of events is the only thing that is read while nothing happens: one blocking call every `wait` seconds.
The run's record ends the following, not an event: a run that was retried has several ends in its stream.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from flowq.exceptions import NoSuchRunError, ServerUnavailableError
from flowq.flows.views.run_view import RunView, Snapshot, ordinal_of, run_view
from flowq.flows.views.snapshot import read_errors
from flowq.ids import member_id
from flowq.plan import Cell, Plan
from flowq.plan.foreach import with_foreach_cells
from flowq.states import RUN_ENDED, JobStatus, Reason, RunStatus
from flowq.store.schema.records import Event, JobRecord, LogEntry, RunRecord

if TYPE_CHECKING:
    from flowq.store import Store

START: Final = "0"
_CHECK: Final = 2.0  # s between looks at the run's record while there are no events
_BACKOFF: Final = (0.05, 0.1, 0.2, 0.5, 1.0)  # s between attempts to reach the server; the last repeats
_PATIENCE: Final = 60.0  # s without a server before the following gives up
_ASK: Final = 0.3  # s between looks at approvals
_EVENTS: Final = 1000  # read at once
_LOGS: Final = 500  # likewise
_HISTORIES: Final = 50  # jobs whose earlier results are read at once
_READS: Final = 20  # reads a second of a run in which much happens; as many may come at once before
GONE: Final = "-"  # the new status of an entry that is no longer a job
EXPANDED: Final = "expanded"  # the reason when it has become a group of cells
_CANCELING: Final = "canceling"  # the reason of the event that says that a run is being canceled
_MAY_FAIL: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.SCHEDULED, JobStatus.QUEUED})
_ENDS_BADLY: Final = frozenset({JobStatus.FAILED, JobStatus.STOPPED})


@dataclass(frozen=True, slots=True)
class Update:
    """The changes since the last update. Empty when nothing happened for `wait` seconds.

    `errors` has the error's text of jobs whose execution failed, `allowed` those that had failed and were allowed to (both by
    ordinal, as they are now). `members` has the ordinals of the cells of each foreach (by ordinal) whose list has become known.
    `questions` has the messages of approvals (by ordinal) that now wait for a decision.
    `workers` has the workers that execute the started jobs, if requested. `lost` says why the server
    cannot be asked just now.
    """

    events: Sequence[Event] = ()
    logs: Sequence[LogEntry] = ()
    errors: Mapping[int, str] = field(default_factory=dict)
    allowed: frozenset[int] = frozenset()
    members: Mapping[int, range] = field(default_factory=dict)
    questions: Mapping[int, str] = field(default_factory=dict)
    workers: Mapping[int, str] = field(default_factory=dict)
    lost: str | None = None
    ended: bool = False


class Follower:
    """A reader of the streams of one run.

    Args:
        store: where the run is.
        run_id: its full id.
        wait: seconds after which an empty update is given when nothing happens; the caller's heartbeat.
        after: position in both streams to start behind; `START` gives everything that is kept.
        workers: read who executes the jobs that are started.
        approvals: returns the ordinals of approvals that may begin to wait for a decision, which no event tells.
    """

    def __init__(
        self,
        store: "Store",
        run_id: str,
        *,
        wait: float = 0.1,
        after: str = START,
        workers: bool = False,
        approvals: Callable[[], Sequence[int]] = tuple,
    ) -> None:
        self._store = store
        self._run_id = run_id
        self._wait_ms = max(1, int(wait * 1000))
        self._events_after = after
        self._logs_after = after
        self._asks_workers = workers
        self._approvals = approvals
        self._asked = 0.0
        self._checked = 0.0
        self._allowance, self._counted = float(_READS), time.monotonic()
        self._ended = False

    def updates(self) -> Iterator[Update]:
        """Yield updates until the run has ended and all it left has been read; the last one says `ended`.

        Raises:
            ServerUnavailableError: the server was unreachable for a minute.
            NoSuchRunError: the run is not, or no longer, on the server.
        """
        away: float | None = None
        failures = 0
        while True:
            try:
                update = self._read()
            except ServerUnavailableError as error:
                now = time.monotonic()
                away = now if away is None else away
                if now - away > _PATIENCE:
                    raise
                yield Update(lost=str(error))
                time.sleep(_BACKOFF[min(failures, len(_BACKOFF) - 1)])
                failures += 1
                continue
            away, failures = None, 0
            yield update
            if update.ended:
                return

    def _read(self) -> Update:
        # `ended` is known before this read, so a read that finds nothing after it has found everything.
        self._pace()
        known_end = self._ended
        events = self._store.runs.events(
            self._run_id, after=self._events_after, block_ms=None if known_end else self._wait_ms, count=_EVENTS
        )
        logs = self._store.runs.logs(self._run_id, after=self._logs_after, count=_LOGS)
        if (events or logs) and len(events) < _EVENTS and len(logs) < _LOGS:
            self._allowance -= 1
        failed = _failed(events)
        update = Update(
            events=events,
            logs=logs,
            errors=self._errors(failed, events),
            allowed=self._allowed(failed),
            members=self._members(events),
            questions=self._questions(),
            workers=self._workers(events) if self._asks_workers else {},
            ended=known_end and not events and not logs,
        )
        if events:
            self._events_after = events[-1].seq
        if logs:
            self._logs_after = logs[-1].seq
        with suppress(ServerUnavailableError):  # the data already read is returned first
            self._look_for_end(events)
        return update

    def _pace(self) -> None:
        """Let events gather when there were many reads just now: each one costs as much for one event as for a hundred."""
        if self._allowance < 1:
            time.sleep(1 / _READS)
        now = time.monotonic()
        self._allowance = min(_READS, self._allowance + _READS * (now - self._counted))
        self._counted = now

    def _look_for_end(self, events: Sequence[Event]) -> None:
        hint = any(not event.job and event.new in RUN_ENDED for event in events)
        now = time.monotonic()
        if self._ended or not (hint or now - self._checked > _CHECK):
            return
        self._checked = now
        run = self._store.runs.get(self._run_id)
        if run is None:
            raise NoSuchRunError(f"run {self._run_id} is no longer on the server: it was deleted, or the server lost its data")
        self._ended = run.ended

    def _errors(self, failed: Sequence[int], events: Sequence[Event]) -> dict[int, str]:
        """Read the errors of the jobs that failed, and those of executions after which another one has begun already."""
        found = read_errors(self._store, self._run_id, failed)
        retried = {
            ordinal_of(event.job): event for event in events if event.old == JobStatus.STARTED and event.new in _MAY_FAIL
        }
        begun = [ordinal for ordinal in failed if ordinal in retried and ordinal not in found]
        for ordinal in begun[:_HISTORIES]:
            results = self._store.jobs.results(member_id(self._run_id, ordinal))
            error = next((result.error for result in results if result.execution == retried[ordinal].execution), None)
            if error is not None:
                found[ordinal] = error
        return found

    def _members(self, events: Sequence[Event]) -> dict[int, range]:
        """Read the cells of the foreach jobs in these events."""
        groups = {ordinal_of(event.job) for event in events if event.new == GONE and event.reason == EXPANDED}
        wanted = sorted(ordinal for ordinal in groups if ordinal is not None)
        found = self._store.runs.members(self._run_id, wanted)
        return {ordinal: members for ordinal, members in found.items() if members is not None}

    def _questions(self) -> dict[int, str]:
        """Read at intervals which approvals have begun to wait."""
        now = time.monotonic()
        if now - self._asked < _ASK:
            return {}
        self._asked = now
        if not (wanted := self._approvals()):
            return {}
        records = zip(wanted, self._store.runs.jobs(self._run_id, wanted, {}), strict=True)
        return {
            ordinal: record.message for ordinal, record in records if record is not None and record.reason == Reason.APPROVAL
        }

    def _workers(self, events: Sequence[Event]) -> dict[int, str]:
        """Read the workers of the jobs that these events leave running."""
        latest = {ordinal_of(event.job): event.new for event in events}
        started = [ordinal for ordinal, new in latest.items() if ordinal is not None and new == JobStatus.STARTED]
        records = self._store.runs.jobs(self._run_id, started, {}) if started else []
        return {
            ordinal: record.worker
            for ordinal, record in zip(started, records, strict=True)
            if record is not None and record.worker is not None
        }

    def _allowed(self, failed: Sequence[int]) -> frozenset[int]:
        if not failed:
            return frozenset()
        records = self._store.runs.jobs(self._run_id, failed, {})
        return frozenset(
            ordinal for ordinal, record in zip(failed, records, strict=True) if record is not None and record.allowed
        )


def _failed(events: Sequence[Event]) -> list[int]:
    """Return the ordinals of the jobs that failed, before they were started too, or of which an execution did, whatever follows."""
    failing = (
        event for event in events if event.new in _ENDS_BADLY or (event.old == JobStatus.STARTED and event.new in _MAY_FAIL)
    )
    found = (ordinal_of(event.job) for event in failing)
    return list(dict.fromkeys(ordinal for ordinal in found if ordinal is not None))


def _approval_cells(plan: Plan) -> list[Cell]:
    return [cell for cell in plan.jobs() if plan.node_of(cell).action.kind == "approval"]


class Progress:
    """A run kept up to date by its events, for displays: as many views as wanted without asking the server.

    Starts from a snapshot; events that are older than it may be applied too, the newest wins in the end. Where the capped
    stream lost events the picture lags behind; the end of a following is shown from a fresh read.
    """

    def __init__(self, plan: Plan, snapshot: Snapshot) -> None:
        self.plan = plan
        self._approval_cells = _approval_cells(plan)
        self._run: RunRecord = snapshot.run
        self._jobs: list[JobRecord | None] = list(snapshot.jobs)
        self._errors: dict[int, str] = dict(snapshot.errors)
        self.unserved = snapshot.unserved
        self._lanes: dict[int, int] = {}
        for record in self._jobs:
            if record is not None and record.ordinal is not None:
                self._occupy(record.ordinal, record.status)

    def apply(self, update: Update) -> None:
        """Apply an update."""
        if update.members:
            self._grow(update.members)
        for event in update.events:
            ordinal = ordinal_of(event.job)
            if ordinal is None:
                self._apply_to_run(event)
            elif ordinal < len(self._jobs) and event.new != GONE:
                self._apply_to_job(ordinal, event, allowed=ordinal in update.allowed)
        self._errors.update(update.errors)
        for ordinal, message in update.questions.items():
            record = self._jobs[ordinal]
            if record is not None and record.status is JobStatus.DEFERRED:
                self._jobs[ordinal] = replace(record, reason=Reason.APPROVAL, message=message)
        for ordinal, worker in update.workers.items():
            record = self._jobs[ordinal] if ordinal < len(self._jobs) else None
            if record is not None:
                self._jobs[ordinal] = replace(record, worker=worker)

    def _occupy(self, ordinal: int, status: JobStatus) -> None:
        """Give a starting job the first free lane, and free it when the job no longer runs."""
        if status is not JobStatus.STARTED:
            self._lanes.pop(ordinal, None)
        elif ordinal not in self._lanes:
            taken = set(self._lanes.values())
            self._lanes[ordinal] = next(lane for lane in range(1, len(taken) + 2) if lane not in taken)

    def _grow(self, members: Mapping[int, range]) -> None:
        """Add the cells of foreach jobs that have become groups, if they are not known yet."""
        groups = {ordinal: cells for ordinal, cells in members.items() if cells and cells.stop > len(self.plan.cells)}
        if not groups:
            return
        like = {ordinal: self._jobs[ordinal] for ordinal in groups}
        self.plan = with_foreach_cells(self.plan, groups)
        self._approval_cells = _approval_cells(self.plan)
        self._jobs += [None] * (len(self.plan.cells) - len(self._jobs))
        for group, cells in groups.items():
            record = like[group]
            self._jobs[group] = None
            for ordinal in cells:
                if record is not None:
                    job = member_id(self._run.id, ordinal)
                    self._jobs[ordinal] = replace(record, id=job, ordinal=ordinal, status=JobStatus.DEFERRED, reason=None)

    def view(self, now_ms: int | None = None) -> RunView:
        """Return the run as it is now."""
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        lanes = self._lanes if self._run.local else {}  # jobs of several workers would get numbers that mean nothing
        return run_view(self.plan, Snapshot(self._run, self._jobs, self._errors, self.unserved, now, lanes=lanes))

    def coming_approvals(self) -> list[int]:
        """Return the ordinals of the approvals that do not wait for a decision yet."""
        return [
            cell.ordinal
            for cell in self._approval_cells
            if (record := self._jobs[cell.ordinal]) is not None
            and record.status is JobStatus.DEFERRED
            and record.reason != Reason.APPROVAL
        ]

    @property
    def group(self) -> str | None:
        """The semaphore of the concurrency group that the run waits for, None once it has begun."""
        return self._run.waits_for or None if self._run.status is RunStatus.QUEUED else None

    def running(self) -> list[Cell]:
        """Return the jobs that run now."""
        started = (job.ordinal for job in self._jobs if job is not None and job.status is JobStatus.STARTED)
        return [self.plan.cells[ordinal] for ordinal in started if ordinal is not None]

    def waiting_queues(self) -> frozenset[str]:
        """Return the queues in which jobs wait now."""
        return frozenset(job.queue for job in self._jobs if job is not None and job.status is JobStatus.QUEUED)

    def _apply_to_run(self, event: Event) -> None:
        status = RunStatus(event.new)
        began = event.at_ms if status is RunStatus.RUNNING else None  # of a run that has waited for its turn
        self._run = replace(
            self._run,
            status=status,
            started_ms=self._run.started_ms or began,
            ended_ms=event.at_ms if status in RUN_ENDED else None,
            attempt=event.attempt or self._run.attempt,
            canceling=event.reason == _CANCELING,
        )

    def _apply_to_job(self, ordinal: int, event: Event, *, allowed: bool) -> None:
        record = self._jobs[ordinal]
        if record is None:
            return
        status = JobStatus(event.new)
        self._occupy(ordinal, status)
        started = event.at_ms if status is JobStatus.STARTED else record.started_ms
        self._jobs[ordinal] = replace(
            record,
            status=status,
            reason=event.reason or None,
            attempt=event.attempt,
            execution=event.execution,
            started_ms=started,
            ended_ms=event.at_ms,
            due_ms=None,
            allowed=allowed and status is JobStatus.FAILED,
        )
