"""Fixtures for the tests of programs that use flowq. In a `conftest.py`:

    pytest_plugins = ["flowq.testing"]

A test that asks for one of them has a real server of its own, empty, and code under test that says `Queue()` finds it.

    def test_a_report_is_sent(flowq_work):
        order_report(customer=7)          # enqueues something
        flowq_work()                      # executes it, and what follows from it
        assert outbox == ["report for 7"]
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from flowq.connections import stores
from flowq.connections.clients import open_client
from flowq.embedded.control import start_server, stop_server
from flowq.job import Job
from flowq.queue import Queue
from flowq.worker.simple_worker import SimpleWorker
from flowq.worker.worker import Worker

if TYPE_CHECKING:
    import redis


class JobsFailedError(AssertionError):
    """Jobs that a test executed have failed; the message holds their errors."""


@pytest.fixture(scope="session")
def flowq_server() -> Iterator[str]:
    """The URL of a private server that lives as long as the test session."""
    home = tempfile.mkdtemp(prefix="flowq-test-", dir="/tmp")
    try:
        yield f"unix://{start_server(home).socket}"
    finally:
        stop_server(home, force=True)
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def flowq_connection(flowq_server: str, monkeypatch: pytest.MonkeyPatch) -> "Iterator[redis.Redis]":
    """A client of the private server, which is empty; `FLOWQ_REDIS_URL` leads to it, also in child processes."""
    monkeypatch.setenv("FLOWQ_REDIS_URL", flowq_server)
    former = stores.set_default_store(None)
    client: Any = open_client(flowq_server)
    client.flushall()
    yield client
    client.close()
    stores.set_default_store(former)


@pytest.fixture
def flowq_queue(flowq_connection: "redis.Redis") -> Queue:
    """The queue named "default", empty."""
    return Queue(connection=flowq_connection)


@pytest.fixture
def flowq_work(flowq_connection: "redis.Redis") -> Callable[..., list[Job]]:
    """A function that executes all enqueued jobs, and the jobs that these enqueue or release.

    flowq_work(*queues, forked=False, allow_failures=False): `queues` are names, all there are unless given. Jobs run in the test's own
    process, so that its patches hold and a debugger works; `forked` has each in a process of its own, as in production. Returns the
    jobs that have failed; unless `allow_failures`, they fail the test.
    """

    def work(*queues: str, forked: bool = False, allow_failures: bool = False) -> list[Job]:
        __tracebackhide__ = True  # the job failed, not the test: its error is the message
        wanted = [Queue(name, flowq_connection) for name in queues] or Queue.all(flowq_connection)
        before = _failed(wanted)
        if wanted:
            (Worker if forked else SimpleWorker)(wanted).work(burst=True)
        known = wanted if queues else Queue.all(flowq_connection)
        new = [job for job in _failed(known) if job not in before]
        if new and not allow_failures:
            raise JobsFailedError("\n\n".join(f"{job.id} {job.description}:\n{(job.exc_info or '').rstrip()}" for job in new))
        return new

    return work


def _failed(queues: list[Queue]) -> list[Job]:
    ids = [job for queue in queues for job in queue.failed_job_registry.get_job_ids()]
    return [job for job in Job.fetch_many(ids, queues[0].store) if job is not None] if ids else []
