"""What users of RQ do with queues, registries, pipelines and handles: each test is a line of code of theirs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from flowq import Dependency, Group, Queue, RateLimit, Repeat, Retry, SimpleWorker, Webhook, cron_job_registry, defaults
from flowq.cron import CronJob, CronScheduler
from flowq.exceptions import DequeueTimeout, ShutDownImminentException, StopRequested, UsageError
from flowq.job import Job, parse_job_id, validate_job_id
from flowq.results import Result
from flowq.timeouts import HorseMonitorTimeoutException, UnixSignalDeathPenalty, get_default_death_penalty_class
from tests.api import samples

PAST = datetime(2020, 1, 1, tzinfo=UTC)


def work(queue: Queue, **options: Any) -> None:
    SimpleWorker([queue]).work(burst=True, **options)


# -- pipelines ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("enqueue", "expected"),
    [
        (lambda queue, pipe: queue.enqueue(samples.nothing, pipeline=pipe), "queued"),
        (lambda queue, pipe: queue.enqueue(samples.nothing, depends_on="waits", pipeline=pipe), "deferred"),
        (lambda queue, pipe: queue.enqueue(samples.nothing, depends_on="ended", pipeline=pipe), "queued"),
        (lambda queue, pipe: queue.enqueue_in(timedelta(hours=1), samples.nothing, pipeline=pipe), "scheduled"),
        (lambda queue, pipe: queue.enqueue_many([Queue.prepare_data(samples.nothing)] * 2, pipeline=pipe)[1], "queued"),
    ],
)
def test_the_status_of_a_job_in_a_pipeline(queue: Queue, enqueue: Callable[[Queue, Any], Job], expected: str) -> None:
    queue.enqueue(samples.nothing, job_id="ended")
    work(queue)
    queue.enqueue(samples.nothing, job_id="waits")
    with queue.connection.pipeline() as pipeline:
        job = enqueue(queue, pipeline)
        assert (job.get_status(refresh=False), Job.exists(job.id, queue.connection)) == (expected, False)
        assert job.enqueued_at is not None
        pipeline.execute()
    assert job.get_status() == expected


def test_a_pipeline_after_a_flush(queue: Queue, connection: redis.Redis) -> None:
    queue.enqueue(samples.nothing)
    connection.flushall()
    with connection.pipeline() as pipeline:
        jobs = [queue.enqueue(samples.nothing, pipeline=pipeline) for _ in range(2)]
        pipeline.execute()
    assert queue.job_ids == [job.id for job in jobs]


@pytest.mark.parametrize("how", [{}, {"enqueue_dependents": True}, {"remove_from_dependencies": True}])
def test_a_pipeline_cancels(queue: Queue, how: dict[str, bool]) -> None:
    first, other = queue.enqueue(samples.nothing), queue.enqueue(samples.nothing)
    child = queue.enqueue(samples.nothing, depends_on=[first, other])
    with queue.connection.pipeline() as pipeline:
        first.cancel(pipeline, **how)
        assert first.is_queued
        pipeline.execute()
    assert first.is_canceled
    work(queue)
    assert child.is_skipped is not bool(how)
    with queue.connection.pipeline() as pipeline:
        first.cancel(pipeline=pipeline)  # it has ended: nothing is done
        pipeline.execute()


@pytest.mark.parametrize("dependents", [True, False])
def test_a_pipeline_deletes(queue: Queue, dependents: bool) -> None:
    first = queue.enqueue(samples.nothing)
    child = queue.enqueue(samples.nothing, depends_on=first)
    with queue.connection.pipeline() as pipeline:
        first.delete(pipeline, delete_dependents=dependents)
        assert first.is_queued
        pipeline.execute()
    assert not Job.exists(first.id, queue.connection)
    assert Job.exists(child.id, queue.connection) is not dependents


# -- times --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [True, False])
def test_a_job_whose_time_has_come_is_scheduled_first(connection: redis.Redis, queue: Queue, is_async: bool) -> None:
    asked = Queue(connection=connection, is_async=is_async)
    jobs = [asked.enqueue_at(PAST, samples.nothing), asked.enqueue_in(timedelta(0), samples.nothing)]
    assert [(job.get_status(), job in queue.scheduled_job_registry) for job in jobs] == [("scheduled", True)] * 2
    work(queue)
    assert all(job.is_finished for job in jobs)


def test_intervals_of_repetitions_are_used_up(queue: Queue) -> None:
    job = queue.enqueue(samples.nothing, repeat=Repeat(times=4, interval=[0, 0, 60]))
    seen = [(job.repeats_left, job.repeat_intervals)]
    for _ in range(3):
        work(queue, max_jobs=1)
        seen.append((job.repeats_left, job.repeat_intervals))
    assert seen == [(4, [0, 0, 60]), (3, [0, 60]), (2, [60]), (1, [60])]
    job.delete()


# -- sync mode ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("retry", [None, Retry(1)])
def test_sync_mode_raises_what_on_failure_raises(connection: redis.Redis, queue: Queue, retry: Retry | None) -> None:
    sync = Queue(connection=connection, is_async=False)
    with pytest.raises(RuntimeError, match="callback"):
        sync.enqueue(samples.div_by_zero, 1, job_id="j", on_failure=samples.bad_callback, retry=retry)
    job = Job.fetch("j", connection)
    assert (job.get_status(), Result.count(job)) == ("failed", 2 if retry else 1)
    assert "ZeroDivisionError" in (job.exc_info or "")
    asynchronous = queue.enqueue(samples.div_by_zero, 1, on_failure=samples.bad_callback)
    work(queue)
    assert asynchronous.is_failed


# -- attributes that are set before the job is enqueued -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("retry_intervals", [1, 2]),
        ("enqueue_at_front_on_retry", True),
        ("enqueue_at_front", True),
        ("repeat_intervals", [3]),
        ("args", (5,)),
        ("kwargs", {"y": 2}),
        ("func_name", "tests.api.samples.echo"),
        ("instance", samples.Counter(1)),
        ("group_id", "g"),
        ("webhooks", [Webhook("http://localhost/", "finished")]),
        ("created_at", PAST),
        ("enqueued_at", PAST),
        ("started_at", PAST),
        ("ended_at", PAST),
        ("last_heartbeat", PAST),
        ("worker_name", "w"),
        ("allow_dependency_failures", True),
    ],
)
def test_attributes_can_be_set(queue: Queue, name: str, value: Any) -> None:
    job = queue.create_job(samples.nothing, depends_on=Dependency("x"))
    setattr(job, name, value)
    assert getattr(job, name) == value
    if name in {"args", "group_id", "webhooks", "instance", "allow_dependency_failures"}:
        stored = queue.enqueue(samples.nothing)
        with pytest.raises(UsageError, match="cannot be changed"):
            setattr(stored, name, value)
        queue.empty()


@pytest.mark.parametrize("order", [("retries_left", "retry_intervals"), ("retry_intervals", "retries_left")])
def test_retries_that_are_set_are_saved(queue: Queue, order: tuple[str, str]) -> None:
    job = queue.create_job(samples.div_by_zero, (1,))
    for name in order:
        setattr(job, name, {"retries_left": 2, "retry_intervals": [0, 60]}[name])
    job.repeats_left, job.repeat_intervals = 2, [0, 5]
    job.save()
    found = Job.fetch(job.id, queue.connection)
    assert (found.retries_left, found.retry_intervals) == (2, [0, 60])
    assert (found.repeats_left, found.repeat_intervals) == (2, [0, 5])
    queue.enqueue_job(found)
    work(queue)
    assert (found.retries_left, found.get_status()) == (0, "scheduled")
    found.repeats_left, found.repeat_intervals = 1, [9]
    found.save()
    assert Job.fetch(job.id, queue.connection).repeat_intervals == [9]
    found.delete()


def test_counts_can_be_none(queue: Queue) -> None:
    job = queue.create_job(samples.nothing)
    job.retries_left, job.retry_intervals, job.repeats_left, job.repeat_intervals = 3, [1, 2, 3], 2, [5]
    job.save()
    job.retries_left = job.retry_intervals = job.repeats_left = job.repeat_intervals = None
    assert (job.retries_left, job.repeats_left) == (None, None)
    job.refresh()
    assert (job.retries_left, job.retry_intervals, job.repeats_left, job.repeat_intervals) == (3, [1, 2, 3], 2, [5])
    for name in ("retries_left", "repeats_left"):
        for wrong in (-1, "2", 1.5):
            with pytest.raises(UsageError, match=f"{name} must be a whole number of at least 0"):
                setattr(job, name, wrong)
    job.delete()


def test_front_and_names_of_arguments_in_order(queue: Queue) -> None:
    first, job = queue.enqueue(samples.nothing), queue.create_job(samples.add, kwargs={"y": 2, "x": 1})
    assert (job.should_enqueue_at_front(), job.description) == (False, "tests.api.samples.add(x=1, y=2)")
    job.enqueue_at_front = True
    assert job.should_enqueue_at_front()
    queue.enqueue_job(job)
    assert queue.job_ids == [job.id, first.id]
    queue.empty()


def test_a_handle_can_be_given_another_connection(connection: redis.Redis, queue: Queue) -> None:
    job = queue.enqueue(samples.nothing)
    job.connection = connection
    assert job.connection is connection
    scheduler = CronScheduler(connection)
    scheduler.connection = connection
    assert scheduler.connection is connection
    queue.empty()


# -- queues, registries, cron ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [None, RateLimit("key", 1)])
@pytest.mark.parametrize("front", [False, True])
def test_a_requeued_job_goes_where_the_requeue_says(queue: Queue, limit: RateLimit | None, front: bool) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, at_front=not front, rate_limit=limit)
    work(queue)
    other = queue.enqueue(samples.nothing)
    job.requeue(at_front=front)
    assert queue.job_ids == ([job.id, other.id] if front else [other.id, job.id])
    queue.empty()


def test_names_that_dashboards_use(queue: Queue) -> None:
    parent = queue.enqueue(samples.nothing)
    child = queue.enqueue(samples.nothing, depends_on=parent)
    assert (parent._dependency_ids, child._dependency_ids) == ([], [parent.id])
    assert (queue.compact(), queue.count, queue.scheduler_pid) == (None, 1, None)  # type: ignore[func-returns-value]
    queue.empty()


def test_data_is_shown_as_it_was_prepared() -> None:
    data = Queue.prepare_data(samples.add, (1,), retry=2)
    assert (data.meta, data.webhooks, data.depends_on, data.retry) == (None, None, None, 2)
    assert repr(Repeat(2, [1, 2])) == "Repeat(times=2, intervals=[1, 2])"


def test_a_returned_retry_is_the_value_of_its_result(queue: Queue) -> None:
    job = queue.enqueue(samples.return_retry, 1)
    work(queue)
    assert [result.return_value for result in Result.all(job)] == [Retry(1), Retry(1)]
    failing = queue.enqueue(samples.div_by_zero, 1, retry=Retry(1))
    work(queue)
    assert all(result.exc_string and result.return_value is None for result in Result.all(failing))


def test_jobs_of_a_cron_entry_are_listed_also_by_hand(queue: Queue, connection: redis.Redis) -> None:
    entry = CronJob("default", samples.nothing, interval=60, name="entry")
    jobs = [entry.enqueue(connection) for _ in range(2)]
    assert sorted(entry.get_job_ids(connection)) == sorted(job.id for job in jobs)
    assert (cron_job_registry.get_names(connection), entry.latest_enqueue_time) == (["entry"], None)
    assert jobs[0].enqueued_at is not None
    assert queue.job_ids == [job.id for job in jobs]
    queue.empty()


def test_default_values_have_rqs_names() -> None:
    durations = {name: value for name, value in vars(defaults).items() if name.startswith("DEFAULT_") and name.endswith("_TTL")}
    assert durations == {
        "DEFAULT_RESULT_TTL": 500,
        "DEFAULT_FAILURE_TTL": 31_536_000,
        "DEFAULT_WORKER_TTL": 10,
        "DEFAULT_CRON_JOB_HISTORY_TTL": 31_536_000,
        "DEFAULT_CRON_SCHEDULER_TTL": 60,
    }


def test_a_group_given_before_the_job_is_enqueued(queue: Queue, connection: redis.Redis) -> None:
    job = queue.create_job(samples.nothing)
    job.group_id = "g"
    queue.enqueue_job(job)
    assert [item.id for item in Group.fetch("g", connection).get_jobs()] == [job.id]
    work(queue)


def test_what_can_be_asked_of_a_job(queue: Queue) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, retry=Retry(2, [0, 5], enqueue_at_front=True))
    assert (job.should_retry, job.get_retry_interval(), job.should_enqueue_at_front()) == (True, 0, False)
    work(queue, max_jobs=1)
    assert (job.should_retry, job.get_retry_interval(), job.should_enqueue_at_front()) == (True, 5, True)
    assert job.serializer.loads(job.data)[:2] == ("tests.api.samples.div_by_zero", (1,))
    assert [Retry.get_interval(count, [1, 2]) for count in range(3)] == [1, 2, 2]
    assert [Repeat.get_interval(count, [1, 2]) for count in range(3)] == [1, 2, 2]
    assert Retry.get_interval(1, None) == 0
    job.delete()


@pytest.mark.parametrize(
    ("end", "met", "lenient"),
    [("waits", False, False), ("finishes", True, True), ("fails", False, True), ("is canceled", False, False)],
)
def test_whether_dependencies_are_met(queue: Queue, end: str, met: bool, lenient: bool) -> None:
    parent = queue.enqueue(samples.div_by_zero if end == "fails" else abs, 1)
    other = queue.enqueue_in(timedelta(hours=1), samples.nothing)
    strict, tolerant = (
        queue.enqueue(
            samples.nothing, depends_on=[Dependency(parent, allow_failure=allow), Dependency(other, allow_failure=allow)]
        )
        for allow in (False, True)
    )
    if end == "is canceled":
        parent.cancel()
    elif end != "waits":
        work(queue)
    assert [job.dependencies_are_met(exclude_job_id=other.id) for job in (strict, tolerant)] == [met, lenient]
    assert not strict.dependencies_are_met()
    assert strict.dependencies_are_met(parent_job=other) is met
    assert Job.create(samples.nothing, connection=queue.connection).dependencies_are_met()
    other.delete()
    queue.empty()


def test_names_that_programs_import(queue: Queue) -> None:
    for error in (DequeueTimeout, StopRequested, ShutDownImminentException, HorseMonitorTimeoutException):
        assert issubclass(error, BaseException)
    assert ShutDownImminentException("text", {"line": 1}).extra_info == {"line": 1}
    assert get_default_death_penalty_class() is UnixSignalDeathPenalty
    assert (parse_job_id("a:b"), parse_job_id("a"), queue.failed_job_registry.parse_job_id(b"a")) == ("a", "a", "a")
    validate_job_id("a-b_1")
    with pytest.raises(ValueError, match="letters"):
        validate_job_id("a b")
    assert queue.get_redis_server_version() >= (7, 0)


def test_jobs_that_are_due(queue: Queue) -> None:
    jobs = [queue.enqueue_at(PAST + timedelta(days=day), samples.nothing) for day in (2, 0, 1)]
    later = queue.enqueue_in(timedelta(hours=1), samples.nothing)
    registry = queue.scheduled_job_registry
    assert registry.get_jobs_to_schedule() == [jobs[1].id, jobs[2].id, jobs[0].id]
    assert registry.get_jobs_to_schedule(chunk_size=1) == [jobs[1].id]
    assert registry.get_jobs_to_schedule((PAST + timedelta(days=1)).timestamp()) == [jobs[1].id, jobs[2].id]
    assert later.id in registry.get_jobs_to_schedule(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
    later.delete()
    work(queue)
