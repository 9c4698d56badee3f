"""One run per slot, with many schedulers that are killed at random, replies that are lost, servers that restart, and files that differ."""

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.connections.clients import open_store
from flowq.flows.actions.submit import offer
from flowq.schedules.backfill import Range
from flowq.schedules.scheduler import Scheduler
from flowq.slots.series import slot_id
from flowq.store import Store
from flowq.store.schedules import NONE, SlotClaim
from flowq.store.schema.outcomes import Outcome
from tests.schedules.flows import Flows
from tests.schedules.victims import flow
from tests.support import graphs
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until

NAME = "flows/nightly:default"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def durable() -> Iterator[PrivateServer]:
    """A server that keeps its data when it is restarted."""
    made = PrivateServer().start("--appendfsync", "always", appendonly=True)
    yield made
    made.stop()


def schedulers(settings: dict[str, Any]) -> "subprocess.Popen[str]":
    """Start the process that keeps schedulers alive and kills them."""
    command = [sys.executable, "-m", "tests.schedules.victims", json.dumps(settings)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def latest_slot(store: Store) -> int:
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    return record.slot or 0


def check(store: Store, every: int) -> int:
    """Assert that the runs are those of the slots, each once; return their number.

    A scheduler that was killed in the middle of an upload of another text holds its slot until the upload expires, after a minute.
    """
    last, end = Scheduler(store, Flows.of(flow(every))), store.now_ms() // every * every
    until(lambda: last.turn() >= 0 and latest_slot(store) >= end, timeout=200, message="what the killed ones left")
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    assert record.slot is not None
    since, latest = record.since_ms, record.slot
    slots = [slot for slot in range(-(-since // every) * every, latest + 1, every) if slot > since]
    records = [store.runs.require(run) for run in store.runs.recent(100_000)]
    assert Counter(record.slot for record in records) == Counter(slots)
    assert {record.id for record in records} == {slot_id(NAME, str(slot)) for slot in slots}
    log = store.schedules.log(NAME)
    assert {entry.outcome for entry in log} == {"run"}
    assert [entry.slot for entry in log] == slots[::-1][: len(log)], "in order, and noted once"
    return len(slots)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("seconds", "count", "every", "restarts"),
    [
        (6, 5, 100, 1),
        pytest.param(60, 10, 1000, 3, marks=pytest.mark.chaos),
        pytest.param(60, 10, 250, 3, marks=pytest.mark.chaos),
    ],
)
def test_killed_schedulers_make_one_run_per_slot(
    durable: PrivateServer,
    namespace: str,
    seconds: int,
    count: int,
    every: int,
    restarts: int,
    record_property: "Callable[[str, object], None]",
) -> None:
    rng = random.Random(seconds + every)
    proxy = Proxy(durable.socket, lambda _number: rng.random() < 0.05)
    settings = {
        "urls": [durable.url, proxy.url],
        "namespace": namespace,
        "schedulers": count,
        "seconds": seconds,
        "deaths": 2 * seconds + 1,
    }
    store = open_store(durable.url, namespace)
    Scheduler(store, Flows.of(flow(every))).turn()
    begun = store.now_ms()
    process = schedulers(settings | {"seed": rng.random(), "every": every, "changed": 0.3})
    try:
        for number in range(1, restarts + 1):
            until(lambda due=begun + number * seconds * 1000 // (restarts + 1): store.now_ms() > due, timeout=seconds)  # type: ignore[misc]
            durable.stop(keep=True)
            durable.restart()
        deaths = int(process.communicate(timeout=seconds + 90)[0] or 0)
    finally:
        process.kill()
        proxy.close()
    made = check(store, every)
    record_property("what", f"{made} slots, {deaths} schedulers died, {proxy.lost} replies lost")
    assert made >= seconds * 1000 // every - 1
    assert deaths > 2 * seconds


class Firer(threading.Thread):
    """A scheduler that fires the same slots as another one, side by side."""

    def __init__(self, server: PrivateServer, namespace: str, overlap: str, barrier: threading.Barrier, rounds: int) -> None:
        super().__init__()
        self.store = Store(server.client(), namespace)
        self.overlap, self.barrier, self.rounds = overlap, barrier, rounds
        self.outcomes: list[Outcome] = []

    def run(self) -> None:
        for slot in range(1, self.rounds + 1):
            self.barrier.wait(30)
            claim = SlotClaim("slot", NAME, slot, slot - 1 if slot > 1 else NONE, slot, self.overlap)
            self.outcomes.append(
                offer(self.store, graphs.plan({"a": []}), directory="/", run_id=f"slot.{slot}", slot=claim).outcome
            )
            self.barrier.wait(30)


@pytest.mark.parametrize("rounds", [60, pytest.param(1000, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running"])
def test_two_schedulers_never_have_two_runs_open(server: PrivateServer, store: Store, overlap: str, rounds: int) -> None:
    store.schedules.beat("s", [(NAME, "d", False)])
    barrier = threading.Barrier(3)
    firers = [Firer(server, store.namespace, overlap, barrier, rounds) for _ in range(2)]
    for firer in firers:
        firer.start()
    driver, rng, held = Driver(store), random.Random(rounds), []
    for _ in range(rounds):
        barrier.wait(30)
        barrier.wait(30)
        assert len(store.semaphores.holders(f"schedule/{NAME}")) <= 1
        running = [run for run in store.runs.recent(20) if str(store.runs.require(run).status) == "running"]
        assert len(running) <= 1
        held += [claim for claim in [driver.claim()] if claim is not None]
        if held and rng.random() < 0.5:
            driver.beat(*held)
            driver.end(held.pop(), "finished")
            driver.settle()
    for firer in firers:
        firer.join(30)
    dealt = {Outcome.DONE, Outcome.SKIPPED}
    for pair in zip(*(firer.outcomes for firer in firers), strict=True):
        assert sum(outcome in dealt for outcome in pair) == 1, "one of the two deals with a slot"
    driver.close()


class Filler(threading.Thread):
    """A scheduler that works on a backfill beside another one."""

    def __init__(self, server: PrivateServer, namespace: str, stop: threading.Event) -> None:
        super().__init__()
        self.made = Scheduler(Store(server.client(), namespace), Flows.of(flow(3_600_000)))
        self.stop = stop

    def run(self) -> None:
        while not self.stop.is_set():
            self.made.turn()


@pytest.mark.parametrize("slots", [30, pytest.param(300, marks=pytest.mark.chaos)])
def test_two_schedulers_never_have_more_runs_of_a_backfill_open(server: PrivateServer, store: Store, slots: int) -> None:
    hour, stop = 3_600_000, threading.Event()
    fillers = [Filler(server, store.namespace, stop) for _ in range(2)]
    store.backfills.create("fill", {"schedule": NAME, "max": 3, **Range(0, slots * hour).fields()})
    for filler in fillers:
        filler.start()
    driver, ends = Driver(store), 0

    def settled() -> str:
        record = store.backfills.get("fill")
        assert record is not None
        assert record.open <= 3
        if record.state == "done" and not record.open:
            return "ended"
        return "full" if record.open == 3 or record.state == "done" else ""

    while until(settled) == "full":
        driver.end(driver.take())
        ends += 1
    stop.set()
    for filler in fillers:
        filler.join(30)
    driver.close()
    assert ends == slots
    records = [store.runs.require(run) for run in store.runs.recent(1000)[::-1]]
    assert [record.slot for record in records if record.cause == "backfill"] == [number * hour for number in range(slots)]
