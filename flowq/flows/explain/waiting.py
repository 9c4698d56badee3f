"""Explanations of waiting jobs, in sentences: for other jobs, a time, an approval, a place in a group, a worker.

The waiting half of `flowq.flows.explain.why`. Each answer is a sentence, further facts, and the ordinals of the jobs to look at next.
"""

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from flowq.flows.actions.submit import queue_of
from flowq.flows.explain.queue_state import QueueState
from flowq.flows.forecast import graph_rules
from flowq.flows.local_worker.orphaned_runs import advice, turn_in
from flowq.flows.views.run_view import JobView, RunView, ordinal_of
from flowq.ids import run_of
from flowq.plan import Cell, Edge, Node, Plan
from flowq.plan.foreach import cell_at
from flowq.states import RUN_ENDED, Condition, JobStatus, Reason

_OF_RUNS: Final = frozenset({"run", "schedule"})  # kinds of semaphores that runs hold
BREADTH: Final = 3  # causes shown of one job

ASKS: Final = {
    Condition.SUCCESS: "to succeed",
    Condition.OK: "to succeed or be skipped",
    Condition.FAILURE: "to fail",
    Condition.SKIPPED: "to be skipped",
    Condition.DONE: "to end",
}

Answer: TypeAlias = tuple[str, list[str], list[int]]

_URGENCY: Final = (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.STARTED, JobStatus.DEFERRED)


class Waits:
    """The explanations of the waiting jobs of one run.

    Args:
        plan: with the cells of its foreach jobs.
        run: as read.
        around: workers, queues and groups as read.
        jobs: of the run by ordinal, the gates of sub-flows included.
        ends: how each cell has ended, None while it has not.
    """

    def __init__(
        self,
        plan: Plan,
        run: RunView,
        around: QueueState,
        jobs: Mapping[int, JobView],
        ends: Sequence[graph_rules.End | None],
    ) -> None:
        self._plan, self._run, self._around, self._jobs, self._ends = plan, run, around, jobs, ends

    def deferred(self, cell: Cell, job: JobView) -> Answer:
        """Return what a job waits for that is neither queued nor scheduled."""
        node = self._plan.node_of(cell)
        if self._run.semaphore is not None:
            return f"the run waits for its turn in {turn_in(self._run.semaphore)}", self._holders([self._run.semaphore]), []
        if job.reason == Reason.APPROVAL:
            asks = f": {job.approval.message}" if job.approval is not None and job.approval.message else ""
            return f"waits for an approval{asks}", [], []
        if job.reason == Reason.MAX_PARALLEL:
            most = node.max_parallel or 1
            running = f"{count(most, 'cell')} of {node.name} {'is' if most == 1 else 'are'} running, which is the most that may"
            return f"waits: {running}", self._holders(job.semaphores), []
        if job.reason == Reason.CONCURRENCY:
            return "waits: its concurrency group is full", self._holders(job.semaphores), []
        if cell.phase and self._run.status not in RUN_ENDED and not self._graph_ended():
            return "a handler: it waits for the end of the run's other jobs", [], []
        missing = [edge for edge in cell.parents if self._ends[edge.parent] is None]
        if missing:
            return self._dependencies(cell, missing)
        return self._decision(node), [], []

    def scheduled(self, job: JobView) -> Answer:
        """Return what a job waits for that has a time."""
        wait = "" if job.due_ms is None else f" in {max(0, job.due_ms - self._run.now_ms) / 1000:.1f} s"
        if job.reason != Reason.RETRY:
            return f"its delay has not passed: it is queued{wait}", [], []
        details = [f"attempt {job.attempts} failed: {job.error_line}"] if job.error_line else []
        return f"waits to be tried again: attempt {job.attempts + 1} of {job.max_attempts} is queued{wait}", details, []

    def queued(self, job: JobView) -> Answer:
        """Return why no worker has started a queued job yet."""
        queue = queue_of(job.queue, self._run.queue_prefix)
        workers = [worker for worker in self._around.workers if queue in worker.queues]
        if not workers:
            if self._run.local:
                return "no worker: the command that started this run has ended", [], []
            suspended = ["workers are suspended too: `flowq resume` resumes them"] if self._around.suspended else []
            return f"no worker listens on queue {job.queue}", [*self._others(), *suspended], []
        if self._around.suspended:
            return "the workers are suspended: none of them starts a job", [], []
        slots, busy = sum(worker.slots for worker in workers), sum(worker.busy for worker in workers)
        before = self._around.positions.get(job.ordinal)
        place = "" if before is None else "next" if before == 0 else f"behind {count(before, 'other')}"
        text = f"waits in queue {job.queue}" + (f", {place}" if place else "")
        return text, [f"{count(len(workers), 'worker')} with {count(slots, 'slot')}, {busy} busy"], []

    def _dependencies(self, cell: Cell, missing: list[Edge]) -> Answer:
        details = [
            f"it needs {self._plan.cells[edge.parent].label} {ASKS[Condition(edge.condition)]}" for edge in missing[:BREADTH]
        ]
        missing.sort(key=lambda edge: self._urgency(edge.parent))
        one = self._plan.cells[missing[0].parent].label
        many = f"{len(missing)} of {len(cell.parents)} jobs"
        return f"waits for {many if len(cell.parents) > 1 else one}", details, [edge.parent for edge in missing]

    def _decision(self, node: Node) -> str:
        """Return the next step of a job whose edges have all just been decided."""
        served = any(worker.state != "stopping" for worker in self._around.workers)
        if node.condition is None:
            who = "the next sweep of a worker releases it" if served else "no worker is there to release it"
            return f"its dependencies have just been decided: {who}"
        who = "a worker decides it in a moment" if served else "no worker is there to decide it"
        return f"its `if: {node.condition}` is to be decided; {who}"

    def _holders(self, semaphores: Sequence[str]) -> list[str]:
        """Return a sentence per semaphore about its holders, and one for each holder that will not release it by itself."""
        sentences = []
        for name in semaphores:
            kind, _, group = name.partition("/")
            held = self._around.holders.get(name, ())
            if held:
                shown = ", ".join(self._holder(who, kind) for who in held[:BREADTH])
                more = f" and {len(held) - BREADTH} more" if len(held) > BREADTH else ""
                sentences.append(f"{group} is held by {shown}{more}" if kind != "cells" else f"now it is {shown}{more}")
            runs = dict.fromkeys(who if kind in _OF_RUNS else run_of(who) for who in held)
            sentences += [advice(run) for run in runs if run in self._around.orphaned]
        return sentences

    def _holder(self, who: str, kind: str) -> str:
        """Return the display name of a holder: a job of this run by its name, others by run and number."""
        if kind in _OF_RUNS:
            return f"run {who}"
        cell = cell_at(self._plan, ordinal_of(who)) if run_of(who) == self._run.id else None
        return f"job {who}" if cell is None else cell.name

    def _graph_ended(self) -> bool:
        return all(self._ends[cell.ordinal] is not None for cell in self._plan.cells if not cell.phase)

    def _others(self) -> list[str]:
        served = sorted({queue for worker in self._around.workers for queue in worker.queues})
        return [f"workers that are there listen on: {', '.join(served)}"] if served else ["no worker is there at all"]

    def _urgency(self, ordinal: int) -> int:
        job = self._jobs.get(ordinal)
        if job is not None:
            return urgency(job)
        cells = [self._jobs[edge.parent] for edge in self._plan.cells[ordinal].parents if edge.parent in self._jobs]
        return min(map(urgency, cells), default=0)


def urgency(job: JobView) -> int:
    """Return a rank: causes that need the user's help come first, then those nearest to their end."""
    if job.reason in {Reason.NO_WORKER, Reason.SUSPENDED}:
        return 0
    return 1 + _URGENCY.index(job.status) if job.status in _URGENCY else 1


def count(number: int, noun: str) -> str:
    """Return `1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
