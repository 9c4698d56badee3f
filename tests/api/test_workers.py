"""`Worker` and `SimpleWorker`: options, attributes and commands."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

import tests.api.samples as patched
from flowq import Queue, Retry, SimpleWorker, Worker
from flowq.command import send_command, send_kill_horse_command, send_shutdown_command, send_stop_job_command
from flowq.exceptions import InvalidJobOperation, NoSuchJobError, NoSuchWorkerError, UsageError
from flowq.job import Job
from flowq.store.client.session import Session
from flowq.store.schema.outcomes import Outcome
from flowq.store.schema.records import Registration
from flowq.suspension import is_suspended, resume, suspend
from flowq.timeouts import JobTimeoutException, TimerDeathPenalty
from flowq.worker import DequeueStrategy, WorkerStatus
from flowq.worker.signals import SAME_STOP
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for
from tests.support.server import PrivateServer
from tests.support.wait import until

Start = Callable[..., Background]


@pytest.fixture(params=[Worker, SimpleWorker])
def worker_class(request: pytest.FixtureRequest) -> type[Worker]:
    kind: type[Worker] = request.param
    return kind


class Politely(TimerDeathPenalty):
    """A user's death penalty with its own message."""

    def _message(self) -> str:
        return f"{self.job_id}: your time is up"


class LoudJob(Job):
    """A user's class of jobs."""

    def perform(self) -> Any:
        return "loud", super().perform()


def test_simple_worker_gives_a_timer_of_its_program_back(queue: Queue) -> None:
    """A program that limits its own time, as test runners do, still does after a job."""
    job = queue.enqueue(samples.add, 1, 2, job_timeout=30)
    rang: list[int] = []
    former = signal.signal(signal.SIGALRM, lambda number, _frame: rang.append(number))
    handler = signal.getsignal(signal.SIGALRM)
    try:
        signal.setitimer(signal.ITIMER_REAL, 600, 3)
        SimpleWorker([queue]).work(burst=True)
        assert job.result == 3
        assert signal.getsignal(signal.SIGALRM) is handler
        rest, interval = signal.getitimer(signal.ITIMER_REAL)
        assert rest > 500
        assert interval == 3
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


def test_a_job_that_works_keeps_its_own_timeout(queue: Queue) -> None:
    inner = Queue("inner", connection=queue.connection)
    done = inner.enqueue(samples.add, 1, 2, job_timeout=30)
    job = queue.enqueue(samples.work_and_sleep, "inner", job_timeout=1)
    SimpleWorker([queue]).work(burst=True)
    assert done.result == 3
    assert "ran longer than its timeout of 1 s" in str(job.exc_info)


def test_simple_worker_executes_in_its_own_process(queue: Queue) -> None:
    job, bad = queue.enqueue(samples.pid), queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=1))
    assert SimpleWorker([queue]).work(burst=True) is True
    assert job.result == os.getpid()
    assert bad.is_failed
    assert len(bad.results()) == 2
    assert SimpleWorker([queue]).work(burst=True) is False


def test_jobs_inherit_the_state_of_the_callers_process(
    queue: Queue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, worker_class: type[Worker]
) -> None:
    (tmp_path / "late_module.py").write_text("def answer():\n    return 42\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(patched, "add", lambda x, y=0: ("patched", x, y))
    jobs = [queue.enqueue("late_module.answer"), queue.enqueue("tests.api.samples.add", 1)]
    worker_class([queue]).work(burst=True)
    assert [job.result for job in jobs] == [42, ("patched", 1, 0)]


def test_jobs_see_the_functions_and_classes_of_the_main_program(queue: Queue, tmp_path: Path) -> None:
    path = queue.connection.connection_pool.connection_kwargs["path"]
    (tmp_path / "helpers.py").write_text("def double(thing):\n    return type(thing)(thing.number * 2)\n")
    (tmp_path / "program.py").write_text(
        "import helpers\n"
        "from flowq import Queue, Worker\n"
        "class Thing:\n"
        "    def __init__(self, number): self.number = number\n"
        "def of_main(): return 'of main'\n"
        "if __name__ == '__main__':\n"
        "    queue = Queue()\n"
        "    jobs = [queue.enqueue(helpers.double, Thing(21)), queue.enqueue('__main__.of_main')]\n"
        "    Worker([queue]).work(burst=True)\n"
        "    print(jobs[0].result.number, jobs[1].result)\n"
    )
    env = {**os.environ, "FLOWQ_REDIS_URL": f"unix://{path}", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "program.py"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.stdout == "42 of main\n", done.stderr


class OfOurs(Worker):
    """A worker whose classes are attributes, as in RQ."""

    job_class = LoudJob
    death_penalty_class = Politely


def test_a_subclass_of_worker_may_define_its_classes(queue: Queue) -> None:
    job = queue.enqueue(samples.class_of_current_job)
    slow = queue.enqueue(samples.spin, job_timeout=0.1)
    OfOurs([queue]).work(burst=True)
    assert job.result == ("loud", "LoudJob")
    assert "your time is up" in (slow.exc_info or "")


@pytest.mark.parametrize("kind", [Worker, SimpleWorker])
def test_a_worker_in_a_thread_is_refused_with_a_reason(queue: Queue, kind: type[Worker]) -> None:
    with ThreadPoolExecutor() as pool, pytest.raises(UsageError, match="main thread"):
        pool.submit(kind([queue]).work, burst=True).result()


def test_max_jobs_and_max_idle(queue: Queue, worker_class: type[Worker]) -> None:
    jobs = [queue.enqueue(samples.add, number) for number in range(3)]
    worker_class([queue]).work(max_jobs=2)
    assert [job.get_status() for job in jobs] == ["finished", "finished", "queued"]
    worker_class([queue]).work(max_idle_time=0.01)
    assert jobs[2].is_finished


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (DequeueStrategy.DEFAULT, ["a", "a", "a", "b", "b", "c"]),
        ("round_robin", ["a", "b", "c", "a", "b", "a"]),
    ],
)
def test_dequeue_strategies(
    connection: redis.Redis, tmp_path: Path, worker_class: type[Worker], strategy: Any, expected: list[str]
) -> None:
    log = tmp_path / "log"
    queues = [Queue(name, connection=connection) for name in "abc"]
    for queue, count in zip(queues, (3, 2, 1), strict=True):
        for _ in range(count):
            queue.enqueue(samples.write, str(log), f"{queue.name}\n")
    worker_class(queues).work(burst=True, dequeue_strategy=strategy)
    assert lines(log) == expected


def test_random_strategy_serves_all(connection: redis.Redis, worker_class: type[Worker]) -> None:
    jobs = [Queue(name, connection=connection).enqueue(samples.add, 1) for name in "abcd"]
    worker_class(list("abcd"), connection=connection).work(burst=True, dequeue_strategy=DequeueStrategy.RANDOM)
    assert all(job.is_finished for job in jobs)
    with pytest.raises(UsageError, match="round_robin"):
        worker_class(["a"], connection=connection).work(burst=True, dequeue_strategy="sideways")


def test_the_workers_result_ttl_is_for_jobs_without_one(queue: Queue, worker_class: type[Worker]) -> None:
    usual, own = queue.enqueue(samples.add, 1), queue.enqueue(samples.add, 1, result_ttl=100)
    worker_class([queue], default_result_ttl=70).work(burst=True)
    for job, seconds in ((usual, 70), (own, 100)):
        assert job.ended_at is not None
        lives = queue.finished_job_registry.get_expiration_time(job) - job.ended_at
        assert lives == timedelta(seconds=seconds)


def test_a_death_penalty_of_ones_own(queue: Queue, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.spin, job_timeout="100ms", job_id="mine")
    worker_class([queue], death_penalty_class=Politely).work(burst=True)
    assert job.is_failed
    assert "mine: your time is up" in (job.exc_info or "")


@pytest.mark.parametrize("seconds", [None, 0, 5])
def test_an_unused_timer_death_penalty_leaves_no_thread(seconds: float | None) -> None:
    with TimerDeathPenalty(seconds, JobTimeoutException) as penalty:
        pass
    assert not penalty.fired


def test_logging_is_set_up_when_asked_for(queue: Queue) -> None:
    logger = logging.getLogger("flowq.worker")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    try:
        logger.propagate = False
        logger.handlers[:] = []
        queue.enqueue(samples.add, 1)
        SimpleWorker([queue]).work(burst=True, logging_level="INFO", log_format="worker says %(message)s")
        assert logger.level == logging.INFO
        (handler,) = logger.handlers
        assert handler.formatter is not None
        assert handler.formatter._fmt == "worker says %(message)s"
    finally:
        logger.handlers[:], logger.level, logger.propagate = handlers, level, propagate


@pytest.mark.parametrize(("options", "heard"), [("", True), ("logging_level='ERROR'", False)])
def test_a_worker_of_a_program_tells_what_it_does(home: Path, *, options: str, heard: bool) -> None:
    """As RQ's does, where the program has not set up logging."""
    script = f"from flowq import Queue, Worker; Queue('a').enqueue(len, 'x'); Worker(['a']).work(burst=True, {options})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (": finished\n" in done.stderr) is heard
    assert bool(done.stderr) is heard


def test_wrong_options_are_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="at least one queue"):
        Worker([])
    with pytest.raises(TypeError, match="colour"):
        Worker([queue], colour="red")  # type: ignore[call-arg]
    Worker([queue], maintenance_interval=5, job_monitoring_interval=3, disable_default_exception_handler=True)


# -- attributes -------------------------------------------------------------------------------------------------------------------


def test_the_attributes_of_a_worker(queue: Queue, background: Start, tmp_path: Path, worker_class: type[Worker]) -> None:
    other = Queue("other", connection=queue.connection)
    assert (Worker.all(queue.connection), Worker.count(queue.connection)) == ([], 0)
    done, bad = queue.enqueue(samples.add, 1), queue.enqueue(samples.div_by_zero, 1)
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go-on"))
    process = background(lambda: worker_class([queue, other], name="w1", worker_ttl=1))
    wait_for(job, "started")
    assert Worker.count(queue=other) == 1
    assert Worker.count(queue=Queue("third", connection=queue.connection)) == 0
    (worker,) = Worker.all(queue.connection)
    assert worker == Worker.find("w1", queue.connection)
    assert (worker.name, worker.queue_names(), worker.pid) == ("w1", ["default", "other"], process.pid)
    until(lambda: worker.state == WorkerStatus.BUSY, message="the worker to say that it is busy")
    assert (worker.get_current_job_id(), worker.get_current_job()) == (job.id, job)
    until(lambda: (worker.successful_job_count, worker.failed_job_count) == (1, 1), message="the counters to be beaten")
    assert worker.total_working_time > 0
    assert worker.birth_date is not None
    assert worker.last_heartbeat is not None
    assert worker.birth_date <= worker.last_heartbeat <= datetime.now(UTC) + timedelta(seconds=1)
    (tmp_path / "go-on").touch()
    until(lambda: worker.get_state() == "idle", message="the worker to be idle again")
    assert worker.get_current_job() is None
    process.signal(signal.SIGTERM)
    process.wait()
    assert (worker.state, Worker.all(queue.connection)) == (None, [])
    assert (worker.pid, worker.birth_date is not None) == (process.pid, True)
    assert done.result == 1
    assert bad.is_failed


# -- commands ----------------------------------------------------------------------------------------------------------------


def test_suspend_and_resume(queue: Queue, background: Start, worker_class: type[Worker]) -> None:
    suspend(queue.connection)
    assert is_suspended(queue.connection)
    job = queue.enqueue(samples.add, 1)
    assert worker_class([queue]).work(burst=True) is False
    background(lambda: worker_class([queue], name="w1", worker_ttl=1))
    until(lambda: Worker.count(queue.connection) == 1)
    assert Worker.all(queue.connection)[0].state == WorkerStatus.SUSPENDED
    assert job.latest_result(timeout=0.3) is None
    assert resume(queue.connection) is True
    assert job.latest_result(timeout=10) is not None
    assert resume(queue.connection) is False


def test_a_suspension_may_have_a_duration(queue: Queue, background: Start) -> None:
    suspend(queue.connection, ttl=0.2)
    job = queue.enqueue(samples.add, 1)
    background(lambda: Worker([queue], worker_ttl=1))
    assert job.latest_result(timeout=10) is not None
    assert not is_suspended(queue.connection)


def test_shutdown_finishes_the_job(queue: Queue, background: Start, tmp_path: Path, worker_class: type[Worker]) -> None:
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go-on"))
    worker = background(lambda: worker_class([queue]))
    wait_for(job, "started")
    send_shutdown_command(queue.connection, worker.name)
    (tmp_path / "go-on").touch()
    assert worker.wait() == 0
    assert job.is_finished


def test_a_busy_simple_worker_obeys_a_shutdown_between_two_jobs(queue: Queue, background: Start, tmp_path: Path) -> None:
    jobs = [queue.enqueue(samples.pause, 0.2) for _ in range(40)]
    worker = background(lambda: SimpleWorker([queue]))
    wait_for(jobs[0], "started", "finished")
    send_shutdown_command(queue.connection, worker.name)
    assert worker.wait() == 0
    assert len(queue) > 20
    assert all(job.get_status() in {"finished", "queued"} for job in jobs)


def test_the_second_signal_requeues_the_job_of_a_simple_worker(queue: Queue, background: Start, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job = queue.enqueue(samples.mark_and_hang, str(started))
    worker = background(lambda: SimpleWorker([queue]))
    until(started.exists)
    worker.signal(signal.SIGINT)
    time.sleep(1.5 * SAME_STOP)  # an earlier one would be the same signal, and the first may be handled late
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert (job.get_status(), job.results()) == ("queued", [])


def test_signals_within_a_second_let_the_job_of_a_simple_worker_end(queue: Queue, background: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job = queue.enqueue(samples.wait_for_file, str(go))
    worker = background(lambda: SimpleWorker([queue]))
    until(Path(f"{go}.started").exists)
    worker.signal(signal.SIGINT)
    worker.signal(signal.SIGTERM)
    go.touch()
    assert worker.wait() == 0
    assert (job.get_status(), job.result) == ("finished", "seen")


def test_a_simple_worker_needs_one_call_a_job(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        queue.enqueue(samples.add, number)
    names: list[str] = []
    run = Session.run

    def counted(self: Session, name: str, *arguments: object) -> Any:
        names.append(name)
        return run(self, name, *arguments)

    monkeypatch.setattr(Session, "run", counted)
    SimpleWorker([queue]).work(burst=True)
    assert names.count("worker/exchange") == 21
    assert len(queue.finished_job_registry) == 20
    others = Counter(name for name in names if name != "worker/exchange")
    assert max(others.values()) < 10, "besides, only what is done once a second"


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_burst_worker_executes_what_is_overdue(queue: Queue, worker_class: type[Worker]) -> None:
    due = datetime.now(UTC) + timedelta(milliseconds=400)
    jobs = [queue.enqueue_at(due, samples.add, number) for number in range(3)]
    until(lambda: datetime.now(UTC) > due)
    assert all(job.get_status() == "scheduled" for job in jobs)
    worker_class([queue]).work(burst=True)
    assert [job.get_status() for job in jobs] == ["finished"] * 3


@pytest.mark.parametrize("name", [None, "mine"])
@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_burst_worker_executes_the_jobs_of_a_lost_worker(
    queue: Queue, background: Start, tmp_path: Path, worker_class: type[Worker], name: str | None
) -> None:
    """No worker was there meanwhile: that the server was, nothing shows. But the process is known to have ended."""
    job = queue.enqueue(samples.mark_and_hang, str(tmp_path / "started"))
    lost = background(lambda: Worker([queue], name="mine", worker_ttl=1))
    until((tmp_path / "started").exists)
    lost.signal(signal.SIGKILL)
    lost.wait()
    worker_class([queue], name=name).work(burst=True)
    assert job.is_started, "its lease has not run out"
    # The lease counts from the claim, which is later than the heartbeat of the registration.
    until(
        lambda: queue.store.now_ms() > int(queue.connection.zscore("{flowq}:leases", job.id) or 0),
        message="its lease to run out",
    )
    worker_class([queue], name=name).work(burst=True)
    assert job.is_failed
    assert "AbandonedJobError" in (job.exc_info or "")


def test_killing_the_horse_fails_the_job_and_the_worker_continues(queue: Queue, background: Start, tmp_path: Path) -> None:
    started = tmp_path / "started"
    job = queue.enqueue(samples.mark_and_hang, str(started))
    worker = background(lambda: Worker([queue]))
    until(started.exists)
    send_kill_horse_command(queue.connection, worker.name)
    wait_for(job, "failed")
    assert "on request" in (job.exc_info or "")
    after = queue.enqueue(samples.add, 1)
    assert after.latest_result(timeout=10) is not None


@pytest.mark.parametrize("worker_class", [Worker, SimpleWorker])
def test_a_workers_state_is_that_of_now(queue: Queue, background: Start, tmp_path: Path, worker_class: type[Worker]) -> None:
    """RQ's documentation: look whether a worker is busy, then kill its horse. No heartbeat has to come first."""
    background(lambda: worker_class([queue], name="w"))
    until(lambda: Worker.count(queue.connection) == 1, message="the worker to be listed")
    for number in range(3):
        started, go = tmp_path / f"{number}.started", tmp_path / f"{number}"
        job = queue.enqueue(samples.wait_for_file, str(go))
        until(started.exists, message="the job to run")
        (worker,) = Worker.all(queue.connection)
        assert (worker.state, worker.get_current_job_id(), worker.get_current_job()) == (WorkerStatus.BUSY, job.id, job)
        if worker.state == WorkerStatus.BUSY and number < 2 and worker_class is Worker:
            send_kill_horse_command(queue.connection, worker.name)
            wait_for(job, "failed")
        else:
            go.touch()
            wait_for(job, "finished")
        assert (worker.state, worker.get_current_job_id()) == (WorkerStatus.IDLE, None)


def test_invalid_commands(queue: Queue) -> None:
    for helper in (send_kill_horse_command, send_shutdown_command):
        helper(queue.connection, "missing")  # it may have gone just now
    with pytest.raises(NoSuchWorkerError, match="'missing'"):
        send_command(queue.connection, "missing", "kill-horse")
    for wrong in ("dance", "stop-job"):
        with pytest.raises(UsageError, match="kill-horse"):
            send_command(queue.connection, "missing", wrong)
    with pytest.raises(NoSuchJobError):
        send_stop_job_command(queue.connection, "missing")
    job = queue.enqueue(samples.add, 1)
    with pytest.raises(InvalidJobOperation, match="it is queued, not started"):
        send_stop_job_command(queue.connection, job.id)
    for command in ({"command": "stop-job"}, {"command": "stop-execution", "execution_id": "1"}):
        for job_id in (job.id, "missing"):  # as in RQ, a worker that does not execute it does nothing
            send_command(queue.connection, "missing", job_id=job_id, **command)
    assert job.is_queued


def test_the_worker_program_finds_modules_of_its_directory(queue: Queue, connection: redis.Redis, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("def answer(x):\n    return x + 1\n")
    job = queue.enqueue("only_here.answer", 41)
    path = connection.connection_pool.connection_kwargs["path"]
    subprocess.run(
        [sys.executable, "-m", "flowq.worker.main", "--burst", "--log-level", "error"],
        cwd=tmp_path,
        env={**os.environ, "FLOWQ_REDIS_URL": f"unix://{path}", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
    )
    assert job.result == 42


# -- names ---------------------------------------------------------------------------------------------------------------------


def listed(connection: redis.Redis, name: str) -> bool:
    return name in {worker.name for worker in Worker.all(connection)}


def test_a_name_in_use_is_refused_and_its_holder_stays_listed(
    queue: Queue, background: Start, worker_class: type[Worker]
) -> None:
    holder = background(lambda: worker_class([queue], name="mine"))
    until(lambda: listed(queue.connection, "mine"))
    job = queue.enqueue(samples.add, 1, 2)
    wait_for(job, "finished")
    for kind in (Worker, SimpleWorker):
        with pytest.raises(ValueError, match="exists an active worker named 'mine' already") as caught:
            kind([queue], name="mine").work(burst=True)
        assert isinstance(caught.value, UsageError)
        assert f"process {holder.pid} on" in str(caught.value)
    assert listed(queue.connection, "mine")
    holder.signal(signal.SIGTERM)
    assert holder.wait() == 0
    assert not listed(queue.connection, "mine")
    worker_class([queue], name="mine").work(burst=True)


def test_the_name_of_a_worker_that_was_killed_can_be_taken_at_once(
    queue: Queue, background: Start, worker_class: type[Worker]
) -> None:
    killed = background(lambda: worker_class([queue], name="mine"))
    until(lambda: listed(queue.connection, "mine"))
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert queue.store.workers.get("mine") is not None, "its record is still there"
    job = queue.enqueue(samples.add, 1, 2)
    assert worker_class([queue], name="mine").work(burst=True)
    assert job.is_finished


@pytest.mark.parametrize(("field", "value"), [("beat", "1"), ("lease", "0")])
def test_the_name_of_a_worker_elsewhere_can_be_taken_when_it_is_silent(queue: Queue, field: str, value: str) -> None:
    registration = Registration("mine", ("default",), "another.machine", 1)
    assert queue.store.workers.register(registration) is None
    assert queue.store.workers.register(registration) is None, "the reply to the first call may have been lost"
    with pytest.raises(ValueError, match=r"process 1 on another\.machine"):
        SimpleWorker([queue], name="mine").work(burst=True)
    queue.connection.hset("{flowq}:worker:mine", field, value)
    assert SimpleWorker([queue], name="mine").work(burst=True) is False
    assert queue.store.workers.leave("mine", registration.nonce) is Outcome.NOT_FOUND


def test_a_living_worker_that_was_forgotten_is_listed_again(
    queue: Queue, background: Start, worker_class: type[Worker]
) -> None:
    holder = background(lambda: worker_class([queue], name="mine", worker_ttl=1))
    until(lambda: listed(queue.connection, "mine"))
    queue.store.workers.leave("mine")  # as a later worker of the name does at its end, or a sweep when a worker was frozen
    assert not listed(queue.connection, "mine")
    until(lambda: listed(queue.connection, "mine"))
    found = Worker.find("mine", queue.connection)
    assert found is not None
    assert (found.pid, found.queue_names()) == (holder.pid, ["default"])
    job = queue.enqueue(samples.add, 1, 2)
    wait_for(job, "finished")
    assert job.worker_name == "mine"


def test_a_worker_that_was_frozen_is_listed_again(queue: Queue, background: Start, worker_class: type[Worker]) -> None:
    frozen = background(lambda: worker_class([queue], name="mine", worker_ttl=0.5))
    until(lambda: listed(queue.connection, "mine"))
    frozen.signal(signal.SIGSTOP)
    other = background(lambda: worker_class([queue], name="other", worker_ttl=0.5))
    until(lambda: not listed(queue.connection, "mine"), message="the other worker's sweeps forget it")
    frozen.signal(signal.SIGCONT)
    until(lambda: listed(queue.connection, "mine"))
    for worker in (frozen, other):
        worker.signal(signal.SIGTERM)
        assert worker.wait() == 0
    assert Worker.all(queue.connection) == []


def test_a_worker_whose_name_was_given_away_is_listed_when_the_other_is_gone(
    queue: Queue, background: Start, worker_class: type[Worker]
) -> None:
    """The first one was frozen until its name was free. Its heartbeats say nothing about the second one, which is killed later."""

    def pid() -> int | None:
        record = queue.store.workers.get_live("mine")
        return None if record is None else record.pid

    first = background(lambda: worker_class([queue], name="mine", worker_ttl=0.5))
    until(lambda: pid() == first.pid)
    first.signal(signal.SIGSTOP)
    until(
        lambda: queue.store.now_ms() - int(queue.connection.hget("{flowq}:worker:mine", "beat") or 0) > 1000,
        message="its name to be free",
    )
    second = background(lambda: worker_class([queue], name="mine", worker_ttl=0.5))
    until(lambda: pid() == second.pid)
    first.signal(signal.SIGCONT)
    before = queue.connection.hget("{flowq}:worker:mine", "beat")
    until(lambda: queue.connection.hget("{flowq}:worker:mine", "beat") != before)
    assert pid() == second.pid, "the name is that of the second one"
    second.signal(signal.SIGKILL)
    until(lambda: pid() == first.pid, message="the first one to have its name again")
    with pytest.raises(ValueError, match=f"process {first.pid} on"):
        SimpleWorker([queue], name="mine").work(burst=True)
    first.signal(signal.SIGTERM)
    assert first.wait() == 0
    assert Worker.all(queue.connection) == []


def test_a_worker_goes_on_after_the_data_was_deleted(queue: Queue, background: Start, worker_class: type[Worker]) -> None:
    worker = background(lambda: worker_class([queue], name="mine"))
    until(lambda: listed(queue.connection, "mine"))
    assert queue.enqueue(samples.add, 1, 2).latest_result(timeout=10) is not None
    queue.connection.flushall()
    until(lambda: listed(queue.connection, "mine"), message="the worker to register again")
    assert queue.enqueue(samples.add, 1, 2).latest_result(timeout=10) is not None
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_what_a_job_without_a_flow_printed_is_shown(
    server: PrivateServer, queue: Queue, capfd: pytest.CaptureFixture[str]
) -> None:
    from flowq.cli.main import run

    quiet = queue.enqueue(len, "x")
    loud = queue.enqueue(print, "first\nsecond")
    Worker([queue]).work(burst=True, logging_level="ERROR")
    capfd.readouterr()
    assert run(["-u", server.url, "logs", loud.id]) == 0
    assert capfd.readouterr().out == "first\nsecond\n"
    assert run(["-u", server.url, "logs", loud.id, "--grep", "sec", "--json"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    document = json.loads(line)
    assert (document["run"], document["id"], document["line"]) == (None, loud.id, "second")
    assert run(["-u", server.url, "logs", quiet.id]) == 0
    assert capfd.readouterr().err == "nothing was printed, or it is not kept any more\n"
    assert run(["-u", server.url, "logs", loud.id, "--follow"]) == 2
    assert "is in no run" in capfd.readouterr().err


def test_why_tells_of_a_job_without_a_flow(server: PrivateServer, queue: Queue, capfd: pytest.CaptureFixture[str]) -> None:
    from flowq.cli.main import run

    job = queue.enqueue(int, "x")
    after = queue.enqueue(len, "x", depends_on=job)
    capfd.readouterr()

    def why(target: Job) -> str:
        assert run(["-u", server.url, "why", target.id]) == 0
        return capfd.readouterr().out

    assert (
        why(job)
        == f"○ {job.id} queued: no worker listens on queue default\n\nnext: flowq worker default  # executes the jobs of the queue\n"
    )
    assert why(after).startswith(f"· {after.id} waiting: it waits for 1 job\n")
    Worker([queue]).work(burst=True, logging_level="ERROR")
    said = why(job)
    assert said.startswith(f"✖ {job.id} failed: ValueError: invalid literal for int() with base 10: 'x'\n  on worker ")
    assert f"flowq requeue --queue default {job.id}" in said
    assert run(["-u", server.url, "why", job.id, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["status"], document["reason"], document["attempts"]) == ("failed", "error", 1)
    assert "ValueError" in document["error"]
    assert "skipped" in why(after)
    assert run(["-u", server.url, "requeue", job.id]) == 0
