"""Random operations on plain jobs in any order: the store stays consistent, no job hangs, and no record is kept forever."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import pytest

from flowq import Dependency, Queue, Repeat, Retry
from flowq.exceptions import FlowqError
from flowq.job import Job
from flowq.store.schema.outcomes import Claim, ExecutionReport
from tests.api import samples
from tests.support import invariants

IDS: Final = [f"job-{number}" for number in range(8)]
ACTS: Final = 60


class Story:
    """A random sequence of operations: `tell` executes the operations of a seed, `end` executes the remaining jobs."""

    def __init__(self, connection: Any, seed: int) -> None:
        self.rng = random.Random(seed)
        self.connection = connection
        self.queues = [Queue(name, connection=connection) for name in "ab"]
        self.store = self.queues[0].store
        self.held: list[Claim] = []
        enqueue = [self.enqueue] * 4
        acts = [
            self.enqueue_later,
            self.draft,
            self.enqueue_fetched,
            self.cancel,
            self.delete,
            self.requeue,
            self.unlist,
            self.sweep,
            self.clear,
            self.reap_dead_worker,
        ]
        self.acts: list[Callable[[], object]] = [*enqueue, *acts, *[self.claim] * 2, *[self.report] * 2]

    def tell(self) -> None:
        for number in range(ACTS):
            act = self.rng.choice(self.acts)
            try:
                act()
            except FlowqError:  # the operation is not possible now
                continue
            try:
                invariants.check(self.store)
            except AssertionError as error:
                raise AssertionError(f"after act {number}, {act.__name__}: {error}") from error

    def end(self) -> None:
        """Execute all remaining jobs successfully."""
        while True:
            self.sweep()
            self.reap_dead_worker()
            claim = self.store.workers.claim("w", ["a", "b"], 100)
            if claim is not None:
                self.held.append(claim)
            if not self.held:
                break
            self.store.jobs.finish(_execution(self.held.pop(), "finished"))
        while self.reap_dead_worker():
            pass
        invariants.check(self.store)
        jobs = {job.id: job for job in Job.fetch_many(IDS, self.connection) if job is not None}
        waiting = {
            job_id
            for job_id, job in jobs.items()
            if job.get_status() in {"created", "scheduled", "deferred", "started"} and not job.is_skipped
        }
        for job_id, job in jobs.items():
            if job.is_deferred and not job.is_skipped:
                assert waiting & set(job.dependency_ids), f"{job_id} hangs"
        for job_id, job in jobs.items():
            lasts = self.connection.pttl(self.store.session.keys("job", job_id)) == -1
            if job_id not in waiting and lasts and job.result_ttl != -1:
                children = [other for other in waiting if job_id in jobs[other].dependency_ids]
                assert children, f"{job_id} is kept without a dependent"

    # -- operations -----------------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        rng, chosen = self.rng, {}
        some: dict[str, Callable[[], Any]] = {
            "depends_on": lambda: [
                Dependency(rng.choice(IDS), allow_failure=rng.random() < 0.5, enqueue_at_front=rng.random() < 0.3)
                for _ in range(rng.randint(1, 2))
            ],
            "retry": lambda: Retry(max=rng.randint(1, 2), interval=rng.choice([0, 0, 60])),
            "repeat": lambda: Repeat(times=1, interval=rng.choice([0, 60])),
            "result_ttl": lambda: rng.choice([0, -1, 100]),
            "failure_ttl": lambda: rng.choice([0, 100]),
            "ttl": lambda: rng.choice([0.001, 100]),
            "on_failure": lambda: samples.on_failure,
        }
        for name, make in some.items():
            if rng.random() < (0.5 if name == "depends_on" else 0.2):
                chosen[name] = make()
        return chosen

    def job(self) -> Job:
        return Job.fetch(self.rng.choice(IDS), connection=self.connection)

    def enqueue(self) -> None:
        flags = {"at_front": self.rng.random() < 0.2, "unique": self.rng.random() < 0.2}
        self.rng.choice(self.queues).enqueue(samples.add, 1, job_id=self.rng.choice(IDS), **self.options(), **flags)

    def enqueue_later(self) -> None:
        wait = timedelta(seconds=self.rng.choice([0, 60]))
        self.rng.choice(self.queues).enqueue_in(wait, samples.add, 1, job_id=self.rng.choice(IDS), **self.options())

    def draft(self) -> None:
        origin, job_id = self.rng.choice(["", "a"]), self.rng.choice(IDS)
        Job.create(samples.add, (1,), connection=self.connection, id=job_id, origin=origin, **self.options()).save()

    def enqueue_fetched(self) -> None:
        self.rng.choice(self.queues).enqueue_job(self.job(), at_front=self.rng.random() < 0.3)

    def cancel(self) -> None:
        way = self.rng.choice(["", "enqueue_dependents", "remove_from_dependencies"])
        self.job().cancel(**({way: True} if way else {}))

    def delete(self) -> None:
        self.job().delete(delete_dependents=self.rng.random() < 0.3)

    def requeue(self) -> None:
        self.job().requeue(at_front=self.rng.random() < 0.3)

    def unlist(self) -> None:
        queue = self.rng.choice(self.queues)
        registries = [queue.finished_job_registry, queue.failed_job_registry, queue.skipped_job_registry]
        self.rng.choice(registries).remove(self.rng.choice(IDS), delete_job=self.rng.random() < 0.2)

    def claim(self) -> None:
        claim = self.store.workers.claim("w", self.rng.sample("ab", 2), self.rng.choice([0.001, 100]))
        if claim is not None:
            self.held.append(claim)

    def report(self) -> None:
        if not self.held:
            return
        claim = self.held.pop(self.rng.randrange(len(self.held)))
        outcome = self.rng.choice(["finished", "finished", "failed", "retry", "stopped", "unclaimed"])
        if outcome == "unclaimed":
            self.store.workers.unclaim(claim.id, claim.token)
        else:
            self.store.jobs.finish(_execution(claim, outcome, self.rng.choice([-1, 0, 60_000])))

    def sweep(self) -> None:
        self.store.workers.sweep(10)

    def reap_dead_worker(self) -> bool:
        lost = self.store.workers.callbacks(["a", "b"], 2)
        for claim in lost:
            self.store.workers.called(claim)
        return bool(lost)

    def clear(self) -> None:
        queue = self.rng.choice(self.queues)
        match self.rng.randrange(3):
            case 0:
                queue.empty()
            case how:
                queue.delete(delete_jobs=how == 1)


def _execution(claim: Claim, outcome: str, delay_ms: int = -1) -> ExecutionReport:
    reason = "error" if outcome == "failed" else ""
    wait = delay_ms if outcome == "retry" else -1
    return ExecutionReport(claim.id, claim.token, outcome, reason=reason, value=b"x", delay_ms=wait, max_returns=1)


@pytest.mark.parametrize("seed", range(12))
def test_a_story_ends_well(connection: Any, seed: int) -> None:
    story = Story(connection, seed)
    story.tell()
    story.end()


@pytest.mark.chaos
def test_many_stories_end_well(connection: Any) -> None:
    for seed in range(1000, 2000):
        connection.flushall()
        story = Story(connection, seed)
        try:
            story.tell()
            story.end()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
