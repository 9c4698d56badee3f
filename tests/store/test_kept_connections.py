"""Each thread keeps a connection for its calls, and no call reads the reply of another one."""

import os
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
from flowq.store.client.kept_connections import KeptConnections
from flowq.store.client.session import packed
from flowq.store.client.short_wait import ShortWait
from flowq.store.jobs import NewJob
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer


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
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def create(store: Store, name: str) -> str:
    return str(store.jobs.create(NewJob(name, "default", b"1", f"nonce-{name}", unique=True))[0])


def connections(store: Store) -> list[str]:
    """Return the ids of the store's connections."""
    client = store.session.client
    name = client.connection_pool.connection_kwargs["client_name"]
    return [row["id"] for row in client.client_list() if row["name"] == name]


@pytest.mark.parametrize(("allowed", "seen"), [(7, 1), (8, 2)], ids=["a small pool", "a larger one"])
def test_a_thread_keeps_one_connection_where_enough_are_left(
    store: Store, server: PrivateServer, allowed: int, seen: int
) -> None:
    with opened(server.socket, store, max_connections=allowed) as other:
        assert [create(other, f"job{number}") for number in range(3)] == ["done"] * 3
        assert len(connections(other)) == seen, "what is read goes over a connection of the pool"


def test_a_pool_of_one_connection_is_enough(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, redis.BlockingConnectionPool, max_connections=1, timeout=5) as other:
        assert create(other, "first") == "done"
        assert other.jobs.get("first") is not None
        assert len(connections(other)) == 1


def test_the_connection_of_a_thread_goes_back_at_its_end(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, max_connections=16) as other:
        outcomes: list[str] = []
        for number in range(6):
            thread = threading.Thread(target=lambda number=number: outcomes.append(create(other, f"job{number}")))
            thread.start()
            thread.join()
        assert outcomes == ["done"] * 6
        assert len(connections(other)) <= 2


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


def test_a_call_that_is_interrupted_before_it_reads_leaves_no_reply_behind(server: PrivateServer) -> None:
    class Interrupted(ShortWait):
        def await_readable(self, _fd: int) -> None:
            raise AlarmError

    pool = redis.ConnectionPool(connection_class=redis.UnixDomainSocketConnection, path=server.socket, max_connections=8)
    kept = KeptConnections(pool)
    first = kept.take()
    with pytest.raises(AlarmError):
        first.ask(packed("ECHO", "first"), Interrupted())
    kept.give_back(first)
    second = kept.take()
    assert second is first
    assert second.ask(packed("ECHO", "second"), ShortWait()) == b"second"
    kept.give_back(second)
    pool.disconnect()


def test_a_fork_does_not_use_the_connection_of_its_parent(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, max_connections=8) as other:
        assert create(other, "before") == "done"
        pid = os.fork()
        if not pid:
            os._exit(len(connections(other)) if create(other, "child") == "done" else 0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3, "the parent's, the child's, and one to look"
        assert create(other, "after") == "done"


def test_a_server_that_hangs_up_is_called_again(store: Store, server: PrivateServer) -> None:
    with opened(server.socket, store, max_connections=8) as other, server.client() as client:
        assert create(other, "before") == "done"
        for number in connections(other):
            client.client_kill_filter(_id=number)
        assert create(other, "after") == "done"
