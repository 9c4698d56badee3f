"""Outages of the server longer than a lease, of every kind: running jobs continue and their ends count; dead workers are detected."""

import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flowq.plan import RetryPolicy
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, script, start

LEASE = 1.5
WORKER = ("--lease", str(LEASE))
AWAY = 3 * LEASE  # s

Away = Callable[[PrivateServer, float], None]


def last(seconds: float) -> None:
    """Let an outage last; its duration is the input of the test."""
    select.select((), (), (), seconds)


def restarted(server: PrivateServer, seconds: float) -> None:
    server.kill9()
    last(seconds)
    server.restart()


def frozen(server: PrivateServer, seconds: float) -> None:
    os.kill(server.pid, signal.SIGSTOP)
    last(seconds)
    os.kill(server.pid, signal.SIGCONT)


def paused(server: PrivateServer, seconds: float) -> None:
    with server.client() as client:
        client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
    last(seconds)


def demoted(server: PrivateServer, seconds: float) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        last(seconds)
        client.execute_command("REPLICAOF", "NO", "ONE")


def full(server: PrivateServer, seconds: float) -> None:
    with server.client() as client:
        client.config_set("maxmemory", "1")
        last(seconds)
        client.config_set("maxmemory", "0")


def forbidden(server: PrivateServer, seconds: float) -> None:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-rpush")
        last(seconds)
        client.execute_command("ACL", "SETUSER", "default", "+rpush")


OUTAGES = [restarted, frozen, paused, demoted, full, forbidden]


@pytest.fixture
def server() -> Iterator[PrivateServer]:
    own = PrivateServer().start(appendonly=True)
    yield own
    own.stop()


@pytest.fixture
def store(server: PrivateServer) -> Iterator[Store]:
    opened = Store(server.client(), namespace="flowq-test")
    opened.open()
    yield opened
    opened.close()


def lines(path: Path) -> int:
    return len(path.read_text().splitlines()) if path.exists() else 0


def at_work(store: Store, count: int) -> bool:
    """Return whether that many workers have sent heartbeats, and so have started."""
    return sum(worker.beat_ms > worker.started_ms for worker in store.workers.live()) == count


@pytest.mark.slow
@pytest.mark.parametrize("outage", OUTAGES)
def test_a_job_survives_an_outage(server: PrivateServer, store: Store, tmp_path: Path, outage: Away) -> None:
    """One job ends meanwhile, one afterwards. An idle worker runs too, which would take them over if their leases expired."""
    durations = {"meanwhile": AWAY / 2, "afterwards": AWAY + LEASE}
    jobs = {
        name: script(f"echo >> {tmp_path}/{name}; sleep {duration}; echo one=1 > $FLOWQ_OUTPUT")
        for name, duration in durations.items()
    }
    run = start(store, flow(*(node(name, job, retry=RetryPolicy(3)) for name, job in jobs.items())), tmp_path)
    with WorkerProcess(server.url, *WORKER, "--slots", "2"):
        until(lambda: all(lines(tmp_path / name) == 1 for name in jobs))
        with WorkerProcess(server.url, *WORKER):
            until(lambda: at_work(store, 2))
            outage(server, AWAY)
            found = ended(store, run)
    assert [(record.status, record.attempt) for record in found] == [("finished", 1)] * 2
    assert [lines(tmp_path / name) for name in jobs] == [1, 1]


@pytest.mark.slow
def test_a_dead_worker_is_detected_one_lease_after_the_last_of_several_outages(
    server: PrivateServer, store: Store, tmp_path: Path
) -> None:
    job = script(f"echo >> {tmp_path}/begun; [ $FLOWQ_ATTEMPT = 2 ] || sleep 60")
    run = start(store, flow(node("a", job, retry=RetryPolicy(1))), tmp_path)
    with WorkerProcess(server.url, *WORKER) as first:
        until(lambda: lines(tmp_path / "begun") == 1)
        with WorkerProcess(server.url, *WORKER):
            until(lambda: at_work(store, 2))
            first.process.kill()
            for outage in (restarted, frozen, restarted, paused):
                outage(server, LEASE)
            over = time.monotonic()
            assert [(item.status, item.attempt) for item in ended(store, run)] == [("finished", 2)]
            assert time.monotonic() - over < 2.5 * LEASE, "one lease, the next sweep and the second attempt"


@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of a job in /proc")
@pytest.mark.slow
def test_a_machine_sleeps_and_wakes(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    """The server, the worker, its fork servers and the job stop at once, for longer than a lease, and go on."""
    os.mkfifo(tmp_path / "go")  # the shell waits in it without a process of its own, which could end before it is stopped
    job = script(f"echo >> {tmp_path}/begun; read go < {tmp_path}/go; echo one=1 > $FLOWQ_OUTPUT")
    run = start(store, flow(node("a", job, retry=RetryPolicy(3))), tmp_path)
    with WorkerProcess(server.url, *WORKER) as worker:
        until(lambda: lines(tmp_path / "begun") == 1)
        processes = [server.pid, *survivors(worker.mark)]
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        last(AWAY)
        for pid in processes:
            os.kill(pid, signal.SIGCONT)
        until(lambda: at_work(store, 1))
        (tmp_path / "go").write_text("\n")
        (record,) = ended(store, run)
    assert (record.status, record.attempt) == ("finished", 1)
    assert lines(tmp_path / "begun") == 1


def test_an_end_that_a_full_server_has_not_taken_does_not_count(server: PrivateServer, store: Store, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    job = script(f"echo >> {tmp_path}/begun; read go < {tmp_path}/go; echo one=1 > $FLOWQ_OUTPUT")
    run = start(store, flow(node("a", job)), tmp_path)
    with WorkerProcess(server.url, *WORKER), server.client() as client:
        until(lambda: lines(tmp_path / "begun") == 1)
        client.config_set("maxmemory", "1")
        (tmp_path / "go").write_text("\n")
        until(lambda: store.workers.live()[0].working_ms > 0, message="a heartbeat that knows of the end")
        assert store.workers.live()[0].finished == 0
        client.config_set("maxmemory", "0")
        assert [record.status for record in ended(store, run)] == ["finished"]
        until(lambda: store.workers.live()[0].finished == 1, message="a heartbeat that counts it")
