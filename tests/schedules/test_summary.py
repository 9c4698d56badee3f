"""What a scheduler tells its parent about the flows of its directory, and when."""

import os
from dataclasses import replace
from pathlib import Path

from flowq.plan.schedule import Entry
from flowq.schedules.directory.catalog import Catalog
from flowq.schedules.scheduler import Scheduler
from flowq.schedules.summary import Summary
from flowq.store import Store
from tests.schedules.flows import Flow, Flows

DAILY = Entry(name="default", cron=("0 6 * * *",), timezone="Europe/Berlin")
WRONG = "jobs: {a: {runs: 'true'}}\n"
ON_GPU = "jobs: {a: {run: 'true', queue: gpu}, b: {run: 'true'}}\n"


def test_it_is_told_once_and_again_after_a_change(store: Store) -> None:
    told: list[Summary] = []
    flows = Flows.of(Flow("a", (DAILY,)), Flow("b", (DAILY,), WRONG), Flow("c", (), ON_GPU))
    scheduler = Scheduler(store, flows, tell=told.append)
    scheduler.turn()
    scheduler.turn()
    (first,) = told
    assert (first.flows, first.schedules, first.invalid, first.queues) == (3, 1, ("/flows/b.yaml",), ("default", "gpu"))
    assert [(item.schedule, item.timezone) for item in first.coming] == [("flows/a:default", "Europe/Berlin")]
    flows.flows = {"c": flows.flows["c"]}
    scheduler.request_look()
    scheduler.turn()
    assert [item.flows for item in told] == [3, 1]


def test_what_is_paused_is_counted_and_not_coming(store: Store) -> None:
    told: list[Summary] = []
    flows = Flows.of(Flow("a", (DAILY, replace(DAILY, name="off", paused=True))), Flow("b", (DAILY,)))
    Scheduler(store, flows).turn()
    store.schedules.pause("flows/b:default", "ann")
    Scheduler(store, flows, tell=told.append).turn()
    assert (told[0].schedules, told[0].paused) == (3, 2)
    assert [item.schedule for item in told[0].coming] == ["flows/a:default"]


def test_queues_of_flows_whose_params_have_values_only_in_their_runs_are_told(store: Store, tmp_path: Path) -> None:
    text = "params: {q: {type: string}}\nschedule: {every: 1h, params: {q: gpu}}\njobs: {a: {run: 'true', queue: '${{ params.q }}'}}\n"
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "a.yaml").write_text(text)
    os.utime(tmp_path / "flows" / "a.yaml", (0, 0))
    told: list[Summary] = []
    Scheduler(store, Catalog(tmp_path / "flows"), tell=told.append).turn()
    assert told[0].queues == ("gpu",)
