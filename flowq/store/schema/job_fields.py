"""The fields of a job's hash: name, type, unit, writers and meaning. A test holds the Lua files and every stored job to this table.

Writers are `client` (the producer of a plain job), `submit` (the submission of a run) and Lua files. Times are in milliseconds, a
duration or a point in time by the server's clock since the epoch. A field that is absent has no value: there are no empty texts.
"""

from dataclasses import dataclass
from typing import Final, Literal

Type = Literal["text", "integer", "number", "flag", "json"]
Unit = Literal["", "ms", "ms since the epoch"]


@dataclass(frozen=True, slots=True)
class JobField:
    """One field. A flag is "1" where it holds and absent where it does not."""

    type: Type
    written_by: str  # names, separated by blanks
    meaning: str
    unit: Unit = ""


_EPOCH: Final = "ms since the epoch"

FIELDS: Final[dict[str, JobField]] = {
    # -- every job
    "status": JobField("text", "job/create_draft run/upload_jobs lib/foreach lib/status", "see flowq.states.JobStatus"),
    "reason": JobField("text", "lib/status", "why it has this status, see flowq.states.Reason"),
    "queue": JobField("text", "job/create job/create_draft submit", "name of its queue"),
    "kind": JobField(
        "text", "submit lib/foreach job/expand_foreach", "group, foreach, join or approval; absent for what is executed"
    ),
    "priority": JobField("integer", "submit", "higher is claimed first"),
    "rank": JobField(
        "integer", "submit", "steps of its way to the end of the run: of the jobs of its run that wait, the highest goes first"
    ),
    "front": JobField("flag", "job/create job/create_draft job/requeue submit", "goes to the front of its queue"),
    "pending": JobField(
        "integer",
        "submit job/create lib/parents lib/revival job/release_dependents lib/run_walks job/expand_foreach lib/foreach",
        "edges that are not decided; of a group, cells that have not ended",
    ),
    "enqueued_at": JobField("integer", "lib/status lib/set_back", "when it was last queued", _EPOCH),
    "started_at": JobField("integer", "job/claim", "when its latest execution began", _EPOCH),
    "ended_at": JobField(
        "number", "job/finish lib/job_end lib/retry lib/set_back", "when its latest execution, or the job, ended", _EPOCH
    ),
    "due": JobField("number", "lib/status lib/set_back", "when a scheduled job goes into its queue", _EPOCH),
    "ttl": JobField("integer", "client submit", "how long it may wait in its queue", "ms"),
    # -- executions
    "token": JobField("text", "job/claim job/create", "<number of the execution>-<claim id>; the fence"),
    "worker": JobField("text", "job/claim", "name of the worker of the latest execution"),
    "gaps": JobField(
        "text",
        "lib/outages",
        "<outages by which its lease was moved since its worker's last heartbeat> <token of that execution>",
    ),
    "attempt": JobField("integer", "job/claim job/finish job/requeue lib/run_walks", "attempts charged so far"),
    "outcome": JobField(
        "text",
        "job/create job/finish job/reap_expired_lease",
        "how the latest execution ended: an end, retried, exceeded, lost, unclaimed",
    ),
    "exit_code": JobField("integer", "job/finish", "exit code of the latest execution"),
    "unlisted": JobField(
        "flag", "job/finish job/unlist", "it has ended and is in no registry: taken out, or its worker lists no failures"
    ),
    "allowed": JobField("flag", "job/finish lib/job_end", "it failed, and was allowed to"),
    "retry": JobField("text", "client submit", "<max>|<ms>,<ms>,…|<jitter in %>|<front 0 or 1>, see lib/retry", "ms"),
    "retry_lost": JobField("integer", "submit", "0: an execution whose worker is lost is not retried"),
    "returns": JobField("integer", "job/finish", "attempts that ended by returning Retry"),
    "cancel": JobField("integer", "job/cancel lib/run_cancellation", "request to its worker: 1 cancel, 2 stop"),
    "cancel_only": JobField("integer", "job/cancel", "number of the only execution that `cancel` is meant for"),
    "cancel_reason": JobField("text", "lib/run_cancellation", "reason of the cancellation by its run"),
    "request": JobField("text", "job/cancel job/requeue", "nonce of the latest request that it carried out"),
    "cache": JobField("json", "job/finish", "the cache's reason for the latest execution, shown to users"),
    "artifacts": JobField("flag", "lib/artifacts", "its latest execution has left files"),
    "logged": JobField("text", "job/append_logs", "<execution>:<number of its latest log entry>"),
    "log_bytes": JobField("integer", "job/append_logs", "size of its stored output in bytes, to limit it"),
    "log_written": JobField(
        "integer", "job/append_logs", "bytes that its latest execution with output has written, kept or not; -1: not counted"
    ),
    "log_first": JobField("text", "job/append_logs", "id of its first entry in the log of its run"),
    "log_trimmed": JobField("text", "job/append_logs", "id of the last log entry that was searched for output over the limit"),
    # -- semaphores and rate limits
    "semaphores": JobField(
        "text", "client submit job/resolve_conditions", "one line <max> <name> for each, see lib/semaphores"
    ),
    "base_semaphores": JobField("text", "submit", "the semaphores that hold before its concurrency group is evaluated"),
    "rate_limit": JobField("text", "client", "<concurrency>|<rate>|<period>, see lib/rate_limits", "ms"),
    "parked": JobField("number", "lib/semaphores", "its place among the jobs that wait for its semaphores"),
    # -- plain jobs
    "nonce": JobField("text", "job/create job/create_draft", "identifies the request that created it"),
    "created_at": JobField("integer", "job/create job/create_draft", "when it was created", _EPOCH),
    "not_before": JobField("integer", "job/create", "time before which it is not queued", _EPOCH),
    "timeout": JobField("integer", "client", "how long one execution may take, -1 without a limit", "ms"),
    "result_ttl": JobField(
        "integer", "client job/finish", "how long its record is kept after a success, -1 without a limit", "ms"
    ),
    "failure_ttl": JobField("integer", "client", "how long its record is kept after a failure, -1 without a limit", "ms"),
    "description": JobField("text", "client", "the text shown in place of its call"),
    "call": JobField("text", "client", "its call as text, so that it can be shown without decoding arguments"),
    "serializer": JobField("text", "client", "the serializer of its call and result"),
    "repeat": JobField("text", "client", "<times>|<ms>,<ms>,…: repetitions after a success", "ms"),
    "repeated": JobField("integer", "job/finish", "repetitions so far"),
    "on_success": JobField("text", "client", "callback: <function>|<timeout>", "ms"),
    "on_failure": JobField("text", "client", "callback: <function>|<timeout>", "ms"),
    "on_stopped": JobField("text", "client", "callback: <function>|<timeout>", "ms"),
    "webhooks": JobField("text", "client", "one line <status> <timeout> <JSON> for each", "ms"),
    "func": JobField("text", "client", "name of its function, where webhooks report it"),
    "sync": JobField("flag", "client", "created in sync mode: its dependents are executed by the same process"),
    "group_id": JobField("text", "job/create job/create_draft", "name of its group"),
    "waiters": JobField("integer", "job/await_result", "clients that wait for its result"),
    "pending_callbacks": JobField(
        "integer",
        "job/reap_expired_lease lib/job_end",
        "failure callbacks of lost executions that are not called yet",
    ),
    # -- edges of plain jobs
    "has_dependents": JobField(
        "flag",
        "job/create lib/parents run/upload_jobs lib/foreach lib/redefinition",
        "it has dependents (a job of a run: edges to others)",
    ),
    "open_dependents": JobField(
        "integer", "lib/parents lib/job_end", "dependents that have not ended; the record is kept for them"
    ),
    "parents_released": JobField("flag", "lib/job_end", "it has ended once and holds its parents' records no more"),
    "settled": JobField("integer", "job/release_dependents lib/parents lib/revival", "edges to dependents that are decided"),
    "inherited": JobField("integer", "job/create", "edges that were decided for an earlier job with its id"),
    "revived": JobField("integer", "lib/revival", "how often it waited again after it had been skipped"),
    "earlier_ends": JobField(
        "text",
        "job/release_dependents",
        "earlier ends whose edges are not all decided: <status>|<1 if allowed, 2 more if requeued>|<edges until here>;…",
    ),
    "verdict": JobField("text", "submit lib/run_walks", "reason for which it is skipped as soon as its turn comes"),
    # -- jobs of runs
    "run": JobField("text", "run/upload_jobs lib/foreach", "id of its run"),
    "plan": JobField(
        "integer", "lib/run_walks", "attempt of its run with which the run got its present plan; absent: its first one"
    ),
    "gate": JobField("flag", "submit", "it only opens a sub-flow; no user counts it as a job"),
    "phase": JobField("text", "submit", "of a handler: success, failure, cancel or exit"),
    "needs_evaluation": JobField("flag", "submit", "a supervisor must evaluate its conditions before it continues"),
    "delay": JobField("integer", "submit", "wait before it is queued", "ms"),
    "fail_fast": JobField("flag", "submit", "its failure cancels the run"),
    "group_fail_fast": JobField("flag", "submit", "its failure cancels the other cells of its matrix or foreach"),
    "allow_failure": JobField("flag", "submit", "every failure of its own is allowed"),
    "fresh": JobField("flag", "lib/run_walks", "it takes over no earlier result"),
    "keep": JobField("integer", "submit", "how long its record is kept after the end of the run, unless it failed", "ms"),
    "keep_failed": JobField("integer", "submit", "how long its record is kept after the end of the run, if it failed", "ms"),
    "cell_of": JobField("integer", "submit", "ordinal of the group that counts this cell"),
    "index": JobField("integer", "lib/foreach", "of a cell of a foreach: index of its item"),
    # -- groups of runs and foreach
    "members": JobField("text", "submit job/expand_foreach", "<first ordinal> <count> of its cells"),
    "halt": JobField("flag", "lib/run_cancellation", "a cell has failed: the others do not start any more"),
    "items": JobField("text", "job/upload_foreach_items", "nonce of the list that is being uploaded"),
    "item_chunks": JobField("integer", "job/upload_foreach_items", "chunks of that list so far"),
    "expanded": JobField("text", "job/expand_foreach", "nonce of the list that its cells were made of"),
    # -- approvals
    "message": JobField("text", "job/resolve_conditions", "the question for the approver"),
    "approval_timeout": JobField("integer", "submit", "time for the decision", "ms"),
    "asked_at": JobField("integer", "job/release_dependents lib/set_back", "when the decision was requested", _EPOCH),
    "decision": JobField("text", "job/approve", "nonce of the decision"),
    "decided_by": JobField("text", "job/approve", "name of the approver"),
    "decided_at": JobField("integer", "job/approve", "when it was decided", _EPOCH),
    "comment": JobField("text", "job/approve", "the approver's comment"),
}
"""The fields by name."""

PREFIXES: Final[dict[str, JobField]] = {
    "cell:": JobField("text", "submit lib/run_walks", "of a foreach: a field that each of its cells gets"),
    "cells:": JobField(
        "integer", "lib/conditions lib/run_walks", "of a group: cells that ended so (finished, failed, skipped, canceled)"
    ),
}
"""Families of fields by the prefix of their names."""


def field_of(name: str) -> JobField | None:
    """Return the declaration of a stored field, None when there is none."""
    return FIELDS.get(name) or next((found for prefix, found in PREFIXES.items() if name.startswith(prefix)), None)
