"""A run of many jobs by groups of them: what `flowq status` shows of it.

The jobs are counted from a letter for each. Only those that a user would look for first are read: jobs that failed, approvals, some that run.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from flowq.flows.views.orphans import waits_for_a_person, without_worker
from flowq.flows.views.run_view import JobView, RunView, Snapshot, run_view
from flowq.flows.views.snapshot import read_errors
from flowq.flows.views.sources import changed_files
from flowq.ids import member_id
from flowq.plan.bulk import no_collection
from flowq.plan.outline import PlanOutline
from flowq.states import ENDED, LETTERS, JobStatus, Reason, RunStatus

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord

LARGE: Final = 1000  # jobs of a run above which it is summed up
_SHOWN: Final = {"F": 10, "S": 10, "r": 5}  # jobs that are read, by letter
_HANDLERS: Final = {"on_success/": RunStatus.FINISHED, "on_failure/": RunStatus.FAILED, "on_cancel/": RunStatus.CANCELED}
_APPROVALS: Final = 20  # of those that have not been decided


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs that are counted together. `counts` is by status, None for records that have expired; `idle` handlers are not in it."""

    name: str
    counts: Mapping[JobStatus | None, int]
    idle: int = 0  # handlers for another outcome of the run

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values()) + self.idle


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run by groups, in the order of the flow. The jobs of `run` are only those that were read; `bad` counts all that made it fail."""

    run: RunView
    groups: tuple[JobGroup, ...]
    bad: int

    @property
    def counts(self) -> Mapping[JobStatus | None, int]:
        """All jobs by status, without idle handlers."""
        return sum((Counter(dict(group.counts)) for group in self.groups), Counter())

    @property
    def idle(self) -> int:
        """How many handlers were for another outcome."""
        return sum(group.idle for group in self.groups)


def read_summary(store: "Store", run: "RunRecord") -> RunSummary:
    """Read a run by groups. Linear in its jobs, with a small factor: 100,000 take less than a second.

    Raises:
        NoSuchRunError: the run is not, or no longer, on the server.
        CorruptRecordError: its plan cannot be read.
    """
    with no_collection():
        outline = PlanOutline(store.runs.plan(run.id))
        outline.add_cells(store.runs.members(run.id, outline.foreach_groups()))
        nodes = outline.nodes()
        statuses = store.runs.statuses(run.id, len(nodes))
        count = _Count(outline, nodes)
        for letters in statuses:
            count.add(letters)
        return RunSummary(_view_of(store, run, outline, count), count.groups(run.outcome), count.bad)


class _Count:
    """The count of a run's jobs by group and status, and the jobs to read.

    `worth_reading` has, by ordinal, the letters of some jobs of each kind, and one that waits for each queue, which may have no worker.
    `letters` are those that occur. `bad` counts the jobs that make the run fail.
    """

    def __init__(self, outline: PlanOutline, nodes: Sequence[int]) -> None:
        self.worth_reading: dict[int, str] = {}
        self._outline = outline
        self._nodes = nodes
        names = outline.group_names()
        self._names = list(dict.fromkeys(names))
        numbers = {name: number for number, name in enumerate(self._names)}
        self._groups = [*map(numbers.__getitem__, names), -1]  # by node; the last one is of what is no job
        self._counts: Counter[tuple[int, str]] = Counter()
        self._at = 0  # ordinal of the next letter
        self._queues, self._approvals = outline.queues(), outline.approvals()
        self._left = dict(_SHOWN)
        self._undecided = _APPROVALS
        self._waiting: set[str] = set()

    def add(self, letters: str) -> None:
        """Count the next jobs."""
        nodes = self._nodes[self._at : self._at + len(letters)]
        self._counts.update(zip(map(self._groups.__getitem__, nodes), letters, strict=True))
        if set(letters) != {"f"}:
            for ordinal, (node, letter) in enumerate(zip(nodes, letters, strict=True), start=self._at):
                if letter != "f" and self._is_worth_reading(ordinal, node, letter):
                    self.worth_reading[ordinal] = letter
        self._at += len(letters)

    def _is_worth_reading(self, ordinal: int, node: int, letter: str) -> bool:
        if letter == "d":
            wanted = node in self._approvals and self._undecided > 0
            self._undecided -= wanted
            return wanted
        if node < 0:
            return letter in "FS" and self._outline.is_gate(ordinal)
        if letter == "q":
            queue = self._outline.own_queue(ordinal) or self._queues[node]
            wanted = queue not in self._waiting
            self._waiting.add(queue)
            return wanted
        wanted = self._left.get(letter, 0) > 0
        self._left[letter] = self._left.get(letter, 0) - 1
        return wanted

    @property
    def letters(self) -> frozenset[str]:
        """The letters of all jobs and groups."""
        return frozenset(letter for _group, letter in self._counts)

    @property
    def bad(self) -> int:
        """How many jobs make the run fail."""
        return sum(count for (group, letter), count in self._counts.items() if group >= 0 and letter in "FS")

    def groups(self, outcome: RunStatus | None) -> tuple[JobGroup, ...]:
        """Return the groups in the order of the flow. `outcome` of the run: handlers for another one were not needed."""
        found: dict[int, Counter[JobStatus | None]] = {}
        for (group, letter), count in self._counts.items():
            found.setdefault(group, Counter())[LETTERS[letter]] += count
        return tuple(_group(name, found[number], outcome) for number, name in enumerate(self._names) if number in found)


def _group(name: str, counts: Counter[JobStatus | None], outcome: RunStatus | None) -> JobGroup:
    is_idle = outcome is not None and _HANDLERS.get(name, outcome) is not outcome
    return JobGroup(name, counts, counts.pop(JobStatus.SKIPPED, 0) if is_idle else 0)


def _view_of(store: "Store", run: "RunRecord", outline: PlanOutline, count: _Count) -> RunView:
    ordinals = list(count.worth_reading)
    plan = outline.part(ordinals)
    damaged: dict[str, str] = {}
    records = store.runs.jobs(run.id, ordinals, damaged)
    failed = [ordinal for ordinal, letter in count.worth_reading.items() if letter in "FS"]
    errors = read_errors(store, run.id, failed)
    queues = frozenset(job.queue for job in records if job is not None and job.status in {JobStatus.QUEUED, JobStatus.STARTED})
    idle = all(letter in "d-" or LETTERS[letter] in ENDED for letter in count.letters)
    snapshot = Snapshot(
        run=run,
        jobs=records,
        damaged={
            index: damaged[job] for index, ordinal in enumerate(ordinals) if (job := member_id(run.id, ordinal)) in damaged
        },
        errors={index: errors[ordinal] for index, ordinal in enumerate(ordinals) if ordinal in errors},
        unserved=queues - store.workers.serving(queues) if queues else queues,
        now_ms=time.time_ns() // 1_000_000,
        suspended=bool(queues) and store.queues.suspended(),
        changed=changed_files(run),
        orphaned=bool(without_worker(store, [run])) and not (idle and waits_for_a_person(records)),
    )
    view = run_view(plan, snapshot)
    jobs = (
        _numbered(job, run.id, ordinals[job.ordinal])
        for job in view.jobs
        if (
            job.damaged or job.status is LETTERS[count.worth_reading[ordinals[job.ordinal]]]
        )  # not one that has gone on since the count
        and (job.status is not JobStatus.DEFERRED or job.reason == Reason.APPROVAL)
    )
    return replace(view, jobs=tuple(jobs), counts=run.counts, foreach=0, added=0)


def _numbered(job: JobView, run: str, ordinal: int) -> JobView:
    return replace(job, ordinal=ordinal, id=member_id(run, ordinal))
