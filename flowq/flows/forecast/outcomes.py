"""The predicted outcome of a run if some jobs failed, by the engine's own rules (`flowq.flows.forecast.graph_rules`).

Everything else is taken to succeed. An `if` is decided where it only asks for what is known beforehand (params, the cell, how
jobs end); where it asks for a result, the job is taken to run, and says so.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeGuard

from flowq.expr import EvalError, ExprSyntaxError, evaluate, parse
from flowq.flows.forecast import graph_rules
from flowq.plan import Cell, Json, Plan
from flowq.plan.foreach import before_run
from flowq.states import JobStatus, Reason, RunStatus


@dataclass(frozen=True, slots=True)
class PredictedEnd:
    """The predicted end of one cell. `because` is the ordinal of the parent that decided it; `open`: it may
    still be otherwise: an `if` asks for what is not known yet, a handler is for failures that are not expected.
    """

    end: graph_rules.End
    reason: Reason | None = None
    because: int | None = None
    open: bool = False

    @property
    def runs(self) -> bool:
        """Whether the job would be executed."""
        return self.end.status is not JobStatus.SKIPPED


_RUNS: Final = graph_rules.End(JobStatus.FINISHED)
_SKIPPED: Final = graph_rules.End(JobStatus.SKIPPED)


_NOTHING: Final[Mapping[int, graph_rules.End]] = {}


def predict_ends(
    plan: Plan, failing: Collection[int] = (), ended: Mapping[int, graph_rules.End] = _NOTHING
) -> list[PredictedEnd]:
    """Return the fate of each cell, groups included, by ordinal. Linear in cells and edges.

    Args:
        plan: the plan; a foreach in it is one job.
        failing: ordinals of the jobs that fail, all their attempts, if they are executed at all.
        ended: how jobs have ended already, by ordinal, where the run is in the middle.
    """
    fates: list[PredictedEnd] = []
    plan = before_run(plan)
    targets = plan.targets()
    fitting = ""  # the phase whose handlers have their turn, known when the graph is done: handlers stand behind it
    for cell in plan.cells:  # parents have smaller ordinals
        if not cell.selected:
            fates.append(PredictedEnd(_SKIPPED, Reason.NOT_SELECTED))
            continue
        if cell.ordinal in ended:
            fates.append(PredictedEnd(ended[cell.ordinal]))
            continue
        if cell.phase not in {"", "exit"}:
            fitting = fitting or graph_rules.HANDLERS[run_status(plan, fates)]
            if cell.phase != fitting:
                fates.append(PredictedEnd(_SKIPPED, Reason.NOT_SELECTED, open=cell.phase != "success"))
                continue
        if cell.group:
            end = graph_rules.group_end(fates[edge.parent].end for edge in cell.parents)
            fates.append(PredictedEnd(end, open=any(fates[edge.parent].open for edge in cell.parents)))
            continue
        broken = next((edge for edge in cell.parents if not graph_rules.holds(fates[edge.parent].end, edge.condition)), None)
        if broken is not None:
            parent = fates[broken.parent]
            fates.append(PredictedEnd(_SKIPPED, graph_rules.skip_reason(parent.end), broken.parent, open=parent.open))
            continue
        decided = _condition(plan, cell, fates, targets)
        unsure = decided is None or any(fates[edge.parent].open for edge in cell.parents)
        if decided is False:
            fates.append(PredictedEnd(_SKIPPED, Reason.IF_FALSE))
        elif cell.ordinal in failing:
            allowed = plan.node_of(cell).allow_failure is True
            fates.append(PredictedEnd(graph_rules.End(JobStatus.FAILED, allowed=allowed), Reason.ERROR, open=unsure))
        else:
            fates.append(PredictedEnd(_RUNS, open=unsure))
    return fates


def run_status(plan: Plan, fates: Sequence[PredictedEnd]) -> RunStatus:
    """Return how the run would end: failed if a job of the graph failed that is not allowed to."""
    ends = (fates[cell.ordinal].end for cell in plan.jobs() if not cell.phase)
    return (
        RunStatus.FAILED if any(end.status in graph_rules.FAILING and not end.succeeded for end in ends) else RunStatus.FINISHED
    )


def _condition(plan: Plan, cell: Cell, fates: list[PredictedEnd], targets: Mapping[str, int]) -> bool | None:
    """Return what a job's `if` gives, True without one, None where it asks for what is only known at run time."""
    source = plan.node_of(cell).condition
    if source is None:
        return True
    node = plan.node_of(cell)
    jobs: dict[str, Json] = {}
    try:
        expression = parse(source)
        for reference in expression.references():
            match reference.path:
                case ("params" | "matrix", *_):
                    continue
                case ("jobs", str(name), "status", *_) if _known(target := targets.get(node.scope + name), fates):
                    jobs[name] = {"status": str(fates[target].end.status)}
                case _:
                    return None
        value = evaluate(expression, {"params": dict(plan.params_of(node)), "matrix": dict(cell.matrix or {}), "jobs": jobs})
    except (EvalError, ExprSyntaxError):
        return None
    return value if isinstance(value, bool) else None


def _known(ordinal: int | None, fates: Sequence[PredictedEnd]) -> TypeGuard[int]:
    """Return whether the end of a job is certain."""
    return ordinal is not None and ordinal < len(fates) and not fates[ordinal].open
