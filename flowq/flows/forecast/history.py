"""The durations of a flow's jobs in its earlier runs, from which estimates are made.

A few runs are enough, so only the latest few are read, however long the history is. Their median is used, so that one run on a busy
machine does not distort the estimate.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Final

from flowq.exceptions import CorruptRecordError
from flowq.flows.forecast.makespan import overhead_of
from flowq.flows.views.snapshot import read_plan
from flowq.plan import Cell, Plan, PlanVersionError
from flowq.plan.foreach import foreach_groups, unknown_lists
from flowq.states import JobStatus, Reason, RunStatus
from flowq.store.schema.records import JobRecord

if TYPE_CHECKING:
    from flowq.store import Store

_SCANNED: Final = 200  # of the latest runs of all flows
_READ: Final = 5  # runs of this flow
_JOBS: Final = 20_000  # read at most, over all of these runs


@dataclass(frozen=True, slots=True)
class History:
    """Median seconds of one execution, by the name of the job or cell, and by job over all its cells.

    `fan_out` is the median number of cells of each foreach.
    """

    runs: int = 0
    cells: Mapping[str, float] = field(default_factory=dict)
    jobs: Mapping[str, float] = field(default_factory=dict)
    overhead: float = 0.0  # s between two jobs of a slot, at a median run
    fan_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def median(self) -> float:
        """Median seconds over all cells, assumed for a job that never ran; 0 where none did."""
        known = sorted(self.cells.values())
        return known[len(known) // 2] if known else 0.0

    def expected(self, plan: Plan, cell: Cell) -> float | None:
        """Return the seconds a cell can be expected to take, None when nothing is known of its job."""
        if cell.group or plan.node_of(cell).action.kind == "join" or self.fan_out.get(cell.name) == 0:
            return 0.0
        known = self.cells.get(cell.name)
        return self.jobs.get(plan.node_of(cell).name) if known is None else known


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run as read, with the cells of its foreach jobs. `whole`: in one piece, not retried, so that the times of its jobs belong together."""

    plan: Plan
    records: Sequence[JobRecord | None]
    whole: bool = True


NOTHING: Final = History()


def read_history(store: "Store", flow: str, *, before: str | None = None) -> History:
    """Read the latest runs of a flow that have ended, finished ones or failed ones.

    Args:
        store: where they are.
        flow: the flow's name.
        before: a run that is left out: the current one.
    """
    found: list[PastRun] = []
    jobs = 0
    for record in store.runs.readable(run for run in store.runs.recent(_SCANNED) if run != before):
        if record.flow != flow or record.status not in {RunStatus.FINISHED, RunStatus.FAILED}:
            continue
        jobs += record.total
        if found and jobs > _JOBS:
            break
        with suppress(CorruptRecordError, PlanVersionError):
            plan = read_plan(store, record.id)
            found.append(PastRun(plan, store.runs.jobs(record.id, range(len(plan.cells)), {}), whole=record.attempt == 1))
        if len(found) == _READ:
            break
    return summarize(found)


def summarize(runs: Sequence[PastRun]) -> History:
    """Return the medians of runs as read."""
    cells: dict[str, list[float]] = {}
    jobs: dict[str, list[float]] = {}
    for run in runs:
        for cell in run.plan.jobs():
            record = run.records[cell.ordinal]
            if record is None or record.status is not JobStatus.FINISHED or record.duration is None:
                continue
            if record.reason == Reason.CACHED:
                continue  # it did not run
            cells.setdefault(cell.name, []).append(record.duration)
            jobs.setdefault(run.plan.node_of(cell).name, []).append(record.duration)
    fan_out: dict[str, list[int]] = {}
    for run in runs:
        for ordinal in foreach_groups(run.plan):
            group = run.plan.cells[ordinal]
            fan_out.setdefault(group.name, []).append(len(group.parents))
        for ordinal in unknown_lists(run.plan):
            record = run.records[ordinal]
            if record is not None and record.status is JobStatus.FINISHED:  # its list was empty
                fan_out.setdefault(run.plan.cells[ordinal].name, []).append(0)
    return History(
        runs=len(runs),
        cells={name: median(values) for name, values in cells.items()},
        jobs={name: median(values) for name, values in jobs.items()},
        overhead=median([overhead_of(run.plan, run.records) for run in runs if run.whole] or [0.0]),
        fan_out={name: round(median(counts)) for name, counts in fan_out.items()},
    )
