"""The duration of a run, computed from those of its jobs: its critical path, and its duration on some number of slots.

Before it runs, a foreach is taken to have as many cells as in the median of the earlier runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import add
from statistics import median

from flowq.flows.forecast.history import History
from flowq.flows.forecast.makespan import delays_of, makespan
from flowq.flows.forecast.outcomes import PredictedEnd, predict_ends
from flowq.flows.forecast.ranks import ranks
from flowq.plan import Plan
from flowq.plan.foreach import foreach_groups, unknown_lists, with_foreach_cells


@dataclass(frozen=True, slots=True)
class Forecast:
    """The expected durations. Seconds.

    `plan` has the cells that each foreach is expected to have; ordinals are its own, those of the flow's plan among them. `seconds` is by
    ordinal, 0 for what is not executed; `unknown` counts jobs that never ran before and are taken for the median of the others. `path`
    are the ordinals of the critical path, `path_seconds` its length with each `delay`: no number of workers makes the run quicker.
    """

    plan: Plan
    seconds: tuple[float, ...]
    unknown: int
    path: tuple[int, ...]
    path_seconds: float
    overhead: float = 0.0  # between two jobs of a slot
    empty: frozenset[int] = frozenset()  # ordinals of the foreach jobs that are expected to have no cells

    def duration(self, slots: int) -> float:
        """Return the seconds that the run takes on this many slots."""
        return makespan(self.plan, self.seconds, slots, self.overhead, ranks=ranks(self.plan, self.seconds))

    def cells(self, ordinal: int) -> int | None:
        """Return how many cells a foreach is expected to have; None of any other job, and where nothing is known of it."""
        if ordinal in self.empty:
            return 0
        cell = self.plan.cells[ordinal]
        return len(cell.parents) if cell.group and self.plan.node_of(cell).foreach is not None else None

    def label(self, ordinal: int) -> str:
        """Return the name of a job; of a cell of a foreach that of its job, because which one it will be is not known."""
        cell = self.plan.cells[ordinal]
        node = self.plan.node_of(cell)
        return cell.label if node.foreach is None else node.name

    def each(self, ordinal: int) -> float:
        """Return the seconds of a job; of a foreach those of one of its cells."""
        cells = [self.seconds[edge.parent] for edge in self.plan.cells[ordinal].parents] if self.cells(ordinal) else []
        return median(cells) if cells else self.seconds[ordinal]

    def names(self) -> list[str]:
        """Return the names of the jobs of the critical path that take any time, first to last."""
        return [self.label(ordinal) for ordinal in self.path if self.seconds[ordinal] > 0]


def forecast(plan: Plan, fates: Sequence[PredictedEnd], history: History) -> Forecast | None:
    """Return the expected durations of a run, None when no job of the flow ever ran."""
    if not history.cells:
        return None
    empty = frozenset(ordinal for ordinal in unknown_lists(plan) if history.fan_out.get(plan.cells[ordinal].name) == 0)
    plan = with_expected_cells(plan, history.fan_out)
    found = expected_seconds(plan, fates, history)
    seconds = tuple(history.median if value is None else value for value in found)
    needed = tuple(map(add, seconds, delays_of(plan, seconds)))
    path = critical_path(plan, needed)
    return Forecast(
        plan,
        seconds,
        sum(value is None for value in found),
        path,
        sum(needed[ordinal] for ordinal in path),
        history.overhead,
        empty,
    )


def with_expected_cells(plan: Plan, fan_out: Mapping[str, int]) -> Plan:
    """Return the plan, not that of a run, with so many cells of its foreach jobs; one of which no number is known is one job."""
    found: dict[int, range | None] = {}
    last = len(plan.cells)
    for ordinal in unknown_lists(plan):
        count = fan_out.get(plan.cells[ordinal].name)
        found[ordinal] = None if count is None else range(last, last + count)
        last += count or 0
    return with_foreach_cells(plan, found)


def expected_seconds(plan: Plan, fates: Sequence[PredictedEnd], history: History) -> list[float | None]:
    """Return the seconds of each cell, None where its job never ran. `fates` are those before the cells were put in: they run if the foreach does."""
    groups = {plan.cells[ordinal].node: ordinal for ordinal in foreach_groups(plan)}
    run = [fates[cell.ordinal if cell.ordinal < len(fates) else groups[cell.node]].runs for cell in plan.cells]
    return [history.expected(plan, cell) if runs else 0.0 for cell, runs in zip(plan.cells, run, strict=True)]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The probable duration of a run, in seconds, and the jobs that decide it: the critical path, by name, first to last.

    `runs` counts the earlier runs that this is made from; `guessed` the jobs that were in none of them.
    """

    seconds: float
    critical_path: tuple[str, ...]
    critical_path_seconds: float
    runs: int
    guessed: int = 0


def predict(plan: Plan, history: History, slots: int) -> Prediction | None:
    """Return the prediction for a run of a plan in which nothing fails, on this many slots; None when nothing of it ever ran."""
    expected = forecast(plan, predict_ends(plan), history)
    if expected is None:
        return None
    return Prediction(
        seconds=expected.duration(slots),
        critical_path=tuple(expected.names()),
        critical_path_seconds=expected.path_seconds,
        runs=history.runs,
        guessed=expected.unknown,
    )


def critical_path(plan: Plan, seconds: Sequence[float]) -> tuple[int, ...]:
    """Return the ordinals of the longest chain of jobs by time, first to last, without the groups."""
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    end = len(plan.cells)  # every job leads to the end, so that the last one's time counts too
    for cell in plan.cells:
        graph.add_edge(cell.ordinal, end, weight=seconds[cell.ordinal])
        for edge in cell.parents:
            graph.add_edge(edge.parent, cell.ordinal, weight=seconds[edge.parent])
    if not plan.cells:
        return ()
    longest: list[int] = nx.dag_longest_path(graph)
    return tuple(ordinal for ordinal in longest if ordinal != end and not plan.cells[ordinal].group)
