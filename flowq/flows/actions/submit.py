"""Submission of a plan as a run: the fields that the store needs to queue, retry and release each job. The rest stays in the plan."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from flowq import defaults, ids, signing
from flowq.config import load_settings
from flowq.durations import NEVER, milliseconds, parse_duration
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions.revision import revision_of
from flowq.flows.actions.shipment import ship
from flowq.flows.forecast.ranks import expected_ranks
from flowq.plan import Cell, Node, Plan, RetryPolicy, is_gate
from flowq.plan.bulk import no_collection
from flowq.plan.shipment import FIELDS, signed_parts
from flowq.states import Reason
from flowq.store import Store
from flowq.store.run_upload import StagedJob
from flowq.store.schema.outcomes import Outcome
from flowq.store.semaphores import group_semaphore

if TYPE_CHECKING:
    from flowq.store.schedules import EventClaim, SlotClaim


@dataclass(frozen=True, slots=True)
class Submitted:
    """The answer to a submission: the run's id, the outcome, and of a slot that is skipped the run in its place."""

    run: str
    outcome: Outcome
    holder: str = ""

    @property
    def there(self) -> bool:
        """Whether the run is there, by this call or an earlier one."""
        return self.outcome in {Outcome.DONE, Outcome.DUPLICATE}


_Group: TypeAlias = tuple[int, tuple[int, int]]
"""The group that counts the cells of a node: its ordinal; the first ordinal and the number of its cells."""


def submit(  # noqa: PLR0913 - the facts of a run that are not its plan
    store: Store,
    plan: Plan,
    *,
    directory: str | Path,
    local: bool = False,
    queue_prefix: str = "",
    run_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    cause: str = "",
    by: str = "",
) -> str:
    """Submit a run of a plan: all of it is stored when this returns, or nothing is.

    Args:
        store: where the run is stored.
        plan: the compiled flow.
        directory: where the run belongs: `flowq status` without an id finds it from there, a local run's jobs execute there.
        local: on queues of its own, for workers that this machine starts for it (the embedded server).
        queue_prefix: in front of the names of its queues, for workers that serve only those; of a local run that is its id.
        run_id: instead of a random one: a script that is run twice then submits once, and both times gets this run.
        labels: further labels, over those of the flow.
        cause: what starts the run: cli, api, …
        by: who or what that is.

    Returns:
        The run's id.

    Raises:
        InvalidRunOperation: a run of something else has this id.
        UsageError: `run_id` cannot be the id of a run.
        TooLargeError: the plan is over the limit.
    """
    done = offer(
        store,
        plan,
        directory=directory,
        local=local,
        queue_prefix=queue_prefix,
        run_id=run_id,
        labels=labels,
        cause=cause,
        by=by,
    )
    if not done.there:
        fields = run_fields(plan, local=local, queue_prefix=done.run if local else queue_prefix, labels=labels or {})
        raise InvalidRunOperation(
            f"a run of something else has the id {done.run} already: {_difference(store, done.run, plan, str(directory), fields)};"
            f" choose another id, or `flowq status {done.run}` to see it"
        )
    return done.run


def offer(  # noqa: PLR0913 - as of `submit`
    store: Store,
    plan: Plan,
    *,
    directory: str | Path,
    local: bool = False,
    queue_prefix: str = "",
    run_id: str | None = None,
    labels: Mapping[str, str] | None = None,
    cause: str = "",
    by: str = "",
    slot: "SlotClaim | EventClaim | None" = None,
) -> Submitted:
    """Submit a run as `submit` does, but return what became of it; with `slot`, the store decides whether the run is to be."""
    run = ids.run_id() if run_id is None else ids.checked_run_id(run_id)
    with no_collection():
        stored = plan.to_json().encode("utf-8", "surrogatepass")
        queue_prefix = run if local else queue_prefix
        fields = run_fields(plan, local=local, queue_prefix=queue_prefix, labels=labels or {})
        fields |= {name: value for name, value in (("cause", cause), ("by", by)) if value}
        if (revision := revision_of(plan.file, str(directory))) is not None:
            fields |= revision.fields
        shipped = ship(store, plan)
        fields |= shipped
        if signed := signing.signature(
            stored, "plan of run", run, str(directory), *signed_parts(*(shipped.get(name, "") for name in FIELDS))
        ):
            fields["signature"] = signed
        outcome, holder = store.runs.submit_slot(
            run,
            _nonce(run_id, stored, directory, fields),
            staged_jobs(plan, run, queue_prefix=queue_prefix, ranks=expected_ranks(store, plan)),
            slot,
            plan=stored,
            directory=str(directory),
            fields=fields,
        )
    return Submitted(run, outcome, holder)


def _nonce(run_id: str | None, plan: bytes, directory: str | Path, fields: Mapping[str, str | int]) -> str:
    """Return the nonce of a submission: for a run with a given id, the same whenever the same plan is submitted again."""
    if run_id is None:
        return ids.nonce()
    bundle = [fields["bundle"]] if "bundle" in fields else []
    said = json.dumps([str(directory), fields["labels"], fields["local"], *bundle]).encode("utf-8", "surrogatepass")
    return hashlib.sha256(plan + said).hexdigest()[:24]


def _difference(store: Store, run: str, plan: Plan, directory: str, fields: Mapping[str, str | int]) -> str:
    """Return the first difference between a plan and the run that has its id."""
    there = store.runs.get(run)
    if there is None:
        return "it is being submitted or deleted"
    if there.flow != plan.name:
        return f"it is a run of the flow {there.flow}"
    for what, old, new in (
        ("params", json.loads(there.params), dict(plan.params)),
        ("labels", json.loads(there.labels), json.loads(str(fields["labels"]))),
    ):
        if old != new:
            names = sorted(name for name in {**old, **new} if old.get(name) != new.get(name))
            return f"its {what} are others ({', '.join(names)})"
    if there.directory != directory:
        return f"it was started in {there.directory}"
    return "its flow has another text, or another part of it was selected"


def _is_counted(plan: Plan, cell: Cell) -> bool:
    """Return whether the counters of a run count a cell: it is a job, or a foreach that is not expanded yet."""
    return not cell.group or plan.node_of(cell).foreach is not None


def run_fields(plan: Plan, *, local: bool, queue_prefix: str, labels: Mapping[str, str]) -> dict[str, str | int]:
    """Return the first fields of a run's record."""
    fields: dict[str, str | int] = {
        "flow": plan.name,
        "local": 1 if local else 0,
        "params": json.dumps(dict(plan.params), ensure_ascii=False),
        "labels": json.dumps({**plan.labels, **labels}, ensure_ascii=False),
        "total": sum(1 for cell in plan.cells if _is_counted(plan, cell)),
        "retention": _retention_ms(plan.retention),
    }
    given = (
        *(("file", plan.file), ("date", plan.date), ("root", plan.root), ("queue_prefix", queue_prefix)),
        *(("scheduled_at", plan.scheduled_at), ("entry", plan.schedule)),
    )
    fields |= {name: value for name, value in given if value}
    fields |= {name: count for name, count in (("keep", plan.keep), ("keep_of_entry", plan.keep_of_entry)) if count is not None}
    if plan.notify:
        fields["notify"] = "\n".join(notice.stored() for notice in plan.notify)
    if plan.sources:
        fields["sources"] = json.dumps(dict(plan.sources))
    if times := {time for node in plan.nodes for _name, time in _kept(node, fields["retention"])}:
        fields["expiry_times"] = " ".join(map(str, sorted(times)))
    gates = [cell for cell in plan.cells if is_gate(plan.node_of(cell).name)]
    if gates:
        fields["gates:deferred"] = len(gates)
    left_out = sum(1 for cell in plan.cells if not cell.selected and _is_counted(plan, cell))
    if left_out := left_out - sum(not cell.selected for cell in gates):
        fields["left_out"] = left_out
    if plan.timeout is not None:
        fields["timeout"] = int(plan.timeout * 1000)
    if plan.concurrency is not None:
        limit = plan.concurrency
        semaphore = group_semaphore("run", str(limit.group))
        fields |= {"semaphore": semaphore, "max_runs": limit.max, "on_conflict": limit.on_conflict}
        fields["keep_place"] = milliseconds(parse_duration(load_settings().keep_place.value))
        waiting = {plan.queue_of(cell) for cell in plan.cells if _is_counted(plan, cell)}
        fields["queues"] = "\n".join(sorted(queue_of(queue, queue_prefix) for queue in waiting))
    for name, count in (
        ("handlers:early", sum(cell.phase not in {"", "exit"} for cell in plan.cells)),
        ("handlers:exit", sum(cell.phase == "exit" for cell in plan.cells)),
    ):
        if count:
            fields[name] = count
    return fields


def _kept(node: Node, retention: str | int) -> Iterator[tuple[str, int]]:
    """Yield how long (ms after the end of the run) a job is kept that finished, and one that failed, where the run is kept longer."""
    for name, seconds in (("keep", node.result_ttl), ("keep_failed", node.failure_ttl)):
        if seconds is not None and seconds != NEVER and not 0 <= int(retention) <= seconds * 1000:
            yield name, int(seconds * 1000)


def _retention_ms(seconds: float | None) -> int:
    if seconds is None:
        seconds = defaults.RUN_RETENTION
    return -1 if seconds == NEVER else int(seconds * 1000)


def staged_jobs(plan: Plan, run: str, *, queue_prefix: str = "", ranks: Sequence[int] = ()) -> Iterator[StagedJob]:
    """Yield each cell in the store's form, in ordinal order; with `ranks`, those of the cells."""
    children: list[list[tuple[int, str]]] = [[] for _ in plan.cells]
    for cell in plan.cells:
        for edge in cell.parents:
            children[edge.parent].append((cell.ordinal, edge.condition))
    groups = _groups(plan)
    for cell in plan.cells:
        fields = _fields(plan, cell, run, groups.get(cell.node), queue_prefix)
        if ranks and fields.get("kind") != "group":
            fields["cell:rank" if cell.group else "rank"] = ranks[cell.ordinal]
        yield StagedJob(cell.ordinal, fields, children[cell.ordinal])


def queue_of(queue: str, queue_prefix: str) -> str:
    """Return the store's name of a queue as the jobs of a run with this prefix use it."""
    return f"{queue_prefix}/{queue}" if queue_prefix else queue


def _groups(plan: Plan) -> dict[int, _Group]:
    """Return, by node, the group fields of a cell."""
    groups: dict[int, _Group] = {}
    members: dict[int, list[int]] = {}
    for cell in plan.cells:
        node = plan.node_of(cell)
        if not (node.matrix or node.foreach is not None):
            continue
        if not cell.group:
            members.setdefault(cell.node, []).append(cell.ordinal)
        elif not cell.hidden:
            cells = members.get(cell.node, [])
            groups[cell.node] = (cell.ordinal, (cells[0], cells[-1] - cells[0] + 1) if cells else (0, 0))
    return groups


def _fields(plan: Plan, cell: Cell, run: str, group: _Group | None, queue_prefix: str) -> dict[str, str | int]:
    node = plan.node_of(cell)
    fields: dict[str, str | int] = {"queue": queue_of(plan.queue_of(cell), queue_prefix), "pending": len(cell.parents)}
    if not cell.selected:
        fields["verdict"] = Reason.NOT_SELECTED
    if cell.phase:
        fields["phase"] = cell.phase
    if is_gate(node.name):
        fields["gate"] = 1
    if plan.fail_fast and not cell.phase:
        fields["fail_fast"] = 1
    if cell.group and (node.foreach is None or cell.hidden):
        fields["kind"] = "group"
        if node.fail_fast and not cell.hidden and group is not None:
            fields["members"] = f"{group[1][0]} {group[1][1]}"
        return fields
    limits = _limits(node, run, group) | dict(_kept(node, _retention_ms(plan.retention)))
    if cell.group:
        template = {key: fields[key] for key in ("queue", "phase", "fail_fast") if key in fields} | _policies(node) | limits
        if _asks_supervisor(node):
            template["needs_evaluation"] = 1
        template["cell_of"] = cell.ordinal
        if "allow_failure" in template:  # before it has cells, a foreach can fail itself: by its list
            fields["allow_failure"] = template["allow_failure"]
        return fields | {"kind": "foreach", "needs_evaluation": 1} | {f"cell:{name}": value for name, value in template.items()}
    if node.condition is not None or _asks_supervisor(node):
        fields["needs_evaluation"] = 1
    return fields | _policies(node) | limits


def _asks_supervisor(node: Node) -> bool:
    """Return whether a condition other than `if` must be evaluated before the job continues."""
    return node.action.kind == "approval" or (node.concurrency is not None and not isinstance(node.concurrency.group, str))


def _limits(node: Node, run: str, group: _Group | None) -> dict[str, str | int]:
    """Return the fields for a job's semaphores and its sibling cells."""
    fields: dict[str, str | int] = {}
    semaphores = []
    if group is not None and node.max_parallel is not None:
        semaphores.append(f"{node.max_parallel} cells/{ids.member_id(run, group[0])}")
    if node.concurrency is not None:
        if isinstance(node.concurrency.group, str):
            semaphores.append(f"{node.concurrency.max} {group_semaphore('job', node.concurrency.group)}")
        elif semaphores:
            fields["base_semaphores"], semaphores = semaphores[0], []
    if semaphores:
        fields["semaphores"] = "\n".join(semaphores)
    if group is not None and node.fail_fast:
        fields |= {"group_fail_fast": 1, "cell_of": group[0]}
    return fields


def _policies(node: Node) -> dict[str, str | int]:
    fields: dict[str, str | int] = {}
    if node.action.kind in {"join", "approval"}:
        fields["kind"] = node.action.kind
    if node.action.kind == "approval" and node.timeout is not None and node.timeout >= 0:
        fields["approval_timeout"] = int(node.timeout * 1000)
    if node.allow_failure is True:
        fields["allow_failure"] = 1
    if node.retry is not None and node.retry.max > 0:
        fields["retry"] = retry_field(node.retry)
        if node.retry.on and Reason.ABANDONED not in node.retry.on:
            fields["retry_lost"] = 0
    for name, seconds in (("ttl", node.ttl), ("delay", node.delay)):
        if seconds is not None:
            fields[name] = int(seconds * 1000)
    if node.priority:
        fields["priority"] = node.priority
    if node.at_front:
        fields["front"] = 1
    return fields


def retry_field(policy: RetryPolicy) -> str:
    """Return a retry policy in the store's form, see `store/lua/lib/retry.lua`."""
    waits = ",".join(str(int(seconds * 1000)) for seconds in policy.intervals)
    return f"{policy.max}|{waits}|{round(policy.jitter * 100)}|0"
