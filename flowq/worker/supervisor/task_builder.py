"""Tasks built from claims: everything the horse must know, and nothing more.

For a job of a run that is its action with rendered values, its directory, environment and secrets, and the earlier result of a job with `cache`.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from flowq import defaults
from flowq.exceptions import SignatureError, UsageError
from flowq.expr import EvalError, render, to_text
from flowq.ids import span_id, trace_id
from flowq.isolation import jobs_in_process
from flowq.plan import FLOW_DIRECTORY, Json, Node
from flowq.plan.resources import describe_resources, parse_resources
from flowq.store.schema.outcomes import Claim
from flowq.worker.horse.allowlist import COMMANDS, refusal
from flowq.worker.ipc.platform import PRIVATE
from flowq.worker.secrets.resolve import SecretError, commands_of, resolve
from flowq.worker.supervisor.cache_lookup import identity_of, read_cache
from flowq.worker.supervisor.expressions.job_scope import JobPlace, JobScopes, PlannedRun, UnpreparableError
from flowq.worker.supervisor.fork_servers.interpreters import find_interpreter
from flowq.worker.supervisor.fork_servers.key import ForkServerKey
from flowq.worker.supervisor.fork_servers.memory_limit import SUPPORTED
from flowq.worker.supervisor.plain_jobs import callback_task, plain_task

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.worker.ipc.messages import Task
    from flowq.worker.options import WorkerOptions
    from flowq.worker.secrets.command import CommandSecrets
    from flowq.worker.secrets.execution import ExecutionSecrets
    from flowq.worker.supervisor.ends import Ended

_ALONE: Final = frozenset(
    {"artifacts", "cache", "fetch", "hooks", "memory", "on_failure", "on_success", "secrets", "serializer"}
)
"""What a task has, or its horse does, that no other job may share."""


class TaskBuilder:
    """A builder of tasks. It reads the store, so its methods may raise `ServerError`: repeat the call later."""

    def __init__(self, store: "Store", scopes: JobScopes, options: "WorkerOptions | None" = None) -> None:
        self._store = store
        self._scopes = scopes
        self._options = options
        self._executor = None if options is None else options.executor
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
                task = plain_task(claim, self._options) | {"env": self._connection}
                return task | self._batch(claim, task)
            except SignatureError as error:
                raise UnpreparableError(str(error)) from error
        place = self._scopes.find(claim.run, claim.ordinal, claim.fields)
        try:
            return self._flow_task(place, claim)
        except EvalError as error:
            raise UnpreparableError(f"{place.where}: {error}") from error

    def secrets(self, claim: Claim) -> "ExecutionSecrets | None":
        """Return the secrets of a claimed job, as they are now, or how to look them up; None for a job without.

        Raises:
            UnpreparableError: a secret cannot be had.
        """
        if claim.run is None or claim.ordinal is None:
            return None
        place = self._scopes.find(claim.run, claim.ordinal, claim.fields)
        if not place.node.secrets:
            return None
        from flowq.worker.secrets.execution import (
            ExecutionSecrets,  # most runs have no secrets, and the encodings of masks take milliseconds to import
        )

        try:
            values = resolve(place.node.secrets)
        except SecretError as error:
            raise UnpreparableError(f"{place.where}: {error}") from error
        commands = commands_of(place.node.secrets)
        return ExecutionSecrets(values, self._commands(commands, values, place) if commands else None)

    def _commands(self, commands: Mapping[str, Sequence[str]], known: Mapping[str, str], place: JobPlace) -> "CommandSecrets":
        from flowq.worker.secrets.command import CommandSecrets

        allowed = () if self._options is None else self._options.allow
        if (refused := refusal(COMMANDS, allowed)) is not None:
            raise UnpreparableError(f"{place.where}: secret {next(iter(commands))}: {refused}")
        return CommandSecrets(commands, known, place.run.flow_directory(place.node), place.where)

    def flow_of(self, run_id: str) -> str:
        """Return the flow of a run whose plan was read, "" for others."""
        return self._scopes.flow_of(run_id)

    def callback(self, claim: Claim, end: "Ended") -> "Task | None":
        """Return the task that makes up for a callback of a plain job whose horse could not call it any more, None for none."""
        task = None if self._options is None else callback_task(claim, end, self._options)
        return None if task is None else task | {"env": self._connection}

    def first_place(self, run_id: str) -> ForkServerKey:
        """Return where most jobs of a run will be executed, so that a fork server can be started ahead."""
        run = self._scopes.run(run_id)
        return ForkServerKey(run.home, run.import_path(None), withheld=run.plan.withheld, bundle=self._bundle(run))

    def _bundle(self, run: PlannedRun) -> tuple[str, ...]:
        """Return the run, the hash and the requirements of the files that travelled with a run, which are here then."""
        if not run.files:
            return ()
        self._scopes.fetch(run)
        return run.record.id, run.record.bundle, run.record.bundle_requires

    def _flow_task(self, place: JobPlace, claim: Claim) -> "Task":
        run, node = place.run, place.node
        scope = self._scopes.scope(place, claim.attempt)
        env = {name: to_text(render(value, scope)) for name, value in node.env.items()}
        if env:
            scope["env"] = {**scope["env"], **env}
        task: Task = {
            "id": claim.id,
            "name": place.cell.name,
            "run": claim.run,
            "attempt": claim.attempt,
            "execution": claim.execution,
            "traceparent": f"00-{trace_id(claim.run or '')}-{span_id(claim.id, claim.execution)}-01",
            "home": run.home,
            "cwd": _working_directory(place, scope),
            "flow_dir": run.flow_directory(node),
            "path": list(run.import_path(node)),
            "env": env,
            "timeout": node.timeout,
            "stop_grace": defaults.STOP_GRACE if node.stop_grace is None else node.stop_grace,
            "limit": defaults.MAX_RESULT,
            "kind": node.action.kind,
        }
        if run.files:
            task["bundle"] = list(self._bundle(run))
        if run.plan.python and node.action.kind == "call":
            task["python"] = self._interpreter(run.plan.python, place.where)
        if node.resources:
            task |= self._resources(place, scope)
        if self._executor is not None and run.files:
            task["files"] = run.files
        if run.plan.withheld:
            task["withheld"] = list(run.plan.withheld)
        if node.secrets:
            task["secrets"] = list(node.secrets)
        if node.cache is not None:
            identity = identity_of(run.plan, node, place.cell, run.there(task["cwd"]), scope.get("item"))
            task["cache"] = read_cache(self._store, node.cache, identity, scope, claim.fields)
        if node.artifacts or node.fetch:
            self._add_artifacts(task, place, scope)
        action = _action(node, scope)
        if self._options is not None and self._options.allow:
            called = f"{node.action.module}.{node.action.attribute}" if node.action.kind == "call" else COMMANDS
            if (refused := refusal(called, self._options.allow)) is not None:
                raise UnpreparableError(f"{place.where}: {refused}")
        return task | action | self._batch(claim, task, node.isolation)

    def _add_artifacts(self, task: "Task", place: JobPlace, scope: Mapping[str, Json]) -> None:
        from flowq.worker.supervisor.expressions.job_artifacts import artifact_parts, must_match  # few jobs have some

        task |= artifact_parts(self._store, place, scope)
        if "cache" in task:
            task["cache"]["outputs"] += must_match(task.get("artifacts") or ())

    def _resources(self, place: JobPlace, scope: Mapping[str, Json]) -> "Task":
        """Return what a job asks for, as a part of its task."""
        try:
            asked = parse_resources(render(dict(place.node.resources), scope))
        except UsageError as error:
            raise UnpreparableError(f"{place.where}: {error}") from error
        if self._executor is None:
            return _limits(asked, 1 if self._options is None else self._options.slots)
        if refused := self._executor.refusal(asked):
            raise UnpreparableError(f"{place.where}: {refused}")
        return {"resources": asked}

    def _interpreter(self, named: str, where: str) -> str:
        """Return the interpreter of a call; on a node it is looked for there."""
        if self._executor is not None:
            return named
        try:
            return find_interpreter(named, where)
        except UsageError as error:
            raise UnpreparableError(str(error)) from error

    def _batch(self, claim: Claim, task: "Task", asked: str = "") -> "Task":
        """Return how many jobs may share a horse with this one, as a part of its task; nothing for a horse of its own."""
        options = self._options
        if options is None or options.clone or task["kind"] not in {"call", "pickle"} or not _ALONE.isdisjoint(task):
            return {}
        most = jobs_in_process(options.isolation, claim.queue, asked)
        return {"batch": most} if most else {}


def _limits(asked: Mapping[str, float], slots: int) -> "Task":
    """Return what a worker that forks its jobs makes of what one asks for: slots that it takes, a limit of memory, and a note of the rest."""
    rest = dict(asked)
    limits: Task = {}
    if "memory" in rest and SUPPORTED:
        limits["memory"] = rest.pop("memory")
    if (cpus := int(rest.pop("cpus", 1))) > 1:
        limits["slots"] = min(cpus, slots)
    notes = [f"the job asks for {cpus} cpus: it takes all slots of this worker ({slots})"] if cpus > slots else []
    notes += [f"this worker does not limit what the job asks for: {describe_resources(rest)}"] if rest else []
    return limits | ({"note": "; ".join(notes)} if notes else {})


def _working_directory(place: JobPlace, scope: Mapping[str, Json]) -> str:
    """Return the directory of a job: `flow` is that of its flow file, `~` a home; other paths are relative to the run's directory."""
    run, node = place.run, place.node
    if node.workdir is None:
        return run.home
    if node.workdir == FLOW_DIRECTORY:
        return run.flow_directory(node)
    return os.path.join(run.home, os.path.expanduser(to_text(render(node.workdir, scope))))


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
