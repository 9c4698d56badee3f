"""Schedulers on a real server: slots become runs, once, whatever happens to the schedulers."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from flowq.compiler import Compilation, compile_text
from flowq.plan.schedule import CatchUp, Entry
from flowq.schedules.backfill import Range
from flowq.schedules.scheduler import Scheduler
from flowq.slots.series import slot_id
from flowq.store import Store
from flowq.store.schedules import SlotEntry
from tests.schedules.flows import Flow, Flows
from tests.support import invariants
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

NAME = "flows/nightly:default"
HOUR = 3_600_000
HOURLY = Entry(name="default", cron=("0 * * * *",))
SECONDS = Entry(name="default", every=1000, catch_up=CatchUp(mode="all", max=1000))


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    made = Driver(store)
    yield made
    made.close()


def scheduler(store: Store, *flows: Flow) -> Scheduler:
    return Scheduler(store, Flows.of(*flows))


def nightly(entry: Entry, **more: object) -> Flow:
    return Flow("nightly", (entry,), **more)  # type: ignore[arg-type]


def pretend(store: Store, *, since: int, slot: int | None = None) -> None:
    """Set the stored state of the schedule back in time, as after a downtime."""
    key = store.session.keys("schedule", NAME)
    store.client.hset(key, mapping={"since": since} if slot is None else {"since": since, "slot": slot})


def log(store: Store) -> list[SlotEntry]:
    return store.schedules.log(NAME)[::-1]


def runs(store: Store) -> list[str]:
    return store.runs.recent(100)[::-1]


def missed(store: Store, entry: Entry, hours: int) -> tuple[Scheduler, int]:
    """Return a scheduler of an hourly schedule that was away for some hours, and the latest slot that is due."""
    made = scheduler(store, nightly(entry))
    made.turn()
    now = store.now_ms()
    last = now // HOUR * HOUR
    pretend(store, since=last - hours * HOUR - HOUR, slot=last - hours * HOUR)
    return made, last


def test_a_new_schedule_fires_nothing_of_the_past(store: Store) -> None:
    assert 0 < scheduler(store, nightly(HOURLY)).turn() <= 2
    assert runs(store) == []
    assert store.schedules.names() == [NAME]


def test_the_latest_of_the_missed_slots_fires(store: Store, driver: Driver) -> None:
    made, last = missed(store, HOURLY, 5)
    made.turn()
    assert runs(store) == [slot_id(NAME, str(last))]
    run = store.runs.require(runs(store)[0])
    assert (run.schedule, run.slot, run.cause, run.by, run.directory) == (NAME, last, "schedule", NAME, "/flows")
    assert [(entry.outcome, entry.count, entry.reason) for entry in log(store)] == [("left_out", 4, "latest"), ("run", 1, "")]
    made.turn()
    assert len(runs(store)) == 1
    Drive(store, driver, run.id).to_the_end()
    invariants.check(store)


@pytest.mark.parametrize("mode", ["none", "latest", "all"])
def test_catch_up(store: Store, driver: Driver, mode: str) -> None:
    entry = dataclasses.replace(HOURLY, catch_up=CatchUp(mode=mode, max=3))
    made, last = missed(store, entry, 5)
    made.turn()
    at_once = runs(store)
    for _ in range(5):
        for run in runs(store):
            if not store.runs.require(run).ended:
                Drive(store, driver, run).to_the_end()
        made.turn()
    slots = [store.runs.require(run).slot for run in runs(store)]
    wanted = {"none": [], "latest": [last], "all": [last - 2 * HOUR, last - HOUR, last]}
    late = store.now_ms() - last <= 60_000  # the hour has just begun: then its slot is not missed
    assert slots == (wanted[mode] or ([last] if late else []))
    assert len(at_once) <= 1, "what is made up is made up one by one"
    assert sum(item.count for item in log(store)) == 5


def test_the_window_of_catch_up(store: Store) -> None:
    entry = dataclasses.replace(HOURLY, catch_up=CatchUp(mode="all", window=2 * HOUR))
    made, last = missed(store, entry, 5)
    made.turn()
    assert store.runs.require(runs(store)[0]).slot in {last - HOUR, last - 2 * HOUR}


def test_a_changed_definition_begins_now(store: Store) -> None:
    missed(store, HOURLY, 5)
    scheduler(store, nightly(dataclasses.replace(HOURLY, cron=("30 * * * *", "0 * * * *")))).turn()
    assert runs(store) == []


def test_a_changed_policy_is_no_new_definition(store: Store) -> None:
    missed(store, HOURLY, 5)
    scheduler(store, nightly(dataclasses.replace(HOURLY, overlap="allow", labels={"a": "b"}))).turn()
    assert len(runs(store)) == 1


def test_an_open_run_skips_the_slot_without_a_compilation(store: Store) -> None:
    made, _ = missed(store, HOURLY, 1)
    made.turn()
    last = log(store)[-1].slot
    pretend(store, since=last - 9 * HOUR, slot=last - HOUR)
    made.turn()
    entry = log(store)[-1]
    assert (entry.outcome, entry.reason, entry.run) == ("skipped", "running", runs(store)[0])


def test_the_log_tells_when_a_flow_becomes_valid_or_not(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    flow = nightly(Entry(name="default", cron=("0 0 1 1 *",)))  # nothing is due that would say so
    flows = Flows.of(flow)
    made = Scheduler(store, flows)
    caplog.set_level("INFO")

    def told(text: str) -> list[str]:
        caplog.clear()
        flows.flows = {"nightly": dataclasses.replace(flow, text=text)}
        for _ in range(2):
            made.request_look()
            made.turn()
        return [f"{record.levelname} {record.message}" for record in caplog.records if "valid" in record.message]

    assert told(flow.text) == []
    assert told("jobs: {a: {rum: x}, b: {rum: y}}\n") == [
        "ERROR /flows/nightly.yaml is not valid, and starts nothing until it is: line 1: FQ101: unknown key `rum`, and 1 more error; `flowq validate` shows all"
    ]
    assert told(flow.text) == ["INFO /flows/nightly.yaml is valid again"]


def test_a_file_that_is_not_valid_fires_nothing_and_catches_up_later(store: Store) -> None:
    flow = nightly(HOURLY)
    flows = Flows.of(flow)
    made = Scheduler(store, flows)
    made.turn()
    last = store.now_ms() // HOUR * HOUR
    pretend(store, since=last - 9 * HOUR, slot=last - HOUR)
    flows.flows = {"nightly": dataclasses.replace(flow, text="jobs: {a: {rum: x}}\n")}
    made.turn()
    made.turn()
    assert runs(store) == []
    assert [(entry.outcome, entry.slot) for entry in log(store)] == [("refused", last)]
    assert "rum" in log(store)[0].reason
    flows.flows = {"nightly": flow}
    made.turn()
    assert runs(store) == [slot_id(NAME, str(last))]


def test_a_directory_that_cannot_be_read_is_no_deletion(store: Store) -> None:
    flows = Flows.of(nightly(HOURLY))
    made = Scheduler(store, flows)
    made.turn()
    last = store.now_ms() // HOUR * HOUR
    pretend(store, since=last - 9 * HOUR, slot=last - HOUR)
    flows.stale = True
    made.turn()
    assert [(entry.outcome, entry.reason) for entry in log(store)] == [("refused", "/flows cannot be read")]
    flows.stale = False
    made.turn()
    assert len(runs(store)) == 1


def test_a_slot_for_which_the_flow_does_not_compile_holds_up_no_other(store: Store) -> None:
    class OfToday(Flow):
        def compile(self, **more: Any) -> Compilation:
            return super().compile(**more) if "scheduled" not in more else compile_text("jobs: {a: {rum: x}}\n")

    made = scheduler(store, OfToday("nightly", (HOURLY,)), Flow("other", (HOURLY,)))
    made.turn()
    last = store.now_ms() // HOUR * HOUR
    for name in store.schedules.names():
        store.client.hset(store.session.keys("schedule", name), mapping={"since": last - 9 * HOUR, "slot": last - HOUR})
    made.turn()
    assert [store.runs.require(run).schedule for run in runs(store)] == ["flows/other:default"]
    assert [entry.outcome for entry in log(store)] == ["refused"]
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    assert record.slot == last


def test_a_run_that_is_there_already(store: Store, driver: Driver) -> None:
    """The server was restored from an older state, or a user started the slot: no second run, and the schedule goes on."""
    made, last = missed(store, HOURLY, 1)
    made.turn()
    Drive(store, driver, runs(store)[0]).to_the_end()
    pretend(store, since=last - 9 * HOUR, slot=last - HOUR)
    Scheduler(store, Flows.of(nightly(HOURLY, text="jobs: {b: {run: 'true'}}\n"))).turn()
    assert len(runs(store)) == 1
    assert log(store)[-1].outcome == "run"
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    assert record.slot == last


def test_a_pause_and_its_end(store: Store) -> None:
    made, last = missed(store, HOURLY, 3)
    store.schedules.pause(NAME, "ann")
    made.turn()
    assert runs(store) == []
    store.schedules.resume(NAME, catch_up=True)
    made.turn()
    assert runs(store) == [slot_id(NAME, str(last))]


def test_the_clock_of_the_server_steps_back(store: Store) -> None:
    """The latest slot only grows: after a step back nothing fires twice."""
    made, last = missed(store, HOURLY, 1)
    pretend(store, since=last - 9 * HOUR, slot=last + HOUR)
    made.turn()
    assert runs(store) == []


def test_what_users_see_of_an_entry_is_kept(store: Store) -> None:
    from flowq.schedules.entries import Description

    scheduler(store, nightly(SECONDS)).turn()
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    found = Description.from_json(record.description)
    assert found is not None
    assert (found.entry, found.path, found.root, found.problem) == (SECONDS, "/flows/nightly.yaml", "/flows", "")
    assert Description.from_json("{}") is None


# -- backfills -------------------------------------------------------------------------------------------------------------------


def begin(store: Store, part: Range, most: int = 2, **more: str) -> None:
    store.backfills.create("fill", {"schedule": NAME, "max": most, **part.fields(), **more})


def ended(store: Store, driver: Driver, made: Scheduler) -> list[int | None]:
    """Let a backfill come to its end; return the slots of its runs in the order of their creation."""
    for _ in range(40):
        made.turn()
        still = store.backfills.open_runs("fill")
        assert len(still) <= 2
        for run in still:
            Drive(store, driver, run).to_the_end()
        record = store.backfills.get("fill")
        assert record is not None
        if record.state != "running" and not still:
            break
    invariants.check(store)
    return [store.runs.require(run).slot for run in runs(store) if store.runs.require(run).cause == "backfill"]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_backfill(store: Store, driver: Driver, newest_first: bool) -> None:
    made = scheduler(store, nightly(HOURLY))
    made.turn()
    begin(store, Range(10 * HOUR, 20 * HOUR, newest_first=newest_first))
    slots = [hour * HOUR for hour in range(10, 20)]
    assert ended(store, driver, made) == (slots[::-1] if newest_first else slots)
    run = store.runs.require(runs(store)[0])
    assert '"flowq.backfill": "fill"' in run.labels
    job = store.runs.jobs(run.id, [0])[0]
    assert job is not None
    assert job.fields["priority"] == "-10"
    state = store.schedules.get_many([NAME])[0]
    assert state is not None
    assert state.slot is None, "it does not move the schedule on"


def test_a_backfill_makes_what_is_missing(store: Store, driver: Driver) -> None:
    made = scheduler(store, nightly(HOURLY))
    made.turn()
    begin(store, Range(10 * HOUR, 13 * HOUR))
    assert len(ended(store, driver, made)) == 3
    store.client.delete(store.session.keys("backfill", "fill"))
    begin(store, Range(9 * HOUR, 15 * HOUR))
    assert ended(store, driver, made)[3:] == [9 * HOUR, 13 * HOUR, 14 * HOUR]
    record = store.backfills.get("fill")
    assert record is not None
    assert (record.state, record.created, record.left_out) == ("done", 3, 3)


def test_a_backfill_again(store: Store, driver: Driver) -> None:
    made = scheduler(store, nightly(HOURLY))
    made.turn()
    begin(store, Range(10 * HOUR, 12 * HOUR))
    ended(store, driver, made)
    store.client.delete(store.session.keys("backfill", "fill"))
    begin(store, Range(10 * HOUR, 12 * HOUR, "again"))
    assert ended(store, driver, made) == [10 * HOUR, 11 * HOUR] * 2


def test_a_backfill_of_what_failed(store: Store, driver: Driver) -> None:
    made = scheduler(store, nightly(HOURLY))
    made.turn()
    begin(store, Range(10 * HOUR, 12 * HOUR), most=1)
    made.turn()
    Drive(store, driver, runs(store)[0], {"a": "failed"}).to_the_end()
    ended(store, driver, made)
    store.client.delete(store.session.keys("backfill", "fill"))
    begin(store, Range(10 * HOUR, 12 * HOUR, "failed"))
    assert ended(store, driver, made) == [10 * HOUR, 11 * HOUR, 10 * HOUR]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("jobs: {a: {run: 'false'}}\n", "the flow has changed"), ("jobs: {a: {rum: x}}\n", "rum")],
)
def test_a_backfill_pauses_when_its_file_changes(store: Store, driver: Driver, text: str, reason: str) -> None:
    flow = nightly(HOURLY)
    flows = Flows.of(flow)
    made = Scheduler(store, flows)
    made.turn()
    begin(store, Range(10 * HOUR, 14 * HOUR), most=1)
    made.turn()
    flows.flows = {"nightly": dataclasses.replace(flow, text=text)}
    Drive(store, driver, runs(store)[0]).to_the_end()
    made.turn()
    record = store.backfills.get("fill")
    assert record is not None
    assert record.state == "paused"
    assert reason in record.reason
    flows.flows = {"nightly": flow}
    store.backfills.change("fill", "running")
    assert len(ended(store, driver, made)) == 4


def test_a_backfill_with_params(store: Store) -> None:
    text = "params: {n: {type: integer, default: 1}}\njobs: {a: {run: 'true'}}\n"
    made = scheduler(store, nightly(HOURLY, text=text))
    made.turn()
    begin(store, Range(10 * HOUR, 11 * HOUR), params='{"n": "7"}')
    made.turn()
    assert store.runs.require(runs(store)[0]).params == '{"n": 7}'


def test_flows_that_another_directory_has_too_are_named(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """A directory and the one above it are served: each slot would have two runs."""
    flow, other = nightly(HOURLY), Flow("weekly", (HOURLY,))
    above = dataclasses.replace(Flows.of(flow, other), name="above", root="/")

    def warned() -> list[str]:
        caplog.clear()
        Scheduler(store, above).turn()
        return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]

    assert warned() == []
    scheduler(store, flow).turn()
    assert warned() == [
        f"/flows/nightly.yaml is served as {NAME} too: each of its slots and events has two runs; serve one of the two directories"
    ]
    store.schedules.pause(NAME, "ann")
    assert warned() == [], "the other one fires nothing"
    store.schedules.resume(NAME)
    assert len(warned()) == 1
    store.client.zadd(store.session.keys("schedules"), {NAME: store.now_ms() - 600_000})
    assert warned() == [], "no scheduler has the other one any more"
