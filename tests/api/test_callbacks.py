"""Callbacks of jobs, exception handlers and handlers of killed horses."""

import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Queue, Retry, SimpleWorker, Worker
from flowq.command import send_stop_job_command
from flowq.cron.job import CronJob
from flowq.cron.registration import register
from flowq.decorators import job as job_decorator
from flowq.exceptions import UsageError
from flowq.job import Job
from flowq.worker.supervisor.slot import Slot
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for
from tests.support.wait import until

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


def test_all_messages_of_a_horse_may_arrive_at_once(queue: Queue, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A late supervisor reads both phases and the outcome together."""
    read = Slot._read_outcome

    def late(self: Slot) -> None:
        assert self._lane is not None
        process = Path(f"/proc/{self._lane.pid}")
        until(lambda: not process.exists())
        read(self)

    monkeypatch.setattr(Slot, "_read_outcome", late)
    job = queue.enqueue(samples.add, 1, **{**options(log), "on_success": samples.bad_callback})
    Worker([queue]).work(burst=True)
    assert job.is_failed
    assert lines(log) == ["failure RuntimeError"]


def test_a_failure_callback_that_raises_adds_to_the_error(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, **{**options(log), "on_failure": samples.bad_callback})
    worker_class([queue]).work(burst=True)
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert "the callback broke" in (job.exc_info or "")


def test_a_failure_callback_that_ends_the_process_is_called_once_and_the_error_is_kept(queue: Queue, log: Path) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, **{**options(log), "on_failure": samples.exiting_callback})
    Worker([queue]).work(burst=True)
    error = job.exc_info or ""
    assert "ZeroDivisionError: division by zero" in error
    assert "What was called for this failure did not come back: the job's process exited with code 3" in error
    assert lines(log) == ["exiting"]


def test_a_failure_callback_that_must_be_killed_is_called_once_and_the_error_is_kept(queue: Queue, log: Path) -> None:
    deaf = Callback(samples.deaf_callback, timeout="50ms")
    job = queue.enqueue(samples.div_by_zero, 1, **{**options(log), "on_failure": deaf})
    Worker([queue]).work(burst=True)
    error = job.exc_info or ""
    assert "ZeroDivisionError: division by zero" in error
    assert error.endswith("What was called for this failure took too long and was killed\n")
    assert lines(log) == ["deaf"]


def test_an_exception_handler_that_ends_the_process_keeps_the_error(queue: Queue, log: Path) -> None:
    def handler(job: Job, *_: Any) -> None:
        samples.exiting_callback(job, None)

    job = queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=1), **options(log))
    Worker([queue], exception_handlers=[handler]).work(burst=True)
    assert "ZeroDivisionError: division by zero" in (job.exc_info or "")
    assert lines(log) == ["failure ZeroDivisionError", "exiting"] * 2


def test_a_success_callback_that_ends_the_process_makes_the_job_a_failure(queue: Queue, log: Path) -> None:
    job = queue.enqueue(samples.add, 1, **{**options(log), "on_success": samples.exiting_callback})
    Worker([queue]).work(burst=True)
    assert job.is_failed
    assert "exited with code 3" in (job.exc_info or "")
    assert lines(log) == ["exiting", "failure HorseKilledError"]


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


def test_a_killed_horse_calls_the_failure_callback(queue: Queue, log: Path) -> None:
    told: list[Any] = []
    job = queue.enqueue(samples.die, **options(log))
    Worker([queue], work_horse_killed_handler=lambda *what: told.append(what)).work(burst=True)
    assert job.is_failed
    assert "SIGKILL" in (job.exc_info or "")
    assert lines(log) == ["failure HorseKilledError"]
    ((told_job, pid, status, _),) = told
    assert (told_job, status) == (job, 9)
    assert pid > 0


@pytest.mark.parametrize("function", [samples.div_by_zero, samples.die])
def test_a_worker_that_is_killed_during_a_callback(
    queue: Queue, log: Path, background: Start, function: Callable[..., Any]
) -> None:
    """The end was not reported before: the job is lost with its worker, ends once, and its callback is called again."""
    arguments = (1,) if function is samples.div_by_zero else ()
    more = {"meta": {"log": str(log)}, "on_failure": Callback(samples.callback_that_hangs_once, timeout=60)}
    job = queue.enqueue(function, *arguments, **more)
    worker = background(lambda: Worker([queue], worker_ttl=1))
    until(log.exists, message="the callback to be called")
    worker.signal(signal.SIGKILL)
    background(lambda: Worker([queue], worker_ttl=1))
    until(lambda: len(lines(log)) == 2, timeout=20, message="the callback to be called again")
    wait_for(job, "failed")
    assert [result.type.name for result in job.results()] == ["FAILED"]
    assert queue.store.workers.callbacks(["default"], 10) == []


@pytest.mark.parametrize("retries", [0, 1])
def test_the_next_worker_calls_the_callback_of_a_lost_job(
    queue: Queue, log: Path, background: Start, worker_class: type[Worker], retries: int
) -> None:
    started = log.with_name("started")
    retry = {"retry": Retry(max=retries)} if retries else {}
    job = queue.enqueue(samples.mark_once_and_hang, str(started), **retry, **options(log))
    worker = background(lambda: Worker([queue], worker_ttl=1))
    until(started.exists, message="the job to run")
    worker.signal(signal.SIGKILL)
    background(
        lambda: Worker(["other"], connection=queue.connection, worker_ttl=1)
    )  # it reaps the job, but cannot import its code
    until(lambda: not job.is_started, timeout=20, message="the loss to be noticed")
    assert lines(log) == []
    worker_class([queue]).work(burst=True)
    assert sorted(lines(log)) == ["failure AbandonedJobError", "success again True"][: retries + 1]
    assert (job.get_status(), len(job.results())) == (("finished", 2) if retries else ("failed", 1))
    assert queue.store.workers.callbacks(["default"], 10) == []
    assert not list(queue.connection.scan_iter("*callbacks:*"))


def test_a_callback_whose_worker_is_lost_too_is_claimed_again(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    kept, deleted, replaced = (queue.enqueue(samples.add, 1, **options(log)) for _ in range(3))
    for name in ("a", "b", "c"):
        assert queue.store.workers.claim(name, ["default"], 0.001) is not None
    until(lambda: queue.store.workers.sweep(10).more or kept.is_failed, message="the leases to run out")
    until(lambda: queue.store.workers.sweep(10).more or replaced.is_failed, message="the last lease to run out")
    deleted.delete()
    queue.enqueue_in(timedelta(hours=1), samples.add, 1, job_id=replaced.id, **options(log))
    (lost,) = queue.store.workers.callbacks(["other", "default"], 10)
    assert (lost.id, lost.execution) == (kept.id, 1)
    assert queue.store.workers.callbacks(["default"], 10) == []  # a worker has claimed it
    queue.connection.zadd(
        queue.store.session.keys("callbacks", "default"), {f"1:{lost.fields['nonce']}|{kept.id}": 0}
    )  # … and died
    worker_class([queue]).work(burst=True)
    assert lines(log) == ["failure AbandonedJobError"]
    assert queue.store.workers.called(lost) == "duplicate"


@pytest.mark.parametrize("retries", [0, 1])
def test_a_lost_job_without_ttl_is_deleted_after_its_callback(
    queue: Queue, log: Path, worker_class: type[Worker], retries: int
) -> None:
    retry = {"retry": Retry(max=retries)} if retries else {}
    job = queue.enqueue(samples.add, 1, failure_ttl=0, result_ttl=0, **retry, **options(log))
    assert queue.store.workers.claim("lost", ["default"], 0.001) is not None
    until(lambda: queue.store.workers.sweep(10).more or job.get_status() != "started", message="the lease to run out")
    worker_class([queue]).work(burst=True)
    assert sorted(lines(log)) == ["failure AbandonedJobError", "success 1 True"][: retries + 1]
    assert not Job.exists(job.id, queue.connection)
    assert len(queue.failed_job_registry) == 0


def test_a_removed_callback_keeps_no_job(queue: Queue, log: Path) -> None:
    job = queue.enqueue(samples.add, 1, failure_ttl=0, **options(log))
    assert queue.store.workers.claim("lost", ["default"], 0.001) is not None
    until(lambda: queue.store.workers.sweep(10).more or job.is_failed, message="the lease to run out")
    queue.store.jobs.save(job.id, {"on_failure": ""})
    assert queue.store.workers.callbacks(["default"], 10) == []
    assert not Job.exists(job.id, queue.connection)


def test_the_handler_of_a_killed_horse_may_forbid_the_retry(queue: Queue) -> None:
    def handler(job: Job, pid: int, status: int, usage: Any) -> None:
        job.retries_left = 0

    job = queue.enqueue(samples.die, retry=Retry(max=5))
    Worker([queue], work_horse_killed_handler=handler).work(burst=True)
    assert (job.get_status(), len(job.results())) == ("failed", 1)


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


def test_exception_handlers_are_called_in_order_until_one_returns_false(
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


def test_a_callback_may_be_a_coroutine_function(queue: Queue, log: Path, worker_class: type[Worker]) -> None:
    queue.enqueue(samples.add, 1, 2, **{**options(log), "on_success": samples.on_success_later})
    worker_class([queue]).work(burst=True)
    assert lines(log) == ["success 3 later"]


def test_an_invalid_callback_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="import"):
        queue.enqueue(samples.add, 1, on_success=lambda *_: None)
    with pytest.raises(UsageError, match="callback"):
        Callback(3)  # type: ignore[arg-type]


OBJECT = samples.Notifier()


@pytest.mark.parametrize("given", [OBJECT.bound, OBJECT, [].append, str.upper, partial(samples.Notifier.static)])
@pytest.mark.parametrize("name", ["on_success", "on_failure", "on_stopped"])
def test_a_callback_that_needs_an_object_is_refused_wherever_it_is_given(queue: Queue, name: str, given: Any) -> None:
    options = {name: given}
    for give in (
        lambda: Callback(given),
        lambda: queue.enqueue(samples.add, 1, **options),
        lambda: queue.enqueue_call(samples.add, (1,), **options),
        lambda: queue.create_job(samples.add, (1,), **options),
        lambda: Queue.prepare_data(samples.add, (1,), **options),
        lambda: Job.create(samples.add, (1,), **options),
        lambda: job_decorator(queue, **options)(samples.add).delay(1),
        lambda: CronJob("default", samples.add, args=(1,), interval=1, **options),
        lambda: register(samples.add, "default", (1,), interval=1, **options),
    ):
        with pytest.raises(ValueError, match=r"string or function|import it") as caught:
            give()
        assert isinstance(caught.value, UsageError)
    assert queue.count == 0


def test_a_static_method_is_a_callback(queue: Queue, work: Callable[..., None]) -> None:
    job = queue.enqueue(samples.add, 1, on_success=OBJECT.static)
    work()
    assert job.get_meta() == {"told": "static"}


def test_a_class_method_is_no_callback(queue: Queue) -> None:
    for given in (OBJECT.of_class, samples.Notifier.of_class):
        with pytest.raises(UsageError, match="must be a string or function"):
            queue.enqueue(samples.add, 1, on_success=given)
