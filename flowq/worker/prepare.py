"""From a claim to a task: everything the horse must know, and nothing more.

For a job of a run that is the plan (read once per run), the results that its expressions use, and the rendered values. The same
scope answers a job's `if`.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from json import loads
from typing import TYPE_CHECKING, Final

from flowq import defaults
from flowq.exceptions import FlowqError, NoSuchRunError
from flowq.expr import EvalError, evaluate, parse, render, to_text
from flowq.ids import split_member_id
from flowq.plan import Cell, Json, Node, Plan
from flowq.states import JobStatus, Reason
from flowq.store.outcomes import Claim
from flowq.store.records import RunRecord
from flowq.worker.commands import PRIVATE
from flowq.worker.plain import callback_task, plain_task

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.options import WorkerOptions
    from flowq.worker.slots import Ended
    from flowq.worker.task import Task

_PLANS: Final = 32  # runs whose plan is kept


class UnpreparableError(FlowqError):
    """The job cannot be made ready: an expression without a value, a plan that cannot be read. It ends failed with this text."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to a job's `if`, in the words of the store."""

    verdict: str  # go_on, skipped or failed
    reason: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class _Run:
    record: RunRecord
    plan: Plan
    cells: Mapping[str, list[int]]
    targets: Mapping[str, int]
    attempt_readers: frozenset[str]  # nodes that use `run.attempt`, the one thing of a run that a retry changes


class Preparer:
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

    def task(self, claim: Claim) -> "Task":
        """Return the task of a claimed job.

        Raises:
            UnpreparableError: the job must end as failed; the text says why and where.
        """
        if claim.run is None or claim.ordinal is None:
            return plain_task(claim, self._options) | {"env": self._connection}
        run = self._run(claim.run)
        cell = run.plan.cells[claim.ordinal]
        node = run.plan.node_of(cell)
        try:
            return self._flow_task(run, cell, node, claim)
        except EvalError as error:
            raise UnpreparableError(f"{_where(run.plan, node)}: {error}") from error

    def callback(self, claim: Claim, end: "Ended") -> "Task | None":
        """Return the task that makes up for a callback of a plain job whose horse could not call it any more, None for none."""
        task = None if self._options is None else callback_task(claim, end, self._options)
        return None if task is None else task | {"env": self._connection}

    def allowed(self, claim: Claim, exit_code: int | None) -> bool:
        """Return whether this failure of a job is one that its flow allows."""
        if claim.run is None or claim.ordinal is None:
            return False
        run = self._run(claim.run)
        rule = run.plan.node_of(run.plan.cells[claim.ordinal]).allow_failure
        return rule if isinstance(rule, bool) else exit_code in rule

    def decide(self, job: str) -> Decision:
        """Evaluate the `if` of a job."""
        run_id, ordinal = split_member_id(job)
        try:
            run = self._run(run_id)
        except UnpreparableError as error:
            return Decision("failed", Reason.ERROR, str(error))
        cell = run.plan.cells[ordinal]
        node = run.plan.node_of(cell)
        if node.condition is None:
            return Decision("go_on")
        try:
            value = evaluate(node.condition, self._scope(run, cell, node, attempt=1))
        except EvalError as error:
            return Decision("failed", Reason.ERROR, f"{_where(run.plan, node)}: if: {error}")
        if value is True:
            return Decision("go_on")
        if value is False:
            return Decision("skipped", Reason.IF_FALSE)
        text = f"{_where(run.plan, node)}: if: expected true or false, `{node.condition}` gives {to_text(value)!r}"
        return Decision("failed", Reason.ERROR, text)

    def first_task_place(self, run_id: str) -> tuple[str, tuple[str, ...]]:
        """Return directory and import path of a run's jobs, so that a fork server can be started ahead."""
        run = self._run(run_id)
        return run.record.directory, _path(run)

    def _run(self, run_id: str) -> _Run:
        known = self._runs.get(run_id)
        if known is not None:
            self._runs.move_to_end(run_id)
            return known
        try:
            record = self._store.runs.require(run_id)
            plan = Plan.from_json(self._store.runs.plan(run_id))
        except NoSuchRunError as error:
            raise UnpreparableError(str(error)) from error
        readers = frozenset(node.name for node in plan.nodes if _reads_attempt(node))
        run = _Run(record, plan, plan.cells_of(), plan.targets(), readers)
        self._runs[run_id] = run
        while len(self._runs) > _PLANS:
            self._runs.popitem(last=False)
        return run

    def _flow_task(self, run: _Run, cell: Cell, node: Node, claim: Claim) -> "Task":
        scope = self._scope(run, cell, node, claim.attempt)
        env = {name: to_text(render(value, scope)) for name, value in node.env.items()}
        if env:
            scope["env"] = {**scope["env"], **env}
        directory = run.record.directory
        workdir = render(node.workdir, scope)
        task: Task = {
            "id": claim.id,
            "name": cell.name,
            "run": claim.run,
            "attempt": claim.attempt,
            "execution": claim.execution,
            "home": directory,
            "cwd": os.path.join(directory, to_text(workdir)) if workdir is not None else directory,
            "path": list(_path(run)),
            "env": env,
            "timeout": node.timeout,
            "limit": defaults.MAX_RESULT,
            "kind": node.action.kind,
        }
        return task | _action(node, scope)

    def _scope(self, run: _Run, cell: Cell, node: Node, attempt: int) -> dict[str, Json]:
        record = run.record
        if node.name in run.attempt_readers:
            record = self._store.runs.get(record.id) or record
        return {
            "params": run.plan.params,
            "env": self._environment,
            "run": {
                "id": record.id,
                "name": run.plan.name,
                "date": datetime.fromtimestamp(record.created_ms / 1000, UTC).date().isoformat(),
                "attempt": record.attempt,
            },
            "jobs": self._results(run, node),
            "matrix": cell.matrix or {},
            "job": {"name": cell.name, "attempt": attempt},
        }

    def _results(self, run: _Run, node: Node) -> dict[str, Json]:
        """Read what the node's expressions use of other jobs, in one round trip."""
        if not node.reads:
            return {}
        ordinals = [ordinal for name in node.reads for ordinal in (*run.cells[name], run.targets[name])]
        found = dict(zip(ordinals, self._store.runs.results(run.record.id, ordinals), strict=True))
        out: dict[str, Json] = {}
        for name in node.reads:
            values = [_result(*found[ordinal]) for ordinal in run.cells[name]]
            status = found[run.targets[name]][0]
            matrix = run.targets[name] not in run.cells[name]
            out[name] = {"result": values if matrix else values[0], "status": str(status) if status is not None else None}
        return out


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


def _path(run: _Run) -> tuple[str, ...]:
    """Modules come from the directory of the run, then from that of the flow file."""
    candidates = (run.record.directory, os.path.dirname(run.plan.file))
    return tuple(dict.fromkeys(entry for entry in candidates if entry))


def _result(status: JobStatus | None, value: bytes | None) -> Json:
    return loads(value) if status is JobStatus.FINISHED and value is not None else None


def _where(plan: Plan, node: Node) -> str:
    return f"{plan.file or plan.name}:{node.line}: job {node.name}"


def _reads_attempt(node: Node) -> bool:
    """Return whether an expression of the node uses `run.attempt`."""
    values: list[Json] = [node.env, node.workdir, list(node.action.args), node.action.kwargs, node.action.variables]
    sources = [source for value in values for source in _expressions(value)]
    if node.condition is not None:
        sources.append(node.condition)
    return any("attempt" in source and any(_is_attempt(item.path) for item in parse(source).references()) for source in sources)


def _is_attempt(path: tuple[object, ...]) -> bool:
    return path[:1] == ("run",) and (len(path) == 1 or path[1] == "attempt")


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
