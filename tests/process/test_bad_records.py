"""A worker meets records that are not what flowq wrote: it sets each aside with a sentence in its log, goes on, and `flowq doctor` lists it."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq import ids
from flowq.flows.health import examine, read_facts
from flowq.plan import Plan
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

CORRUPT = [b"{not a plan", b"[]", b'{"version": 1}', b"\xff\xfe"]
SOON = time.time() * 1000 + 3_600_000.0

PLACES: dict[str, tuple[str, float]] = {
    "queue:default": ("job {}", 0),
    "leases": ("lease {}", 1),
    "timers": ("timer {}", 1),
    "decide": ("decide {}", 1),
    "callbacks:default": ("callback {}", 1),
    "webhooks": ("webhook {}", 1),
    "ttls:default": ("ttl default {}", SOON),
    **{
        f"registry:{status}:default": (f"{status} default {{}}", SOON)
        for status in (
            "started",
            "scheduled",
            "deferred",
            "rate_limited",
            "finished",
            "failed",
            "stopped",
            "canceled",
            "skipped",
        )
    },
}
"""Where a name is written, with which score, and how the worker calls it."""


def nothing(_store: Store, name: str) -> str:
    """Write no record."""
    return name


def another_type(store: Store, name: str) -> str:
    """Write a list where a hash belongs."""
    for kind in ("job", "webhook"):
        store.client.rpush(store.session.keys(kind, name), "no hash")
    return name


def another_status(store: Store, name: str) -> str:
    """Write a job without a legal status."""
    store.client.hset(store.session.keys("job", name), mapping={"status": "nonsense", "queue": "default", "nonce": "n"})
    store.client.hset(store.session.keys("webhook", name), "timeout", "nonsense")
    return name


KINDS: dict[str, Callable[[Store, str], str]] = {
    "junk": nothing,
    "a|b:c\nd": nothing,
    "1:n|letters": nothing,
    "a list": another_type,
    "nonsense": another_status,
}
HARMLESS = {("1:n|letters", "callbacks:default")}  # a job that was deleted before its callback was called


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


def listed(store: Store) -> list[str]:
    """Return what `flowq doctor` says of records that were set aside."""
    return [finding.text for finding in examine(read_facts(store, "here")) if finding.code == "D506"]


@pytest.mark.parametrize("name", KINDS)
def test_junk_at_any_place(
    store: Store, server: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    KINDS[name](store, name)
    places = {place: said for place, said in PLACES.items() if (name, place) not in HARMLESS}
    for place, (_, score) in places.items():
        store.client.zadd(store.session.keys.prefix + place, {name: score})
    store.client.rpush(store.session.keys("outbox"), name)
    names = sorted([*(said.format(name) for said, _ in places.values()), f"outbox {name}"])
    with WorkerProcess(server.url) as worker:
        until(lambda: len(listed(store)) >= len(names), message="all to be set aside")
        goes_on(store, worker, tmp_path)
        told = ""

        def logged() -> bool:
            nonlocal told
            told += capfd.readouterr().err
            return told.count("`flowq doctor` lists it") >= len(names)

        until(logged, message="a sentence for each")
    assert sorted(text.split("(", 1)[1].rpartition("): ")[0] for text in listed(store)) == names
    assert all(f"a record was set aside ({said}): " in told for said in names)
    assert "Traceback" not in told
    for place in places:
        assert store.client.zscore(store.session.keys.prefix + place, name) is None


@pytest.mark.parametrize("key", ["queue:other", "registry:scheduled:default", "registry:failed:default", "worker:gone"])
def test_a_structure_of_another_type(store: Store, server: PrivateServer, tmp_path: Path, key: str) -> None:
    store.client.set(store.session.keys.prefix + key, "a string")
    store.client.zadd(store.session.keys("workers"), {"gone": 1})
    with WorkerProcess(server.url, "other", "default") as worker:
        goes_on(store, worker, tmp_path)
        until(lambda: [text for text in listed(store) if "WRONGTYPE" in text])


def test_a_job_with_another_status_leaves_its_queue_with_a_sentence(
    store: Store, server: PrivateServer, tmp_path: Path
) -> None:
    store.jobs.create(NewJob("spoiled", "default", b"x", ids.nonce()))
    store.client.hset(store.session.keys("job", "spoiled"), "status", "rubbish")
    with WorkerProcess(server.url) as worker:
        goes_on(store, worker, tmp_path)
    assert listed(store) == [
        "a record was set aside (job spoiled): it is queued by its entry, and rubbish by its record",
    ]


@pytest.mark.parametrize("text", CORRUPT)
def test_a_corrupt_plan(store: Store, server: PrivateServer, tmp_path: Path, text: bytes) -> None:
    run = start(store, plan(), tmp_path)
    store.client.set(store.session.keys("plan", run), text)
    with WorkerProcess(server.url) as worker:
        until(lambda: store.runs.require(run).ended)
        assert store.runs.require(run).status == "failed"
        assert b"cannot be read" in (store.runs.errors(run, [0])[0] or b"")
        goes_on(store, worker, tmp_path)


@pytest.mark.parametrize("name", ["no-number", "nowhere-0", "nowhere-99", "-1"])
def test_junk_in_the_decide_list(store: Store, server: PrivateServer, tmp_path: Path, name: str) -> None:
    store.client.zadd(store.session.keys("decide"), {name: 1})
    with WorkerProcess(server.url) as worker:
        goes_on(store, worker, tmp_path)


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
