"""Processes that die between any two calls, before or after the server has executed one: the run still ends correctly.

The scenario is repeated for each of its calls: the caller dies there, the invariants hold at that moment, and another caller continues.
Scripts have small budgets, so that release, expansion and reset take many steps.
"""

from collections.abc import Callable
from typing import Any

import pytest

from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.plan import Concurrency, Plan, RetryPolicy
from flowq.store import Store
from flowq.store.client.async_connection import WorkerConnection
from flowq.store.client.session import Session
from tests.support import graphs, invariants
from tests.support.budgets import small_steps
from tests.support.graphs import Extra
from tests.support.run_driver import name_of
from tests.support.slot_driver import Driver

RUN = "killed00"
SHAPE: graphs.Shape = {"list": [], "each": ["list"], "m": [], "after": ["each", "m"], "tidy": {"each": "done"}}
EXTRA = Extra(
    foreach=["each"],
    handlers={"failure": {"page": []}, "success": {"cheer": []}, "exit": {"clean": []}},
    nodes={"each": {"max_parallel": 2}, "m": {"concurrency": Concurrency("db", 1)}},
    flow={"concurrency": Concurrency("nightly"), "timeout": 3600.0},
)
ITEMS = 5
DONE = {
    **dict.fromkeys(["list", "m[n=0]", "m[n=1]", "after", "tidy", "success/cheer", "exit/clean"], "finished"),
    **{f"each[{n}]": "finished" for n in range(ITEMS)},
    "failure/page": "skipped/not_selected",
}


class DiedError(Exception):
    """The simulated death of the process."""


class Deaths:
    """A simulation of the process's death at call number `at`, with the call executed or not."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at = -1
        self.carried_out = False
        self.calls: list[str] = []
        evaluate, transmit = Session._evaluate, WorkerConnection._transmit
        monkeypatch.setattr(Session, "_evaluate", self._around(evaluate))
        monkeypatch.setattr(WorkerConnection, "_transmit", self._around_link(evaluate, transmit))

    def arm(self, at: int, *, carried_out: bool) -> None:
        self.at, self.carried_out, self.calls = at, carried_out, []

    def _here(self, name: str) -> bool:
        self.calls.append(name)
        return len(self.calls) - 1 == self.at

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def evaluate(session: Session, script: Any, flat: Any, incarnation: str | None = None) -> Any:
            if not self._here(script.name):
                return call(session, script, flat, incarnation)
            if self.carried_out:
                call(session, script, flat, incarnation)
            raise DiedError

        return evaluate

    def _around_link(self, evaluate: Callable[..., Any], transmit: Callable[..., Any]) -> Callable[..., Any]:
        def send(link: WorkerConnection, request: Any) -> None:
            if not self._here(request.script.name):
                transmit(link, request)
                return
            if self.carried_out:
                evaluate(link._session, request.script, request.arguments)
            raise DiedError

        return send


def tell(store: Store) -> None:
    """Bring the run to its end, from any state: submitted, failed once, retried."""
    driver = Driver(store)
    driver.list_of = lambda _job: range(ITEMS)
    try:
        if store.runs.get(RUN) is None:
            plan = graphs.plan(SHAPE, cells={"m": 2}, extra=EXTRA, retry=RetryPolicy(9))
            submit(store, plan, directory="/d", run_id=RUN)
        execute(store, driver)
        if store.runs.require(RUN).attempt == 1:
            retry.plan_retry(store, RUN).apply(store)
        execute(store, driver)
    finally:
        driver.close()


def execute(store: Store, driver: Driver) -> None:
    plan = Plan.from_json(store.runs.plan(RUN))
    while not store.runs.require(RUN).ended:
        driver.settle()
        attempt = store.runs.require(RUN).attempt
        for claim in [claim for claim in driver.step(claims=3).claims if claim is not None]:
            fails = attempt == 1 and name_of(plan, claim) == "each[3]"
            driver.end(claim, "failed" if fails else "finished", retryable=False)


def bury(store: Store) -> None:
    """Let time pass, so that the leases of the dead process expire."""
    keys = store.session.keys
    for name in ("leases", "decide"):
        for member, _ in store.client.zscan_iter(keys(name)):
            store.client.zadd(keys(name), {member: 1})
    for timer, _ in store.client.zscan_iter(keys("timers")):
        if timer.startswith(b"collect|") and store.runs.get(RUN) is None:
            store.client.zadd(keys("timers"), {timer: 1})
    driver = Driver(store, name="janitor")
    driver.list_of = lambda _job: range(ITEMS)
    driver.settle()
    driver.close()


@pytest.mark.slow
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("budget", [100, 2])
def test_a_death_at_every_call(store: Store, monkeypatch: pytest.MonkeyPatch, budget: int, carried_out: bool) -> None:
    with small_steps(budget):
        deaths = Deaths(monkeypatch)
        tell(store)
        assert graphs.statuses(store, RUN) == DONE
        calls = list(deaths.calls)
        assert {
            "run/upload_jobs",
            "run/publish",
            "worker/sweep",
            "worker/exchange",
            "job/upload_foreach_items",
            "job/expand_foreach",
            "run/upload_retry",
            "run/retry",
        } <= set(calls)
        for at in range(len(calls)):
            store.client.flushall()
            store.open()
            deaths.arm(at, carried_out=carried_out)
            with pytest.raises(DiedError):
                tell(store)
            deaths.arm(-1, carried_out=False)
            invariants.check(store)
            bury(store)
            tell(store)
            assert graphs.statuses(store, RUN) == DONE, f"after a death at call {at} ({calls[at]})"
            record = store.runs.require(RUN)
            assert (record.status, record.attempt) == ("finished", 2)
            invariants.check(store)
            assert not [key for key in store.client.scan_iter() if b":holders:" in key or b":waiters:" in key]


@pytest.mark.parametrize("budget", [100, 1])
def test_every_call_made_twice_has_the_same_effect(store: Store, monkeypatch: pytest.MonkeyPatch, budget: int) -> None:
    """The first answer is lost, and the caller gets the second one."""
    evaluate, transmit = Session._evaluate, WorkerConnection._transmit

    def twice(session: Session, script: Any, flat: Any, incarnation: str | None = None) -> Any:
        evaluate(session, script, flat, incarnation)
        return evaluate(session, script, flat, incarnation)

    def transmit_twice(link: WorkerConnection, request: Any) -> None:
        evaluate(link._session, request.script, request.arguments)
        for job, _ in store.client.zscan_iter(store.session.keys("decide")):  # assigned, but the answer was lost: expire it
            store.client.zadd(store.session.keys("decide"), {job: 1}, xx=True)
        transmit(link, request)

    monkeypatch.setattr(Session, "_evaluate", twice)
    monkeypatch.setattr(WorkerConnection, "_transmit", transmit_twice)
    with small_steps(budget):
        tell(store)
    assert graphs.statuses(store, RUN) == DONE
    assert store.runs.require(RUN).attempt == 2
