"""A repeated call changes nothing: every reply may be lost, also twice in a row."""

import os
import random
import signal
from collections.abc import Iterator
from typing import Any
from unittest.mock import ANY

import pytest

from flowq.connections.clients import open_client, open_store
from flowq.exceptions import ServerUnavailableError
from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.plan import RetryPolicy
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.client import session
from flowq.store.client.async_connection import WorkerConnection
from flowq.store.client.session import Session
from flowq.store.schema.outcomes import CacheReport
from flowq.store.schema.records import ResultRecord
from tests.support import graphs, invariants
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution
from tests.support.wait import until

SHOWN = '{"hit": false, "reason": "", "run": null}'
SHAPE: graphs.Shape = {"a": [], "m": ["a"], "b": ["m"], "tidy": {"m": "done"}, "alarm": {"b": "failure"}}


def story(store: Store, driver: Driver) -> dict[str, str]:
    """Submit, fail with retries, skip, retry the run, plain jobs, cancel; return the resulting statuses."""
    rng = random.Random(7)
    run = submit(store, graphs.plan(SHAPE, cells={"m": 3}, retry=RetryPolicy(1)), directory="/d", run_id="story000")
    failing = {"story000-1"}
    for attempt in (1, 2):
        held = []
        while True:
            driver.settle()
            held += [claim for claim in driver.step(claims=2).claims if claim is not None]
            if not held:
                break
            claim = held.pop(rng.randrange(len(held)))
            driver.end(claim, "failed" if claim.id in failing and attempt == 1 else "finished")
        if attempt == 1:
            assert str(store.runs.require(run).status) == "failed"
            retry.plan_retry(store, run).apply(store)
    second = submit(store, graphs.plan({"x": [], "y": ["x"]}), directory="/d", run_id="story001")
    claim = driver.take()
    store.runs.cancel(second)
    driver.settle()
    driver.end(claim, "failed")
    kept = [submit(store, graphs.plan({name: []}), directory="/d", run_id=f"story00{name}") for name in ("k", "h")]
    driver.step(execution(driver.take(), value=b"5", cache=CacheReport(SHOWN, "job", "digest", "{}", "{}")))
    driver.step(execution(taking := driver.take(), cache=CacheReport(SHOWN, "job", "digest", latest="{}")))
    assert store.jobs.result(taking.id) == ResultRecord("successful", 1, ANY, b"5", ANY, ANY)
    return {name: status for one in (run, second, *kept) for name, status in graphs.statuses(store, one).items()}


EXPECTED = {
    "a": "finished",
    "m[n=0]": "finished",
    "m[n=1]": "finished",
    "m[n=2]": "finished",
    "b": "finished",
    "tidy": "finished",
    "alarm": "skipped/upstream_finished",
    "x": "canceled/run_canceled",
    "y": "canceled/run_canceled",
    "k": "finished",
    "h": "finished/cached",
}


def test_every_call_made_twice_has_the_same_result(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first answer is dropped, and the caller gets the second one."""
    sent: set[str] = set()
    evaluate, transmit = Session._evaluate, WorkerConnection._transmit

    def twice(self: Session, script: Any, flat: Any, incarnation: str | None = None) -> Any:
        sent.add(script.name)
        evaluate(self, script, flat, incarnation)
        return evaluate(self, script, flat, incarnation)

    def transmit_twice(self: WorkerConnection, request: Any) -> None:
        sent.add(request.script.name)
        evaluate(self._session, request.script, request.arguments)
        transmit(self, request)

    monkeypatch.setattr(Session, "_evaluate", twice)
    monkeypatch.setattr(WorkerConnection, "_transmit", transmit_twice)
    assert story(store, Driver(store)) == EXPECTED
    assert {
        "run/upload_jobs",
        "run/publish",
        "worker/exchange",
        "worker/sweep",
        "run/upload_retry",
        "run/retry",
        "run/cancel",
    } <= sent


@pytest.fixture
def lossy(store: Store, server: PrivateServer, request: pytest.FixtureRequest) -> Iterator[tuple[Store, Proxy]]:
    proxy = Proxy(server.socket, request.param)
    other = Store(open_client(proxy.url), store.namespace)
    yield other, proxy
    other.close()
    proxy.close()


class PatientDriver(Driver):
    """A driver that reconnects like a worker: it sends the pending request again."""

    def reply(self) -> Any:
        while True:
            try:
                return super().reply()
            except ServerUnavailableError:
                self.link.reconnect()


LOSSES = {"every_second": lambda n: n % 2 == 0, "two_of_three": lambda n: n % 3 != 0, "every_fifth": lambda n: n % 5 == 0}


@pytest.mark.parametrize("lossy", LOSSES.values(), ids=LOSSES.keys(), indirect=True)
def test_lost_replies_change_nothing(lossy: tuple[Store, Proxy], store: Store) -> None:
    through, proxy = lossy
    assert story(through, PatientDriver(through)) == EXPECTED
    assert proxy.lost >= 10
    invariants.check(store)
    assert store.queues.registry_count("default", JobStatus.STARTED) == 0


def test_a_call_is_not_repeated_to_a_server_that_has_been_silent(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is stopped answers none of them: a command took three times as long to say so."""
    monkeypatch.setattr(session, "_REPEATED_WITHIN", 0.1)
    impatient = open_store(f"{server.url}?socket_timeout=0.3", follow=False)
    with impatient.client, server.client() as client:

        def asked() -> int:
            return sum(
                stats["calls"] for name, stats in client.info("commandstats").items() if "eval" in name or "fcall" in name
            )

        impatient.jobs.cancel("nothing")
        before = asked()
        os.kill(server.pid, signal.SIGSTOP)
        try:
            with pytest.raises(ServerUnavailableError):
                impatient.jobs.cancel("nothing")
        finally:
            os.kill(server.pid, signal.SIGCONT)
        until(lambda: asked() > before)
        assert asked() == before + 1
