"""Slots of schedules in the store: one run per slot, what `overlap` decides, pauses, the log, and backfills."""

import pytest

from flowq.flows.actions.submit import Submitted, offer
from flowq.plan import Concurrency
from flowq.store import Store
from flowq.store.schedules import NONE, SlotClaim
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs, invariants
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver

NAME = "flows/nightly:default"
PLAIN = Extra()


def beat(store: Store, definition: str = "d", *, paused: bool = False, scheduler: str = "s") -> tuple[int, ...]:
    """Return slot, since, paused, open and waiting of the schedule."""
    state = store.schedules.beat(scheduler, [(NAME, definition, paused)]).states[0]
    return state.slot, state.since, int(state.paused), state.open, state.waiting


def fire(
    store: Store,
    slot: int,
    after: int = NONE,
    *,
    overlap: str = "skip",
    due: int | None = None,
    run: str = "",
    extra: Extra = PLAIN,
) -> Submitted:
    claim = SlotClaim("slot", NAME, slot, after, slot if due is None else due, overlap)
    plan = graphs.plan({"a": []}, extra=extra)
    return offer(store, plan, directory="/nowhere", run_id=run or f"slot{slot}", cause="schedule", slot=claim)


def log(store: Store) -> list[tuple[int, str, str, str]]:
    return [(entry.slot, entry.outcome, entry.reason, entry.run) for entry in reversed(store.schedules.log(NAME))]


def test_a_slot_has_one_run(store: Store, driver: Driver) -> None:
    beat(store)
    assert fire(store, 1000).outcome is Outcome.DONE
    assert fire(store, 1000).outcome is Outcome.DUPLICATE, "a repeated call, whose reply was lost"
    assert fire(store, 1000, run="other").outcome is Outcome.CONFLICT, "another scheduler, which saw the same state"
    record = store.runs.require("slot1000")
    assert (record.schedule, record.slot, record.cause) == (NAME, 1000, "schedule")
    assert beat(store)[0] == 1000
    assert log(store) == [(1000, "run", "", "slot1000")]
    assert Drive(store, driver, "slot1000").to_the_end() == ["a"]
    assert fire(store, 1000, 1000, run="again").outcome is Outcome.DONE, "only `after` says that a slot was dealt with"
    invariants.check(store)


def test_a_definition_begins_when_it_is_seen(store: Store) -> None:
    slot, since, *_ = beat(store)
    assert slot == NONE
    assert beat(store)[1] == since
    assert beat(store, "e")[1] >= since
    later = beat(store, "e")[1]
    assert beat(store, "d")[1] >= later


def test_schedulers_with_different_definitions_are_noted(store: Store) -> None:
    def rivals() -> tuple[str, ...]:
        record = store.schedules.get_many([NAME])[0]
        assert record is not None
        return record.rivals

    beat(store, "d", scheduler="web1")
    beat(store, "e", scheduler="web1")
    assert rivals() == (), "its file was changed"
    store.schedules.leave("web1")
    beat(store, "f", scheduler="web2")
    assert rivals() == (), "the first one does not live any more"
    beat(store, "d", scheduler="web1")
    assert rivals() == ("web2", "web1")


def test_a_slot_that_is_not_due(store: Store) -> None:
    now = store.now_ms()
    assert fire(store, 1000, due=now + 60_000).outcome is Outcome.TOO_EARLY
    assert beat(store)[0] == NONE


@pytest.mark.parametrize("overlap", ["skip", "queue", "cancel_running", "allow", "one_by_one"])
def test_overlap(store: Store, driver: Driver, overlap: str) -> None:
    beat(store)
    fire(store, 1000)
    second = fire(store, 2000, 1000, overlap=overlap)
    wanted = {"skip": Outcome.SKIPPED, "one_by_one": Outcome.BUSY}
    assert second.outcome is wanted.get(overlap, Outcome.DONE)
    assert second.holder == ("slot1000" if overlap == "skip" else "")
    status = None if not second.there else str(store.runs.require("slot2000").status)
    assert status == {"queue": "queued", "cancel_running": "running", "allow": "running"}.get(overlap), (
        "no job of the first one has begun"
    )
    assert beat(store)[0] == (1000 if overlap == "one_by_one" else 2000)
    invariants.check(store)
    Drive(store, driver, "slot1000").to_the_end()
    first = str(store.runs.require("slot1000").status)
    assert first == ("canceled" if overlap == "cancel_running" else "finished")
    if second.there:
        Drive(store, driver, "slot2000").to_the_end()
        assert str(store.runs.require("slot2000").status) == "finished"
    assert beat(store)[3:] == (0, 0)
    if overlap == "skip":
        assert log(store)[1] == (2000, "skipped", "running", "slot1000")


def test_a_run_waits_until_the_canceled_one_has_ended(store: Store, driver: Driver) -> None:
    fire(store, 1000)
    claim = driver.take()
    fire(store, 2000, 1000, overlap="cancel_running")
    fire(store, 3000, 2000, overlap="cancel_running")
    assert [str(verdict) for verdict in driver.beat(claim)] == ["cancel"]
    driver.settle()
    assert [str(store.runs.require(f"slot{slot}").status) for slot in (1000, 2000, 3000)] == ["running", "canceled", "queued"]
    driver.end(claim, "canceled")
    Drive(store, driver, "slot3000").to_the_end()
    assert [str(store.runs.require(f"slot{slot}").status) for slot in (1000, 3000)] == ["canceled", "finished"]
    invariants.check(store)


def test_ten_runs_wait_at_most(store: Store, driver: Driver) -> None:
    beat(store)
    outcomes = [fire(store, slot, slot - 1 if slot > 1 else NONE, overlap="queue").outcome for slot in range(1, 13)]
    assert outcomes == [Outcome.DONE] * 11 + [Outcome.SKIPPED]
    assert beat(store)[3:] == (1, 10)
    assert log(store)[-1] == (12, "skipped", "too_many_waiting", "slot1")
    Drive(store, driver, "slot1").to_the_end()
    assert [str(store.runs.require(f"slot{slot}").status) for slot in range(1, 12)] == ["finished"] * 11
    invariants.check(store)


def test_the_place_in_the_schedule_comes_before_the_group(store: Store, driver: Driver) -> None:
    group = Extra(flow={"concurrency": Concurrency("nightly", 1, "queue")})
    other = graphs.run(store, {"a": []}, extra=group)
    fire(store, 1000, extra=group)
    fire(store, 2000, 1000, overlap="queue", extra=group)
    assert store.semaphores.waiters("run/nightly") == ["slot1000"]
    assert store.runs.require("slot2000").waits_for == f"schedule/{NAME}"
    invariants.check(store)
    Drive(store, driver, other).to_the_end()
    assert [str(store.runs.require(run).status) for run in ("slot1000", "slot2000")] == ["finished", "finished"]
    assert store.semaphores.waiters("run/nightly") == []


def test_a_group_that_skips_decides_when_the_turn_comes(store: Store, driver: Driver) -> None:
    group = Extra(flow={"concurrency": Concurrency("nightly", 1, "skip")})
    fire(store, 1000)
    fire(store, 2000, 1000, overlap="queue", extra=group)
    holder = graphs.run(
        store, {"a": []}, extra=Extra(flow={"concurrency": Concurrency("nightly", 1, "queue")}, nodes={"a": {"queue": "slow"}})
    )
    Drive(store, driver, "slot1000").to_the_end()
    record = store.runs.require("slot2000")
    assert (record.status, record.turned_away_by) == ("skipped", holder)
    invariants.check(store)


def test_a_waiting_run_that_is_canceled_leaves_its_schedule(store: Store, driver: Driver) -> None:
    fire(store, 1000)
    fire(store, 2000, 1000, overlap="queue")
    assert store.runs.cancel("slot2000") is Outcome.DONE
    driver.settle()
    assert str(store.runs.require("slot2000").status) == "canceled"
    assert beat(store)[3:] == (1, 0)
    invariants.check(store)


def test_a_retried_run_is_open_again(store: Store, driver: Driver) -> None:
    from flowq.flows.actions import retry

    fire(store, 1000)
    Drive(store, driver, "slot1000", {"a": "failed"}).to_the_end()
    assert beat(store)[3] == 0
    retry.plan_retry(store, "slot1000").apply(store)
    assert beat(store)[3] == 1
    assert fire(store, 2000, 1000).outcome is Outcome.SKIPPED
    Drive(store, driver, "slot1000").to_the_end()
    assert beat(store)[3] == 0


def test_a_pause(store: Store) -> None:
    assert store.schedules.pause(NAME, "ann") is Outcome.NOT_FOUND
    beat(store)
    assert store.schedules.pause(NAME, "ann", "migration") is Outcome.DONE
    assert beat(store, "another definition")[2] == 1
    assert fire(store, 1000).outcome is Outcome.SUSPENDED
    record = store.schedules.get_many([NAME])[0]
    assert record is not None
    assert record.pause is not None
    assert (record.pause.by, record.pause.note, record.pause.until_ms) == ("ann", "migration", None)
    now = store.now_ms()
    assert store.schedules.resume(NAME) is Outcome.DONE
    assert store.schedules.resume(NAME) is Outcome.WRONG_STATE
    assert beat(store)[0] >= now, "what was missed is not made up"
    store.schedules.pause(NAME, "ann")
    slot = beat(store)[0]
    store.schedules.resume(NAME, catch_up=True)
    assert beat(store)[0] == slot


def test_a_pause_ends_by_itself(store: Store) -> None:
    beat(store)
    until = store.now_ms() - 1
    store.schedules.pause(NAME, "ann", until_ms=until)
    assert beat(store)[::2][:2] == (until, 0)


def test_slots_pass_while_the_file_pauses(store: Store) -> None:
    beat(store)
    before = store.now_ms()
    slot, _, paused, *_ = beat(store, paused=True)
    assert paused
    assert slot >= before
    assert beat(store)[:3:2] == (slot, 0)


def test_slots_without_a_run_are_logged(store: Store) -> None:
    beat(store)
    left = SlotClaim("slot", NAME, 3000, NONE, 3000)
    assert store.schedules.settle(left, "left_out", "latest", first=1000, count=3) == (Outcome.DONE, "")
    assert store.schedules.settle(left, "left_out", "latest", first=1000, count=3)[0] is Outcome.CONFLICT
    skipped = SlotClaim("slot", NAME, 4000, 3000, 4000)
    assert store.schedules.settle(skipped, "skipped")[0] is Outcome.WRONG_STATE, "nothing is open: the slot fires"
    assert store.schedules.settle(skipped, "run", run="slot4000")[0] is Outcome.NOT_FOUND
    assert store.schedules.refuse(NAME, 4000, "FQ101") is Outcome.DONE
    assert store.schedules.refuse(NAME, 4000, "FQ101") is Outcome.DUPLICATE
    entry = store.schedules.log(NAME)[1]
    assert (entry.first, entry.count, entry.slot) == (1000, 3, 3000)
    assert log(store)[1] == (4000, "refused", "FQ101", "")
    assert beat(store)[0] == 3000, "a refused slot stays missed"


def test_a_slot_that_a_user_has_started(store: Store) -> None:
    beat(store)
    by_hand = SlotClaim("hand", NAME, 5000)
    made = offer(store, graphs.plan({"a": []}), directory="/nowhere", run_id="slot5000", cause="cli", by="ann", slot=by_hand)
    assert made.outcome is Outcome.DONE
    assert beat(store)[::3] == (NONE, 0), "it neither moves the schedule on nor counts for `overlap`"
    claim = SlotClaim("slot", NAME, 5000, NONE, 5000)
    assert store.schedules.settle(claim, "run", run="slot5000")[0] is Outcome.DONE
    assert beat(store)[0] == 5000


def test_a_schedule_that_no_scheduler_has_is_forgotten_after_a_month(store: Store) -> None:
    beat(store)
    month = 31 * 86_400_000
    store.client.zadd(store.session.keys("schedules"), {NAME: store.now_ms() - month})
    store.schedules.beat("s", [])
    assert store.schedules.names() == []
    assert store.schedules.get_many([NAME]) == [None]


def test_a_schedule_of_this_scheduler_is_not_forgotten(store: Store) -> None:
    """It was off for a month: a pause by a user still holds."""
    beat(store)
    store.schedules.pause(NAME, by="ann", note="until further notice")
    store.client.zadd(store.session.keys("schedules"), {NAME: store.now_ms() - 31 * 86_400_000})
    assert beat(store)[2] == 1


def test_a_place_of_a_run_that_is_gone(store: Store, driver: Driver) -> None:
    """Parts of the data were deleted by hand: the schedule goes on all the same."""
    beat(store)
    fire(store, 1000)
    fire(store, 2000, 1000, overlap="queue")
    store.client.delete(store.session.keys("run", "slot1000"))
    assert beat(store)[3:] == (0, 1)
    assert str(store.runs.require("slot2000").status) == "running"
    assert beat(store)[3:] == (1, 0)
    store.client.flushall()


# -- backfills -------------------------------------------------------------------------------------------------------------------


def fill(store: Store, slot: int, after: int = NONE) -> Outcome:
    claim = SlotClaim("backfill", NAME, slot, after, backfill="b1")
    return offer(
        store, graphs.plan({"a": []}), directory="/nowhere", run_id=f"fill{slot}", cause="backfill", slot=claim
    ).outcome


def test_a_backfill(store: Store, driver: Driver) -> None:
    beat(store)
    assert store.backfills.create("b1", {"schedule": NAME, "max": 2}) is Outcome.DONE
    assert store.schedules.beat("s", []).backfills == ("b1",)
    assert [fill(store, 1000), fill(store, 2000), fill(store, 2000, 1000)] == [Outcome.DONE, Outcome.CONFLICT, Outcome.DONE]
    assert fill(store, 3000, 2000) is Outcome.BUSY
    assert fire(store, 9000).outcome is Outcome.DONE, "the schedule itself goes on"
    assert beat(store)[3] == 1
    invariants.check(store)
    Drive(store, driver, "fill1000").to_the_end()
    assert fill(store, 3000, 2000) is Outcome.DONE
    assert store.backfills.advance("b1", 3000, 5000, left_out=2, done=True) is Outcome.DONE
    record = store.backfills.get("b1")
    assert record is not None
    assert (record.state, record.created, record.left_out, record.cursor) == ("done", 3, 2, 5000)
    assert store.schedules.beat("s", []).backfills == ()


def test_a_backfill_that_is_paused_or_canceled(store: Store) -> None:
    store.backfills.create("b1", {"schedule": NAME, "max": 1})
    assert store.backfills.create("b1", {"schedule": NAME, "max": 1}) is Outcome.CONFLICT
    assert store.backfills.change("b1", "paused", "the file is gone") == (Outcome.DONE, "running")
    assert fill(store, 1000) is Outcome.SUSPENDED
    assert store.backfills.change("b1", "running") == (Outcome.DONE, "paused")
    assert fill(store, 1000) is Outcome.DONE
    assert store.backfills.change("b1", "canceled") == (Outcome.DONE, "running")
    assert store.backfills.change("b1", "running") == (Outcome.WRONG_STATE, "canceled")
    assert store.backfills.change("b2", "paused") == (Outcome.NOT_FOUND, "")
    assert store.backfills.open_runs("b1") == ["fill1000"]
    assert store.backfills.names() == ["b1"]
