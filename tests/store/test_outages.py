"""Leases during outages of the server, and executions that were reaped but still run."""

from dataclasses import replace

import pytest

from flowq import ids, processes
from flowq.flows.actions import retry
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Claim, Outcome, Verdict
from tests.support import graphs
from tests.support.slot_driver import Driver

LEASE_MS = 10_000


def create(store: Store, **fields: str | int) -> None:
    store.jobs.create(NewJob("a", "default", b"", ids.nonce(), fields={name: str(value) for name, value in fields.items()}))


def status(store: Store) -> tuple[str, int]:
    record = store.jobs.get("a")
    assert record is not None
    return str(record.status), record.attempt


def lease(store: Store) -> int:
    """Return the remaining milliseconds of the job's lease."""
    return int(store.client.zscore(store.session.keys("leases"), "a") or 0) - store.now_ms()


def pretend(store: Store, *, served: int, left: int) -> None:
    """Set the last heartbeat or sweep to `served` ms ago, and the end of the job's lease to `left` ms after it."""
    now = store.now_ms()
    store.client.hset(store.session.keys("meta"), "served", now - served)
    store.client.zadd(store.session.keys("leases"), {"a": now - served + left})


@pytest.mark.parametrize("gap", [4_500, 60_000, 86_400_000, -7_200_000])
def test_a_gap_extends_the_leases(store: Store, driver: Driver, gap: int) -> None:
    """No request was served in that time, or the clock was set."""
    create(store, retry="1|0|0|0")
    claim = driver.take()
    pretend(store, served=gap, left=4_000)
    assert driver.tick().reaped == 0
    assert 3_000 < lease(store) <= 4_000
    assert driver.end(claim) is Outcome.DONE


def test_several_gaps_do_not_add_up(store: Store, driver: Driver) -> None:
    create(store)
    driver.take()
    pretend(store, served=20_000, left=4_000)
    for _ in range(5):
        assert driver.tick().reaped == 0
        keys = store.session.keys
        store.client.hincrby(keys("meta"), "served", -20_000)
        store.client.zincrby(keys("leases"), -20_000, "a")
    driver.tick()
    assert lease(store) <= 4_000


def test_a_lease_is_not_moved_by_endless_outages(store: Store, driver: Driver) -> None:
    """Workers that come from time to time and stop at once: to the server each time without one looks like an outage."""
    create(store, retry="1|0|0|0")
    claim = driver.take()
    keys = store.session.keys

    def away() -> None:
        store.client.hincrby(keys("meta"), "served", -60_000)
        store.client.zincrby(keys("leases"), -60_000, "a")

    driver.tick()
    for _ in range(4):
        away()
        assert driver.tick().reaped == 0
    assert driver.beat(claim) == [Verdict.GO_ON], "it lives: its outages are counted from here on"
    for _ in range(5):
        away()
        assert driver.tick().reaped == 0
    away()
    assert driver.tick().reaped == 1
    assert status(store) == ("queued", 1)
    assert driver.take().token != claim.token
    away()
    assert driver.tick().reaped == 0, "another execution begins with its own count"


def test_a_lease_expires_while_other_workers_reach_the_server(store: Store, driver: Driver) -> None:
    create(store, retry="1|0|0|0")
    driver.take()
    pretend(store, served=1_000, left=500)
    assert driver.tick().reaped == 1
    assert status(store) == ("queued", 1)


def test_a_server_that_takes_exchanges_is_not_silent(store: Store, driver: Driver) -> None:
    """The workers that are left report and claim jobs, while their heartbeats are late."""
    create(store, retry="1|0|0|0")
    driver.take()
    pretend(store, served=3_000, left=4_000)
    driver.step()
    keys = store.session.keys
    store.client.hincrby(keys("meta"), "served", -3_000)
    store.client.zincrby(keys("leases"), -3_000, "a")
    assert driver.tick().reaped == 1
    assert status(store) == ("queued", 1)


def test_a_lost_worker_of_a_clock_that_was_ahead_is_forgotten(store: Store, driver: Driver) -> None:
    """It would seem to live until then."""
    workers = store.session.keys("workers")
    store.client.zadd(workers, {"lost": store.now_ms() + 86_400_000})
    driver.tick()
    assert store.client.zscore(workers, "lost") is None


@pytest.mark.parametrize("gap", [4_500, -7_200_000])
def test_an_exchange_ends_a_gap(store: Store, driver: Driver, gap: int) -> None:
    create(store, retry="1|0|0|0")
    claim = driver.take()
    pretend(store, served=gap, left=4_000)
    driver.step()
    assert 3_000 < lease(store) <= 4_000
    assert driver.tick().reaped == 0
    assert driver.end(claim) is Outcome.DONE


def test_a_sweep_is_told_when_a_lease_expires_that_was_not_renewed(store: Store, driver: Driver) -> None:
    create(store)
    driver.take()
    assert driver.tick().again is None
    pretend(store, served=0, left=800)
    again = driver.tick().again
    assert again is not None
    assert 0.3 < again <= 0.8
    assert driver.tick().again is None, "one worker is told"


@pytest.mark.parametrize("left", [1, -1])
def test_all_jobs_of_a_worker_that_has_ended_are_reaped_when_its_lease_has_run_out(
    store: Store, driver: Driver, left: int
) -> None:
    """Also those that its slots claimed before their latest claims: each exchange counts its claims from 1."""
    process = processes.identity()[:-1] + "-1"  # of this process id, started at another time
    store.workers.register(replace(driver.registration, process=process))
    names = ["a", "b", "c"]
    for name in names:
        store.jobs.create(NewJob(name, "default", b"", ids.nonce()))
        driver.take()
    store.client.hset(store.session.keys("worker", driver.name), "beat", store.now_ms() - LEASE_MS + 1000 * left)
    store.workers.declare_gone()
    leases = {name: store.client.zscore(store.session.keys("leases"), name) for name in names}
    assert {name: score == 0 for name, score in leases.items()} == dict.fromkeys(names, left < 0)


@pytest.mark.parametrize("process", [processes.identity(), processes.identity()[:-1] + "-1"], ids=["runs", "has ended"])
@pytest.mark.parametrize("silent", [55, 65])
def test_a_worker_lives_while_its_process_runs_and_is_not_silent_for_long(
    store: Store, driver: Driver, process: str, silent: int
) -> None:
    """One that is silent for a minute may serve another server, of whose data this is a copy."""
    store.workers.register(replace(driver.registration, process=process))
    store.client.hset(store.session.keys("worker", driver.name), "beat", store.now_ms() - 1000 * silent)
    assert [worker.name for worker in store.workers.live()] == (
        [driver.name] if (process, silent) == (processes.identity(), 55) else []
    )


@pytest.fixture(params=["1|0|0|0", "1|60000|0|0"], ids=["queued", "scheduled"])
def lost(request: pytest.FixtureRequest, store: Store, driver: Driver) -> Claim:
    """A job whose execution was reaped, and which waits for the next execution."""
    create(store, retry=request.param, on_failure="tests.report|10")
    claim = driver.take()
    driver.lose(claim)
    assert status(store) == ("scheduled" if "60000" in request.param else "queued", 1)
    return claim


def test_the_end_of_a_reaped_execution_is_accepted(store: Store, driver: Driver, lost: Claim) -> None:
    assert driver.end(lost, value=b"42") is Outcome.DONE
    assert driver.end(lost, value=b"42") is Outcome.DUPLICATE
    assert status(store) == ("finished", 1)
    assert [(item.type, item.value) for item in store.jobs.results("a")] == [("successful", b"42")]
    assert driver.claim() is None
    assert store.workers.callbacks(["default"], 1) == []


def test_a_heartbeat_takes_the_job_back(store: Store, driver: Driver, lost: Claim) -> None:
    assert driver.beat(lost) == [Verdict.GO_ON]
    assert status(store) == ("started", 1)
    assert 9_000 < lease(store) <= LEASE_MS
    assert driver.claim() is None
    assert store.workers.callbacks(["default"], 1) == []
    assert driver.end(lost, "failed") is Outcome.DONE
    assert status(store)[1] == 1


def test_a_job_that_another_worker_has_begun_is_not_taken_back(store: Store, driver: Driver, lost: Claim) -> None:
    if status(store)[0] == "scheduled":
        keys = store.session.keys  # its delay has passed
        store.client.hset(keys("job", "a"), "due", 1)
        store.client.zadd(keys("timers"), {"promote|a": 1}, xx=True)
        driver.settle()
    again = driver.take()
    assert driver.beat(lost, again) == [Verdict.FENCED, Verdict.GO_ON]
    assert driver.end(lost) is Outcome.FENCED
    assert driver.end(again) is Outcome.DONE
    assert status(store) == ("finished", 2)


def test_an_abandoned_job_has_ended(store: Store, driver: Driver) -> None:
    create(store)
    claim = driver.take()
    driver.lose(claim)
    assert driver.beat(claim) == [Verdict.FENCED]
    assert driver.end(claim) is Outcome.FENCED
    assert status(store) == ("failed", 1)


def test_a_canceled_job_is_not_taken_back(store: Store, driver: Driver, lost: Claim) -> None:
    store.jobs.cancel("a")
    assert driver.end(lost) is Outcome.FENCED
    assert status(store)[0] == "canceled"


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_an_abandoned_job_that_was_requeued_is_not_given_back(store: Store, driver: Driver, outcome: str) -> None:
    create(store)
    claim = driver.take()
    driver.lose(claim)
    assert store.jobs.requeue("a") is Outcome.DONE
    assert driver.beat(claim) == [Verdict.FENCED]
    assert driver.end(claim, outcome) is Outcome.FENCED
    assert status(store) == ("queued", 0)


@pytest.mark.parametrize("outcome", ["finished", "failed"])
def test_an_abandoned_job_of_a_run_that_was_retried_is_not_given_back(store: Store, driver: Driver, outcome: str) -> None:
    run = graphs.run(store, {"a": []})
    claim = driver.take()
    driver.lose(claim)
    retry.plan_retry(store, run).apply(store)
    assert driver.beat(claim) == [Verdict.FENCED]
    assert driver.end(claim, outcome) is Outcome.FENCED
    assert graphs.statuses(store, run) == {"a": "queued"}


def test_heartbeats_are_accepted_when_no_memory_is_left(store: Store, driver: Driver) -> None:
    create(store)
    claim = driver.take()
    store.client.config_set("maxmemory", "1")
    try:
        assert driver.beat(claim) == [Verdict.GO_ON]
        assert driver.tick().reaped == 0
    finally:
        store.client.config_set("maxmemory", "0")
    assert driver.end(claim) is Outcome.DONE
