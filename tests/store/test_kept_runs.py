"""`keep`: of a flow, and of an entry of its schedule, only the latest ended runs are kept; the sweep deletes the others."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.scheduler import Scheduler
from flowq.store import Store
from tests.support.graphs import plan
from tests.support.slot_driver import Driver

MINUTE = 60_000


def one_run(store: Store, driver: Driver, keep: int | None = 2, *, flow: str = "a", outcome: str = "finished") -> str:
    """Let a run come to its end, without a sweep."""
    made = replace(plan({"j": []}), name=flow, file=f"/{flow}.yaml", keep=keep)
    run = submit(store, made, directory="/d")
    driver.end(driver.take(), outcome)
    assert store.runs.require(run).ended
    return run


def kept(store: Store) -> set[str]:
    """Return the runs that are there."""
    return set(store.runs.recent(1000))


def test_the_oldest_beyond_the_number_are_deleted(store: Store, driver: Driver) -> None:
    runs = [one_run(store, driver, outcome=outcome) for outcome in ("finished", "failed", "finished", "finished")]
    driver.settle()
    assert kept(store) == {*runs[2:]}
    assert store.runs.get(runs[0]) is None
    assert not [key for key in store.client.scan_iter() if runs[0].encode() in key]


def test_other_flows_are_not_counted(store: Store, driver: Driver) -> None:
    runs = [one_run(store, driver, flow=flow) for flow in ("a", "b", "a", "b")]
    runs += [one_run(store, driver, None, flow="c") for _ in range(3)]
    driver.settle()
    assert kept(store) == {*runs}


def test_flows_without_a_file_are_told_apart_by_their_names(store: Store, driver: Driver) -> None:
    for name in ("a", "b"):
        submit(store, replace(plan({"j": []}), name=name, keep=1), directory="/d")
        driver.end(driver.take())
    driver.settle()
    assert len(kept(store)) == 2


def test_open_runs_are_not_counted(store: Store, driver: Driver) -> None:
    made = replace(plan({"j": []}), name="a", file="/a.yaml", keep=2)
    opened = submit(store, made, directory="/d")
    claim = driver.take()
    runs = [one_run(store, driver) for _ in range(3)]
    driver.settle()
    assert kept(store) == {opened, *runs[1:]}
    driver.end(claim)
    driver.settle()
    assert kept(store) == {opened, runs[2]}, "what counts is when it ended"


def test_a_smaller_number_takes_effect_with_the_next_run(store: Store, driver: Driver) -> None:
    runs = [one_run(store, driver, 5) for _ in range(5)]
    runs.append(one_run(store, driver, 2))
    driver.settle()
    assert kept(store) == {*runs[-2:]}


def test_a_run_that_is_retried_counts_from_its_new_end(store: Store, driver: Driver) -> None:
    first = one_run(store, driver, outcome="failed")
    second = one_run(store, driver)
    plan_retry(store, first).apply(store)
    claim = driver.take()
    third = one_run(store, driver)
    driver.settle()
    assert kept(store) == {first, second, third}, "an open one is none of the two"
    driver.end(claim)
    driver.settle()
    assert kept(store) == {first, third}


def test_a_run_that_is_retried_in_the_last_moment_stays(store: Store, driver: Driver) -> None:
    first = one_run(store, driver, 1, outcome="failed")
    second = one_run(store, driver, 1)
    plan_retry(store, first).apply(store)
    driver.settle()
    assert kept(store) == {first, second}
    driver.end(driver.take())
    driver.settle()
    assert kept(store) == {first}


def test_deleted_runs_are_not_counted(store: Store, driver: Driver) -> None:
    runs = [one_run(store, driver) for _ in range(2)]
    store.runs.delete(runs[1])
    runs.append(one_run(store, driver))
    driver.settle()
    assert kept(store) == {runs[0], runs[2]}


@pytest.mark.parametrize(("of_flow", "of_entry", "left"), [(None, 2, 2), (3, 2, 2), (1, 2, 1), (2, None, 2)])
def test_an_entry_has_its_own_number(
    store: Store, driver: Driver, tmp_path: Path, of_flow: int | None, of_entry: int | None, left: int
) -> None:
    """Its slots are those of the last minutes, made up one by one."""
    top = "" if of_flow is None else f"keep: {of_flow}\n"
    own = "" if of_entry is None else f", keep: {of_entry}"
    flow = tmp_path / "nightly.yaml"
    flow.write_text(f"{top}schedule: {{every: 1m, catch_up: all, overlap: queue{own}}}\njobs: {{a: {{run: 'true'}}}}\n")
    os.utime(flow, (0, 0))
    made = Scheduler(store, Catalog(tmp_path, "flows"))
    made.turn()
    last = store.now_ms() // MINUTE * MINUTE
    key = f"{{{store.namespace}}}:schedule:flows/nightly:default"
    store.client.hset(key, mapping={"since": last - 9 * MINUTE, "slot": last - 5 * MINUTE})
    for _ in range(5):
        made.turn()
        driver.end(driver.take())
        driver.settle()
    # A minute may have begun meanwhile: its run is open.
    ended = [record for run in kept(store) if (record := store.runs.require(run)).ended]
    assert {record.slot for record in ended} == {last - number * MINUTE for number in range(left)}
