"""The turns of a worker: what is due by the clock is done in time, whatever else ends the turns, and whatever the server refuses meanwhile."""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.exceptions import ServerError
from flowq.store import Store
from flowq.worker.options import WorkerOptions
from flowq.worker.signals import StopSignals
from flowq.worker.supervisor.store_calls import StoreCalls
from flowq.worker.supervisor.supervisor import Supervisor
from tests.support import invariants
from tests.support.server import PrivateServer
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, records, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for survivors in /proc")
NOISE = "touch begun; while :; do echo noise; sleep 0.02; done"


@pytest.fixture(scope="module")
def private() -> Iterator[PrivateServer]:
    server = PrivateServer().start()
    yield server
    server.stop()


def test_a_refusal_that_lasts_stops_no_clock(private: PrivateServer, tmp_path: Path) -> None:
    """One job cannot be prepared, for want of a right, and another one writes all the time: that one's time-out and lease are kept."""
    admin: Any = private.client()
    store = Store(private.client(), "flowq-test").open()
    admin.execute_command("ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all")
    log = tmp_path / "log"
    with (
        log.open("w") as opened,
        WorkerProcess(f"unix://worker:p@{private.socket}", "-c", "2", "--lease", "1", output=opened.fileno()),
    ):
        noisy = start(store, flow(node("noisy", script(NOISE), timeout=2.0, stop_grace=0.1)), tmp_path)
        until((tmp_path / "begun").exists)
        admin.execute_command("ACL", "SETUSER", "worker", "-getrange")  # only plans are read with it
        other = start(store, flow(node("other", script("true"))), tmp_path)
        (job,) = ended(store, noisy)
        assert (job.status, job.reason, job.attempt) == ("failed", "timeout", 1)
        assert [record.status for record in records(Store(admin, "flowq-test").open(), other)] == ["started"]
        admin.execute_command("ACL", "SETUSER", "worker", "+getrange")
        assert [record.status for record in ended(store, other)] == ["finished"]
    assert log.read_text().count("getrange") == 1
    invariants.check(store)


def test_a_command_that_cannot_be_read_is_carried_out_later(private: PrivateServer) -> None:
    """The hint is gone once it was read, so none comes again."""
    admin: Any = private.client()
    store = Store(private.client(), "flowq-test").open()
    admin.execute_command("ACL", "SETUSER", "worker", "on", ">p", "~*", "+@all")

    def refused() -> int:
        return int(admin.info("commandstats").get("cmdstat_hget", {}).get("rejected_calls", 0))

    with WorkerProcess(f"unix://worker:p@{private.socket}", "--name", "told") as worker:
        until(store.workers.live)
        admin.execute_command("ACL", "SETUSER", "worker", "-hget")
        before = refused()
        store.workers.command("told", "shutdown")
        until(lambda: not admin.exists(store.session.keys("call", "told")) and refused() > before)
        admin.execute_command("ACL", "SETUSER", "worker", "+hget")
        assert worker.wait() == 0
    invariants.check(store)


def test_a_pause_of_requests_moves_nothing_else(private: PrivateServer) -> None:
    store = Store(private.client(), "flowq-test").open()
    supervisor = Supervisor(store, WorkerOptions(("default",)), StopSignals())
    supervisor._fork_servers.renewal = math.inf
    now = time.monotonic()
    supervisor._refused(ServerError("no memory is left"))
    assert supervisor._next_due(now) == supervisor._quiet_until > now
    supervisor._ticked = now - 0.9  # the other turns since then were ended by events
    assert supervisor._next_due(now) == pytest.approx(now + 0.1)
    supervisor._fork_servers.renewal = now + 0.05
    assert supervisor._next_due(now) == now + 0.05
    supervisor._loop.close()


def test_a_call_that_is_refused_waits_alone() -> None:
    made: list[str] = []
    told: list[Exception] = []
    refusal = ServerError("no memory is left")

    def refused() -> None:
        made.append("refused")
        raise refusal

    calls = StoreCalls(told.append)
    assert calls.due == math.inf
    for _ in range(3):
        calls.make(refused)
        calls.make(lambda: made.append("other"))
    assert made == ["refused", "other", "other", "other"]
    assert calls.waits(refused)
    assert time.monotonic() < calls.due < time.monotonic() + 1
    until(lambda: time.monotonic() >= calls.due)
    calls.make(refused)
    assert made[4:] == ["refused"]
    assert told == [refusal, refusal]
