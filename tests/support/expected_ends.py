"""The expected end of every job of a plan, computed by a reference implementation of the rules in plain Python."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from flowq.flows.forecast import graph_rules
from flowq.plan import Cell, Edge, Plan
from flowq.plan.foreach import order
from flowq.states import JobStatus

_EXECUTED = {
    "failed": "failed/error",
    "failed!": "failed/error",
    "finished": "finished",
    "stopped": "stopped",
    "lost": "failed/abandoned",
}


def expected(
    plan: Plan, outcomes: Mapping[str, str], *, stored: Plan | None = None, skipped: Iterable[str] = ()
) -> dict[str, str]:
    """Return each job's end (with its reason after a slash) if executed jobs end as in `outcomes`.

    Args:
        plan: the plan with the cells of its foreach jobs.
        outcomes: the outcomes by name.
        stored: the plan before the expansion of its foreach jobs, if it has some.
        skipped: names of the jobs (or of nodes with cells) whose `if` is false.
    """
    return _Reference(plan, outcomes, stored or plan, frozenset(skipped)).all()


class _Reference:
    def __init__(self, plan: Plan, outcomes: Mapping[str, str], stored: Plan, if_false: frozenset[str]) -> None:
        self.plan, self.outcomes, self.stored, self.if_false = plan, outcomes, stored, if_false
        self.ends: dict[int, graph_rules.End] = {}
        self.out: dict[str, str] = {}

    def all(self) -> dict[str, str]:
        cells = list(order(self.plan))
        for cell in cells:
            if not cell.phase:
                self._cell(cell)
        outcome = graph_rules.outcome(self.ends[cell.ordinal] for cell in cells if not (cell.phase or cell.group))
        for cell in cells:
            if cell.phase in {"exit", graph_rules.HANDLERS[outcome]}:
                self._cell(cell)
            elif cell.phase:
                self._unfitting(cell)
        return self.out

    def _cell(self, cell: Cell) -> None:
        if cell.group:
            self._group(cell)
            return
        broken = self._broken(cell.parents)
        if broken:
            self.ends[cell.ordinal] = graph_rules.End(JobStatus.SKIPPED)
            self.out[cell.name] = broken
        elif self.plan.node_of(cell).name in self.if_false:
            self.ends[cell.ordinal] = graph_rules.End(JobStatus.SKIPPED)
            self.out[cell.name] = "skipped/if_false"
        elif self.stored.cells[cell.ordinal : cell.ordinal + 1] and self.stored.cells[cell.ordinal].group:
            self.out[cell.name] = "finished"  # its list is empty, else it would be a group
            self.ends[cell.ordinal] = graph_rules.End(JobStatus.FINISHED)
        else:
            self._executed(cell)

    def _executed(self, cell: Cell) -> None:
        join = self.plan.node_of(cell).action.kind == "join"
        wanted = "finished" if join else self.outcomes.get(cell.name, "finished")
        status = "failed" if wanted == "lost" else wanted.removesuffix("!")
        self.ends[cell.ordinal] = graph_rules.End(JobStatus(status), allowed=wanted.endswith("!"))
        self.out[cell.name] = _EXECUTED[wanted]

    def _group(self, cell: Cell) -> None:
        self.ends[cell.ordinal] = graph_rules.group_end(self.ends[edge.parent] for edge in cell.parents)
        dropped = cell.hidden and not cell.name  # a cell of an earlier attempt
        if (
            self.plan.node_of(cell).foreach is not None
            and not dropped
            and self._broken(self.stored.cells[cell.ordinal].parents)
        ):
            self.out[cell.name] = "one job that is skipped: an edge does not hold"

    def _unfitting(self, cell: Cell) -> None:
        self.ends[cell.ordinal] = graph_rules.End(JobStatus.SKIPPED)
        if not cell.group:
            self.out[cell.name] = "skipped/not_selected|skipped/upstream_skipped"

    def _broken(self, edges: Iterable[Edge]) -> str:
        found = [edge for edge in edges if not graph_rules.holds(self.ends[edge.parent], edge.condition)]
        return "|".join(sorted({f"skipped/{graph_rules.skip_reason(self.ends[edge.parent])}" for edge in found}))


def reset_names(plan: Plan, stored: Plan, actual: Mapping[str, str], allowed: Collection[str] = ()) -> set[str]:
    """Return the names of the jobs that a retry of an ended run resets, without handlers: the rules of the page, by reachability.

    Args:
        plan: with the cells of its foreach jobs.
        stored: the plan before.
        actual: the end of every job by name, with its reason after a slash.
        allowed: names of the failed jobs that were allowed to fail.
    """
    below = _below(plan, stored)
    jobs = [cell for cell in plan.cells if not (cell.phase or cell.group)]
    seeds = {cell.ordinal for cell in jobs if _is_seed(actual[cell.name]) and cell.name not in allowed}
    reset = seeds.union(*(_reach(below, ordinal) for ordinal in seeds))
    kept = {
        cell.ordinal
        for cell in jobs
        if cell.ordinal not in reset and actual[cell.name] == "finished" and plan.node_of(cell).action.kind != "join"
    }
    with_cells = _below(plan, stored, cells=True)
    for cell in jobs:
        if cell.name in allowed and not _reach(with_cells, cell.ordinal) & kept:
            reset |= {cell.ordinal, *_reach(below, cell.ordinal)}
    return _named(plan, stored, reset)


def _is_seed(end: str) -> bool:
    """Return whether an end starts a reset; a job that was skipped because of another is reset only together with that one."""
    return end.partition("/")[0] in {"failed", "stopped", "canceled"} or end == "skipped/fail_fast"


def _below(plan: Plan, stored: Plan, *, cells: bool = False) -> list[set[int]]:
    """Return the children of each cell. The children of a foreach's parents include its group, and with `cells` also its cells."""
    below: list[set[int]] = [set() for _ in plan.cells]
    for cell in plan.cells:
        for edge in cell.parents if cells or cell.ordinal < len(stored.cells) else ():
            below[edge.parent].add(cell.ordinal)
    for cell in stored.cells:
        for edge in cell.parents:
            below[edge.parent].add(cell.ordinal)
    return below


def _reach(below: Sequence[set[int]], start: int) -> set[int]:
    found: set[int] = set()
    waiting = [start]
    while waiting:
        new = below[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _named(plan: Plan, stored: Plan, reset: set[int]) -> set[str]:
    """Return the names of reset jobs; for a foreach that is evaluated again its own name and none of its cells."""
    again = {
        cell.ordinal
        for cell in stored.cells
        if cell.group and stored.node_of(cell).foreach is not None and any(edge.parent in reset for edge in cell.parents)
    }
    gone = {edge.parent for ordinal in again for edge in plan.cells[ordinal].parents if plan.cells[ordinal].group}
    return {
        plan.cells[ordinal].name
        for ordinal in reset - gone
        if not plan.cells[ordinal].hidden and (not plan.cells[ordinal].group or ordinal in again)
    }


def differences(actual: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, tuple[str | None, str]]:
    """Return the differences, except for reasons of skips that several broken edges can explain."""
    return {name: (actual.get(name), text) for name, text in wanted.items() if actual.get(name) not in text.split("|")}


def inconsistencies(plan: Plan, actual: Mapping[str, str], allowed: Iterable[str] = ()) -> list[str]:
    """Return the ends in a graph that contradict each other, whatever was canceled, stopped or lost.

    Args:
        plan: with the cells of its foreach jobs.
        actual: the end of every job by name, with its reason after a slash.
        allowed: names of the failed jobs that were allowed to fail.
    """
    ends: dict[int, graph_rules.End] = {}
    problems = []
    for cell in order(plan):
        if cell.group:
            ends[cell.ordinal] = graph_rules.group_end(ends[edge.parent] for edge in cell.parents)
            continue
        status, _, reason = actual[cell.name].partition("/")
        ends[cell.ordinal] = graph_rules.End(JobStatus(status), allowed=cell.name in allowed)
        broken = {
            str(graph_rules.skip_reason(ends[edge.parent]))
            for edge in cell.parents
            if not graph_rules.holds(ends[edge.parent], edge.condition)
        }
        if status == "skipped" and reason.startswith("upstream_"):
            if reason not in broken:
                problems.append(f"{cell.name} is {actual[cell.name]}, its edges say {sorted(broken) or 'go on'}")
        elif broken and reason not in {"run_canceled", "canceled", "concurrency", "not_selected"}:
            problems.append(f"{cell.name} is {actual[cell.name]}, but an edge does not hold: {sorted(broken)}")
    return problems
