"""The jobs that a retry resets, and the data of each reset job. Linear in jobs and edges, however many paths there are.

A retry starts from *seeds*: jobs that are reset for a reason of their own (they failed, or the user chose them). Everything that depends on
a reset job, whatever the edge, is reset with it. What is not reset keeps its end and its result, and a reset job is decided
against those ends as it would have been the first time. Of a matrix or foreach only such cells are reset; a foreach that itself depends on
a reset job is evaluated again, its cells go. Handlers always have their turn again: the run ends once more.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from flowq import ids
from flowq.exceptions import CorruptRecordError, InvalidRunOperation
from flowq.flows.actions.reload import Reload, reload_plan
from flowq.flows.forecast import graph_rules
from flowq.ids import split_member_id
from flowq.plan import Cell, Edge, Plan
from flowq.plan.foreach import foreach_groups, order, with_foreach_cells
from flowq.states import UPSTREAM, JobStatus, Reason, RunStatus
from flowq.store import Store
from flowq.store.retry_upload import NewPlan, ResetJob
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import JobRecord


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """The effect of a retry.

    `jobs` are the names of the jobs that would run again, each with the reason; `skipped` those that are decided again, and skipped again,
    because of jobs that stay as they are, each with the reason of that; `resets` are both for the store.
    """

    run: str
    attempt: int
    jobs: tuple[tuple[str, str], ...]
    resets: tuple[ResetJob, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    reload: NewPlan | None = None  # the plan with which they run, if it is another one

    def apply(self, store: Store) -> int:
        """Carry the retry out, at one instant; return the run's new attempt.

        Raises:
            InvalidRunOperation: the run is running, or was retried by another client meanwhile.
        """
        outcome = store.runs.reset(self.run, ids.nonce(), self.attempt, self.resets, self.reload)
        if outcome not in {Outcome.DONE, Outcome.DUPLICATE}:
            store.runs.refuse(self.run, outcome, "retry")
        return self.attempt + 1

    def without_cache(self, jobs: Collection[int] | None = None) -> "RetryPlan":
        """Return the same retry, in which these jobs (by ordinal; None: all of them) take over no earlier result."""
        resets = (replace(job, fresh=job.fresh or jobs is None or job.ordinal in jobs) for job in self.resets)
        return replace(self, resets=tuple(resets))


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, as a retry sees it.

    `stored` is the plan as submitted, `plan` has the cells of its foreach jobs; `records` are those of all its cells, by ordinal.
    `expanded` are the foreach jobs (by the ordinals of their groups) that have cells, `empty` those whose list had no items.
    `reload` is what another text of the flow changes, if the retry takes it over; then `stored` and `plan` have that text.
    """

    id: str
    attempt: int
    stored: Plan
    plan: Plan
    records: Sequence[JobRecord | None]
    expanded: frozenset[int] = frozenset()
    empty: frozenset[int] = frozenset()
    reload: Reload | None = None
    turned_away: bool = False  # its concurrency group was taken: nothing of it was executed
    turned_away_by: str = ""  # the run that held the group

    @property
    def changed(self) -> dict[int, str]:
        """The jobs that run again because of another text, by ordinal with the reason."""
        return {} if self.reload is None else dict(self.reload.changed)

    def retry(self, seeds: Mapping[int, str], *, only: bool = False, passive: Collection[int] = ()) -> RetryPlan:
        """Return the retry that starts from these jobs, by ordinal with the reason.

        Args:
            seeds: the jobs.
            only: without what depends on them.
            passive: those of them that are reset only together with one that they depend on.
        """
        selection = ResetSelection(self, seeds, only=only, passive=passive)
        skipped = selection.skipped()
        jobs = tuple((name, reason) for ordinal, name, reason in selection.names() if ordinal not in skipped)
        again = tuple((name, str(skipped[ordinal])) for ordinal, name, _ in selection.names() if ordinal in skipped)
        retry = RetryPlan(self.id, self.attempt, jobs, selection.resets(), again)
        if self.reload is None:
            return retry
        resets, new = self.reload.apply(retry.resets, self.attempt + 1, self.plan)
        return replace(retry, resets=resets, reload=new)


def read_ended(store: Store, run: str, fresh: Plan | None = None) -> EndedRun:
    """Read a run that is to be retried. `fresh`: the plan of the present text of its flow, if it is to be taken over.

    Raises:
        NoSuchRunError: there is no such run.
        InvalidRunOperation: the run has not ended, or the text cannot be taken over.
    """
    record = store.runs.require(run)
    if not record.ended:
        raise InvalidRunOperation(
            f"run {run} is {record.status}: only a run that has ended can be retried (`flowq cancel {run}` ends it)"
        )
    stored = Plan.from_json(store.runs.plan(run))
    reload = None if fresh is None else reload_plan(record, stored, fresh)
    stored = stored if reload is None else reload.plan
    members = store.runs.members(run, foreach_groups(stored))
    plan = with_foreach_cells(stored, members)
    expanded = frozenset(ordinal for ordinal, cells in members.items() if cells)
    empty = frozenset(ordinal for ordinal, cells in members.items() if cells is not None) - expanded
    damaged: dict[str, str] = {}
    records = store.runs.jobs(run, range(len(plan.cells)), damaged)
    for job, why in damaged.items():
        if records[split_member_id(job)[1]] is None:  # nothing tells how it has ended; a retry writes all else again
            raise CorruptRecordError(
                f"{why}; such a run cannot be retried: run the flow again, and remove this run with `flowq delete {run}`"
            )
    return EndedRun(
        run,
        record.attempt,
        stored,
        plan,
        records,
        expanded,
        empty,
        reload,
        turned_away=record.status is RunStatus.SKIPPED,
        turned_away_by=record.turned_away_by,
    )


@dataclass(slots=True)
class ResetSelection:
    """The reset set. `why` are its cells by ordinal, parents first, each with the reason; `again` the foreach evaluated again."""

    run: EndedRun
    seeds: Mapping[int, str]
    only: bool = False
    passive: Collection[int] = ()
    why: dict[int, str] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Walk through the graph once, parents first."""
        for cell in order(self.run.plan):
            if not (cell.phase or (cell.hidden and not cell.name)):
                self._look_at(cell)
        if self.why:
            self._handlers()

    def names(self) -> tuple[tuple[int, str, str], ...]:
        """Return ordinal, name and reason of each reset job. The gate of a sub-flow is shown only if it failed."""
        return tuple(
            (ordinal, cell.label, reason)
            for ordinal, reason in self.why.items()
            if (not (cell := self.run.plan.cells[ordinal]).hidden or reason == str(JobStatus.FAILED))
            and (not cell.group or ordinal in self.again)
        )

    def resets(self) -> tuple[ResetJob, ...]:
        """Return the resets in the store's form."""
        ends = self._ends()
        return tuple(self._reset(ordinal, ends) for ordinal in self.why)

    def skipped(self) -> dict[int, Reason]:
        """Return the jobs that are skipped again however the repeated jobs end, by ordinal with the reason."""
        ends = self._ends()
        out: dict[int, Reason] = {}
        open_ends: set[int] = set()  # their ends are not known yet
        for ordinal in self.why:
            parents = self._parents(ordinal)
            known = [edge for edge in parents if edge.parent not in open_ends]
            cell = self.run.plan.cells[ordinal]
            if cell.group and ordinal not in self.again:
                ends[ordinal] = graph_rules.group_end(ends[edge.parent] for edge in known)
                if len(known) < len(parents):
                    open_ends.add(ordinal)
            elif not cell.phase and (reason := self._verdict(ordinal, known, len(parents) - len(known), ends)):
                ends[ordinal] = graph_rules.End(JobStatus.SKIPPED)
                out[ordinal] = Reason(reason)
            else:
                open_ends.add(ordinal)
        return out

    # -- which jobs -----------------------------------------------------------------------------------------------------------

    def _look_at(self, cell: Cell) -> None:
        if cell.ordinal in self.run.expanded:
            self._foreach(cell)
            return
        reason = self.seeds.get(cell.ordinal)
        if (reason is None or cell.ordinal in self.passive) and cell.ordinal < len(self.run.stored.cells):
            after = self._after(cell, counts=cell.group)  # what a foreach depends on is its group's concern
            reason = after if reason is None or after is None else reason
        if reason is not None:
            self.why[cell.ordinal] = reason
            if cell.ordinal in self.run.empty:
                self.again.add(cell.ordinal)

    def _foreach(self, group: Cell) -> None:
        reason = self.seeds.get(group.ordinal) or self._after(self.run.stored.cells[group.ordinal])
        if reason is not None:
            self.again.add(group.ordinal)
            for edge in group.parents:
                self.why.pop(edge.parent, None)
        else:
            reason = self._after(group, counts=True)
        if reason is not None:
            self.why[group.ordinal] = reason

    def _after(self, cell: Cell, *, counts: bool = False) -> str | None:
        """Return the reason of a cell that depends on one that is reset. What counts cells counts them again in any case."""
        if self.only and not counts:
            return None
        parent = next((edge.parent for edge in cell.parents if edge.parent in self.why), None)
        return None if parent is None else f"depends on {self.run.plan.cells[parent].label}"

    def _handlers(self) -> None:
        for cell in self.run.stored.cells:
            if cell.phase:
                self.why[cell.ordinal] = "handlers run again"
                if cell.ordinal in self.run.expanded | self.run.empty:
                    self.again.add(cell.ordinal)

    # -- their data ----------------------------------------------------------------------------------------------------------

    def _ends(self) -> list[graph_rules.End]:
        """Return how each cell has ended. One whose record has expired counts as finished, see also `_verdict`."""
        ends = [graph_rules.End(JobStatus.FINISHED)] * len(self.run.plan.cells)
        for cell in order(self.run.plan):
            if cell.group:
                ends[cell.ordinal] = graph_rules.group_end(ends[edge.parent] for edge in cell.parents)
            elif (record := self.run.records[cell.ordinal]) is not None:
                ends[cell.ordinal] = graph_rules.End(record.status, allowed=record.allowed)
        return ends

    def _reset(self, ordinal: int, ends: Sequence[graph_rules.End]) -> ResetJob:
        parents = self._parents(ordinal)
        staying = [edge for edge in parents if edge.parent not in self.why]
        pending = len(parents) - len(staying)
        again = ordinal in self.again
        if self.run.plan.cells[ordinal].group and not again:
            return ResetJob(ordinal, pending, tally=graph_rules.tally(ends[edge.parent] for edge in staying))
        return ResetJob(ordinal, pending, verdict=self._verdict(ordinal, staying, pending, ends), again=again)

    def _parents(self, ordinal: int) -> tuple[Edge, ...]:
        """Return the edges that a reset arms: a cell of a foreach has none of its own."""
        if ordinal >= len(self.run.stored.cells):
            return ()
        return (self.run.stored if ordinal in self.again else self.run.plan).cells[ordinal].parents

    def _verdict(self, ordinal: int, staying: Sequence[Edge], pending: int, ends: Sequence[graph_rules.End]) -> str:
        """Return why a job is skipped again, because of an edge from a job that stays as it is; nothing if all those hold."""
        broken = next((edge for edge in staying if not graph_rules.holds(ends[edge.parent], edge.condition)), None)
        if broken is not None:
            return str(graph_rules.skip_reason(ends[broken.parent]))
        record = self.run.records[ordinal]
        if pending or record is None or record.status is not JobStatus.SKIPPED or record.reason not in UPSTREAM:
            return ""
        gone = any(self.run.records[edge.parent] is None for edge in staying if not self.run.plan.cells[edge.parent].group)
        return str(record.reason) if gone else ""  # it was skipped because of one whose record has expired since
