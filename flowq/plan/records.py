"""The records of a plan. Times in seconds."""

import os
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Final, TypeAlias

from flowq.plan.bulk import nothing, record

GATE: Final = "@start"
"""The last part of the name of a sub-flow's gate; names of jobs cannot contain @."""

STAGE: Final = "stage:"
"""The prefix of the name of a stage's group; names of jobs cannot contain a colon."""

OPEN_QUEUE: Final = "?"
"""In place of a queue's name in a plan that is only drawn, where it depends on a param without a value; no queue is called so."""

Json: TypeAlias = (
    Any  # None, bool, int, float, str, list[Json], dict[str, Json]; `Any` because mypy cannot narrow recursive unions well
)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of a job after its first attempt. Times in seconds."""

    max: int
    intervals: tuple[float, ...] = (0.0,)  # delay before retry 1, 2, …; the last one repeats (backoff is already applied)
    jitter: float = 0.0  # 0.2: each delay varies uniformly by ±20 %
    on: tuple[
        str, ...
    ] = ()  # what is retried: failure, timeout, abandoned, "exit:<code>", dotted exception names; empty: everything


@record
class Action:
    """The action of a node.

    kind "call": `module` and `attribute` name a callable; `args`, `kwargs` are templated JSON.
    kind "shell": `script` is constant text; `variables` maps environment names to templated values that the script references.
    kind "argv": `args` is the templated argument vector, its items rendered to strings.
    kind "join": nothing is executed; the job finishes when its edges hold.
    kind "approval": waits for a user's decision without a slot; `message` is a templated string; the node's `timeout` rejects it.
    """

    kind: str
    module: str = ""
    attribute: str = ""
    args: tuple[Json, ...] = ()
    kwargs: Mapping[str, Json] = field(default_factory=nothing)
    script: str = ""
    variables: Mapping[str, Json] = field(default_factory=nothing)
    shell: tuple[str, ...] = ()  # argv of the shell, the script's file name is appended; empty: the default shell
    message: Json = None  # for an approval


@dataclass(frozen=True, slots=True)
class Concurrency:
    """At most `max` holders of a group at once, over all runs of the namespace.

    `group` is a templated string (of a run: params and run only). `on_conflict` (of a run): queue, skip, cancel_running or fail.
    """

    group: Json
    max: int = 1
    on_conflict: str = "queue"


@dataclass(frozen=True, slots=True)
class Cache:
    """The cache of a job: it takes over an earlier result instead of running if its inputs have not changed.

    `inputs` and `outputs` are templated globs, relative to the job's directory; `key` is a templated value or None.
    """

    inputs: tuple[Json, ...] = ()
    key: Json = None
    outputs: tuple[Json, ...] = ()
    ttl: float | None = None  # s after which a result expires
    take: bool = True  # False: execute the job even if a result is cached; the new result is cached all the same


@dataclass(frozen=True, slots=True)
class Artifact:
    """Files that are kept after the end of a job. `path`: templated globs below the job's directory; one that ends with `?` may match nothing."""

    name: str
    path: tuple[Json, ...]
    always: bool = False  # also after a failure
    keep: float | None = None  # s after the end of the job; None: as long as its record


@dataclass(frozen=True, slots=True)
class Fetch:
    """An artifact of another job that is put into a directory before a job begins. `to`: templated, below the job's directory."""

    job: str  # the name of the node
    artifact: str
    to: Json
    optional: bool = False  # where there is none, nothing is fetched


@record
class JobFields:
    """The fields of a job that compiler and plan share. Times in seconds; None means "no limit" or "the run's rule"."""

    action: Action
    queue: str
    timeout: float | None
    ttl: float | None = None
    result_ttl: float | None = None
    failure_ttl: float | None = None
    retry: RetryPolicy | None = None
    allow_failure: bool | tuple[int, ...] = False  # or the exit codes that are allowed
    priority: int = 0  # higher first
    at_front: bool = False
    delay: float | None = None
    stop_grace: float | None = None  # from SIGTERM to SIGKILL after a timeout or a cancel; None: `defaults.STOP_GRACE`
    isolation: str = ""  # "job" or "batch", see `flowq.isolation`; "" is as the worker is set
    resources: Mapping[str, Json] = field(
        default_factory=nothing
    )  # amounts as of `flowq.plan.resources`, or templates of these
    condition: str | None = None  # the expression of `if`
    env: Mapping[str, Json] = field(default_factory=nothing)  # templated strings; flow env already merged below the job's
    secrets: Mapping[str, Mapping[str, Json]] = field(
        default_factory=nothing
    )  # variables of its environment -> where the value is: {"env": variable of the worker}, {"file": path} or {"command": words}
    workdir: Json = None  # templated string, or `FLOW_DIRECTORY`
    foreach: str | None = None  # the expression whose list is fanned out at run time: one planned cell, expanded by the engine
    max_parallel: int | None = None  # of a matrix or foreach: cells started at once
    fail_fast: bool = False  # of a matrix or foreach: a failed cell cancels the others
    concurrency: Concurrency | None = None
    cache: Cache | None = None
    artifacts: tuple[Artifact, ...] = ()
    fetch: tuple[Fetch, ...] = ()
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=nothing)


FLOW_DIRECTORY: Final = "flow"
"""The `workdir` of a job that works in the directory of its flow file."""


@record
class Node(JobFields):
    """A job as the file declares it."""

    _: KW_ONLY
    name: str
    line: int  # 1-based line of the job in the flow file
    reads: tuple[str, ...] = ()  # full names of the nodes whose result or status the expressions use
    scope: str = (
        ""  # prefix of the names its expressions use: "" for the file's own, "job/" in a sub-flow, "on_exit/" in a handler
    )
    file: str = ""  # the flow file it stands in, absolute, where that is not the plan's
    matrix: bool = False  # whether it has several cells and a group cell
    outputs: Mapping[str, Json] | None = (
        None  # of a sub-flow's group: its result, templated; {} where the file has no `outputs`
    )
    flows: tuple[str, ...] = ()  # of a matrix of sub-flows: the names of theirs, in expansion order
    stage: str = ""  # of a job of the flow file itself


@record
class SourcePlace:
    """The place of a job: the absolute path of its flow file ("" if the flow is not a file) and the line, 1-based; the job's script."""

    file: str
    line: int
    script: str = ""

    def here(self) -> str:
        """Return `flows/child.yaml:7` as a user in the working directory would type it; "" without a file."""
        return f"{near(self.file)}:{self.line}" if self.file else ""

    def beside(self, file: str) -> str:
        """Return `sub/child.yaml:7`, relative to the directory of the top flow; "" without a file."""
        if not self.file:
            return ""
        return f"{os.path.relpath(self.file, os.path.dirname(file))}:{self.line}"  # noqa: PTH120 - pathlib has no `relpath`


def near(file: str) -> str:
    """Return an absolute path as a user in the working directory would type it: relative, if it is below that."""
    try:
        relative = os.path.relpath(file)
    except FileNotFoundError:  # the working directory has been removed
        return file
    return file if relative.startswith("..") else relative


@record
class Edge:
    """A dependency: the parent's ordinal and the condition on its end."""

    parent: int
    condition: str = "success"


@record
class Cell:
    """One job of the run (or, with `group`, the counting node of a matrix)."""

    ordinal: int
    name: str  # "build" or "build[fmt=pdf,lang=en]"; a group has the node's name
    node: int  # index into Plan.nodes
    parents: tuple[Edge, ...] = ()
    matrix: Mapping[str, Json] | None = None
    group: bool = False  # counts its parents, is never executed (a matrix, a foreach, a stage, a sub-flow)
    hidden: bool = False  # not shown to users: a stage's group, the gate of a sub-flow
    phase: str = ""  # for a handler: "success", "failure", "cancel" or "exit"; it has no parents outside its phase
    selected: bool = True  # False: skipped at the start, without parents and children
    spelling: int = 0  # of its name, see `cell_names`
    queue: str = ""  # of its own, if that is another than its node's: read it with `Plan.queue_of`
    own: Mapping[str, Json] | None = (
        None  # fields of its own in place of its node's (`OF_CELLS`): read them with `Plan.node_of`
    )

    @property
    def label(self) -> str:
        """The name for users: for the gate of a sub-flow the job with `flow`, for the group of a stage that stage."""
        if self.hidden and not self.group:
            return self.name.removesuffix(f"/{GATE}")
        return self.name.replace(STAGE, "stage ") if self.hidden and self.matrix is None else self.name


OF_CELLS: Final = ("timeout", "allow_failure")
"""Fields of a node that each of its cells may have for itself."""


def as_of(cell: Cell, node: Node, other: Node) -> Cell:
    """Return a cell of a node that keeps for itself what it had of another node."""
    own = {name: getattr(other, name) for name in OF_CELLS if getattr(other, name) != getattr(node, name)}
    return cell if cell.own == (own or None) else replace(cell, own=own or None)


def in_queue(cell: Cell, node: Node, queue: str) -> Cell:
    """Return a cell that waits in a queue."""
    own = "" if queue == node.queue else queue
    return cell if cell.queue == own else replace(cell, queue=own)


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected part of a flow: jobs, all jobs of stages, jobs with everything they need; all jobs if only some are left out."""

    jobs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    until: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.stages or self.until or self.without)


def is_gate(node: str) -> bool:
    """Return whether the name of a node or cell is that of a sub-flow's gate."""
    return node.endswith(f"/{GATE}")
