"""Migration of schema 1 to schema 2: all fields, in short steps, before the first read or write."""

from collections.abc import Mapping
from typing import Any

import pytest
import redis

from flowq import Job, Queue, signing
from flowq.exceptions import DataLostError, SchemaVersionError, ServerError
from flowq.store import Store
from flowq.store.client import session
from flowq.store.client.scripts import load
from flowq.store.schema.job_fields import field_of
from tests.support.server import PrivateServer

NAMESPACE = "old"
META = "{old}:meta"
LONGEST = 0.05  # s of the server's CPU that one step may take

JOB = {  # every field of a job that schema 2 changes: as stored by schema 1, and migrated
    ("origin", "default"): ("queue", "default"),
    ("sems", "2 job/a\n0 rate/b"): ("semaphores", "2 job/a\n0 rate/b"),
    ("base_sems", "2 cells/r-1"): ("base_semaphores", "2 cells/r-1"),
    ("limit", "1||"): ("rate_limit", "1||"),
    ("ff", "1"): ("fail_fast", "1"),
    ("gff", "1"): ("group_fail_fast", "1"),
    ("excuse", "1"): ("allow_failure", "1"),
    ("kids", "1"): ("has_dependents", "1"),
    ("refs", "3"): ("open_dependents", "3"),
    ("freed", "1"): ("parents_released", "1"),
    ("ends", "failed|0|7;"): ("earlier_ends", "failed|0|7;"),
    ("why", "run_timeout"): ("cancel_reason", "run_timeout"),
    ("uncalled", "2"): ("pending_callbacks", "2"),
    ("at", "1795911090000"): ("not_before", "1795911090000"),
    ("wait", "60000"): ("approval_timeout", "60000"),
    ("if", "1"): ("needs_evaluation", "1"),
    ("c:origin", "default"): ("cell:queue", "default"),
    ("c:ff", "1"): ("cell:fail_fast", "1"),
    ("c:retry", "1|0|0|0"): ("cell:retry", "1|0|0|0"),
    ("g:finished", "5"): ("cells:finished", "5"),
    ("timeout", "180.0"): ("timeout", "180000"),
    ("on_success", "work.add|60"): ("on_success", "work.add|60000"),
    ("on_failure", "work.add|0.5"): ("on_failure", "work.add|500"),
    ("on_stopped", "work.add|1.5e+06"): ("on_stopped", "work.add|1500000000"),
    ("status", "deferred"): ("status", "deferred"),
    ("ttl", "30000"): ("ttl", "30000"),
}
RUN = {  # likewise for a run
    ("sem", "run/a"): ("semaphore", "run/a"),
    ("max", "1"): ("max_runs", "1"),
    ("next", "arm"): ("next_walk", "arm"),
    ("h:early", "1"): ("handlers:early", "1"),
    ("h:exit", "2"): ("handlers:exit", "2"),
    ("n:finished", "5"): ("jobs:finished", "5"),
    ("x:failed", "1"): ("expired:failed", "1"),
    ("fades", "0 5000"): ("expiry_times", "0 5000"),
    ("fade", "2"): ("expiry_step", "2"),
    ("fade_from", "100"): ("expiry_cursor", "100"),
    ("reset", "n1"): ("retry_nonce", "n1"),
    ("reset_chunks", "3"): ("retry_chunks", "3"),
    ("reset_done", "n0"): ("retry_applied", "n0"),
    ("timeout", "5000"): ("timeout", "5000"),
    ("total", "6"): ("total", "6"),
}


def old_namespace(client: redis.Redis) -> None:
    client.hset(META, mapping={"schema": "1", "incarnation": "of schema 1", "created": 1, "back": 7})


@pytest.fixture
def client(redis_client: redis.Redis) -> redis.Redis:
    """A server with an empty namespace of schema 1."""
    old_namespace(redis_client)
    return redis_client


def migrate(client: redis.Redis) -> Store:
    store = Store(client, NAMESPACE).open()
    assert client.hget(META, "schema") == b"2"
    assert client.hget(META, "migration") is None
    assert client.hget(META, "back") == b"7"
    return store


def texts(row: Mapping[Any, Any]) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in row.items()}


# -- the form ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "fields"), [("job:a", JOB), ("run:a", RUN)])
def test_each_field(client: redis.Redis, key: str, fields: dict[tuple[str, str], tuple[str, str]]) -> None:
    client.hset(f"{{old}}:{key}", mapping=dict(fields.keys()))
    client.pexpire(f"{{old}}:{key}", 60_000)
    migrate(client)
    assert texts(client.hgetall(f"{{old}}:{key}")) == dict(fields.values())
    assert 0 < client.pttl(f"{{old}}:{key}") <= 60_000


def test_migrated_fields_are_declared() -> None:
    assert [name for name, _ in JOB.values() if field_of(name) is None] == []
    assert [name for name, _ in JOB if field_of(name) is not None] == [
        *("timeout", "on_success", "on_failure", "on_stopped", "status", "ttl")
    ]


@pytest.mark.one_server
def test_groups_and_everything_else(client: redis.Redis) -> None:
    client.hset("{old}:group:album", mapping={"n:finished": 2, "n:queued": 1, "open": 1})
    others = ("{old}:group-like:a", "{old}:worker:a", "{old}:cron:a", "{older}:job:a", "old:job:a", "job:a")
    for key in others:
        client.hset(key, mapping={"origin": "x", "at": "1", "n:x": "1"})
    client.rpush("{old}:job:list", "a list where a job would be")
    migrate(client)
    assert texts(client.hgetall("{old}:group:album")) == {"jobs:finished": "2", "jobs:queued": "1", "open": "1"}
    for key in others:
        assert texts(client.hgetall(key)) == {"origin": "x", "at": "1", "n:x": "1"}


@pytest.mark.parametrize(
    ("timeout", "stored"), [("180", "180000"), ("0.0001", "1"), ("-1", "-1"), ("-1.0", "-1"), ("3153600000.0", "3153600000000")]
)
def test_timeouts(client: redis.Redis, timeout: str, stored: str) -> None:
    client.hset("{old}:job:a", mapping={"origin": "default", "status": "queued", "timeout": timeout})
    record = migrate(client).jobs.get("a")
    assert record is not None
    assert record.fields["timeout"] == stored


@pytest.mark.parametrize("timeout", [60, 0, 0.5, 0.123457, 1e-05, 90.25, 1234567, 3153600000])
def test_signatures_stay_valid(client: redis.Redis, timeout: float) -> None:
    callback = f"work.add|{timeout:g}"
    client.hset(
        "{old}:job:a", mapping={"origin": "default", "status": "queued", "on_success": callback, "on_stopped": callback}
    )
    record = migrate(client).jobs.get("a")
    assert record is not None
    assert signing.payload_context("a", record.fields) == ("call of job", "a", "", callback, "", callback, "")


# -- clients ---------------------------------------------------------------------------------------------------------------


def test_data_is_migrated_before_the_first_read(client: redis.Redis) -> None:
    client.hset("{old}:job:a", mapping={"origin": "elsewhere", "status": "queued", "timeout": "30"})
    job = Job.fetch("a", Store(client, NAMESPACE))
    assert (job.origin, job.timeout) == ("elsewhere", 30)


def test_data_is_migrated_before_the_first_pipeline(client: redis.Redis) -> None:
    queue = Queue("default", Store(client, NAMESPACE))
    with client.pipeline() as pipe:
        queue.enqueue_many([Queue.prepare_data("time.time", job_id="a")], pipeline=pipe)
        pipe.execute()
    assert client.hget(META, "schema") == b"2"
    assert client.hget("{old}:job:a", "queue") == b"default"


def test_an_earlier_version_is_refused(client: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(session, "SCHEMA", "1")
        worker, producer = Store(client, NAMESPACE, follow=False).open(), Store(client, NAMESPACE).open()
        assert client.hget(META, "schema") == b"1", "it leaves the data as they are"
    migrate(client)
    meta = client.hgetall(META)
    monkeypatch.setattr(session, "SCHEMA", "1")
    with pytest.raises(
        DataLostError, match="was taken over by a newer flowq: it has schema 2 now, this flowq works with schema 1"
    ):
        worker.workers.claim("old-worker", ["default"], 10)
    with pytest.raises(SchemaVersionError, match="has schema 2, this flowq works with schema 1: a newer flowq wrote it"):
        producer.queues.resume()
    with pytest.raises(SchemaVersionError, match="has schema 2"):
        Store(client, NAMESPACE).open()
    assert client.hgetall(META) == meta


@pytest.mark.parametrize(
    ("schema", "remedy"),
    [
        *((schema, "a newer flowq wrote it: upgrade this one, or use another namespace") for schema in ("3", "10")),
        *((schema, "use the flowq version that wrote it, or use another namespace") for schema in ("0", "x", "")),
    ],
)
def test_other_schemas_are_not_migrated(client: redis.Redis, schema: str, remedy: str) -> None:
    client.hset(META, "schema", schema)
    before = client.hgetall(META)
    with pytest.raises(SchemaVersionError, match=f"has schema {schema}, this flowq works with schema 2: {remedy}"):
        Store(client, NAMESPACE).open()
    assert client.hgetall(META) == before


def test_a_namespace_without_a_schema(client: redis.Redis) -> None:
    client.hdel(META, "schema", "incarnation")
    with pytest.raises(SchemaVersionError, match="has schema none, this flowq works with schema 2"):
        Store(client, NAMESPACE).open()


def test_a_later_version_takes_over_during_the_migration(client: redis.Redis) -> None:
    """A client of this version must not touch the migration of a later one."""
    old = session.Session(client, NAMESPACE)
    _, incarnation, *_ = old._send(load("namespace/open"), ["2", "mine"])
    client.hset(META, mapping={"schema": "3", "incarnation": "of schema 3", "migration": "x 17"})
    with pytest.raises(DataLostError, match="it has schema 3 now"):
        old._migrate(incarnation.decode())
    assert client.hget(META, "migration") == b"x 17"


def test_data_is_flushed_during_the_migration(client: redis.Redis) -> None:
    old = session.Session(client, NAMESPACE)
    _, incarnation, *_ = old._send(load("namespace/open"), ["2", "mine"])
    client.flushall()
    with pytest.raises(DataLostError, match="is gone"):
        old._migrate(incarnation.decode())
    assert Store(client, NAMESPACE).open().session.incarnation not in {"", "mine"}


@pytest.mark.parametrize("command", ["info", "scan"])
def test_a_user_who_may_not_migrate(client: redis.Redis, server: PrivateServer, command: str) -> None:
    client.acl_setuser("limited", enabled=True, nopass=True, keys=["*"], commands=["+@all", f"-{command}"])
    before = client.hgetall(META)
    try:
        with server.client(username="limited", password="x") as limited:
            with pytest.raises(ServerError, match=r"does not allow this user what flowq needs: .* needs INFO and SCAN"):
                Store(limited, NAMESPACE).open()
            assert client.hgetall(META) == before
            migrate(client)
            assert Store(limited, NAMESPACE).open().session.incarnation
    finally:
        client.acl_deluser("limited")


# -- steps -----------------------------------------------------------------------------------------------------------------


PLAIN = """status finished origin default nonce 6ad94aa47ffcf67a5f80dd49 created_at 1795921538705 pending 0 timeout 180.0
    failure_ttl 31536000000 enqueued_at 1795921538705 token 1-d8b3f4a8e353c0cd417d7a92 attempt 1 worker vm.26371.d33879 refs 0 freed 1
    started_at 1795921539092 outcome finished exit_code 0 ended_at 1795921539143 on_success work.add|60"""
CELL = """status deferred origin default run manyjobs pending 1 kids 1 ff 1 gff 1 cell_of 7 sems 4_cells/manyjobs-7 retry 2|1000|0|0
    excuse 1 if 1"""


def test_the_steps_are_short(client: redis.Redis) -> None:
    pipe = client.pipeline(transaction=False)
    for number in range(10_000):
        pipe.hset(f"{{old}}:job:{number:032x}", items=PLAIN.split())
        pipe.hset(f"{{old}}:job:manyjobs-{number}", items=CELL.split())
    pipe.execute()
    one = session.Session(client, NAMESPACE)
    _, incarnation, *_ = one._send(load("namespace/open"), ["2", "mine"])
    changed, more, longest = 0, 1, 0.0
    while more:
        before = cpu(client)
        did, more = one._send(load("namespace/migrate"), [str(session._KEYS_PER_STEP)], incarnation.decode())
        longest = max(longest, cpu(client) - before)
        changed += did
    assert changed == 20_000
    assert longest < LONGEST, f"one step took {longest * 1000:.1f} ms"


def cpu(client: redis.Redis) -> float:
    """Return the CPU seconds of the server, which do not depend on the load of the machine."""
    info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])
