"""The ranks of the jobs of a run: of those that wait, the one with the highest rank goes first.

A rank grows with the time from the start of a job to the end of the run: its own, and that of the longest chain of jobs below it. To begin with the
jobs on long chains is what list schedulers do (there it is called upward rank); where jobs differ much, runs end up to a third sooner than in
the order in which jobs are released. Times are those of the last
finished run of the same file. A rank stands for a range of times, so that small differences between two runs do not change the order;
within it jobs go in the order of their release.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from math import log2
from typing import TYPE_CHECKING, Final

from flowq.exceptions import CorruptRecordError, NoSuchRunError, ServerError
from flowq.flows.forecast.makespan import delays_of
from flowq.flows.views.snapshot import read_plan
from flowq.plan import Cell, Plan, PlanVersionError

if TYPE_CHECKING:
    from flowq.store import Store

_LARGEST: Final = 5000  # cells of a plan: of a larger one to read the times takes longer than to submit it
_LEAST: Final = 0.005  # s of a job in the mean: to start one takes some milliseconds, in whatever order
_RANKS: Final = 2  # in the range from a time to its double


def expected_ranks(store: "Store", plan: Plan) -> list[int]:
    """Return the rank of each cell of a run that is about to be submitted, by the last run of its flow; nothing where order makes no difference."""
    if not _has_choice(plan):
        return []
    # No order is a reason not to submit: what is wrong with the server as well, that says. A newer flowq may have submitted the last run.
    with suppress(CorruptRecordError, NoSuchRunError, PlanVersionError, ServerError):
        last = store.runs.latest_finished(plan.file or plan.name)
        record = None if last is None else store.runs.get(last)
        if record is not None and record.total <= _LARGEST:  # its plan may be a hundred times as large as this one
            former = read_plan(store, record.id)
            return ranks(plan, _expected(plan, _known(former, store.runs.durations(record.id, len(former.cells)))))
    return []


def ranks(plan: Plan, seconds: Sequence[float]) -> list[int]:
    """Return the rank of each cell if it takes so long; nothing where order makes no difference."""
    executed = [time for time in seconds if time > 0]
    if not _has_choice(plan) or not executed or sum(executed) < _LEAST * len(executed):
        return []
    children = plan.children()
    needed, delays = list(seconds), delays_of(plan, seconds)  # what is queued has its own delay behind it
    left = [len(edges) for edges in children]
    ready = [ordinal for ordinal, count in enumerate(left) if not count]
    for ordinal in ready:  # which grows: the jobs below each come before it
        needed[ordinal] += max((delays[edge.parent] + needed[edge.parent] for edge in children[ordinal]), default=0.0)
        for edge in plan.cells[ordinal].parents:
            left[edge.parent] -= 1
            if not left[edge.parent]:
                ready.append(edge.parent)
    return [round(_RANKS * log2(1 + 1000 * way)) for way in needed]


def _has_choice(plan: Plan) -> bool:
    """Return whether there may ever be two jobs of which one has to go first."""
    if not 2 < len(plan.cells) <= _LARGEST:
        return False
    roots = sum(not cell.parents for cell in plan.cells)
    forks = len({edge.parent for cell in plan.cells for edge in cell.parents}) < sum(len(cell.parents) for cell in plan.cells)
    return roots > 1 or forks or any(node.foreach is not None for node in plan.nodes)


def _known(plan: Plan, durations: Sequence[float | None]) -> Mapping[str, float]:
    """Return the seconds of each job and cell by name, and of each job with cells the median of theirs."""
    cells: dict[str, float] = {}
    jobs: dict[str, list[float]] = {}
    for cell, seconds in zip(plan.cells, durations, strict=True):
        if seconds is not None and not cell.group:
            cells[cell.name] = seconds
            jobs.setdefault(plan.node_of(cell).name, []).append(seconds)
    return {name: _middle(times) for name, times in jobs.items()} | cells


def _middle(values: Iterable[float]) -> float:
    ordered = sorted(values)  # `statistics` takes 10 ms to import
    return ordered[len(ordered) // 2]


def _expected(plan: Plan, known: Mapping[str, float]) -> list[float]:
    """Return the seconds of each cell, of a foreach those of one of its cells; where nothing is known, the median of the others."""
    usual = _middle(known.values()) if known else 0.0

    def of(cell: Cell) -> float:
        node = plan.node_of(cell)
        if node.action.kind == "join" or (cell.group and node.foreach is None) or not cell.selected:
            return 0.0
        return known.get(cell.name, known.get(node.name, usual))

    return [of(cell) for cell in plan.cells]
