"""Triggers: each event starts one run, however many schedulers look, and however often."""

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowq.compiler import compile_text
from flowq.exceptions import UsageError
from flowq.flows.actions.retry import plan_retry
from flowq.flows.actions.submit import submit
from flowq.flows.health import read_facts
from flowq.plan.trigger import Trigger
from flowq.schedules.explain import explain_schedule
from flowq.schedules.requests import known_schedule
from flowq.schedules.scheduler import Scheduler
from flowq.schedules.views import read_schedules, schedule_json
from flowq.store import Store
from flowq.store.schedules import ENDED_KEPT
from tests.schedules.flows import FLOW, Flow, Flows
from tests.support.run_driver import Drive
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

NAME = "flows/follower:after"
DAY = "params: {day: {type: date, default: '2026-01-01'}}\n" + FLOW
PATH = "params: {path: {type: string, default: ''}}\n" + FLOW
AFTER = Trigger(name="after", kind="flow", flow="load", params={"day": {"$": "event.params.day"}})
ARRIVED = Trigger(name="after", kind="files", path="in/*.csv", settle=200, params={"path": {"$": "event.path"}})


@pytest.fixture
def driver(store: Store) -> Iterator[Driver]:
    made = Driver(store)
    yield made
    made.close()


def followers(*triggers: Trigger) -> Flows:
    return Flows.of(Flow("load", (), DAY), Flow("follower", (), DAY, triggers=triggers))


def spool(root: Path, trigger: Trigger = ARRIVED) -> Flows:
    return Flows({"follower": Flow("follower", (), PATH, triggers=(trigger,))}, root=str(root))


def looking(store: Store, flows: Flows) -> Scheduler:
    made = Scheduler(store, flows)
    look(made)
    return made


def look(scheduler: Scheduler, times: int = 3) -> None:
    for _ in range(times):
        scheduler.turn()


def upstream(
    store: Store, driver: Driver, outcome: str = "finished", day: str = "2026-01-31", file: str = "/flows/load.yaml"
) -> str:
    """Execute a run of the flow that is followed."""
    plan = compile_text(DAY, name="load.yaml", params={"day": day}).plan
    assert plan is not None
    run = submit(store, replace(plan, file=file), directory="/flows")
    Drive(store, driver, run, {"a": outcome}).to_the_end()
    return run


def started(store: Store) -> list[dict[str, Any]]:
    """Return the params of the runs of the trigger, the first one first."""
    records = [store.runs.require(run) for run in store.runs.recent(1000)][::-1]
    return [json.loads(record.params) for record in records if record.by.startswith("flows/follower:")]


def write(path: Path, text: str = "1,2\n", ago: float = 60) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - ago, time.time() - ago))
    return path


# -- after a flow


def test_a_run_follows_each_run_of_a_flow_that_ends_well(store: Store, driver: Driver) -> None:
    upstream(store, driver, day="2026-01-01")  # before the trigger is there
    scheduler = looking(store, followers(AFTER))
    assert started(store) == []
    upstream(store, driver, day="2026-01-02")
    upstream(store, driver, "failed", day="2026-01-03")
    upstream(store, driver, day="2026-01-04", file="/flows/other.yaml")
    upstream(store, driver, day="2026-01-05")
    look(scheduler)
    look(looking(store, followers(AFTER)))  # another scheduler
    assert started(store) == [{"day": "2026-01-02"}, {"day": "2026-01-05"}]
    (record,) = [store.runs.require(run) for run in store.runs.recent(1)]
    assert (record.cause, record.by, record.schedule, record.slot) == ("flow", NAME, NAME, None)


def test_what_ends_while_no_scheduler_runs_is_dealt_with_later(store: Store, driver: Driver) -> None:
    looking(store, followers(AFTER))
    for number in range(1, 4):
        upstream(store, driver, day=f"2026-01-0{number}")
    looking(store, followers(AFTER))
    assert [item["day"] for item in started(store)] == ["2026-01-01", "2026-01-02", "2026-01-03"]


def test_each_attempt_of_a_run_is_an_event(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(replace(AFTER, status=("finished", "failed"))))
    run = upstream(store, driver, "failed")
    plan_retry(store, run).apply(store)
    Drive(store, driver, run).to_the_end()
    look(scheduler)
    assert len(started(store)) == 2


def test_two_triggers_on_one_run_start_one_run_each(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(AFTER, replace(AFTER, name="other")))
    upstream(store, driver)
    look(scheduler)
    assert len(started(store)) == 2


def test_a_condition_that_does_not_hold_starts_nothing(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(replace(AFTER, condition="event.params.day == '2026-01-02'")))
    upstream(store, driver, day="2026-01-01")
    upstream(store, driver, day="2026-01-02")
    look(scheduler)
    assert started(store) == [{"day": "2026-01-02"}]
    assert [(item.outcome, item.reason) for item in store.schedules.log(NAME)] == [("run", ""), ("left_out", "if_false")]


def test_a_pause_lets_events_pass(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(AFTER))
    store.schedules.pause(NAME, "me")
    upstream(store, driver, day="2026-01-01")
    look(scheduler)
    store.schedules.resume(NAME)
    upstream(store, driver, day="2026-01-02")
    look(scheduler)
    assert started(store) == [{"day": "2026-01-02"}]


def test_what_is_wrong_with_one_event_harms_no_other(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(replace(AFTER, params={"day": {"$": "event.labels.day ?? event.params.day"}})))
    upstream(store, driver, day="2026-01-01")
    look(scheduler)
    bad = looking(store, followers(replace(AFTER, name="bad", params={"day": "no date"}), AFTER))
    upstream(store, driver, day="2026-01-02")
    look(bad)
    assert [item["day"] for item in started(store)] == ["2026-01-01", "2026-01-02"]
    (entry,) = store.schedules.log("flows/follower:bad")
    assert entry.outcome == "refused"
    assert "day" in entry.reason


def test_more_ends_than_are_kept_are_reported(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(AFTER))
    row = {"r": "gone", "a": 1, "s": "failed", "f": "", "b": ""}
    pipe = store.client.pipeline(transaction=False)
    for _ in range(ENDED_KEPT + 1):
        pipe.xadd(store.session.keys("ended"), row, maxlen=ENDED_KEPT, approximate=False)  # type: ignore[arg-type]
    pipe.execute()
    look(scheduler, 4)
    assert [(item.outcome, item.reason) for item in store.schedules.log(NAME)] == [("left_out", "gap")]
    upstream(store, driver)
    look(scheduler)
    assert len(started(store)) == 1


@pytest.mark.slow
def test_no_event_is_lost_while_runs_wait(store: Store, driver: Driver) -> None:
    scheduler = looking(store, followers(AFTER))
    for number in range(1, 16):
        upstream(store, driver, day=f"2026-01-{number:02}")
    for _ in range(20):
        look(scheduler)
        for run in store.runs.recent(100):
            record = store.runs.require(run)
            if record.by == NAME and not record.ended and record.status == "running":
                Drive(store, driver, run).to_the_end()
    assert [item["day"] for item in started(store)] == [f"2026-01-{number:02}" for number in range(1, 16)]


# -- files


def test_the_log_names_files_and_runs_that_start_a_run(
    store: Store, driver: Driver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    def told() -> list[str]:
        return [text for text in (record.getMessage() for record in caplog.records) if text.startswith(f"{NAME}: run ")]

    files = looking(store, spool(tmp_path))
    write(tmp_path / "in" / "a|b.csv")
    look(files)
    run = store.runs.recent(1)[0]
    assert told() == [f"{NAME}: run {run} for in/a|b.csv"]
    caplog.clear()
    runs = looking(store, followers(AFTER))
    before = upstream(store, driver)
    look(runs)
    assert told() == [f"{NAME}: run {store.runs.recent(1)[0]} for {before}"]


def test_a_run_starts_for_each_new_file(store: Store, tmp_path: Path) -> None:
    write(tmp_path / "in" / "old.csv")
    scheduler = looking(store, spool(tmp_path))
    write(tmp_path / "in" / "a.csv")
    write(tmp_path / "in" / "b.csv")
    write(tmp_path / "in" / "other.txt")
    look(scheduler)
    look(looking(store, spool(tmp_path)))  # another scheduler, later
    assert sorted(item["path"] for item in started(store)) == ["in/a.csv", "in/b.csv"]
    record = store.runs.require(store.runs.recent(1)[0])
    assert (record.cause, record.directory) == ("file", str(tmp_path))


def test_a_file_that_is_replaced_renamed_or_touched_is_a_new_one(store: Store, tmp_path: Path) -> None:
    scheduler = looking(store, spool(tmp_path))
    path = write(tmp_path / "in" / "a.csv", ago=60)
    look(scheduler)
    write(path, "other content\n", ago=60)
    look(scheduler)
    os.utime(path, (time.time() - 30, time.time() - 30))
    look(scheduler)
    path.rename(path.with_name("c.csv"))
    look(scheduler)
    assert [item["path"] for item in started(store)] == ["in/a.csv"] * 3 + ["in/c.csv"]


def test_a_file_that_is_being_written_is_waited_for(store: Store, tmp_path: Path) -> None:
    scheduler = looking(store, spool(tmp_path, replace(ARRIVED, settle=300)))
    (tmp_path / "in").mkdir()
    ends = time.monotonic() + 1
    with (tmp_path / "in" / "slow.csv").open("w") as file:
        while time.monotonic() < ends:
            file.write("1,2\n")
            file.flush()
            scheduler.turn()
            assert started(store) == []
    while not started(store):
        scheduler.turn()
        assert time.monotonic() < ends + 5
    look(scheduler)
    assert [item["path"] for item in started(store)] == ["in/slow.csv"]


def test_another_pattern_begins_with_what_is_new(store: Store, tmp_path: Path) -> None:
    looking(store, spool(tmp_path))
    write(tmp_path / "in" / "a.txt")
    scheduler = looking(store, spool(tmp_path, replace(ARRIVED, path="in/*.txt")))
    write(tmp_path / "in" / "b.txt")
    look(scheduler)
    assert [item["path"] for item in started(store)] == ["in/b.txt"]


def test_events_that_are_there_are_kept_in_mind(store: Store, tmp_path: Path) -> None:
    scheduler = looking(store, spool(tmp_path))
    write(tmp_path / "in" / "a.csv")
    look(scheduler)
    client: Any = store.client
    key = store.session.keys("events_seen", NAME)
    (name,) = client.zrange(key, 0, -1)
    long_ago = store.now_ms() - 40 * 86_400_000
    client.zadd(key, {name: long_ago})
    store.schedules.see_events(NAME, [name.decode()])
    looking(store, spool(tmp_path))
    assert len(started(store)) == 1
    client.zadd(key, {name: long_ago})
    store.schedules.see_events(NAME, [])
    assert client.zcard(key) == 0


def test_schedulers_side_by_side_start_one_run_per_file(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    looking(store, spool(tmp_path, replace(ARRIVED, overlap="allow")))
    (tmp_path / "in").mkdir()
    stop = threading.Event()
    problems: list[BaseException] = []

    def work() -> None:
        own = Store(server.client(), namespace=store.namespace)
        scheduler = Scheduler(own, spool(tmp_path, replace(ARRIVED, overlap="allow")))
        try:
            while not stop.is_set():
                scheduler.turn()
        except BaseException as error:  # noqa: BLE001 - the test reports it
            problems.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(40):
            write(tmp_path / "in" / f"{number:02}.csv")
        deadline = time.monotonic() + 30
        while len(started(store)) < 40 and time.monotonic() < deadline:
            time.sleep(0.05)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert problems == []
    assert sorted(item["path"] for item in started(store)) == [f"in/{number:02}.csv" for number in range(40)]


def test_files_that_came_during_a_pause_start_nothing_and_later_ones_do(store: Store, tmp_path: Path) -> None:
    scheduler = looking(store, spool(tmp_path))
    store.schedules.pause(NAME, "me")
    write(tmp_path / "in" / "a.csv")
    look(scheduler)
    store.schedules.resume(NAME)
    look(scheduler)
    write(tmp_path / "in" / "b.csv", ago=86_400)  # copied with its time
    look(scheduler)
    assert [item["path"] for item in started(store)] == ["in/b.csv"]


def test_users_see_what_starts_the_runs(store: Store, driver: Driver) -> None:
    looking(store, followers(AFTER))
    upstream(store, driver)
    (view,) = read_schedules(store, [NAME])
    assert (view.when, view.next_ms) == ("after load (finished)", None)
    with pytest.raises(UsageError, match=r"has no slots, because events start its runs \(after load \(finished\)\)"):
        known_schedule(store, NAME)


def test_a_trigger_of_a_flow_that_is_not_valid_stays_known_with_the_reason(store: Store, driver: Driver) -> None:
    flows = followers(AFTER)
    scheduler = looking(store, flows)
    assert explain_schedule(store, NAME, None)[1][:2] == [
        "no event has come yet",
        "events start its runs: after load (finished)",
    ]
    upstream(store, driver)
    look(scheduler)
    valid = flows.flows["follower"]
    flows.flows = {**flows.flows, "follower": replace(valid, text="jobs: {a: {run: x, depends_on: b}}\n", triggers=())}
    look(scheduler)
    (view,) = read_schedules(store, [NAME])
    assert (view.gone, schedule_json(view)["problem"]) == (False, view.problem)
    latest, _events, reason, *_ = explain_schedule(store, NAME, None)[1]
    assert latest.startswith("the event ")
    assert "ran: run " in latest
    assert reason == "its flow is not valid: FQ301: `a` depends on `b`, which is not a job of this flow"
    flows.flows = {**flows.flows, "follower": valid}
    look(scheduler)
    assert read_schedules(store, [NAME])[0].problem == ""


@pytest.mark.parametrize(
    ("ours", "theirs", "twice"),
    [
        (AFTER, AFTER, True),
        (AFTER, replace(AFTER, flow="follower"), False),
        (ARRIVED, ARRIVED, True),
        (ARRIVED, replace(ARRIVED, path="/flows/in/*.csv"), True),
        (ARRIVED, replace(ARRIVED, path="out/*.csv"), False),
        (ARRIVED, replace(ARRIVED, paused=True), False),
        (replace(ARRIVED, paused=True), ARRIVED, False),
    ],
)
def test_triggers_that_another_directory_has_too_are_named(
    store: Store, caplog: pytest.LogCaptureFixture, ours: Trigger, theirs: Trigger, twice: bool
) -> None:
    """The same files under two names; events that only one of them sees start one run."""
    Scheduler(store, replace(followers(theirs), name="other")).turn()
    caplog.clear()
    Scheduler(store, followers(ours)).turn()
    text = "/flows/follower.yaml is served as other/follower:after too: each of its slots and events has two runs; serve one of the two directories"
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [text] * twice
    assert read_facts(store, "here").twice == (
        {"/flows/follower.yaml": ("flows/follower:after", "other/follower:after")} if twice else {}
    )


def test_what_a_webhook_starts_is_started_once(store: Store) -> None:
    """Its address has the name of the flow in the directory that it is sent to."""
    pushed = Trigger(name="after", kind="webhook", scheme="token", secret={"env": "KEY"})
    for name in ("flows", "other"):
        Scheduler(store, replace(followers(pushed), name=name)).turn()
    assert read_facts(store, "here").twice == {}
