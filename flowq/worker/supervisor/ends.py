"""The ends of executions: how they are told, and the outcome of one whose horse gave none, because it was killed or died."""

from __future__ import annotations

import signal
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from flowq.plan.bulk import record
from flowq.plan.resources import describe_resources
from flowq.worker.horse import shell
from flowq.worker.horse.exit_text import killed_text
from flowq.worker.ipc.messages import failed

if TYPE_CHECKING:
    from flowq.worker.ipc.messages import Task, TaskResult

_SlotT_contra = TypeVar("_SlotT_contra", contravariant=True)

_SILENT: Final = {70: "os._exit, or the job has closed descriptors that it had not opened: its output says more"}
"""What an exit without a result may come from, by its code: that of a horse that could not tell it is `EX_SOFTWARE`."""


class KillCause(StrEnum):
    """The cause for which a slot killed its horse; reported in place of the horse's own outcome."""

    TIMEOUT = "timeout"
    CANCEL = "canceled"
    STOP = "stopped"
    FENCED = "fenced"  # the store has given the job to another worker: report nothing
    MEMORY = "memory"  # it had more than its limit
    KILL = "killed"  # a client asked to kill what runs; it is a failure like any other
    RETURNED = "returned"  # the worker stops now: the job goes back to its queue


@record
class Ended:
    """The end of an execution. `cause` is set when it was killed on purpose; `unstarted` when no horse was available."""

    outcome: TaskResult
    cause: KillCause | None = None
    unstarted: bool = False
    pid: int = 0  # of the horse, when it died without an outcome
    code: int | None = None  # and its exit code
    usage: tuple[float, ...] | None = None  # and what it and its children used: the values of `resource.struct_rusage`


class Owner(Protocol[_SlotT_contra]):
    """The owner of slots. The loop makes both calls; `ended` always comes before `freed`."""

    def ended(self, slot: _SlotT_contra, end: Ended) -> None:
        """Handle the end of the execution; the horse may still be there."""

    def freed(self, slot: _SlotT_contra) -> None:
        """Handle the release of the slot: it can take the next task."""


def hard_limit(task: Task, begun: float, grace: float) -> float | None:
    """Return the monotonic time at which a task that began at `begun` is told to end, None for no limit; `grace` (s) is what a call has to end by itself."""
    timeout = task.get("timeout")
    if timeout is None or timeout <= 0:
        return None
    soft = task["kind"] in {"call", "pickle", "callback"}
    return begun + float(timeout) + (grace if soft else 0.0)


def died(code: int | None, cause: KillCause | None, *, garbled: bool = False) -> TaskResult:
    """Return the outcome of a horse that ended without one. An exit code of 0 is no better than any other.

    Args:
        code: its exit code, None if its fork server ended with it.
        cause: why this worker killed it, None if it did not.
        garbled: whether this worker killed it because of what it told.
    """
    if code is None:
        return failed("killed", "the job's processes were killed together with the fork server they belonged to")
    if garbled:
        text = "the job's process was killed: something in it has written to a descriptor that flowq's processes talk over"
        return failed("killed", text)
    if code >= 0:
        return failed(
            "killed",
            f"the job's process exited with code {code} without a result ({_SILENT.get(code, 'os._exit, or a crash at exit')})",
            exit_code=code,
        )
    text = f"the job's process was {killed_text(-code)}"
    if -code == signal.SIGKILL and cause is None:
        text += "; this worker did not send it: the system was probably out of memory"
    elif cause is KillCause.KILL:
        text += " on request"
    return failed("killed", text, exit_code=128 - code)


def ended_by_itself(task: Task, command: tuple[int, bytes | str, str], cause: KillCause | None) -> TaskResult:
    """Return the outcome of a command that a horse has become: a TaskResult, with `note` of what it has left.

    Args:
        task: of kind `shell` or `argv`.
        command: as of `Lane.command`.
        cause: why this worker killed it, None if it did not.
    """
    code, written, left = command
    killed = code < 0 and cause is KillCause.KILL  # else it had ended by itself when it was killed
    outcome = died(code, cause) if killed else shell.judged(code, written, task["limit"])
    return {**outcome, "note": left}


def called_after(so_far: TaskResult, death: TaskResult, cause: KillCause | None) -> TaskResult:
    """Return a job's failure `so_far` if its horse died in a callback that was called for the failure."""
    how = "took too long and was killed" if cause is KillCause.TIMEOUT else f"did not come back: {death['error']}"
    return {**so_far, "error": f"{so_far['error']}\n\nWhat was called for this failure {how}"}


def judged(task: Task, outcome: TaskResult, cause: KillCause | None) -> TaskResult:
    """Return the outcome to report of a task that this worker has killed for `cause`: that decides, whatever its horse says."""
    if cause is KillCause.MEMORY:
        asked = describe_resources({"memory": task["memory"]})
        text = f"the job was killed: its processes had more than it asks for (`resources`: {asked})"
        return failed("memory", text, exit_code=outcome.get("exit_code"))
    if cause is not KillCause.TIMEOUT or outcome.get("reason") == "timeout":
        return outcome
    text = f"the job ran longer than its timeout of {float(task['timeout']):g} s and was killed"
    return failed("timeout", text, exit_code=outcome.get("exit_code"))


def not_begun(begin: float | None, limit: float, threads: int) -> TaskResult:
    """Return the outcome of an execution whose process was killed before it had read its task.

    Args:
        begin: the seconds that the process had for it, None if there was no process.
        limit: the seconds that its fork server had to give a process.
        threads: how many the program had that the fork server is a copy of, 0 for none.
    """
    late = f"the copy of the program that jobs are forked from did not answer within {limit:g} s"
    if begin is not None:
        late = f"the job's process did not begin within {begin:g} s"
    text = f"{late} and was killed"
    others = threads - 1
    if others > 0:
        text += (
            f": the program had {others} other thread{'s' if others > 1 else ''} when its worker copied it, and a lock that one of them"
            " held stays locked in the copy. Call work() before threads are started, or use SpawnWorker or `flowq worker`"
        )
    return failed("killed", text)


def not_started(executor: str, limit: float) -> TaskResult:
    """Return the outcome of an execution that an executor has not begun within its `start_timeout`, in seconds."""
    return failed("timeout", f"executor {executor} did not start the job within its start_timeout of {limit:g} s")
