"""Small plans for tests that are about the store, not about YAML."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flowq.flows.submit import submit
from flowq.plan import Action, Cell, Edge, Node, Plan, RetryPolicy
from flowq.store import Store

Parents = Mapping[str, str] | Sequence[str]
Shape = Mapping[str, Parents]


def plan(jobs: Shape, *, cells: Mapping[str, int] | None = None, joins: Sequence[str] = (), **options: object) -> Plan:
    """Return a plan of these jobs, given in topological order with their parents (a list: all `success`).

    Args:
        jobs: name -> parents.
        cells: name -> how many cells a matrix job has.
        joins: names of jobs that execute nothing.
        options: settings of every node, e.g. `retry=RetryPolicy(2)`.
    """
    counts = cells or {}
    nodes: list[Node] = []
    out: list[Cell] = []
    stands_for: dict[str, int] = {}
    for index, (name, parents) in enumerate(jobs.items()):
        matrix = name in counts
        action = Action("join") if name in joins else Action("call", module="nowhere", attribute=name)
        nodes.append(Node(name=name, line=index + 1, action=action, queue="default", timeout=60, matrix=matrix, **options))  # type: ignore[arg-type]
        conditions = parents if isinstance(parents, Mapping) else dict.fromkeys(parents, "success")
        edges = tuple(Edge(stands_for[parent], condition) for parent, condition in conditions.items())
        if not matrix:
            stands_for[name] = len(out)
            out.append(Cell(len(out), name, index, edges))
            continue
        members = []
        for number in range(counts[name]):
            members.append(len(out))
            out.append(Cell(len(out), f"{name}[n={number}]", index, edges, matrix={"n": number}))
        stands_for[name] = len(out)
        out.append(Cell(len(out), name, index, tuple(Edge(member, "done") for member in members), group=True))
    return Plan("test", tuple(nodes), tuple(out))


def run(store: Store, jobs: Shape, **more: object) -> str:
    """Submit such a plan; return the run's id."""
    return submit(store, plan(jobs, **more), directory=Path("/nowhere"))  # type: ignore[arg-type]


def statuses(store: Store, run_id: str) -> dict[str, str]:
    """Return each job's status (with its reason after a slash) by name."""
    stored = Plan.from_json(store.runs.plan(run_id))
    records = store.runs.jobs(run_id, range(len(stored.cells)))
    return {
        cell.name: f"{record.status}/{record.reason}" if record.reason else str(record.status)
        for cell, record in zip(stored.cells, records, strict=True)
        if record is not None and not cell.group
    }


__all__ = ["RetryPolicy", "plan", "run", "statuses"]
