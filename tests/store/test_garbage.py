"""Deletion of runs, and `flowq gc`: each step once and twice."""

from pathlib import Path

import pytest

from flowq import ids
from flowq.exceptions import InvalidRunOperation, NoSuchRunError
from flowq.flows.actions.garbage_collection import Garbage, Wish, find_garbage, garbage_json
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import staged_jobs, submit
from flowq.flows.run import Run
from flowq.store import Store
from flowq.store.run_upload import as_rows
from flowq.store.schema.outcomes import Outcome
from tests.support.graphs import plan
from tests.support.slot_driver import Driver


def ended_run(
    store: Store,
    driver: Driver,
    *,
    run_id: str | None = None,
    outcome: str = "finished",
    jobs: int = 1,
    directory: str | Path = "/d",
) -> str:
    run = submit(store, plan({f"j{number}": [] for number in range(jobs)}), directory=directory, run_id=run_id)
    while claim := driver.claim():
        driver.end(claim, outcome)
    driver.settle()
    assert store.runs.require(run).ended
    return run


def traces(store: Store, run: str) -> set[bytes]:
    """Return every key and sorted-set member that contains a run's id."""
    found = {key for key in store.client.scan_iter() if run.encode() in key}
    for key in store.client.scan_iter(_type="zset"):
        found |= {member for member in store.client.zrange(key, 0, -1) if run.encode() in member}
    return found


def test_a_deleted_run_leaves_nothing(store: Store, driver: Driver) -> None:
    run = ended_run(store, driver, jobs=450)
    other = ended_run(store, driver)
    assert store.runs.delete(run) is Outcome.DONE
    assert traces(store, run) == set()
    assert store.runs.recent() == [other]
    assert store.runs.delete(run) is Outcome.NOT_FOUND
    with pytest.raises(NoSuchRunError):
        store.runs.resolve(run)


def test_a_run_whose_deleter_died_is_deleted_by_the_sweep(store: Store, driver: Driver) -> None:
    run = ended_run(store, driver, jobs=450)
    outcome, left = store.session.run("run/delete", run, 100)
    assert (outcome, int(left)) == (b"done", 1)
    assert store.runs.get(run) is None
    assert store.runs.recent() == []
    driver.settle()  # as a worker does
    assert traces(store, run) == set()


def test_an_active_run_is_not_deleted(store: Store, driver: Driver) -> None:
    run = submit(store, plan({"a": []}), directory="/d")
    assert store.runs.delete(run) is Outcome.WRONG_STATE
    with pytest.raises(InvalidRunOperation, match="cannot delete run"):
        Run(store, run).delete()
    assert store.runs.collect(run) is Outcome.WRONG_STATE
    claim = driver.claim()
    assert claim is not None
    driver.end(claim, "finished")
    driver.settle()
    Run(store, run).delete()
    assert traces(store, run) == set()


def test_due_garbage_is_found_and_removed(store: Store, driver: Driver) -> None:
    kept = ended_run(store, driver)
    expired = ended_run(store, driver)
    store.client.hset(store.session.keys("run", expired), "retention", 0)
    dead = ids.run_id()
    rows = list(staged_jobs(plan({f"j{number}": [] for number in range(300)}), dead))
    store.session.run("run/upload_jobs", dead, "nonce", 0, as_rows(rows), b"{}")
    store.client.zadd(store.session.keys("timers"), {f"collect|{expired}": 1, f"collect|{dead}": 1})
    store.client.zadd(store.session.keys("registry", "finished", "old"), {"gone": 1, "too": 2})
    store.client.sadd(store.session.keys("queues"), "old")

    found = find_garbage(store)
    assert found == Garbage(expired=[expired], unfinished=[dead], entries={"old": 2})
    assert find_garbage(store) == found  # searching changes nothing
    assert found.remove(store) == found
    assert traces(store, expired) | traces(store, dead) == set()
    assert not find_garbage(store)
    assert found.remove(store) == Garbage()  # a repetition finds nothing
    assert store.runs.recent() == [kept]
    store.queues.drop("old")


def test_a_retry_that_died_halfway(store: Store, driver: Driver) -> None:
    run = ended_run(store, driver, outcome="failed")
    retry = plan_retry(store, run)
    entries = [f"{job.ordinal} {job.pending} - 0 0 0 0 0" for job in retry.resets]
    store.session.run("run/upload_retry", run, "dead", 0, b"", entries)
    found = find_garbage(store)
    assert found == Garbage(retries=[run])
    assert found.remove(store) == found
    # The dead retry cannot take effect any more, but a new one can; while it is active there is nothing to remove.
    assert store.session.run("run/retry", run, "dead", 1, 1)[0] == b"wrong_state"
    retry.apply(store)
    assert store.runs.unstage(run) is Outcome.WRONG_STATE
    assert not find_garbage(store)
    claim = driver.claim()
    assert claim is not None
    driver.end(claim, "finished")
    driver.settle()
    assert store.runs.require(run).status == "finished"


def test_runs_past_their_retention(store: Store, driver: Driver) -> None:
    runs = [ended_run(store, driver, run_id=f"aaaaaaa{number}") for number in range(4)]
    going_on = submit(store, plan({"a": []}), directory="/d", run_id="bbbbbbbb")
    for run, age in zip(runs, (40, 30, 20, 10), strict=True):
        key = store.session.keys("run", run)
        store.client.hset(key, "ended_at", store.now_ms() - age * 86_400_000)

    def chosen(wish: Wish) -> list[str]:
        return find_garbage(store, wish).chosen

    day = 86_400.0
    assert chosen(Wish()) == []
    assert chosen(Wish(older_than=25 * day)) == [runs[1], runs[0]]
    assert chosen(Wish(keep=2)) == [runs[2], runs[1], runs[0]]  # the active run is the latest one
    assert chosen(Wish(keep=0)) == [runs[3], runs[2], runs[1], runs[0]]
    assert chosen(Wish(older_than=5 * day, keep=4)) == [runs[0]]
    assert chosen(Wish(keep=0, flow="other")) == []
    assert garbage_json(find_garbage(store, Wish(keep=4)).remove(store))["chosen_runs"] == [runs[0]]
    assert going_on in store.runs.recent()
    store.runs.cancel(going_on)
    driver.settle()
