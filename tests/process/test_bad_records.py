"""A worker meets records that are not what flowq wrote: it goes on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.flows.health import examine, read_facts
from flowq.plan import Plan
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

CORRUPT = [b"{not a plan", b"[]", b'{"version": 1}', b"\xff\xfe"]


@pytest.fixture(autouse=True)
def _clean(store: Store) -> Iterator[None]:
    """What these tests break on purpose is no finding of the invariants."""
    yield
    store.client.flushall()
    store.open()


def plan(**fields: object) -> Plan:
    return flow(node("a", script("true"), **fields))


def goes_on(store: Store, worker: WorkerProcess, directory: Path) -> None:
    """See that the worker executes another run after what it has met."""
    assert ended(store, start(store, plan(), directory))[0].status == "finished"
    assert worker.process.poll() is None


@pytest.mark.parametrize("text", CORRUPT)
def test_a_corrupt_plan(store: Store, server: PrivateServer, tmp_path: Path, text: bytes) -> None:
    run = start(store, plan(), tmp_path)
    store.client.set(store.session.keys("plan", run), text)
    with WorkerProcess(server.url) as worker:
        until(lambda: store.runs.require(run).ended)
        assert store.runs.require(run).status == "failed"
        assert b"cannot be read" in (store.runs.errors(run, [0])[0] or b"")
        goes_on(store, worker, tmp_path)


@pytest.mark.parametrize("name", ["junk", "no-number", "nowhere-0", "nowhere-99", "-1"])
def test_junk_in_the_decide_list(store: Store, server: PrivateServer, tmp_path: Path, name: str) -> None:
    store.client.zadd(store.session.keys("decide"), {name: 1})
    with WorkerProcess(server.url) as worker:
        goes_on(store, worker, tmp_path)


def test_what_was_set_aside_is_listed_by_doctor(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    store.client.zadd(store.session.keys("decide"), {"junk": 1})
    store.client.rpush(store.session.keys("outbox"), "rubbish")
    with WorkerProcess(server.url) as worker:
        until(lambda: len(store.workers.all_set_aside()) == 2)
        goes_on(store, worker, tmp_path)
    findings = [finding for finding in examine(read_facts(store, "here")) if finding.code == "D506"]
    assert [finding.text.partition(":")[0] for finding in findings] == [
        "a record was set aside (decide junk)",
        "a record was set aside (outbox rubbish)",
    ]


@pytest.mark.parametrize("field", ["attempt", "returns", "timeout", "status", "token", "index", "cell_of", "started_at"])
def test_letters_in_a_job(store: Store, server: PrivateServer, tmp_path: Path, field: str) -> None:
    run = start(store, plan(), tmp_path)
    store.client.hset(store.session.keys("job", f"{run}-0"), field, "letters")
    with WorkerProcess(server.url) as worker:
        goes_on(store, worker, tmp_path)


@pytest.mark.parametrize("field", ["attempt", "open", "created_at", "n:queued", "status", "outbox", "retention"])
def test_letters_in_a_run(store: Store, server: PrivateServer, tmp_path: Path, field: str) -> None:
    run = start(store, plan(), tmp_path)
    store.client.hset(store.session.keys("run", run), field, "letters")
    with WorkerProcess(server.url) as worker:
        goes_on(store, worker, tmp_path)
