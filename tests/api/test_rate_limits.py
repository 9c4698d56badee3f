"""Rate limits: never more jobs at once or in a period than any producer allows, in order of arrival, also when workers die."""

import itertools
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Group, Queue, RateLimit, SimpleWorker, Webhook, Worker
from flowq.exceptions import UsageError
from flowq.job import Job
from flowq.rate_limit import RateLimitRegistry
from flowq.store.schema.outcomes import Claim
from flowq.worker.options import WorkerOptions
from tests.api import samples
from tests.api.conftest import Background, wait_for
from tests.support.slot_driver import Driver
from tests.support.wait import until


def enqueue(queue: Queue, limit: RateLimit, count: int = 1, **options: Any) -> list[Job]:
    return [queue.enqueue(samples.add, number, rate_limit=limit, **options) for number in range(count)]


def statuses(jobs: list[Job]) -> list[str]:
    return [str(job.get_status()) for job in jobs]


def keys(queue: Queue, pattern: str) -> list[Any]:
    return list(queue.connection.scan_iter("{flowq}:" + pattern, count=1000))


def lapse(queue: Queue, key: str) -> None:
    """Let ten seconds pass, after which places in queues are given up."""
    client = queue.connection
    for member, until_when in client.zrange("{flowq}:holders:rate/" + key, 0, -1, withscores=True):
        if until_when != float("inf"):
            client.zadd("{flowq}:holders:rate/" + key, {member: 1})
    client.zadd("{flowq}:timers", {f"admit|rate/{key}": 1}, xx=True)


# -- concurrency


def test_allowed_jobs_are_queued_and_the_others_wait(queue: Queue, connection: redis.Redis, driver: Driver) -> None:
    a, b, c = jobs = enqueue(queue, RateLimit("reports", concurrency=2), 3)
    assert statuses(jobs) == ["queued", "queued", "rate_limited"]
    assert (len(queue), c.is_rate_limited, a.is_rate_limited) == (2, True, False)
    assert (c.rate_limit_key, c.rate_limit_concurrency, c.has_rate_limit) == ("reports", 2, True)
    (registry,) = RateLimitRegistry.all(connection)
    assert (registry.key, set(registry.get_allowed_job_ids()), registry.get_rate_limited_job_ids()) == (
        "reports",
        {a.id, b.id},
        [c.id],
    )
    driver.end(driver.take())
    assert statuses(jobs) == ["finished", "queued", "queued"]
    assert (registry.get_allowed_job_count(), registry.get_rate_limited_job_count()) == (2, 0)


def test_waiting_jobs_block_no_others(queue: Queue, driver: Driver) -> None:
    limited = enqueue(queue, RateLimit("a", 1), 3)
    free = queue.enqueue(samples.add, 1)
    other = enqueue(queue, RateLimit("b", 1))[0]
    claims = [driver.take() for _ in range(3)]
    assert {claim.id for claim in claims} == {limited[0].id, free.id, other.id}
    assert driver.claim() is None


def test_one_key_over_several_queues(connection: redis.Redis, queue: Queue) -> None:
    limit = RateLimit("shared", 1)
    first = enqueue(queue, limit)[0]
    second = enqueue(Queue("other", connection=connection), limit)[0]
    assert statuses([first, second]) == ["queued", "rate_limited"]


def test_jobs_are_admitted_in_order_of_arrival(queue: Queue, driver: Driver) -> None:
    jobs = enqueue(queue, RateLimit("a", 1), 5)
    order = []
    for _ in jobs:
        claim = driver.take()
        assert driver.claim() is None
        order.append(claim.id)
        driver.end(claim)
    assert order == [job.id for job in jobs]


def test_a_place_of_an_unclaimed_job_is_given_up_but_not_duplicated(queue: Queue, driver: Driver) -> None:
    first, second = jobs = enqueue(queue, RateLimit("a", 1), 2)
    lapse(queue, "a")
    driver.settle()
    assert statuses(jobs) == ["queued", "queued"]  # the first one's queue may have no workers
    claim = driver.take()
    assert claim.id == first.id
    assert driver.claim() is None
    assert second.is_rate_limited
    driver.end(claim)
    assert driver.take().id == second.id


@pytest.mark.parametrize("outcome", ["finished", "failed", "stopped", "canceled", "lost"])
def test_every_end_releases_the_place(queue: Queue, driver: Driver, outcome: str) -> None:
    first, second = enqueue(queue, RateLimit("a", 1), 2)
    claim = driver.take()
    if outcome == "lost":
        driver.lose(claim)
    else:
        driver.end(claim, outcome)
    assert first.get_status() == ("failed" if outcome == "lost" else outcome)
    assert driver.take().id == second.id


def test_a_retry_waits_behind_waiting_jobs(queue: Queue, driver: Driver) -> None:
    first = enqueue(queue, RateLimit("a", 1), retry=1)[0]
    second = enqueue(queue, RateLimit("a", 1))[0]
    driver.end(driver.take(), "failed")
    assert statuses([first, second]) == ["rate_limited", "queued"]
    driver.end(driver.take())
    assert driver.take().id == first.id


def test_a_requeued_execution_keeps_its_place(queue: Queue, driver: Driver) -> None:
    first, second = jobs = enqueue(queue, RateLimit("a", 1), 2)
    claim = driver.take()
    driver.store.workers.unclaim(claim.id, claim.token)
    assert statuses(jobs) == ["queued", "rate_limited"]
    assert driver.take().id == first.id
    assert second.is_rate_limited


def test_canceling_deleting_and_replacing(queue: Queue, driver: Driver) -> None:
    a, b, c, d, e = jobs = enqueue(queue, RateLimit("a", 1), 5)
    b.cancel()
    assert statuses(jobs) == ["queued", "canceled", "rate_limited", "rate_limited", "rate_limited"]
    a.cancel()
    assert c.is_queued
    c.delete()
    assert d.is_queued
    queue.enqueue(samples.add, 1, job_id=d.id)  # without a limit
    assert e.is_queued
    assert [driver.take().id for _ in range(2)] == [d.id, e.id]


def test_a_deleted_job_keeps_its_place_until_its_process_ends(queue: Queue, driver: Driver) -> None:
    first, second = enqueue(queue, RateLimit("a", 1), 2)
    claim = driver.take()
    first.delete()
    assert not Job.exists(first.id, queue.connection)
    assert second.is_rate_limited
    assert RateLimitRegistry("a", queue.connection).get_allowed_job_ids() == [first.id]
    assert [driver.store.workers.vacate(claim) for _ in range(2)] == ["done", "duplicate"]
    assert driver.take().id == second.id
    assert list(queue.connection.zscan_iter("{flowq}:timers", match="vacate*")) == []


def test_the_place_of_a_deleted_job_is_free_when_its_lease_expires(queue: Queue, driver: Driver) -> None:
    first, second = enqueue(queue, RateLimit("a", 1), 2)
    driver.take()
    first.delete()
    driver.settle()
    assert second.is_rate_limited
    ((timer, _),) = queue.connection.zscan_iter("{flowq}:timers", match="vacate*")
    queue.connection.zadd("{flowq}:timers", {timer: 1})  # its worker died
    driver.settle()
    assert driver.take().id == second.id


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_the_next_job_is_admitted_as_soon_as_a_deleted_job_was_killed(
    queue: Queue, background: Callable[..., Background], worker_class: type[Worker], tmp_path: Path
) -> None:
    limit = RateLimit("a", 1)
    first = queue.enqueue(samples.mark_and_hang, str(tmp_path / "started"), rate_limit=limit)
    second = enqueue(queue, limit)[0]
    background(lambda: worker_class([queue]))
    until((tmp_path / "started").exists, message="the job to run")
    began = time.monotonic()
    first.delete()
    until(lambda: second.is_finished, timeout=20, message="the next one to have its turn")
    assert time.monotonic() - began < 8  # it is notified and does not wait for the lease to expire


def test_dependencies_and_times_come_first(queue: Queue, driver: Driver) -> None:
    limit = RateLimit("a", 1)
    parent = queue.enqueue(samples.add, 1)
    child = queue.enqueue(samples.add, 1, rate_limit=limit, depends_on=parent)
    later = queue.enqueue_in(timedelta(seconds=0.05), samples.add, 1, rate_limit=limit)
    taking = enqueue(queue, limit)[0]
    assert statuses([child, later, taking]) == ["deferred", "scheduled", "queued"]
    driver.end(driver.take())
    assert child.is_rate_limited
    until(lambda: driver.swept() and later.is_rate_limited, message="the scheduled job to be due")
    for job in (taking, child, later):
        claim = driver.take()
        assert claim.id == job.id
        driver.end(claim)


def test_requeued_jobs_obey_their_limit(queue: Queue, driver: Driver) -> None:
    first, second = enqueue(queue, RateLimit("a", 1), 2)
    driver.end(driver.take(), "failed")
    first.requeue()
    driver.settle()
    assert statuses([first, second]) == ["rate_limited", "queued"]


# -- a rate per period


def test_no_more_jobs_start_in_a_period_than_allowed(queue: Queue, driver: Driver) -> None:
    jobs = enqueue(queue, RateLimit("api", rate=3, period=0.4), 9)
    assert statuses(jobs) == ["queued"] * 3 + ["rate_limited"] * 6
    began: list[float] = []

    def all_started() -> bool:
        driver.tick()
        while (claim := driver.claim()) is not None:
            began.append(float(claim.fields["started_at"]))
            driver.end(claim)
        return len(began) == len(jobs)

    until(all_started, message="all to start")
    assert all(later - earlier >= 400 for earlier, later in zip(began, began[3:], strict=False))
    assert began[-1] - began[0] < 2000  # two periods, and not much more
    assert keys(queue, "limit*") == []
    until(lambda: not keys(queue, "starts:*"), message="what is remembered to go")


class SlowSweeper(Worker):
    """A worker that sweeps only once a minute unless it is notified."""

    def _options(self, **settings: Any) -> WorkerOptions:
        return replace(super()._options(**settings), sweep=60.0)


def test_a_worker_is_notified_when_a_period_ends(queue: Queue, background: Callable[..., Background]) -> None:
    background(lambda: SlowSweeper([queue]))
    jobs = enqueue(queue, RateLimit("api", rate=1, period=0.2), 4)
    until(lambda: all(job.is_finished for job in jobs), timeout=20, message="all to have their turn, without a sweep")
    began = sorted(job.started_at for job in jobs if job.started_at)
    gaps = [(later - earlier).total_seconds() for earlier, later in itertools.pairwise(began)]
    assert all(gap >= 0.199 for gap in gaps)


def test_one_of_many_workers_is_told_when_to_sweep(queue: Queue, driver: Driver) -> None:
    until(lambda: not queue.connection.info("clients")["blocked_clients"], message="the workers of other tests to be gone")
    other = Driver(driver.store, name="other")
    assert driver.tick().again is None
    queue.enqueue_in(timedelta(hours=1), samples.add, 1)
    assert keys(queue, "wake:@decide") == []  # a sweep is early enough
    queue.enqueue_in(timedelta(seconds=0.9), samples.add, 1)
    assert len(keys(queue, "wake:@decide")) == 1
    told = driver.tick().again
    assert told is not None
    assert 0 < told <= 0.9
    assert (driver.tick().again, other.tick().again) == (None, None)
    queue.enqueue_in(timedelta(seconds=0.2), samples.add, 1)
    sooner = other.tick().again
    assert sooner is not None
    assert sooner <= 0.2
    other.close()


def test_a_period_counts_after_its_jobs_were_deleted(queue: Queue, driver: Driver) -> None:
    limit = RateLimit("api", rate=1, period=60)
    for job in enqueue(queue, limit, result_ttl=0):
        driver.end(driver.take())
        assert not Job.exists(job.id, queue.connection)
    assert enqueue(queue, limit)[0].is_rate_limited


def test_a_small_rate_does_not_make_a_large_one_forget(queue: Queue, driver: Driver) -> None:
    long = RateLimit("api", rate=3, period=60)
    for _ in enqueue(queue, long, 3):
        driver.end(driver.take())
    short = enqueue(queue, RateLimit("api", rate=1, period=0.01), 3)

    def all_done() -> bool:
        driver.settle()
        if (claim := driver.claim()) is not None:
            driver.end(claim)
        return all(job.is_finished for job in short)

    until(all_done, message="the jobs with the small rate")
    assert enqueue(queue, long)[0].is_rate_limited
    assert queue.connection.llen("{flowq}:starts:rate/api") == 3


def test_a_backlog_does_not_start_all_at_once(queue: Queue, driver: Driver) -> None:
    jobs = enqueue(queue, RateLimit("api", rate=2, period=60), 6)
    for _ in range(3):  # without workers places are given up, and other jobs get them
        lapse(queue, "api")
        driver.settle()
    assert statuses(jobs) == ["queued"] * 6
    assert {driver.take().id, driver.take().id} == {jobs[0].id, jobs[1].id}
    assert driver.claim() is None
    assert statuses(jobs) == ["started"] * 2 + ["rate_limited"] * 4


def test_a_new_job_does_not_overtake_when_a_period_ends(queue: Queue, driver: Driver) -> None:
    limit = RateLimit("api", rate=1, period=0.05)
    enqueue(queue, limit)
    driver.end(driver.take())
    waiting = enqueue(queue, limit)[0]
    assert waiting.is_rate_limited
    until(lambda: queue.store.client.pttl("{flowq}:starts:rate/api") == -2, message="the period to end")
    newcomer = enqueue(queue, limit)[0]  # no worker has swept meanwhile
    assert statuses([waiting, newcomer]) == ["queued", "rate_limited"]


def test_both_together(queue: Queue, driver: Driver) -> None:
    jobs = enqueue(queue, RateLimit("api", concurrency=1, rate=2, period=60), 4)
    for job in jobs[:2]:
        claim = driver.take()
        assert (claim.id, driver.claim()) == (job.id, None)
        driver.end(claim)
    driver.settle()
    assert driver.claim() is None
    assert statuses(jobs) == ["finished", "finished", "rate_limited", "rate_limited"]


# -- producers with different limits


def test_the_strictest_limit_holds_while_a_job_carries_it(queue: Queue, driver: Driver) -> None:
    many = enqueue(queue, RateLimit("a", 3), 3)
    one = enqueue(queue, RateLimit("a", 1))[0]
    more = enqueue(queue, RateLimit("a", 3), 3)
    order = []
    for _ in range(4):
        claim = driver.take()
        assert driver.claim() is None
        order.append(claim.id)
        driver.end(claim)
    assert order == [*(job.id for job in many), one.id]
    assert statuses(more) == ["queued"] * 3  # now its job has ended


def test_a_strict_limit_that_is_canceled_lets_the_others_go(queue: Queue) -> None:
    jobs = enqueue(queue, RateLimit("a", 2), 1)
    strict = enqueue(queue, RateLimit("a", 1))[0]
    jobs += enqueue(queue, RateLimit("a", 2), 1)
    assert statuses(jobs) == ["queued", "rate_limited"]
    strict.cancel()
    assert statuses(jobs) == ["queued", "queued"]


def test_different_periods_hold_at_once(queue: Queue, driver: Driver) -> None:
    jobs = enqueue(queue, RateLimit("a", rate=5, period=60)) + enqueue(queue, RateLimit("a", rate=1, period=3600))
    driver.end(driver.take())
    driver.settle()
    assert statuses(jobs) == ["finished", "rate_limited"]


class Storm:
    """Jobs with many limits, claimed and ended at random by a worker that sometimes dies; every claim is checked."""

    limits = (RateLimit("a", 1), RateLimit("a", 2), RateLimit("a", 4), RateLimit("a", rate=4, period=0.1), RateLimit("b", 2))

    hooks = (Webhook("http://127.0.0.1:9/", "finished"), Webhook("http://127.0.0.1:9/", "failed"))

    def __init__(self, queue: Queue, driver: Driver, seed: int) -> None:
        self.group = Group.create(queue.connection, "storm")
        self.queue, self.driver, self.rng = queue, driver, random.Random(seed)
        self.jobs: dict[str, RateLimit] = {}
        self.held: list[Claim] = []
        self.starts: list[float] = []

    def step(self) -> None:
        action = self.rng.random()
        if action < 0.3 and len(self.jobs) < 80:
            limit = self.rng.choice(self.limits)
            options: dict[str, Any] = {
                "retry": self.rng.choice([None, 1]),
                "webhooks": self.hooks if self.rng.random() < 0.5 else None,
            }
            data = Queue.prepare_data(samples.add, (1,), rate_limit=limit, result_ttl="1h", **options)
            self.jobs[self.group.enqueue_many(self.queue, [data])[0].id] = limit
        elif action < 0.6 and (claim := self.driver.claim()) is not None:
            self.check(claim)
            self.held.append(claim)
        elif action < 0.85 and self.held:
            self.end(self.held.pop(self.rng.randrange(len(self.held))))
        elif action < 0.9:
            lapse(self.queue, self.rng.choice("ab"))
        else:
            self.driver.settle()
        self.driver.beat(*self.held)

    def end(self, claim: Claim) -> None:
        if self.rng.random() < 0.2:
            self.driver.lose(claim)
        else:
            self.driver.end(claim, self.rng.choice(["finished", "failed"]))

    def check(self, claim: Claim) -> None:
        key = self.jobs[claim.id].key
        found = (job for job in Job.fetch_many(self.jobs, self.queue.connection) if job is not None)
        waiting = [job.id for job in found if job.get_status(refresh=False) in {"rate_limited", "queued", "started"}]
        carried = [self.jobs[job] for job in waiting if self.jobs[job].key == key]
        at_once = 1 + sum(self.jobs[other.id].key == key for other in self.held)
        assert all(at_once <= limit.concurrency for limit in carried if limit.concurrency is not None)
        if any(limit.rate for limit in carried):
            began = float(claim.fields["started_at"])
            assert sum(start > began - 100 for start in self.starts) < 4
            self.starts.append(began)

    def settled(self) -> bool:
        self.driver.settle()
        while (claim := self.driver.claim()) is not None:
            self.driver.end(claim)
        found = (job for job in Job.fetch_many(self.jobs, self.queue.connection) if job is not None)
        return all(job.get_status(refresh=False) in {"finished", "failed"} for job in found)


@pytest.mark.parametrize("seed", range(2))
def test_no_limit_is_exceeded_and_no_job_starves(queue: Queue, driver: Driver, seed: int) -> None:
    storm = Storm(queue, driver, seed)
    for _ in range(250):
        storm.step()
    for claim in storm.held:
        driver.end(claim)
    until(storm.settled, message="all jobs to be admitted")
    assert len(storm.jobs) > 40
    assert RateLimitRegistry.all(queue.connection) == []
    assert (storm.group.is_complete, len(storm.group)) == (True, len(storm.jobs))
    told = driver.store.webhooks.take(100)
    assert len({delivery.job for delivery in told}) == len(told) == sum(bool(job.webhooks) for job in storm.group.get_jobs())


# -- real workers


def test_two_workers_never_run_more_jobs_than_allowed(
    queue: Queue, background: Callable[..., Background], tmp_path: Path
) -> None:
    log = tmp_path / "log"
    jobs = [queue.enqueue(samples.enter_and_leave, str(log), rate_limit=RateLimit("a", 2)) for _ in range(8)]
    for _ in range(2):
        background(lambda: Worker([queue]), slots=2)
    for job in jobs:
        wait_for(job, "finished", timeout=20)
    inside = most = 0
    for line in log.read_text().splitlines():
        inside += 1 if line == "in" else -1
        most = max(most, inside)
    assert most == 2


def test_a_killed_worker_does_not_keep_its_place(queue: Queue, background: Callable[..., Background], tmp_path: Path) -> None:
    worker = background(lambda: Worker([queue], worker_ttl=1))
    limit = RateLimit("a", 1)
    first = queue.enqueue(samples.mark_and_hang, str(tmp_path / "log"), rate_limit=limit)
    second = queue.enqueue(samples.add, 1, rate_limit=limit)
    wait_for(first, "started")
    assert second.is_rate_limited
    worker.signal(signal.SIGKILL)
    worker.wait()
    background(lambda: Worker([queue], worker_ttl=1))
    wait_for(second, "finished", timeout=20)
    assert first.is_failed


def test_a_rate_on_a_real_worker(queue: Queue, background: Callable[..., Background]) -> None:
    jobs = enqueue(queue, RateLimit("a", rate=2, period=1), 5)
    background(lambda: Worker([queue]), slots=4)
    for job in jobs:
        wait_for(job, "finished", timeout=20)
    began = sorted(job.started_at.timestamp() for job in jobs if job.started_at)
    assert all(later - earlier >= 1 for earlier, later in zip(began, began[2:], strict=False))


# -- values


def test_names_and_values(queue: Queue) -> None:
    limit = RateLimit("api", concurrency=2, rate=10, period="1m")
    assert repr(limit) == "RateLimit('api', concurrency=2, rate=10, period=60.0)"
    job = queue.enqueue(samples.add, 1, rate_limit=limit)
    assert (job.rate_limit, Job.fetch(job.id, queue.connection).rate_limit) == (limit, limit)
    assert Job.create(samples.add, (1,), rate_limit=limit).rate_limit == limit
    many = queue.enqueue_many([Queue.prepare_data(samples.add, (1,), rate_limit=RateLimit("x/ y|z", 1)) for _ in range(2)])
    assert statuses(many) == ["queued", "rate_limited"]
    assert many[1].rate_limit_key == "x/ y|z"
    assert hash(limit) == hash(RateLimit("api", 2, 10, 60))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"key": "", "concurrency": 1}, "key"),
        ({"key": "a"}, "concurrency"),
        ({"key": "a", "concurrency": 0}, "from 1"),
        ({"key": "a", "concurrency": True}, "from 1"),
        ({"key": "a", "rate": 1}, "belong together"),
        ({"key": "a", "concurrency": 1, "period": 60}, "belong together"),
        ({"key": "a", "rate": 1.5, "period": 60}, "whole number"),
        ({"key": "a", "rate": 1, "period": 0}, "period"),
    ],
)
def test_invalid_limits(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RateLimit(**arguments)


def test_jobs_that_cannot_be_limited(queue: Queue, connection: redis.Redis) -> None:
    with pytest.raises(UsageError, match="RateLimit"):
        queue.enqueue(samples.add, 1, rate_limit="2/s")
    with pytest.raises(UsageError, match="workers"):
        enqueue(Queue(is_async=False, connection=connection), RateLimit("a", 1))


def test_cost_does_not_grow_with_waiting_jobs(queue: Queue, driver: Driver) -> None:
    def commands() -> int:
        """Return the number of Redis commands of one end and one claim."""
        before = queue.connection.info("commandstats")
        driver.end(driver.take())
        after = queue.connection.info("commandstats")
        return sum(row["calls"] - before.get(name, {"calls": 0})["calls"] for name, row in after.items())

    enqueue(queue, RateLimit("a", 1), 4)
    few = commands()
    enqueue(queue, RateLimit("a", 1), 400)
    assert commands() <= few + 5


@pytest.mark.parametrize("clear", [Queue.empty, Queue.delete])
def test_clearing_a_queue_deletes_the_jobs_that_wait_for_a_rate_limit(queue: Queue, clear: Callable[[Queue], object]) -> None:
    jobs = [queue.enqueue(samples.add, number, rate_limit=RateLimit("k", concurrency=1)) for number in range(10)]
    others = Queue("others", connection=queue.connection)
    other = others.enqueue(samples.add, 1, rate_limit=RateLimit("k", concurrency=1))
    assert clear(queue) in (10, None)
    assert not any(Job.exists(job.id, connection=queue.connection) for job in jobs)
    assert other.is_queued, "the place is given to a job of another queue"
