"""Ranks: which of the waiting jobs of a run has the next turn. Turns are those of the queue, so other runs lose none."""

from dataclasses import replace

import pytest
import redis

from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.plan import Plan
from flowq.store import Store
from flowq.store.schema.outcomes import CacheReport, Outcome
from tests.support import graphs
from tests.support.slot_driver import Driver, execution

FLAT = graphs.plan({name: [] for name in "abcd"})
RUN, OTHER = "long", "other"


def ordinals(driver: Driver, count: int) -> list[str]:
    """Claim so many jobs and end them; return which ones."""
    claims = [driver.take() for _ in range(count)]
    for claim in claims:
        assert driver.end(claim) is Outcome.DONE
    return [claim.id for claim in claims]


def test_the_highest_rank_goes_first_and_equal_ones_in_order(store: Store, driver: Driver, redis_client: redis.Redis) -> None:
    graphs.submit_ranked(store, FLAT, RUN, [1, 3, 2, 3])
    assert ordinals(driver, 4) == [f"{RUN}:{number}" for number in (1, 3, 2, 0)]
    assert redis_client.keys("*:ranked:*") == []


def test_a_job_that_is_released_later_goes_before_those_that_wait(store: Store, driver: Driver) -> None:
    shape = graphs.plan({"first": [], "a": [], "b": [], "long": ["first"]})
    graphs.submit_ranked(store, shape, RUN, [9, 1, 1, 8])
    assert ordinals(driver, 1) == [f"{RUN}:0"]
    assert ordinals(driver, 3) == [f"{RUN}:{number}" for number in (3, 1, 2)]


def test_other_runs_have_the_turns_that_they_had(store: Store, driver: Driver) -> None:
    graphs.submit_ranked(store, FLAT, RUN, [1, 2, 3, 4])
    graphs.submit_ranked(store, FLAT, OTHER, [4, 4, 4, 9])
    plain = graphs.run(store, {"x": []})
    taken = ordinals(driver, 9)
    assert [job.partition(":")[0] for job in taken[:8]] == [RUN] * 4 + [OTHER] * 4
    assert taken[:5] == [f"{RUN}:3", f"{RUN}:2", f"{RUN}:1", f"{RUN}:0", f"{OTHER}:3"]
    assert taken[8] == f"{plain}-0"


def test_turns_of_two_runs_that_alternate_stay_so(store: Store, driver: Driver) -> None:
    shape = graphs.plan({"r": [], "a": ["r"], "b": ["r"], "c": ["r"]})
    for run in (RUN, OTHER):
        graphs.submit_ranked(store, shape, run, [9, 1, 2, 3])
    first, second = driver.take(), driver.take()
    driver.end(first)
    plain = [graphs.run(store, {"x": []}) for _ in range(2)]
    driver.end(second)
    taken = ordinals(driver, 8)
    assert taken[:3] == [f"{RUN}:{number}" for number in (3, 2, 1)]
    assert taken[3:5] == [f"{run}-0" for run in plain]
    assert taken[5:] == [f"{OTHER}:{number}" for number in (3, 2, 1)]


def test_priorities_and_queues_come_before_ranks(store: Store) -> None:
    extra = graphs.Extra(nodes={"a": {"priority": 5}, "d": {"queue": "second"}})
    graphs.submit_ranked(store, graphs.plan({name: [] for name in "abcd"}, extra=extra), RUN, [1, 2, 3, 9])
    driver = Driver(store, "default", "second")
    assert ordinals(driver, 4) == [f"{RUN}:{number}" for number in (0, 2, 1, 3)]
    driver.close()


def test_a_job_that_is_handed_back_goes_first_all_the_same(store: Store, driver: Driver) -> None:
    graphs.submit_ranked(store, FLAT, RUN, [9, 1, 2, 3])
    claim = driver.take()
    store.workers.unclaim(claim.id, claim.token)
    assert ordinals(driver, 1) == [claim.id]
    second = driver.take()
    store.workers.unclaim(second.id, second.token)
    assert second.id == f"{RUN}:3"
    assert ordinals(driver, 3) == [f"{RUN}:{number}" for number in (3, 2, 1)]


def test_a_retry_of_a_run_keeps_the_ranks(store: Store, driver: Driver) -> None:
    graphs.submit_ranked(store, FLAT, RUN, [1, 2, 3, 4])
    for claim in [driver.take() for _ in range(4)]:
        driver.end(claim, "failed")
    retry.plan_retry(store, RUN).apply(store)
    driver.settle()
    assert ordinals(driver, 4) == [f"{RUN}:{number}" for number in (3, 2, 1, 0)]


@pytest.mark.parametrize("end", ["cancel", "expire"])
def test_no_order_is_left_of_jobs_that_leave_their_queue(
    store: Store, driver: Driver, redis_client: redis.Redis, end: str
) -> None:
    extra = graphs.Extra(nodes={name: {"ttl": 0.001} for name in "abcd"} if end == "expire" else {})
    graphs.submit_ranked(store, graphs.plan({name: [] for name in "abcd"}, extra=extra), RUN, [1, 2, 3, 4])
    if end == "cancel":
        store.runs.cancel(RUN)
    else:
        driver.let_time_pass()
    driver.settle()
    assert driver.claim() is None
    assert redis_client.keys("*:ranked:*") == []


def test_entries_that_are_no_longer_true_cost_nothing_but_order(store: Store, driver: Driver) -> None:
    """Another version on the same server knows nothing of ranks, and leaves them behind."""
    graphs.submit_ranked(store, FLAT, RUN, [1, 2, 3, 4])
    key = store.session.keys("ranked", RUN, "0", "default")
    store.client.zadd(key, {f"{RUN}:17": -99 * 2**42, "gone": -98 * 2**42})
    assert store.client.pttl(key) > 0
    assert sorted(ordinals(driver, 4)) == [f"{RUN}:{number}" for number in range(4)]
    store.client.delete(key)
    graphs.submit_ranked(store, FLAT, OTHER, [1, 2, 3, 4])
    store.client.delete(store.session.keys("ranked", OTHER, "0", "default"))
    assert ordinals(driver, 4) == [f"{OTHER}:{number}" for number in range(4)]


def test_jobs_whose_order_is_lost_are_not_overtaken_by_lower_ranks(store: Store, driver: Driver) -> None:
    """It is lost where they have waited for a day, or where another version has queued them."""
    shape = graphs.plan({"first": [], "a": [], "b": [], "low": ["first"], "high": ["first"]})
    graphs.submit_ranked(store, shape, RUN, [9, 8, 7, 1, 9])
    first = driver.take()
    store.client.delete(store.session.keys("ranked", RUN, "0", "default"))
    driver.end(first)
    driver.settle()
    assert ordinals(driver, 4) == [f"{RUN}:{number}" for number in (4, 2, 3, 1)]


def test_a_run_that_finished_last_is_known_until_it_is_gone(store: Store, driver: Driver) -> None:
    assert store.runs.latest_finished("test") is None
    runs = [graphs.run(store, {"x": []}) for _ in range(3)]
    ordinals(driver, 2)
    driver.settle()
    assert store.runs.latest_finished("test") == runs[1]
    driver.end(driver.take(), "failed")
    driver.settle()
    assert store.runs.latest_finished("test") == runs[1], "the third one failed"
    assert store.runs.durations(runs[1], 2)[1] is None
    assert store.runs.durations(runs[2], 1) == [None]
    store.runs.delete(runs[0])
    assert store.runs.latest_finished("test") == runs[1]
    store.runs.delete(runs[1])
    assert store.runs.latest_finished("test") is None


def test_a_run_of_a_part_of_a_flow_counts_where_no_whole_one_is_known(store: Store, driver: Driver) -> None:
    whole = graphs.plan({"x": [], "y": []})
    x, y = whole.cells
    part = replace(whole, cells=(x, replace(y, selected=False)))

    def finished(made: Plan) -> str:
        run = submit(store, made, directory="/nowhere")
        ordinals(driver, sum(cell.selected for cell in made.cells))
        driver.settle()
        return run

    for made in (part, part, whole):
        assert finished(made) == store.runs.latest_finished("test")
    run = finished(whole)
    assert store.runs.latest_finished("test") == run
    finished(part)
    assert store.runs.latest_finished("test") == run
    store.client.delete(store.session.keys("run", run))
    assert store.runs.latest_finished("test") == run, "another version has deleted it"
    last = finished(part)
    assert store.runs.latest_finished("test") == last
    store.client.flushall()
    store.open()


def test_a_run_whose_jobs_were_cached_leaves_the_times_of_the_one_that_executed_them(store: Store, driver: Driver) -> None:
    made = graphs.plan({"w": [], "x": [], "y": [], "z": []})

    def finished(cached: int) -> str:
        run = submit(store, made, directory="/nowhere")
        for number in range(4):
            claim = driver.take()
            hit = number < cached
            report = CacheReport('{"hit": true}', claim.id[-1], "same", "" if hit else "{}", "inputs")
            assert driver.step(execution(claim, value=b"1", cache=report)).ended == (Outcome.DONE,)
        driver.settle()
        return run

    executed = finished(0)
    for cached in (4, 3):
        finished(cached)
        assert store.runs.latest_finished("test") == executed, f"{cached} of 4 were cached"
    half = finished(2)
    assert store.runs.latest_finished("test") == half
    run = finished(4)
    assert store.client.hget(store.session.keys("run", run), "cached") == b"4"
    retry.plan_rerun(store, run, range(4), only=False).apply(store)
    driver.settle()
    assert store.client.hget(store.session.keys("run", run), "cached") == b"0"
    ordinals(driver, 4)
    driver.settle()
    assert store.runs.latest_finished("test") == run


def test_flows_of_one_name_in_two_files_have_times_of_their_own(store: Store, driver: Driver) -> None:
    made = [replace(graphs.plan({"x": [], "y": []}), file=f"/{place}/flow.yaml") for place in "ab"]
    runs = []
    for plan in made:
        runs.append(submit(store, plan, directory="/nowhere"))
        ordinals(driver, 2)
        driver.settle()
    assert [store.runs.latest_finished(plan.file) for plan in made] == runs
    store.runs.delete(runs[0])
    assert [store.runs.latest_finished(plan.file) for plan in made] == [None, runs[1]]
