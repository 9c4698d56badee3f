"""Pipes: what the command gets, what it may get wrong, and what the worker says about it."""

import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowq.flows.actions.cancellation import cancel_run
from flowq.states import JobStatus
from tests.executors import proxy
from tests.executors.bench import Bench, bench_of
from tests.executors.engines import NODE
from tests.support.wait import until
from tests.support.workers import records

PROXY = [sys.executable, proxy.__file__]
SECOND = "jobs: {a: {call: 'jobs:second_time', args: [pid], retry: {max: 3, on: [abandoned]}}}"


@contextmanager
def pipe(*command: str, **more: object) -> Iterator[Bench]:
    """Yield a bench whose executor has this command."""
    with bench_of("pipe", command=list(command), **more) as bench:
        yield bench


def waits(bench: Bench, run: str, word: str) -> None:
    """Wait until the worker has said a word about a job that is in its queue again."""
    until(lambda: word in bench.log.read_text(), timeout=20, message=f"the worker to say {word!r}; {bench.tail()}")
    until(lambda: records(bench.store, run)[0].status is JobStatus.QUEUED, message="the job to be in its queue")


def test_a_command_that_fails_is_tried_again_later_and_the_job_is_not_charged() -> None:
    with pipe("sh", "-c", 'test -e "$0" && exec "$@"; echo no machine is up >&2; exit 3', "ready", *NODE) as bench:
        run = bench.submit("jobs: {a: {run: 'echo there'}}")
        waits(bench, run, "executor lab: sh has ended with code 3: no machine is up; handed back")
        (bench.directory / "ready").touch()
        ran = bench.ended(run)
        assert (ran.output(), ran.job.attempt) == ("there\n", 1)


def test_a_program_that_is_missing() -> None:
    with pipe("no-such-program") as bench:
        waits(
            bench,
            bench.submit("jobs: {a: {run: 'true'}}"),
            "executor lab: No such file or directory: no-such-program; handed back",
        )


def test_another_version_of_flowq() -> None:
    other = "import flowq; flowq.__version__ = '9.4.1'; from flowq.worker.node.node import main; main()"
    with pipe(sys.executable, "-P", "-c", other) as bench:
        run = bench.submit("jobs: {a: {run: 'true'}}")
        waits(bench, run, "has flowq 9.4.1 on ")
        assert "install the same minor version there; handed back" in bench.tail()


def test_something_that_is_no_node() -> None:
    with pipe("sh", "-c", "yes not a node") as bench:
        waits(bench, bench.submit("jobs: {a: {run: 'true'}}"), "no node answers, but something writes: not a node")


@pytest.mark.parametrize("fault", ["twice", "again"])
def test_a_job_that_is_started_twice_is_executed_once(fault: str) -> None:
    with pipe(*PROXY, fault, *NODE) as bench:
        ran = bench.run("jobs: {a: {matrix: {n: [1, 2, 3, 4, 5]}, run: 'echo ${{ matrix.n }} >> times'}}")
        assert ran.status == "finished"
        assert sorted((bench.directory / "times").read_text().split()) == ["1", "2", "3", "4", "5"]


def test_an_altered_task_is_not_executed() -> None:
    with pipe(*PROXY, "altered", *NODE) as bench:
        ran = bench.run(SECOND)
        assert ran.result() == 2
        assert not (bench.directory / "pid").exists()


def test_start_timeout_and_cancel_before_the_start() -> None:
    with pipe("sh", "-c", "exec sleep 1000", start_timeout="1s", per="job") as bench:
        ran = bench.run("jobs: {a: {run: 'true'}}")
        assert ran.job.reason == "timeout"
        assert ran.error == "executor lab did not start the job within its start_timeout of 1 s"
    with pipe("sh", "-c", "touch begun; exec sleep 1000", per="job") as bench:
        run = bench.submit("jobs: {a: {run: 'true'}}")
        until((bench.directory / "begun").exists, timeout=20)
        cancel_run(bench.store, run, force=False)
        assert bench.ended(run).status == "canceled"
        until(lambda: not bench.processes("sleep 1000"), timeout=20, message="the command to end")


def test_what_a_job_asks_for_is_in_the_command() -> None:
    asked = "sh", "-c", 'echo "$@" >> asked; while [ "$1" != -- ]; do shift; done; shift; exec "$@"', "sh"
    with pipe(*asked, "-c{cpus}", "--mem={memory}", "--gpus={gpus}", "-t{time}", "--", *NODE, ignore=["disk"]) as bench:
        ran = bench.run(
            """
jobs:
  a:
    matrix: {n: [2]}
    resources: {cpus: "${{ matrix.n }}", memory: 1.5G, time: 1h30m, disk: 20G}
    run: 'true'
"""
        )
        assert ran.status == "finished", ran.error
        assert (bench.directory / "asked").read_text().split()[:4] == ["-c2", "--mem=1536M", "-t1:30:00", "--"]


def test_what_an_executor_does_not_pass_on_is_refused() -> None:
    with pipe(*NODE) as bench:
        ran = bench.run("jobs: {train: {resources: {gpus: 1}, run: 'true'}}")
        assert "it asks for gpus (`resources`), which executor lab does not pass on: put {gpus} into its command" in ran.error
        assert ran.job.attempt == 1


def test_the_worker_says_nothing_of_its_own_environment() -> None:
    with pipe("sh", "-c", 'env > engine; exec "$@"', "sh", *NODE) as bench:
        bench.run("jobs: {a: {run: 'true'}}")
        assert "s3cret" not in (bench.directory / "engine").read_text()


def test_files_that_travel_are_on_the_node(tmp_path: Path) -> None:
    with pipe("env", f"FLOWQ_CACHE={tmp_path}/other", *NODE) as bench:
        source = bench.directory / "project"
        source.mkdir()
        (source / "data.txt").write_text("travelled\n")
        run = bench.submit(
            "code: ship\njobs: {a: {run: 'cat data.txt; pwd; echo ${{ run.flow_dir }}'}, b: {depends_on: a, run: 'cat data.txt'}}",
            directory=source,
        )
        ran = bench.ended(run)
        assert ran.status == "finished", ran.output()
        first, where, flow, again = ran.output().splitlines()
        assert (first, again) == ("travelled", "travelled")
        assert where == flow
        assert where.startswith(f"{tmp_path}/other/runs/{run}")


def test_files_that_were_altered_or_are_gone_are_refused(tmp_path: Path) -> None:
    with pipe("env", f"FLOWQ_CACHE={tmp_path}/other", *NODE) as bench:
        source = bench.directory / "project"
        source.mkdir()
        (source / "data.txt").write_text("one")
        assert bench.ended(bench.submit("code: ship\njobs: {a: {run: 'true'}}", directory=source)).status == "finished"
        (source / "data.txt").write_text("two")
        run = bench.submit("code: ship\njobs: {a: {run: 'true'}}", directory=source, start=False)
        (old,) = (bench.directory / "cache/archives").iterdir()
        shutil.copy(old, old.with_name(f"{bench.store.runs.require(run).bundle}.tgz"))
        bench.store.queues.resume()
        ran = bench.ended(run)
        assert "another content" in ran.error
