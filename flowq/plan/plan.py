"""`Plan`: a compiled flow."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from flowq.exceptions import CorruptRecordError, FlowqError
from flowq.plan import stored
from flowq.plan.bulk import no_collection
from flowq.plan.notice import Notice
from flowq.plan.records import GATE, Cell, Concurrency, Edge, Json, Node, Selection, SourcePlace
from flowq.plan.shipment import Shipment

PLAN_VERSION: Final = 7

_READABLE: Final = (1, 2, 3, 4, 5, 6, 7)  # later versions only added fields
_WITH_PYTHON: Final = 3  # an older worker would execute its jobs with its own interpreter
_WITH_FILES: Final = 4  # an older one would neither keep nor fetch artifacts, nor look at the resources that its jobs ask for
_WITH_COMMANDS: Final = 5  # an older one knows no secret that a command gives
_WITH_QUEUES: Final = 6  # the worker of an older one, started for a run, would serve only the first of the queues of a matrix
_WITH_OWN: Final = 7  # an older one would give all cells of a matrix the timeout of the first, and allow their failures as its


class PlanVersionError(FlowqError):
    """A stored plan of a version that this flowq cannot read."""


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
    timezone: str = ""  # of `run.date`; empty: UTC
    python: str = ""  # the interpreter of jobs with `call`: an absolute path, or `~/…`; empty: the worker's
    timeout: float | None = None  # s, of the whole graph, without the handlers
    own_timeout: bool = False  # it was given to the run, and is not that of the text
    fail_fast: bool = False  # a failed job cancels the rest of the graph
    concurrency: Concurrency | None = None
    scopes: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)  # params of the sub-flows, by `Node.scope`
    withheld: tuple[str, ...] = ()  # variables that hold secrets: no job inherits them
    selection: Selection = field(default_factory=Selection)  # empty: the whole flow
    # digests of the flow files, by absolute path, see `flowq.plan.sources`. They are in the run's record and not in the stored plan,
    # so that a changed comment does not make another plan.
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    notify: tuple[Notice, ...] = field(
        default=(), compare=False
    )  # in the run's record: whom a run tells does not change its plan
    keep: int | None = field(default=None, compare=False)  # how many ended runs of the flow are kept; likewise
    keep_of_entry: int | None = field(default=None, compare=False)  # … of the entry of its schedule that the run is of
    date: str = field(default="", compare=False)  # `run.date` that it was compiled with; in the run's record, too
    root: str = field(default="", compare=False)  # that was given for its files; likewise
    scheduled_at: str = field(
        default="", compare=False
    )  # `run.scheduled_at`: the slot, ISO 8601 with the offset of its zone; likewise
    schedule: str = field(default="", compare=False)  # `run.schedule`: the entry; likewise
    shipment: Shipment | None = field(
        default=None, compare=False
    )  # the files that travel; what became of them is in the run's record
    open_matrices: tuple[str, ...] = field(
        default=(), compare=False
    )  # names of nodes whose cells are not known, of a plan that is only drawn: a param has no value

    def jobs(self) -> Iterator[Cell]:
        """Yield the cells that are jobs, in ordinal order, without the groups."""
        return (cell for cell in self.cells if not cell.group)

    def shown_jobs(self) -> Iterator[Cell]:
        """Yield the jobs that users see: all but the gates of sub-flows."""
        return (cell for cell in self.jobs() if not cell.hidden)

    def shown_parents(self, cell: Cell) -> Iterator[tuple[str, str]]:
        """Yield the dependencies of a cell as (name, condition); a gate of a sub-flow is replaced by its own dependencies."""
        for edge in cell.parents:
            parent = self.cells[edge.parent]
            if parent.hidden and not parent.group:
                yield from self.shown_parents(parent)
            else:
                yield parent.label, edge.condition

    def selected_jobs(self) -> Iterator[Cell]:
        """Yield the shown jobs that are selected."""
        return (cell for cell in self.shown_jobs() if cell.selected)

    def node_of(self, cell: Cell) -> Node:
        """Return the node a cell belongs to, with what the cell has for itself."""
        node = self.nodes[cell.node]
        return node if cell.own is None else replace(node, **cell.own)

    def queue_of(self, cell: Cell) -> str:
        """Return the queue that a cell waits in."""
        return cell.queue or self.nodes[cell.node].queue

    def params_of(self, node: Node) -> Mapping[str, Json]:
        """Return the params for a node's expressions: those of its own flow file."""
        return self.scopes.get(node.scope, self.params)

    def file_of(self, node: Node) -> str:
        """Return the flow file of a node."""
        return node.file or self.file

    def place_of(self, node: Node) -> SourcePlace:
        """Return the place of a node in its own file, which for a job of a sub-flow is not the plan's."""
        return SourcePlace(self.file_of(node), node.line, node.action.script)

    def where(self, node: Node) -> str:
        """Return file, line and name of a job, as the start of a message."""
        return f"{self.file_of(node) or self.name}:{node.line}: job {node.name.removesuffix(f'/{GATE}')}"

    def is_empty(self, cell: Cell) -> bool:
        """Return whether a cell stands for a matrix without cells: one job, of which nothing is executed and whose result is `[]`."""
        node = self.nodes[cell.node]
        return node.matrix and node.foreach is None and cell.matrix is None and not cell.group

    def children(self) -> list[list[Edge]]:
        """Return for each ordinal its outgoing edges, as `Edge(child ordinal, condition)`. Linear in cells and edges."""
        out: list[list[Edge]] = [[] for _ in self.cells]
        for cell in self.cells:
            for edge in cell.parents:
                out[edge.parent].append(Edge(cell.ordinal, edge.condition))
        return out

    def targets(self) -> dict[str, int]:
        """Return for each node's name the ordinal of its only cell or of its group."""
        out: dict[str, int] = {}
        for cell in self.cells:
            node = self.nodes[cell.node]
            if (cell.group and not cell.hidden) or not (cell.group or node.matrix) or self.is_empty(cell):
                out[node.name] = cell.ordinal
        return out

    def cells_of(self) -> dict[str, list[int]]:
        """Return for each node that users see the ordinals of its jobs in expansion order."""
        out: dict[str, list[int]] = {}
        for cell in self.cells:
            if not cell.hidden:
                own = out.setdefault(self.nodes[cell.node].name, [])
                if not cell.group:
                    own.append(cell.ordinal)
        return out

    def without_cache(self) -> "Plan":
        """Return the plan with cached results disabled."""
        nodes = (
            replace(node, cache=replace(node.cache, take=False)) if node.cache is not None else node for node in self.nodes
        )
        return replace(self, nodes=tuple(nodes))

    def limited(self, timeout: float | None) -> "Plan":
        """Return the plan with a timeout (s) of the run's own, in place of the text's; None: the text's."""
        return self if timeout is None else replace(self, timeout=timeout, own_timeout=True)

    def to_json(self) -> str:
        """Return the stored form: compact JSON with a version."""
        document = {
            "version": _version_of(self),
            "name": self.name,
            "file": self.file,
            "params": dict(self.params),
            "description": self.description,
            "labels": dict(self.labels),
            "retention": self.retention,
            **_limits_to_json(self),
            "nodes": [stored.node_to_json(node) for node in self.nodes],
            "cells": [stored.cell_to_json(cell) for cell in self.cells],
        }
        return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Plan":
        """Read the stored form.

        Raises:
            PlanVersionError: the plan has a version that this flowq does not know.
            CorruptRecordError: the text is not a plan.
        """
        try:
            with no_collection():
                return cls.from_document(json.loads(text))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise CorruptRecordError(f"the stored plan cannot be read: {type(error).__name__}: {error}") from error

    @classmethod
    def from_document(cls, document: dict[str, Json]) -> "Plan":
        """Return the plan of a stored form that has been parsed, see `from_json`."""
        version = document.get("version")
        if version not in _READABLE:
            raise PlanVersionError(
                f"this run's plan has version {version!r}, this flowq reads up to {PLAN_VERSION}: use the flowq that submitted it"
            )
        nodes = tuple(stored.node_from_json(item) for item in document["nodes"])
        return cls(
            name=document["name"],
            nodes=nodes,
            cells=tuple(stored.cell_from_json(ordinal, row, nodes) for ordinal, row in enumerate(document["cells"])),
            file=document["file"],
            params=document["params"],
            description=document["description"],
            labels=document["labels"],
            retention=document["retention"],
            timezone=document.get("timezone", ""),
            python=document.get("python", ""),
            timeout=document.get("timeout"),
            own_timeout=document.get("own_timeout", False),
            fail_fast=document.get("fail_fast", False),
            concurrency=stored.concurrency_from_json(document.get("concurrency")),
            scopes=document.get("scopes", {}),
            withheld=tuple(document.get("withheld", ())),
            selection=Selection(**{name: tuple(names) for name, names in document.get("selection", {}).items()}),
        )


def _version_of(plan: Plan) -> int:
    """Return the lowest version that has all that is in a plan: older workers can execute as many as possible."""
    if any(cell.own for cell in plan.cells):
        return _WITH_OWN
    if any(cell.queue for cell in plan.cells):
        return _WITH_QUEUES
    if any("command" in reference for node in plan.nodes for reference in node.secrets.values()):
        return _WITH_COMMANDS
    if any(node.artifacts or node.fetch or node.resources for node in plan.nodes):
        return _WITH_FILES
    return _WITH_PYTHON if plan.python else _WITH_PYTHON - 1


def _limits_to_json(plan: Plan) -> dict[str, Json]:
    """Return the JSON of optional fields that are set."""
    out: dict[str, Json] = {}
    if plan.timezone:
        out["timezone"] = plan.timezone
    if plan.python:
        out["python"] = plan.python
    if plan.timeout is not None:
        out["timeout"] = plan.timeout
    if plan.own_timeout:
        out["own_timeout"] = True
    if plan.fail_fast:
        out["fail_fast"] = True
    if plan.concurrency is not None:
        out["concurrency"] = stored.non_defaults(plan.concurrency)
    if plan.scopes:
        out["scopes"] = {scope: dict(params) for scope, params in plan.scopes.items()}
    if plan.withheld:
        out["withheld"] = list(plan.withheld)
    if plan.selection:
        out["selection"] = stored.non_defaults(plan.selection)
    return out
