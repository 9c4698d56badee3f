"""Orphaned runs: which have no worker, and which only have none yet."""

from pathlib import Path

from flowq.flows.actions import retry
from flowq.flows.actions.submit import submit
from flowq.flows.views.orphans import orphaned
from flowq.store import Store
from tests.support import graphs
from tests.support.slot_driver import Driver


def test_a_run_is_not_orphaned_while_its_worker_starts(store: Store, driver: Driver, tmp_path: Path) -> None:
    made = graphs.plan({"a": [], "b": ["a"]})
    run = submit(store, made, directory=tmp_path, local=True)
    record = store.session.keys("run", run)
    for field in ("created_at", "started_at"):
        assert orphaned(store, [run]) == [], field
        store.client.hincrby(record, field, -2_000)
        assert orphaned(store, [run]) == [run], field
        store.client.hincrby(record, field, 2_000)
        if field == "created_at":
            for outcome in ("finished", "failed"):
                driver.queues = [f"{run}/default"]
                driver.end(driver.take(), outcome)
                driver.settle()
            retry.plan_retry(store, run).apply(store)
    driver.take()
    assert orphaned(store, [run]) == [run], "a job of it was begun, so its worker was there"
