"""A server that answers with errors: workers do not reconnect, and log the error once."""

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from flowq.store import Store
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
    losing = threading.Event()
    proxy = Proxy(private.socket, lambda _number: losing.is_set())
    try:
        store = Store(private.client(), namespace="flowq-test").open()
        with WorkerProcess(proxy.url):
            ended(store, start(store, flow(node("a", script("true"))), tmp_path))
            losing.set()
            until(lambda: proxy.lost >= 1)
            before = time.monotonic()
            until(lambda: proxy.lost >= 6, message="some attempts")
            assert time.monotonic() - before > 0.7  # half of 50, 100, 200, 400 and 800 ms
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
