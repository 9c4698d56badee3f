"""`flowq worker` with RQ's options, as processes."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from flowq import Queue, Worker
from flowq.job import Job
from flowq.suspension import suspend
from flowq.worker.worker import DequeueStrategy
from tests.api import classes, samples
from tests.api.conftest import Command
from tests.support.wait import until

ROOT = Path(__file__).parents[2]
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path, connection: redis.Redis) -> Iterator[Start]:
    """Start `flowq worker` in the test's directory; only `-P` makes the tests' modules importable."""
    url = f"unix://{connection.connection_pool.connection_kwargs['path']}"
    started: list[subprocess.Popen[str]] = []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*arguments: str, command: str = "worker", **more: str) -> "subprocess.Popen[str]":
        started.append(
            subprocess.Popen(
                [sys.executable, "-P", "-m", "flowq.cli.main", command, *arguments],
                cwd=tmp_path,
                env={**environment, "FLOWQ_REDIS_URL": url, **more},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    """Wait for the end of a process; return what it printed."""
    out, error = process.communicate(timeout=60)
    assert process.returncode == code, error
    assert "Traceback" not in error
    return out, error


def test_the_light_worker_takes_rqs_options(start: Start, queue: Queue, connection: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "only_in_lib.py").write_text("def f():\n    return __file__\n")
    low = Queue("low", connection=connection)
    first, second = queue.enqueue("only_in_lib.f"), low.enqueue("only_in_lib.f", result_ttl=50)
    options = ["-b", "-n", "mine", "--results-ttl", "77", "--worker-ttl", "5", "-P", "lib", "--pid", "pid", "-s", "-d"]
    options += ["--log-format", "<%(levelname)s %(message)s>", "--date-format", "%Y", "--maintenance-interval", "5"]
    process = start(*options, "-ds", "round_robin", "default", "low")
    _, error = ended(process)
    assert "<INFO worker mine listens on default, low" in error
    assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
    for job, ttl in ((first, 77), (second, 50)):
        assert job.return_value() == str(tmp_path / "lib" / "only_in_lib.py")
        assert ttl - 30 < connection.pttl(f"{{flowq}}:job:{job.id}") / 1000 <= ttl


def test_json_lines_name_the_job_that_they_are_about(start: Start, queue: Queue) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    _, error = ended(start("--burst", "--log-format", "json", "-P", str(ROOT), "default"))
    lines = [json.loads(line) for line in error.splitlines()]
    about = [line["message"] for line in lines if line.get("job") == job.id]
    assert about == [f"job {job.id}: attempt 1", f"job {job.id}: failed error: ZeroDivisionError: division by zero"]
    assert all("job" not in line for line in lines if line["message"] not in about)
    assert [(line["message"], line["outcome"]) for line in lines if "outcome" in line] == [(about[-1], "failed")]


def test_classes_handlers_and_a_serializer(start: Start, connection: redis.Redis, tmp_path: Path) -> None:
    queue = classes.OwnQueue("own", connection=connection, serializer="json")
    good = queue.enqueue(samples.add, 1, 2)
    bad = queue.enqueue(samples.div_by_zero, 1, meta={"log": str(tmp_path / "log")})
    options = [
        "-w",
        "tests.api.classes.OwnWorker",
        "-j",
        "tests.api.classes.OwnJob",
        "--queue-class",
        "tests.api.classes.OwnQueue",
    ]
    options += ["-S", "json", "--exception-handler", "tests.api.classes.note_failure", "-P", str(ROOT), "--max-jobs", "2", "-q"]
    out, error = ended(start(*options, "--name", "w", "own"))
    assert (out, error) == ("own worker w works\n", "")
    assert Job.fetch(good.id, connection, "json").return_value() == ["own", 3]
    assert bad.get_status() == "failed"
    assert (tmp_path / "log").read_text() == "ZeroDivisionError: division by zero\n"


@pytest.mark.parametrize("handler", [(), ("--exception-handler", "tests.api.classes.note_failure", "-P", str(ROOT))])
def test_failures_that_are_not_listed(start: Start, queue: Queue, tmp_path: Path, handler: tuple[str, ...]) -> None:
    listed = queue.enqueue(samples.div_by_zero, 1)
    ended(start("--burst", "-P", str(ROOT)))
    job = queue.enqueue(samples.div_by_zero, 1, meta={"log": str(tmp_path / "log")})
    ended(start("-d", "--burst", *handler, "-P", str(ROOT)))
    assert (job.get_status(), (tmp_path / "log").exists()) == ("failed", bool(handler))
    assert queue.failed_job_registry.get_job_ids() == [listed.id]


@pytest.mark.parametrize(
    ("options", "slots"),
    [
        (("--config", "settings_of_a_worker"), 1),
        (("-c", "settings_of_a_worker"), 1),
        (("-c", "settings_of_a_worker.py", "-c", "3"), 3),
    ],
)
def test_settings_name_queues_worker_and_logging(
    options: tuple[str, ...], slots: int, start: Start, queue: Queue, tmp_path: Path
) -> None:
    (tmp_path / "settings_of_a_worker.py").write_text(
        "QUEUES = ['default', 'second']\nNAME = 'from-settings'\n"
        "DICT_CONFIG = {'version': 1, 'formatters': {'f': {'format': 'MINE %(message)s'}},\n"
        "  'handlers': {'h': {'class': 'logging.StreamHandler', 'formatter': 'f'}},\n"
        "  'loggers': {'flowq.worker': {'handlers': ['h'], 'level': 'INFO'}}}\n"
    )
    queue.enqueue(samples.nothing)
    process = start(*options, "--burst", "-P", str(ROOT))
    _, error = ended(process)
    assert f"MINE worker from-settings listens on default, second with {slots} slot{'s' * (slots != 1)}" in error
    assert len(queue) == 0


def test_a_burst_while_workers_are_suspended(start: Start, queue: Queue, command: Command) -> None:
    job = queue.enqueue(samples.nothing)
    suspend(queue.connection)
    said = "error: workers are suspended, so nothing is executed: `flowq resume` resumes them\n"
    assert command("worker", "--burst") == (1, "", said)
    assert job.is_queued
    assert command("resume")[0] == 0
    ended(start("--burst"))
    assert job.is_finished


@pytest.mark.parametrize("own", [(), ("-w", "tests.api.classes.OwnWorker", "-P", str(ROOT))])
def test_a_signal_is_a_warm_stop(own: tuple[str, ...], start: Start, queue: Queue) -> None:
    process = start("--max-idle-time", "300", *own)
    until(lambda: Worker.count(queue.connection) == 1, 30)
    process.send_signal(signal.SIGTERM)
    ended(process)
    assert Worker.count(queue.connection) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-c", "nonesuch"], "there is no settings module nonesuch"),
        (["-c", "0"], "'-c' / '--concurrency': 0 is not in the range"),
        (["-w", "nonesuch.Worker"], "there is no class 'nonesuch.Worker'"),
        (["-w", "flowq.Queue"], "expected a subclass of flowq.worker.worker.Worker"),
        (["--exception-handler", "os.nonesuch"], "--exception-handler os.nonesuch: ImportError: module 'os' has no 'nonesuch'"),
        (["-S", "nonesuch.Thing"], "there is no serializer 'nonesuch.Thing'"),
        (["-v", "-q"], "--verbose and --quiet exclude each other"),
        (["-P", "nowhere"], "there is no such directory"),
        (["--pid", "/nowhere/at/all"], "--pid /nowhere/at/all: the file cannot be written: No such file or directory"),
        (["--results-ttl", "soon"], "expected a duration"),
        (["--worker-ttl", "0"], "0.0 is not in the range"),
    ],
)
def test_a_wrong_option_ends_in_one_sentence(arguments: list[str], said: str, command: Command) -> None:
    code, out, error = command("worker", *arguments, "--burst")
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


def test_the_strategies_on_the_command_line_are_those_of_python(command: Command) -> None:
    code, out, error = command("worker", "-ds", "?", "--burst")
    assert (code, out) == (1, "")  # as in RQ
    assert error == f"error: --dequeue-strategy must be one of {', '.join(DequeueStrategy)}, found '?'\n"


def test_the_class_of_the_client(start: Start, queue: Queue, command: Command) -> None:
    job = queue.enqueue(samples.class_of_client)
    ended(start("--connection-class", "tests.api.classes.OwnRedis", "--burst", "-P", str(ROOT)))
    assert job.return_value() == "OwnRedis"
    assert command("info", "--connection-class", "tests.api.classes.OwnRedis")[0] == 0
    code, _, error = command("info", "--connection-class", "flowq.Queue")
    assert (code, "expected a subclass of redis.client.Redis" in error) == (2, True)


# -- pools ---------------------------------------------------------------------------------------------------------------------


def test_a_pool_in_a_burst(start: Start, connection: redis.Redis, tmp_path: Path) -> None:
    queue = classes.OwnQueue("own", connection=connection, serializer="json")
    good = queue.enqueue(samples.add, 1, 2)
    bad = queue.enqueue(samples.div_by_zero, 1, meta={"log": str(tmp_path / "log")})
    options = ["-w", "tests.api.classes.OwnWorker", "-j", "tests.api.classes.OwnJob", "-S", "json", "-P", str(ROOT), "-n", "2"]
    options += ["--exception-handler", "tests.api.classes.note_failure", "--burst", "--log-format", "POOL %(message)s", "own"]
    out, error = ended(start(*options, command="worker-pool"))
    assert out.count("own worker ") == 2
    assert re.search(r"^POOL worker pool \w+: 2 workers on own$", error, re.MULTILINE)
    assert good.return_value() == ["own", 3]
    assert bad.get_status() == "failed"
    assert (tmp_path / "log").read_text() == "ZeroDivisionError: division by zero\n"


def test_a_pool_replaces_its_workers_and_stops(start: Start, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "settings_of_a_pool.py").write_text("QUEUES = ['default', 'low']\n")
    process = start("-c", "settings_of_a_pool", "-n", "2", command="worker-pool")
    first = until(lambda: found if len(found := Worker.all(queue.connection)) == 2 else None, 60)
    assert first is not None
    assert {tuple(worker.queue_names()) for worker in first} == {("default", "low")}
    os.kill(first[0].pid, signal.SIGKILL)
    names = {worker.name for worker in first}
    until(lambda: {worker.name for worker in Worker.all(queue.connection)} - names, 60, "another worker")
    process.send_signal(signal.SIGINT)
    ended(process)
    assert Worker.all(queue.connection) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-n", "0"], "0 is not in the range"),
        (["-w", "nonesuch.Worker"], "there is no class 'nonesuch.Worker'"),
        (["-c", "nonesuch"], "there is no settings module nonesuch"),
        (["--exception-handler", "os.nonesuch"], "module 'os' has no 'nonesuch'"),
    ],
)
def test_a_wrong_option_of_a_pool_ends_in_one_sentence(arguments: list[str], said: str, command: Command) -> None:
    code, out, error = command("worker-pool", *arguments, "--burst")
    assert (code, out) == (2, "")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("kind", ["SimpleWorker", "SpawnWorker", "HerokuWorker", "RoundRobinWorker", "RandomWorker"])
def test_the_other_workers_by_name(kind: str, start: Start, queue: Queue, connection: redis.Redis) -> None:
    low = Queue("low", connection=connection)
    jobs = [each.enqueue(samples.add, number) for number in (1, 2) for each in (queue, low)]
    ended(start("-b", "-w", f"flowq.worker.{kind}", "-P", str(ROOT), "default", "low"))
    assert [job.return_value() for job in jobs] == [1, 1, 2, 2]
    if kind == "RoundRobinWorker":
        assert sorted(jobs, key=lambda job: job.started_at or 0) == jobs
