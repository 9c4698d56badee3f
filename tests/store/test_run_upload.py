"""Submission of runs in many pipelined chunks: whatever happens to them, the run is stored completely or not at all."""

import json
import os
from collections.abc import Iterator

import pytest

from flowq import ids
from flowq.connections.clients import open_client
from flowq.exceptions import DataLostError
from flowq.flows.actions.submit import run_fields, staged_jobs, submit
from flowq.plan import Plan
from flowq.store import Store, run_upload
from flowq.store.run_upload import StagedJob, as_rows
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs, invariants
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver

JOBS = 1250  # thirteen chunks
WIDE = graphs.plan({f"j{number}": [f"j{number - 1}"] if number % 100 else [] for number in range(JOBS)})


def send(store: Store, run: str, rows: Iterator[StagedJob], *, nonce: str = "nonce", plan: Plan = WIDE) -> Outcome:
    fields = run_fields(plan, local=False, queue_prefix="", labels={})
    return store.runs.submit(run, nonce, rows, plan=plan.to_json().encode(), directory="/d", fields=fields)


def all_there(store: Store, run: str) -> None:
    record = store.runs.require(run)
    assert record.total == record.open == JOBS
    assert Plan.from_json(store.runs.plan(run)) == WIDE
    Driver(store).settle()
    assert store.queues.count("default") == 13
    assert None not in store.runs.jobs(run, range(JOBS))
    invariants.check(store)


@pytest.mark.parametrize("lost", [{2}, {3, 4}, {5, 6, 9, 10}, set(range(2, 40, 2))], ids=str)
def test_replies_are_lost_while_other_requests_are_pending(store: Store, server: PrivateServer, lost: set[int]) -> None:
    proxy = Proxy(server.socket, lambda number: number in lost)
    through = Store(open_client(proxy.url), store.namespace)
    try:
        run = submit(through, WIDE, directory="/d")
        assert proxy.lost
    finally:
        through.close()
        proxy.close()
    all_there(store, run)


def test_the_scripts_are_flushed_during_the_upload(store: Store) -> None:
    def rows() -> Iterator[StagedJob]:
        for row in staged_jobs(WIDE, run):
            if row.ordinal in (555, 900):
                store.client.script_flush()
            yield row

    run = ids.run_id()
    assert send(store, run, rows()) is Outcome.DONE
    all_there(store, run)


def test_the_data_is_flushed_during_the_upload(store: Store) -> None:
    def rows() -> Iterator[StagedJob]:
        for row in staged_jobs(WIDE, run):
            if row.ordinal == 700:
                store.client.flushall()
            yield row

    run = ids.run_id()
    with pytest.raises(DataLostError, match="was lost"):
        send(store, run, rows())
    assert store.runs.get(run) is None
    assert not list(store.client.scan_iter(f"*{run}*"))


def test_a_chunk_out_of_its_turn_is_refused(store: Store) -> None:
    run = ids.run_id()
    rows = as_rows(list(staged_jobs(WIDE, run))[:10])
    assert store.session.run("run/upload_jobs", run, "nonce", 1, rows, b"{") == [b"wrong_state"]
    assert not list(store.client.scan_iter(f"*{run}*"))
    assert store.session.run("run/upload_jobs", run, "nonce", 0, rows, b"{") == [b"done"]
    assert store.session.run("run/upload_jobs", run, "nonce", 2, rows, b"}") == [b"wrong_state"]
    assert store.session.run("run/upload_jobs", run, "nonce", 1, rows, b"}") == [b"done"]
    assert store.session.run("run/upload_jobs", run, "nonce", 1, rows, b"}") == [b"duplicate"]
    assert store.runs.plan(run) == b"{}"
    store.client.zadd(store.session.keys("timers"), {f"collect|{run}": 1})
    Driver(store).settle()
    assert not list(store.client.scan_iter(f"*{run}*"))


class GaveUp(Exception):
    """The simulated death of the submitter."""


def test_connections_are_returned_without_unread_replies(server: PrivateServer, namespace: str) -> None:
    def dies() -> Iterator[StagedJob]:
        for row in staged_jobs(WIDE, run):
            if row.ordinal == 1000:
                raise GaveUp
            yield row

    client = open_client(server.url)
    client.connection_pool.max_connections = 2
    store = Store(client, namespace)
    run = ids.run_id()
    for _ in range(5):
        with pytest.raises(GaveUp):
            send(store, run, dies())
        assert send(store, run, staged_jobs(WIDE, run), nonce="another") is Outcome.CONFLICT
        assert client.ping() is True  # not the reply to a chunk
    assert send(store, run, staged_jobs(WIDE, run)) is Outcome.DONE
    all_there(store, run)
    store.close()


def test_a_job_with_very_many_children(store: Store) -> None:
    count = 5000
    fan = graphs.plan({"root": [], **{f"j{number}": ["root"] for number in range(count)}})
    run = submit(store, fan, directory="/d")
    record = store.runs.require(run)
    assert record.open == record.total == count + 1
    children = store.client.lrange(store.session.keys("children", f"{run}-0"), 0, -1)
    assert children == [f"{run}-{number}|success".encode() for number in range(1, count + 1)]
    driver = Driver(store)
    claim = driver.take()
    driver.end(claim, "finished")
    driver.settle()
    assert store.queues.count("default") == count


@pytest.mark.parametrize("size", [10, 699, 700, 701, 5000])
def test_a_stored_plan_is_read_back_unchanged(store: Store, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(run_upload, "_PIECE", 700)
    monkeypatch.setattr(run_upload, "_READ_AT_ONCE", 350)
    fan = graphs.plan({"a": []})
    stored = json.dumps({"it": os.urandom(size).hex()}).encode()  # incompressible
    run = ids.run_id()
    rows = staged_jobs(fan, run)
    fields = run_fields(fan, local=False, queue_prefix="", labels={})
    assert store.runs.submit(run, "nonce", rows, plan=stored, directory="/d", fields=fields) is Outcome.DONE
    assert store.runs.plan(run) == stored
