"""A data directory with schedules, slots, pauses, a backfill and messages is read by today's flowq, which goes on with it."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final

import pytest

from flowq.slots.series import slot_id
from flowq.states import RunStatus
from flowq.store import Store
from flowq.store.schedules import SlotEntry
from tests.support.endpoint import Endpoint
from tests.support.wait import until
from tests.upgrade.old_home import OldHome, contained
from tests.upgrade.place import NAMESPACE, OF_SCHEDULES, SOURCES_OF_SCHEDULES, taken_place

pytestmark = pytest.mark.slow

DATA: Final = SOURCES_OF_SCHEDULES.parent
EXPECTED: Final[dict[str, Any]] = json.loads((DATA / "expected.json").read_text("utf-8"))
DAYS: Final = range(1767247200000, 1767247200000 + 5 * 86_400_000, 86_400_000)  # 06:00 on the first days of 2026
LASTING: Final = ("id", "flow", "status", "cause", "schedule", "scheduled_at", "params", "labels", "attempt", "by")


@pytest.fixture
def home() -> Iterator[OldHome]:
    with taken_place(OF_SCHEDULES, SOURCES_OF_SCHEDULES), OldHome(DATA, OF_SCHEDULES, (NAMESPACE,)) as found:
        yield found
        found.check()


def read(home: OldHome, *arguments: str) -> Any:
    return json.loads(home.call(*arguments, "--json", env={"FLOWQ_REDIS_URL": home.address}))


def log(store: Store, flow: str) -> list[SlotEntry]:
    """Return the log of the schedule of a flow, in order."""
    return store.schedules.log(f"flows/{flow}:default")[::-1]


def test_it_is_read_as_it_was_written(home: OldHome) -> None:
    listed = {item["id"]: item for item in read(home, "schedule", "list")}
    for expected in EXPECTED["schedules"].values():
        assert contained(expected, listed[expected["id"]], expected["id"]) == []
    backfilled = set()
    for name, entries in EXPECTED["history"].items():
        found = read(home, "schedule", "history", name, "--limit", "1000")
        assert contained(entries, [item for item in found if item["reason"] != "backfill"], name) == []
        backfilled |= {item["run"] for item in found if item["reason"] == "backfill"}  # that version did not list them
    assert backfilled == {run["id"] for run in EXPECTED["runs"] if run["cause"] == "backfill"} != set()
    assert contained(EXPECTED["backfills"], read(home, "schedule", "backfills")) == []
    runs = sorted(read(home, "runs", "--limit", "1000"), key=lambda run: str(run["id"]))
    expected = [{name: run[name] for name in LASTING} for run in EXPECTED["runs"]]
    assert contained(expected, runs) == []
    told = home.call("why", "broken", env={"FLOWQ_REDIS_URL": home.address})
    assert "paused" in told
    assert "mend it first" in told


def test_it_is_gone_on_with(home: OldHome) -> None:
    """The backfill is finished, the run that waited begins, messages are sent, and what was missed is dealt with as `catch_up` says."""
    store = Store(home.client, namespace=NAMESPACE).open()
    before = {flow: log(store, flow) for flow in ("broken", "minutely", "queued")}
    (home.place / "go").touch()
    with Endpoint() as endpoint:
        queues = ("--queues", "default", "--queues", "held")
        env = {"FLOWQ_REDIS_URL": home.address, "OPS": f"{endpoint.url}/ops"}
        served = home.start("serve", "flows", "-c", "2", *queues, env=env)
        until(lambda: not _still_open(store), timeout=60, message="all runs to end")
        until(lambda: len(log(store, "minutely")) > len(before["minutely"]), timeout=30, message="the missed slot")
        until(lambda: len(endpoint.asked) >= 2, timeout=30, message="the messages")
        served.end()
    _the_backfill_has_a_run_for_each_day(store)
    assert sorted(item.document["event"] for item in endpoint.asked) == ["canceled", "refused"]
    assert all(item.path == "/ops" for item in endpoint.asked)
    assert (log(store, "queued"), log(store, "broken")) == (before["queued"], before["broken"]), "they are paused"
    queued = [store.runs.require(entry.run) for entry in before["queued"]]
    assert all((one.ended_ms or 0) <= (later.started_ms or 0) for one, later in pairwise(queued)), "they do not overlap"
    runs = [entry for entry in log(store, "minutely")[len(before["minutely"]) :] if entry.outcome == "run"]
    runs.sort(key=lambda entry: entry.slot)
    slots = [entry.slot for entry in runs]  # the missed one, and those of the minutes that have begun since
    assert slots == [slots[0] + number * 60_000 for number in range(len(slots))]
    assert slots[0] > max((entry.slot for entry in before["minutely"]), default=0)
    assert [entry.run for entry in runs] == [slot_id("flows/minutely:default", str(slot)) for slot in slots]


def _still_open(store: Store) -> list[str]:
    """Return the runs that have not ended, of the data and of what follows from it."""
    backfill = EXPECTED["backfills"][0]["id"]
    record = store.backfills.get(backfill)
    known = [store.runs.require(run) for run in store.runs.recent(1000)]
    follows = [run.id for run in known if run.schedule == "flows/follow:after"]
    still = [run.id for run in known if run.status in {RunStatus.QUEUED, RunStatus.RUNNING}]
    if record is None or record.state != "done" or len(follows) < len(DAYS):
        still.append(backfill)
    return still


def _the_backfill_has_a_run_for_each_day(store: Store) -> None:
    ids = [slot_id("flows/daily:default", str(day)) for day in DAYS]
    runs = [store.runs.require(run) for run in ids]
    assert [run.slot for run in runs] == [*DAYS]
    assert {run.status for run in runs} == {RunStatus.FINISHED}
    assert sorted(run.id for run in map(store.runs.require, store.runs.recent(1000)) if run.cause == "backfill") == sorted(ids)
