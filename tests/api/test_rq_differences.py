"""Small things that users of RQ meet when they change their imports: each is a line of code of theirs."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import eq, ne
from pathlib import Path
from typing import Any

import pytest

import flowq
from flowq import Callback, Dependency, Queue, RateLimit, Retry, SimpleWorker, Webhook, defaults
from flowq.command import send_shutdown_command
from flowq.cron import CronJob
from flowq.cron.registration import entries
from flowq.decorators import job as job_decorator
from flowq.exceptions import InvalidJobDependency, InvalidJobOperation, UsageError
from flowq.job import Job, get_current_job
from flowq.results import Result, ResultType
from flowq.serializers import DefaultSerializer, PickleSerializer, resolve_serializer
from flowq.webhook import Webhook as StoredWebhook
from tests.api import samples


async def current_id() -> str | None:
    current = get_current_job()
    return None if current is None else current.id


def work(queue: Queue, **options: Any) -> None:
    SimpleWorker([queue]).work(burst=True, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"ttl": -1},
        {"ttl": 0},
        {"job_id": "a.b"},
        {"job_id": "a b"},
        {"job_id": "x", "unique": True, "depends_on": "y"},
        {"job_id": "x", "unique": True, "rate_limit": RateLimit("k", 1)},
        {"unique": True},
        {"on_failure": Job.fetch},
        {"on_failure": samples.Counter(1).plus},
        {"webhooks": Webhook("http://localhost/", "finished")},
    ],
)
@pytest.mark.parametrize("kind", [ValueError, TypeError])
def test_refused_options(queue: Queue, options: dict[str, Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        queue.enqueue(samples.nothing, **options)
    assert queue.count == 0


def test_unique_needs_a_chosen_id(queue: Queue) -> None:
    for enqueue in (queue.enqueue_job, partial(queue.schedule_job, datetime=datetime(2100, 1, 1, tzinfo=UTC))):
        with pytest.raises(UsageError, match="needs an id"):
            enqueue(queue.create_job(samples.nothing), unique=True)


@pytest.mark.parametrize("timeout", [1.5, 2.0, "10", "1500ms", 0])
def test_a_webhooks_timeout_is_whole_seconds(timeout: Any) -> None:
    with pytest.raises(ValueError, match="timeout"):
        Webhook("http://localhost/", "finished", timeout=timeout)


def test_a_stored_webhook_of_an_earlier_version_is_read() -> None:
    stored = Webhook("http://localhost/", "finished").to_dict() | {"timeout": 1.5}
    assert StoredWebhook.from_dict(stored).timeout == 2


def test_texts(queue: Queue) -> None:
    assert (repr(queue), str(queue)) == ("Queue('default')", "<Queue default>")
    assert repr(flowq.Group(queue.connection, "g")) == "Group(id=g)"
    assert repr(Retry(max=3, interval=10)) == "Retry(max=3, interval=10, enqueue_at_front=False)"
    assert str(queue.enqueue(samples.add, 1, job_id="j")) == "<Job j: tests.api.samples.add(1)>"
    for mine in (queue, SimpleWorker([queue])):
        for compare in (eq, ne):
            with pytest.raises(TypeError):
                compare(mine, "default")


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda: resolve_serializer(object), NotImplementedError),
        (lambda: resolve_serializer(5), NotImplementedError),
        (lambda: registered_by("/nowhere/config.py"), FileNotFoundError),
        (lambda: registered_by("/"), OSError),
        (lambda: registered_by("tests.api.no_such_module"), ImportError),
        (lambda: registered_by("mistaken.py", "1 / 0"), ImportError),
        (lambda: registered_by("mistaken.py", "(("), ImportError),
    ],
)
def test_errors_are_also_those_of_rq(
    call: Callable[[], object], kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(kind) as caught:
        call()
    assert isinstance(caught.value, UsageError)


def registered_by(configuration: str, text: str = "") -> list[CronJob]:
    if text:
        Path(configuration).write_text(text)
    return entries(configuration)


def test_names_and_defaults() -> None:
    assert flowq.__version__ == flowq.VERSION
    assert (defaults.DEFAULT_RESULT_TTL, defaults.DEFAULT_FAILURE_TTL) == (500, 31_536_000)
    assert DefaultSerializer is PickleSerializer
    assert Callback("print").resolved() is print


def test_durations_stay_as_they_were_given(queue: Queue) -> None:
    job = Job.fetch(queue.enqueue(samples.nothing, job_timeout=7, retry=Retry(2, [1, 2])).id, queue.connection)
    assert [repr(value) for value in (job.timeout, job.retry_intervals, job.failure_ttl)] == ["7", "[1, 2]", "None"]
    assert job.enqueue_at_front_on_retry is False
    assert [repr(Callback("f.g", timeout).timeout) for timeout in (None, 5, 0.5, "1m")] == ["60", "5", "0.5", "60"]
    asked = (job.success_callback_timeout, job.failure_callback_timeout, job.stopped_callback_timeout)
    assert repr(asked) == "(60, 60, 60)"
    workers = SimpleWorker([queue]), SimpleWorker([queue], default_result_ttl="1m", worker_ttl=2.5)
    assert [repr((worker.default_result_ttl, worker.worker_ttl)) for worker in workers] == ["(500, 10)", "(60, 2.5)"]
    assert (
        repr((queue.default_timeout, Queue("q", default_timeout=5, connection=queue.connection).default_timeout)) == "(180, 5)"
    )


def test_settings_can_be_set_before_the_job_is_enqueued(queue: Queue) -> None:
    job = queue.create_job(samples.add, repeat=1)
    job.id, job.args, job.kwargs, job.repeats_left = "named", (1,), {"y": 2}, 3
    queue.enqueue_job(job, unique=True)
    stored = Job.fetch("named", queue.connection)
    assert (stored.args, stored.kwargs, stored.repeats_left) == ((1,), {"y": 2}, 3)


def test_prepared_data_has_attributes() -> None:
    data = Queue.prepare_data(samples.add, (1,), {"y": 2}, timeout=5, job_id="x", at_front=True)
    assert (data.func, data.args, data.kwargs, data.timeout, data.job_id) == (samples.add, (1,), {"y": 2}, 5, "x")
    with pytest.raises(AttributeError):
        _ = data.nothing


def test_reading_queues_and_registries(queue: Queue) -> None:
    job = queue.enqueue(samples.nothing)
    assert queue.get_job_ids(length=0) == queue.get_jobs(length=0) == []
    registry = job.failed_job_registry
    assert (registry, registry.serializer) == (queue.failed_job_registry, DefaultSerializer)
    registry.remove("absent")
    queue.empty()


def test_perform_awaits_and_is_the_current_job(queue: Queue) -> None:
    job = Job.create(current_id, connection=queue.connection)
    assert job.perform() == job.id
    assert get_current_job() is None


def test_a_returned_retry_is_counted_at_once_and_shown_when_exceeded(queue: Queue) -> None:
    job = queue.enqueue(samples.return_retry, 1)
    work(queue, max_jobs=1)
    assert (job.number_of_retries, Result.count(job)) == (1, 1)
    work(queue)
    latest = Result.fetch_latest(job)
    assert latest is not None
    assert (latest.type, latest.return_value, latest.exc_string) == (ResultType.MAX_RETRIES_EXCEEDED, Retry(1), None)
    assert Result.all(job)[0] == latest
    assert "/" not in latest.id


def test_an_error_text_ends_with_a_line_break(queue: Queue) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    work(queue)
    latest = job.latest_result()
    assert latest is not None
    assert (latest.exc_string or "").endswith("ZeroDivisionError: division by zero\n")


def test_requeue_forgets_the_times(queue: Queue) -> None:
    job = queue.enqueue(samples.div_by_zero, 1)
    work(queue)
    assert all((job.started_at, job.ended_at))
    job.requeue()
    assert not any((job.started_at, job.ended_at))
    queue.empty()


@pytest.mark.parametrize(
    ("function", "arguments", "value"),
    [
        (samples.Counter(1), (3,), 3),
        (samples.Counter(1).plus, (2,), 3),
        (partial(samples.add, 1), (2,), 3),
        (len, ("abc",), 3),
        ("tests.api.samples.add", (1, 2), 3),
    ],
)
def test_what_can_be_enqueued(queue: Queue, function: Any, arguments: tuple[Any, ...], value: object) -> None:
    job = queue.enqueue(function, *arguments)
    assert job.perform() == value
    work(queue)
    assert job.return_value() == value


def test_a_decorated_function_has_enqueue(queue: Queue) -> None:
    @job_decorator(queue)
    def inner() -> None:
        """Do nothing."""

    made = inner.enqueue()
    assert made.func_name.endswith("<locals>.inner")
    assert queue.enqueue(partial(samples.add, 1), y=2).perform() == 3
    queue.empty()


def test_allow_dependency_failures(queue: Queue) -> None:
    parent = queue.enqueue(samples.nothing)
    lenient = queue.enqueue(samples.nothing, depends_on=Dependency(parent, allow_failure=True))
    strict = queue.enqueue(samples.nothing, depends_on=parent)
    found = [Job.fetch(job.id, queue.connection).allow_dependency_failures for job in (parent, lenient, strict)]
    assert found == [None, True, False]
    work(queue)


def test_a_parent_that_finished_and_expired_is_met(queue: Queue) -> None:
    parent = queue.enqueue(samples.nothing, result_ttl=0)
    work(queue)
    assert queue.enqueue(samples.nothing, depends_on=parent).is_queued
    assert queue.enqueue_many([Queue.prepare_data(samples.nothing, depends_on=[parent])])[0].is_queued
    with pytest.raises(InvalidJobDependency):
        queue.enqueue(samples.nothing, depends_on=parent.id)
    with pytest.raises(InvalidJobDependency):
        queue.enqueue(samples.nothing, depends_on=Job.create(samples.nothing, connection=queue.connection))
    queue.empty()


def test_cancel_can_take_the_edges_away(queue: Queue) -> None:
    canceled, other = queue.enqueue(samples.nothing), queue.enqueue(samples.nothing)
    both = queue.enqueue(samples.nothing, depends_on=[canceled, other])
    alone = queue.enqueue(samples.nothing, depends_on=canceled)
    canceled.cancel(remove_from_dependencies=True)
    assert (both.is_skipped, alone.is_skipped) == (False, True)
    work(queue)
    assert both.is_finished
    with pytest.raises(InvalidJobOperation, match="Cannot cancel already canceled job"):
        canceled.cancel()


def test_a_worker_can_be_asked_before_and_after_work(queue: Queue) -> None:
    worker = SimpleWorker([queue])
    for _ in range(2):
        assert worker.pid > 0
        assert (bool(worker.hostname), worker.birth_date, worker.successful_job_count) == (True, None, 0)
        worker.work(burst=True)
    send_shutdown_command(queue.connection, worker.name)


def test_the_next_time_of_a_cron_job_counts_from_the_given_one() -> None:
    weekdays = CronJob("default", samples.nothing, cron="0 9 * * 1-5", timezone="UTC")
    weekdays.set_enqueue_time(datetime(2023, 10, 27, 9, tzinfo=UTC))
    assert weekdays.next_enqueue_time == datetime(2023, 10, 30, 9, tzinfo=UTC)
    interval = CronJob("default", samples.nothing, interval=60)
    now = datetime.now(UTC)
    interval.set_enqueue_time(now)
    assert interval.next_enqueue_time == now + timedelta(seconds=60)
