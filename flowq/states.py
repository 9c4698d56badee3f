"""The vocabulary of states: the statuses of jobs and runs, their reasons, and the transitions between them.

Everything that names a status uses these enums: the YAML reader, the store, the command line and the JSON output. `TRANSITIONS`
is the state machine itself, one row per edge; the Lua files state the same rows in their headers and a test holds the two together.
"""

from enum import StrEnum
from typing import Final


class JobStatus(StrEnum):
    """The status of one job. A plain string in the store, in JSON and under `str()`."""

    CREATED = "created"
    QUEUED = "queued"
    STARTED = "started"
    DEFERRED = "deferred"
    SCHEDULED = "scheduled"
    RATE_LIMITED = "rate_limited"  # of plain jobs: waits for its `RateLimit`, in no queue
    FINISHED = "finished"
    FAILED = "failed"
    STOPPED = "stopped"
    CANCELED = "canceled"
    SKIPPED = "skipped"


ENDED: Final = frozenset({JobStatus.FINISHED, JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED, JobStatus.SKIPPED})
"""Statuses that no worker and no clock leaves again; only a requeue (of the job, or of one that it depends on) or the retry of a run does."""


LETTERS: Final = {
    "n": JobStatus.CREATED,
    "d": JobStatus.DEFERRED,
    "w": JobStatus.SCHEDULED,
    "q": JobStatus.QUEUED,
    "l": JobStatus.RATE_LIMITED,
    "r": JobStatus.STARTED,
    "f": JobStatus.FINISHED,
    "F": JobStatus.FAILED,
    "a": JobStatus.FAILED,  # which was allowed
    "S": JobStatus.STOPPED,
    "A": JobStatus.STOPPED,  # likewise
    "c": JobStatus.CANCELED,
    "s": JobStatus.SKIPPED,
    "-": None,  # the record has expired
}
"""What `run/read_statuses` answers with for each job."""


class RunStatus(StrEnum):
    """The status of a run: `queued` waits for its concurrency group, `running` has open jobs, the others are ends.

    `skipped`: its concurrency group was taken, and its `on_conflict` is `skip`. Nothing of it was executed, no handler either.
    """

    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELED = "canceled"
    SKIPPED = "skipped"


RUN_ENDED: Final = frozenset({RunStatus.FINISHED, RunStatus.FAILED, RunStatus.CANCELED, RunStatus.SKIPPED})


CAUSES: Final = ("cli", "api", "schedule", "backfill", "webhook", "file", "flow")
"""What starts a run: a command, a program, or something of a schedule or trigger."""


class Condition(StrEnum):
    """The condition of a graph edge on its parent (`depends_on: {parent: condition}`)."""

    SUCCESS = "success"  # finished, or failed but allowed to
    OK = "ok"  # success, or skipped
    FAILURE = "failure"  # failed (not allowed) or stopped
    SKIPPED = "skipped"
    DONE = "done"  # any end


RAN: Final = "ran"
"""A condition of plain jobs only (`Dependency(allow_failure=True)`): the parent succeeded or failed, but was not canceled or skipped."""


class Reason(StrEnum):
    """Why a job has the status it has."""

    # of skipped
    IF_FALSE = "if_false"
    UPSTREAM_FAILED = "upstream_failed"
    UPSTREAM_SKIPPED = "upstream_skipped"
    UPSTREAM_CANCELED = "upstream_canceled"
    UPSTREAM_FINISHED = "upstream_finished"  # a `failure` or `skipped` edge whose parent succeeded
    NOT_SELECTED = "not_selected"  # a handler that does not fit the outcome
    FAIL_FAST = "fail_fast"  # also of canceled: it was running when another job failed
    # of failed
    ERROR = "error"
    TIMEOUT = "timeout"
    RUN_TIMEOUT = "run_timeout"
    EXPIRED = "expired"
    ABANDONED = "abandoned"
    KILLED = "killed"
    MEMORY = "memory"  # it had more than it asked for
    INVALID_RESULT = "invalid_result"
    REJECTED = "rejected"  # an approval: by a person, or because it timed out
    # of canceled
    CANCELED = "canceled"
    RUN_CANCELED = "run_canceled"
    # of finished
    CACHED = "cached"  # an earlier result was taken over
    # of queued and scheduled
    REPEAT = "repeat"
    # of waiting jobs (stored of those that wait, deferred, for something else than other jobs)
    APPROVAL = "approval"
    CONCURRENCY = "concurrency"  # also of the jobs of a run that its concurrency group did not let in
    MAX_PARALLEL = "max_parallel"
    # of waiting jobs (computed by the views, never stored)
    DEPENDENCIES = "dependencies"
    RETRY = "retry"
    DELAY = "delay"
    NO_WORKER = "no_worker"
    SUSPENDED = "suspended"


UPSTREAM: Final = frozenset(
    {Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.UPSTREAM_CANCELED, Reason.UPSTREAM_FINISHED}
)
"""Reasons of jobs that were skipped because of how another one ended."""

TRANSITIONS: Final[dict[str, frozenset[tuple[str, str]]]] = {
    # the Lua file below flowq/store/lua -> the edges (from, to) it may take; "-" is "does not exist".
    "job/create": frozenset({("-", "queued"), ("-", "deferred"), ("-", "scheduled"), ("-", "skipped"), ("-", "rate_limited")}),
    "job/create_draft": frozenset({("-", "created")}),
    "run/upload_jobs": frozenset({("-", "deferred")}),
    "job/claim": frozenset(("queued", to) for to in ("started", "failed", "canceled", "skipped", "deferred", "rate_limited")),
    "job/claim_by_id": frozenset({("queued", "started"), ("scheduled", "started")}),
    "job/return_claim": frozenset(("started", to) for to in ("queued", "canceled", "failed", "deferred", "rate_limited")),
    "job/finish": frozenset(
        {
            ("started", "finished"),
            ("started", "failed"),
            ("started", "stopped"),
            ("started", "canceled"),
            ("started", "scheduled"),
            ("started", "queued"),
            ("started", "deferred"),  # retries are left, but other jobs hold its semaphores
            ("started", "rate_limited"),  # likewise
            ("queued", "started"),  # its execution was taken for lost, and no other one has been begun
            ("scheduled", "started"),  # likewise
        }
    ),
    "worker/heartbeat": frozenset({("queued", "started"), ("scheduled", "started")}),  # likewise
    "job/release_dependents": frozenset(
        {
            ("deferred", "queued"),
            ("deferred", "scheduled"),
            ("deferred", "rate_limited"),
            ("rate_limited", "queued"),
            ("skipped", "deferred"),  # a plain job that it depends on was requeued
            ("deferred", "skipped"),
            ("deferred", "canceled"),
            ("deferred", "finished"),  # a join point or a group: nothing to execute
            ("deferred", "failed"),  # out of time with its run (and a group of which a cell failed)
            # a run must stop:
            *((waiting, to) for waiting in ("queued", "scheduled") for to in ("skipped", "canceled", "failed")),
            ("-", "deferred"),  # the cells of a foreach
        }
    ),
    "job/resolve_conditions": frozenset(
        ("deferred", to) for to in ("queued", "skipped", "failed", "finished", "scheduled", "canceled")
    ),
    # a foreach becomes a group of cells; with an empty list it ends
    "job/expand_foreach": frozenset({("deferred", "-"), ("-", "deferred"), ("deferred", "finished")}),
    "job/approve": frozenset({("deferred", "finished"), ("deferred", "failed")}),
    "job/time_out_approval": frozenset({("deferred", "failed")}),
    "job/promote_scheduled": frozenset({("scheduled", "queued"), ("scheduled", "deferred"), ("scheduled", "rate_limited")}),
    "job/reap_expired_lease": frozenset(
        {
            ("started", "queued"),
            ("started", "scheduled"),
            ("started", "failed"),
            ("started", "canceled"),
            ("started", "stopped"),
            ("started", "deferred"),
            ("started", "rate_limited"),
        }
    ),
    "job/expire_queued": frozenset({("queued", "failed")}),
    "job/cancel": frozenset(
        (waiting, "canceled") for waiting in ("created", "queued", "deferred", "scheduled", "rate_limited")
    ),
    "job/requeue": frozenset(
        (ended, to) for ended in ("failed", "stopped", "canceled", "finished", "skipped") for to in ("queued", "rate_limited")
    ),
    "run/retry": frozenset(
        {
            ("failed", "deferred"),
            ("stopped", "deferred"),
            ("canceled", "deferred"),
            ("skipped", "deferred"),
            ("finished", "deferred"),
        }
    ),
    "job/delete": frozenset({(str(status), "-") for status in JobStatus}),
}
"""The state machine: every legal change of a job's status, by the transition that makes it."""
