"""Schedules while the server's clock is set: over a day, over changes of local time, backwards."""

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
from tests.support.skew import Skew
from tests.support.slot_driver import Driver
from tests.support.wait import until

ZONE = "Europe/Berlin"


class Clock:
    """A server whose clock a test sets, a scheduler of one flow, and a worker that ends each run at once."""

    def __init__(self, directory: Path) -> None:
        self._skew = Skew(directory)
        self._beside = 0
        self.server = PrivateServer(environment=self._skew.environment).start()
        self.store = open_store(self.server.url)

    def set(self, text: str) -> None:
        """Set the clock to a time in UTC."""
        wanted = round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
        self._beside += round((wanted - self.store.now_ms()) / 1000)
        self._skew.set(self._beside)
        until(lambda: abs(self.store.now_ms() - wanted) < 2000)


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


def test_a_clock_that_was_years_ahead(clock: Clock) -> None:
    """A machine without a battery for its clock, say: what was noted then does not silence a schedule for years, nor does its scheduler seem to live."""
    clock.set("2026-06-01T03:30")
    made = scheduler(clock.store, "latest", cron=("0 6 * * *",), overlap="allow")
    assert fired(clock.store, made) == []
    clock.set("2036-06-01T03:30")
    ahead = fired(clock.store, made)
    dead = Scheduler(clock.store, Flows.of())
    dead.turn()
    clock.set("2026-06-01T03:40")
    made.turn()
    assert dead.name not in clock.store.schedules.schedulers()
    clock.set("2026-06-01T04:00:05")
    assert sorted(fired(clock.store, made)) == [*ahead, "06-01 06:00"]


def test_the_first_sight_of_a_schedule_while_the_clock_was_ahead(clock: Clock) -> None:
    clock.set("2026-06-01T05:30")
    made = scheduler(clock.store, "none", cron=("0 * * * *",))
    assert fired(clock.store, made) == []
    clock.set("2026-06-01T03:50")
    assert fired(clock.store, made) == []
    clock.set("2026-06-01T04:00:05")
    assert fired(clock.store, made) == ["06-01 06:00"]
