"""Jobs between creation and enqueueing, and the attributes that may be changed afterwards."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from flowq import Callback, Dependency, Queue, Repeat, Retry, Worker
from flowq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchJobError, UsageError
from flowq.job import Job
from flowq.store.schema.outcomes import ExecutionReport
from tests.api import samples
from tests.api.conftest import Background
from tests.support.wait import until

Work = Callable[..., None]


def test_a_created_job_can_be_saved_fetched_and_enqueued(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.add, 1)
    made = Job.create(
        samples.add,
        (1,),
        {"y": 2},
        connection=queue.connection,
        id="draft",
        timeout="1m",
        ttl="1h",
        result_ttl=50,
        failure_ttl=60,
        description="text",
        meta={"a": 1},
        depends_on=Dependency(parent, allow_failure=True),
        retry=Retry(max=2, interval=[1, 2], enqueue_at_front=True),
        repeat=Repeat(times=1),
        on_success=Callback(samples.on_success, timeout=7),
    )
    made.save()
    assert (made.get_status(), len(queue), Job.exists("draft", queue.connection)) == ("created", 1, True)
    made.description = "another text"
    made.save()
    found = Job.fetch("draft", connection=queue.connection)
    assert (found.get_status(), found.description, found.meta) == ("created", "another text", {"a": 1})
    assert (found.timeout, found.ttl, found.result_ttl, found.failure_ttl) == (60, 3600, 50, 60)
    assert (found.retries_left, found.retry_intervals, found.repeats_left, found.repeat_intervals) == (2, [1, 2], 1, [0])
    assert (found.success_callback, found.success_callback_timeout) == (samples.on_success, 7)
    assert (found.dependency_ids, found.dependency) == ([parent.id], parent)
    child = queue.enqueue(samples.add, 3, depends_on=found)
    queue.enqueue_job(found)
    assert found.is_deferred
    found.repeats_left  # noqa: B018 - read once, so that a handle that looked is no other than one that did not
    found.meta["log"] = "/dev/null"
    found.save()
    work()
    assert (made.result, child.result, found.description) == (3, 3, "another text")
    assert [result.type.name for result in made.results()] == ["SUCCESSFUL"] * 2


def test_a_draft_can_be_canceled_and_deleted_without_hanging_dependents(queue: Queue) -> None:
    drafts = [queue.create_job(samples.add), *(Job.create(samples.add, connection=queue.connection) for _ in range(2))]
    for draft in drafts:
        draft.save()
    children = [queue.enqueue(samples.add, depends_on=draft) for draft in drafts]
    drafts[0].cancel()
    drafts[1].delete()
    assert [child.is_skipped for child in children] == [True, True, False]
    drafts[0].requeue()
    assert queue.job_ids == [drafts[0].id]
    with pytest.raises(InvalidJobOperation, match=r"cannot cancel .* it is created"):
        drafts[2].cancel()
    with pytest.raises(DuplicateJobError, match="it is created"):
        queue.enqueue(samples.add, job_id=drafts[2].id, unique=True)


def test_a_canceled_draft_that_is_requeued_leaves_nothing(queue: Queue) -> None:
    draft = queue.create_job(samples.add, (1,), result_ttl=100, depends_on="missing")
    draft.save()
    draft.cancel()
    draft.requeue()
    claim = queue.store.workers.claim("w", [queue.name], 100)
    assert claim is not None
    queue.store.jobs.finish(ExecutionReport(claim.id, claim.token, "finished", value=b"x"))
    keys = [key for key in queue.connection.scan_iter("*") if draft.id.encode() in key]
    assert len(keys) > 1
    assert [key for key in keys if queue.connection.pttl(key) == -1] == []


def test_saving_a_created_job_whose_id_was_enqueued_meanwhile_saves_its_settings(queue: Queue) -> None:
    made = Job.create(samples.add, connection=queue.connection, id="mine")
    queue.enqueue(samples.add, 1, job_id="mine")
    made.description = "text"
    made.save()
    assert (made.get_status(), queue.jobs[0].description, queue.jobs[0].args) == ("queued", "text", (1,))


def test_a_fetched_job_that_is_enqueued_again_keeps_its_settings(queue: Queue, work: Work) -> None:
    first = queue.enqueue(
        samples.add, 1, 2, job_id="mine", job_timeout=7, description="text", failure_ttl=9, retry=Retry(max=3), meta={"a": 1}
    )
    work()
    again = queue.enqueue_job(Job.fetch("mine", connection=queue.connection))
    found = Job.fetch("mine", connection=queue.connection)
    assert (found.get_status(), found.timeout, found.description, found.failure_ttl) == ("queued", 7, "text", 9)
    assert (found.retries_left, found.meta, again) == (3, {"a": 1}, first)


def test_changes_of_an_enqueued_job(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=5), result_ttl=50, failure_ttl=60)
    found = Job.fetch(job.id, connection=queue.connection)
    found.retries_left = 1
    found.result_ttl, found.failure_ttl = "1h", 70
    found.save()
    work()
    assert len(job.results()) == 2
    again = Job.fetch(job.id, connection=queue.connection)
    assert (again.result_ttl, again.failure_ttl, again.retries_left) == (3600, 70, 0)
    job.requeue()
    job.refresh()
    job.retries_left = 0
    job.save()
    work()
    assert (len(job.results()), job.retries_left) == (3, None)
    with pytest.raises(UsageError, match="retries_left"):
        job.retries_left = -1
    with pytest.raises(UsageError, match="timeout"):
        job.timeout = "soon"
    for bad in ("", "a|b"):
        with pytest.raises(UsageError, match="a job's id must be a text"):
            job.id = bad


def test_a_result_has_the_worker_and_the_times(queue: Queue, work: Work, tmp_path: Path) -> None:
    job = queue.enqueue(samples.fail_until, str(tmp_path / "log"), 2, retry=Retry(max=1))
    Worker([queue], name="worker one").work(max_jobs=1)
    Worker([queue], name="worker two").work(max_jobs=1)
    last, first = job.results()
    assert [(item.worker_name, item.execution_id) for item in (first, last)] == [("worker one", "1"), ("worker two", "2")]
    assert first.execution_started_at is not None
    assert last.execution_started_at is not None
    assert first.execution_started_at <= first.execution_ended_at <= last.execution_started_at <= last.created_at
    assert job.latest_result() == last


def test_the_two_kinds_of_retry_are_counted_separately(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = queue.enqueue(samples.by_turns, str(log), ["retry", "fail", "retry", "fail", "end"], retry=Retry(max=2))
    work()
    assert (job.get_status(), job.result) == ("finished", "end")
    assert (job.number_of_retries, job.retries_left) == (4, 0)


def test_wrong_types_are_reported(queue: Queue) -> None:
    wrong: list[Callable[[], Any]] = [
        lambda: queue.enqueue(samples.echo, kwargs=[1]),
        lambda: queue.enqueue_call(samples.echo, kwargs=[1]),  # type: ignore[arg-type]
        lambda: queue.enqueue(samples.echo, meta=[1]),
        lambda: queue.enqueue(samples.echo, meta={"a": lambda: 1}),
        lambda: queue.enqueue_at("tomorrow", samples.echo),  # type: ignore[arg-type]
        lambda: queue.enqueue_in(5, samples.echo),  # type: ignore[arg-type]
        lambda: Queue(3, connection=queue.connection),  # type: ignore[arg-type]
        lambda: Queue(connection="redis://localhost"),
        lambda: Worker([3], connection=queue.connection),  # type: ignore[list-item]
        lambda: Job.fetch(None, connection=queue.connection),  # type: ignore[arg-type]
    ]
    for call in wrong:
        with pytest.raises(UsageError, match=r"expected|must be|cannot be serialized|a worker serves"):
            call()
    assert Queue.all(queue.connection) == []


def test_waiting_for_a_result_ends_if_none_can_come(queue: Queue, work: Work) -> None:
    canceled = queue.enqueue(samples.add, 1)
    canceled.cancel()
    skipped = queue.enqueue(samples.add, 1, depends_on=canceled)
    began = time.monotonic()
    assert (canceled.latest_result(timeout=60), skipped.latest_result(timeout=60)) == (None, None)
    assert time.monotonic() - began < 30


def test_a_running_job_that_is_deleted_is_killed_and_leaves_nothing(
    queue: Queue, background: Callable[..., Background], tmp_path: Path
) -> None:
    job = queue.enqueue(samples.mark_and_hang, str(tmp_path / "started"), meta={"a": 1})
    child = queue.enqueue(samples.add, 1, depends_on=job)
    background(lambda: Worker([queue]))
    until((tmp_path / "started").exists, message="the job to run")
    job.delete()
    after = queue.enqueue(samples.add, 2)
    assert after.latest_result(timeout=20) is not None  # the only slot is free again
    assert (Job.exists(job.id, queue.connection), child.is_skipped) == (False, True)
    assert not [key for key in queue.connection.scan_iter(count=1000) if job.id.encode() in key]


@pytest.mark.parametrize("kind", ["exception", "returned", "repeat"])
def test_the_last_interval_of_a_short_list_repeats(
    queue: Queue, background: Callable[..., Background], tmp_path: Path, kind: str
) -> None:
    waits = [0.01, 0.3]
    if kind == "exception":
        job = queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=3, interval=waits))
    elif kind == "returned":
        job = queue.enqueue(samples.return_retry, max=3, interval=waits)
    else:
        job = queue.enqueue(samples.add, 1, repeat=Repeat(times=3, interval=waits))
    background(lambda: Worker([queue]))
    until(lambda: len(job.results()) == 4, timeout=30, message="four executions")
    times = [(item.execution_started_at, item.execution_ended_at) for item in reversed(job.results())]
    gaps = [(start - end).total_seconds() for (_, end), (start, _) in pairwise(times) if start is not None]
    assert gaps[1] >= 0.3
    assert gaps[2] >= 0.3


def test_a_parents_result_is_kept_for_its_children_whatever_its_ttl(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.add, 20, 1, result_ttl=0)
    child = queue.enqueue(samples.result_of_parent, depends_on=parent)
    work()
    assert (child.result, Job.exists(parent.id, queue.connection)) == (21, False)


def test_obvious_mistakes_are_refused(queue: Queue) -> None:
    for wrong in ({"job_timeout": 0}, {"ttl": 0}, {"unique": True}):
        with pytest.raises(UsageError, match=r"must be more than 0|needs an id"):
            queue.enqueue(samples.add, 1, **wrong)
    twice = [Queue.prepare_data(samples.add, (number,), job_id="same") for number in range(2)]
    with pytest.raises(UsageError, match="duplicate id 'same' in the list"):
        queue.enqueue_many(twice)
    assert len(queue) == 0


def test_operations_on_a_deleted_job_are_refused(queue: Queue) -> None:
    job = queue.enqueue(samples.add, 1)
    job.delete()
    for act in (job.get_status, job.refresh, job.cancel, job.requeue, job.save, job.save_meta):
        with pytest.raises(InvalidJobOperation, match=job.id) as caught:
            act()
        assert isinstance(caught.value, NoSuchJobError)
    job.delete()
    assert (job.latest_result(), job.results(), job.meta, job.get_position()) == (None, [], {}, None)
