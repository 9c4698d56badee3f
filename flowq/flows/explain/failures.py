"""Explanations of failed jobs, in sentences: the error, the meaning of the reason, the place in the user's code."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from flowq.durations import format_duration
from flowq.flows.views.run_view import JobView, error_line
from flowq.plan import Node
from flowq.states import JobStatus, Reason

_FRAME: Final = re.compile(r'^  File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<name>.+)$', re.MULTILINE)
_EXCEPTION: Final = re.compile(r"([A-Za-z_][\w.]*)(?::|$)")
_EXIT: Final = re.compile(r"exit code (\d+)")
_ITEM: Final = 200  # characters of an item
_KINDS: Final = 5  # of failures that are told apart
_LINE: Final = 60  # characters of an error
_NEVER_RETRIED: Final = frozenset({Reason.RUN_TIMEOUT, Reason.REJECTED, Reason.EXPIRED})
_DIRECT: Final = "The above exception was the direct cause"
_TRACEBACK: Final = re.compile(
    rf"\n\n({_DIRECT} of the following exception|During handling of the above exception, another exception occurred):\n\n"
)
"""What Python writes between the tracebacks of a chain, the first cause first."""
_LIBRARY: Final = re.compile(r"(?:^|/)(?:site-packages|dist-packages|lib(?:64)?/(?:python|pypy)\d+\.\d+)/|^<frozen ")
_FAILURES: Final = {
    Reason.ABANDONED: "its worker was lost: no heartbeat within the lease (it was killed, ran out of memory, or its machine failed)",
    Reason.MEMORY: "give it more (`resources: {memory: …}`), or let it use less",
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
        text = f"the run took longer than its timeout{limit}" + ("" if job.started_ms else f"; {progress(job)}")
    elif job.reason == Reason.REJECTED:
        text = job.error_line or "rejected"
    elif job.reason == Reason.EXPIRED:
        limit = "" if node.ttl is None else f" of {format_duration(node.ttl)}"
        text = f"it waited in queue {job.queue} longer than its ttl{limit} and was never started"
    elif job.reason == Reason.KILLED:
        details += _killed(job.error or "")
    elif job.reason in _FAILURES:
        details.append(_FAILURES[Reason(job.reason)])
    if job.item:
        details.append(f"its item is {job.item if len(job.item) <= _ITEM else job.item[: _ITEM - 1] + '…'}")
    details += error_places(job.error or "")
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


def kinds(jobs: Sequence[JobView]) -> list[str]:
    """Return how many of these failed jobs failed in which way, the most frequent first: `by kind: 27 RuntimeError, 15 memory`."""
    counts = Counter(_kind(job) for job in jobs).most_common()
    shown = [f"{count} {kind}" for kind, count in counts[:_KINDS]]
    rest = sum(count for _kind, count in counts[_KINDS:])
    return [f"by kind: {', '.join([*shown, f'{rest} others'] if rest else shown)}"]


def _kind(job: JobView) -> str:
    line = job.error_line or ""
    if job.reason != Reason.ERROR or not line:
        return (job.reason or str(job.status)).replace("_", " ")
    named = _EXCEPTION.match(line)
    return named[1] if named else line[:_LINE]


def progress(job: JobView) -> str:
    """Return how far a job had come that was ended before its end."""
    if job.started_ms is None:
        return "it had not been started"
    if job.outcome == "retried":
        return "it waited for its next attempt"
    return "it was running" if job.attempts else "it had been started"  # its worker gave it back


def _killed(error: str) -> list[str]:
    """Return what is known of a signal beyond the error's text."""
    if "killed by SIG" not in error or error.endswith(" on request"):
        return []
    cause = ": often the system does, when memory runs out" if "SIGKILL" in error else ""
    return [f"flowq did not send this signal{cause}"]


def attempts(job: JobView) -> list[str]:
    """Return which attempt it was, where there can be several."""
    return [f"attempt {job.attempts} of {job.max_attempts}"] if job.attempts > 1 or job.max_attempts > 1 else []


def error_places(text: str) -> list[str]:
    """Return where an error was raised, then its causes, the nearest first; nothing for an error without a traceback.

    A place is the innermost frame of the project, since that is what the user can change: `build.py:7 in build`. Where the exception
    comes from a library that it called, that frame follows.
    """
    *causes, last = _TRACEBACK.split(text)
    if not _FRAME.search(last):
        return []
    out = [f"raised at {_place(last)}"]
    for cause, joint in reversed(list(zip(causes[::2], causes[1::2], strict=True))):
        relation = "caused by" if joint.startswith(_DIRECT) else "while handling"
        place = _place(cause)
        out.append(f"{relation} {error_line(cause)}" + (f", raised at {place}" if place else ""))
    return out


def _place(text: str) -> str:
    """Return the place of one traceback."""
    frames = [f"{frame['file']}:{frame['line']} in {frame['name']}" for frame in _FRAME.finditer(text)]
    own = [frame for frame in frames if not _LIBRARY.search(frame)]
    if not own or own[-1] == frames[-1]:
        return frames[-1] if frames else ""
    return f"{own[-1]} (from {frames[-1]})"
