"""From a claim to a task: everything the horse must know, and nothing more.

For a job of a run that is the plan (read once per run), the results that its expressions use, and the rendered values. The same
scope answers what a job has to know before it goes on: its `if`, the list of a foreach, the name of a concurrency group.
"""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from flowq import defaults, signing
from flowq.exceptions import FlowqError, NoSuchRunError, SignatureError
from flowq.expr import EvalError, evaluate, parse, render, to_text
from flowq.ids import member_id, split_member_id
from flowq.plan import GATE, Cell, Json, Node, Plan
from flowq.plan.foreach import foreach_groups, grow, member_name
from flowq.states import JobStatus, Reason
from flowq.store.schema.outcomes import Claim
from flowq.store.schema.records import RunRecord
from flowq.store.semaphores import group_semaphore
from flowq.worker.horse.allowlist import COMMANDS, refusal
from flowq.worker.ipc.platform import PRIVATE
from flowq.worker.secrets.resolve import SecretError, resolve
from flowq.worker.supervisor.cache_lookup import identity_of, read_cache
from flowq.worker.supervisor.job_outputs import Shape, read_upstream
from flowq.worker.supervisor.plain_jobs import callback_task, plain_task
from flowq.worker.supervisor.retry_filter import may_retry

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.ipc.messages import Task
    from flowq.worker.options import WorkerOptions
    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.supervisor.slot import Ended

_PLANS: Final = 32  # runs whose plan is kept


class UnpreparableError(FlowqError):
    """The job cannot be made ready: an expression without a value, a plan that cannot be read. It ends failed with this text."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a job had to know before it goes on, in the words of the store. `items`: of a foreach that goes on, its list."""

    verdict: str  # go_on, skipped or failed
    reason: str = ""
    text: str = ""
    semaphore: str = ""
    message: str = ""
    items: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Run:
    record: RunRecord
    shape: Shape
    changing: Mapping[str, frozenset[str]]  # by node: what it uses of a run's attempt, status and failed_jobs

    @property
    def plan(self) -> Plan:
        return self.shape.plan


@dataclass(frozen=True, slots=True)
class _Place:
    """A job in its run; of a cell of a foreach with its group's ordinal and its index there."""

    run: _Run
    cell: Cell
    node: Node
    group: int | None = None
    index: int = 0


class TaskBuilder:
    """Makes tasks. Reads the store, so its methods may raise `ServerError`; ask again when the server is back."""

    def __init__(self, store: "Store", options: "WorkerOptions | None" = None) -> None:
        self._store = store
        self._options = options
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        # What expressions see as `env`, and a copy: reading os.environ decodes every variable anew.
        self._environment = {name: value for name, value in os.environ.items() if name not in PRIVATE}
        # Fork servers do not have these: a flow's jobs are anybody's code. A plain job is a call of flowq's own library, which may
        # ask for its job or enqueue others, so it gets them with its task; they are in the environment of that one horse then.
        self._connection = {name: os.environ[name] for name in PRIVATE if name in os.environ}
        self._connection.update(() if options is None else options.environment)

    def task(self, claim: Claim) -> "Task":
        """Return the task of a claimed job.

        Raises:
            UnpreparableError: the job must end as failed; the text says why and where.
        """
        task = self._task(claim)
        return task | {"deaf": True} if self._options is not None and self._options.deaf else task

    def _task(self, claim: Claim) -> "Task":
        if claim.run is None or claim.ordinal is None:
            try:
                return plain_task(claim, self._options) | {"env": self._connection}
            except SignatureError as error:
                raise UnpreparableError(str(error)) from error
        place = self._place(claim.run, claim.ordinal, claim.fields)
        try:
            return self._flow_task(place, claim)
        except EvalError as error:
            raise UnpreparableError(f"{_where(place.run.plan, place.node)}: {error}") from error

    def veil(self, claim: Claim) -> "ExecutionSecrets | None":
        """Return the secrets of a claimed job, as they are now; None for a job without.

        Raises:
            UnpreparableError: a secret cannot be had.
        """
        if claim.run is None or claim.ordinal is None:
            return None
        place = self._place(claim.run, claim.ordinal, claim.fields)
        if not place.node.secrets:
            return None
        from flowq.worker.secrets.execution import (
            ExecutionSecrets,  # most runs have no secrets, and the encodings of masks take milliseconds to import
        )

        try:
            return ExecutionSecrets(resolve(place.node.secrets))
        except SecretError as error:
            raise UnpreparableError(f"{_where(place.run.plan, place.node)}: {error}") from error

    def callback(self, claim: Claim, end: "Ended") -> "Task | None":
        """Return the task that makes up for a callback of a plain job whose horse could not call it any more, None for none."""
        task = None if self._options is None else callback_task(claim, end, self._options)
        return None if task is None else task | {"env": self._connection}

    def allowed(self, claim: Claim, exit_code: int | None) -> bool:
        """Return whether this failure of a job is one that its flow allows."""
        if claim.run is None or claim.ordinal is None:
            return False
        rule = self._place(claim.run, claim.ordinal, claim.fields).node.allow_failure
        return rule if isinstance(rule, bool) else exit_code in rule

    def retryable(self, claim: Claim, outcome: Mapping[str, Json]) -> bool:
        """Return whether a failure is one that the job's `retry` is for."""
        if claim.run is None or claim.ordinal is None:
            return True
        return may_retry(self._place(claim.run, claim.ordinal, claim.fields).node.retry, outcome)

    def decide(self, job: str) -> Decision:
        """Evaluate what a job has to know before it goes on."""
        run_id, ordinal = split_member_id(job)
        try:
            run = self._run(run_id)
            record = self._store.jobs.get(job) if ordinal >= len(run.plan.cells) else None
            place = self._place(run_id, ordinal, record.options if record is not None else {})
        except UnpreparableError as error:
            return Decision("failed", Reason.ERROR, str(error))
        try:
            return self._decision(place)
        except EvalError as error:
            return Decision("failed", Reason.ERROR, f"{_where(place.run.plan, place.node)}: {error}")

    def _decision(self, place: _Place) -> Decision:
        node = place.node
        scope = self._scope(place, attempt=1)
        scope["env"] = {**scope["env"], **_known_environment(node, scope)}
        if node.condition is not None and place.group is None:
            value = _evaluated("if", node.condition, scope)
            if value is False:
                return Decision("skipped", Reason.IF_FALSE)
            if value is not True:
                raise EvalError(f"if: expected true or false, `{node.condition}` gives {to_text(value)!r}")
        if place.cell.group and node.foreach is not None:
            return Decision("go_on", items=_items(node.foreach, scope))
        semaphore = message = ""
        if node.concurrency is not None and not isinstance(node.concurrency.group, str):
            group = to_text(render(node.concurrency.group, scope))
            semaphore = f"{node.concurrency.max} {group_semaphore('job', group)}"
        if node.action.kind == "approval" and node.action.message is not None:
            message = to_text(render(node.action.message, scope))
        return Decision("go_on", semaphore=semaphore, message=message)

    def first_task_place(self, run_id: str) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Return directory, import path and withheld variables of a run's jobs, so that a fork server can be started ahead."""
        run = self._run(run_id)
        return run.record.directory, _path(run, None), run.plan.withheld

    def _run(self, run_id: str) -> _Run:
        known = self._runs.get(run_id)
        if known is not None:
            self._runs.move_to_end(run_id)
            return known
        try:
            record = self._store.runs.require(run_id)
            stored = self._store.runs.plan(run_id)
            signing.verify(stored, record.signature, "plan of run", run_id, record.directory)
            plan = Plan.from_json(stored)
        except (NoSuchRunError, SignatureError) as error:
            raise UnpreparableError(str(error)) from error
        changing = {node.name: used for node in plan.nodes if (used := _uses_of_run(node))}
        run = _Run(record, Shape.of(run_id, plan), changing)
        self._runs[run_id] = run
        while len(self._runs) > _PLANS:
            self._runs.popitem(last=False)
        return run

    def _place(self, run_id: str, ordinal: int, fields: Mapping[str, str]) -> _Place:
        """Find a job in its plan; a cell of a foreach is not in it, its record says where it belongs."""
        run = self._run(run_id)
        if ordinal < len(run.plan.cells):
            cell = run.plan.cells[ordinal]
            return _Place(run, cell, run.plan.node_of(cell))
        if "cell_of" not in fields:
            raise UnpreparableError(f"job {member_id(run_id, ordinal)} is not in the plan of its run")
        group = run.plan.cells[int(fields["cell_of"])]
        index = int(fields["index"])
        cell = Cell(ordinal, member_name(run.plan, group, index), group.node, group.parents, phase=group.phase)
        return _Place(run, cell, run.plan.node_of(group), group.ordinal, index)

    def _flow_task(self, place: _Place, claim: Claim) -> "Task":
        run, node = place.run, place.node
        scope = self._scope(place, claim.attempt)
        env = {name: to_text(render(value, scope)) for name, value in node.env.items()}
        if env:
            scope["env"] = {**scope["env"], **env}
        directory = run.record.directory
        workdir = render(node.workdir, scope)
        task: Task = {
            "id": claim.id,
            "name": place.cell.name,
            "run": claim.run,
            "attempt": claim.attempt,
            "execution": claim.execution,
            "home": directory,
            "cwd": os.path.join(directory, to_text(workdir)) if workdir is not None else directory,
            "path": list(_path(run, node)),
            "env": env,
            "timeout": node.timeout,
            "limit": defaults.MAX_RESULT,
            "kind": node.action.kind,
        }
        if run.plan.withheld:
            task["withheld"] = list(run.plan.withheld)
        if node.secrets:
            task["secrets"] = list(node.secrets)
        if node.cache is not None:
            identity = identity_of(run.plan, node, place.cell, task["cwd"], scope.get("item"))
            task["cache"] = read_cache(self._store, node.cache, identity, scope, claim.fields)
        action = _action(node, scope)
        if self._options is not None and self._options.allow:
            called = f"{node.action.module}.{node.action.attribute}" if node.action.kind == "call" else COMMANDS
            if (refused := refusal(called, self._options.allow)) is not None:
                raise UnpreparableError(f"{_where(run.plan, node)}: {refused}")
        return task | action

    def _scope(self, place: _Place, attempt: int) -> dict[str, Json]:
        run, node = place.run, place.node
        scope: dict[str, Json] = {
            "params": run.plan.params_of(node),
            "env": self._environment_of(run.plan),
            "run": self._run_scope(run, node),
            "jobs": read_upstream(self._store, run.shape, node),
            "matrix": place.cell.matrix or {},
            "job": {"name": place.cell.name, "attempt": attempt},
        }
        if place.group is not None:
            item = self._store.jobs.item(member_id(run.record.id, place.group), place.index)
            if item is None:
                raise EvalError("the item of this cell is gone from the store")
            scope |= {"item": json.loads(item), "index": place.index}
        return scope

    def _environment_of(self, plan: Plan) -> dict[str, str]:
        """Return what expressions may see of this process's environment: nothing that holds a secret."""
        if not plan.withheld:
            return self._environment
        return {name: value for name, value in self._environment.items() if name not in plan.withheld}

    def _run_scope(self, run: _Run, node: Node) -> dict[str, Json]:
        record = run.record
        used = run.changing.get(node.name, frozenset())
        if used:
            record = self._store.runs.get(record.id) or record
        return {
            "id": record.id,
            "name": run.plan.name,
            "date": datetime.fromtimestamp(record.created_ms / 1000, UTC).date().isoformat(),
            "attempt": record.attempt,
            "status": str(record.outcome or record.status),
            "failed_jobs": self._failed_jobs(run) if "failed_jobs" in used else [],
        }

    def _failed_jobs(self, run: _Run) -> list[str]:
        """Return the names of the graph's jobs that failed and were not allowed to, in the order of the plan."""
        plan = grow(run.plan, self._store.runs.members(run.record.id, foreach_groups(run.plan)))
        cells = [cell for cell in plan.jobs() if not cell.phase]
        records = self._store.runs.jobs(run.record.id, [cell.ordinal for cell in cells])
        failing = {JobStatus.FAILED, JobStatus.STOPPED}
        return [
            cell.label
            for cell, record in zip(cells, records, strict=True)
            if record is not None and record.status in failing and not record.allowed
        ]


def _known_environment(node: Node, scope: Mapping[str, Json]) -> dict[str, str]:
    """Return what is known of a job's own environment before it goes on: what uses `item`, say, is not there yet."""
    env: dict[str, str] = {}
    for name, value in node.env.items():
        with suppress(EvalError):  # whoever uses it is told that there is no such name
            env[name] = to_text(render(value, scope))
    return env


def _evaluated(what: str, source: str, scope: Mapping[str, Json]) -> Json:
    try:
        return evaluate(source, scope)
    except EvalError as error:
        raise EvalError(f"{what}: {error}") from error


def _items(source: str, scope: Mapping[str, Json]) -> tuple[bytes, ...]:
    value = _evaluated("foreach", source, scope)
    if not isinstance(value, list):
        raise EvalError(f"foreach: expected a list, `{source}` gives {to_text(value)[:100]!r}")
    if len(value) > defaults.MAX_ITEMS:
        raise EvalError(f"foreach: the list has {len(value):,} items, at most {defaults.MAX_ITEMS:,} are allowed")
    return tuple(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") for item in value)


def _action(node: Node, scope: Mapping[str, Json]) -> "Task":
    action = node.action
    match action.kind:
        case "call":
            return {
                "module": action.module,
                "attribute": action.attribute,
                "args": render(list(action.args), scope),
                "kwargs": {name: render(value, scope) for name, value in action.kwargs.items()},
            }
        case "shell":
            variables = {name: to_text(render(value, scope)) for name, value in action.variables.items()}
            return {"script": action.script, "variables": variables, "shell": list(action.shell)}
        case "argv":
            return {"argv": [to_text(render(value, scope)) for value in action.args]}
        case _:
            raise UnpreparableError(f"job {node.name}: this worker does not know actions of kind {action.kind!r}: upgrade it")


def _path(run: _Run, node: Node | None) -> tuple[str, ...]:
    """Modules come from the directory of the run, then from that of the job's flow file, then from that of the whole flow."""
    files = (run.plan.file_of(node), run.plan.file) if node is not None else (run.plan.file,)
    candidates = (run.record.directory, *(os.path.dirname(file) for file in files))
    return tuple(dict.fromkeys(entry for entry in candidates if entry))


def _where(plan: Plan, node: Node) -> str:
    return f"{plan.file_of(node) or plan.name}:{node.line}: job {node.name.removesuffix(f'/{GATE}')}"


_CHANGING: Final = ("attempt", "status", "failed_jobs")


def _uses_of_run(node: Node) -> frozenset[str]:
    """Return what the expressions of a node use of a run that is not the same from its beginning to its end."""
    group = node.concurrency.group if node.concurrency is not None else None
    action = node.action
    values: list[Json] = [node.env, node.workdir, list(action.args), action.kwargs, action.variables, action.message, group]
    if node.cache is not None:
        values += [node.cache.key, *node.cache.inputs, *node.cache.outputs]
    sources = [source for value in values for source in _expressions(value)]
    sources += [source for source in (node.condition, node.foreach) if source is not None]
    used: set[str] = set()
    for source in sources:
        if "run" in source:  # most do not, and parsing takes a while
            for reference in parse(source).references():
                if reference.path[:1] == ("run",):
                    used |= set(_CHANGING) if len(reference.path) == 1 else {str(reference.path[1])} & set(_CHANGING)
    return frozenset(used)


def _expressions(value: Json) -> Iterator[str]:
    if isinstance(value, Mapping):
        if "$" in value and len(value) == 1:
            yield value["$"]
            return
        for item in value.values():
            yield from _expressions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _expressions(item)
