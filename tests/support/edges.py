"""The graph of a compiled flow as other systems define it: jobs and their parents, without groups."""

from collections.abc import Mapping

from flowq.plan import Plan
from flowq.plan.foreach import foreach_groups, with_foreach_cells


def edges(plan: Plan) -> dict[str, set[str]]:
    """Return the parents of each job (cells of a matrix as `name.0`, `name.1`, …); a group is replaced by all its parents."""
    plan = with_foreach_cells(plan, dict.fromkeys(foreach_groups(plan)))  # a foreach is one job until its list is known
    names: dict[int, str] = {}
    for node, ordinals in plan.cells_of().items():
        several = next(item for item in plan.nodes if item.name == node).matrix
        names |= {ordinal: f"{node}.{number}" if several else node for number, ordinal in enumerate(ordinals)}
    behind: dict[int, set[str]] = {}
    for cell in plan.cells:
        above = {name for edge in cell.parents for name in behind[edge.parent]}
        behind[cell.ordinal] = above if cell.group or cell.hidden else {names[cell.ordinal]}
    return {
        names[cell.ordinal]: {name for edge in cell.parents for name in behind[edge.parent]}
        for cell in plan.jobs()
        if not cell.phase and not cell.hidden
    }


def renamed(graph: Mapping[str, set[str]], names: Mapping[str, str]) -> dict[str, set[str]]:
    """Return a graph with other names for some jobs."""
    return {names.get(job, job): {names.get(parent, parent) for parent in parents} for job, parents in graph.items()}
