"""Calls over connections of a pool without its client: none reads the reply of another one, and no connection is lost."""

import os
import random
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from flowq import ids
from flowq.store import Store
from flowq.store.client.direct_calls import DirectCalls
from flowq.store.client.short_wait import ShortWait
from flowq.store.schema.new_jobs import NewJob
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until


class AlarmError(Exception):
    """What the handler of the alarm raises."""


@contextmanager
def opened(
    path: str, store: Store, pool: type[redis.ConnectionPool] = redis.ConnectionPool, **settings: Any
) -> Iterator[Store]:
    """Open another store on the test's namespace; its connections have a name of their own."""
    connections = pool(connection_class=redis.UnixDomainSocketConnection, path=path, client_name=ids.nonce(), **settings)
    client = redis.Redis.from_pool(connections)
    yield Store(client, namespace=store.namespace).open()
    client.close()


@contextmanager
def alarmed(handler: Callable[[], None]) -> Iterator[None]:
    """Call the handler in the main thread when the alarm goes off."""
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def create(store: Store, name: str) -> str:
    return str(store.jobs.create(NewJob(name, "default", b"1", f"nonce-{name}", unique=True))[0])


def connections(store: Store) -> list[str]:
    """Return the ids of the store's connections."""
    client = store.session.client
    name = client.connection_pool.connection_kwargs["client_name"]
    return [row["id"] for row in client.client_list() if row["name"] == name]


def pool_to(path: str, pool: type[redis.ConnectionPool] = redis.ConnectionPool, **settings: Any) -> redis.ConnectionPool:
    return pool(connection_class=redis.UnixDomainSocketConnection, path=path, **settings)


@pytest.mark.parametrize("pool", [redis.ConnectionPool, redis.BlockingConnectionPool])
def test_any_number_of_clients_share_a_pool(store: Store, server: PrivateServer, pool: type[redis.ConnectionPool]) -> None:
    connections = pool_to(
        server.socket, pool, max_connections=8, **({"timeout": 5} if pool is not redis.ConnectionPool else {})
    )
    others = [Store(redis.Redis(connection_pool=connections), namespace=store.namespace).open() for _ in range(20)]
    assert [create(other, f"job{number}") for number, other in enumerate(others)] == ["done"] * 20
    connections.disconnect()


@pytest.mark.parametrize("protocol", [2, 3])
def test_as_many_threads_as_connections_also_make_calls_of_their_own(
    store: Store, server: PrivateServer, protocol: int
) -> None:
    with opened(server.socket, store, max_connections=8, protocol=protocol) as other:
        found: list[object] = []

        def work(number: int) -> None:
            found.append(create(other, f"job{number}"))
            found.append(other.client.blpop(["in", f"in{number}"], 20))

        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        until(lambda: store.client.info("clients")["blocked_clients"] == 8, message="all wait at once")
        for number in range(8):
            store.client.rpush(f"in{number}", b"x")
        for thread in threads:
            thread.join()
        assert found.count("done") == 8
        assert len(found) == 16


def test_a_pool_of_one_connection_is_enough(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, redis.BlockingConnectionPool, max_connections=1, timeout=5) as other:
        assert create(other, "first") == "done"
        assert other.jobs.get("first") is not None
        assert len(connections(other)) == 1


def test_many_threads_share_a_small_pool(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, redis.BlockingConnectionPool, max_connections=16, timeout=20) as other:
        outcomes: list[str] = []
        threads = [
            threading.Thread(target=lambda first=first: outcomes.extend(create(other, f"{first}-{n}") for n in range(20)))
            for first in range(24)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert outcomes == ["done"] * 480


def test_a_call_that_is_interrupted_leaves_no_reply_behind(store: Store, server: PrivateServer) -> None:
    hold, go = threading.Event(), threading.Event()

    def forward(client: socket.socket, data: bytes) -> None:
        if hold.is_set():
            hold.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.001)  # the reply is here, and is passed on after the alarm
            go.wait(20)
        client.sendall(data)

    def interrupt() -> None:
        raise AlarmError

    proxy = Proxy(server.socket, forward=forward)
    with alarmed(interrupt), opened(proxy.path, store, max_connections=8) as other:
        for number in range(5):  # the first calls sleep for their replies, and the others look for them
            assert create(other, f"before{number}") == "done"
        hold.set()
        with pytest.raises(AlarmError):
            create(other, "interrupted")
        go.set()
        assert str(other.jobs.cancel("unknown")) == "not_found"
        assert create(other, "after") == "done"
    proxy.close()


def test_a_signal_handler_can_call_meanwhile(store: Store, server: PrivateServer) -> None:
    hold, go = threading.Event(), threading.Event()
    outcomes: list[str] = []

    def forward(client: socket.socket, data: bytes) -> None:
        if hold.is_set():
            hold.clear()
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            go.wait(20)
        client.sendall(data)

    proxy = Proxy(server.socket, forward=forward)
    with opened(proxy.path, store, max_connections=8) as other:

        def call() -> None:
            outcomes.append(str(other.jobs.cancel("unknown")))
            go.set()

        with alarmed(call):
            create(other, "before")
            hold.set()
            assert create(other, "held") == "done"
        assert outcomes == ["not_found"]
        assert create(other, "after") == "done"
    proxy.close()


def test_a_call_that_is_interrupted_before_it_reads_leaves_no_reply_behind(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise AlarmError

    pool = pool_to(server.socket)
    calls = DirectCalls(redis.Redis(connection_pool=pool))
    with monkeypatch.context() as patch:
        patch.setattr(ShortWait, "await_readable", interrupted)
        with pytest.raises(AlarmError):
            calls.execute_command("DEBUG", "SLEEP", "0.02")  # its reply comes after the next command
    assert calls.execute_command("ECHO", "second") == b"second"
    pool.disconnect()


@pytest.mark.parametrize("seed", range(3))
def test_interrupts_at_any_moment_mix_up_no_replies_and_lose_no_connection(server: PrivateServer, seed: int) -> None:
    """The numbers of the moments are seeded; where they are in a call differs from one machine to the next."""
    moments = random.Random(seed)
    raises = False

    def interrupt() -> None:
        if raises:
            raise AlarmError

    pool = pool_to(server.socket, protocol=2, client_name=ids.nonce(), max_connections=2)
    calls = DirectCalls(redis.Redis(connection_pool=pool))
    calls.execute_command("PING")
    interrupts = number = 0
    with alarmed(interrupt):
        while interrupts < 300:
            try:
                raises = True
                signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.00002, 0.0005))
                for _ in range(20):
                    number += 1
                    assert calls.execute_command("ECHO", str(number)) == str(number).encode()
                raises = False
            except AlarmError:
                raises = False
                interrupts += 1
    with server.client() as client:
        name = pool.connection_kwargs["client_name"]
        until(lambda: sum(row["name"] == name for row in client.client_list()) <= 1, message="no connection is left open")
    first, second = pool.get_connection(), pool.get_connection()  # both that are allowed are there
    pool.release(first)
    pool.release(second)
    pool.disconnect()


def test_a_fork_does_not_use_the_connection_of_its_parent(server: PrivateServer) -> None:
    pool = pool_to(server.socket)
    calls = DirectCalls(redis.Redis(connection_pool=pool))
    own = calls.execute_command("CLIENT", "ID")
    pid = os.fork()
    if not pid:
        os._exit(0 if calls.execute_command("CLIENT", "ID") > own else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert calls.execute_command("CLIENT", "ID") == own
    pool.disconnect()


def test_a_reply_that_others_have_left_unread_is_not_taken(server: PrivateServer) -> None:
    pool = pool_to(server.socket)
    connection: Any = pool.get_connection()
    connection.send_command("ECHO", "of another one")
    until(connection.can_read)
    pool.release(connection)
    assert DirectCalls(redis.Redis(connection_pool=pool)).execute_command("ECHO", "own") == b"own"
    pool.disconnect()


@pytest.mark.parametrize("closed_by", ["the server", "the pool"])
def test_a_connection_that_was_closed_meanwhile_is_made_again(store: Store, server: PrivateServer, closed_by: str) -> None:
    with opened(server.socket, store, max_connections=8) as other, server.client() as client:
        assert create(other, "before") == "done"
        if closed_by == "the pool":
            other.client.connection_pool.disconnect()
        else:
            for number in connections(other):
                client.client_kill_filter(_id=number)
        assert create(other, "after") == "done"
        assert len(connections(other)) == 1


def test_a_connection_that_another_thread_closes_meanwhile_is_lost(
    server: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = pool_to(server.socket)
    calls = DirectCalls(redis.Redis(connection_pool=pool))
    calls.execute_command("PING")
    with monkeypatch.context() as patch:
        patch.setattr(redis.UnixDomainSocketConnection, "check_health", lambda _: pool.disconnect())  # before it writes
        with pytest.raises(redis.ConnectionError, match="another thread"):
            calls.execute_command("ECHO", "first")
    assert calls.execute_command("ECHO", "second") == b"second"
    pool.disconnect()


@pytest.mark.skipif(not hasattr(redis.Connection, "mark_for_reconnect"), reason="this redis-py follows no server that moves")
def test_a_connection_whose_server_moves_is_closed_after_the_call(server: PrivateServer) -> None:
    pool = pool_to(server.socket)
    calls = DirectCalls(redis.Redis(connection_pool=pool))
    before = calls.execute_command("CLIENT", "ID")
    connection: Any = pool.get_connection()
    connection.mark_for_reconnect()
    pool._available_connections.append(connection)  # as if the news came with the reply
    assert calls.execute_command("CLIENT", "ID") == before
    assert calls.execute_command("CLIENT", "ID") > before
    pool.disconnect()


def test_a_program_that_observes_a_client_later_sees_its_calls(store: Store, server: PrivateServer) -> None:
    seen: list[object] = []
    with opened(server.socket, store) as other:
        client: Any = other.client
        assert create(other, "before") == "done"
        original = client.execute_command

        def observed(*command: Any, **options: Any) -> Any:
            seen.append(command[0])
            return original(*command, **options)

        client.execute_command = observed
        assert create(other, "after") == "done"
        assert seen
