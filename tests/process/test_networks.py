"""A network that is slow, late or full: nothing happens twice, no answer meets another question, and workers go on."""

import random
import resource
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from flowq.connections.clients import open_store
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from tests.support.proxy import Proxy
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

WAITING = "touch begun; until [ -e go ]; do sleep 0.01; done"
MANY = 10_000


@pytest.fixture
def proxies(server: PrivateServer) -> Iterator[Callable[..., Proxy]]:
    with ExitStack() as stack:

        def make(forward: Callable[[socket.socket, bytes], object]) -> Proxy:
            proxy = Proxy(server.socket, forward=forward)
            stack.callback(proxy.close)
            return proxy

        yield make


@pytest.fixture
def private() -> Iterator[PrivateServer]:
    server = PrivateServer()
    yield server
    server.stop()


def byte_by_byte(client: socket.socket, data: bytes) -> None:
    for number in range(len(data)):
        client.sendall(data[number : number + 1])


def late(client: socket.socket, data: bytes) -> None:
    threading.Event().wait(random.Random(data).uniform(0, 0.1))  # the delay is the input of the test
    client.sendall(data)


@pytest.mark.parametrize("how", [byte_by_byte, late])
def test_replies_that_come_slowly(
    store: Store, proxies: Callable[..., Proxy], tmp_path: Path, how: Callable[..., None]
) -> None:
    proxy = proxies(how)
    remote = open_store(proxy.url, store.namespace)
    jobs = [node(f"j{number}", script(f"echo {number} >> {tmp_path}/lines")) for number in range(5)]
    edges = {f"j{number}": {"j0": "success"} for number in range(1, 4)} | {
        "j4": {f"j{number}": "success" for number in (1, 2, 3)}
    }
    with WorkerProcess(proxy.url, "--slots", "2"):
        run = start(remote, flow(*jobs, edges=edges), tmp_path)
        found = ended(remote, run)
    assert [(record.status, record.attempt, record.execution) for record in found] == [("finished", 1, 1)] * 5
    lines = (tmp_path / "lines").read_text().split()
    assert (lines[0], sorted(lines), lines[-1]) == ("0", list("01234"), "4")
    remote.close()


def test_a_late_reply_meets_no_other_request(store: Store, proxies: Callable[..., Proxy]) -> None:
    """The request is given up after 0.3 s; its reply comes when others have been sent."""
    hold, given_up, sent = threading.Event(), threading.Event(), threading.Event()

    def forward(client: socket.socket, data: bytes) -> None:
        if hold.is_set():
            hold.clear()
            given_up.wait(20)
        client.sendall(data)
        sent.set()

    remote = open_store(f"{proxies(forward).url}?socket_timeout=0.3", store.namespace)
    hold.set()
    assert remote.jobs.create(NewJob("first", "default", b"1", "n1", unique=True))[0] == "duplicate", (
        "it was sent again over another connection"
    )
    sent.clear()
    given_up.set()
    for number in range(5):
        assert remote.jobs.create(NewJob(f"job{number}", "default", b"1", f"n{number}x", unique=True))[0] == "done"
        record = remote.jobs.get(f"job{number}")
        assert record is not None
        assert record.id == f"job{number}"
        assert abs(remote.now_ms() - store.now_ms()) < 60_000
    assert sent.wait(5)
    remote.close()


def test_a_worker_whose_wait_is_cut_takes_the_next_job(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    with WorkerProcess(server.url), server.client() as client:
        for _ in range(4):
            waiting = until(
                lambda: [row["id"] for row in client.client_list() if row["cmd"] == "blpop"], message="a waiting worker"
            )
            for number in waiting:
                client.client_kill_filter(_id=number)
            run = start(store, flow(node("a", script("true"))), tmp_path)
            assert [record.status for record in ended(store, run, timeout=10)] == ["finished"]


def test_no_connection_is_left_for_a_while(private: PrivateServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    private.start()
    with private.client() as client:
        store = Store(client, namespace="flowq-test").open()
        run = start(store, flow(node("a", script(WAITING)), node("b", script("true")), edges={"b": {"a": "success"}}), tmp_path)
        with WorkerProcess(private.url, "--lease", "20"):
            until((tmp_path / "begun").exists)
            client.config_set("maxclients", 1)
            for row in client.client_list():
                if row["name"].endswith(tuple("0123456789")) and row["name"].startswith("flowq-"):
                    client.client_kill_filter(_id=row["id"])
            (tmp_path / "go").touch()
            refused = client.info("stats")["rejected_connections"]
            said = ""

            def told() -> bool:  # not by each attempt: the server may hang up before the request is sent
                nonlocal said
                said += capfd.readouterr().err
                return "no connection left" in said and client.info("stats")["rejected_connections"] >= refused + 4

            until(told, 20, "some refused connections, and their reason")
            client.config_set("maxclients", 1000)
            assert [(record.status, record.attempt) for record in ended(store, run)] == [("finished", 1)] * 2
    lines = (said + capfd.readouterr().err).splitlines()
    assert sum("no connection left" in line for line in lines) == 1, lines
    assert len(lines) < 12, lines


@pytest.mark.slow
def test_a_worker_among_ten_thousand_connections(private: PrivateServer, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < MANY + 1000:
        pytest.skip(f"no more than {hard} descriptors are allowed here")
    private.start("--maxclients", str(MANY + 500))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MANY + 1000, hard))
    try:
        with ExitStack() as stack:
            for _ in range(MANY):
                one = stack.enter_context(socket.socket(socket.AF_UNIX))
                one.connect(private.socket)
            store = Store(private.client(), namespace="flowq-test").open()
            assert store.client.info("clients")["connected_clients"] > MANY
            with WorkerProcess(private.url, inherit=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))):
                run = start(store, flow(node("a", script("true"))), tmp_path)
                assert [record.status for record in ended(store, run)] == ["finished"]
            store.close()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
