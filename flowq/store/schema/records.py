"""The records that the store returns: frozen records of typed values, made from the strings and integers that Redis holds.

Times are integer milliseconds since the epoch by the server's clock (`ms`); durations are seconds unless a name ends in `_ms`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowq import defaults, ids, processes
from flowq.plan.bulk import record
from flowq.states import ENDED, RUN_ENDED, JobStatus, RunStatus


@record
class JobRecord:
    """The mutable state of one job, as one read saw it."""

    id: str
    status: JobStatus
    queue: str
    run: str | None = None
    ordinal: int | None = None
    reason: str | None = None
    created_ms: int | None = None
    enqueued_ms: int | None = None
    started_ms: int | None = None
    ended_ms: int | None = None
    due_ms: int | None = None  # of a scheduled job
    attempt: int = 0  # attempts charged so far, the running one included; starts again when the run is retried
    execution: int = 0  # executions ever, the fence
    worker: str | None = None
    pending: int = 0  # undecided edges of a deferred job
    allowed: bool = False  # failed, and allowed to
    retries: int = 0  # retries after the first attempt that the job may have
    exit_code: int | None = None
    kind: str = ""  # "group", "foreach" (before its list is known), "join", "approval"; of what is executed ""
    members: range | None = None  # of a foreach whose list is known: the ordinals of its cells
    returns: int = 0  # attempts that ended by returning `Retry`
    repeated: int = 0  # repetitions so far
    serializer: str | None = None  # of a plain job, when it is not the default
    sync: bool = False  # created in sync mode
    awaits: tuple[str, ...] = ()  # names of the semaphores that it waits for, or waited for last
    cell_of: int | None = None  # ordinal of the group that counts this cell
    message: str = ""  # of an approval, like the following three
    decided_by: str | None = None
    decided_ms: int | None = None
    comment: str = ""
    cache: str | None = None  # the cache's reason for the latest execution, JSON
    fields: Mapping[str, str] = field(default_factory=dict)  # the whole hash as stored, see `job_fields`

    @property
    def ended(self) -> bool:
        """Whether the job has ended."""
        return self.status in ENDED

    @property
    def granted(self) -> int:
        """How many further attempts there have been or are decided, after failures and returned `Retry`s."""
        waits = self.status not in ENDED and self.status is not JobStatus.STARTED
        return max(0, self.attempt if waits else self.attempt - 1)

    @property
    def succeeded(self) -> bool:
        """Whether a `success` edge below this job holds."""
        return self.status is JobStatus.FINISHED or (self.status is JobStatus.FAILED and self.allowed)

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the last execution to its end; None before the end."""
        if self.started_ms is None or self.ended_ms is None:
            return None
        return max(0, self.ended_ms - self.started_ms) / 1000


@record
class StoredJob:
    """A plain job as a whole: its record, what it executes, and the user's own data; opaque bytes here."""

    record: JobRecord
    payload: bytes | None
    meta: bytes | None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """The state of one run. `counts` counts jobs (not groups) by status; statuses that no job has are absent."""

    id: str
    flow: str
    status: RunStatus
    attempt: int
    created_ms: int
    started_ms: int | None
    ended_ms: int | None
    directory: str  # where the run was started; its modules are imported from there
    file: str
    local: bool  # executed by workers of the machine that started it, on queues of its own (embedded server)
    params: str  # JSON
    labels: str  # JSON
    total: int  # jobs that users see: without groups, and without the gates of sub-flows unless one has failed
    open: int  # jobs and groups that have not ended
    warnings: int
    canceling: bool
    retention: float  # s after the end
    counts: Mapping[JobStatus, int]
    outcome: RunStatus | None = None  # of the graph, fixed before the handlers run
    semaphore: str | None = None  # the semaphore of its concurrency group
    signature: str = ""  # of its plan, see `flowq.signing`
    plan_attempt: str = ""  # attempt with which it got its present plan; empty: its first one
    sources: str = "{}"  # JSON: digests of its flow files, see `flowq.plan.sources`
    left_out: int = 0  # of `total`: jobs that were not selected
    idle_handlers: int = 0  # of `total`: handlers that were skipped because they are for another outcome
    date: str = ""  # `run.date`; empty: that of its creation
    root: str = ""  # the directory of the flow's files, where one was given
    notices: str = ""  # whom it tells (`notify`): lines of `flowq.plan.notice`
    queue_prefix: str = ""  # in front of the names of its queues in the store; of a local run its id
    schedule: str = ""  # of which slot it is, see `flowq.store.schedules`
    slot: int | None = None  # ms
    scheduled_at: str = ""  # `run.scheduled_at`: the slot in the zone of its schedule; empty: no schedule started it
    entry: str = ""  # `run.schedule`: the name of the entry in the flow's file
    cause: str = ""  # what started it: cli, api, schedule, backfill, webhook, file, flow; empty of earlier versions
    by: str = ""  # who or what that was, where it is known
    commit: str = ""  # of the repository of its flow, when it was submitted; empty: none is known
    dirty: bool = False  # whether files differed from that commit
    waits_for: str = ""  # of a queued run: the semaphore, of its schedule or its group
    bundle: str = ""  # the hash of the files that travel with it; empty: workers have its directory
    bundle_root: str = ""  # the directory whose files these are, where the run was submitted
    bundle_requires: str = ""  # a requirements file among them
    turned_away_by: str = ""  # the run that held the concurrency group when this one was turned away
    timed_out: bool = False  # its time was over, or its place in its concurrency group was taken from it

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in RUN_ENDED

    @property
    def not_needed(self) -> int:
        """How many of `total` were not to run at all; they are skipped."""
        return self.left_out + self.idle_handlers


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """One execution's outcome. `value` is the serialized return value of a success, else the text of the error."""

    type: str  # successful, failed, stopped, retried, max_retries_exceeded
    execution: int
    created_ms: int
    value: bytes | None
    started_ms: int | None = None  # of the execution
    worker: str = ""

    @property
    def error(self) -> str | None:
        """The text of the error; None of a success, and where there is none."""
        return None if self.type == "successful" or self.value is None else self.value.decode("utf-8", "replace")


@record
class Event:
    """One change of state, as written inside its transition. `job` is None for a change of the run itself."""

    seq: str  # position in the stream: ask for events after it
    at_ms: int
    run: str | None
    job: str | None
    old: str
    new: str
    reason: str | None
    execution: int
    attempt: int


@record
class LogEntry:
    """Some captured output of one execution: whole lines, unless a line was longer than the limit.

    `offset`: of its first byte in the output of the execution; None: written by a version of flowq that did not note it.
    """

    seq: str
    at_ms: int
    job: str
    execution: int
    stream: str  # "out" or "err"
    data: bytes
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class LogIndex:
    """Where the output of a job of a run is.

    Attributes:
        execution: the latest one that printed.
        written: bytes that it wrote, kept or not; None: written by a version of flowq that did not note it.
        first: position of the job's first entry in the log of its run, "0" if it is not known.
        trimmed: position up to which entries were dropped because the job printed more than is kept, "0" if none were.
    """

    execution: int
    written: int | None
    first: str
    trimmed: str


@dataclass(frozen=True, slots=True)
class Registration:
    """The data that a worker registers with."""

    name: str
    queues: tuple[str, ...]
    hostname: str
    pid: int
    slots: int = 1
    version: str = ""
    lease: float = defaults.LEASE  # s; a worker that is silent for two of them counts as dead
    nonce: str = field(default_factory=ids.nonce)  # tells it from others of the same name
    process: str = field(default_factory=processes.identity)  # see `flowq.processes`
    executor: str = ""  # which executes its jobs elsewhere
    former: str = ""  # nonce of the worker of this name that is known to be gone

    def fields(self) -> list[str | int]:
        """Return the fields of its hash and their values, flat."""
        pairs: dict[str, str | int] = {
            "queues": "\n".join(self.queues),
            "hostname": self.hostname,
            "pid": self.pid,
            "process": self.process,
            "slots": self.slots,
            "version": self.version,
            "lease": int(self.lease * 1000),
            "nonce": self.nonce,
        }
        if self.executor:
            pairs["executor"] = self.executor
        return [part for pair in pairs.items() for part in pair]


@dataclass(frozen=True, slots=True)
class WorkerRecord:
    """A worker as of its last heartbeat."""

    name: str
    queues: tuple[str, ...]
    hostname: str
    pid: int
    slots: int
    busy: int
    version: str
    started_ms: int
    beat_ms: int
    state: str  # "starting", "idle", "busy", "away", "suspended", "stopping"
    finished: int
    failed: int
    working_ms: int
    process: str = ""  # its identity (`flowq.processes`), empty where its system does not tell
    lease_ms: int = 0  # of its jobs
    executor: str = ""  # which executes its jobs; empty: it forks them


@dataclass(frozen=True, slots=True)
class QueueRecord:
    """A queue's counts at one moment."""

    name: str
    queued: int
    started: int
    deferred: int
    scheduled: int
    finished: int
    failed: int  # and stopped
    canceled: int
    skipped: int
    rate_limited: int
    workers: int


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """The state of a group's jobs at one moment. `counts` by status; jobs whose records have expired count as they ended."""

    name: str
    counts: Mapping[str, int]
    open: int  # jobs that have not ended
    coming: int  # jobs that a producer is about to add

    @property
    def complete(self) -> bool:
        """Whether every job has ended and no client is adding any."""
        return self.open <= 0 and self.coming <= 0
