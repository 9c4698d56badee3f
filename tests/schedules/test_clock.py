"""Schedules while the server's clock is set: over a day, over changes of local time, backwards."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowq.connections.clients import open_store
from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.scheduler import Scheduler
from flowq.slots.timezones import time_in
from flowq.store import Store
from tests.schedules.flows import Flow, Flows
from tests.support.run_driver import Drive
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver
from tests.support.wait import until

LIBRARY = next((path for folder in ("", "*/") for path in Path("/usr/lib").glob(f"{folder}faketime/libfaketime.so.1")), None)
ZONE = "Europe/Berlin"

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="no libfaketime")


class Clock:
    """A server whose clock a test sets, a scheduler of one flow, and a worker that ends each run at once."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "clock"
        self._beside = 0
        self._write(0)
        preload = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(self._file), "FAKETIME_NO_CACHE": "1"}
        self.server = PrivateServer(environment=preload | {"DONT_FAKE_MONOTONIC": "1"}).start()
        self.store = open_store(self.server.url)

    def set(self, text: str) -> None:
        """Set the clock to a time in UTC."""
        wanted = round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        self._write(self._beside + wanted - self.store.now_ms())
        until(lambda: abs(self.store.now_ms() - wanted) < 2000)

    def _write(self, beside: int) -> None:
        self._beside = beside
        new = self._file.with_suffix(".new")
        new.write_text(f"{beside / 1000:+.3f}")
        os.replace(new, self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    made = Clock(tmp_path)
    yield made
    made.server.stop()


def scheduler(store: Store, catch_up: str, **more: object) -> Scheduler:
    entry = Entry(name="default", timezone=ZONE, catch_up=CatchUp(mode=catch_up), **more)  # type: ignore[arg-type]
    return Scheduler(store, Flows.of(Flow("nightly", (entry,))))


def fired(store: Store, made: Scheduler) -> list[str]:
    """Do what is due, ending each run before the next turn; return the slots of all runs."""
    driver = Driver(store)
    for _ in range(30):
        made.turn()
        still = [run for run in store.runs.recent(100) if not store.runs.require(run).ended]
        if not still:
            break
        for run in still:
            Drive(store, driver, run).to_the_end()
    driver.close()
    return [time_in(store.runs.require(run).slot or 0, ZONE)[5:16] for run in store.runs.recent(100)[::-1]]


CASES = [
    # a whole day passes at once
    ("2026-06-01T05:30", "2026-06-02T05:30", "none", {"cron": ("0 * * * *",)}, []),
    ("2026-06-01T05:30", "2026-06-02T05:30", "latest", {"cron": ("0 6 * * *",)}, ["06-02 06:00"]),
    ("2026-06-01T02:30", "2026-06-04T05:30", "all", {"cron": ("0 6 * * *",)}, ["06-01 06:00", "06-02 06:00", "06-03 06:00", "06-04 06:00"]),
    # the night in which clocks go forward: a fixed time that is skipped comes right after it
    ("2026-03-28T12:00", "2026-03-30T12:00", "all", {"cron": ("30 2 * * *",)}, ["03-29 03:00", "03-30 02:30"]),
    ("2026-03-29T00:30", "2026-03-29T02:30", "all", {"cron": ("0 * * * *",)}, ["03-29 03:00", "03-29 04:00"]),
    # the night in which they go back: a fixed time comes once, every hour twice
    ("2026-10-24T12:00", "2026-10-26T12:00", "all", {"cron": ("30 2 * * *",)}, ["10-25 02:30", "10-26 02:30"]),
    ("2026-10-24T23:30", "2026-10-25T02:30", "all", {"cron": ("0 * * * *",)}, ["10-25 02:00", "10-25 02:00", "10-25 03:00"]),
    ("2026-10-24T23:30", "2026-10-25T02:30", "latest", {"every": 3_600_000}, ["10-25 03:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("begin", "end", "catch_up", "times", "wanted"), CASES)
def test_catch_up_over_a_step(
    clock: Clock, begin: str, end: str, catch_up: str, times: dict[str, object], wanted: list[str]
) -> None:
    clock.set(begin)
    made = scheduler(clock.store, catch_up, **times)
    assert fired(clock.store, made) == []
    clock.set(end)
    assert fired(clock.store, made) == wanted


def test_a_clock_that_steps_back_and_forth(clock: Clock) -> None:
    """A step forward fires early, once; a step back fires nothing again, and later slots come when they are due."""
    clock.set("2026-06-01T03:59:50")
    made = scheduler(clock.store, "all", cron=("0 * * * *",), overlap="allow")
    assert fired(clock.store, made) == []
    clock.set("2026-06-01T06:00:05")
    ahead = ["06-01 06:00", "06-01 07:00", "06-01 08:00"]
    assert fired(clock.store, made) == ahead
    clock.set("2026-06-01T04:00:05")
    assert fired(clock.store, made) == ahead
    clock.set("2026-06-01T06:30")
    assert fired(clock.store, made) == ahead
    clock.set("2026-06-01T07:00:05")
    assert fired(clock.store, made) == [*ahead, "06-01 09:00"]
