"""Plain jobs on the supervisor's side: from a claim to a task, and what follows the death of a horse."""

import logging
import os
from typing import TYPE_CHECKING, Final

from flowq import defaults, signing
from flowq.durations import NEVER, from_milliseconds
from flowq.exceptions import SignatureError
from flowq.states import Reason
from flowq.store.schema.outcomes import Claim
from flowq.worker.ipc.messages import failed
from flowq.worker.supervisor.ends import Ended, KillCause

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from flowq.worker.ipc.messages import Task
    from flowq.worker.options import WorkerOptions

_log = logging.getLogger("flowq.worker")

LOST: Final = Ended(
    failed(Reason.ABANDONED.value, "the worker that executed this job was lost (no heartbeat within the lease)")
)
"""The outcome of an execution whose worker was lost, for its callback."""

_TRAVELS: Final = ("serializer", "on_success", "on_failure")  # fields of the job that the horse needs


def timeout_of(fields: "Mapping[str, str | bytes | int]") -> float:
    """Return the seconds that one execution of a plain job may take, by the fields of its record; `NEVER` is without a limit."""
    stored = fields.get("timeout")
    return defaults.JOB_TIMEOUT if stored is None else from_milliseconds(str(stored))


def unreadable(job: str, error: Exception) -> str:
    """Return the error of a job whose stored fields are not what flowq wrote."""
    return f"what is stored of job {job} cannot be read: {type(error).__name__}: {error}"


def plain_task(claim: Claim, options: "WorkerOptions | None" = None) -> "Task":
    """Return the task of a plain job. Modules are looked for in the worker's directory too, unless the worker is a clone.

    Raises:
        SignatureError: the job is not signed with the key that is set here.
        ValueError: a field is not what flowq wrote.
    """
    timeout = timeout_of(claim.fields)
    task: Task = {
        "id": claim.id,
        "name": claim.fields.get("description") or claim.id,
        "run": None,
        "attempt": claim.attempt,
        "execution": claim.execution,
        "timeout": None if timeout == NEVER else timeout,
        "limit": defaults.MAX_RESULT,
        "kind": "pickle",
        "payload": signing.unseal_call(claim.payload or b"", claim.id, claim.fields),
    }
    if options is not None and options.allow:
        task["allow"] = list(options.allow)
    if options is not None and not options.clone:
        task["path"] = list(options.path) or [os.getcwd()]
        if options.hooks:
            task["hooks"] = dict(options.hooks)
    for name in _TRAVELS:
        if name in claim.fields:
            task[name] = claim.fields[name]
    return task


def callback_task(claim: Claim, end: Ended, options: "WorkerOptions") -> "Task | None":
    """Return the task that makes up for a callback which the job's own horse could not call any more, None for none."""
    if claim.run is not None:
        return None
    stopped = end.cause is KillCause.STOP
    died = end.cause in {None, KillCause.TIMEOUT, KillCause.KILL} and end.outcome.get("outcome") == "failed"
    which = "on_stopped" if stopped else "on_failure"
    callback = claim.fields.get(which)
    if not callback or not (stopped or (died and not end.unstarted and not end.outcome.get("called"))):
        return None
    try:
        task = plain_task(claim, options)
        seconds = from_milliseconds(callback.rpartition("|")[2])
    except SignatureError:
        return None  # then its callbacks are not to be trusted either
    except ValueError as error:
        _log.warning("its callback %s is not called: %s", which, unreadable(claim.id, error))
        return None
    return {
        **task,
        "kind": "callback",
        "which": which,
        "callback": callback,
        "reason": end.outcome.get("reason", ""),
        "error": end.outcome.get("error", ""),
        "timeout": seconds,
    }


def tell_death(killed: "Callable[[str, Ended], object] | None", claim: Claim, end: "Ended") -> None:
    """Call the user's handler for the horse of a plain job that died."""
    if killed is None or not end.pid or claim.run is not None:
        return
    try:
        killed(claim.id, end)
    except Exception:  # noqa: BLE001 - the user's own code; the worker continues
        _log.exception("job %s: work_horse_killed_handler failed", claim.id)
