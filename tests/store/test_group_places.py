"""The place of a run in its concurrency group when no worker serves the run: it is given back, and a worker that is there keeps it."""

import pytest

from flowq.plan import Action, Concurrency
from flowq.store import Store
from tests.support import graphs, invariants
from tests.support.graphs import Extra
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver
from tests.support.wait import until


def grouped(**flow: object) -> Extra:
    handlers: dict[str, dict[str, list[str]]] = {"failure": {"page": []}, "exit": {"clean": []}}
    return Extra(flow={"concurrency": Concurrency("nightly", 1, "queue"), **flow}, handlers=handlers)


def status_of(store: Store, run: str) -> str:
    return str(store.runs.require(run).status)


@pytest.fixture
def other(store: Store) -> Driver:
    """A worker of another queue, which sweeps."""
    return Driver(store, "elsewhere", name="other")


def look_until_it_ends(store: Store, other: Driver, run: str) -> None:
    until(lambda: other.swept() and store.runs.require(run).ended, timeout=20)


def test_a_run_without_a_worker_gives_its_place_back(store: Store, other: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "500ms")
    lost = graphs.run(store, {"a": [], "b": ["a"]}, extra=grouped())
    second = graphs.run(store, {"a": []}, extra=grouped())
    assert (status_of(store, lost), status_of(store, second)) == ("running", "queued")
    look_until_it_ends(store, other, lost)
    assert status_of(store, lost) == "failed"
    assert graphs.statuses(store, lost) == {
        "a": "failed/run_timeout",
        "b": "skipped/upstream_failed",
        "failure/page": "failed/run_timeout",
        "exit/clean": "failed/run_timeout",
    }
    assert status_of(store, second) == "running"
    invariants.check(store)


def test_a_worker_that_is_there_keeps_the_place(
    store: Store, other: Driver, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "300ms")
    store.workers.register(driver.registration)
    run = graphs.run(store, {"a": []}, extra=grouped())
    begun = store.now_ms()
    until(lambda: driver.beat() == [] and other.swept() and store.now_ms() > begun + 1000)
    assert status_of(store, run) == "running"
    assert Drive(store, driver, run, slots=1).to_the_end() == ["a", "exit/clean"]
    assert status_of(store, run) == "finished"
    assert store.session.client.zscore(store.session.keys("timers"), f"place|{run}") is None


def test_a_retry_after_a_lost_run_waits_again(
    store: Store, other: Driver, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowq.flows.actions import retry

    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "200ms")
    lost = graphs.run(store, {"a": []}, extra=grouped())
    look_until_it_ends(store, other, lost)
    store.workers.register(driver.registration)
    retry.plan_retry(store, lost).apply(store)
    assert Drive(store, driver, lost, slots=1).to_the_end() == ["a", "exit/clean"]
    assert status_of(store, lost) == "finished"


def test_the_timeout_of_a_run_without_a_worker_gives_its_place_back(
    store: Store, other: Driver, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "2s")
    store.workers.register(driver.registration)
    run = graphs.run(store, {"a": [], "b": []}, extra=grouped(timeout=0.3))
    claim = driver.take()
    until(lambda: other.swept() and graphs.statuses(store, run)["b"] == "failed/run_timeout")
    assert status_of(store, run) == "running", "the worker that executes a job of it lives"
    driver.lose(claim)
    store.workers.leave(driver.registration.name, driver.registration.nonce)
    look_until_it_ends(store, other, run)
    assert set(graphs.statuses(store, run).values()) == {"failed/run_timeout"}


def test_a_run_that_waits_for_a_person_keeps_its_place(store: Store, other: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_KEEP_PLACE", "300ms")
    nodes = {"ask": {"action": Action("approval", message={"$": "'Go?'"}), "timeout": None}}
    run = graphs.run(store, {"ask": []}, extra=Extra(nodes=nodes, flow={"concurrency": Concurrency("nightly", 1, "queue")}))
    other.settle()
    begun = store.now_ms()
    until(lambda: other.swept() and store.now_ms() > begun + 1000)
    assert graphs.statuses(store, run) == {"ask": "deferred/approval"}
    assert status_of(store, run) == "running"
