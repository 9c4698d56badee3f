"""What is Ray's own: accelerators, what no machine has, and tasks that Ray loses."""

import os
import signal
from collections.abc import Iterator

import pytest

from flowq.flows.actions.cancellation import cancel_run
from tests.executors.bench import Bench, bench_of, command
from tests.support.wait import until

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with bench_of("ray") as found:
        yield found
        assert "Traceback" not in found.log.read_text(), found.log.read_text()


def tasks(bench: Bench) -> list[int]:
    """Return the processes of Ray in which tasks of the executor wait."""
    return [pid for pid in bench.processes("ray::") if "ray::flowq-" in command(pid)]


def test_a_job_has_the_accelerators_of_its_own_task(bench: Bench) -> None:
    show = "run: 'echo ${CUDA_VISIBLE_DEVICES-none}'"
    ran = bench.run(f"jobs: {{a: {{resources: {{gpus: 1}}, {show}}}, b: {{depends_on: a, {show}}}}}")
    assert ran.output() == "0\nnone\n"


def test_a_place_is_kept_until_the_job_has_ended_and_no_longer(bench: Bench) -> None:
    (bench.directory / "pid").unlink(missing_ok=True)
    first = bench.submit("jobs: {a: {resources: {gpus: 2}, run: 'true'}}")
    held = bench.submit("jobs: {a: {resources: {cpus: 8}, call: 'jobs:sleep'}}")
    bench.begun(held)
    assert len(tasks(bench)) == 1
    assert not bench.store.runs.require(first).ended  # no node has two
    for run in (first, held):
        cancel_run(bench.store, run, force=False)
        assert bench.ended(run).status == "canceled"
    until(lambda: not tasks(bench), message="the places to be free")
    assert bench.run("jobs: {a: {matrix: {n: [1, 2]}, resources: {cpus: 8}, run: 'true'}}").status == "finished"


def test_a_task_that_ray_loses_takes_no_job_with_it(bench: Bench) -> None:
    (bench.directory / "pid").unlink(missing_ok=True)
    run = bench.submit("jobs: {a: {call: 'jobs:sleep', timeout: 3s}}")
    job = bench.begun(run)
    (task,) = tasks(bench)
    os.kill(task, signal.SIGKILL)
    assert bench.ended(run).job.reason == "timeout"
    until(lambda: job not in bench.processes(""))
    assert bench.run("jobs: {a: {run: 'true'}}").job.attempt == 1
