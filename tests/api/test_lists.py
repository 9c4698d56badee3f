"""`enqueue_many`: what is wrong with one job is found before any is sent, and the client decides how the calls are sent."""

import copy
import pickle
from typing import Any

import pytest
import redis

from flowq import Queue
from flowq.exceptions import ConfigError, SerializerError, TooLargeError, UsageError
from flowq.job import Job
from tests.api import samples
from tests.api.samples import Unpicklable

MANY = 140  # jobs: three calls
LATE = 130  # of them


class ChoosyJob(Job):
    """A class whose job `j130` cannot be made."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.id == f"j{LATE}":
            raise UsageError("not this one")


class AskingJob(Job):
    """A class that uses the connection whenever a job is made."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        assert self.connection.ping()


class Observed(redis.Redis):
    """A client of the user's own that sees each command."""

    seen: list[str]

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        self.seen.append(" ".join(map(str, arguments[:2])))
        return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]


def jobs(**late: Any) -> list[Any]:
    """Describe jobs; `late`: changes of one of the last."""
    options: list[dict[str, Any]] = [{"args": (number, 1), "job_id": f"j{number}"} for number in range(MANY)]
    options[LATE] |= late
    return [Queue.prepare_data(samples.add, **one) for one in options]


def pool(
    connection: redis.Redis, kind: type[redis.ConnectionPool] = redis.ConnectionPool, **options: Any
) -> redis.ConnectionPool:
    known = connection.connection_pool
    return kind(connection_class=known.connection_class, **{**known.connection_kwargs, **options})


MISTAKES: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception]]] = {
    "an argument that cannot be pickled": ({}, {"args": (Unpicklable(),)}, UsageError),
    "an argument that is no JSON": ({"serializer": "json"}, {"args": ({1, 2},)}, UsageError),
    "meta that cannot be pickled": ({}, {"meta": {"a": Unpicklable()}}, UsageError),
    "too large": ({}, {"args": (b"x" * 9_000_000,)}, TooLargeError),
    "the same id": ({}, {"job_id": "j1"}, UsageError),
    "a class that refuses it": ({"job_class": ChoosyJob}, {}, UsageError),
}


@pytest.mark.parametrize("grouped", [None, "team"], ids=["", "in a group"])
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_late_job_enqueues_none(queue: Queue, mistake: str, grouped: str | None) -> None:
    options, late, error = MISTAKES[mistake]
    queue.enqueue(samples.nothing)  # the server is known from now on
    before = queue.connection.dbsize()
    with pytest.raises(error):
        Queue(connection=queue.connection, **options).enqueue_many(iter(jobs(**late)), group_id=grouped)
    assert queue.connection.dbsize() == before


def test_a_key_that_is_too_short_enqueues_none(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWQ_SECRET_KEY", "short")
    with pytest.raises(ConfigError, match="too short"):
        queue.enqueue_many(jobs())
    assert len(queue) == 0


def test_a_serializer_without_a_name_enqueues_none(queue: Queue) -> None:
    class Local:
        dumps = loads = staticmethod(bytes)

    with pytest.raises((SerializerError, UsageError), match="serializer"):
        Queue(connection=queue.connection, serializer=Local).enqueue_many(jobs())
    assert len(queue) == 0


def test_a_client_of_the_users_own_sees_the_calls(queue: Queue) -> None:
    client = Observed(connection_pool=pool(queue.connection))
    client.seen = []
    own = Queue(connection=client)
    own.enqueue(samples.nothing)
    client.seen.clear()
    own.enqueue_many(jobs())
    assert len([command for command in client.seen if "create_many" in command or "EVALSHA" in command]) == 3
    assert own.job_ids[1:] == [f"j{number}" for number in range(MANY)]


@pytest.mark.parametrize("kind", [redis.ConnectionPool, redis.BlockingConnectionPool])
def test_one_connection_is_enough(queue: Queue, kind: type[redis.ConnectionPool]) -> None:
    """Also where jobs, or the caller, use it while the list is on its way."""
    client = redis.Redis(connection_pool=pool(queue.connection, kind, max_connections=1))
    own = Queue(connection=client, job_class=AskingJob)
    own.enqueue(samples.nothing)
    own.enqueue_many(jobs())
    assert own.job_ids[1:] == [f"j{number}" for number in range(MANY)]


def test_prepared_data_tells_what_was_given_and_what_was_not() -> None:
    usual = Queue.prepare_data(samples.add, (1, 2))
    assert (usual.at_front, usual.timeout, usual.job_id, usual.args) == (False, None, None, (1, 2))
    first = Queue.prepare_data(samples.add, (1, 2), at_front=True, timeout=4)
    assert (first.at_front, first.timeout) == (True, 4)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = usual.nothing


def test_prepared_data_can_be_sent_to_another_process(queue: Queue) -> None:
    given = Queue.prepare_data(samples.add, (1, 2), job_id="j", timeout=4)
    for sent in (pickle.loads(pickle.dumps(given)), copy.copy(given), copy.deepcopy(given)):  # noqa: S301 - made here
        assert sent == given
        (job,) = queue.enqueue_many([sent])
        assert (job.id, job.timeout, job.args) == ("j", 4, (1, 2))
