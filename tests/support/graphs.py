"""Small plans for tests of the store, without YAML."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from flowq.flows.actions.submit import run_fields, staged_jobs, submit
from flowq.plan import Action, Cell, Edge, Node, Plan, RetryPolicy
from flowq.plan.foreach import foreach_groups, with_foreach_cells
from flowq.store import Store

Parents = Mapping[str, str] | Sequence[str]
Shape = Mapping[str, Parents]


@dataclasses.dataclass(frozen=True)
class Extra:
    """The parts of a plan beside its graph.

    Args:
        foreach: names of jobs with a list that is known at run time.
        handlers: phase -> jobs with their parents in the phase; they are named `<phase>/<name>`.
        nodes: name -> settings of that node alone.
        flow: settings of the plan.
    """

    foreach: Sequence[str] = ()
    handlers: Mapping[str, Shape] = dataclasses.field(default_factory=dict)
    nodes: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    flow: Mapping[str, object] = dataclasses.field(default_factory=dict)


def plan(
    jobs: Shape, *, cells: Mapping[str, int] | None = None, joins: Sequence[str] = (), extra: Extra = Extra(), **options: object
) -> Plan:
    """Return a plan of jobs, in topological order with their parents (a list: all `success`).

    Args:
        jobs: name -> parents.
        cells: name -> number of cells of a matrix job.
        joins: names of jobs that execute nothing.
        extra: the parts beside the graph.
        options: settings of every node, e.g. `retry=RetryPolicy(2)`.
    """
    builder = _Builder(cells or {}, joins, extra, options)
    for name, parents in jobs.items():
        builder.add(name, parents)
    for phase, shape in extra.handlers.items():
        for name, parents in shape.items():
            conditions = parents if isinstance(parents, Mapping) else dict.fromkeys(parents, "success")
            builder.add(f"{phase}/{name}", {f"{phase}/{parent}": condition for parent, condition in conditions.items()}, phase)
    return Plan("test", tuple(builder.nodes), tuple(builder.cells), **extra.flow)  # type: ignore[arg-type]


class _Builder:
    def __init__(self, counts: Mapping[str, int], joins: Sequence[str], extra: Extra, options: Mapping[str, object]) -> None:
        self.nodes: list[Node] = []
        self.cells: list[Cell] = []
        self._stands_for: dict[str, int] = {}
        self._counts, self._joins, self._extra, self._options = counts, joins, extra, options

    def add(self, name: str, parents: Parents, phase: str = "") -> None:
        index, first = len(self.nodes), len(self.cells)
        matrix, foreach = name in self._counts, name in self._extra.foreach
        settings: dict[str, object] = {
            "action": Action("join") if name in self._joins else Action("call", module="nowhere", attribute=name),
            "queue": "default",
            "timeout": 60,
            "matrix": matrix,
            "foreach": "params.list" if foreach else None,
            **self._options,
            **self._extra.nodes.get(name, {}),
        }
        self.nodes.append(Node(name=name, line=index + 1, **settings))  # type: ignore[arg-type]
        conditions = parents if isinstance(parents, Mapping) else dict.fromkeys(parents, "success")
        edges = tuple(Edge(self._stands_for[parent], condition) for parent, condition in conditions.items())
        if not matrix:
            self._stands_for[name] = first
            self.cells.append(Cell(first, name, index, edges, group=foreach, phase=phase))
            return
        members = range(first, first + self._counts[name])
        for number, ordinal in enumerate(members):
            self.cells.append(Cell(ordinal, f"{name}[n={number}]", index, edges, matrix={"n": number}, phase=phase))
        self._stands_for[name] = len(self.cells)
        counted = tuple(Edge(member, "done") for member in members)
        self.cells.append(Cell(len(self.cells), name, index, counted, group=True, phase=phase))


def submit_ranked(store: Store, made: Plan, run: str, ranks: Sequence[int]) -> None:
    """Submit a plan as a run whose cells have these ranks, whatever is known of its flow. The same again is the same submission."""
    store.runs.submit(
        run,
        f"ranked {run}",
        staged_jobs(made, run, ranks=ranks),
        plan=made.to_json().encode(),
        directory="/nowhere",
        fields=run_fields(made, local=False, queue_prefix="", labels={}),
    )


def run(store: Store, jobs: Shape, **more: object) -> str:
    """Submit such a plan; return the run's id."""
    return submit(store, plan(jobs, **more), directory=Path("/nowhere"))  # type: ignore[arg-type]


def plan_of_run(store: Store, run_id: str) -> Plan:
    """Return the plan of a run with the cells of its foreach jobs."""
    stored = Plan.from_json(store.runs.plan(run_id))
    return with_foreach_cells(stored, store.runs.members(run_id, foreach_groups(stored)))


def statuses(store: Store, run_id: str) -> dict[str, str]:
    """Return the status of every job of a run by name, with its reason after a slash."""
    plan = plan_of_run(store, run_id)
    records = store.runs.jobs(run_id, range(len(plan.cells)))
    return {
        cell.name: f"{record.status}/{record.reason}" if record.reason else str(record.status)
        for cell, record in zip(plan.cells, records, strict=True)
        if record is not None and not cell.group
    }


__all__ = ["Extra", "RetryPolicy", "plan", "plan_of_run", "run", "statuses"]
