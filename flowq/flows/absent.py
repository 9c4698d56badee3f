"""Secrets that are not there, told before a run begins: its worker will have the environment and the files of this process."""

from collections.abc import Iterator
from dataclasses import dataclass

from flowq.flows.foresee import foresee
from flowq.plan import Plan
from flowq.worker.secrets import problem_of


@dataclass(frozen=True, slots=True)
class Absent:
    """A job that may be executed, without one of its secrets.

    `sure`: it will be executed, and cannot have it by then. A job that may be skipped is not sure to fail, nor is one whose secret is in
    a file that an earlier job may write.
    """

    text: str
    sure: bool


def absent_secrets(plan: Plan) -> list[Absent]:
    """Return what is absent, each secret of a job once."""
    if not any(node.secrets for node in plan.nodes):
        return []
    fates = foresee(plan)
    possible: set[int] = set()  # nodes
    certain: dict[int, bool] = {}  # node -> whether there is nothing before it
    for cell in plan.cells:
        fate = fates[cell.ordinal]
        if fate.runs or fate.open:
            possible.add(cell.node)
        if fate.runs and not fate.open and not cell.group and cell.phase in {"", "exit"}:
            certain[cell.node] = certain.get(cell.node, False) or not (cell.parents or cell.phase)
    return list(_absent(plan, possible, certain))


def _absent(plan: Plan, possible: set[int], certain: dict[int, bool]) -> Iterator[Absent]:
    for number in sorted(possible):
        node = plan.nodes[number]
        for name, reference in node.secrets.items():
            problem = problem_of(name, reference)
            if problem is not None:
                place = f"{plan.file_of(node) or plan.name}:{node.line}: job {node.name}"
                yield Absent(f"{place}: {problem}", number in certain and ("env" in reference or certain[number]))
