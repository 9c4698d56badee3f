"""The methods through which RQ's workers execute a job: called where a subclass or a patch replaces one, in the process of the job."""

import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeStrictRedis

from flowq import Queue, Retry, SimpleWorker, SpawnWorker, Worker
from flowq.job import Job
from flowq.states import JobStatus
from flowq.store.client.scripts import load
from tests.api import samples
from tests.api.classes import WritingSimpleWorker, WritingSpawnWorker, WritingWorker
from tests.api.conftest import lines
from tests.api.test_worker_command import Start, ended, start
from tests.support.wait import limited

__all__ = ["start"]  # the fixture

CHAIN = ["execute_job", "main_work_horse", "setup_work_horse_signals", "perform_job", "prepare_job_execution"]
SUCCESS = [*CHAIN, "handle_execution_ended", "handle_job_success"]
FAILURE = [*CHAIN, "handle_execution_ended", "handle_exception", "handle_job_failure"]
RETRY = [*CHAIN, "handle_execution_ended", "handle_job_retry"]
WORKERS = [WritingWorker, WritingSimpleWorker, WritingSpawnWorker]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which workers write what is called."""
    path = tmp_path / "log"
    monkeypatch.setenv("WRITE_TO", str(path))
    return path


def called(log: Path, job: Job) -> list[str]:
    """Return the methods that were called, without those that only workers with horses call."""
    found = [line.split() for line in lines(log)]
    assert {line[1] for line in found} == {job.id}
    return [line[0] for line in found]


def without_horse(expected: list[str], worker: type[Worker]) -> list[str]:
    horse = {"main_work_horse", "setup_work_horse_signals"} if issubclass(worker, SimpleWorker) else set()
    return [name for name in expected if name not in horse]


@pytest.mark.parametrize("worker", WORKERS)
def test_the_methods_of_a_subclass_are_called_in_order(queue: Queue, log: Path, worker: type[Worker]) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    assert worker([queue]).work(burst=True)
    assert (job.get_status(), job.result) == ("finished", 3)
    assert called(log, job) == without_horse(SUCCESS, worker)


@pytest.mark.parametrize("worker", WORKERS)
def test_the_methods_for_a_failure(queue: Queue, log: Path, worker: type[Worker]) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    worker([queue], exception_handlers=[samples.note_handled]).work(burst=True)
    assert job.is_failed
    assert job.exc_info is not None
    assert "ZeroDivisionError" in job.exc_info
    assert called(log, job) == without_horse(FAILURE, worker)
    assert job.get_meta() == {"handled": True}


@pytest.mark.parametrize("worker", [WritingWorker, WritingSimpleWorker])
def test_the_methods_for_a_returned_retry(queue: Queue, log: Path, worker: type[Worker]) -> None:
    job = queue.enqueue(samples.return_retry)
    worker([queue]).work(max_jobs=1)
    assert job.is_queued
    assert called(log, job) == without_horse(RETRY, worker)


def test_every_method_gets_the_same_job_and_may_change_it(queue: Queue, log: Path) -> None:
    seen: list[Any] = []

    class Sharing(SimpleWorker):
        def perform_job(self, job: Job, queue: Queue, execution: Any = None) -> bool:
            seen.append(job)
            job.meta["trace"] = "t1"
            assert execution.job_id == job.id
            return super().perform_job(job, queue, execution)

        def handle_job_success(self, *_: Any, **described: Any) -> None:
            job = described["job"]
            seen.append(job)
            assert job.meta["trace"] == "t1"
            assert job.get_status(refresh=False) is JobStatus.FINISHED

    queue.enqueue(samples.add, 1)
    Sharing([queue]).work(burst=True)
    assert len(seen) == 2
    assert seen[0] is seen[1]


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_patches_of_the_class_are_called(queue: Queue, log: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Worker]) -> None:
    original = Worker.perform_job

    def patched(self: Worker, job: Job, queue: Queue, *arguments: Any) -> bool:
        with log.open("a") as stream:
            stream.write(f"{self.is_horse}\n")
        return original(self, job, queue, *arguments)

    monkeypatch.setattr(Worker, "perform_job", patched)
    job = queue.enqueue(samples.add, 1, 2)
    kind([queue]).work(burst=True)
    assert (job.result, lines(log)) == (3, [str(kind is Worker)])


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_patches_of_an_instance_are_called(queue: Queue, log: Path, kind: type[Worker]) -> None:
    worker = kind([queue])

    def handle(job: Job, *reason: Any) -> None:
        log.write_text(f"{job.id} {reason[0].__name__}")

    worker.handle_exception = handle  # type: ignore[method-assign]
    job = queue.enqueue(samples.div_by_zero, 1)
    worker.work(burst=True)
    assert lines(log) == [f"{job.id} ZeroDivisionError"]


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
@pytest.mark.parametrize("name", ["perform", "_execute"])
def test_patches_of_job_are_called(queue: Queue, monkeypatch: pytest.MonkeyPatch, kind: type[Worker], name: str) -> None:
    original = getattr(Job, name)
    monkeypatch.setattr(Job, name, lambda self: ("patched", original(self)))
    job = queue.enqueue(samples.add, 1, 2)
    kind([queue]).work(burst=True)
    assert job.result == ("patched", 3)


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_a_module_that_a_job_imports_may_patch_job(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: type[Worker]
) -> None:
    (tmp_path / "tracing_module.py").write_text(
        "from flowq.job import Job\n"
        "original = Job.perform\n"
        "def traced(self):\n    return 'traced', original(self)\n"
        "Job.perform = traced\n"
        "def answer():\n    return 42\n"
    )
    monkeypatch.setattr(Job, "perform", Job.perform)  # restored after the test
    monkeypatch.syspath_prepend(str(tmp_path))
    job = queue.enqueue("tracing_module.answer")
    kind([queue]).work(burst=True)
    assert job.result == ("traced", 42)


class WrappingJob(Job):
    """A user's class of jobs that wraps the function, as flask-rq does."""

    @property
    def func(self) -> Callable[..., Any]:  # type: ignore[override]
        function = super().func
        return lambda *args: ("wrapped", function(*args))


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_a_replaced_part_of_perform_is_used(queue: Queue, kind: type[Worker]) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    kind([queue], job_class=WrappingJob).work(burst=True)
    assert job.result == ("wrapped", 3)


def test_the_class_of_jobs_of_a_queue_performs_them_in_sync_mode(queue: Queue) -> None:
    inline = Queue("inline", is_async=False, connection=queue.connection, job_class=WrappingJob)
    assert inline.enqueue(samples.class_of_current_job).result == ("wrapped", "WrappingJob")


def test_a_method_that_raises_fails_the_job_and_not_the_worker(queue: Queue) -> None:
    class Broken(Worker):
        def perform_job(self, *_: Any, **__: Any) -> bool:
            raise LookupError("no tracer")

    job, after = queue.enqueue(samples.add, 1), queue.enqueue(samples.add, 2)
    Broken([queue]).work(burst=True)
    assert job.is_failed
    assert after.is_failed
    assert "no tracer" in (job.exc_info or "")


def test_the_end_of_a_job_stands_when_a_method_raises_after_it(queue: Queue, capfd: pytest.CaptureFixture[str]) -> None:
    class Late(SimpleWorker):
        def perform_job(self, job: Job, queue: Queue, execution: Any = None) -> bool:
            super().perform_job(job, queue, execution)
            raise LookupError("too late")

    job = queue.enqueue(samples.add, 1, 2)
    Late([queue]).work(burst=True)
    assert (job.get_status(), job.result) == ("finished", 3)
    assert "too late" in capfd.readouterr().err


def test_a_method_that_does_not_call_the_original_fails_the_job(queue: Queue) -> None:
    class Forgetful(Worker):
        def perform_job(self, *_: Any, **__: Any) -> bool:
            return True

    job = queue.enqueue(samples.add, 1)
    Forgetful([queue]).work(burst=True)
    assert job.is_failed
    assert "Forgetful did not call the original one" in (job.exc_info or "")


def test_a_worker_without_replaced_methods_makes_no_job(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    worker = SimpleWorker([queue])
    monkeypatch.setattr("flowq.job.Job.fetch", lambda *_: pytest.fail("a job was fetched"))
    worker.work(burst=True)
    assert job.result == 3


def test_jobs_in_sync_mode_are_not_the_workers(queue: Queue, log: Path) -> None:
    job = queue.enqueue(samples.enqueue_in_sync_mode)
    WritingSimpleWorker([queue]).work(burst=True)
    assert job.result == "finished"
    assert called(log, job) == without_horse(SUCCESS, WritingSimpleWorker)


@pytest.mark.parametrize("name", ["fork_work_horse", "heartbeat", "register_birth", "set_state"])
def test_a_method_that_is_never_called_warns_at_construction(queue: Queue, name: str) -> None:
    kind = type("Mine", (Worker,), {name: lambda *_: None})
    with pytest.warns(RuntimeWarning, match=rf"flowq never calls Mine\.{name}: its worker does that in another way"):
        kind([queue])


def test_others_do_not_warn(queue: Queue) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in (Worker, SimpleWorker, SpawnWorker, *WORKERS):
            kind([queue])


def test_by_hand_a_waiting_job_is_executed_here(queue: Queue, log: Path) -> None:
    job, bad = queue.enqueue(samples.pid), queue.enqueue(samples.div_by_zero, 1)
    worker = SimpleWorker([queue])
    worker.execute_job(job, queue)
    assert job.result == os.getpid()
    assert worker.perform_job(bad, queue) is False
    assert bad.is_failed
    assert worker.perform_job(bad, queue) is False
    assert not worker.is_horse
    writing = WritingWorker([queue])
    again = queue.enqueue(samples.add, 1)
    assert writing.perform_job(again, queue)
    assert [name for name in called(log, again) if name == "perform_job"] == ["perform_job"]


def test_the_methods_for_a_horse_that_died_are_called_by_the_worker(queue: Queue) -> None:
    heard: list[Any] = []

    class Watching(Worker):
        def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
            heard.append((job.id, os.WTERMSIG(ret_val), rusage.ru_maxrss > 0))
            super().handle_work_horse_killed(job, retpid, ret_val, rusage)

        def handle_job_failure(self, *_: Any, **described: Any) -> None:
            heard.append((described["job"].id, described["queue"].name, "SIGKILL" in described["exc_string"]))

    job = queue.enqueue(samples.die)
    Watching([queue], work_horse_killed_handler=lambda *what: heard.append(len(what))).work(burst=True)
    assert heard == [(job.id, 9, True), 4, (job.id, queue.name, True)]


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_callbacks_are_shown_the_status_of_the_end(queue: Queue, kind: type[Worker]) -> None:
    good = queue.enqueue(samples.add, 1, on_success=samples.note_status)
    bad = queue.enqueue(samples.div_by_zero, 1, on_failure=samples.note_status)
    kind([queue]).work(burst=True)
    assert (good.get_meta(), bad.get_meta()) == ({"status": "finished"}, {"status": "failed"})


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_failures_need_not_be_listed(queue: Queue, kind: type[Worker]) -> None:
    listed = queue.enqueue(samples.div_by_zero, 1)
    kind([queue]).work(burst=True)
    job, retried = queue.enqueue(samples.div_by_zero, 1), queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=1))
    kind([queue], disable_default_exception_handler=True).work(burst=True)
    assert job.is_failed
    assert retried.is_failed
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert queue.failed_job_registry.get_job_ids() == [listed.id]
    job.requeue()
    kind([queue]).work(burst=True)
    assert sorted(queue.failed_job_registry.get_job_ids()) == sorted([listed.id, job.id])


def test_what_a_program_sets_is_shown_by_its_object(queue: Queue) -> None:
    worker = Worker([queue])
    worker.hostname = "a-host"
    worker.total_working_time = worker.total_working_time / 1000 + 2
    job = queue.enqueue(samples.add, 1)
    job.worker_name = "a-worker"
    assert (worker.hostname, worker.total_working_time, job.worker_name) == ("a-host", 2.0, "a-worker")
    worker.work(burst=True)
    assert job.is_finished
    assert Job.fetch(job.id, queue.connection).worker_name == worker.name


def test_a_preloaded_module_may_patch_the_worker_of_the_command(start: Start, queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "tracing_module.py").write_text(
        "import flowq.worker.worker as worker\n"
        "original = worker.Worker.perform_job\n"
        "def traced(self, job, queue, *rest):\n"
        "    done = original(self, job, queue, *rest)\n"
        "    open('traced', 'a').write(f'{self.name} {self.is_horse} {queue.name} {job.func_name} {done}\\n')\n"
        "    return done\n"
        "worker.Worker.perform_job = traced\n"
    )
    job = queue.enqueue("math.sqrt", 4)
    ended(start("--burst", "-n", "mine", "-P", ".", "--preload", "tracing_module"))
    assert job.result == 2.0
    assert lines(tmp_path / "traced") == [f"mine True {queue.name} math.sqrt True"]


class TestOnAServerInMemory:
    """fakeredis: the worker's process alone sees the data, and a process for each job sees a copy."""

    @pytest.fixture
    def memory(self) -> Queue:
        return Queue(connection=FakeStrictRedis())

    @pytest.mark.parametrize("kind", [Worker, SimpleWorker])
    def test_workers_execute_jobs(self, memory: Queue, kind: type[Worker]) -> None:
        job, bad = memory.enqueue(samples.pid), memory.enqueue(samples.div_by_zero, 1, retry=Retry(max=1))
        assert kind([memory]).work(burst=True)
        assert (job.result == os.getpid()) == (kind is SimpleWorker)
        assert (bad.get_status(), len(bad.results())) == ("failed", 2)

    def test_a_process_that_a_job_has_left_is_not_waited_for(self, memory: Queue) -> None:
        job = memory.enqueue(samples.leave_a_daemon)
        with limited(6):
            assert Worker([memory]).work(burst=True)
        os.kill(job.result, signal.SIGKILL)

    def test_a_process_that_dies_is_a_failure(self, memory: Queue) -> None:
        heard: list[Any] = []
        job, late = memory.enqueue(samples.die), memory.enqueue(samples.swallow_everything, job_timeout=1)
        Worker([memory], work_horse_killed_handler=lambda *what: heard.append(what[2])).work(burst=True)
        assert (job.get_status(), heard) == ("failed", [9])
        assert "SIGKILL" in (job.exc_info or "")
        assert late.is_failed
        assert "timeout" in (late.exc_info or "")

    def test_methods_are_called_in_the_process_of_the_job(self, memory: Queue, log: Path) -> None:
        job = memory.enqueue(samples.add, 1, 2)
        WritingWorker([memory]).work(burst=True)
        assert (job.result, called(log, job)) == (3, SUCCESS)


def test_a_script_is_shown_by_its_name() -> None:
    text = load("job/create").text
    assert repr(text) == "<script job/create>"
    assert "function T.create()" in str.__str__(text)
