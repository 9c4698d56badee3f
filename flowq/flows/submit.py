"""Plan -> run: what the store needs to know of each job to queue, retry and release it. Everything else stays in the plan."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowq import defaults, ids
from flowq.durations import NEVER
from flowq.exceptions import InvalidRunOperation
from flowq.plan import Cell, Edge, Plan, RetryPolicy
from flowq.store import Store
from flowq.store.outcomes import Outcome
from flowq.store.runs import StagedJob


def submit(
    store: Store,
    plan: Plan,
    *,
    directory: str | Path,
    local: bool = False,
    run_id: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """Submit a run of a plan: it is all there when this returns, or nothing is.

    Args:
        store: where.
        plan: what, as compiled.
        directory: where the run belongs: `flowq status` without an id finds it from there, a local run's jobs execute there.
        local: on queues of its own, for workers that this machine starts for it (the embedded server).
        run_id: instead of a random one: a script that is run twice then submits once, and both times gets this run.
        labels: further labels, over those of the flow.

    Returns:
        The run's id.

    Raises:
        InvalidRunOperation: a run of something else has this id.
        TooLargeError: the plan is over the limit.
    """
    run = run_id or ids.run_id()
    fields: dict[str, str | int] = {
        "flow": plan.name,
        "file": plan.file,
        "local": 1 if local else 0,
        "params": json.dumps(dict(plan.params), ensure_ascii=False),
        "labels": json.dumps({**plan.labels, **(labels or {})}, ensure_ascii=False),
        "total": sum(1 for _ in plan.jobs()),
        "retention": _retention_ms(plan.retention),
    }
    stored = plan.to_json().encode("utf-8", "surrogatepass")
    outcome = store.runs.submit(
        run,
        _nonce(run_id, stored, directory, fields),
        staged_jobs(plan, run, local=local),
        plan=stored,
        directory=str(directory),
        fields=fields,
    )
    if outcome is not Outcome.DONE and outcome is not Outcome.DUPLICATE:
        raise InvalidRunOperation(
            f"a run of something else has the id {run} already: choose another id, or `flowq status {run}` to see it"
        )
    return run


def _nonce(run_id: str | None, plan: bytes, directory: str | Path, fields: Mapping[str, str | int]) -> str:
    """Return what identifies a submission: for a run that was given its id, the same whenever the same is submitted again."""
    if run_id is None:
        return ids.nonce()
    said = json.dumps([str(directory), fields["labels"], fields["local"]]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plan + said).hexdigest()[:24]


def _retention_ms(seconds: float | None) -> int:
    if seconds is None:
        seconds = defaults.RUN_RETENTION
    return -1 if seconds == NEVER else int(seconds * 1000)


def staged_jobs(plan: Plan, run: str, *, local: bool) -> Iterator[StagedJob]:
    """Yield what the store is told of each cell, in ordinal order."""
    children = plan.children()
    for cell in plan.cells:
        yield StagedJob(cell.ordinal, _fields(plan, cell, run, local=local), [_edge(edge) for edge in children[cell.ordinal]])


def queue_of(queue: str, run: str, *, local: bool) -> str:
    """Return the store's name of a queue as a job of this run uses it."""
    return f"{run}/{queue}" if local else queue


def _edge(edge: Edge) -> tuple[int, str]:
    return edge.parent, edge.condition


def _fields(plan: Plan, cell: Cell, run: str, *, local: bool) -> dict[str, str | int]:
    node = plan.node_of(cell)
    fields: dict[str, str | int] = {"origin": queue_of(node.queue, run, local=local), "pending": len(cell.parents)}
    if cell.group:
        fields["kind"] = "group"
        return fields
    if node.action.kind == "join":
        fields["kind"] = "join"
    if node.condition is not None:
        fields["if"] = 1
    if node.allow_failure is True:
        fields["allow"] = 1  # also for ends that no worker reports: abandoned, expired, an `if` that cannot be answered
    if node.retry is not None and node.retry.max > 0:
        fields["retry"] = retry_field(node.retry)
    for name, seconds in (("ttl", node.ttl), ("delay", node.delay)):
        if seconds is not None:
            fields[name] = int(seconds * 1000)
    if node.priority:
        fields["priority"] = node.priority
    if node.at_front:
        fields["front"] = 1
    return fields


def retry_field(policy: RetryPolicy, *, front: bool = False) -> str:
    """Return a retry policy in the store's form, see `store/lua/lib/retry.lua`."""
    waits = ",".join(str(int(seconds * 1000)) for seconds in policy.intervals)
    return f"{policy.max}|{waits}|{round(policy.jitter * 100)}|{1 if front else 0}"
