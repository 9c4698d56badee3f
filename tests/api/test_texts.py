"""The attributes of a job that are read without decoding its data, and strings that UTF-8 cannot encode."""

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from flowq import Group, Queue, RateLimit, Worker
from flowq.exceptions import DeserializationError, UsageError
from flowq.job import Job
from tests.api import samples

HALF = "a\ud800b"  # half of a character: Python can hold it, UTF-8 cannot

Work = Callable[..., None]


def test_description_and_function_are_read_without_decoding_arguments(queue: Queue) -> None:
    made = queue.enqueue(samples.echo, samples.Unreadable(), key="value")
    job = Job.fetch(made.id, queue.connection)
    assert job.func_name == "tests.api.samples.echo"
    assert job.description.startswith("tests.api.samples.echo(<tests.api.samples.Unreadable object at")
    assert job.description == job.get_call_string() == made.description
    with pytest.raises(DeserializationError, match="decoded"):
        job.args  # noqa: B018 - reading it is the test


def test_they_are_read_in_every_list(queue: Queue, work: Work) -> None:
    queue.enqueue(samples.echo, samples.Unreadable())
    assert [job.func_name for job in queue.jobs] == ["tests.api.samples.echo"]
    work()
    failed = Job.fetch_many(queue.failed_job_registry.get_job_ids(), queue.connection)
    assert [job.func_name for job in failed if job] == ["tests.api.samples.echo"]


def test_a_call_that_was_stored_without_its_text_is_read_as_well(queue: Queue) -> None:
    """This holds for jobs of earlier versions."""
    readable, not_readable = (queue.enqueue(samples.echo, value) for value in (1, samples.Unreadable()))
    for job in (readable, not_readable):
        queue.connection.hdel(f"{{flowq}}:job:{job.id}", "call")
    assert Job.fetch(readable.id, queue.connection).description == "tests.api.samples.echo(1)"
    job = Job.fetch(not_readable.id, queue.connection)
    assert job.description == job.func_name == "a call that cannot be decoded here"


def test_a_given_description_is_shown_and_the_call_is_too(queue: Queue) -> None:
    made = queue.enqueue(samples.echo, samples.Unreadable(), description="echo it")
    job = Job.fetch(made.id, queue.connection)
    assert (job.description, job.func_name) == ("echo it", "tests.api.samples.echo")


class Unspeakable:
    """A class whose `repr` fails."""

    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ((Unspeakable(),), "<Unspeakable"),
        ((10**5000,), "<int"),
        (("x" * 10_000,), "'xxxx"),
        ((list(range(100_000)),), "[0, 1, 2"),
        (tuple(range(100_000)), "0, 1, 2"),
        ((HALF,), r"'a\ud800b'"),
    ],
)
def test_the_text_of_a_call_is_short_and_never_fails(args: tuple[Any, ...], shown: str) -> None:
    text = Job.create(samples.echo, args).description
    assert text.startswith(f"tests.api.samples.echo({shown}")
    assert len(text) < 1200


def test_the_error_of_a_job_is_read_without_decoding_its_result(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.return_unreadable)
    work()
    assert job.is_finished
    assert job.exc_info is None
    with pytest.raises(DeserializationError, match="decoded"):
        job.latest_result()


def test_names_that_cannot_be_stored_are_refused_with_a_sentence(queue: Queue) -> None:
    for give in (
        lambda: Queue(HALF, queue.connection),
        lambda: queue.enqueue(samples.add, 1, job_id=HALF),
        lambda: queue.enqueue(samples.add, 1, depends_on=HALF),
        lambda: queue.enqueue(f"module.{HALF}"),
        lambda: queue.enqueue(samples.add, 1, on_success=f"module.{HALF}"),
        lambda: queue.enqueue(samples.add, 1, rate_limit=RateLimit(HALF, 1)),
        lambda: Group.create(queue.connection, HALF),
        lambda: Job.create(samples.add, (1,), id=HALF),
        lambda: Job.fetch(HALF, queue.connection),
        lambda: Job.exists(HALF, queue.connection),
        lambda: queue.fetch_job(HALF),
        lambda: queue.remove(HALF),
        lambda: HALF in queue.failed_job_registry,
        lambda: Worker(queue, name=HALF),
    ):
        with pytest.raises(ValueError, match="surrogate") as caught:
            give()
        assert isinstance(caught.value, UsageError)
    assert queue.count == 0


def test_other_texts_with_half_characters_are_stored(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.echo, HALF, description=HALF, meta={"key": HALF})
    again = Job.fetch(job.id, queue.connection)
    assert (again.description, again.meta, again.args) == (r"a\ud800b", {"key": HALF}, (HALF,))
    work()
    assert pickle.loads(pickle.dumps(job.return_value())) == ((HALF,), {})  # noqa: S301 - our own bytes


@pytest.mark.parametrize("given", [{"args": (HALF,)}, {"args": (1,), "meta": {"key": HALF}}])
def test_values_that_a_serializer_cannot_encode_are_refused_with_a_sentence(connection: Any, given: dict[str, Any]) -> None:
    queue = Queue("json", connection, serializer="json")
    with pytest.raises(ValueError, match="cannot be serialized"):
        queue.enqueue(samples.echo, **given)
