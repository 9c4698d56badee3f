"""The turns of a worker: what is due by the clock is done in time, whatever else ends the turns, and whatever the server refuses meanwhile."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flowq.store import Store
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
        (job,) = ended(store, noisy, timeout=6)
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
