"""`flowq schedule run`: a scheduler as a process, on real flow files and a server that goes away and comes back."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq.connections.clients import open_store
from flowq.store import Store
from tests.cli.process import Process
from tests.support.server import PrivateServer
from tests.support.wait import until

FLOW = """
schedule: {every: 1s, overlap: allow, catch_up: all, params: {day: "${{ run.date }}"}, labels: {team: data}}
params: {day: {type: date}}
jobs: {a: {run: "true"}}
"""
NAME = "flows/nightly:default"


@pytest.fixture
def durable() -> Iterator[PrivateServer]:
    made = PrivateServer().start(appendonly=True)
    yield made
    made.stop()


@pytest.fixture
def store(durable: PrivateServer) -> Store:
    return open_store(durable.url)


@pytest.fixture
def begin(durable: PrivateServer, tmp_path: Path) -> Iterator[Callable[[], Process]]:
    """Start a scheduler of a directory with one flow."""
    root = tmp_path / "flows"
    root.mkdir()
    (root / "nightly.yaml").write_text(FLOW)
    os.utime(root / "nightly.yaml", (1_700_000_000, 1_700_000_000))
    made: list[Process] = []

    def start() -> Process:
        made.append(Process("schedule", "run", str(root), cwd=tmp_path, env={"FLOWQ_REDIS_URL": durable.url}))
        return made[-1]

    yield start
    for process in made:
        process.end()


def slots(store: Store) -> list[int]:
    return [store.runs.require(run).slot or 0 for run in store.runs.recent(100)[::-1]]


def test_a_scheduler_fires_and_stops(store: Store, begin: Callable[[], Process]) -> None:
    process = begin()
    until(lambda: len(slots(store)) >= 2, timeout=60)
    run = store.runs.require(store.runs.recent(1)[0])
    assert run.schedule == NAME
    assert '"team": "data"' in run.labels
    assert f'"day": "{run.date}"' in run.params
    assert len(store.schedules.schedulers()) == 1
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert store.schedules.schedulers() == []
    assert f"{NAME}: run {run.id} for slot " in process.err
    assert "+00:00" in process.err


def test_a_server_that_goes_away(durable: PrivateServer, store: Store, begin: Callable[[], Process]) -> None:
    process = begin()
    until(lambda: slots(store), timeout=60)
    durable.stop(keep=True)
    process.expect("it is waited for", timeout=60)
    durable.restart()
    process.expect("the server is back", timeout=60)
    before = len(slots(store))
    until(lambda: len(slots(store)) > before + 1, timeout=60)
    found = slots(store)
    assert found == list(range(found[0], found[-1] + 1000, 1000)), "each slot once, those of the outage too"
    process.signal(signal.SIGINT)
    assert process.wait() == 0


def test_a_command_wakes_the_scheduler(store: Store, begin: Callable[[], Process], tmp_path: Path) -> None:
    path = tmp_path / "flows" / "nightly.yaml"
    path.write_text(FLOW.replace("every: 1s", "cron: '@yearly'"))
    os.utime(path, (1_700_000_000, 1_700_000_000))
    begin()
    until(store.schedules.names, timeout=60)
    key, name = store.session.keys("loops"), store.schedules.schedulers()[0]

    def beat() -> float:
        return float(store.client.zscore(key, name) or 0)

    before = beat()
    store.schedules.pause(NAME, "ann")
    asked = store.now_ms()
    until(lambda: beat() > before, timeout=60)
    assert beat() - asked < 5000, "at the next look at the files, or by itself, it would beat after 10 s"
