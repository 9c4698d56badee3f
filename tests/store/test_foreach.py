"""Foreach: a job becomes a group of cells, in bounded steps that survive crashes."""

import time

import pytest

from flowq import ids
from flowq.exceptions import CorruptRecordError
from flowq.flows.actions import retry
from flowq.flows.views.snapshot import read_view
from flowq.store import Store
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs, invariants
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

SHAPE: graphs.Shape = {"list": [], "each": ["list"], "after": ["each"], "anyway": {"each": "done"}}
EACH = Extra(foreach=["each"])


def status_of(store: Store, run: str) -> str:
    return str(store.runs.require(run).status)


def test_a_list_becomes_cells_in_its_order(store: Store, driver: Driver) -> None:
    run = graphs.run(store, SHAPE, extra=EACH)
    driver.list_of = lambda _job: ["x", {"y": 1}, None]
    order = Drive(store, driver, run).to_the_end()
    assert order[0] == "list"
    assert set(order[1:4]) == {"each[0]", "each[1]", "each[2]"}
    assert set(order[4:]) == {"after", "anyway"}
    group = ids.member_id(run, 1)
    assert [store.jobs.item(group, index) for index in range(3)] == [b'"x"', b'{"y": 1}', b"null"]
    record = store.runs.require(run)
    assert (record.status, record.total, record.open) == ("finished", 6, 0)
    assert [job.name for job in read_view(store, run).jobs if job.job == "each"] == ["each[0]", "each[1]", "each[2]"]


@pytest.mark.parametrize("junk", ["4 999999999999", "999999999999 1", "4 -3", "-4 1", "4 4", "4", "x y"])
def test_damaged_places_of_cells_are_told_and_not_expanded(store: Store, driver: Driver, junk: str) -> None:
    run = graphs.run(store, SHAPE, extra=EACH)
    driver.list_of = lambda _job: ["x", "y", "z"]
    Drive(store, driver, run).to_the_end()
    read_view(store, run)
    key = store.session.keys("job", ids.member_id(run, 1))
    kept = store.client.hget(key, "members")
    store.client.hset(key, "members", junk)
    with pytest.raises(CorruptRecordError, match=f"the record of job {ids.member_id(run, 1)} cannot be read: members: "):
        read_view(store, run)
    store.client.hset(key, "members", kept or b"")


def test_an_empty_list_succeeds(store: Store, driver: Driver) -> None:
    run = graphs.run(store, SHAPE, extra=EACH)
    driver.list_of = lambda _job: []
    assert set(Drive(store, driver, run).to_the_end()) == {"list", "after", "anyway"}
    assert status_of(store, run) == "finished"


def test_a_foreach_whose_list_is_never_known_is_one_job(store: Store, driver: Driver) -> None:
    run = graphs.run(store, SHAPE, extra=EACH)
    Drive(store, driver, run, {"list": "failed"}).to_the_end()
    assert graphs.statuses(store, run)["each"] == "skipped/upstream_failed"
    driver.list_of = lambda _job: [1]
    retry.plan_retry(store, run).apply(store)
    assert Drive(store, driver, run).to_the_end()[:2] == ["list", "each[0]"]
    assert status_of(store, run) == "finished"


def test_cells_have_the_rank_of_their_job_also_with_another_text(store: Store, driver: Driver) -> None:
    made = graphs.plan(SHAPE, extra=EACH)
    graphs.submit_ranked(store, made, "ranked", [9, 5, 1, 1])
    Drive(store, driver, "ranked", {"list": "failed"}).to_the_end()
    driver.list_of = lambda _job: [1, 2]
    retry.plan_retry(store, "ranked", made).apply(store)
    Drive(store, driver, "ranked").to_the_end()
    assert [cell.fields["rank"] for cell in store.runs.jobs("ranked", [4, 5]) if cell] == ["5", "5"]


def test_a_list_that_cannot_be_evaluated_fails_the_run(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"each": [], "after": ["each"]}, extra=EACH)
    (job,) = driver.tick().decide
    assert store.jobs.decide(job, "failed", "error", "foreach: expected a list") is Outcome.DONE
    driver.settle()
    assert graphs.statuses(store, run) == {"each": "failed/error", "after": "skipped/upstream_failed"}
    assert status_of(store, run) == "failed"


def test_only_failed_cells_are_retried_and_keep_their_items(store: Store, driver: Driver) -> None:
    run = graphs.run(store, SHAPE, extra=EACH)
    driver.list_of = lambda _job: [10, 11, 12]
    Drive(store, driver, run, {"each[1]": "failed"}).to_the_end()
    driver.list_of = lambda _job: pytest.fail("the list is not evaluated again")
    plan = retry.plan_retry(store, run)
    assert dict(plan.jobs) == {"each[1]": "failed", "after": "skipped (upstream_failed)", "anyway": "depends on each"}
    plan.apply(store)
    assert Drive(store, driver, run).to_the_end()[0] == "each[1]"
    assert status_of(store, run) == "finished"
    assert store.jobs.item(ids.member_id(run, 1), 1) == b"11"


def test_a_list_is_evaluated_again_when_its_dependencies_run_again(store: Store, driver: Driver) -> None:
    shape: graphs.Shape = {"list": [], "each": {"list": "done"}, "after": ["each"]}
    run = graphs.run(store, shape, extra=EACH)
    driver.list_of = lambda _job: list(range(250))
    Drive(store, driver, run, {"list": "failed"}, slots=50).to_the_end()
    plan = retry.plan_retry(store, run)
    assert [name for name, _ in plan.jobs] == ["list", "each", "after"]
    driver.list_of = lambda _job: ["new"]
    plan.apply(store)
    invariants.check(store)
    assert Drive(store, driver, run).to_the_end() == ["list", "each[0]", "after"]
    assert graphs.statuses(store, run) == {"list": "finished", "each[0]": "finished", "after": "finished"}
    record = store.runs.require(run)
    assert (record.status, record.total) == ("finished", 3)
    assert store.client.exists(store.session.keys("job", ids.member_id(run, 3))) == 0, "a dropped cell is gone"


def test_a_repeated_expansion_changes_nothing(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"each": []}, extra=EACH)
    (job,) = driver.tick().decide
    nonce = ids.nonce()

    def stage(items: list[bytes], first: int, chunk: int) -> object:
        return store.session.run("job/upload_foreach_items", job, nonce, chunk, first, items)

    assert stage([b"1", b"2"], 0, 0) == [b"done"]
    assert store.session.run("job/expand_foreach", job, nonce, 3) == [b"wrong_state"], "an item is missing"
    assert stage([b"1", b"2"], 0, 0) == [b"duplicate"]
    assert stage([b"3"], 2, 1) == [b"done"]
    assert store.session.run("job/expand_foreach", job, nonce, 3) == [b"done"]
    assert store.session.run("job/expand_foreach", job, nonce, 3) == [b"duplicate"]
    assert stage([b"3"], 2, 1) == [b"duplicate"]
    assert store.session.run("job/expand_foreach", job, ids.nonce(), 3) == [b"wrong_state"]
    assert len(Drive(store, driver, run).to_the_end()) == 3


def test_another_supervisor_continues_an_incomplete_expansion(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"each": []}, extra=EACH)
    (job,) = driver.tick().decide
    store.session.run("job/upload_foreach_items", job, "dead", 0, 0, [b"1", b"2"])
    store.client.zadd(store.session.keys("decide"), {job: 1})  # its five seconds have passed
    driver.list_of = lambda _job: ["only"]
    assert Drive(store, driver, run).to_the_end() == ["each[0]"]
    assert store.session.run("job/expand_foreach", job, "dead", 2) == [b"wrong_state"]


def test_ten_thousand_items_are_released_in_bounded_steps(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"each": [], "after": ["each"]}, extra=EACH)
    (job,) = driver.tick().decide
    assert store.jobs.expand(job, [b"%d" % n for n in range(10_000)]) is Outcome.DONE
    made = store.queues.count("default")
    assert 0 < made <= 200, "the rest is left to later steps"
    steps = []
    more = True
    while more:
        store.client.config_resetstat()
        more = driver.tick().more
        steps.append(sum(stat["calls"] for stat in store.client.info("commandstats").values()))
    assert store.queues.count("default") == 10_000
    assert max(steps) < 1_500, "commands of one sweep"
    assert store.runs.require(run).total == 10_001
    store.runs.cancel(run)
    driver.settle()
    assert status_of(store, run) == "canceled"
    store.client.hset(store.session.keys("run", run), "retention", 0)
    store.client.zadd(store.session.keys("timers"), {f"collect|{run}": 1})
    until_gone = time.monotonic() + 60
    while store.runs.get(run) is not None or store.client.exists(store.session.keys("run", run)):
        assert time.monotonic() < until_gone
        driver.settle()
    assert [key for key in store.client.scan_iter(count=5000) if run.encode() in key] == []


def test_a_cancel_in_the_middle_of_an_expansion_keeps_every_item(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"each": []}, extra=EACH)
    (job,) = driver.tick().decide
    store.jobs.expand(job, [b"%d" % n for n in range(1000)])
    assert store.queues.count("default") < 1000
    store.runs.cancel(run)
    invariants.check(store)
    driver.settle()
    assert set(graphs.statuses(store, run).values()) == {"canceled/run_canceled"}
    retry.plan_retry(store, run).apply(store)
    assert len(Drive(store, driver, run, slots=100).to_the_end()) == 1000


def test_max_parallel_and_fail_fast_of_a_foreach(store: Store, driver: Driver) -> None:
    extra = Extra(foreach=["each"], nodes={"each": {"max_parallel": 2, "fail_fast": True}})
    run = graphs.run(store, {"each": [], "after": ["each"]}, extra=extra)
    driver.list_of = lambda _job: list(range(20))
    drive = Drive(store, driver, run, {"each[7]": "failed"}, slots=8)
    drive.to_the_end()
    assert max(drive.together.values()) == 2
    found = graphs.statuses(store, run)
    assert list(found.values()).count("failed/error") == 1
    assert {found[f"each[{n}]"] for n in range(10, 20)} == {"skipped/fail_fast"}
    assert status_of(store, run) == "failed"
    retry.plan_retry(store, run).apply(store)
    drive = Drive(store, driver, run, slots=8)
    drive.to_the_end()
    assert max(drive.together.values()) == 2
    assert status_of(store, run) == "finished"
