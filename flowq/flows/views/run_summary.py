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
from flowq.states import ENDED, LETTERS, JobStatus, Reason

if TYPE_CHECKING:
    from flowq.store import Store
    from flowq.store.schema.records import RunRecord

LARGE: Final = 1000  # jobs of a run above which it is summed up
_SHOWN: Final = {"F": 10, "S": 10, "r": 5}  # jobs that are read, by letter
_APPROVALS: Final = 20  # of those that have not been decided


@dataclass(frozen=True, slots=True)
class JobGroup:
    """Jobs that are counted together. `counts` is by status, None for records that have expired."""

    name: str
    counts: Mapping[JobStatus | None, int]

    @property
    def jobs(self) -> int:
        """How many jobs it has."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run by groups, in the order of the flow. The jobs of `run` are only those that were read; `bad` counts all that made it fail."""

    run: RunView
    groups: tuple[JobGroup, ...]
    bad: int

    @property
    def counts(self) -> Mapping[JobStatus | None, int]:
        """All jobs by status."""
        return sum((Counter(dict(group.counts)) for group in self.groups), Counter())


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
        letters = store.runs.statuses(run.id, len(nodes))
        groups = _groups(outline.group_names(), nodes, letters)
        ordinals = _worth_reading(outline, nodes, letters)
        view = _view_of(store, run, outline, ordinals, letters)
    bad = sum(1 for node, letter in zip(nodes, letters, strict=True) if letter in "FS" and node >= 0)
    return RunSummary(view, groups, bad)


def _groups(names: Sequence[str], nodes: Sequence[int], letters: str) -> tuple[JobGroup, ...]:
    found: dict[str, Counter[JobStatus | None]] = {}
    for (node, letter), count in Counter(zip(nodes, letters, strict=True)).items():
        if node >= 0:
            found.setdefault(names[node], Counter())[LETTERS[letter]] += count
    order = {name: index for index, name in enumerate(dict.fromkeys(names))}
    return tuple(JobGroup(name, found[name]) for name in sorted(found, key=order.__getitem__))


def _worth_reading(outline: PlanOutline, nodes: Sequence[int], letters: str) -> list[int]:
    """Return the ordinals of the jobs to read: some of each kind, and one that waits for each queue, which may have no worker."""
    queues, approvals = outline.queues(), outline.approvals()
    left = dict(_SHOWN)
    undecided = _APPROVALS
    waiting: set[str] = set()
    found = []
    for ordinal, (node, letter) in enumerate(zip(nodes, letters, strict=True)):
        if letter == "f" or (letter == "d" and node not in approvals):
            continue
        if letter == "d":
            wanted = undecided > 0
            undecided -= 1
        elif node < 0:
            wanted = letter in "FS" and outline.is_gate(ordinal)
        elif letter == "q":
            wanted = queues[node] not in waiting
            waiting.add(queues[node])
        else:
            wanted = left.get(letter, 0) > 0
            left[letter] = left.get(letter, 0) - 1
        if wanted:
            found.append(ordinal)
    return found


def _view_of(store: "Store", run: "RunRecord", outline: PlanOutline, ordinals: Sequence[int], letters: str) -> RunView:
    plan = outline.part(ordinals)
    records = store.runs.jobs(run.id, ordinals)
    failed = [ordinal for ordinal in ordinals if letters[ordinal] in "FS"]
    errors = read_errors(store, run.id, failed)
    queues = frozenset(job.queue for job in records if job is not None and job.status in {JobStatus.QUEUED, JobStatus.STARTED})
    idle = all(letter in "d-" or LETTERS[letter] in ENDED for letter in set(letters))
    snapshot = Snapshot(
        run=run,
        jobs=records,
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
        if job.status is not JobStatus.DEFERRED or job.reason == Reason.APPROVAL
    )
    return replace(view, jobs=tuple(jobs), counts=run.counts, foreach=0, added=0)


def _numbered(job: JobView, run: str, ordinal: int) -> JobView:
    return replace(job, ordinal=ordinal, id=member_id(run, ordinal))
