"""Workers take turns at sweeping: one does it for all, and another takes over when it is gone."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from flowq import ids
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import BeatReply, SweepReply
from tests.support.slot_driver import Driver
from tests.support.wait import until


@pytest.fixture
def other(store: Store) -> Iterator[Driver]:
    driver = Driver(store, name="other")
    yield driver
    driver.close()


def make_due(store: Store) -> None:
    """Let a job wait for a sweep."""
    due = store.now_ms() + 20
    store.jobs.create(NewJob(ids.nonce(), "default", b"", ids.nonce(), due_ms=due))
    until(lambda: store.now_ms() > due)


def in_turn(driver: Driver) -> SweepReply:
    driver.link.sweep(driver.queues, in_turn=True)
    answer = driver.reply()
    assert isinstance(answer, SweepReply)
    return answer


def beat(driver: Driver) -> BeatReply:
    driver.link.heartbeat(driver.registration, "idle", [])
    answer = driver.reply()
    assert isinstance(answer, BeatReply)
    return answer


def let_turn_end(store: Store, at: int) -> None:
    """Set the time at which the turn of the sweeper ends."""
    client: Any = store.client
    key = store.session.keys("meta")
    client.hset(key, "sweeper", f"{at} {client.hget(key, 'sweeper').decode().partition(' ')[2]}")


def test_the_first_worker_sweeps_and_goes_on(store: Store, driver: Driver) -> None:
    make_due(store)
    first, second = in_turn(driver), in_turn(driver)
    assert (first.due, first.standby, second.standby) == (1, 0, 0)


def test_the_others_leave_it_alone(store: Store, driver: Driver, other: Driver) -> None:
    assert beat(driver).unswept
    in_turn(driver)
    make_due(store)
    answer = in_turn(other)
    assert (answer.due, answer.again) == (0, None)
    assert 0.4 < answer.standby <= 0.75, "until the turn ends, unless its holder takes the next one"
    assert not beat(other).unswept


def test_a_sweep_at_once_takes_no_turn(store: Store, driver: Driver, other: Driver) -> None:
    make_due(store)
    assert other.tick().due == 1
    assert beat(driver).unswept, "workers with an own reason to sweep, and clients, do not sweep for the others"
    in_turn(driver)
    make_due(store)
    assert other.tick().due == 1


@pytest.mark.parametrize("ends", ["a second ago", "in an hour"])
def test_another_takes_over(store: Store, driver: Driver, other: Driver, ends: str) -> None:
    """The sweeper was not heard of for longer than its turn, or the clock was set back."""
    in_turn(driver)
    let_turn_end(store, store.now_ms() + (-1000 if ends == "a second ago" else 3_600_000))
    make_due(store)
    assert beat(other).unswept
    assert in_turn(other).due == 1
    assert in_turn(driver).standby > 0


MISTAKES = {
    "no worker sweeps, and none is told": ("return not turn()", "return false"),
    "all are told always": ("return not turn()", "return true"),
    "a turn without an end": ("if left > 0 and left <= TURN then", "if worker then"),
    "a turn that is not kept": ("if left and other ~= worker then", "if false then"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_the_lua_is_found(
    store: Store, driver: Driver, other: Driver, mutate: Callable[[str, str, str], None], name: str
) -> None:
    mutate("lib/sweep_turns", *MISTAKES[name])
    stories = (test_the_others_leave_it_alone, partial(test_another_takes_over, ends="a second ago"))
    assert [story for story in stories if is_broken(story, store, driver, other)]


def is_broken(story: Callable[..., None], store: Store, driver: Driver, other: Driver) -> bool:
    store.client.flushall()
    store.open()
    try:
        story(store, driver, other)
    except AssertionError:
        return True
    return False


def test_the_more_workers_the_less_each_looks(store: Store, driver: Driver, other: Driver) -> None:
    in_turn(driver)
    store.client.zadd(store.session.keys("workers"), {f"w{number}": store.now_ms() for number in range(200)})
    assert in_turn(other).standby == 50.0


def test_webhooks_are_delivered_by_all_workers(store: Store, driver: Driver, other: Driver) -> None:
    in_turn(driver)
    store.client.zadd(store.session.keys("webhooks"), {"some": 1})
    try:
        assert in_turn(other).webhooks == 1
    finally:
        store.client.delete(store.session.keys("webhooks"))


def test_a_heartbeat_tells_of_callbacks_of_lost_executions(store: Store, driver: Driver) -> None:
    assert not beat(driver).callbacks
    store.jobs.create(NewJob("a", "default", b"", ids.nonce(), fields={"on_failure": "module:function|5"}))
    driver.lose(driver.take())
    assert beat(driver).callbacks
    (lost,) = store.workers.callbacks(["default"], 1)
    assert not beat(driver).callbacks, "they are handed out"
    store.workers.called(lost)
