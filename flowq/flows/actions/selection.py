"""The selection of a part of a flow: chosen jobs instead of all of them.

`jobs` and `stages` are exactly those; `until` is a job with everything it needs; `without` is taken from these, or from all. What is not selected is
skipped with the reason `not_selected`, and to the others it is as if it were not there: no job waits for it, a matrix counts only its
selected cells; in the list of its results the others are null, as cells are whose `if` is false, so that each result keeps its place. What
waits for a job that is left out with `without` waits for what that job would have waited for. What a job reads must have been selected with
it, which is found before anything runs. Handlers have their turn as always.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Final

from flowq.exceptions import NoSuchJobError, UsageError
from flowq.plan import Cell, Edge, Plan, Selection
from flowq.plan.cell_names import has_values, look

_NAMED: Final = 8  # names listed in a message


def select(plan: Plan, wanted: Selection) -> Plan:
    """Return the plan with only these jobs selected. Linear in cells and edges.

    Args:
        plan: the whole flow.
        wanted: names as people give them; an empty selection is the whole flow.

    Raises:
        NoSuchJobError: there is no such job or stage.
        UsageError: a selected job reads a job that is not, or is a handler.
    """
    if not wanted:
        return plan
    left = {ordinal for name in wanted.without for ordinal in _named(plan, name, f"the flow {plan.name}")}
    chosen = _chosen(plan, wanted, left)
    bridges = _bridges(plan, chosen) if left else {}
    cells = tuple(_cell(plan, cell, chosen, bridges) for cell in plan.cells)
    _check_reads(plan, chosen, without=bool(left))
    return replace(plan, cells=cells, selection=wanted)


def find_jobs(plan: Plan, given: str, whose: str) -> Sequence[int]:
    """Return the ordinals of the jobs that a name denotes: a job, all cells of a matrix, one cell or some, all jobs of a sub-flow.

    Some cells are named by a part of their values: `build[lang=de]` is all cells of `build` with this value.

    Args:
        plan: where to look.
        given: the name.
        whose: for the message, "run 7k2m9x0d".

    Raises:
        NoSuchJobError: there is no such job; the message names the nearest.
    """
    cells = plan.cells_of()
    node = _called(cells, given)
    if node is not None:
        return cells[node] or [ordinal for ordinal in _members(plan, plan.targets()[node]) if _is_job(plan.cells[ordinal])]
    cell = find_cell(plan, given)
    if cell is not None:
        return [cell.ordinal]
    named = _called(cells, given.partition("[")[0]) if "[" in given else None
    own = [plan.cells[ordinal] for ordinal in cells.get(named or "", ())]
    fitting = [cell.ordinal for cell in own if has_values(given, cell.matrix or {})]
    if fitting:
        return fitting
    if own and named is not None:
        few = [cell.name for cell in own]
        raise NoSuchJobError(f"{whose} has no job {given!r}; {_hint(given, few, few, 'cells')}")
    names = list(dict.fromkeys([*cells, *(cell.name for cell in plan.jobs())]))
    raise NoSuchJobError(f"{whose} has no job {given!r}; {_hint(given, names, list(cells), 'jobs')}")


def refuse_several(plan: Plan, given: str, ordinals: Sequence[int]) -> None:
    """Refuse a part of a cell's values that several cells have, where one job is asked for.

    Raises:
        UsageError: there are several; the message names them.
    """
    if len(ordinals) > 1:
        names = [plan.cells[ordinal].name for ordinal in ordinals]
        raise UsageError(f"{given!r} is {len(names)} cells, name one: {_listed(names)}")


def find_cell(plan: Plan, given: str) -> Cell | None:
    """Return the one job of this name, as it is stored or as terminals show it."""
    by_name = {cell.name: cell for cell in plan.jobs()}
    name = _called(by_name, given)
    return None if name is None else by_name[name]


def _called(names: Collection[str], given: str) -> str | None:
    """Return the name that was given, or the one that looks the same: what cannot be printed is shown, and so typed, as an escape."""
    if given in names:
        return given
    seen = look(given)
    return next((name for name in names if look(name) == seen), None)


def _is_job(cell: Cell) -> bool:
    return not (cell.group or cell.hidden)


def _chosen(plan: Plan, wanted: Selection, left: set[int]) -> set[int]:
    whose = f"the flow {plan.name}"
    chosen = {ordinal for name in wanted.jobs for ordinal in _named(plan, name, whose)}
    chosen |= {ordinal for name in wanted.stages for ordinal in _stage(plan, name, whose)}
    needed = {ordinal for name in wanted.until for ordinal in _named(plan, name, whose)}
    for cell in reversed(plan.cells):  # children have larger ordinals: one pass sees every child before its parents
        if cell.ordinal in needed:
            needed.update(edge.parent for edge in cell.parents)
    chosen |= needed
    if not (wanted.jobs or wanted.stages or wanted.until):
        chosen = {cell.ordinal for cell in plan.cells if not cell.phase}
    chosen -= left
    for cell in plan.cells:
        counted = _counted(plan, cell)
        if any(ordinal in chosen for ordinal in counted):
            chosen.add(cell.ordinal)
        elif counted:
            chosen.discard(cell.ordinal)
    return chosen


def _bridges(plan: Plan, chosen: Collection[int]) -> dict[int, tuple[Edge, ...]]:
    """Return for each cell that is left out the edges of what waits for it, in its place: to what it would have waited for."""
    bridges: dict[int, tuple[Edge, ...]] = {}
    for cell in plan.cells:  # parents have smaller ordinals
        if cell.ordinal not in chosen and not cell.phase:
            bridges[cell.ordinal] = _bridged(cell, chosen, bridges)
    return bridges


def _bridged(cell: Cell, chosen: Collection[int], bridges: Mapping[int, tuple[Edge, ...]]) -> tuple[Edge, ...]:
    found: dict[int, Edge] = {edge.parent: edge for edge in cell.parents if edge.parent in chosen}
    for edge in cell.parents:
        for other in bridges.get(edge.parent, ()):
            found.setdefault(other.parent, other)
    return tuple(found.values())


def _counted(plan: Plan, cell: Cell) -> list[int]:
    """Return the ordinals of the cells that a cell counts; none if it is executed, or will have cells of its own."""
    node = plan.node_of(cell)
    if not cell.group or (node.foreach is not None and not cell.hidden):
        return []
    parents = [edge.parent for edge in cell.parents]
    if node.matrix and not node.flows:  # an empty one has the edges of its job
        return [ordinal for ordinal in parents if plan.cells[ordinal].node == cell.node]
    return parents


def _named(plan: Plan, name: str, whose: str) -> Iterable[int]:
    """Return the cells that a name denotes, including those that users do not see."""
    targets = plan.targets()
    target = targets.get(_called(targets, name) or name)
    found = list(_members(plan, target)) if target is not None else find_jobs(plan, name, whose)
    if any(plan.cells[ordinal].phase for ordinal in found):
        raise UsageError(f"{name!r} is a handler: handlers have their turn at the end of every run, they are not selected")
    return found


def _members(plan: Plan, ordinal: int) -> Iterator[int]:
    """Yield a cell and, of one that counts others, all those, however deep: a sub-flow with the matrices in it."""
    waiting = [ordinal]
    while waiting:
        cell = plan.cells[waiting.pop()]
        yield cell.ordinal
        waiting += _counted(plan, cell)


def _stage(plan: Plan, name: str, whose: str) -> Iterator[int]:
    stages = list(dict.fromkeys(node.stage for node in plan.nodes if node.stage))
    if name not in stages:
        raise NoSuchJobError(f"{whose} has no stage {name!r}; {_hint(name, stages, stages, 'stages')}")
    for target in plan.targets().values():
        if plan.node_of(plan.cells[target]).stage == name:
            yield from _members(plan, target)


def _hint(given: str, names: Sequence[str], few: Sequence[str], kind: str) -> str:
    near = get_close_matches(given, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"its {kind}: {_listed(few)}" if few else f"it has no {kind}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")


def _cell(plan: Plan, cell: Cell, chosen: Collection[int], bridges: Mapping[int, tuple[Edge, ...]]) -> Cell:
    if cell.phase:
        return cell
    if cell.ordinal not in chosen:
        return replace(cell, parents=(), selected=False)
    if bridges and not _counted(plan, cell):
        parents = _bridged(cell, chosen, bridges)
    else:
        parents = tuple(edge for edge in cell.parents if edge.parent in chosen)
    return cell if parents == cell.parents else replace(cell, parents=parents)


def _check_reads(plan: Plan, chosen: Collection[int], *, without: bool) -> None:
    """Refuse a job that uses the result or the status of a job that is not selected."""
    there = {plan.node_of(plan.cells[ordinal]).name for ordinal in chosen}
    for ordinal in sorted(chosen):
        cell = plan.cells[ordinal]
        node = plan.node_of(cell)
        missing = [name for name in node.reads if name not in there]
        if missing and not cell.group:
            names = ", ".join(repr(name) for name in missing)
            add = f"add --job {missing[0]}, or take everything it needs with --until {node.name}"
            raise UsageError(
                f"{node.name!r} ({plan.place_of(node).here() or f'line {node.line}'}) uses the result or status of {names}, which is not selected:"
                f" {f'leave it out, too: --without {node.name}' if without else add}"
            )
