"""What becomes of a `Job` between its making and its enqueueing, and what may be changed of it after."""

from collections.abc import Callable

import pytest

from flowq import Callback, Dependency, Queue, Repeat, Retry
from flowq.exceptions import DuplicateJobError, InvalidJobOperation, UsageError
from flowq.job import Job
from tests.api import samples

Work = Callable[..., None]


def test_a_job_that_was_made_can_be_saved_and_enqueued_by_whoever_fetches_it(queue: Queue, work: Work) -> None:
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


def test_a_draft_can_be_canceled_and_deleted_and_leaves_nobody_hanging(queue: Queue) -> None:
    drafts = [queue.create_job(samples.add), *(Job.create(samples.add, connection=queue.connection) for _ in range(2))]
    for draft in drafts:
        draft.save()
    children = [queue.enqueue(samples.add, depends_on=draft) for draft in drafts]
    drafts[0].cancel()
    drafts[1].delete()
    assert [child.get_status() for child in children] == ["skipped", "skipped", "deferred"]
    drafts[0].requeue()
    assert queue.job_ids == [drafts[0].id]
    with pytest.raises(InvalidJobOperation, match=r"cannot cancel .* it is created"):
        drafts[2].cancel()
    with pytest.raises(DuplicateJobError, match="it is created"):
        queue.enqueue(samples.add, job_id=drafts[2].id, unique=True)


def test_saving_a_made_job_whose_id_was_enqueued_meanwhile_saves_its_settings(queue: Queue) -> None:
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


def test_what_may_be_changed_of_an_enqueued_job(queue: Queue, work: Work) -> None:
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
        with pytest.raises(UsageError, match="expected a text"):
            job.id = bad
