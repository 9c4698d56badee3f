"""Explanations of failed jobs, in sentences: the error, the meaning of the reason, the place in the user's code."""

import re
from typing import Final

from flowq.durations import format_duration
from flowq.flows.views.run_view import JobView
from flowq.plan import Node
from flowq.states import JobStatus, Reason

_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)$', re.MULTILINE)
_EXCEPTION: Final = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")
_EXIT: Final = re.compile(r"exit code (\d+)")
_NEVER_RETRIED: Final = frozenset({Reason.RUN_TIMEOUT, Reason.REJECTED, Reason.EXPIRED})
_FAILURES: Final = {
    Reason.ABANDONED: "its worker was lost: no heartbeat within the lease (it was killed, ran out of memory, or its machine failed)",
    Reason.KILLED: "killed by a signal that flowq did not send: the machine was probably out of memory",
    Reason.INVALID_RESULT: "it ran, but its return value cannot be stored as a result",
}


def failure(job: JobView, node: Node, *, run_timeout: float | None = None) -> tuple[str, list[str]]:
    """Return how a job failed: the sentence that says most, and further facts. `run_timeout` is that of its run, in seconds."""
    details: list[str] = []
    text = job.error_line or "failed"
    if job.status is JobStatus.STOPPED:
        text = "it was stopped"
    elif job.reason == Reason.TIMEOUT:
        limit = "" if node.timeout is None else f" of {format_duration(node.timeout)}"
        text = f"it took longer than its timeout{limit}"
    elif job.reason == Reason.RUN_TIMEOUT:
        limit = "" if run_timeout is None else f" of {format_duration(run_timeout)}"
        text = f"the run took longer than its timeout{limit}" + ("" if job.attempts else "; it had not been started")
    elif job.reason == Reason.REJECTED:
        text = job.error_line or "rejected"
    elif job.reason == Reason.EXPIRED:
        limit = "" if node.ttl is None else f" of {format_duration(node.ttl)}"
        text = f"it waited in queue {job.queue} longer than its ttl{limit} and was never started"
    elif job.reason in _FAILURES:
        details.append(_FAILURES[Reason(job.reason)])
    if job.error and (place := error_place(job.error)):
        details.append(f"raised at {place}")
    if job.allowed:
        details.append("it is allowed to fail: its dependents continue")
    if (not_retried := _not_retried(job, node)) is not None:
        details.append(not_retried)
    if job.worker:
        details.append(f"on worker {job.worker}")
    return text, [*details, *attempts(job)]


def _not_retried(job: JobView, node: Node) -> str | None:
    """Return why a job with retries left was not retried: its failure is no cause in `retry.on`."""
    if node.retry is None or not node.retry.on or not 0 < job.attempts < job.max_attempts or job.status is not JobStatus.FAILED:
        return None
    if job.reason in _NEVER_RETRIED:
        return None
    named = _EXCEPTION.match(job.error_line or "")
    exited = _EXIT.match(job.error_line or "")
    found = job.reason if job.reason in (Reason.TIMEOUT, Reason.ABANDONED) else None
    what = found or (f"exit code {exited[1]}" if exited else named[1] if named else "this failure")
    return f"not retried: {what} is not in `on: [{', '.join(cause.removeprefix('exit:') for cause in node.retry.on)}]`"


def attempts(job: JobView) -> list[str]:
    """Return which attempt it was, where there can be several."""
    return [f"attempt {job.attempts} of {job.max_attempts}"] if job.attempts > 1 or job.max_attempts > 1 else []


def error_place(text: str) -> str:
    """Return where an error was raised, `build.py:7 in build`: the innermost frame of the last traceback; else nothing."""
    frames = list(_FRAME.finditer(text.rpartition("Traceback (most recent call last)")[2]))
    return f"{frames[-1]['file']}:{frames[-1]['line']} in {frames[-1]['name']}" if frames else ""
