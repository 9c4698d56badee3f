"""Blocking waits with a client whose socket timeout is short: they last for the given time and end without an error."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import redis

from flowq import Group, Queue, SimpleWorker
from flowq.store import Store
from tests.api import samples
from tests.api.conftest import Background

PATIENCE = 1.0  # s


@pytest.fixture
def impatient(connection: redis.Redis) -> Iterator[Queue]:
    path = connection.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, socket_timeout=PATIENCE) as client:
        yield Queue(connection=client)


def seconds(call: Callable[[], object], expected: object) -> float:
    start = time.monotonic()
    assert call() is expected
    return time.monotonic() - start


def test_a_wait_for_a_result_ends_at_its_timeout(impatient: Queue) -> None:
    job = impatient.enqueue(samples.add, 1)
    assert 4 <= seconds(lambda: job.latest_result(timeout=4), None) < 5


def test_a_wait_for_a_group_ends_at_its_timeout(impatient: Queue) -> None:
    group = Group.create(impatient.connection)
    group.enqueue_many(impatient, [Queue.prepare_data(samples.add, (1,))])
    assert 4 <= seconds(lambda: group.wait(timeout=4), False) < 5


def test_a_short_wait_is_short(impatient: Queue) -> None:
    job = impatient.enqueue(samples.add, 1)
    assert seconds(lambda: job.latest_result(timeout=0.2), None) < 1


def test_a_wait_ends_with_the_result(impatient: Queue, queue: Queue) -> None:
    job = impatient.enqueue(samples.add, 1, 2)
    later = threading.Timer(2 * PATIENCE, queue.enqueue_job, [job])
    later.start()
    found: list[object] = []
    waiting = threading.Thread(target=lambda: found.append(job.latest_result(timeout=20)))
    waiting.start()
    later.join()
    SimpleWorker([queue]).work(burst=True)
    waiting.join()
    assert [result.return_value for result in found] == [3]  # type: ignore[attr-defined]


def test_a_run_is_watched_with_such_a_client(connection: redis.Redis) -> None:
    path = connection.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path, socket_timeout=0.2) as client:
        assert Store(client).runs.events("a-run", block_ms=3000) == []


def test_a_worker_with_such_a_client_waits_for_jobs(
    impatient: Queue, queue: Queue, background: Callable[..., Background]
) -> None:
    path = impatient.connection.connection_pool.connection_kwargs["path"]

    def make() -> SimpleWorker:
        return SimpleWorker([Queue(connection=redis.Redis(unix_socket_path=path, socket_timeout=0.4))])

    worker = background(make, max_jobs=1)
    job = queue.enqueue_in(timedelta(seconds=2), samples.add, 1, 2)
    assert worker.wait() == 0
    assert job.return_value() == 3
