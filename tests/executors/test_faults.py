"""What becomes of jobs when a part of an executor dies, hangs or lies: nothing is lost, and nothing runs twice for long."""

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


def test_a_worker_that_is_killed(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    bench.worker.__exit__()
    until(lambda: not alive(job), message="the job to end with its worker")
    until(lambda: not bench.left(), timeout=30, message="all processes to end with the worker")
    bench.start()
    assert bench.ended(run).result() == 2


def test_a_worker_that_is_stopped_for_too_long(bench: Bench) -> None:
    run = bench.submit(SECOND)
    job = bench.begun(run)
    bench.worker.signal(signal.SIGSTOP)
    until(lambda: not alive(job), message="the node to kill a job whose lease is not renewed")
    bench.worker.signal(signal.SIGCONT)
    assert bench.ended(run).result() == 2


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
