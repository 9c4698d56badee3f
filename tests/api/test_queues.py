"""The rest of `Queue`, `Job` and the registries, as in RQ."""

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
import redis.asyncio

from flowq import Group, Queue, Retry, SimpleWorker, Worker, requeue_job
from flowq.decorators import job as job_decorator
from flowq.exceptions import (
    DeserializationError,
    DuplicateJobError,
    InvalidJobDependency,
    NoSuchJobError,
    TimeoutFormatError,
    UsageError,
)
from flowq.job import Job
from flowq.registry import FailedJobRegistry, FinishedJobRegistry, StartedJobRegistry, clean_registries
from flowq.serializers import DefaultSerializer, JSONSerializer, resolve_serializer, serializer_name
from flowq.timeouts import TimerDeathPenalty
from tests.api import samples
from tests.api.conftest import Background, lines, wait_for

Work = Callable[..., None]


class Reversed:
    """A user's serializer: the text reversed."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        return repr(value)[::-1].encode()

    @staticmethod
    def loads(data: bytes) -> Any:
        from ast import literal_eval

        return literal_eval(data.decode()[::-1])


class CountingConnection(redis.UnixDomainSocketConnection):
    """A connection that counts its requests; a pipeline counts as one."""

    sent = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        CountingConnection.sent += 1
        super().send_packed_command(command, check_health)  # type: ignore[no-untyped-call]


class LoggingJob(Job):
    """A class of jobs that also logs."""

    def perform(self) -> Any:
        return ["performed", super().perform()]


class LowQueue(Queue):
    job_class = LoggingJob


# -- enqueueing ----------------------------------------------------------------------------------------------------------------


def test_enqueue_many_takes_one_round_trip(queue: Queue, work: Work) -> None:
    path = queue.connection.connection_pool.connection_kwargs["path"]
    pool = redis.ConnectionPool(connection_class=CountingConnection, path=path)
    far = Queue("default", connection=redis.Redis(connection_pool=pool))
    far.enqueue_many([Queue.prepare_data(samples.add, (0,))])  # the server knows the script from now on
    CountingConnection.sent = 0
    data = [Queue.prepare_data(samples.add, (number, 1), job_id=f"j{number}", timeout=5) for number in range(20)]
    data.append(Queue.prepare_data(samples.add, [1, 2], depends_on="j3", meta={"a": 1}))
    jobs = far.enqueue_many(data)
    assert CountingConnection.sent == 1
    assert [job.id for job in jobs[:20]] == [f"j{number}" for number in range(20)]
    assert queue.job_ids[1:] == [job.id for job in jobs[:20]]
    assert jobs[-1].is_deferred
    assert Job.fetch(jobs[-1].id, connection=queue.connection).meta == {"a": 1}
    work()
    assert [job.result for job in jobs] == [*range(1, 21), 3]


def test_enqueue_many_enqueues_the_valid_jobs(queue: Queue) -> None:
    data = [Queue.prepare_data(samples.add, (1,), depends_on=["missing"]), Queue.prepare_data(samples.add, (2,))]
    with pytest.raises(InvalidJobDependency, match="'missing'"):
        queue.enqueue_many(data)
    assert len(queue) == 1
    assert queue.enqueue_many([]) == []


@pytest.mark.parametrize("transaction", [False, True])
def test_a_pipeline_of_the_users_own(queue: Queue, work: Work, transaction: bool) -> None:
    pipe = queue.connection.pipeline(transaction=transaction)
    job = queue.enqueue(samples.add, 1, 2, pipeline=pipe)
    queue.enqueue_many([Queue.prepare_data(samples.add, (1, 2))], pipeline=pipe)
    assert len(queue) == 0
    assert pipe.execute() == [[b"done", b"queued"]] * 2
    assert len(queue) == 2
    work()
    assert job.result == 3


def test_unique(queue: Queue) -> None:
    queue.enqueue(samples.add, 1, job_id="mine", unique=True)
    with pytest.raises(DuplicateJobError, match="'mine'"):
        queue.enqueue(samples.add, 2, job_id="mine", unique=True)
    with pytest.raises(DuplicateJobError):
        queue.enqueue_job(Job.create(samples.add, id="mine"), unique=True)
    queue.enqueue(samples.add, 2, job_id="mine")
    assert queue.job_ids == ["mine"]
    assert queue.jobs[0].args == (2,)


def test_enqueueing_at_a_future_time(queue: Queue, work: Work) -> None:
    soon = datetime.now(UTC) + timedelta(hours=1)
    jobs = [
        queue.enqueue_at(soon, samples.add, 1, job_id="at"),
        queue.enqueue_in(timedelta(hours=1), samples.add, 1),
        queue.schedule_job(Job.create(samples.add, (1,)), soon),
        queue.enqueue_at(soon.astimezone().replace(tzinfo=None), samples.add, 1),
    ]
    registry = queue.scheduled_job_registry
    for job in jobs:
        assert abs(registry.get_scheduled_time(job) - soon) < timedelta(seconds=5)
    past = queue.enqueue_at(datetime.now(UTC) - timedelta(days=1), samples.add, 1)
    work()
    assert past.result == 1
    assert len(registry) == 4
    registry.remove(jobs[0])
    assert jobs[0].is_canceled
    with pytest.raises(NoSuchJobError, match="not scheduled"):
        registry.get_scheduled_time(jobs[0])


def test_create_job_is_enqueued_later(queue: Queue, work: Work) -> None:
    job = queue.create_job(samples.add, (1,), {"y": 2}, job_id="mine", timeout="1m")
    assert (len(queue), job.origin, job.func_name, job.timeout) == (0, "default", "tests.api.samples.add", 60)
    queue.enqueue_job(job, at_front=True)
    work()
    assert job.result == 3


def test_methods_callable_objects_classes_and_coroutines(queue: Queue, work: Work) -> None:
    counter = samples.Counter(10)
    jobs = [
        queue.enqueue(counter.plus, 1),
        queue.enqueue(counter, 2),
        queue.enqueue(samples.Counter.named),
        queue.enqueue(samples.wait_and_add, 3, y=4),
        queue.enqueue(len, [1, 2]),
        queue.enqueue("tests.api.samples.Counter.named"),
    ]
    work()
    assert [job.result for job in jobs] == [11, 20, "Counter", 7, 2, "Counter"]
    assert jobs[0].func_name == "plus"
    assert isinstance(Job.fetch(jobs[0].id, connection=queue.connection).instance, samples.Counter)


def test_an_argument_named_timeout_is_the_functions(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.echo, timeout=3)
    work()
    assert (job.result, job.timeout) == (((), {"timeout": 3}), 180)


def test_an_empty_queue_is_true_and_one_queue_may_stand_for_several(queue: Queue) -> None:
    assert queue
    assert list(queue) == [queue]
    job = queue.enqueue(samples.add, 1)
    Worker(queue).work(burst=True)
    assert job.is_finished


# -- reading and emptying ------------------------------------------------------------------------------------------------------


def test_parts_of_a_queue(queue: Queue) -> None:
    ids = [queue.enqueue(samples.add, number).id for number in range(6)]
    assert queue.get_job_ids(2, 3) == ids[2:5]
    assert [job.id for job in queue.get_jobs(4)] == ids[4:]
    assert queue.get_job_position(ids[3]) == 3
    assert queue.jobs[3].get_position() == 3
    assert queue.get_job_position("missing") is None
    assert queue.remove(ids[0]) == 1
    assert (queue.job_ids, Job.fetch(ids[0], connection=queue.connection).get_status()) == (ids[1:], "canceled")
    assert (queue.remove(ids[0]), queue.remove("absent")) == (0, 0)  # as in RQ
    assert (queue.remove(queue.jobs[0]), queue.job_ids) == (1, ids[2:])


def test_equality_order_and_text(connection: redis.Redis) -> None:
    a, b = Queue("a", connection=connection), Queue("b", connection=connection)
    assert a == Queue("a", connection=connection)
    assert a != b
    with pytest.raises(TypeError, match="compare its name"):
        assert a != "a"
    assert sorted([b, a]) == [a, b]
    assert len({a, b, Queue("a", connection=connection)}) == 2
    assert repr(a) == "Queue('a')"


def test_deleting_a_queue_without_its_jobs_cancels_them(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    queue.delete(delete_jobs=False)
    assert job.is_canceled
    assert queue not in Queue.all(queue.connection)


def test_fetch_job_is_of_this_queue(queue: Queue) -> None:
    job = Queue("other", connection=queue.connection).enqueue(samples.add, 1)
    assert queue.fetch_job(job.id) is None


# -- jobs ----------------------------------------------------------------------------------------------------------------------


def test_save_writes_the_users_attributes(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    job.description = "renamed"
    job.timeout = "5m"
    job.meta["a"] = 1
    job.save()
    found = Job.fetch(job.id, connection=queue.connection)
    assert (found.description, found.timeout, found.meta, found.get_status()) == ("renamed", 300, {"a": 1}, "queued")
    job.delete()
    with pytest.raises(NoSuchJobError):
        job.save()


def test_refresh_and_get_meta(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1, meta={"a": 1})
    other = Job.fetch(job.id, connection=queue.connection)
    other.meta["a"] = 2
    other.save_meta()
    assert job.get_meta(refresh=False) == {"a": 1}
    assert job.get_meta() == {"a": 2}
    job.delete()
    with pytest.raises(NoSuchJobError):
        other.refresh()


def test_the_attributes_of_an_execution(queue: Queue, background: Callable[..., Background], tmp_path: Path) -> None:
    job = queue.enqueue(samples.wait_for_file, str(tmp_path / "go-on"), retry=Retry(max=2))
    assert (job.get_executions(), job.worker_name, job.last_heartbeat) == ([], None, None)
    worker = background(lambda: Worker([queue], name="worker-1"))
    wait_for(job, "started")
    (execution,) = job.get_executions()
    assert (execution.job_id, execution.worker_name, execution.id) == (job.id, worker.name, "1")
    assert job.worker_name == "worker-1"
    assert job.last_heartbeat is not None
    assert (job.number_of_retries, job.retries_left) == (0, 2)
    assert job in queue.started_job_registry
    (tmp_path / "go-on").touch()
    wait_for(job, "finished")
    assert job.get_executions() == []


def test_invalid_ids(queue: Queue) -> None:
    for bad in ("", "a|b", "a\nb", 3):
        with pytest.raises(UsageError, match=r"job_id|id="):
            queue.enqueue(samples.add, 1, job_id=bad)
    with pytest.raises(TimeoutFormatError, match="timeout"):
        queue.enqueue(samples.add, 1, job_timeout="soon")


def test_requeue_and_cancel_by_id(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.add, 1)
    work()
    assert requeue_job(job.id, connection=queue.connection).is_queued


# -- registries ----------------------------------------------------------------------------------------------------------------


def test_counts_are_pure_and_lists_are_ordered(queue: Queue, work: Work) -> None:
    slow = queue.enqueue(samples.add, 1, result_ttl=100)
    fast = queue.enqueue(samples.add, 2, result_ttl=50)
    gone = queue.enqueue(samples.add, 3, result_ttl="20ms")
    work()
    registry = FinishedJobRegistry("default", connection=queue.connection)
    assert registry == queue.finished_job_registry
    assert (registry.get_queue(), registry.connection) == (queue, queue.connection)
    assert queue.failed_job_registry.get_queue() is queue
    while Job.exists(gone.id, connection=queue.connection):
        gone.latest_result(timeout=0.01)
    key = queue.store.session.keys("registry", "finished", "default")
    before = queue.connection.zcard(key)
    assert len(registry) == registry.count == 2
    assert registry.get_job_ids() == [fast.id, slow.id]
    assert registry.get_job_ids(desc=True) == [slow.id, fast.id]
    assert registry.get_job_ids(0, 0) == [fast.id]
    assert registry.get_job_ids(1, -1) == [slow.id]
    assert gone not in registry
    assert fast.id in registry
    assert queue.connection.zcard(key) == before
    registry.cleanup()
    assert queue.connection.zcard(key) == 2
    assert registry.get_job_count() == 2


def test_counting_is_one_request_without_writes(queue: Queue, work: Work) -> None:
    """The server counts a sorted set; nothing is listed or cleaned up."""
    for job in (queue.enqueue(samples.add, 1), queue.enqueue(samples.div_by_zero, 1)):
        queue.enqueue(samples.add, 2, depends_on=job)
    work()
    queue.enqueue_in(timedelta(hours=1), samples.add, 1)
    names = ("started", "finished", "failed", "deferred", "scheduled", "canceled")
    registries = [getattr(queue, f"{name}_job_registry") for name in names]
    looks = {"zcard", "zcount", "time"}  # at most logarithmic in the size of the set, and none writes
    counts = [*(registry.__len__ for registry in registries), queue.__len__]
    counts[0]()  # the connection sends commands of its own first
    for count, expected in zip(counts, [0, 2, 1, 1, 1, 0, 0], strict=True):
        queue.connection.config_resetstat()
        assert count() == expected
        told = queue.connection.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): row["calls"] for name, row in told.items() if "|" not in name}
        assert calls.keys() - {"info"} <= looks
        assert sum(calls[name] for name in calls.keys() & looks) <= 4, calls  # two registries count two statuses


def test_removing_from_a_registry(queue: Queue, work: Work) -> None:
    bad, kept = queue.enqueue(samples.div_by_zero, 1), queue.enqueue(samples.div_by_zero, 1)
    waiting = queue.enqueue(samples.add, 1, depends_on=queue.enqueue_in(timedelta(hours=1), samples.add, 1))
    work()
    assert queue.failed_job_registry.remove(bad) == 1
    assert bad.is_failed  # its record stays
    assert queue.connection.pttl(queue.store.session.keys("job", bad.id)) > 0
    assert queue.failed_job_registry.get_job_ids() == [kept.id]
    assert queue.deferred_job_registry.remove(waiting, delete_job=True) == 1
    assert not Job.exists(waiting.id, connection=queue.connection)
    assert FailedJobRegistry(queue=queue).remove(bad) == 0
    bad.requeue()
    work()
    assert bad in queue.failed_job_registry
    with queue.connection.pipeline() as pipeline:
        for job, options in ((bad, {}), (kept, {"delete_job": True})):
            queue.failed_job_registry.remove(job, pipeline=pipeline, **options)
        assert len(queue.failed_job_registry) == 2
        pipeline.execute()
    assert len(queue.failed_job_registry) == 0
    assert [Job.exists(job.id, queue.connection) for job in (bad, kept)] == [True, False]


def test_cleaning_up_by_hand_reaps_lost_jobs(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    assert queue.store.workers.claim("lost", ["default"], 0.02) is not None
    registry = StartedJobRegistry(queue=queue)
    assert job in registry
    while not job.is_failed:
        clean_registries(queue)
    assert len(registry) == 0


# -- sync mode, serializers, classes -------------------------------------------------------------------------------------------


def test_sync_mode_honours_retries_and_dependents(connection: redis.Redis, tmp_path: Path) -> None:
    queue = Queue("sync", is_async=False, connection=connection)
    job = queue.enqueue(samples.fail_until, str(tmp_path / "a"), 3, retry=Retry(max=2, interval=60))
    assert (job.result, len(job.results())) == (3, 3)
    log = tmp_path / "log"
    parent = Queue("async", connection=connection).enqueue(samples.add, 1)
    child = queue.enqueue(samples.write, str(log), "child\n", depends_on=parent)
    assert child.is_deferred
    first = queue.enqueue(samples.write, str(log), "first\n")
    queue.enqueue(samples.write, str(log), "second\n", depends_on=first)
    assert lines(log) == ["first", "second"]
    bad = queue.enqueue(samples.div_by_zero, 1)
    assert bad.is_failed
    assert "ZeroDivisionError" in (bad.exc_info or "")
    assert queue.enqueue(samples.hang, job_timeout="50ms").is_failed
    assert queue.enqueue_in(timedelta(hours=1), samples.add, 1).is_scheduled
    assert queue.enqueue(samples.who_am_i).is_finished


def test_sync_mode_with_a_death_penalty_of_ones_own(connection: redis.Redis) -> None:
    queue = Queue("sync", is_async=False, connection=connection, death_penalty_class=TimerDeathPenalty)
    assert "timeout of 0.1 s" in (queue.enqueue(samples.spin, job_timeout=0.1).exc_info or "")


def test_sync_mode_in_a_thread_and_in_an_event_loop(connection: redis.Redis) -> None:
    queue = Queue("sync", is_async=False, connection=connection)
    jobs: list[Job] = []
    thread = Thread(target=lambda: jobs.append(queue.enqueue(samples.spin, job_timeout="100ms")))
    thread.start()
    thread.join(20)
    assert jobs[0].is_failed
    assert "timeout" in (jobs[0].exc_info or "")

    async def handler() -> int:
        return int(queue.enqueue(samples.add, 1, 2).result)

    assert asyncio.run(handler()) == 3


def test_json_jobs(connection: redis.Redis) -> None:
    queue = Queue("json", connection=connection, serializer="json")
    job = queue.enqueue(samples.echo, 1, "two", x=[3], meta={"a": 1})
    assert job.payload().startswith(b'["tests.api.samples.echo"')
    Worker([queue]).work(burst=True)
    assert job.result == [[1, "two"], {"x": [3]}]
    found = Job.fetch(job.id, connection=connection)
    assert (found.result, found.args, found.meta) == ([[1, "two"], {"x": [3]}], (1, "two"), {"a": 1})
    with pytest.raises(UsageError, match="cannot be serialized"):
        queue.enqueue(samples.echo, object())
    bad = queue.enqueue(samples.unpicklable_result)
    SimpleWorker([queue]).work(burst=True)
    assert "cannot be serialized" in (bad.exc_info or "")


def test_a_serializer_of_ones_own(connection: redis.Redis) -> None:
    queue = Queue("own", connection=connection, serializer=Reversed)
    job = queue.enqueue(samples.echo, "x")
    Worker([queue]).work(burst=True)
    assert Job.fetch(job.id, connection=connection).result == (("x",), {})
    with pytest.raises(DeserializationError, match="cannot be decoded"):
        _ = Job.fetch(job.id, connection=connection, serializer="json").args


def test_a_worker_with_a_serializer_reads_no_other(connection: redis.Redis) -> None:
    pickled = Queue("mixed", connection=connection).enqueue(samples.add, 1)
    jsoned = Queue("mixed", connection=connection, serializer=JSONSerializer).enqueue(samples.add, 2)
    Worker(["mixed"], connection=connection, serializer=JSONSerializer).work(burst=True)
    assert jsoned.result == 2
    assert "only reads jobs serialized with flowq.serializers.JSONSerializer" in (pickled.exc_info or "")


def test_resolving_serializers() -> None:
    assert resolve_serializer() is DefaultSerializer
    assert resolve_serializer("flowq.serializers.JSONSerializer") is JSONSerializer
    assert serializer_name(DefaultSerializer) == ""
    for bad in ("nothing.there", 3, os):
        with pytest.raises(UsageError, match="serializer"):
            resolve_serializer(bad)


def test_classes_of_ones_own(connection: redis.Redis) -> None:
    queue = LowQueue("low", connection=connection)
    job = queue.enqueue(samples.add, 1, 2)
    current = queue.enqueue(samples.class_of_current_job)
    assert isinstance(job, LoggingJob)
    assert isinstance(queue.fetch_job(job.id), LoggingJob)
    assert isinstance(queue.jobs[0], LoggingJob)
    Worker([queue], job_class=LoggingJob).work(burst=True)
    assert job.result == ["performed", 3]
    assert current.result == ["performed", "LoggingJob"]
    plain = Queue("low", connection=connection, job_class="tests.api.test_queues.LoggingJob")
    assert isinstance(plain.enqueue(samples.add, 1), LoggingJob)
    SimpleWorker(["low"], connection=connection, job_class=LoggingJob, queue_class=LowQueue).work(burst=True)
    with pytest.raises(UsageError, match=r"subclass of flowq\.job\.Job"):
        Queue("low", connection=connection, job_class=int)


def test_the_decorator_with_all_its_options(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    decorated: Any = job_decorator(
        queue,
        timeout="1m",
        result_ttl=10,
        ttl=20,
        failure_ttl=30,
        description="text",
        meta={"log": str(log)},
        retry=Retry(max=1),
        on_success=samples.on_success,
        at_front=True,
    )(samples.add)
    first = queue.enqueue(samples.add, 0)
    job = decorated.delay(1, y=2, job_id="mine", depends_on=first)
    found = Job.fetch("mine", connection=queue.connection)
    assert (found.timeout, found.result_ttl, found.ttl, found.failure_ttl, found.description) == (60, 10, 20, 30, "text")
    work()
    assert job.result == 3
    assert lines(log) == ["success 3 True"]
    low: Any = job_decorator("low", connection=queue.connection, queue_class=LowQueue)(samples.add)
    assert isinstance(low.delay(1), LoggingJob)


@pytest.mark.parametrize("name", ["f", "self", "func", "datetime", "time_delta", "job", "queue", "cls"])
def test_functions_may_have_parameters_that_are_called_like_those_of_enqueue(queue: Queue, work: Work, name: str) -> None:
    given: dict[str, Any] = {name: 1}
    jobs = [
        queue.enqueue(samples.keywords, 0, **given),
        queue.enqueue_at(datetime.now(UTC) - timedelta(seconds=1), samples.keywords, 0, **given),
        queue.enqueue_in(timedelta(0), samples.keywords, 0, **given),
        queue.enqueue_call(samples.keywords, (0,), given),
        job_decorator(queue)(samples.keywords).delay(0, **given),
    ]
    work()
    assert [job.return_value() for job in jobs] == [{"args": [0], name: 1}] * 5


def test_function_and_time_may_be_given_by_keyword(queue: Queue, work: Work) -> None:
    soon = datetime.now(UTC) - timedelta(seconds=1)
    jobs = [
        queue.enqueue(f=samples.keywords, x=1),
        queue.enqueue_at(datetime=soon, f=samples.keywords, x=1),
        queue.enqueue_at(soon, f=samples.keywords, x=1),
        queue.enqueue_in(time_delta=timedelta(0), func=samples.keywords, x=1),
        queue.enqueue_in(timedelta(0), func=samples.keywords, x=1),
    ]
    work()
    assert [job.return_value() for job in jobs] == [{"args": [], "x": 1}] * 5
    with pytest.raises(TypeError, match="'f' is missing"):
        queue.enqueue(x=1)


@pytest.mark.parametrize("make", [Queue, Worker, Job.fetch, Group.create, Job.exists, Queue.all])
@pytest.mark.parametrize("kind", [redis.asyncio.Redis, redis.asyncio.RedisCluster])
def test_a_client_for_asyncio_is_refused_with_a_sentence(make: Any, kind: Any) -> None:
    client = kind(host="localhost")
    given = (client,) if make in {Group.create, Queue.all} else ("name", client)
    options = {"connection": given[-1]} if make is Worker else {}
    with pytest.raises(TypeError, match=r"is for asyncio: make a redis\.Redis client") as caught:
        make(*given[: 1 if options else 2], **options)
    assert isinstance(caught.value, UsageError)
