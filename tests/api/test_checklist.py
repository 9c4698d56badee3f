"""The promises of the documents: sentences S1 to S84, and the decisions on their contradictions C1 to C20.

The name of a test has the numbers of the sentences that it checks; the last test ensures that none is missing.
"""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import redis

import flowq
from flowq import Queue, Retry, Worker, defaults
from flowq.decorators import job as job_decorator
from flowq.exceptions import InvalidJobDependency, NoSuchJobError, UsageError
from flowq.job import Dependency, Job, JobStatus
from flowq.registry import FailedJobRegistry
from flowq.results import Result
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for
from tests.support.wait import until

Work = Callable[..., None]
Start = Callable[..., Background]


# -- imports, queue and enqueue ------------------------------------------------------------------------------------------------


def test_s1_the_names_are_where_the_documents_import_them_from() -> None:
    code = (
        "from flowq import Queue, Worker, Retry, get_current_job; from flowq.job import Job; from flowq.decorators import job;"
        " print(Queue.__name__, Worker.__name__, Retry.__name__, get_current_job.__name__, Job.__name__, job.__name__)"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.split() == ["Queue", "Worker", "Retry", "get_current_job", "Job", "job"]


def test_s2_a_queue_without_a_name_is_the_default_one(connection: redis.Redis) -> None:
    assert Queue(connection=connection).name == "default"


def test_s3_s24_a_queue_exists_from_its_first_job_on(connection: redis.Redis) -> None:
    low = Queue("low", connection=connection)
    assert low not in Queue.all(connection)
    low.enqueue(samples.add, 1)
    assert low in Queue.all(connection)
    low.delete(delete_jobs=True)
    assert low not in Queue.all(connection)
    low.enqueue(samples.add, 1)
    assert low in Queue.all(connection)


def test_s4_s30_s31_c1_no_connection_is_needed(connection: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    path = connection.connection_pool.connection_kwargs["path"]
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{path}")
    monkeypatch.setattr("flowq.connections.stores._default", None)
    assert Queue().name == "default"
    high = Queue("high", default_timeout=8)
    job = Job.create(samples.add, (1, 2))
    assert job.get_status() is JobStatus.CREATED
    high.enqueue_job(job)
    assert Job.fetch(job.id).timeout == 8
    assert Job.fetch(high.enqueue(samples.add, 1, job_timeout=9).id).timeout == 9
    Worker([high]).work(burst=True)
    assert job.result == 3


def test_s5_s6_s7_enqueue_returns_a_job_and_a_worker_runs_it_later(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.echo, 1, "two", three={"3": [3]})
    assert isinstance(job, Job)
    assert job.id
    assert job.result is None
    work()
    assert job.result == ((1, "two"), {"three": {"3": [3]}})


def test_s8_the_options_are_not_passed_to_the_function(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.nothing)
    job = queue.enqueue(
        samples.echo,
        1,
        job_timeout=60,
        result_ttl=100,
        ttl=50,
        failure_ttl=10,
        depends_on=parent,
        job_id="mine",
        at_front=True,
        description="text",
    )
    work()
    assert job.result == ((1,), {})
    assert queue.enqueue(samples.echo, args=(1,), kwargs={"x": 2}).args == (1,)


def test_s9_s10_s44_explicit_arguments(queue: Queue, work: Work) -> None:
    both = queue.enqueue(samples.echo, ttl=30, args=("http://example.org",), kwargs={"description": "mine", "ttl": 15})
    created = Job.create(samples.echo, ttl=30, args=("http://example.org",), kwargs={"description": "mine", "ttl": 15})
    queue.enqueue_job(created)
    timed = queue.enqueue(samples.echo, args=("foo",), kwargs={"bar": "qux"}, job_timeout=600)
    assert (both.ttl, created.ttl, timed.timeout) == (30, 30, 600)
    work()
    assert both.result == created.result == (("http://example.org",), {"description": "mine", "ttl": 15})
    assert timed.result == (("foo",), {"bar": "qux"})


def test_s11_a_dotted_name_needs_no_import_here(queue: Queue, tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text("def power(x, y):\n    return x ** y\n")
    job = queue.enqueue("elsewhere.power", 3, 4)
    child = os.fork()
    if child == 0:
        sys.path.insert(0, str(tmp_path))
        Worker([queue]).work(burst=True)
        os._exit(0)
    os.waitpid(child, 0)
    assert job.result == 81
    assert "elsewhere" not in sys.modules


def test_s12_enqueue_call_takes_the_options_of_create(queue: Queue, work: Work) -> None:
    job = queue.enqueue_call(samples.add, args=(3,), kwargs={"y": 4}, timeout=7, result_ttl=86400)
    work()
    job.refresh()
    assert (job.result, job.timeout, job.result_ttl) == (7, 7, 86400)


def test_s13_s14_s15_id_front_and_description(queue: Queue) -> None:
    queue.enqueue(samples.add, 1, job_id="first")
    queue.enqueue(samples.add, 2, job_id="my_job_id", at_front=True, description="the second")
    assert queue.job_ids == ["my_job_id", "first"]
    assert Job.fetch("my_job_id", connection=queue.connection).description == "the second"


def test_s16_a_function_of_main_cannot_be_enqueued(queue: Queue) -> None:
    function = FunctionType(samples.nothing.__code__, {}, "f")
    function.__module__ = "__main__"
    with pytest.raises(UsageError, match="__main__"):
        queue.enqueue(function)
    assert len(queue) == 0


def test_s17_whatever_can_be_pickled_travels(queue: Queue, work: Work) -> None:
    value = {"when": datetime.now(UTC), "set": {1, 2}, "tuple": (1,), "bytes": b"\0", "object": samples.Counter(3)}
    job = queue.enqueue(samples.echo, value)
    work()
    returned = job.result[0][0]
    assert {**returned, "object": returned["object"].start} == {**value, "object": 3}
    assert pickle.loads(job.payload())[0] == "tests.api.samples.echo"  # noqa: S301 - our own bytes


# -- looking into a queue ------------------------------------------------------------------------------------------------------


def test_s18_s19_s20_s21_s83_looking_into_a_queue(queue: Queue) -> None:
    first = queue.enqueue(samples.add, 1, job_id="my_id")
    second = queue.enqueue(samples.add, 2)
    queue.enqueue(samples.add, 3, depends_on=first)
    assert len(queue) == queue.count == 2
    assert queue.job_ids == ["my_id", second.id]
    assert queue.jobs == [first, second]
    assert all(isinstance(job, Job) for job in queue.jobs)
    found = queue.fetch_job("my_id")
    assert found == first
    assert found is not None
    assert found.args == (1,)


def test_s22_c13_empty_deletes_the_jobs_and_decides_their_dependents(queue: Queue) -> None:
    jobs = [queue.enqueue(samples.add, number) for number in range(250)]
    child = queue.enqueue(samples.add, 1, depends_on=jobs[0])
    assert queue.empty() == 250
    assert len(queue) == 0
    assert not Job.exists(jobs[0].id, connection=queue.connection)
    assert child.is_skipped
    assert child.skip_reason == "upstream_canceled"


def test_s23_delete_removes_queue_and_jobs(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    queue.delete(delete_jobs=True)
    assert queue not in Queue.all(queue.connection)
    assert not Job.exists(job.id, connection=queue.connection)


# -- timeouts ------------------------------------------------------------------------------------------------------------------


def test_s25_the_default_timeout_is_180_seconds(queue: Queue) -> None:
    assert Job.fetch(queue.enqueue(samples.nothing).id, connection=queue.connection).timeout == 180


@pytest.mark.parametrize(
    ("given", "seconds"), [(2, 2), ("2", 2), ("1h", 3600), ("3m", 180), ("5s", 5), ("2d", 172800)], ids=str
)
def test_s26_s27_s28_c16_timeouts_are_numbers_or_texts(queue: Queue, given: Any, seconds: float) -> None:
    queue.enqueue(samples.nothing, job_timeout=given, job_id="enqueued")
    queue.enqueue_job(Job.create(samples.nothing, timeout=given, id="created"))
    jobs = Job.fetch_many(["enqueued", "created"], connection=queue.connection)
    assert [job.timeout if job else None for job in jobs] == [seconds, seconds]


def test_s29_s75_c8_c9_a_job_over_its_timeout_is_killed_and_failed(queue: Queue, work: Work) -> None:
    hanging = queue.enqueue(samples.hang, job_timeout="200ms")
    swallowing = queue.enqueue(samples.swallow_everything, job_timeout="200ms")
    after = queue.enqueue(samples.add, 1, 2)
    work()
    for job in (hanging, swallowing):
        assert job.is_failed
        assert "timeout" in (job.exc_info or "")
        assert job in queue.failed_job_registry
    assert after.result == 3


# -- times to live -------------------------------------------------------------------------------------------------------------


def lives(queue: Queue, job: Job, registry: Any) -> float:
    """Return the seconds for which an ended job is kept."""
    assert job.ended_at is not None
    return float((registry.get_expiration_time(job) - job.ended_at) / timedelta(seconds=1))


def test_s32_s33_s35_finished_jobs_live_for_their_result_ttl(queue: Queue, work: Work) -> None:
    usual = queue.enqueue(samples.add, 1)
    day = queue.enqueue(samples.add, 1, result_ttl=86400)
    forever = queue.enqueue(samples.add, 1, result_ttl=-1)
    short = queue.enqueue(samples.add, 1, result_ttl="30ms")
    work()
    registry = queue.finished_job_registry
    assert (lives(queue, usual, registry), lives(queue, day, registry)) == (500, 86400)
    assert forever in registry
    assert queue.connection.pttl(queue.store.session.keys("job", forever.id)) == -1
    until(lambda: not Job.exists(short.id, connection=queue.connection), message="the short-lived job to expire")
    assert short.result is None


def test_s34_a_result_ttl_of_zero_leaves_nothing(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.add, 1, result_ttl=0)
    work()
    assert not Job.exists(job.id, connection=queue.connection)
    assert len(queue.finished_job_registry) == 0


def test_s36_c3_jobs_that_return_nothing_are_kept_as_well(queue: Queue, work: Work) -> None:
    job, explicit = queue.enqueue(samples.nothing), queue.enqueue(samples.nothing, result_ttl=500)
    work()
    for item in (job, explicit):
        latest = item.latest_result()
        assert latest is not None
        assert (latest.type, latest.return_value) == (Result.Type.SUCCESSFUL, None)
        assert lives(queue, item, queue.finished_job_registry) == 500


def test_s37_s38_s45_a_job_that_waited_too_long_is_never_executed(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    late = queue.enqueue(samples.write, str(log), "late\n", ttl="20ms")
    patient = Job.create(func=samples.write, args=(str(log), "patient\n"), ttl=43)
    queue.enqueue_job(patient)
    assert queue.enqueue(samples.write, str(log), "ever\n").ttl is None
    assert patient.ttl == 43
    until(lambda: len(queue) == 2, message="the ttl to be counted out")
    work()
    assert lines(log) == ["patient", "ever"]
    assert late.get_status() == "failed"


def test_s39_s40_failed_jobs_live_for_a_year_or_their_failure_ttl(queue: Queue, work: Work) -> None:
    usual, short = queue.enqueue(samples.div_by_zero, 1), queue.enqueue(samples.div_by_zero, 1, failure_ttl=300)
    work()
    registry = queue.failed_job_registry
    assert (lives(queue, usual, registry), lives(queue, short, registry)) == (365 * 86400, 300)


# -- jobs ----------------------------------------------------------------------------------------------------------------------


def test_s41_s42_c2_create_with_one_text_argument(queue: Queue, work: Work) -> None:
    job = Job.create(samples.echo, "http://nvie.com", id="my_job_id")
    queue.enqueue_job(job)
    work()
    assert Job.fetch("my_job_id", connection=queue.connection).result == (("http://nvie.com",), {})


def test_s43_create_takes_all_its_options(queue: Queue) -> None:
    parent = queue.enqueue(samples.nothing)
    job = Job.create(
        samples.echo,
        args=[1],
        kwargs={"x": 2},
        timeout="5s",
        result_ttl=10,
        ttl=20,
        failure_ttl=30,
        depends_on=parent,
        id="mine",
        description="text",
        connection=queue.connection,
        status=JobStatus.QUEUED,
        origin="default",
        meta={"a": 1},
    )
    queue.enqueue_job(job)
    found = Job.fetch("mine", connection=queue.connection)
    assert (found.timeout, found.result_ttl, found.ttl, found.failure_ttl) == (5, 10, 20, 30)
    assert (found.dependency_ids, found.description, found.origin, found.meta) == ([parent.id], "text", "default", {"a": 1})
    assert (found.args, found.kwargs, found.get_status()) == ((1,), {"x": 2}, JobStatus.DEFERRED)


def test_s46_s47_s48_s49_what_a_fetched_job_tells(queue: Queue, work: Work) -> None:
    queue.enqueue(samples.add, 3, y=4, job_id="my_job_id")
    queue.enqueue(samples.div_by_zero, 1, job_id="bad")
    assert Job.fetch("my_job_id", connection=queue.connection).get_status() == "queued"
    work()
    job = Job.fetch("my_job_id", connection=queue.connection)
    assert (job.get_status(), job.func_name, job.args, job.kwargs) == ("finished", "tests.api.samples.add", (3,), {"y": 4})
    assert (job.result, job.exc_info, job.origin) == (7, None, "default")
    assert job.description == "tests.api.samples.add(3, y=4)"
    assert job.enqueued_at is not None
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.created_at <= job.enqueued_at <= job.started_at <= job.ended_at
    assert "ZeroDivisionError" in (Job.fetch("bad", connection=queue.connection).exc_info or "")


def test_s50_many_jobs_are_fetched_in_one_round_trip(queue: Queue) -> None:
    ids = [queue.enqueue(samples.add, number).id for number in range(100)]
    before = reads(queue.connection)
    jobs = Job.fetch_many([*ids, "missing"], connection=queue.connection)
    assert [job.func_name for job in jobs if job] == ["tests.api.samples.add"] * 100
    assert jobs[-1] is None
    assert reads(queue.connection) - before < 8, "one pipeline is read in a few pieces, 101 requests would be 101 reads"


def reads(connection: redis.Redis) -> int:
    """Return the number of reads by the server from its clients."""
    return int(connection.info("stats")["total_reads_processed"])


def test_s51_s52_the_current_job_and_its_meta(queue: Queue, background: Start, tmp_path: Path) -> None:
    assert flowq.get_current_job() is None
    go_on = tmp_path / "go-on"
    job, told = queue.enqueue(samples.who_am_i), queue.enqueue(samples.meta_then_wait, str(go_on))
    background(lambda: Worker([queue]))
    until(lambda: Job.fetch(told.id, connection=queue.connection).meta == {"progress": 50}, message="meta of a running job")
    assert told.get_status() == "started"
    go_on.touch()
    wait_for(told, "finished")
    assert job.result == job.id
    assert Job.fetch(job.id, connection=queue.connection).meta == {"handled_by": "me"}


# -- results -------------------------------------------------------------------------------------------------------------------


def test_s53_a_result_is_readable_from_another_process(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.add, 20, 22)
    work()
    path = queue.connection.connection_pool.connection_kwargs["path"]
    code = (
        "import sys, redis; from flowq.job import Job;"
        " print(Job.fetch(sys.argv[1], connection=redis.Redis(unix_socket_path=sys.argv[2])).result)"
    )
    printed = subprocess.run([sys.executable, "-c", code, job.id, path], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "42"


def test_s54_s55_s56_s57_s58_s59_c4_c5_results(queue: Queue, work: Work) -> None:
    good, bad = queue.enqueue(samples.add, 1, 2), queue.enqueue(samples.div_by_zero, 1)
    work()
    result, failure = good.latest_result(), bad.latest_result()
    assert isinstance(result, Result)
    assert isinstance(failure, Result)
    assert result.type == result.Type.SUCCESSFUL
    assert failure.type == failure.Type.FAILED
    assert (result.return_value, result.exc_string) == (3, None)
    assert failure.return_value is None
    assert "ZeroDivisionError" in (failure.exc_string or "")
    assert good.ended_at == result.created_at
    assert (good.return_value(), bad.return_value()) == (3, None)
    assert (good.result, bad.exc_info) == (3, failure.exc_string)


def test_s60_s61_c6_c7_every_execution_leaves_a_result_and_ten_are_kept(queue: Queue, work: Work, tmp_path: Path) -> None:
    job = queue.enqueue(samples.fail_until, str(tmp_path / "log"), 15, retry=Retry(max=20))
    work()
    results = job.results()
    assert [result.type for result in results] == [Result.Type.SUCCESSFUL] + [Result.Type.RETRIED] * 9
    assert [result.execution for result in results] == list(range(15, 5, -1))
    assert "attempt 14" in (results[1].exc_string or "")


def test_s62_s63_s64_waiting_for_a_result(queue: Queue, background: Start, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    job = queue.enqueue(samples.wait_for_file, str(go_on))
    assert job.latest_result(timeout=0.05) is None
    background(lambda: Worker([queue]))
    wait_for(job, "started")
    go_on.touch()
    result = job.latest_result(timeout=20)
    assert result is not None
    assert result.return_value == "seen"
    begun = time.monotonic()
    assert job.latest_result(timeout=20) is not None
    assert time.monotonic() - begun < 5


# -- retry by return value -----------------------------------------------------------------------------------------------------


def test_s65_c10_a_returned_retry_is_carried_out_without_a_scheduler(queue: Queue, work: Work) -> None:
    at_once = queue.enqueue(samples.return_retry, max=3, interval=0)
    later = queue.enqueue(samples.return_retry, max=3, interval=60)
    work()
    assert [result.type for result in at_once.results()] == [Result.Type.MAX_RETRIES_EXCEEDED] + [Result.Type.RETRIED] * 3
    assert later.get_status() == "scheduled"
    due = queue.scheduled_job_registry.get_scheduled_time(later)
    assert later.ended_at is not None
    assert (due - later.ended_at) == timedelta(seconds=60)


def test_s65_due_retries_are_promoted_by_the_worker_itself(queue: Queue, background: Start) -> None:
    job = queue.enqueue(samples.return_retry, max=1, interval=0.05)
    background(lambda: Worker([queue]))
    wait_for(job, "failed")
    assert len(job.results()) == 2


def test_s66_the_two_kinds_of_retry_are_counted_apart(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.return_retry, max=2, interval=0, retry=Retry(max=5))
    work()
    assert len(job.results()) == 3
    assert job.is_failed


def test_c20_the_last_interval_repeats_for_every_kind_of_retry() -> None:
    retry = Retry(max=5, interval=[1, 10])
    assert [retry.interval_for(number) for number in (1, 2, 3)] == [1, 10, 10]


# -- failures ------------------------------------------------------------------------------------------------------------------


def test_s67_s68_s69_s70_a_failed_job_and_its_registry(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    registry = queue.failed_job_registry
    assert isinstance(registry, FailedJobRegistry)
    work()
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert job.is_failed is True
    assert len(registry) == 1
    assert job in registry
    registry.requeue(job)
    assert len(registry) == 0
    assert queue.count == 1


def run_command(connection: redis.Redis, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `flowq` with the server given by -u."""
    path = connection.connection_pool.connection_kwargs["path"]
    return subprocess.run(
        [sys.executable, "-m", "flowq.cli.main", *arguments, "-u", f"unix://{path}"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_s71_s72_requeue_from_the_command_line(connection: redis.Redis) -> None:
    queue = Queue("myqueue", connection=connection)
    jobs = [queue.enqueue(samples.div_by_zero, 1) for _ in range(4)]
    Worker([queue]).work(burst=True)
    done = run_command(connection, "requeue", "--queue", "myqueue", jobs[0].id, jobs[1].id)
    assert (done.returncode, len(queue), len(queue.failed_job_registry)) == (0, 2, 2), done.stderr
    done = run_command(connection, "requeue", "--queue", "myqueue", "--all")
    assert (done.returncode, len(queue), len(queue.failed_job_registry)) == (0, 4, 0), done.stderr


# -- workers and interruptions -------------------------------------------------------------------------------------------------


def test_s73_s74_c18_a_burst_executes_all_and_forks_for_each_job(queue: Queue) -> None:
    jobs = [queue.enqueue(samples.pid) for _ in range(3)]
    assert Worker([queue]).work(burst=True) is True
    pids = {job.result for job in jobs}
    assert len(pids) == 3
    assert os.getpid() not in pids
    assert Worker([queue]).work(burst=True) is False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_s76_s77_a_polite_stop_finishes_the_job_and_leaves_the_others(
    queue: Queue, background: Start, tmp_path: Path, number: int
) -> None:
    go_on = tmp_path / "go-on"
    running, waiting = queue.enqueue(samples.wait_for_file, str(go_on)), queue.enqueue(samples.add, 1)
    worker = background(lambda: Worker([queue]))
    wait_for(running, "started")
    until((tmp_path / "go-on.started").exists)
    worker.signal(number)
    until(lambda: [item.state for item in Worker.all(queue.connection)] == ["stopping"], message="the worker to be stopping")
    go_on.touch()
    assert worker.wait() == 0
    assert running.result == "seen"
    assert waiting.get_status() == "queued"


def test_s78_c11_a_killed_workers_job_is_abandoned(queue: Queue, background: Start, work: Work) -> None:
    job = queue.enqueue(samples.hang)
    worker = background(lambda: Worker([queue], worker_ttl=1))
    wait_for(job, "started")
    worker.signal(signal.SIGKILL)
    background(lambda: Worker([queue]))
    wait_for(job, "failed")
    assert job in queue.failed_job_registry
    assert "AbandonedJobError" in (job.exc_info or "")
    latest = job.latest_result()
    assert latest is not None
    assert latest.type == Result.Type.FAILED


# -- decorator, sync mode, dependencies ----------------------------------------------------------------------------------------


def test_s79_the_decorator(connection: redis.Redis) -> None:
    decorated = job_decorator("low", connection=connection, timeout=5)(samples.add)
    job = decorated.delay(3, 4)
    assert isinstance(job, Job)
    assert (job.origin, Job.fetch(job.id, connection=connection).timeout) == ("low", 5)
    Worker(["low"], connection=connection).work(burst=True)
    assert job.result == 7
    assert decorated(1, 2) == 3


def test_s80_s81_sync_mode(connection: redis.Redis) -> None:
    queue = Queue("low", is_async=False, connection=connection)
    assert queue.enqueue(samples.fib, 8).result == 21
    job = queue.enqueue(samples.pid)
    assert job.result == os.getpid()
    assert Job.fetch(job.id, connection=connection).get_status() == "finished"
    assert job in queue.finished_job_registry
    assert len(queue) == 0


def test_s82_s84_c12_dependencies_run_in_order_and_only_after_success(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    a = queue.enqueue(samples.write, str(log), "a\n")
    b = queue.enqueue(samples.write, str(log), "b\n", depends_on=a)
    c = queue.enqueue(samples.write, str(log), "c\n", depends_on=b.id)
    bad = queue.enqueue(samples.div_by_zero, 1)
    never = queue.enqueue(samples.write, str(log), "never\n", depends_on=bad)
    expiring = queue.enqueue(samples.write, str(log), "expired\n", ttl="1ms")
    until(lambda: len(queue) == 2, message="expired jobs not to be counted")
    work()
    assert lines(log) == ["a", "b", "c"]
    assert c.get_status() == "finished"
    assert (never.is_skipped, never.skip_reason) == (True, "upstream_failed")
    assert expiring.result is None


def test_c14_dependencies_are_jobs_ids_lists_or_dependency(queue: Queue, work: Work) -> None:
    bad, good = queue.enqueue(samples.div_by_zero, 1), queue.enqueue(samples.add, 1)
    anyhow = queue.enqueue(samples.add, 1, depends_on=[Dependency(bad, allow_failure=True), good.id])
    with pytest.raises(InvalidJobDependency, match="'missing'"):
        queue.enqueue(samples.add, 1, depends_on="missing")
    work()
    assert anyhow.result == 1


def test_c15_a_status_prints_as_its_value(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    assert f"Status: {job.get_status()}" == "Status: queued"
    assert "%s" % job.get_status() == "queued"  # noqa: UP031 - as the documents write it


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_c17_results_are_read_without_a_warning(queue: Queue, work: Work) -> None:
    good, bad = queue.enqueue(samples.add, 1), queue.enqueue(samples.div_by_zero, 1)
    work()
    assert good.result == 1
    assert bad.exc_info is not None


def test_c19_connections_are_optional_where_the_current_documents_leave_them_out(
    connection: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = connection.connection_pool.connection_kwargs["path"]
    monkeypatch.setenv("FLOWQ_REDIS_URL", f"unix://{path}")
    monkeypatch.setattr("flowq.connections.stores._default", None)
    job = Queue().enqueue(samples.add, 1)
    flowq.cancel_job(job.id)
    assert job.is_canceled
    assert defaults.SWEEP <= 1  # s between sweeps; other libraries sweep every two or ten minutes
    with pytest.raises(NoSuchJobError):
        flowq.cancel_job("missing")


def test_every_sentence_has_its_test() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    named = {
        name for line in re.findall(r"^def (test_\w+)", text, re.MULTILINE) for name in re.findall(r"(?<=_)[sc]\d+(?=_)", line)
    }
    assert named >= {f"s{number}" for number in range(1, 85)} | {f"c{number}" for number in range(1, 21)}
