"""The migration of old data to the current schema: in bounded steps, by several clients, with clients that die between two steps."""

import threading
from typing import Any

import pytest
import redis

from flowq.store import Store
from tests.support.server import PrivateServer
from tests.upgrade.copies import Client, OldData, contents
from tests.upgrade.place import NAMESPACE, SIGNED

STEP = 40  # keys per step
META = f"{{{NAMESPACE}}}:meta"


@pytest.fixture(scope="module")
def old_data() -> OldData:
    return OldData.read()


@pytest.fixture
def migrated(old_data: OldData, redis_client: redis.Redis) -> dict[str, Any]:
    """Return the result of an undisturbed migration, after restoring the old data on the server."""
    old_data.restore(redis_client)
    for namespace in (NAMESPACE, SIGNED):
        Store(redis_client, namespace).open()
    found = contents(redis_client)
    old_data.restore(redis_client)
    return found


def opened(client: redis.Redis) -> dict[str, Any]:
    for namespace in (NAMESPACE, SIGNED):
        Store(client, namespace).open()
    return contents(client)


def steps_of(client: redis.Redis) -> int:
    one, steps = Client(client, NAMESPACE, STEP), 1
    while one.step():
        steps += 1
    return steps


def test_a_migration_that_stops_after_any_step_is_continued(
    old_data: OldData, migrated: dict[str, Any], redis_client: redis.Redis
) -> None:
    steps = steps_of(redis_client)
    assert steps > 5
    for done in range(steps + 1):
        old_data.restore(redis_client)
        dead = Client(redis_client, NAMESPACE, STEP)
        for _ in range(done):
            dead.step()
        assert (redis_client.hget(META, "migration") is None) == (done >= steps)
        assert opened(redis_client) == migrated, f"it died after step {done}"


def test_clients_take_turns(old_data: OldData, migrated: dict[str, Any], redis_client: redis.Redis) -> None:
    one, other = Client(redis_client, NAMESPACE, STEP), Client(redis_client, NAMESPACE, STEP)
    assert one.migrates
    assert other.migrates
    shared = 1
    while one.step() and other.step():
        shared += 2
    old_data.restore(redis_client)
    assert shared <= steps_of(redis_client) + 1, "they share one walk"
    assert opened(redis_client) == migrated


def test_many_clients_open_at_once(
    old_data: OldData, migrated: dict[str, Any], redis_client: redis.Redis, server: PrivateServer
) -> None:
    seen: list[int] = []

    def client() -> None:
        with server.client() as own:
            store = Store(own, NAMESPACE).open()
            seen.append(sum(b"origin" in own.hgetall(key) for key in own.scan_iter(f"{{{NAMESPACE}}}:job:*")))
            assert store.queues.count("later") > 0

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [0] * 6, "none goes on before all is migrated"
    assert opened(redis_client) == migrated


@pytest.mark.parametrize("done", [1, 3])
def test_the_server_restarts_meanwhile(old_data: OldData, migrated: dict[str, Any], done: int) -> None:
    server = PrivateServer().start("--appendfsync", "always", appendonly=True)
    try:
        with server.client() as client:
            old_data.restore(client)
            dead = Client(client, NAMESPACE, STEP)
            for _ in range(done):
                assert dead.step()
            before = client.hget(META, "migration")
        server.kill9()
        server.restart()
        with server.client() as client:
            assert client.hget(META, "migration") == before
            assert dead.step(), "the walk begins again: a cursor of another process of the server is worth nothing"
            after = client.hget(META, "migration")
            assert after is not None
            assert before is not None
            assert after.split()[0] != before.split()[0]
            assert opened(client) == migrated
    finally:
        server.stop()


def test_a_second_opening_changes_nothing(migrated: dict[str, Any], redis_client: redis.Redis) -> None:
    assert opened(redis_client) == migrated
    incarnation = redis_client.hget(META, "incarnation")
    assert opened(redis_client) == migrated
    assert redis_client.hget(META, "incarnation") == incarnation
