"""What a worker that forks its jobs makes of `resources`: slots, a limit of memory, and a note of the rest. It has 8 slots."""

import sys
from pathlib import Path

import pytest

from tests.executors.bench import Bench, alive
from tests.support.wait import until
from tests.support.workers import records

pytestmark = [pytest.mark.parametrize("bench", ["fork"], indirect=True)]

HOLD = "echo > {0}-begun; until [ -e {0}-go ]; do sleep 0.01; done; echo {0} {1}"


def held(name: str, cpus: int, last: str = "") -> str:
    """Return a job that has begun when its file is there, and runs until another one is."""
    return f"{name}: {{timeout: 40s, resources: {{cpus: {cpus}}}, run: '{HOLD.format(name, last)}'}}"


def let(bench: Bench, name: str) -> None:
    (bench.directory / f"{name}-go").touch()


def begun(bench: Bench, name: str) -> Path:
    return bench.directory / f"{name}-begun"


def test_a_job_takes_as_many_slots_as_it_asks_for_cpus(bench: Bench) -> None:
    first = bench.submit(f"jobs: {{{held('a', 5, '$(ls b-begun 2>&1 | tail -c 10)')}}}")
    until(begun(bench, "a").exists, timeout=30)
    second = bench.submit(f"jobs: {{{held('b', 4)}}}")
    until(lambda: records(bench.store, second)[0].started_ms, message="the second job to be claimed")
    third = bench.submit(
        "jobs: {c: {run: 'ls a-go; until [ -e b-begun ]; do sleep 0.01; done'}}"
    )  # it is behind the second one
    assert not begun(bench, "b").exists()
    let(bench, "a")
    assert bench.ended(first).output() == "a directory\n"  # "No such file or directory"
    until(begun(bench, "b").exists)
    assert bench.ended(third).output("out") == "a-go\n"
    let(bench, "b")
    assert bench.ended(second).status == "finished"


def test_jobs_that_fit_run_beside_each_other(bench: Bench) -> None:
    run = bench.submit(f"jobs: {{{held('d', 4)}, {held('e', 3)}, {held('f', 1)}}}")
    until(lambda: all(begun(bench, name).exists() for name in "def"), message="all three to run at once")
    for name in "def":
        let(bench, name)
    assert bench.ended(run).status == "finished"


def test_one_that_asks_for_more_than_there_is_runs_alone_and_says_so(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {resources: {cpus: 64}, run: 'true'}}")
    assert ran.status == "finished"
    assert "the job asks for 64 cpus: it takes all slots of this worker (8)" in ran.output()


def test_what_is_not_limited_is_said(bench: Bench) -> None:
    ran = bench.run("jobs: {a: {resources: {cpus: 2, memory: 1G, gpus: 1, time: 1h}, run: 'true'}}")
    assert ran.status == "finished"
    assert ran.output().strip() == "[flowq: this worker does not limit what the job asks for: gpus 1, time 1h]"


TAKE = "import os, time; open('pid', 'w').write(str(os.getpid())); x = b'x' * (300 << 20); time.sleep(60)"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has")
@pytest.mark.parametrize("how", ["", "setsid "], ids=["its process", "one of another session"])
def test_a_job_that_has_more_memory_than_it_asks_for_is_killed(bench: Bench, how: str) -> None:
    script = f'{how}python3 -c "{TAKE.replace(chr(39), chr(39) * 2)}" & wait'
    ran = bench.run(f"jobs: {{a: {{resources: {{memory: 200M}}, run: '{script}', retry: 0}}}}")
    assert (ran.status, ran.job.reason) == ("failed", "memory")
    assert ran.error == "the job was killed: its processes had more than it asks for (`resources`: memory 200M)"
    until(lambda: not alive(bench.begun(ran.run)))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has")
def test_one_that_has_less_is_not(bench: Bench) -> None:
    take = TAKE.replace("'", "''").replace("60", "0.4")
    assert bench.run(f"jobs: {{a: {{resources: {{memory: 400M}}, run: 'python3 -c \"{take}\"'}}}}").status == "finished"
