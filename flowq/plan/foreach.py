"""A plan with the cells that a run has created for its foreach jobs.

The stored plan never changes; the cells of a foreach are in the record of its group (`JobRecord.members`). `with_foreach_cells`
combines the two into a plan for readers: views, retry, `why`. In it
    a foreach whose list is known is a group with its cells as parents, and the cells are jobs `name[0]`, `name[1]`, …;
    a foreach whose list is not known (yet, or never: skipped, failed), or is empty, is one job. `before_run` does the same for a plan
    without a run.
Ordinals are the store's, so a group's cells have larger ordinals than the group: `order` yields parents first. Cells that an
earlier attempt created and a retry dropped become hidden groups without parents.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from flowq.plan import Cell, Edge, Plan


def foreach_groups(plan: Plan) -> list[int]:
    """Return the ordinals of the group cells of foreach jobs."""
    return [cell.ordinal for cell in plan.cells if cell.group and not cell.hidden and plan.node_of(cell).foreach is not None]


def with_foreach_cells(plan: Plan, members_of: Mapping[int, range | None]) -> Plan:
    """Return the plan with the cells of its foreach jobs.

    Args:
        plan: the stored plan.
        members_of: for each of `foreach_groups(plan)` the ordinals of its cells, None if its list is not known.
    """
    if not members_of:
        return plan
    cells = list(plan.cells)
    nodes = list(plan.nodes)
    known = {ordinal: members for ordinal, members in members_of.items() if members}
    last = max((members.stop for members in known.values()), default=0)
    cells += [Cell(ordinal, "", 0, group=True, hidden=True) for ordinal in range(len(cells), last)]
    for ordinal in members_of:
        group = plan.cells[ordinal]
        members = known.get(ordinal)
        if members is None:
            cells[ordinal] = replace(group, group=False)
            continue
        nodes[group.node] = replace(plan.nodes[group.node], matrix=True)
        for index, member in enumerate(members):
            cells[member] = Cell(member, member_name(plan, group, index), group.node, group.parents, phase=group.phase)
        cells[ordinal] = replace(group, group=True, parents=tuple(Edge(member, "done") for member in members))
    return replace(plan, nodes=tuple(nodes), cells=tuple(cells))


def before_run(plan: Plan) -> Plan:
    """Return a plan for readers before a run, in which each foreach is one job. `with_foreach_cells` also takes assumed lists."""
    return with_foreach_cells(plan, dict.fromkeys(unknown_lists(plan)))


def unknown_lists(plan: Plan) -> list[int]:
    """Return the ordinals of the foreach jobs whose list is not known; in a stored plan, or one of `before_run`, all of them."""
    nodes = ((cell, plan.node_of(cell)) for cell in plan.cells if not cell.hidden)
    return [cell.ordinal for cell, node in nodes if node.foreach is not None and not node.matrix]


def foreach_counts(plan: Plan) -> tuple[int, int]:
    """Return how many selected foreach jobs a plan has, and how many jobs their cells are more than one for each.

    A plan of `before_run` counts each as one job; with these two numbers, the count of a run can be compared with it.
    """
    known = foreach_groups(plan)
    selected = sum(plan.cells[ordinal].selected for ordinal in (*known, *unknown_lists(plan)))
    return selected, sum(len(plan.cells[ordinal].parents) - 1 for ordinal in known)


def member_name(plan: Plan, group: Cell, index: int) -> str:
    """Return the name of one cell of a foreach."""
    return f"{plan.node_of(group).name}[{index}]"


def order(plan: Plan) -> Iterator[Cell]:
    """Yield all cells, parents before their children."""
    done = [False] * len(plan.cells)
    for cell in plan.cells:
        if cell.group:
            for edge in cell.parents:
                if edge.parent > cell.ordinal and not done[edge.parent]:
                    done[edge.parent] = True
                    yield plan.cells[edge.parent]
        if not done[cell.ordinal]:
            done[cell.ordinal] = True
            yield cell


def cell_at(plan: Plan, ordinal: int | None) -> Cell | None:
    """Return the cell with this ordinal; None if the plan has none, because a foreach created it after the plan was read."""
    return plan.cells[ordinal] if ordinal is not None and ordinal < len(plan.cells) else None
