"""The Plan: plain data between the compiler, which makes it, and the store and the workers, which run it.

A plan is complete: a worker needs nothing but the plan, the results of earlier jobs and the code. It is stored with its run, so
that editing the file later changes nothing. Its JSON form carries a version; a reader refuses one it does not know.

Two levels: a `Node` is a job as the file states it (what all its cells share); a `Cell` is one job of the run, with an ordinal
fixed at expansion. The cells of a matrix are additionally counted by a *group* cell (`group=True`), which is never executed: it
depends on all its cells with `done`, ends when they have ended, and carries the edges to whoever depends on the matrix as a
whole. So n cells above m dependents are n + m edges. Groups count other things in the same way: the jobs of a stage, those of a
sub-flow, the cells that fit a `match`. A `foreach` is planned as its group alone; the engine adds the cells.

A sub-flow is inlined. Its nodes are named `job/inner` and keep the names of their own file in their expressions: `Node.scope` is
the prefix that turns those into names of the plan. In front of it stands a hidden join, the gate, which has the dependencies and the
`if` of the flow job. Handlers are nodes `on_failure/page`, their cells have a `phase` and are no part of the graph.

Values with expressions ("templated" values) are JSON in which
    {"$": "<expression>"}                       stands for a value of whatever type the expression has,
    {"$join": ["text", {"$": "<expr>"}, …]}     for a string put together from parts,
    {"$lit": <value>}                           for a literal map that itself has a key starting with "$".
`flowq.expr.render` turns a templated value into a plain one.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import compress
from operator import attrgetter, ne
from typing import Any, Final, TypeAlias, cast

from flowq.bulk import no_collection, record
from flowq.exceptions import FlowqError

PLAN_VERSION: Final = 2

GATE: Final = "@start"
"""The last part of the name of a sub-flow's gate; no job's name has an @."""

STAGE: Final = "stage:"
"""What the name of a stage's group begins with; no job's name has a colon."""

_READABLE: Final = (1, 2)  # version 2 added what version 1 says nothing of
_GROUP, _HIDDEN, _LEFT_OUT = 1, 2, 4  # flags of a cell's row

Json: TypeAlias = (
    Any  # None, bool, int, float, str, list[Json], dict[str, Json]; `Any` because mypy cannot narrow recursive unions well
)


class PlanVersionError(FlowqError):
    """A stored plan was written by a version of flowq that this one cannot read."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Retries of a job after its first attempt. Times in seconds."""

    max: int
    intervals: tuple[float, ...] = (0.0,)  # wait before retry 1, 2, …; the last repeats (backoff is already worked in)
    jitter: float = 0.0  # 0.2: each wait is spread evenly over ±20 %
    on: tuple[
        str, ...
    ] = ()  # what is retried: failure, timeout, abandoned, "exit:<code>", dotted exception names; empty: everything


@record
class Action:
    """What a node executes.

    kind "call": `module` and `attribute` name a callable; `args`, `kwargs` are templated JSON.
    kind "shell": `script` is constant text; `variables` maps environment names to templated values that the script references.
    kind "argv": `args` is the templated argument vector, its items rendered to strings.
    kind "join": nothing is executed; the job finishes when its edges hold.
    kind "approval": waits for a person, holds no slot; `message` is a templated string, `timeout` of the node ends the wait as rejected.
    """

    kind: str
    module: str = ""
    attribute: str = ""
    args: tuple[Json, ...] = ()
    kwargs: Mapping[str, Json] = field(default_factory=dict)
    script: str = ""
    variables: Mapping[str, Json] = field(default_factory=dict)
    shell: tuple[str, ...] = ()  # argv of the shell, the script's file name is appended; empty: the default shell
    message: Json = None  # of an approval


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
    """When a job takes over an earlier result in place of running: nothing it is made of has changed.

    `inputs` and `outputs` are templated globs, relative to the job's directory; `key` is a templated value, None for none.
    """

    inputs: tuple[Json, ...] = ()
    key: Json = None
    outputs: tuple[Json, ...] = ()
    ttl: float | None = None  # s after which a result is not taken over any more
    take: bool = True  # False: the run was told to execute everything; what comes out is kept all the same


@record
class Node:
    """One job as the file states it. Times in seconds; None means "not limited" or "the run's rule"."""

    name: str
    line: int  # 1-based line of the job in the flow file
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
    condition: str | None = None  # the expression of `if`
    env: Mapping[str, Json] = field(default_factory=dict)  # templated strings; flow env already merged below the job's
    secrets: Mapping[str, Mapping[str, str]] = field(
        default_factory=dict
    )  # variables of its environment -> where the value is: {"env": variable of the worker} or {"file": path}
    workdir: Json = None  # templated string
    reads: tuple[str, ...] = ()  # full names of the nodes whose result or status the expressions use
    scope: str = (
        ""  # prefix of the names its expressions use: "" for the file's own, "job/" in a sub-flow, "on_exit/" in a handler
    )
    file: str = ""  # the flow file it stands in, absolute, where that is not the plan's
    matrix: bool = False  # has several cells and a group cell
    foreach: str | None = None  # the expression whose list is fanned out at run time: one planned cell, expanded by the engine
    max_parallel: int | None = None  # of a matrix or foreach: cells started at once
    fail_fast: bool = False  # of a matrix or foreach: a failed cell cancels the others
    concurrency: Concurrency | None = None
    cache: Cache | None = None
    outputs: Mapping[str, Json] | None = (
        None  # of a sub-flow's group: its result, templated; {} where the file has no `outputs`
    )
    flows: tuple[str, ...] = ()  # of a matrix of sub-flows: the names of theirs, in expansion order
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stage: str = ""  # of a job of the flow file itself


@record
class Edge:
    """One dependency: the parent's ordinal and the condition asked of it."""

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
    group: bool = False  # counts; never executed (a matrix, a foreach as a whole, a stage, a sub-flow)
    hidden: bool = False  # nothing people know by name: a stage's group, the gate of a sub-flow
    phase: str = ""  # of a handler: "success", "failure", "cancel" or "exit"; it has no parents outside its phase
    selected: bool = True  # else it is skipped at the start, has no parents, and is nobody's parent

    @property
    def label(self) -> str:
        """What people call it: the gate of a sub-flow by the job with `flow`, the group of a stage as that stage."""
        if self.hidden and not self.group:
            return self.name.removesuffix(f"/{GATE}")
        return self.name.replace(STAGE, "stage ") if self.hidden and self.matrix is None else self.name


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a flow that a run is of, as it was asked for: jobs, all jobs of stages, jobs with everything they need."""

    jobs: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    until: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.jobs or self.stages or self.until)


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled flow. `cells[i].ordinal == i`; parents have smaller ordinals than their children."""

    name: str
    nodes: tuple[Node, ...]
    cells: tuple[Cell, ...]
    file: str = ""  # the flow file, absolute
    params: Mapping[str, Json] = field(default_factory=dict)
    description: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    retention: float | None = None
    timeout: float | None = None  # s, of the whole graph, without the handlers
    fail_fast: bool = False  # a failed job cancels the rest of the graph
    concurrency: Concurrency | None = None
    scopes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)  # params of the sub-flows, by `Node.scope`
    withheld: tuple[str, ...] = ()  # variables that hold secrets: no job inherits them
    selection: Selection = Selection()  # empty: the whole flow

    def jobs(self) -> Iterator[Cell]:
        """Yield the cells that are jobs, in ordinal order, without the groups."""
        return (cell for cell in self.cells if not cell.group)

    def shown_jobs(self) -> Iterator[Cell]:
        """Yield the jobs that people know by name: all but the gates of sub-flows."""
        return (cell for cell in self.jobs() if not cell.hidden)

    def shown_parents(self, cell: Cell) -> Iterator[tuple[str, str]]:
        """Yield what a cell depends on as (name, condition): below the gate of a sub-flow what that depends on."""
        for edge in cell.parents:
            parent = self.cells[edge.parent]
            if parent.hidden and not parent.group:
                yield from self.shown_parents(parent)
            else:
                yield parent.label, edge.condition

    def selected_jobs(self) -> Iterator[Cell]:
        """Yield those of them that were selected."""
        return (cell for cell in self.shown_jobs() if cell.selected)

    def node_of(self, cell: Cell) -> Node:
        """Return the node a cell belongs to."""
        return self.nodes[cell.node]

    def params_of(self, node: Node) -> Mapping[str, Json]:
        """Return the params that a node's expressions see: those of the flow file it was written in."""
        return self.scopes.get(node.scope, self.params)

    def file_of(self, node: Node) -> str:
        """Return the flow file a node stands in."""
        return node.file or self.file

    def children(self) -> list[list[Edge]]:
        """Return for each ordinal its outgoing edges, as `Edge(child ordinal, condition)`. Linear in cells and edges."""
        out: list[list[Edge]] = [[] for _ in self.cells]
        for cell in self.cells:
            for edge in cell.parents:
                out[edge.parent].append(Edge(cell.ordinal, edge.condition))
        return out

    def targets(self) -> dict[str, int]:
        """Return for each node's name the ordinal that stands for the whole of it: its only cell or its group."""
        out: dict[str, int] = {}
        for cell in self.cells:
            node = self.nodes[cell.node]
            if (cell.group and not cell.hidden) or not (cell.group or node.matrix):
                out[node.name] = cell.ordinal
        return out

    def cells_of(self) -> dict[str, list[int]]:
        """Return for each node that people know by name the ordinals of its jobs in expansion order."""
        out: dict[str, list[int]] = {}
        for cell in self.cells:
            if not cell.hidden:
                own = out.setdefault(self.nodes[cell.node].name, [])
                if not cell.group:
                    own.append(cell.ordinal)
        return out

    def without_cache(self) -> "Plan":
        """Return the same flow, in which no job takes over an earlier result."""
        nodes = (
            replace(node, cache=replace(node.cache, take=False)) if node.cache is not None else node for node in self.nodes
        )
        return replace(self, nodes=tuple(nodes))

    def to_json(self) -> str:
        """Return the stored form: compact JSON with a version."""
        document = {
            "version": PLAN_VERSION,
            "name": self.name,
            "file": self.file,
            "params": dict(self.params),
            "description": self.description,
            "labels": dict(self.labels),
            "retention": self.retention,
            **_limits_to_json(self),
            "nodes": [_node_to_json(node) for node in self.nodes],
            "cells": [_cell_to_json(cell) for cell in self.cells],
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Read the stored form.

        Raises:
            PlanVersionError: the plan has a version this flowq does not know.
        """
        with no_collection():
            return cls._from(json.loads(text))

    @classmethod
    def _from(cls, document: dict[str, Json]) -> "Plan":
        version = document.get("version")
        if version not in _READABLE:
            raise PlanVersionError(
                f"this run's plan has version {version!r}, this flowq reads up to {PLAN_VERSION}: use the flowq that submitted it"
            )
        nodes = tuple(_node_from_json(item) for item in document["nodes"])
        return cls(
            name=document["name"],
            nodes=nodes,
            cells=tuple(_cell_from_json(ordinal, row, nodes) for ordinal, row in enumerate(document["cells"])),
            file=document["file"],
            params=document["params"],
            description=document["description"],
            labels=document["labels"],
            retention=document["retention"],
            timeout=document.get("timeout"),
            fail_fast=document.get("fail_fast", False),
            concurrency=_concurrency(document.get("concurrency")),
            scopes=document.get("scopes", {}),
            withheld=tuple(document.get("withheld", ())),
            selection=Selection(**{name: tuple(names) for name, names in document.get("selection", {}).items()}),
        )


def is_gate(node: str) -> bool:
    """Return whether a node's name is that of a sub-flow's gate, which is also that of its only cell."""
    return node.endswith(f"/{GATE}")


def cell_name(node: str, matrix: Mapping[str, Json]) -> str:
    """Return the name people see for one cell of a matrix: `build[fmt=pdf,lang=en]`."""
    axes = ",".join(f"{axis}={_axis_text(value)}" for axis, value in matrix.items())
    return f"{node}[{axes}]"


def _axis_text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _limits_to_json(plan: Plan) -> dict[str, Json]:
    """Write what few flows have, where they have it."""
    out: dict[str, Json] = {}
    if plan.timeout is not None:
        out["timeout"] = plan.timeout
    if plan.fail_fast:
        out["fail_fast"] = True
    if plan.concurrency is not None:
        out["concurrency"] = _non_defaults(plan.concurrency)
    if plan.scopes:
        out["scopes"] = {scope: dict(params) for scope, params in plan.scopes.items()}
    if plan.withheld:
        out["withheld"] = list(plan.withheld)
    if plan.selection:
        out["selection"] = _non_defaults(plan.selection)
    return out


def _concurrency(item: dict[str, Json] | None) -> Concurrency | None:
    return None if item is None else Concurrency(**item)


def _node_to_json(node: Node) -> dict[str, Json]:
    """Write only what differs from the default: 10,000 nodes stay small."""
    out = _non_defaults(node)
    out["action"] = _non_defaults(node.action)
    if node.retry is not None:
        out["retry"] = _non_defaults(node.retry)
    if node.concurrency is not None:
        out["concurrency"] = _non_defaults(node.concurrency)
    if node.cache is not None:
        out["cache"] = _non_defaults(node.cache)
    return out


def _non_defaults(item: Any) -> dict[str, Json]:
    names, values_of, defaults = _SHAPES[type(item)]
    values = values_of(item)
    return dict(compress(zip(names, values, strict=True), map(ne, values, defaults)))


def _shape(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Json, ...]], tuple[Json, ...]]:
    """Return the names of a record's fields, what gets their values, and their defaults."""
    every = fields(kind)
    names = tuple(item.name for item in every)
    return names, attrgetter(*names), tuple({} if item.default_factory is dict else item.default for item in every)


_SHAPES: Final = {kind: _shape(kind) for kind in (Node, Action, RetryPolicy, Concurrency, Cache, Selection)}


def _node_from_json(item: dict[str, Json]) -> Node:
    known = dict(item)
    action = dict(known.pop("action"))
    for name in ("args", "shell"):
        if name in action:
            action[name] = tuple(action[name])
    known["action"] = Action(**action)
    if "retry" in known:
        retry = dict(known["retry"])
        for name in ("intervals", "on"):
            if name in retry:
                retry[name] = tuple(retry[name])
        known["retry"] = RetryPolicy(**retry)
    if isinstance(known.get("allow_failure"), list):
        known["allow_failure"] = tuple(known["allow_failure"])
    for name in ("reads", "flows"):
        if name in known:
            known[name] = tuple(known[name])
    known["concurrency"] = _concurrency(known.get("concurrency"))
    if "cache" in known:
        cache = dict(known["cache"])
        known["cache"] = Cache(**cache | {name: tuple(cache[name]) for name in ("inputs", "outputs") if name in cache})
    return Node(**known)


def _cell_to_json(cell: Cell) -> list[Json]:
    parents: list[Json] = [
        edge.parent if edge.condition == "success" else [edge.parent, edge.condition] for edge in cell.parents
    ]
    row: list[Json] = [cell.node, parents, None if cell.matrix is None else dict(cell.matrix)]
    flags = (_GROUP if cell.group else 0) | (_HIDDEN if cell.hidden else 0) | (0 if cell.selected else _LEFT_OUT)
    if cell.phase:
        return [*row, flags, cell.phase]
    if flags:
        return [*row, flags]
    return row if cell.matrix is not None else row[:2]


def _cell_from_json(ordinal: int, row: list[Json], nodes: tuple[Node, ...]) -> Cell:
    node = cast("int", row[0])
    parents = tuple(Edge(item) if isinstance(item, int) else Edge(item[0], item[1]) for item in row[1])
    matrix = row[2] if len(row) > 2 else None
    flags = row[3] if len(row) > 3 else 0
    name = nodes[node].name
    return Cell(
        ordinal=ordinal,
        name=name if matrix is None or is_gate(name) else cell_name(name, matrix),
        node=node,
        parents=parents,
        matrix=matrix,
        group=bool(flags & _GROUP),
        hidden=bool(flags & _HIDDEN),
        phase=row[4] if len(row) > 4 else "",
        selected=not flags & _LEFT_OUT,
    )
