"""The state of the model: jobs with their executions, the queue, the outbox, and what is counted to check the guarantees."""

from functools import cached_property
from typing import NamedTuple

from flowq.states import ENDED

ABSENT = "-"
ADMIT = (-1, 0)
"""The entry of the outbox that gives places to waiting jobs."""
HOLDING = frozenset({"queued", "started"})
"""Statuses of a job that has a place below the limit."""


class Shape:
    """A graph of jobs and the bounds within which all its states are visited.

    Args:
        edges: (parent, child, condition) by the jobs' numbers.
        jobs: the number of jobs.
        retries: of each job.
        waits: a retry waits for its time instead of being queued at once.
        faults: lost executions and returned claims, together.
        requests: cancels, retries of the run, and of plain jobs creations, requeues and deletions, together.
        plain: the jobs are plain ones without edges, created by requests; else they are those of a run.
        limit: of the jobs of a run as many may be queued or started at once; 0 is no limit.
    """

    def __init__(
        self,
        jobs: int,
        *edges: tuple[int, int, str],
        retries: int = 0,
        waits: bool = False,
        faults: int = 1,
        requests: int = 1,
        plain: bool = False,
        limit: int = 0,
    ) -> None:
        self.jobs, self.edges = jobs, edges
        self.retries, self.waits, self.faults, self.requests, self.plain = retries, waits, faults, requests, plain
        self.limit = limit

    @cached_property
    def below(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the edges below each job, in the order in which they are decided."""
        return tuple(tuple(n for n, edge in enumerate(self.edges) if edge[0] == job) for job in range(self.jobs))

    @cached_property
    def above(self) -> tuple[tuple[int, ...], ...]:
        """The numbers of the edges above each job."""
        return tuple(tuple(n for n, edge in enumerate(self.edges) if edge[1] == job) for job in range(self.jobs))


class Job(NamedTuple):
    """One job. `executions` has the outcome of each execution, empty while it runs; `pending` counts undecided edges.

    `epoch` counts the retries and requeues, `ends` the ends within an epoch. `deleted`: an execution of a deleted record may still report.
    """

    status: str = ABSENT
    attempt: int = 0
    pending: int = 0
    executions: tuple[str, ...] = ()
    canceling: bool = False
    epoch: int = 0
    ends: int = 0
    deleted: bool = False

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class State(NamedTuple):
    """The whole state. An entry of the outbox is (parent, number of edges that it has decided), or `ADMIT`.

    `waiters` are the jobs that wait for a place below the limit, in order. `slot` is the latest claim of the worker's slot, (job, execution). `decided` counts the decisions of each edge in its child's epoch.
    """

    jobs: tuple[Job, ...]
    queue: tuple[int, ...]
    outbox: tuple[tuple[int, int], ...]
    waiters: tuple[int, ...]
    slot: tuple[int, int] | None
    decided: tuple[int, ...]
    faults: int
    requests: int

    @property
    def quiet(self) -> bool:
        """Nothing is left to do: all jobs have ended, and all that follows from it is done."""
        return not self.outbox and all(job.ended or job.status == ABSENT for job in self.jobs)


class Call(NamedTuple):
    """One call of a client or worker: the transition's name in Lua, and what it is about."""

    name: str
    job: int = -1
    execution: int = 0  # counted from 1; 0: one of a record that was deleted
    outcome: str = ""

    def __str__(self) -> str:
        parts = [self.name]
        if self.job >= 0:
            parts.append(f"job {self.job}")
        if self.name in {"job/finish", "job/return_claim", "worker/heartbeat"}:
            parts.append(f"execution {self.execution}")
        return " ".join([*parts, self.outcome]).strip()


class Move(NamedTuple):
    """One change of a status, with the name of the transition that made it."""

    by: str
    job: int
    before: str
    after: str
