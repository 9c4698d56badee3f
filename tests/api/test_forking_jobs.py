"""Jobs and callbacks that fork, with every kind of worker: one end, one result, one call of each callback."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Queue, SimpleWorker, Worker
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import lines

WAYS = [("return", 0), ("exit", 3), ("raise", 1)]
CALLED = ["callback return 0", "callback exit 3", "callback raise 1"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=[Worker, SimpleWorker])
def worker_class(request: pytest.FixtureRequest) -> type[Worker]:
    kind: type[Worker] = request.param
    return kind


def options(log: Path, **callbacks: Any) -> dict[str, Any]:
    return {"meta": {"log": str(log)}, **callbacks}


@pytest.mark.parametrize(("way", "code"), WAYS)
def test_a_job_that_forks_ends_once(queue: Queue, log: Path, worker_class: type[Worker], way: str, code: int) -> None:
    job = queue.enqueue(samples.fork, way, **options(log, on_success=samples.on_success, on_failure=samples.on_failure))
    worker_class([queue]).work(burst=True)
    assert (job.get_status(), job.return_value(), len(job.results())) == ("finished", code, 1)
    assert lines(log) == [f"success {code} True"]


@pytest.mark.parametrize(("way", "code"), WAYS)
def test_a_job_that_forks_and_fails_fails_once(
    queue: Queue, log: Path, worker_class: type[Worker], way: str, code: int
) -> None:
    calls = []

    def handler(job: Job, *_: Any) -> None:
        calls.append(os.getpid())
        samples.write(str(log), f"handler {len(calls)}\n")

    job = queue.enqueue(samples.fork_and_fail, way, **options(log, on_failure=samples.on_failure))
    worker_class([queue], exception_handlers=[handler]).work(burst=True)
    latest = job.latest_result()
    assert latest is not None
    assert f"RuntimeError: the child ended with {code}" in str(latest.exc_string)
    assert lines(log) == ["failure RuntimeError", "handler 1"]


def test_a_success_callback_that_forks(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.add, 1, **options(log, on_success=Callback(samples.forking_callback)))
    worker_class([queue]).work(burst=True)
    assert (job.get_status(), lines(log)) == ("finished", CALLED)


def test_a_failure_callback_that_forks(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    def handler(job: Job, *_: Any) -> None:
        samples.forking_callback(job, None)

    job = queue.enqueue(samples.div_by_zero, 1, **options(log, on_failure=Callback(samples.forking_callback)))
    worker_class([queue], exception_handlers=[handler]).work(burst=True)
    latest = job.latest_result()
    assert latest is not None
    assert str(latest.exc_string).endswith("ZeroDivisionError: division by zero\n")
    assert lines(log) == CALLED * 2


def test_a_failure_callback_that_forks_after_the_horse_was_killed(queue: Queue, log: Path) -> None:
    heard = []

    def killed(job: Job, pid: int, status: int, usage: Any) -> None:
        heard.append(status)
        samples.fork("return")
        samples.fork("exit")

    job = queue.enqueue(samples.die, **options(log, on_failure=Callback(samples.forking_callback)))
    Worker([queue], work_horse_killed_handler=killed).work(burst=True)
    assert (job.get_status(), lines(log), heard) == ("failed", CALLED, [signal.SIGKILL])


@pytest.mark.parametrize(("way", "code"), WAYS)
def test_a_job_that_forks_in_sync_mode(queue: Queue, way: str, code: int) -> None:
    job = Queue("sync", is_async=False, connection=queue.connection).enqueue(samples.fork, way)
    assert (job.get_status(), job.return_value()) == ("finished", code)
