"""Triggers and messages that flow files declare, from the file to the run."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.compiler import compile_file
from flowq.flows.actions.submit import submit
from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.scheduler import Scheduler
from flowq.store import Store
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

LOAD = """
params: {day: {type: date, default: "2026-01-01"}}
notify: {on: [finished, failed], to: {env: OPS_URL}}
jobs: {a: {run: ["true"]}}
"""
REPORT = """
params: {day: {type: date}, size: {type: integer, default: 0}}
labels: {team: data}
triggers:
  after:
    flow: load
    if: event.params.day != '2026-02-02'
    params: {day: "${{ event.params.day }}"}
    labels: {from: load}
  arrived:
    files: {path: "in/*.csv", settle: 0}
    if: event.size > 2
    params: {size: "${{ event.size }}", day: 2026-03-03}
jobs: {a: {run: ["true"]}}
"""


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    made = Driver(store)
    yield made
    made.close()


@pytest.fixture
def scheduler(store: Store, tmp_path: Path) -> Scheduler:
    old = time.time() - 60
    for name, text in (("load", LOAD), ("report", REPORT)):
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        os.utime(path, (old, old))
    (tmp_path / "in").mkdir()
    made = Scheduler(store, Catalog(tmp_path, "flows"))
    look(made)
    return made


def look(scheduler: Scheduler) -> None:
    for _ in range(3):
        scheduler.turn()


def runs(store: Store, trigger: str) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Return params and labels of the runs of a trigger, the first one first."""
    records = [store.runs.require(run) for run in store.runs.recent(100)][::-1]
    return [(json.loads(item.params), json.loads(item.labels)) for item in records if item.by == f"flows/report:{trigger}"]


def test_a_flow_follows_another(store: Store, driver: Driver, scheduler: Scheduler, tmp_path: Path) -> None:
    for day in ("2026-01-31", "2026-02-02", "2026-02-03"):
        plan = compile_file(tmp_path / "load.yaml", params={"day": day}).plan
        assert plan is not None
        Drive(store, driver, submit(store, plan, directory=str(tmp_path)), {"a": "finished"}).to_the_end()
    look(scheduler)
    labels = {"team": "data", "from": "load"}
    assert runs(store, "after") == [({"day": day, "size": 0}, labels) for day in ("2026-01-31", "2026-02-03")]


def test_files_start_runs(store: Store, scheduler: Scheduler, tmp_path: Path) -> None:
    (tmp_path / "in" / "empty.csv").write_text("\n")
    (tmp_path / "in" / "full.csv").write_text("1,2\n")
    look(scheduler)
    look(scheduler)
    assert runs(store, "arrived") == [({"day": "2026-03-03", "size": 4}, {"team": "data"})]


def test_a_run_has_the_messages_of_its_flow(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "load.yaml"
    path.write_text(LOAD)
    plan = compile_file(path).plan
    assert plan is not None
    run = submit(store, plan, directory=str(tmp_path))
    assert store.runs.require(run).notices
