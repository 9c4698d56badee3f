"""Fork servers that do not answer: stop signals end their worker, its jobs go back at once, and what hangs is not imported ahead again."""

import signal
import sys
import time
from pathlib import Path

import pytest

from flowq.flows.explain.queue_state import read_queue_state
from flowq.flows.explain.why import explain
from flowq.flows.views.snapshot import read_view
from flowq.store import Store
from tests.support.server import PrivateServer
from tests.support.supervisor_stub import survivors
from tests.support.wait import until
from tests.support.workers import WorkerProcess, ended, flow, node, records, script, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for survivors in /proc")
APART = 1.1  # s between stop signals that are not the same one
SOON = 2.0  # s; a lease is 10 s, the limit of a fork server 10 s or 60 s

BLOCKS = """
import os, select
open(os.environ["BEGUN"], "w").close()
select.select((), (), (), 600)
"""
BLOCKS_FORKS = """
import os, select
FORKS, SERVER = [], os.getpid()
def block():
    if os.getpid() == SERVER and len(FORKS) >= int(os.environ["FREE"]):
        open(os.environ["BEGUN"], "w").close()
        select.select((), (), (), 600)
    FORKS.append(1)
os.register_at_fork(before=block)
"""


class Stuck(WorkerProcess):
    """A worker whose fork server hangs: from its start, or from a fork on."""

    def __init__(self, url: str, directory: Path, source: str, *arguments: str, free: int = 0) -> None:
        (directory / "stuck.py").write_text(source)
        self.begun = directory / "begun"
        env = {"PYTHONPATH": str(directory), "BEGUN": str(self.begun), "FREE": str(free)}
        super().__init__(url, "--preload", "stuck", *arguments, env=env)

    def stop(self, signals: int) -> float:
        """Send stop signals, the later ones together; return the time of the last."""
        send_stop(self)
        first = time.monotonic()
        until(lambda: time.monotonic() > first + APART)
        for _ in range(signals - 1):
            send_stop(self)
        return time.monotonic()


def send_stop(worker: WorkerProcess) -> None:
    """Send SIGTERM and wait until it was delivered: two that are pending are one."""
    worker.signal(signal.SIGTERM)
    status = Path(f"/proc/{worker.process.pid}/status")
    until(lambda: "ShdPnd:\t" + 16 * "0" in status.read_text())


@pytest.mark.parametrize("signals", [2, 3])
@pytest.mark.parametrize("source", [BLOCKS, BLOCKS_FORKS], ids=["import", "fork"])
def test_a_job_without_a_process_goes_back_at_a_stop(
    store: Store, server: PrivateServer, tmp_path: Path, source: str, signals: int
) -> None:
    run = start(store, flow(node("a", script("true"))), tmp_path)
    with Stuck(server.url, tmp_path, source) as worker:
        until(lambda: worker.begun.exists() and records(store, run)[0].status == "started")
        last = worker.stop(signals)
        assert worker.wait() == 0
        assert time.monotonic() - last < SOON
        until(lambda: not survivors(worker.mark), timeout=SOON)
    job = records(store, run)[0]
    assert (job.status, job.attempt) == ("queued", 0)


@pytest.mark.parametrize("signals", [2, 3])
def test_a_running_job_of_a_fork_server_that_hangs_goes_back_at_a_stop(
    store: Store, server: PrivateServer, tmp_path: Path, signals: int
) -> None:
    hides = "trap '' TERM INT; setsid sleep 60 & sleep 60"
    run = start(store, flow(node("a", script(f"touch {tmp_path}/runs; {hides}"))), tmp_path)
    with Stuck(server.url, tmp_path, BLOCKS_FORKS, free=1) as worker:
        until(lambda: worker.begun.exists() and (tmp_path / "runs").exists())
        last = worker.stop(signals)
        assert worker.wait() == 0
        assert time.monotonic() - last < SOON
        until(lambda: not survivors(worker.mark), timeout=SOON)
    job = records(store, run)[0]
    assert (job.status, job.attempt) == ("queued", 0)


@pytest.mark.parametrize("free", [0, 1])
@pytest.mark.parametrize("source", [BLOCKS, BLOCKS_FORKS], ids=["import", "fork"])
def test_a_fork_server_that_hangs_ends_with_its_killed_worker(
    store: Store, server: PrivateServer, tmp_path: Path, source: str, free: int
) -> None:
    start(store, flow(node("a", script("exec sleep 60"))), tmp_path)
    with Stuck(server.url, tmp_path, source, free=free) as worker:
        until(worker.begun.exists)
        worker.signal(signal.SIGKILL)
        worker.wait()
        until(lambda: not survivors(worker.mark), timeout=SOON)


def test_three_stops_at_once_end_the_worker_of_a_run_and_its_jobs_go_back(
    store: Store, server: PrivateServer, tmp_path: Path
) -> None:
    jobs = [node(name, script(f"touch {tmp_path}/{name}; trap '' TERM; sleep 60")) for name in ("one", "two")]
    run = start(store, flow(*jobs), tmp_path)
    with WorkerProcess(server.url, "--until-run", run, "-c", "2") as worker:
        until(lambda: (tmp_path / "one").exists() and (tmp_path / "two").exists())
        for _ in range(3):
            send_stop(worker)
        assert worker.wait() == 0
        until(lambda: not survivors(worker.mark), timeout=SOON)
    assert [(job.status, job.attempt) for job in records(store, run)] == [("queued", 0)] * 2


def test_why_says_that_a_job_waits_for_its_process(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    plan = flow(node("a", script("true")))
    run = start(store, plan, tmp_path)
    with Stuck(server.url, tmp_path, BLOCKS):

        def details() -> str:
            view = read_view(store, run)
            return " ".join(explain(plan, view, 0, read_queue_state(store, view)).details)

        until(lambda: "waiting for a process: the fork server does not answer, and is killed after 60 s" in details(), 20)


def test_a_stopped_fork_server_is_woken_for_the_next_job(store: Store, server: PrivateServer, tmp_path: Path) -> None:
    stops = script("kill -STOP $PPID")
    run = start(store, flow(node("a", stops), node("b", script("true"))), tmp_path)
    with WorkerProcess(server.url, "--until-run", run):
        assert [job.status for job in ended(store, run)] == ["finished"] * 2
