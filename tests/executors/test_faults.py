"""What becomes of jobs when a part of an executor dies, hangs or lies: nothing is lost, and nothing runs twice for long.

`make test` has the two of them that need most parts; a lease that runs out is there in `test_pipe`, too.
"""

import os
import signal
from pathlib import Path

import pytest

from tests.executors.bench import Bench, alive, command
from tests.executors.engines import REMOTE
from tests.support.wait import until

pytestmark = [pytest.mark.parametrize("bench", REMOTE, indirect=True)]

SECOND = "jobs: {a: {call: 'jobs:second_time', args: [pid], retry: {max: 3, on: [abandoned]}}}"


def node_of(job: int) -> int:
    """Return the pid of the node that a job's process belongs to."""
    pid = job
    while "-m flowq.worker.node" not in command(pid):
        pid = int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return pid


def driver_of(bench: Bench) -> int:
    (found,) = bench.processes("flowq.worker.executors.driver")
    return found


def stopped(bench: Bench) -> bool:
    """Send another stop signal; return whether the worker has ended. Two within a second count as one."""
    bench.worker.signal(signal.SIGTERM)
    return bench.worker.process.poll() is not None


def test_a_node_that_is_killed(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    os.kill(node_of(job), signal.SIGKILL)
    ran = bench.ended(run)
    assert not alive(job)
    assert (ran.status, ran.result()) == ("finished", 2)
    assert ran.job.attempt == 2
    assert "is lost" in bench.tail()


def test_a_driver_that_is_killed(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job, driver = bench.begun(run), driver_of(bench)
    os.kill(driver, signal.SIGKILL)
    until(lambda: not alive(job), message="the job to end with its driver")
    assert bench.ended(run).result() == 2
    assert driver_of(bench) != driver


@pytest.mark.engines
def test_a_worker_that_is_killed(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    bench.worker.__exit__()
    until(lambda: not alive(job), message="the job to end with its worker")
    until(lambda: not bench.left(), timeout=30, message="all processes to end with the worker")
    bench.start()
    assert bench.ended(run).result() == 2


@pytest.mark.engines
def test_a_worker_that_is_stopped_for_too_long(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    bench.worker.signal(signal.SIGSTOP)
    until(lambda: not alive(job), message="the node to kill a job whose lease is not renewed")
    bench.worker.signal(signal.SIGCONT)
    assert bench.ended(run).result() == 2


@pytest.mark.engines
def test_a_node_that_is_stopped_for_too_long(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    node = node_of(job)
    os.kill(node, signal.SIGSTOP)
    until(lambda: not alive(job), message="the fork server to kill a job whose lease is not renewed")
    assert bench.ended(run).result() == 2
    if alive(node):
        os.kill(node, signal.SIGCONT)  # a worker has no way to kill a process that is stopped on another machine
    until(lambda: not alive(node), timeout=20, message="the stopped node to end")


@pytest.mark.engines
def test_a_worker_that_is_told_to_stop(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    bench.worker.signal(signal.SIGTERM)
    until(lambda: "running jobs are finished first" in bench.tail())
    until(lambda: stopped(bench), timeout=20, message="the worker to end")
    assert not alive(job)
    until(lambda: not bench.left(), timeout=30, message="all processes to end with the worker")
    (bench.directory / "pid").unlink()
    bench.start()
    job = bench.begun(run)  # it was handed back, so that this is its first attempt again
    os.kill(node_of(job), signal.SIGKILL)
    assert bench.ended(run).job.attempt == 2


@pytest.mark.engines
def test_a_job_is_held_back_while_nobody_takes_its_output(bench: Bench) -> None:
    size = 48  # MiB; the latest of them are kept
    run = bench.submit(f"jobs: {{a: {{call: 'jobs:flood_and_tell', args: [{size}]}}}}")
    bench.begun(run, "told")
    told, seen = bench.directory / "told", [""] * 10
    bench.worker.signal(signal.SIGSTOP)
    (bench.directory / "go").touch()

    def stands() -> bool:
        seen[:] = [*seen[1:], told.read_text()]
        return seen[0] == seen[-1] != ""

    until(stands, message="the job to wait in a write")
    assert int(seen[-1]) < size
    peaks = [peak(pid) for word in ("flowq.worker.node", "flowq.worker.executors.driver") for pid in bench.processes(word)]
    bench.worker.signal(signal.SIGCONT)
    until(lambda: told.read_text() == str(size), timeout=30, message="all of the output to be taken")
    grown = [peak(pid) for word in ("flowq.worker.node", "flowq.worker.executors.driver") for pid in bench.processes(word)]
    assert all(after - before < size // 2 for before, after in zip(peaks, grown, strict=True)), (peaks, grown)
    (bench.directory / "end").touch()
    ran = bench.ended(run)
    assert (ran.status, ran.job.attempt) == ("finished", 1)
    assert len(ran.output()) > size * 1024 * 1024 // 6
    assert set(ran.output().split()) == {"x" * 1023}


def peak(pid: int) -> float:
    """Return the most memory that a process has had, in MiB."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024
