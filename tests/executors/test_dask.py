"""What is Dask's own: a scheduler that dies, and one that is there again under its address."""

import os
import re
import signal

import pytest

from flowq.states import JobStatus
from tests.executors.bench import alive, bench_of, command
from tests.executors.dask_cluster import start
from tests.support.wait import until
from tests.support.workers import records

pytestmark = pytest.mark.engines


def test_a_scheduler_that_is_killed() -> None:
    with bench_of("dask") as bench:
        run = bench.submit("jobs: {a: {call: 'jobs:second_time', args: [pid], retry: {max: 3, on: [abandoned]}}}")
        job = bench.begun(run)
        (scheduler,) = [pid for pid in bench.processes("dask scheduler") if "env " not in command(pid)]
        port = re.findall(r"tcp://127.0.0.1:(\d+)", (bench.directory / "flowq.toml").read_text())[0]
        os.kill(scheduler, signal.SIGKILL)
        until(lambda: not alive(job), message="the job to end with the cluster")
        until(
            lambda: "cannot be used" in bench.log.read_text(), timeout=30, message="the worker to say that the cluster is gone"
        )
        until(lambda: records(bench.store, run)[0].status is JobStatus.QUEUED, message="the job to be in its queue")
        until(lambda: bench.store.workers.live()[0].state == "away", message="the worker to say that the engine is away")
        with (bench.directory / "dask.log").open("ab") as log:
            again = [start(log, bench.mark, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")]
            more = (
                "worker",
                f"tcp://127.0.0.1:{port}",
                "--no-nanny",
                "--no-dashboard",
                "--local-directory",
                str(bench.directory),
            )
            again.append(start(log, bench.mark, *more))
        try:
            assert bench.ended(run, timeout=60).result() == 2
        finally:
            for process in again:
                process.kill()
                process.wait()
