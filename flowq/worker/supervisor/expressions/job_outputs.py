"""The values of other jobs for a job's expressions: `jobs.<name>.result` and `.status`.

A single job has its value; a matrix or foreach the list of its cells in expansion order, null where a cell has none; a sub-flow what
its `outputs` come to, and a matrix of sub-flows the list of that. Everything is read from the store when it is needed: a cell that a retry runs again gives another value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from json import loads
from typing import TYPE_CHECKING

from flowq.expr import EvalError, render
from flowq.ids import member_id
from flowq.plan import Json, Node, Plan
from flowq.states import JobStatus

if TYPE_CHECKING:
    from flowq.store import Store


@dataclass(frozen=True, slots=True)
class Shape:
    """The stored plan of a run, indexed by the names of its nodes."""

    run: str
    plan: Plan
    cells: Mapping[str, Sequence[int]]
    targets: Mapping[str, int]
    nodes: Mapping[str, Node] = field(default_factory=dict)

    @classmethod
    def of(cls, run: str, plan: Plan) -> "Shape":
        """Index a plan."""
        return cls(run, plan, plan.cells_of(), plan.targets(), {node.name: node for node in plan.nodes})


def read_upstream(store: "Store", shape: Shape, node: Node, reads: Sequence[str] | None = None) -> dict[str, Json]:
    """Return the value of `jobs` for the expressions of a node. One round trip, two where a foreach is read, more for sub-flows.

    `reads`: the nodes whose values they use, if they do not use all of those in `node.reads`.
    """
    reads = node.reads if reads is None else reads
    if not reads:
        return {}
    members = _members(store, shape, reads)
    cells = {name: _cells(shape, name, members) for name in reads}
    parts = [part for name in reads for part in shape.nodes[name].flows]
    targets = [shape.targets[name] for name in (*reads, *parts)]
    ordinals = [*targets, *(ordinal for name in reads for ordinal in cells[name])]
    found = dict(zip(ordinals, store.runs.results(shape.run, ordinals), strict=True))
    artifacts = _artifacts(store, shape, {name: cells[name] for name in reads if shape.nodes[name].artifacts})
    out: dict[str, Json] = {}
    for name in reads:
        target = shape.targets[name]
        status = found[target][0]
        values = [_result(*found[ordinal]) for ordinal in cells[name]]
        source = shape.nodes[name]
        result: Json = values
        if source.flows:
            result = [_outputs(store, shape, shape.nodes[part], found[shape.targets[part]][0]) for part in source.flows]
        elif source.outputs is not None:
            result = _outputs(store, shape, source, status)
        elif cells[name] == [target]:
            result = values[0]
        out[name.removeprefix(node.scope)] = {
            "result": result,
            "status": str(status) if status is not None else None,
            "artifacts": artifacts.get(name),
        }
    return out


def cells_of_nodes(store: "Store", shape: Shape, names: Sequence[str]) -> dict[str, list[int]]:
    """Return the ordinals of the cells of nodes, in expansion order; of a single job its own."""
    members = _members(store, shape, names)
    return {name: _cells(shape, name, members) for name in names}


def _artifacts(store: "Store", shape: Shape, cells: Mapping[str, Sequence[int]]) -> dict[str, Json]:
    """Return the files of each artifact of nodes, those of all cells in one list; None of a single job that has left none."""
    if not cells:
        return {}
    ordinals = [ordinal for found in cells.values() for ordinal in found]
    rows = store.artifacts.manifests([member_id(shape.run, ordinal) for ordinal in ordinals])
    manifests = dict(zip(ordinals, rows, strict=True))
    out: dict[str, Json] = {}
    for name, found in cells.items():
        source = shape.nodes[name]
        if not (source.matrix or source.foreach is not None or any(manifests[ordinal] for ordinal in found)):
            out[name] = None
            continue
        out[name] = {
            artifact.name: [
                file
                for ordinal in found
                if (one := manifests[ordinal].get(artifact.name)) is not None
                for file in one.to_json()
            ]
            for artifact in source.artifacts
        }
    return out


def _outputs(store: "Store", shape: Shape, node: Node, status: JobStatus | None) -> Json:
    """Return the outputs of a sub-flow for the flow that calls it: none unless it finished."""
    if status is not JobStatus.FINISHED or node.outputs is None:
        return None
    scope = {"params": shape.plan.params_of(node), "jobs": read_upstream(store, shape, node)}
    try:
        return {name: render(value, scope) for name, value in node.outputs.items()}
    except EvalError as error:
        raise EvalError(f"{shape.plan.file_of(node)}: outputs of {node.name}: {error}") from error


def _members(store: "Store", shape: Shape, names: Sequence[str]) -> dict[str, range]:
    """Return the ordinals of the cells of each foreach whose list is known."""
    wanted = [name for name in names if shape.nodes[name].foreach is not None]
    records = store.jobs.get_many(member_id(shape.run, shape.targets[name]) for name in wanted) if wanted else []
    return {
        name: record.members
        for name, record in zip(wanted, records, strict=True)
        if record is not None and record.members is not None
    }


def _cells(shape: Shape, name: str, members: Mapping[str, range]) -> list[int]:
    if name in members:
        return list(members[name])
    return [] if shape.plan.is_empty(shape.plan.cells[shape.targets[name]]) else list(shape.cells[name])


def _result(status: JobStatus | None, value: bytes | None) -> Json:
    return loads(value) if status is JobStatus.FINISHED and value is not None else None
