"""Waits that began while the server's clock was ahead, after it was set back: none lasts longer than it was to last."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq import ids
from flowq.plan import Action, Concurrency
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs, invariants
from tests.support.graphs import Extra
from tests.support.server import PrivateServer
from tests.support.skew import Skew
from tests.support.slot_driver import Driver
from tests.support.wait import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="preloads a library")

AHEAD = 7200  # s


class Clock:
    """A server whose clock is two hours ahead until it is set back, and a driver."""

    def __init__(self, directory: Path) -> None:
        self._skew = Skew(directory, AHEAD)
        self.server = PrivateServer(environment=self._skew.environment).start()
        self.store = Store(self.server.client(), namespace="flowq-test").open()
        self.driver = Driver(self.store)
        self.driver.tick()

    def step(self, seconds: int) -> None:
        before = self.store.now_ms()
        self._skew.set(seconds)
        until(lambda: abs(self.store.now_ms() - before) > 1000 * AHEAD / 2, message="the step")

    def set_back(self) -> None:
        self.step(0)

    def create(self, name: str = "a", queue: str = "default", due: int = -1, **fields: str | int) -> None:
        text = {key: str(value) for key, value in fields.items()}
        self.store.jobs.create(NewJob(name, queue, b"", ids.nonce(), due_ms=due, fields=text))

    def status(self, name: str = "a") -> str:
        record = self.store.jobs.get(name)
        assert record is not None
        return f"{record.status}/{record.reason}" if record.reason else str(record.status)

    def comes_to(self, wanted: str, status: Callable[[], str] | None = None) -> None:
        """Sweep until a status is reached, in much less than the two hours."""
        until(
            lambda: self.driver.swept() and (status or self.status)() == wanted,
            10,
            f"{wanted}, it is {(status or self.status)()}",
        )


@pytest.fixture
def clock(tmp_path: Path) -> Iterator[Clock]:
    made = Clock(tmp_path)
    yield made
    made.driver.settle()
    invariants.check(made.store)
    made.driver.close()
    made.store.close()
    made.server.stop()


def test_the_wait_before_a_retry(clock: Clock) -> None:
    clock.create(retry="1|1000|0|0")
    clock.driver.end(clock.driver.take(), "failed", retryable=True)
    assert clock.status() == "scheduled/retry"
    clock.set_back()
    clock.comes_to("queued/retry")


def test_the_wait_of_a_returned_retry(clock: Clock) -> None:
    clock.create()
    clock.driver.end(clock.driver.take(), "retry", delay_ms=1000, max_returns=3)
    assert clock.status() == "scheduled/retry"
    clock.set_back()
    clock.comes_to("queued/retry")


def test_the_delay_of_a_job_of_a_run(clock: Clock) -> None:
    run = graphs.run(clock.store, {"a": []}, extra=Extra(nodes={"a": {"delay": 1.0}}))
    assert graphs.statuses(clock.store, run) == {"a": "scheduled/delay"}
    clock.set_back()
    clock.comes_to("queued/delay", lambda: graphs.statuses(clock.store, run)["a"])


def test_more_waits_than_one_step_deals_with_and_times_that_a_user_has_named(clock: Clock) -> None:
    """A time that a user has named is left, also where a thousand jobs have the same."""
    named = clock.store.now_ms() + 3_600_000
    for number in range(450):
        clock.create(f"j{number}", due=named)
    run = graphs.run(clock.store, {"m": []}, cells={"m": 450}, extra=Extra(nodes={"m": {"delay": 1.0}}))
    clock.driver.settle()
    clock.set_back()
    until(lambda: clock.driver.swept() and set(graphs.statuses(clock.store, run).values()) == {"queued/delay"}, 15)
    assert {clock.status(f"j{number}") for number in range(450)} == {"scheduled/delay"}
    keys = clock.store.session.keys
    assert clock.store.client.zcount(keys("timers"), named, named) == 450
    assert not clock.store.client.hexists(keys("meta"), "set_back"), "the walk is over"


def test_the_ttl_of_a_queued_job(clock: Clock) -> None:
    clock.create(ttl=1000)
    clock.set_back()
    clock.comes_to("failed/expired")


def test_the_time_for_an_approval(clock: Clock) -> None:
    node = {"action": Action("approval", message="Publish?"), "timeout": 1.0}
    run = graphs.run(clock.store, {"sign": []}, extra=Extra(nodes={"sign": node}))
    (job,) = clock.driver.tick().decide
    assert clock.store.jobs.decide(job, "go_on", message="Publish?") is Outcome.DONE
    clock.set_back()
    clock.comes_to("failed/rejected", lambda: graphs.statuses(clock.store, run)["sign"])


def test_the_decision_of_a_job_that_a_worker_was_given(clock: Clock) -> None:
    run = graphs.run(clock.store, {"a": []}, extra=Extra(nodes={"a": {"condition": "params.x"}}))
    (job,) = clock.driver.tick().decide
    clock.set_back()
    until(lambda: job in clock.driver.tick().decide, 10)
    assert clock.store.jobs.decide(job, "go_on") is Outcome.DONE
    assert graphs.statuses(clock.store, run) == {"a": "queued"}


def test_the_timeout_of_a_run(clock: Clock) -> None:
    run = graphs.run(clock.store, {"a": []}, extra=Extra(flow={"timeout": 1.0}))
    clock.set_back()
    clock.comes_to("failed/run_timeout", lambda: graphs.statuses(clock.store, run)["a"])


def test_the_place_of_a_run_that_no_worker_serves(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "500ms")
    other = Driver(clock.store, "elsewhere", name="other")
    run = graphs.run(clock.store, {"a": []}, extra=Extra(flow={"concurrency": Concurrency("nightly", 1, "queue")}))
    until(lambda: other.swept() and clock.store.client.hexists(clock.store.session.keys("run", run), "unserved_since"))
    clock.set_back()
    until(lambda: other.swept() and clock.store.runs.require(run).ended, 10)
    other.close()


def test_a_place_in_a_queue_without_workers(clock: Clock) -> None:
    """It is given up after some seconds, for the next job of the semaphore."""
    nodes = {name: {"concurrency": Concurrency("db", 1)} for name in ("a", "b")}
    nodes["a"]["queue"] = "unserved"  # type: ignore[assignment]
    run = graphs.run(clock.store, {"a": [], "b": []}, extra=Extra(nodes=nodes))
    assert graphs.statuses(clock.store, run) == {"a": "queued", "b": "deferred/concurrency"}
    clock.set_back()
    clock.comes_to("queued", lambda: graphs.statuses(clock.store, run)["b"].partition("/")[0])


def test_a_rate_counts_what_began_while_the_clock_was_ahead_from_now_on(clock: Clock) -> None:
    for name in ("a", "b"):
        clock.create(name, rate_limit="|1|1500", semaphores="1 rate/reports")
    clock.driver.end(clock.driver.take())
    assert clock.status("b") == "rate_limited"
    clock.set_back()
    since = clock.store.now_ms()
    clock.comes_to("queued", lambda: clock.status("b").partition("/")[0])
    assert clock.store.now_ms() - since >= 1000, "it is not forgotten"


def test_the_callback_of_a_lost_execution(clock: Clock) -> None:
    clock.create(on_failure="tests.report|10")
    clock.driver.lose(clock.driver.take())
    clock.set_back()
    clock.driver.settle()
    keys = clock.store.session.keys
    latest = clock.store.now_ms() + 60_000
    assert clock.store.client.zcount(keys("callbacks", "default"), 0, latest) == 1


def test_a_retention(clock: Clock) -> None:
    run = graphs.run(clock.store, {"a": []}, extra=Extra(flow={"retention": 1.0}))
    clock.driver.end(clock.driver.take())
    clock.set_back()
    until(lambda: clock.driver.swept() and clock.store.runs.get(run) is None, 10)


def test_a_wait_from_before_is_not_begun_again(clock: Clock) -> None:
    """The clock is ahead for a while only: what had begun before, and is still waiting, ends when it would have."""
    clock.step(0)
    clock.create(retry="1|36000000|0|0")
    clock.driver.end(clock.driver.take(), "failed", retryable=True)
    due = clock.store.client.hget(clock.store.session.keys("job", "a"), "due")
    clock.step(AHEAD)
    clock.driver.settle()
    clock.set_back()
    clock.driver.settle()
    assert clock.store.client.hget(clock.store.session.keys("job", "a"), "due") == due
