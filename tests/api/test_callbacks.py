"""Callbacks of jobs, exception handlers of workers, and who hears of a killed horse."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Queue, Retry, SimpleWorker, Worker
from flowq.command import send_stop_job_command
from flowq.exceptions import UsageError
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for

Start = Callable[..., Background]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture(params=[Worker, SimpleWorker])
def worker_class(request: pytest.FixtureRequest) -> type[Worker]:
    kind: type[Worker] = request.param
    return kind


def options(log: Path) -> dict[str, Any]:
    return {
        "meta": {"log": str(log)},
        "on_success": samples.on_success,
        "on_failure": Callback(samples.on_failure, timeout="5s"),
        "on_stopped": "tests.api.samples.on_stopped",
    }


def test_success_and_failure(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    queue.enqueue(samples.add, 1, 2, **options(log))
    bad = queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=1), **options(log))
    worker_class([queue]).work(burst=True)
    assert lines(log) == ["success 3 True", "failure ZeroDivisionError", "failure ZeroDivisionError"]
    assert bad.is_failed
    found = Job.fetch(bad.id, connection=queue.connection)
    assert (found.failure_callback, found.failure_callback_timeout) == (samples.on_failure, 5)
    assert (found.success_callback, found.success_callback_timeout) == (samples.on_success, 60)
    assert (found.stopped_callback, found.stopped_callback_timeout) == (samples.on_stopped, 60)


def test_sync_mode_calls_them_too(queue: Queue, log: Path) -> None:
    sync = Queue("sync", is_async=False, connection=queue.connection)
    sync.enqueue(samples.add, 1, 2, **options(log))
    sync.enqueue(samples.div_by_zero, 1, **options(log))
    assert lines(log) == ["success 3 True", "failure ZeroDivisionError"]


def test_a_success_callback_that_raises_makes_the_job_a_failure(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.add, 1, **{**options(log), "on_success": samples.bad_callback})
    worker_class([queue]).work(burst=True)
    assert job.is_failed
    assert "the callback broke" in (job.exc_info or "")
    assert lines(log) == ["failure RuntimeError"]


def test_a_failure_callback_that_raises_adds_to_the_error(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, **{**options(log), "on_failure": samples.bad_callback})
    worker_class([queue]).work(burst=True)
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert "the callback broke" in (job.exc_info or "")


def test_a_callback_has_its_own_timeout(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    slow = Callback(samples.slow_callback, timeout="100ms")
    job = queue.enqueue(samples.add, 1, **{**options(log), "on_success": slow})
    worker_class([queue]).work(burst=True)
    assert job.is_failed
    assert "on_success callback tests.api.samples.slow_callback ran longer than its timeout of 0.1 s" in (job.exc_info or "")


def test_a_job_near_its_timeout_leaves_its_callback_the_whole_time(queue: Queue, log: Path) -> None:
    job = queue.enqueue(samples.hang, job_timeout="50ms", **options(log))
    Worker([queue]).work(burst=True)
    assert job.is_failed
    assert lines(log) == ["failure JobTimeoutException"]


def test_a_killed_horse_is_a_failure_that_is_told(queue: Queue, log: Path) -> None:
    told: list[Any] = []
    job = queue.enqueue(samples.die, **options(log))
    Worker([queue], work_horse_killed_handler=lambda *what: told.append(what)).work(burst=True)
    assert job.is_failed
    assert "SIGKILL" in (job.exc_info or "")
    assert lines(log) == ["failure HorseKilledError"]
    ((told_job, pid, status, _),) = told
    assert (told_job, status) == (job, 9)
    assert pid > 0


def test_a_stopped_job(queue: Queue, log: Path, background: Start, worker_class: type[Worker]) -> None:
    started = log.with_name("started")
    job = queue.enqueue(samples.mark_and_hang, str(started), retry=Retry(max=3), **options(log))
    background(lambda: worker_class([queue]))
    wait_for(job, "started")
    while not started.exists():
        job.latest_result(timeout=0.01)
    send_stop_job_command(queue.connection, job.id)
    wait_for(job, "stopped")
    latest = job.latest_result()
    assert latest is not None
    assert latest.type == latest.Type.STOPPED
    assert job.is_stopped
    assert lines(log) == ["stopped"]
    assert job in queue.failed_job_registry
    assert queue.failed_job_registry.get_expiration_time(job) > datetime.now(UTC) + timedelta(days=364)
    assert queue.failed_job_registry.get_job_ids() == [job.id]
    queue.failed_job_registry.requeue(job)
    assert len(queue.failed_job_registry) == 0


def test_exception_handlers_are_called_in_order_until_one_says_false(
    queue: Queue, log: Path, worker_class: type[Worker]
) -> None:
    def says(name: str, answer: Any) -> Callable[..., Any]:
        def handler(job: Job, kind: type[BaseException], value: BaseException, trace: Any) -> Any:
            assert trace is not None
            samples.write(str(log), f"{name} {job.func_name} {kind.__name__} {value}\n")
            return answer

        return handler

    worker = worker_class([queue], exception_handlers=[says("a", None), says("b", False), says("c", True)])
    job = queue.enqueue(samples.div_by_zero, 1)
    worker.work(burst=True)
    assert lines(log) == [f"{name} tests.api.samples.div_by_zero ZeroDivisionError division by zero" for name in "ab"]
    assert job.is_failed


def test_what_cannot_be_a_callback_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="import"):
        queue.enqueue(samples.add, 1, on_success=lambda *_: None)
    with pytest.raises(UsageError, match="callback"):
        Callback(3)  # type: ignore[arg-type]
