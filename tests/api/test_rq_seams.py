"""What subclasses and patches of RQ's users rely on: the methods that call each other, and the types of what they get."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
import redis

from flowq import Queue, Worker
from flowq.group import Group
from flowq.job import Job
from tests.api import samples


class SeamQueue(Queue):
    """A user's queue that records the methods that an enqueued job goes through."""

    calls: ClassVar[list[str]] = []

    def enqueue_call(self, *args: Any, **kwargs: Any) -> Job:
        self.calls.append("enqueue_call")
        return super().enqueue_call(*args, **kwargs)

    def enqueue_job(self, job: Job, *args: Any, **kwargs: Any) -> Job:
        self.calls.append("enqueue_job")
        job.meta["seen"] = True
        return super().enqueue_job(job, *args, **kwargs)

    def schedule_job(self, job: Job, *args: Any, **kwargs: Any) -> Job:
        self.calls.append("schedule_job")
        return super().schedule_job(job, *args, **kwargs)


class ConnectedJob(Job):
    """A user's class of jobs, which insists on a redis-py client."""

    def __init__(self, id: str | None = None, connection: Any = None, serializer: Any = None) -> None:  # noqa: A002 - RQ's name
        assert isinstance(connection, redis.Redis)
        super().__init__(id, connection, serializer)


class ConnectedQueue(Queue):
    """A user's class of queues, likewise."""

    job_class = ConnectedJob

    def __init__(self, name: str = "default", connection: Any = None, **options: Any) -> None:
        assert isinstance(connection, redis.Redis)
        super().__init__(name, connection, **options)


def test_enqueue_goes_through_enqueue_call_and_enqueue_job(queue: Queue) -> None:
    seam = SeamQueue(connection=queue.connection)
    seam.calls.clear()
    job = seam.enqueue(samples.add, 1, y=2, job_timeout=7, at_front=True, job_id="seen")
    assert seam.calls == ["enqueue_call", "enqueue_job"]
    stored = Job.fetch("seen", queue.connection)
    assert (stored.meta, stored.timeout, stored.args, stored.kwargs) == ({"seen": True}, 7, (1,), {"y": 2})
    assert job == stored


def test_a_replaced_enqueue_call_gets_every_option(connection: redis.Redis) -> None:
    """Subclasses read options out of the keywords, whether they were given or not."""
    seen: list[dict[str, Any]] = []

    class Delaying(Queue):
        def enqueue_call(self, *args: Any, **kwargs: Any) -> Any:
            assert args == ()
            seen.append(kwargs)

    assert Delaying(connection=connection).enqueue(samples.add, 1, y=2, job_timeout=5) is None
    assert set(seen[0]) == set(inspect.signature(Queue.enqueue_call).parameters) - {"self"}
    given = {name: value for name, value in seen[0].items() if value}
    assert given == {"func": samples.add, "args": (1,), "kwargs": {"y": 2}, "timeout": 5}


def test_later_jobs_go_through_schedule_job(queue: Queue) -> None:
    seam = SeamQueue(connection=queue.connection)
    seam.calls.clear()
    seam.enqueue_at(datetime(2100, 1, 1, tzinfo=UTC), samples.nothing)
    seam.enqueue_in(timedelta(hours=1), samples.nothing, job_id="later", unique=True)
    assert seam.calls == ["schedule_job", "schedule_job"]
    assert "later" in queue.scheduled_job_registry


def test_a_replaced_enqueue_job_is_called(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Queue.enqueue_job

    def patched(self: Queue, job: Job, **kwargs: Any) -> Job:
        job.meta["trace"] = "abc"
        return original(self, job, **kwargs)

    monkeypatch.setattr(Queue, "enqueue_job", patched)
    assert Job.fetch(queue.enqueue(samples.nothing).id, queue.connection).meta == {"trace": "abc"}


def test_subclasses_get_the_client_as_connection(queue: Queue) -> None:
    mine = ConnectedQueue("mine", connection=queue.connection)
    job = mine.enqueue(samples.nothing)
    assert ConnectedJob.fetch(job.id, queue.connection) == job
    assert mine.fetch_job(job.id) == mine.jobs[0] == job
    assert ConnectedQueue.all(queue.connection) == [mine]
    assert isinstance(Worker([mine], queue_class=ConnectedQueue).connection, redis.Redis)
    group = Group.create(queue.connection)
    group.enqueue_many(mine, [Queue.prepare_data(samples.nothing)])
    assert isinstance(Group.all(queue.connection)[0].connection, redis.Redis)
