"""Pipes: what the command gets, what it may get wrong, and what the worker says about it. One worker, whose command does as a test wants."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowq.flows.actions.cancellation import cancel_run
from flowq.flows.health import examine, read_facts
from flowq.states import JobStatus
from flowq.telemetry.metrics.stored import stored_samples
from flowq.worker.executor_settings import read_executor
from flowq.worker.executors import wire
from flowq.worker.executors.pipe import PipeEngine
from flowq.worker.supervisor.event_loop import Loop
from tests.executors import proxy
from tests.executors.bench import Bench, alive, bench_of
from tests.executors.engines import NODE
from tests.support.wait import until
from tests.support.workers import records

SECOND = "jobs: {a: {call: 'jobs:second_time', args: [pid], retry: {max: 3, on: [abandoned]}}}"
COMMAND = ["sh", "dispatch.sh", "{python}", proxy.__file__, "-c{cpus}", "--mem={memory}", "-t{time}", "--", *NODE]


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    cache = tmp_path_factory.mktemp("node")
    command = ["env", f"FLOWQ_CACHE={cache}", *COMMAND]
    with bench_of("pipe", command=command, per="job", ignore=["disk"], start_timeout="8s") as found:
        yield found
        assert "Traceback" not in found.log.read_text(), found.log.read_text()


@pytest.fixture
def bench(pipe: Bench) -> Bench:
    """The worker, with a node that is in order."""
    for name in ("asked", "begun", "pid", "engine"):
        (pipe.directory / name).unlink(missing_ok=True)
    turn(pipe, "")
    return pipe


def turn(bench: Bench, mode: str) -> None:
    """Let the next commands do something else."""
    (bench.directory / "mode").write_text(mode)


def waits(bench: Bench, run: str, word: str) -> None:
    """Wait until the worker has said a word about a job that is in its queue again; then let it be executed."""
    until(lambda: word in bench.log.read_text(), timeout=20, message=lambda: f"the worker to say {word!r}; {bench.tail()}")
    until(lambda: records(bench.store, run)[0].status is JobStatus.QUEUED, message="the job to be in its queue")
    until(lambda: bench.store.workers.live()[0].state == "away", message="the worker to say that the engine is away")
    assert (codes(bench), up(bench)) == ({"D509"}, [0.0])
    turn(bench, "")
    ran = bench.ended(run)
    assert (ran.output(), ran.job.attempt) == ("there\n", 1)
    until(lambda: up(bench) == [1.0], message="the worker to say that the engine is there")
    assert codes(bench) == set()


def codes(bench: Bench) -> set[str]:
    """Return the codes of what `flowq doctor` finds of executors."""
    return {found.code for found in examine(read_facts(bench.store, "here")) if "executor lab" in found.text}


def up(bench: Bench) -> list[float]:
    """Return the metric of the executor."""
    return [found.value for found in stored_samples(bench.store) if found.name == "flowq_executor_up"]


@pytest.mark.parametrize(
    ("mode", "word"),
    [
        ("fails", "executor lab: env has ended with code 3: no machine is up; handed back"),
        ("version", "has flowq 9.4.1 on "),
        ("noise", "no node answers, but something writes: not a node"),
    ],
)
def test_a_node_that_cannot_be_used_is_tried_again_later_and_the_job_is_not_charged(bench: Bench, mode: str, word: str) -> None:
    turn(bench, mode)
    waits(bench, bench.submit("jobs: {a: {run: 'echo there'}}"), word)


@pytest.mark.parametrize("fault", ["twice", "again"])
def test_a_job_that_is_started_twice_is_executed_once(bench: Bench, fault: str) -> None:
    turn(bench, fault)
    ran = bench.run(f"jobs: {{a: {{matrix: {{n: [1, 2, 3]}}, run: 'echo ${{{{ matrix.n }}}} >> times-{fault}'}}}}")
    assert ran.status == "finished"
    assert sorted((bench.directory / f"times-{fault}").read_text().split()) == ["1", "2", "3"]


def test_an_altered_task_is_not_executed(bench: Bench) -> None:
    turn(bench, "altered")
    assert bench.run(SECOND).result() == 2
    assert not (bench.directory / "pid").exists()


def test_a_connection_that_is_cut_without_an_end(bench: Bench) -> None:
    turn(bench, "silent")
    run = bench.submit(SECOND)
    job = bench.begun(run)
    turn(bench, "")
    until(lambda: not alive(job), message="the fork server to kill a job whose lease is not renewed")
    assert bench.ended(run).result() == 2
    (silent,) = bench.processes("proxy.py silent")
    assert alive(silent), "nothing has ended the old node, so its fork server alone has killed the job"
    os.kill(silent, signal.SIGKILL)
    until(lambda: not bench.processes("proxy.py silent"))


def test_a_node_without_a_word_of_its_driver_ends() -> None:
    patience = "from flowq.worker.node import node; node._ABANDONED = 0.5; node.main()"
    with subprocess.Popen([sys.executable, "-P", "-c", patience], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        decoder = wire.Decoder(noisy=True)
        heard: list[wire.Message] = []
        while not heard:
            heard = decoder.feed(os.read(process.stdout.fileno(), 65536))
        assert heard[0][0] == wire.HELLO
        assert process.wait(10) == 0


def test_cancel_before_the_start(bench: Bench) -> None:
    turn(bench, "hangs")
    run = bench.submit("jobs: {a: {run: 'true'}}")
    until((bench.directory / "begun").exists, timeout=20)
    cancel_run(bench.store, run, force=False)
    assert bench.ended(run).status == "canceled"
    until(lambda: not bench.processes("sleep 1000"), timeout=6, message="the command to end, which listens to SIGTERM")


def test_a_job_that_does_not_start_in_time(bench: Bench) -> None:
    turn(bench, "hangs")
    ran = bench.run("jobs: {a: {run: 'true'}}")
    assert ran.job.reason == "timeout"
    assert ran.error == "executor lab did not start the job within its start_timeout of 8 s"


def test_what_a_job_asks_for_is_in_the_command(bench: Bench) -> None:
    resources = "{cpus: '${{ matrix.n }}', memory: 1.5G, time: 1h30m, disk: 20G}"
    ran = bench.run(f"jobs: {{a: {{matrix: {{n: [2]}}, resources: {resources}, run: 'true'}}}}")
    assert ran.status == "finished", ran.error
    assert (bench.directory / "asked").read_text().split()[:4] == ["-c2", "--mem=1536M", "-t1:30:00", "--"]


def test_what_an_executor_does_not_pass_on_is_refused(bench: Bench) -> None:
    ran = bench.run("jobs: {train: {resources: {gpus: 1}, run: 'true'}}")
    assert "it asks for gpus (`resources`), which executor lab does not pass on: put {gpus} into its command" in ran.error
    assert ran.job.attempt == 1


def test_the_worker_says_nothing_of_its_own_environment(bench: Bench) -> None:
    turn(bench, "env")
    bench.run("jobs: {a: {run: 'true'}}")
    assert "s3cret" not in (bench.directory / "engine").read_text()


def test_files_that_travel_are_on_the_node_and_others_are_refused(bench: Bench) -> None:
    source = bench.directory / "project"
    source.mkdir()
    (source / "data.txt").write_text("travelled\n")
    text = (
        "code: ship\njobs: {a: {run: 'cat data.txt; pwd; echo ${{ run.flow_dir }}'}, b: {depends_on: a, run: 'cat data.txt'}}"
    )
    ran = bench.ended(bench.submit(text, directory=source))
    assert ran.status == "finished", ran.output()
    first, where, flow, again = ran.output().splitlines()
    assert (first, again) == ("travelled", "travelled")
    assert where == flow
    assert where.split("/")[-2] == "runs"
    assert not where.startswith(str(bench.directory)), "the worker has these files, too, but elsewhere"

    (source / "data.txt").write_text("another")
    run = bench.submit("code: ship\njobs: {a: {run: 'true'}}", directory=source, start=False)
    (old,) = (bench.directory / "cache/archives").iterdir()
    shutil.copy(old, old.with_name(f"{bench.store.runs.require(run).bundle}.tgz"))
    bench.store.queues.resume()
    assert "another content" in bench.ended(run).error


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    refused = []

    class Owner:
        def received(self, node: str, message: object) -> None:
            raise AssertionError(node, message)

        lost = received

        def refused(self, token: str, why: str) -> None:
            refused.append((token, why))

    settings = read_executor("lab", {"type": "pipe", "command": [f"{tmp_path}/none"]}, "flowq.toml")
    PipeEngine(settings, Loop(), Owner()).start("token", {})
    assert refused == [("token", f"executor lab: No such file or directory: {tmp_path}/none")]


@pytest.mark.engines
def test_five_hundred_at_once() -> None:
    with bench_of("pipe", 30.0, command=NODE, slots=500) as bench:
        script = "echo >> begun; until [ -e go ]; do sleep 2; done"
        run = bench.submit(f"jobs: {{a: {{matrix: {{n: {list(range(500))}}}, run: '{script}'}}}}")
        begun = bench.directory / "begun"
        until(lambda: begun.exists() and begun.stat().st_size == 500, timeout=100, message="all jobs to run side by side")
        assert len(bench.processes("flowq.worker.executors.driver")) == 1
        (bench.directory / "go").touch()
        ran = bench.ended(run, timeout=100)
        assert (ran.status, max(job.attempt for job in ran.jobs)) == ("finished", 1)
