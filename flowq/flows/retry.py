"""The retry of a run: which jobs are reset, and why. Linear in jobs and edges.

Reset are the jobs that failed, were stopped or canceled, those skipped because of such a job or by `fail_fast`, and everything that
depends on a reset job, whatever the edge. Finished jobs that depend on none of them keep their results. Of a matrix or foreach only
such cells are reset; a foreach that itself depends on a reset job is evaluated anew, its cells go. Handlers always run again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows import rules
from flowq.flows.views import visible_parents
from flowq.grown import foreach_groups, grow, order
from flowq.plan import Cell, Edge, Plan
from flowq.states import ENDED, JobStatus, Reason
from flowq.store import Store
from flowq.store.outcomes import Outcome
from flowq.store.records import JobRecord
from flowq.store.runs import ResetJob

_SEED_STATUSES = frozenset({JobStatus.FAILED, JobStatus.STOPPED, JobStatus.CANCELED})
_SEED_REASONS = frozenset({Reason.UPSTREAM_FAILED, Reason.UPSTREAM_SKIPPED, Reason.UPSTREAM_CANCELED, Reason.FAIL_FAST})


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What a retry would do.

    `jobs` are the names of the jobs that would run again, each with the reason; `resets` is the same for the store.
    """

    run: str
    attempt: int
    jobs: tuple[tuple[str, str], ...]
    resets: tuple[ResetJob, ...]

    def apply(self, store: Store) -> int:
        """Carry the retry out, at one instant; return the run's new attempt.

        Raises:
            InvalidRunOperation: the run is running, or was retried by somebody else meanwhile.
        """
        outcome = store.runs.reset(self.run, ids.nonce(), self.attempt, self.resets)
        if outcome not in {Outcome.DONE, Outcome.DUPLICATE}:
            store.runs.refuse(self.run, outcome, "retry")
        return self.attempt + 1


def plan_retry(store: Store, run: str) -> RetryPlan:
    """Return what a retry of the failed jobs of a run would do.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or nothing of it failed.
    """
    record = store.runs.require(run)
    if not record.ended:
        raise InvalidRunOperation(
            f"run {run} is {record.status}: only a run that has ended can be retried (`flowq cancel {run}` ends it)"
        )
    plan = Plan.from_json(store.runs.plan(run))
    members = store.runs.members(run, foreach_groups(plan))
    records = store.runs.jobs(run, range(len(grow(plan, members).cells)))
    jobs, resets = select(plan, records, members)
    if not resets:
        raise InvalidRunOperation(f"nothing to retry in run {run}: no job of it failed or was canceled")
    return RetryPlan(run, record.attempt, jobs, resets)


def select(
    plan: Plan, records: Sequence[JobRecord | None], members: Mapping[int, range | None] | None = None
) -> tuple[tuple[tuple[str, str], ...], tuple[ResetJob, ...]]:
    """Return the reset jobs of an ended run, by name with the reason, and as the store takes them.

    Args:
        plan: as stored.
        records: of all cells, by ordinal, those of foreach jobs included.
        members: of each foreach the ordinals of its cells, None where its list was never known.
    """
    selection = _Selection(plan, grow(plan, members or {}), records, frozenset(_expanded(members)))
    selection.graph()
    if not selection.why:
        return (), ()
    selection.handlers()
    return selection.names(), selection.resets()


def _expanded(members: Mapping[int, range | None] | None) -> list[int]:
    return [ordinal for ordinal, cells in (members or {}).items() if cells is not None]


def after(plan: Plan, cell: Cell, why: Mapping[int, str], visible: Mapping[int, tuple[int, ...]]) -> str | None:
    """Return the reason of a cell that depends on one that is reset, by the name of a job that people know."""
    parent = next((edge.parent for edge in cell.parents if edge.parent in why), None)
    if parent is None:
        return None
    known = [ordinal for ordinal in visible.get(parent, ()) if ordinal in why]
    return f"depends on {plan.cells[known[0] if known else parent].name}"


@dataclass(slots=True)
class _Selection:
    """`why` is what is reset, by ordinal, parents first; `again` are the foreach whose list is evaluated anew."""

    stored: Plan
    plan: Plan
    records: Sequence[JobRecord | None]
    expanded: frozenset[int]
    why: dict[int, str] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    visible: Mapping[int, tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        self.visible = visible_parents(self.plan)

    def graph(self) -> None:
        for cell in order(self.plan):
            if cell.phase or (cell.hidden and not cell.name):
                continue
            reason = None if cell.group else _seed(self.records[cell.ordinal])
            if cell.ordinal in self.expanded:
                self._foreach(cell)
            elif reason is None and cell.ordinal < len(self.stored.cells):  # what a foreach depends on is its group's concern
                reason = self._after(cell)
            if reason is not None:
                self.why[cell.ordinal] = reason

    def handlers(self) -> None:
        """Every handler has its turn again."""
        for cell in self.stored.cells:
            if cell.phase:
                self.why[cell.ordinal] = "handlers run again"
                if cell.ordinal in self.expanded:
                    self.again.add(cell.ordinal)

    def names(self) -> tuple[tuple[str, str], ...]:
        return tuple(
            (cell.name, reason)
            for ordinal, reason in self.why.items()
            if not (cell := self.plan.cells[ordinal]).hidden and (not cell.group or ordinal in self.again)
        )

    def resets(self) -> tuple[ResetJob, ...]:
        ends = self._ends()
        return tuple(self._reset(ordinal, ends) for ordinal in self.why)

    def _foreach(self, group: Cell) -> None:
        reason = self._after(self.stored.cells[group.ordinal])
        if reason is not None:
            self.again.add(group.ordinal)
            for edge in group.parents:
                self.why.pop(edge.parent, None)
        else:
            reason = self._after(group)
        if reason is not None:
            self.why[group.ordinal] = reason

    def _after(self, cell: Cell) -> str | None:
        """Return the reason of a cell that depends on one that is reset."""
        return after(self.plan, cell, self.why, self.visible)

    def _ends(self) -> dict[int, rules.End]:
        ends: dict[int, rules.End] = {}
        for cell in order(self.plan):
            record = self.records[cell.ordinal]
            if cell.group:
                ends[cell.ordinal] = rules.group_end(ends[edge.parent] for edge in cell.parents)
            else:
                status = record.status if record else JobStatus.CANCELED
                ends[cell.ordinal] = rules.End(status, allowed=bool(record and record.allowed))
        return ends

    def _parents(self, ordinal: int) -> tuple[Edge, ...]:
        """Return the edges that a reset arms: a cell of a foreach has none of its own."""
        if ordinal >= len(self.stored.cells):
            return ()
        return (self.stored if ordinal in self.again else self.plan).cells[ordinal].parents

    def _reset(self, ordinal: int, ends: Mapping[int, rules.End]) -> ResetJob:
        parents = self._parents(ordinal)
        staying = [edge for edge in parents if edge.parent not in self.why]
        pending = len(parents) - len(staying)
        again = ordinal in self.again
        if self.plan.cells[ordinal].group and not again:
            return ResetJob(ordinal, pending, tally=rules.tally(ends[edge.parent] for edge in staying))
        broken = next((edge for edge in staying if not rules.holds(ends[edge.parent], edge.condition)), None)
        verdict = "" if broken is None else str(rules.skip_reason(ends[broken.parent]))
        return ResetJob(ordinal, pending, verdict=verdict, again=again)


def _seed(record: JobRecord | None) -> str | None:
    if record is None or record.status not in ENDED:
        return None
    if record.status in _SEED_STATUSES:
        return str(record.status)
    if record.status is JobStatus.SKIPPED and record.reason in _SEED_REASONS:
        return f"skipped ({record.reason})"
    return None
