"""Semaphores: limits are never exceeded, places never leak, and waiting jobs block no others."""

import itertools
import random

import pytest

from flowq import ids
from flowq.exceptions import InvalidRunOperation
from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.plan import Concurrency, RetryPolicy
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from flowq.store.semaphores import group_semaphore
from tests.support import graphs, invariants
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver


def one_of(group: str, limit: int = 1) -> dict[str, object]:
    return {"concurrency": Concurrency(group, limit)}


def nothing_is_held(store: Store) -> bool:
    return not [key for key in store.client.scan_iter() if b":holders:" in key or b":waiters:" in key]


def test_max_parallel_of_a_matrix(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"m": []}, cells={"m": 12}, extra=Extra(nodes={"m": {"max_parallel": 3}}))
    driver.settle()
    assert store.queues.count("default") == 3, "the others wait in no queue"
    drive = Drive(store, driver, run, slots=8)
    assert len(drive.to_the_end()) == 12
    assert max(drive.together.values()) == 3
    assert nothing_is_held(store)


def test_cells_are_admitted_in_order(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"m": []}, cells={"m": 5}, extra=Extra(nodes={"m": {"max_parallel": 1}}))
    assert Drive(store, driver, run, slots=1).to_the_end() == [f"m[n={n}]" for n in range(5)]


def test_a_group_holds_over_all_runs(store: Store, driver: Driver) -> None:
    extra = Extra(nodes={"a": one_of("db", 2)})
    runs = [graphs.run(store, {"a": [], "b": []}, extra=extra) for _ in range(4)]
    claims = [claim for claim in driver.step(claims=10).claims if claim is not None]
    assert sum(claim.ordinal == 0 for claim in claims) == 2
    assert sum(claim.ordinal == 1 for claim in claims) == 4, "who does not use the group goes on"
    waiting = [run for run in runs if graphs.statuses(store, run)["a"] == "deferred/concurrency"]
    assert len(waiting) == 2
    assert len(store.semaphores.holders("job/db")) == 2
    assert store.semaphores.waiters("job/db") == [ids.member_id(run, 0) for run in waiting]
    for claim in claims:
        driver.end(claim)
    for run in waiting:
        Drive(store, driver, run).to_the_end()
    assert nothing_is_held(store)


def test_priority_decides_which_job_is_admitted(store: Store, driver: Driver) -> None:
    shape: graphs.Shape = {"holds": [], "low": [], "high": []}
    nodes = {name: one_of("g") for name in shape}
    nodes["high"] = {**nodes["high"], "priority": 5}
    run = graphs.run(store, shape, extra=Extra(nodes=nodes))
    assert Drive(store, driver, run).to_the_end() == ["holds", "high", "low"]


def test_several_semaphores_are_taken_all_or_none(store: Store, driver: Driver) -> None:
    extra = Extra(nodes={"m": {"max_parallel": 2, **one_of("db", 1)}, "n": one_of("db", 1)})
    run = graphs.run(store, {"n": [], "m": []}, cells={"m": 3}, extra=extra)
    claim = driver.take()
    assert claim.ordinal == 0
    assert driver.claim() is None
    held = {name for name in _names(store, "holders") if name.startswith("cells/")}
    assert not held, "who cannot have the group does not hold a place among the cells"
    driver.end(claim)
    drive = Drive(store, driver, run, slots=4)
    drive.to_the_end()
    assert drive.together["job/db"] == 1
    assert nothing_is_held(store)


def test_a_job_blocked_by_another_semaphore_is_overtaken(store: Store, driver: Driver) -> None:
    """`both` is first in line for `a`, but `b` is full: `only_a` is admitted first."""
    extra = Extra(nodes={"holds_a": one_of("a"), "holds_b": one_of("b"), "both": one_of("a"), "only_a": one_of("a")})
    run = graphs.run(store, {"holds_a": [], "holds_b": []}, extra=extra)
    a, b = driver.take(), driver.take()
    other = graphs.run(store, {"both": [], "only_a": []}, extra=extra)
    both, only_a = (ids.member_id(other, ordinal) for ordinal in (0, 1))
    store.client.hset(store.session.keys("job", both), "semaphores", "1 job/a\n1 job/b")
    store.client.zadd(store.session.keys("waiters", "job/b"), {both: 1})
    driver.end(a)
    claim = driver.take()
    assert claim.id == only_a
    driver.end(b)
    assert driver.claim() is None
    driver.end(claim)
    assert driver.take().id == both
    store.runs.cancel(other)
    driver.settle()
    store.client.zadd(store.session.keys("leases"), {both: 1})
    driver.settle()
    assert str(store.runs.require(run).status) == "finished"
    assert nothing_is_held(store)


@pytest.mark.parametrize("way", ["finished", "failed", "lost", "retried", "canceled", "handed back"])
def test_after_any_end_the_next_job_is_admitted(store: Store, driver: Driver, way: str) -> None:
    nodes = {"a": {**one_of("g"), "retry": RetryPolicy(1, (60.0,)) if way == "retried" else None}, "b": one_of("g")}
    run = graphs.run(store, {"a": [], "b": []}, extra=Extra(nodes=nodes))
    claim = driver.take()
    assert driver.claim() is None
    match way:
        case "lost":
            driver.lose(claim)
        case "canceled":
            store.jobs.cancel(claim.id)
            driver.end(claim, "failed")
        case "handed back":
            store.workers.unclaim(claim.id, claim.token)
            assert driver.take().id == claim.id, "it keeps its place"
            store.runs.cancel(run)
            driver.lose(claim)
            return
        case _:
            driver.end(claim, "failed" if way == "retried" else way)
    other = driver.take()
    assert other.id == ids.member_id(run, 1)
    store.runs.cancel(run)
    driver.settle()
    driver.end(other, "failed")
    assert nothing_is_held(store)


def test_a_queue_without_a_worker_blocks_no_other(store: Store, driver: Driver) -> None:
    """The command of a local run was killed: its queued job gives up its place after a while, and must wait when it is resumed."""
    extra = Extra(nodes={"a": one_of("deploy")})
    dead = submit(store, graphs.plan({"a": []}, extra=extra), directory="/dead", local=True)
    run = graphs.run(store, {"a": []}, extra=extra)
    assert driver.claim() is None
    holders = store.session.keys("holders", "job/deploy")
    store.client.zadd(holders, {ids.member_id(dead, 0): 1}, xx=True)  # ten seconds have passed
    store.client.zadd(store.session.keys("timers"), {"admit|job/deploy": 1}, xx=True)
    driver.settle()
    claim = driver.take()
    back = Driver(store, f"{dead}/default", name="back")
    assert back.claim() is None
    assert graphs.statuses(store, dead)["a"] == "deferred/concurrency"
    invariants.check(store)
    driver.end(claim)
    Drive(store, back, dead).to_the_end()
    back.close()
    assert str(store.runs.require(run).status) == str(store.runs.require(dead).status) == "finished"
    assert nothing_is_held(store)


def test_a_group_decided_by_an_expression(store: Store, driver: Driver) -> None:
    nodes = {"m": {"concurrency": Concurrency({"$": "matrix.n"}, 1), "max_parallel": 3}}
    run = graphs.run(store, {"m": []}, cells={"m": 4}, extra=Extra(nodes=nodes))
    for job in driver.tick().decide:
        assert store.jobs.decide(job, "go_on", semaphore=f"1 {group_semaphore('job', 'same')}") is Outcome.DONE
    drive = Drive(store, driver, run, slots=4)
    assert len(drive.to_the_end()) == 4
    assert drive.together == {"job/same": 1, f"cells/{run}-4": 1}
    assert nothing_is_held(store)


def test_names_that_are_illegal_in_keys_become_digests() -> None:
    assert group_semaphore("run", "report-eu") == "run/report-eu"
    assert group_semaphore("job", "a\nb|c").startswith("job/sha256:")
    assert group_semaphore("job", "a\nb|c") != group_semaphore("job", "a\nb|d")


# -- runs ------------------------------------------------------------------------------------------------------------------------


def grouped(on_conflict: str, limit: int = 1) -> Extra:
    return Extra(flow={"concurrency": Concurrency("nightly", limit, on_conflict)}, handlers={"exit": {"clean": []}})


def status_of(store: Store, run: str) -> str:
    return str(store.runs.require(run).status)


@pytest.fixture
def first(store: Store) -> str:
    return graphs.run(store, {"a": []}, extra=grouped("queue"))


def test_a_run_waits_for_its_turn(store: Store, driver: Driver, first: str) -> None:
    second = graphs.run(store, {"a": []}, extra=grouped("queue"))
    third = graphs.run(store, {"a": []}, extra=grouped("queue"))
    assert (status_of(store, first), status_of(store, second), status_of(store, third)) == ("running", "queued", "queued")
    assert store.semaphores.waiters("run/nightly") == [second, third]
    invariants.check(store)
    assert Drive(store, driver, first, slots=1).to_the_end() == ["a", "exit/clean"] * 3
    records = [store.runs.require(run) for run in (first, second, third)]
    for earlier, later in itertools.pairwise(records):
        assert (later.started_ms or 0) >= (earlier.ended_ms or 0)
    assert [status_of(store, run) for run in (first, second, third)] == ["finished"] * 3
    assert nothing_is_held(store)


def test_a_waiting_run_can_be_canceled(store: Store, driver: Driver, first: str) -> None:
    second = graphs.run(store, {"a": [], "m": []}, cells={"m": 0}, extra=grouped("queue"))
    store.runs.cancel(second)
    Drive(store, driver, second).to_the_end()
    assert graphs.statuses(store, second)["a"] == "canceled/run_canceled"
    assert status_of(store, second) == "canceled"
    Drive(store, driver, first).to_the_end()
    assert nothing_is_held(store)


@pytest.mark.parametrize(("on_conflict", "status", "job"), [("skip", "skipped", "skipped"), ("fail", "failed", "canceled")])
def test_a_run_that_does_not_wait(store: Store, driver: Driver, first: str, on_conflict: str, status: str, job: str) -> None:
    second = graphs.run(store, {"a": [], "m": ["a"], "b": ["m"]}, cells={"m": 2}, extra=grouped(on_conflict))
    driver.settle()
    assert status_of(store, second) == status
    assert store.runs.require(second).turned_away_by == first
    assert set(graphs.statuses(store, second).values()) == {f"{job}/concurrency"}
    if on_conflict == "skip":
        with pytest.raises(
            InvalidRunOperation, match=f"because run {first} held its concurrency group; `flowq run --again {second}`"
        ):
            retry.plan_retry(store, second)
    Drive(store, driver, first).to_the_end()
    third = graphs.run(store, {"a": []}, extra=grouped(on_conflict))
    assert Drive(store, driver, third).to_the_end() == ["a", "exit/clean"]
    if on_conflict == "fail":
        retry.plan_retry(store, second).apply(store)
        assert len(Drive(store, driver, second).to_the_end()) == 5
        assert status_of(store, second) == "finished"
    assert nothing_is_held(store)


def test_a_run_that_cancels_the_running_one(store: Store, driver: Driver, first: str) -> None:
    waiting = graphs.run(store, {"a": []}, extra=grouped("queue"))
    claim = driver.take()
    newest = graphs.run(store, {"a": []}, extra=grouped("cancel_running"))
    assert status_of(store, newest) == "queued"
    assert [str(verdict) for verdict in driver.beat(claim)] == ["cancel"]
    driver.end(claim, "failed")
    for run in (first, waiting, newest):
        Drive(store, driver, run).to_the_end()
    assert [status_of(store, run) for run in (first, waiting, newest)] == ["canceled", "canceled", "finished"]
    assert nothing_is_held(store)


def test_a_retry_waits_for_its_turn_again(store: Store, driver: Driver, first: str) -> None:
    Drive(store, driver, first, {"a": "failed"}).to_the_end()
    second = graphs.run(store, {"a": []}, extra=grouped("queue"))
    retry.plan_retry(store, first).apply(store)
    assert status_of(store, first) == "queued"
    invariants.check(store)
    Drive(store, driver, second).to_the_end()
    Drive(store, driver, first).to_the_end()
    record = store.runs.require(first)
    assert (record.status, record.attempt) == ("finished", 2)
    assert nothing_is_held(store)


def test_a_waiting_retry_can_be_canceled(store: Store, driver: Driver, first: str) -> None:
    Drive(store, driver, first, {"a": "failed"}).to_the_end()
    second = graphs.run(store, {"a": []}, extra=grouped("queue"))
    retry.plan_retry(store, first).apply(store)
    assert store.runs.cancel(first) is Outcome.DONE
    driver.settle()
    assert status_of(store, first) == "canceled"
    Drive(store, driver, second).to_the_end()
    retry.plan_retry(store, first).apply(store)
    Drive(store, driver, first).to_the_end()
    assert status_of(store, first) == "finished"
    assert nothing_is_held(store)


def test_many_runs_and_limits_at_random(store: Store) -> None:
    rng = random.Random(11)
    driver = Driver(store)
    extra = Extra(nodes={"a": one_of("x", 2), "b": one_of("y", 1), "m": {"max_parallel": 2, **one_of("x", 2)}})
    runs = [graphs.run(store, {"a": [], "b": [], "m": ["a"]}, cells={"m": 4}, extra=extra) for _ in range(6)]
    held = []
    while True:
        driver.settle()
        held += [claim for claim in driver.step(claims=3).claims if claim is not None]
        for name, limit in (("job/x", 2), ("job/y", 1)):
            assert sum(name in claim.fields["semaphores"] for claim in held) <= limit
        if not held:
            break
        claim = held.pop(rng.randrange(len(held)))
        match rng.choice(["finished", "finished", "failed", "lost", "cancel"]):
            case "lost":
                driver.lose(claim)
            case "cancel":
                store.runs.cancel(rng.choice(runs))
                driver.beat(claim)
                driver.end(claim, "failed")
            case outcome:
                driver.end(claim, outcome)
        invariants.check(store)
    assert all(store.runs.require(run).ended for run in runs)
    assert nothing_is_held(store)
    driver.close()


def _names(store: Store, kind: str) -> set[str]:
    return {key.decode().partition(f":{kind}:")[2] for key in store.client.scan_iter() if f":{kind}:".encode() in key}
