"""The basics of `Queue`, `Job` and the registries."""

import gc
import os
import pickle
import weakref
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import redis
from redis.sentinel import Sentinel

import flowq
from flowq import Queue, Retry, Worker
from flowq.exceptions import DuplicateJobError, InvalidJobDependency, InvalidJobOperation, NoSuchJobError, UsageError
from flowq.job import Job, JobStatus
from flowq.results import Result
from flowq.store import Store
from tests.api import samples
from tests.support import invariants
from tests.support.wait import until


@pytest.fixture
def connection(redis_client: redis.Redis) -> redis.Redis:
    return redis_client


@pytest.fixture
def queue(connection: redis.Redis) -> Queue:
    return Queue(connection=connection)


@pytest.fixture(autouse=True)
def _invariants(queue: Queue) -> Iterator[None]:
    yield
    invariants.check(queue.store)


def work(*queues: Queue) -> None:
    Worker(list(queues)).work(burst=True)


def test_a_job_runs_in_a_forked_process_and_its_handle_sees_the_result(queue: Queue) -> None:
    job = queue.enqueue(samples.pid)
    assert job.result is None
    assert job.get_status() == "queued"
    work(queue)
    result = job.return_value()
    assert isinstance(result, int)
    assert result != os.getpid()
    assert str(job.get_status()) == "finished"
    assert job.created_at is not None
    assert job.enqueued_at is not None
    assert job.started_at is not None
    assert job.ended_at is not None
    assert job.created_at <= job.enqueued_at <= job.started_at <= job.ended_at


def test_options_are_not_passed_to_the_function(queue: Queue) -> None:
    job = queue.enqueue(
        samples.echo,
        1,
        b=2,
        job_timeout=60,
        result_ttl=100,
        ttl=50,
        failure_ttl=10,
        job_id="mine",
        at_front=True,
        description="text",
    )
    work(queue)
    assert job.id == "mine"
    assert job.description == "text"
    assert job.result == ((1,), {"b": 2})


def test_explicit_arguments_may_be_named_like_options(queue: Queue) -> None:
    job = queue.enqueue(samples.echo, args=("x",), kwargs={"description": "d", "ttl": 15}, ttl=30)
    work(queue)
    assert job.result == (("x",), {"description": "d", "ttl": 15})


def test_both_forms_of_arguments_at_once_are_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="not both"):
        queue.enqueue(samples.echo, 1, args=(2,))


@pytest.mark.parametrize(("given", "seconds"), [(2, 2.0), ("2", 2.0), ("1h", 3600.0), ("3m", 180.0), ("5s", 5.0), (-1, -1.0)])
def test_timeouts_are_numbers_or_strings(queue: Queue, given: object, seconds: float) -> None:
    job = queue.enqueue(samples.nothing, job_timeout=given)
    assert Job.fetch(job.id, connection=queue.store).timeout == seconds


def test_the_default_timeout_is_the_queues_or_180_seconds(connection: redis.Redis, queue: Queue) -> None:
    assert Job.fetch(queue.enqueue(samples.nothing).id, connection=connection).timeout == 180
    short = Queue("high", connection=connection, default_timeout=8)
    assert Job.fetch(short.enqueue(samples.nothing).id, connection=connection).timeout == 8
    assert Job.fetch(short.enqueue(samples.nothing, job_timeout=9).id, connection=connection).timeout == 9


def test_the_error_for_a_wrong_option_names_it(queue: Queue) -> None:
    with pytest.raises(UsageError, match=r"job_timeout|timeout='soon'"):
        queue.enqueue(samples.nothing, job_timeout="soon")
    with pytest.raises(UsageError, match="retry="):
        queue.enqueue(samples.nothing, retry="often")


def test_a_function_of_main_or_a_lambda_is_refused(queue: Queue) -> None:
    with pytest.raises(UsageError, match="import"):
        queue.enqueue(lambda: 1)
    here = FunctionType(samples.nothing.__code__, {}, "f")
    here.__module__ = "__main__"
    with pytest.raises(UsageError, match="__main__"):
        queue.enqueue(here)


def test_the_job_of_a_function_inside_a_function_fails(queue: Queue) -> None:
    """RQ accepts it as well: what only looks at jobs (dashboards, tests with mocks) need not be executed."""

    def inside() -> None:
        pass

    job = queue.enqueue(inside)
    assert job.func_name.endswith("<locals>.inside")
    work(queue)
    assert job.is_failed
    assert "is a function inside a function, which a worker cannot import" in (job.exc_info or "")


def test_a_dotted_name_is_resolved_by_the_worker_alone(queue: Queue) -> None:
    job = queue.enqueue("tests.api.samples.add", 3, 4)
    missing = queue.enqueue("no_such_package.module.function", 3)
    work(queue)
    assert job.result == 7
    assert missing.is_failed
    assert "no_such_package" in (missing.exc_info or "")


def test_an_unpicklable_argument_is_refused_before_anything_is_stored(queue: Queue) -> None:
    with pytest.raises(UsageError, match="cannot be pickled"):
        queue.enqueue(samples.echo, samples.Unpicklable())
    assert queue.count == 0


def test_an_unpicklable_result_fails_the_job_with_a_clear_error(queue: Queue) -> None:
    job = queue.enqueue(samples.unpicklable_result)
    work(queue)
    assert job.is_failed
    assert "pickle" in (job.exc_info or "").lower()


def test_looking_into_a_queue(queue: Queue) -> None:
    first = queue.enqueue(samples.add, 1)
    second = queue.enqueue(samples.add, 2)
    front = queue.enqueue(samples.add, 3, at_front=True)
    deferred = queue.enqueue(samples.add, 4, depends_on=first)
    assert len(queue) == queue.count == 3
    assert queue.job_ids == [front.id, first.id, second.id]
    assert queue.jobs == [front, first, second]
    assert queue.get_job_position(second) == 2
    assert queue.fetch_job(second.id) == second
    assert queue.fetch_job("missing") is None
    assert deferred in queue.deferred_job_registry
    work(queue)
    assert deferred.result == 4
    assert queue.is_empty()


def test_create_then_enqueue(queue: Queue, connection: redis.Redis) -> None:
    job = Job.create(samples.echo, "http://example.org", id="mine")
    assert job.get_status() is JobStatus.CREATED
    queue.enqueue_job(job)
    work(queue)
    assert Job.fetch("mine", connection=connection).result == (("http://example.org",), {})


def test_fetch_returns_the_stored_values(queue: Queue, connection: redis.Redis) -> None:
    queue.enqueue(samples.add, 3, y=4, job_id="mine")
    job = Job.fetch("mine", connection=connection)
    assert (job.func_name, job.args, job.kwargs, job.origin) == ("tests.api.samples.add", (3,), {"y": 4}, "default")
    assert job.description == "tests.api.samples.add(3, y=4)"
    assert Job.fetch_many(["mine", "missing"], connection=connection) == [job, None]
    assert Job.exists("mine", connection=connection)
    with pytest.raises(NoSuchJobError, match="'missing'"):
        Job.fetch("missing", connection=connection)


def test_the_current_job_and_its_meta(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.who_am_i, meta={"given": 1})
    work(queue)
    assert job.result == job.id
    assert Job.fetch(job.id, connection=connection).meta == {"given": 1, "handled_by": "me"}


def test_a_failed_job_is_in_its_registry_and_can_be_requeued(queue: Queue) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    registry = queue.failed_job_registry
    work(queue)
    assert job.is_failed
    assert len(registry) == 1
    assert job in registry
    assert registry.get_job_ids() == [job.id]
    assert "ZeroDivisionError" in (job.exc_info or "")
    assert str(Path(flowq.__file__).parent) not in (job.exc_info or "")
    registry.requeue(job)
    assert len(registry) == 0
    assert queue.count == 1
    with pytest.raises(InvalidJobOperation, match="not in the failed registry"):
        registry.requeue(job)


def test_every_execution_has_a_result(queue: Queue, tmp_path: object) -> None:
    path = f"{tmp_path}/attempts"
    job = queue.enqueue(samples.fail_until, path, 3, retry=Retry(max=3))
    work(queue)
    latest = job.latest_result()
    assert latest is not None
    assert latest.type == latest.Type.SUCCESSFUL
    assert latest.return_value == job.return_value() == 3
    assert [item.type for item in job.results()] == [Result.Type.SUCCESSFUL, Result.Type.RETRIED, Result.Type.RETRIED]
    assert "attempt 2" in (job.results()[1].exc_string or "")


def test_a_returned_retry_is_executed_again(queue: Queue) -> None:
    job = queue.enqueue(samples.return_retry, max=2, interval=0)
    work(queue)
    assert len(job.results()) == 3
    assert job.is_failed


def test_a_result_can_be_waited_for(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.add, 1, 2)
    assert job.latest_result(timeout=0.05) is None
    child = os.fork()
    if child == 0:
        work(queue)
        os._exit(0)
    result = job.latest_result(timeout=20)
    os.waitpid(child, 0)
    assert result is not None
    assert result.return_value == 3


def test_taken_ids_and_missing_dependencies(queue: Queue) -> None:
    queue.enqueue(samples.add, 1, job_id="mine")
    with pytest.raises(DuplicateJobError, match="'mine' exists already"):
        queue.enqueue(samples.add, 1, job_id="mine", unique=True)
    with pytest.raises(InvalidJobDependency, match="'missing'"):
        queue.enqueue(samples.add, 1, depends_on="missing")


def test_a_chain_runs_in_order_and_a_failure_skips_the_rest(queue: Queue, tmp_path: object) -> None:
    path = f"{tmp_path}/order"
    a = queue.enqueue(samples.write, path, "a")
    b = queue.enqueue(samples.write, path, "b", depends_on=a)
    c = queue.enqueue(samples.write, path, "c", depends_on=[a, b.id])
    bad = queue.enqueue(samples.div_by_zero, 1, depends_on=c)
    never = queue.enqueue(samples.write, path, "d", depends_on=bad)
    work(queue)
    with open(path) as file:
        assert file.read() == "abc"
    assert never.is_skipped


def test_enqueue_in_waits(queue: Queue) -> None:
    job = queue.enqueue_in(timedelta(hours=1), samples.add, 1)
    assert job.get_status() == "scheduled"
    assert job in queue.scheduled_job_registry
    work(queue)
    assert job.result is None
    job.cancel()
    assert job.is_canceled
    assert job in queue.canceled_job_registry


def test_delete_and_cancel(queue: Queue, connection: redis.Redis) -> None:
    job = queue.enqueue(samples.add, 1)
    job.cancel()
    with pytest.raises(InvalidJobOperation, match=f"Cannot cancel already canceled job: {job.id}"):
        job.cancel()
    job.delete()
    assert not Job.exists(job.id, connection=connection)
    job.delete()


def test_a_timeout_is_a_failure_with_its_reason(queue: Queue) -> None:
    job = queue.enqueue(samples.hang, job_timeout="200ms")
    work(queue)
    assert job.is_failed
    assert "timeout" in (job.exc_info or "").lower()


def test_a_decoding_client_is_fine(queue: Queue) -> None:
    pool = queue.store.client.connection_pool
    decoding = redis.Redis(
        connection_pool=redis.ConnectionPool(
            connection_class=pool.connection_class, **{**pool.connection_kwargs, "decode_responses": True}
        )
    )
    job = Queue(connection=decoding).enqueue(samples.add, 2, 3)
    work(queue)
    assert job.result == 5


def test_a_decoding_client_keeps_the_settings_of_its_pool() -> None:
    settings: dict[str, Any] = {"decode_responses": True, "max_connections": 3}
    sentinel: Any = Sentinel([("nowhere", 1)])  # type: ignore[no-untyped-call]
    pools: list[redis.ConnectionPool] = [
        redis.ConnectionPool(**settings),
        redis.BlockingConnectionPool(timeout=1, **settings),  # type: ignore[no-untyped-call]
        sentinel.master_for("main", **settings).connection_pool,
    ]
    for pool in pools:
        used: Any = Queue(connection=redis.Redis(connection_pool=pool)).store.client.connection_pool
        assert (type(used), used.max_connections) == (type(pool), 3)
        assert used.connection_kwargs["decode_responses"] is False
        assert all(getattr(used, name, None) == getattr(pool, name, None) for name in ("timeout", "service_name"))


@pytest.mark.parametrize("decoding", [False, True])
def test_a_client_that_nobody_needs_any_more_is_forgotten(queue: Queue, decoding: bool) -> None:
    """Web applications make one for each request."""
    pool = queue.store.client.connection_pool
    names = [f"of-request-{number}" for number in range(3)]

    def request(name: str) -> weakref.ref[redis.Redis]:
        settings = {**pool.connection_kwargs, "decode_responses": decoding, "client_name": name}
        client = redis.Redis.from_pool(redis.ConnectionPool(connection_class=pool.connection_class, **settings))
        Queue(connection=client).enqueue(samples.add, 2, 3)
        return weakref.ref(client)

    clients = [request(name) for name in names]
    gc.collect()
    assert [client() for client in clients] == [None] * 3
    until(lambda: not {row["name"] for row in queue.store.client.client_list()} & set(names))


def test_an_object_that_is_not_a_client_is_refused() -> None:
    with pytest.raises(UsageError, match=r"must be a redis\.Redis or redis\.RedisCluster client, found str"):
        Queue(connection="redis://localhost")


def test_payloads_are_pickles_of_name_and_arguments(queue: Queue, store: Store) -> None:
    job = queue.enqueue(samples.add, 1, y=2)
    assert pickle.loads(job.payload()) == ("tests.api.samples.add", (1,), {"y": 2})  # noqa: S301 - our own bytes
