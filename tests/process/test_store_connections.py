"""A server that answers with errors: workers do not reconnect, and log the error once. One that does not answer at all is asked again."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from flowq.connections.clients import open_store
from flowq.store import Store
from flowq.store.client import async_connection
from flowq.worker.supervisor.connections import StoreConnections
from flowq.worker.supervisor.event_loop import Loop
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for survivors in /proc")
OWN = 3  # connections that a worker makes for its event loop


@pytest.fixture
def private() -> Iterator[PrivateServer]:
    server = PrivateServer()
    yield server
    server.stop()


def connections(client: redis.Redis) -> int:
    return int(client.info("stats")["total_connections_received"])


def test_refusals_cost_no_connections_and_one_line(
    private: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    private.start()
    with private.client() as client:
        store = Store(client, namespace="flowq-test").open()
        text = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        run = start(store, flow(node("a", script(text))), tmp_path)
        with WorkerProcess(private.url):
            until((tmp_path / "begun").exists)
            client.config_resetstat()
            client.config_set("min-replicas-to-write", 1)
            (tmp_path / "go").touch()

            def refusals() -> int:
                return int(client.info("errorstats").get("errorstat_NOREPLICAS", {}).get("count", 0))

            until(lambda: refusals() >= 4, message="some refused requests")
            assert connections(client) == 0
            client.config_set("min-replicas-to-write", 0)
            assert ended(store, run)[0].status == "finished"
            assert refusals() < 12  # in the two seconds that four of the first kind take
    said = [line for line in capfd.readouterr().err.splitlines() if "too few replicas" in line]
    assert len(said) == 1, said


def test_a_worker_waits_for_a_server_that_loads_its_data(
    private: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    keys, delay = 2000, 1000  # together 2 s of loading
    private.start("--key-load-delay", str(delay), "--loading-process-events-interval-bytes", "1024", appendonly=True)
    with private.client() as client:
        store = Store(client, namespace="flowq-test").open()
        with client.pipeline(transaction=False) as pipe:
            for number in range(keys):
                pipe.set(f"ballast-{number}", "x" * 100)
            pipe.execute()
        client.bgrewriteaof()
        until(lambda: client.info("persistence")["aof_rewrite_in_progress"] == 0, message="the data to be rewritten")
        text = f"touch {tmp_path}/begun; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
        plan = flow(node("a", script(text)), node("b", script(f"touch {tmp_path}/end")), edges={"b": {"a": "success"}})
        start(store, plan, tmp_path)
    with WorkerProcess(private.url, "--lease", "30"):
        until((tmp_path / "begun").exists)
        private.kill9()
        (tmp_path / "go").touch()
        private.restart(wait=False)
        until((tmp_path / "end").exists, timeout=20, message="the flow to go on")
        with private.client() as client:
            assert connections(client) <= 3 * OWN
    log = capfd.readouterr().err.splitlines()
    assert len([line for line in log if "is still loading" in line]) == 1
    assert len(log) < 15


def test_pauses_grow_while_connections_are_made_and_lost(
    private: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    private.start()
    losing, losses = threading.Event(), list[float]()

    def lose(_number: int) -> bool:
        if losing.is_set():
            losses.append(time.monotonic())
        return losing.is_set()

    proxy = Proxy(private.socket, lose)
    try:
        store = Store(private.client(), namespace="flowq-test").open()
        with WorkerProcess(proxy.url):
            ended(store, start(store, flow(node("a", script("true"))), tmp_path))
            losing.set()
            until(lambda: len(losses) >= 6, message="some attempts")
            assert losses[5] - losses[0] > 0.7  # half of 50, 100, 200, 400 and 800 ms
            losing.clear()
            assert ended(store, start(store, flow(node("b", script("true"))), tmp_path))[0].status == "finished"
    finally:
        proxy.close()
    log = [line.partition(" ")[2] for line in capfd.readouterr().err.splitlines()]
    reasons = [line for line in log if "; reconnecting" in line]
    assert reasons
    assert len(reasons) == len(set(reasons))
    assert log.count("the server can be used again") == 1


def test_pauses_are_short_beside_the_lease(private: PrivateServer, tmp_path: Path) -> None:
    """A worker that comes back long after the server has hardly time to renew its leases, and its silence moves those of lost workers."""
    private.start()
    losing = threading.Event()
    proxy = Proxy(private.socket, lambda _number: losing.is_set())
    try:
        store = Store(private.client(), namespace="flowq-test").open()
        with WorkerProcess(proxy.url, "--lease", "1"):
            ended(store, start(store, flow(node("a", script("true"))), tmp_path))
            losing.set()
            until(
                lambda: proxy.lost >= 15, timeout=6, message="many attempts"
            )  # with pauses of up to 2 s they take 10 s at least
    finally:
        proxy.close()


@pytest.fixture
def mute(private: PrivateServer) -> Iterator[tuple[Proxy, threading.Event]]:
    """A proxy that swallows all replies while the event is set, and closes nothing: so does a host that is gone."""
    private.start()
    silent = threading.Event()

    def forward(client: socket.socket, data: bytes) -> None:
        if not silent.is_set():
            client.sendall(data)

    proxy = Proxy(private.socket, forward=forward)
    yield proxy, silent
    proxy.close()


class Connected:
    """The connections of a worker without the worker, and what has arrived by them."""

    def __init__(self, store: Store) -> None:
        self.loop = Loop()
        self.arrived: list[str] = []
        self.connections = StoreConnections(self.loop, store.link("w", 10.0), store.waiter("w"), store.waiter("w"))
        self.connections.on_reply = lambda _reply: self.arrived.append("reply")
        self.connections.on_hint = self.arrived.append
        self.connections.connect()

    def turn(self) -> bool:
        """Go on for a moment, as a worker does; return whether the connections stand."""
        self.connections.arm(["default"])
        self.loop.turn(0.01)
        self.connections.tick()
        return self.connections.online


def test_a_waiter_whose_other_end_is_gone_is_connected_again(
    private: PrivateServer,
    mute: tuple[Proxy, threading.Event],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has asked, and nothing comes any more, not even that there was nothing: a job that is queued then has to wait for it."""
    monkeypatch.setattr(async_connection, "_WAIT", 1)
    monkeypatch.setattr(async_connection, "_LATE", 0.2)
    proxy, silent = mute
    store = open_store(proxy.url, "flowq-test")
    worker = Connected(store)
    worker.turn()
    silent.set()
    until(lambda: not worker.turn(), message="the loss to be noticed")
    silent.clear()
    until(worker.turn, message="the connections")
    with private.client() as client:
        client.rpush(store.session.keys("wake", "default"), "default")
    until(lambda: worker.turn() and worker.arrived == ["default"], message="the hint")
    worker.connections.close()
    store.close()
    assert "has brought no answer for too long" in caplog.text


def test_a_request_whose_answer_never_comes_is_sent_again_over_another_connection(
    mute: tuple[Proxy, threading.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(async_connection, "_SILENCE", 0.5)
    proxy, silent = mute
    store = open_store(f"{proxy.url}?socket_timeout=0.5", "flowq-test")
    worker = Connected(store)
    silent.set()
    worker.connections.send(lambda link: link.sweep())
    until(lambda: not worker.turn(), message="the loss to be noticed")
    assert worker.arrived == []
    silent.clear()
    until(lambda: worker.turn() and worker.arrived == ["reply"], message="the reply")
    worker.connections.close()
    store.close()


def test_an_answer_that_comes_in_parts_is_waited_for(private: PrivateServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of its parts comes in time; all of it takes longer."""
    monkeypatch.setattr(async_connection, "_SILENCE", 0.5)
    private.start()
    pause = threading.Event()

    def in_parts(client: socket.socket, data: bytes) -> None:
        for number in range(len(data)):
            client.sendall(data[number : number + 1])
            if pause.is_set():
                threading.Event().wait(0.05)  # the slow network is the input of the test

    proxy = Proxy(private.socket, forward=in_parts)
    store = open_store(proxy.url, "flowq-test")
    worker = Connected(store)
    pause.set()
    worker.connections.send(lambda link: link.sweep())
    begun = time.monotonic()
    while worker.arrived == []:
        assert worker.turn()
    assert time.monotonic() - begun > 0.5
    pause.clear()
    worker.connections.close()
    store.close()
    proxy.close()
