"""Missing secrets, reported before a run starts or resumes: its worker will have the environment and the files of this process."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from flowq.exceptions import UsageError
from flowq.flows.forecast import graph_rules
from flowq.flows.forecast.outcomes import predict_ends
from flowq.flows.local_worker.orphaned_runs import has_worker
from flowq.flows.local_worker.worker import stored_queues
from flowq.plan import Plan
from flowq.states import ENDED, JobStatus
from flowq.worker.secrets.resolve import problem_of

if TYPE_CHECKING:
    from flowq.flows.actions.reset import RetryPlan
    from flowq.store import Store

_NOTHING: Final[Mapping[int, graph_rules.End]] = {}
_SHOWN: Final = 20  # jobs without their secrets


@dataclass(frozen=True, slots=True)
class Absent:
    """A job that may be executed, without one of its secrets.

    `sure`: it will be executed, and cannot have it by then. A job that may be skipped is not sure to fail, nor is one whose secret is in
    a file that an earlier job may write.
    """

    text: str
    sure: bool


def absent_secrets(plan: Plan, ended: Mapping[int, graph_rules.End] = _NOTHING) -> list[Absent]:
    """Return what is absent, each secret of a job once. `ended`: the jobs that are not executed any more, by ordinal."""
    if not _any(plan):
        return []
    fates = predict_ends(plan, ended=ended)
    possible: set[int] = set()  # nodes
    certain: dict[int, bool] = {}  # node -> whether there is nothing before it
    for cell in plan.cells:
        fate = fates[cell.ordinal]
        if cell.ordinal in ended:
            continue
        if fate.runs or fate.open:
            possible.add(cell.node)
        if fate.runs and not fate.open and not cell.group and cell.phase in {"", "exit"}:
            first = not cell.phase and all(edge.parent in ended for edge in cell.parents)
            certain[cell.node] = certain.get(cell.node, False) or first
    return list(_absent(plan, possible, certain))


def absent_on_retry(store: "Store", retry: "RetryPlan") -> list[Absent]:
    """Return what is absent for the jobs that a retry runs again."""
    text = store.runs.plan(retry.run) if retry.reload is None else retry.reload.plan
    return _left(store, retry.run, Plan.from_json(text), {job.ordinal for job in retry.resets if not job.kept})


def absent_on_resume(store: "Store", run: str) -> list[Absent]:
    """Return what is absent for the jobs that a run has before it; nothing where a worker has the run already: it knows its own."""
    plan = Plan.from_json(store.runs.plan(run))
    absent = _left(store, run, plan)
    return absent if absent and not has_worker(store, stored_queues(plan, run)) else []


def refuse_absent(absent: Sequence[Absent]) -> None:
    """Refuse to start a run that is certain to fail.

    Raises:
        UsageError: a job that will be executed lacks a secret.
    """
    refused = [item.text for item in absent if item.sure]
    if refused:
        raise UsageError("\n".join(["nothing was started:", *some(refused)]))


def some(texts: list[str]) -> list[str]:
    """Return the first texts, and the number of the others."""
    return texts if len(texts) <= _SHOWN else [*texts[:_SHOWN], f"and {len(texts) - _SHOWN} more"]


def _any(plan: Plan) -> bool:
    return any(node.secrets for node in plan.nodes)


def _left(store: "Store", run: str, plan: Plan, again: Collection[int] = ()) -> list[Absent]:
    if not _any(plan):
        return []
    ended: dict[int, graph_rules.End] = {}
    for cell, record in zip(plan.cells, store.runs.jobs(run, range(len(plan.cells))), strict=True):
        if cell.ordinal in again or (cell.group and plan.node_of(cell).foreach is None):
            continue  # a group ends as its cells do
        if record is None:  # its record has expired
            ended[cell.ordinal] = graph_rules.End(JobStatus.FINISHED)
        elif record.status in ENDED:
            ended[cell.ordinal] = graph_rules.End(record.status, allowed=record.allowed)
    return absent_secrets(plan, ended)


def _absent(plan: Plan, possible: set[int], certain: dict[int, bool]) -> Iterator[Absent]:
    for number in sorted(possible):
        node = plan.nodes[number]
        for name, reference in node.secrets.items():
            problem = problem_of(name, reference)
            if problem is not None:
                yield Absent(f"{plan.where(node)}: {problem}", number in certain and ("env" in reference or certain[number]))
