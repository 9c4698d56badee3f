"""Words for statuses, reasons, durations and times, shared by tables, event lines and the live display."""

import shlex
from datetime import UTC, datetime
from typing import Final

from flowq.flows.views.run_view import JobView, RunView
from flowq.flows.views.text import plural, safe_line
from flowq.ids import split_member_id
from flowq.plan import Cell, Plan, Selection
from flowq.plan.foreach import foreach_counts
from flowq.slots.timezones import time_in
from flowq.states import JobStatus, Reason

_ITEM: Final = 80  # characters of an item
_PARENTS: Final = 3  # names of jobs before a foreach

WORDS: Final = {
    JobStatus.CREATED: ("created", "dim"),
    JobStatus.DEFERRED: ("waiting", "dim"),
    JobStatus.SCHEDULED: ("waiting", "warn"),
    JobStatus.RATE_LIMITED: ("waiting", "warn"),
    JobStatus.QUEUED: ("queued", ""),
    JobStatus.STARTED: ("running", "busy"),
    JobStatus.FINISHED: ("finished", "good"),
    JobStatus.FAILED: ("failed", "badbold"),
    JobStatus.STOPPED: ("stopped", "badbold"),
    JobStatus.CANCELED: ("canceled", "warn"),
    JobStatus.SKIPPED: ("skipped", "dim"),
}
"""Word and style of each status. Several kinds of waiting share one word."""

_SYMBOLS: Final = {
    JobStatus.CREATED: "·.",
    JobStatus.DEFERRED: "·.",
    JobStatus.SCHEDULED: "◷~",
    JobStatus.RATE_LIMITED: "◷~",
    JobStatus.QUEUED: "○o",
    JobStatus.STARTED: "▶>",
    JobStatus.FINISHED: "✔+",
    JobStatus.FAILED: "✖x",
    JobStatus.STOPPED: "✖x",
    JobStatus.CANCELED: "⊘/",
    JobStatus.SKIPPED: "↷-",
}

_REASONS: Final = {
    "if_false": "its `if` was false",
    "upstream_failed": "a job before it failed",
    "upstream_skipped": "a job before it was skipped",
    "upstream_canceled": "a job before it was canceled",
    "upstream_finished": "no job before it failed",
    "not_selected": "not selected",
    "fail_fast": "another job failed (fail_fast)",
    "run_canceled": "the run was canceled",
    "canceled": "",
    "run_timeout": "the run's time was over",
    "concurrency": "the concurrency group is full",
    "error": "",
    "retry": "",
    "delay": "",
}


_HANDLES: Final = {
    "success": "when the run succeeds",
    "failure": "when the run fails",
    "cancel": "when the run is canceled",
}
"""The outcomes that the handlers of a phase are for."""


def symbol(status: JobStatus | None, *, unicode: bool) -> str:
    """Return the one-cell mark of a status."""
    return "?" if status is None else _SYMBOLS[status][0 if unicode else 1]


def word(status: JobStatus | None, *, damaged: bool = False, goes_on: bool = False) -> tuple[str, str]:
    """Return the word for a status and its style. `goes_on`: it is that of several jobs of which some have not ended."""
    if status is None:
        return ("damaged", "warn") if damaged else ("expired", "dim")
    if goes_on and status in {JobStatus.FAILED, JobStatus.STOPPED}:
        return "failing", WORDS[status][1]
    return WORDS[status]


def reason_text(reason: str | None) -> str:
    """Return a stored reason in words; an empty string if the status needs none."""
    return "" if not reason else safe_line(_REASONS.get(reason, reason.replace("_", " ")))


def item_text(job: JobView) -> str:
    """Return the item of a failed cell of a foreach, shortened; "" if there is none."""
    if not job.item:
        return ""
    return f"item {safe_line(job.item if len(job.item) <= _ITEM else job.item[: _ITEM - 1] + '…')}"


def note(job: JobView, now_ms: int, *, local: bool = True) -> str:
    """Return the note beside a job: the cause of its status, in few words, and why its record cannot be read.

    Args:
        job: the job.
        now_ms: the time.
        local: the run has its own worker, whose name means nothing to users.
    """
    if not job.damaged:
        return _note(job, now_ms, local=local)
    told = "" if job.status is None else _note(job, now_ms, local=local)
    return "; ".join(part for part in (told, safe_line(job.damaged.replace(f"job {job.id}", "this job", 1))) if part)


def _note(job: JobView, now_ms: int, *, local: bool) -> str:
    match job.status:
        case None:
            return "its record has expired"
        case JobStatus.DEFERRED:
            return _deferred_note(job)
        case JobStatus.SCHEDULED:
            return _scheduled_note(job, now_ms)
        case JobStatus.QUEUED:
            if job.reason == Reason.SUSPENDED:
                return "workers are suspended"
            return f"no worker on queue {safe_line(job.queue)}" if job.reason == Reason.NO_WORKER else ""
        case JobStatus.FAILED | JobStatus.STOPPED:
            return _failed_note(job)
        case JobStatus.STARTED:
            return ", ".join(part for part in (_attempt_note(job), _place(job, local=local)) if part)
        case JobStatus.FINISHED:
            return _finished_note(job)
        case _:
            return _skipped_note(job)


def _deferred_note(job: JobView) -> str:
    if job.reason == Reason.APPROVAL:
        message = job.approval.message if job.approval is not None else ""
        return f"approval: {safe_line(message)}" if message else "approval"
    if job.reason == Reason.CONCURRENCY and not job.semaphores:
        return "the run waits for its turn"
    if job.reason not in {None, Reason.DEPENDENCIES}:
        return reason_text(job.reason)
    if job.waits_for:
        return f"for {', '.join(safe_line(name) for name in job.waits_for)}"
    return "for the end of the jobs" if job.phase else "to be released"


def _scheduled_note(job: JobView, now_ms: int) -> str:
    wait = "" if job.due_ms is None else f" in {took(max(0, job.due_ms - now_ms) / 1000)}"
    if job.reason != Reason.RETRY:
        return f"delay, starts{wait}" if wait else "delay"
    after = f", after: {safe_line(job.error_line)}" if job.error_line else ""
    return f"attempt {job.attempts + 1} of {job.max_attempts}{wait}{after}"


def _skipped_note(job: JobView) -> str:
    """Return the reason; of a handler for another outcome, which one it is for."""
    if job.is_idle_handler:
        return f"only {_HANDLES[job.phase]}"
    return reason_text(job.reason)


def with_reason(reason: str | None, error: str) -> str:
    """Return an error after its reason in words, unless it begins with it."""
    named = reason_text(reason)
    if not named or error.lower().startswith(named):
        return error
    return f"{named}: {error}" if error else named


def _failed_note(job: JobView) -> str:
    """Return the cause, its most important part first: a narrow terminal cuts the end."""
    why = with_reason(job.reason, error_text(job))
    attempts = f"(attempt {job.attempts} of {job.max_attempts})" if job.attempts > 1 else ""
    return " ".join(part for part in ("allowed:" if job.allowed else "", why, attempts) if part)


def error_text(job: JobView) -> str:
    """Return the most important line of a job's error; an empty string if the job ended because its run did."""
    return "" if job.reason == Reason.RUN_TIMEOUT else safe_line(job.error_line or "")


def _place(job: JobView, *, local: bool) -> str:
    if job.lane is not None:
        return f"slot {job.lane}"
    return "" if local or not job.worker else f"on {safe_line(job.worker)}"


def _finished_note(job: JobView) -> str:
    """Return the use of the cache and the number of attempts."""
    attempts = f"attempt {job.attempts}" if job.attempts > 1 else ""
    if job.cache is None:
        return attempts or reason_text(job.reason)
    told = f"{reason_text(job.reason) if job.cache.hit else 'ran'}: {safe_line(job.cache.reason)}"
    return ", ".join(part for part in (told, attempts) if part)


def _attempt_note(job: JobView) -> str:
    return f"attempt {job.attempts} of {job.max_attempts}" if job.attempts > 1 else ""


def took(seconds: float | None) -> str:
    """Return a duration in at most seven cells: `0.12s`, `12.3s`, `2m05s`, `1h02m`, `3d04h`; nothing for None."""
    if seconds is None:
        return ""
    if seconds < 9.995:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86400}d{whole % 86400 // 3600:02d}h"


def damaged_commands(run: RunView) -> list[tuple[str, str]]:
    """Return what to do about records that cannot be read: jobs of a run that has ended can be written again by a retry."""
    if not run.ended or not (damaged := [job for job in run.jobs if job.damaged]):
        return []
    if any(job.status is None for job in damaged):
        return [(f"flowq delete {run.id}", "a record without its status cannot be mended: run the flow again")]
    return [
        (f"flowq retry {run.id} --job {shlex.quote(safe_line(job.name))}", "writes its damaged record again") for job in damaged
    ]


def approval_command(job: JobView) -> str:
    """Return the command that approves a job."""
    return f"flowq approve {split_member_id(job.id)[0]} {shlex.quote(safe_line(job.name))}"


def clock(at_ms: int | None, zone: str = "UTC") -> str:
    """Return a readable time: `2026-01-31 06:00:00 UTC`; of another zone with its distance to UTC: `2026-01-31 07:00:00+01:00`."""
    if at_ms is None:
        return ""
    if zone == "UTC":
        return f"{datetime.fromtimestamp(at_ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return time_in(at_ms // 1000 * 1000, zone)


def clock_width(zone: str) -> int:
    """Return the characters of a time in a zone."""
    return len(clock(0, zone))


def count_text(plan: Plan) -> str:
    """Return the number of selected jobs of a plan: `7 jobs`, `2 of 7 jobs`, `7 jobs, 1 with foreach`."""
    foreach, added = foreach_counts(plan)
    selected, every = (sum(1 for _ in cells) - added for cells in (plan.selected_jobs(), plan.shown_jobs()))
    return _counted(selected, every, foreach)


def run_count_text(run: RunView) -> str:
    """Return the number of jobs of a run, counted as those of its plan: `7 jobs, 1 with foreach (16 with its cells)`."""
    text = _counted(len(run.selected_jobs) - run.added, len(run.jobs) - run.added, run.foreach)
    return text + (f" ({len(run.selected_jobs)} with {'its' if run.foreach == 1 else 'their'} cells)" if run.added else "")


def foreach_text(plan: Plan, cell: Cell) -> str:
    """Return the list of a foreach, and when its cells are known."""
    node = plan.node_of(cell)
    if node.foreach is None:
        return ""
    parents = [safe_line(name) for name, _condition in plan.shown_parents(cell)]
    names = ", ".join(parents[:_PARENTS]) + (f" and {len(parents) - _PARENTS} more" if len(parents) > _PARENTS else "")
    when = f"when {names} {'has' if len(parents) == 1 else 'have'} finished" if parents else "when the run begins"
    return f"foreach {safe_line(node.foreach)}, known {when}"


def _counted(selected: int, every: int, foreach: int) -> str:
    part = "" if selected == every else f"{selected} of "
    return part + plural(every, "job") + (f", {foreach} with foreach" if foreach else "")


def selection_text(selection: Selection) -> str:
    """Return a selection in words: `only build, stage test, publish with what it needs; the rest …`, `without lint, …`."""
    parts = [*selection.jobs, *(f"stage {name}" for name in selection.stages)]
    parts += [f"{name} with what it needs" for name in selection.until]
    left = ", ".join(selection.without)
    if not parts:
        return safe_line(f"without {left}, not selected")
    return safe_line(f"only {', '.join(parts)}{f' without {left}' if left else ''}; the rest of the flow was not selected")
