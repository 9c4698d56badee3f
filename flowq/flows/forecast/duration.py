"""From how long jobs take to how long a run takes: its critical path, and its duration on some number of slots."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flowq.flows.forecast.history import History
from flowq.flows.forecast.makespan import makespan
from flowq.flows.forecast.outcomes import PredictedEnd, predict_ends
from flowq.flows.views.run_view import RunView
from flowq.plan import Plan

LARGEST: Final = 5000  # cells of a plan for which the rest is worked out while it runs


@dataclass(frozen=True, slots=True)
class Forecast:
    """What to expect. Seconds.

    `seconds` is by ordinal, 0 for what is not executed; `unknown` counts jobs that never ran before and are taken for the median of
    the others. `path` are the ordinals of the critical path, `path_seconds` its length: no number of workers makes the run quicker.
    """

    seconds: tuple[float, ...]
    unknown: int
    path: tuple[int, ...]
    path_seconds: float
    overhead: float = 0.0  # between two jobs of a slot


def forecast(plan: Plan, fates: Sequence[PredictedEnd], history: History) -> Forecast | None:
    """Return what to expect of a run, None when nothing of the flow ever ran."""
    expected = [history.expected(plan, cell) if fates[cell.ordinal].runs else 0.0 for cell in plan.cells]
    known = sorted(history.cells.values())
    if not known:
        return None
    middle = known[len(known) // 2]
    seconds = tuple(middle if value is None else value for value in expected)
    path = critical_path(plan, seconds)
    return Forecast(
        seconds, sum(value is None for value in expected), path, sum(seconds[ordinal] for ordinal in path), history.overhead
    )


@dataclass(frozen=True, slots=True)
class Prediction:
    """How long a run will probably take, in seconds, and the jobs that decide it: the critical path, by name, first to last.

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
        seconds=makespan(plan, expected.seconds, slots, expected.overhead),
        critical_path=tuple(plan.cells[ordinal].name for ordinal in expected.path if expected.seconds[ordinal] > 0),
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


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is left of a run that goes on: `seconds` by ordinal as expected at its start, on this many slots."""

    plan: Plan
    seconds: Sequence[float]
    slots: int
    overhead: float = 0.0

    def left(self, run: RunView) -> float:
        """Return the seconds until the run will probably have ended."""
        rest = [0.0] * len(self.seconds)
        for job in run.jobs:
            if not job.ended:
                passed = job.duration or 0.0
                rest[job.ordinal] = max(0.0, self.seconds[job.ordinal] - passed)
        return makespan(self.plan, rest, self.slots, self.overhead)


def outlook(plan: Plan, history: History, slots: int) -> Outlook | None:
    """Return the outlook of a run that begins; None when nothing of the flow ever ran, or it is too large to be worked out often."""
    if len(plan.cells) > LARGEST:
        return None
    expected = forecast(plan, predict_ends(plan), history)
    return None if expected is None else Outlook(plan, expected.seconds, slots, expected.overhead)
