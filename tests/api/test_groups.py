"""Groups: their jobs, their completion, and that no keys are left when their jobs are deleted."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from flowq import Group, Queue, Worker
from flowq.exceptions import DuplicateJobError, InvalidJobOperation, NoSuchGroupError, NoSuchJobError, UsageError
from flowq.group import GroupStatus
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import Background, wait_for
from tests.support.slot_driver import Driver
from tests.support.wait import until

data = Queue.prepare_data


@pytest.fixture
def group(queue: Queue, connection: redis.Redis) -> Group:
    return Group.create(connection, name="thumbs")


def keys(connection: redis.Redis) -> list[str]:
    """Return the names of the keys of groups."""
    return sorted(key.decode() for key in connection.scan_iter("{flowq}:*", count=1000) if b"group" in key or b"members" in key)


def test_jobs_of_a_group(queue: Queue, connection: redis.Redis, group: Group, work: Callable[..., None]) -> None:
    jobs = group.enqueue_many(queue, [data(samples.add, (number,), job_id=f"job-{number}") for number in range(3)])
    assert [job.group_id for job in jobs] == ["thumbs"] * 3
    assert Job.fetch("job-1", connection).group_id == "thumbs"
    assert [job.id for job in group.get_jobs()] == ["job-0", "job-1", "job-2"]
    assert Group.all(connection) == [group]
    assert (len(group), "job-1" in group, jobs[0] in group, "job-9" in group) == (3, True, True, False)
    fetched = Group.fetch("thumbs", connection)
    assert (fetched.counts, fetched.status, fetched.is_complete) == ({"queued": 3}, "running", False)
    work()
    assert (group.counts, group.status, group.is_complete, group.wait(0)) == ({"finished": 3}, "finished", True, True)


def test_names(connection: redis.Redis) -> None:
    assert len(Group.create(connection).name) == 36
    assert Group.create(connection) != Group.create(connection)
    with pytest.raises(UsageError, match="line breaks"):
        Group.create(connection, name="a\nb")
    with pytest.raises(NoSuchGroupError, match="missing"):
        Group.fetch("missing", connection)


def test_a_group_without_jobs_has_nothing_open(queue: Queue, connection: redis.Redis, group: Group) -> None:
    assert group.enqueue_many(queue, []) == []
    assert (group.status, group.is_complete, group.counts, group.wait(), group.get_jobs()) == ("empty", True, {}, True, [])
    assert Group.all(connection) == []


def test_two_queues_and_jobs_made_one_by_one(queue: Queue, connection: redis.Redis, group: Group) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,))])
    group.enqueue_many(Queue("other", connection=connection), [data(samples.add, (2,))])
    (named,) = group.enqueue_many("other", [data(samples.add, (2,))])
    assert named.origin == "other"
    group.delete_job(named.id)
    created = Job.create(samples.add, (3,), group_id="thumbs", connection=connection)
    assert created.group_id == "thumbs"
    queue.enqueue_job(created)
    assert group.counts == {"queued": 3}
    assert queue.enqueue(samples.echo, group_id="is an argument").kwargs == {"group_id": "is an argument"}


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        ((samples.add, samples.add), GroupStatus.FINISHED),
        ((samples.add, samples.div_by_zero), GroupStatus.FAILED),
    ],
)
def test_the_status_of_a_group(
    queue: Queue, group: Group, work: Callable[..., None], functions: tuple[Any, ...], expected: GroupStatus
) -> None:
    group.enqueue_many(queue, [data(function, (1,)) for function in functions])
    work()
    assert group.status is expected


def test_canceled_and_skipped_jobs_are_ends_too(queue: Queue, group: Group) -> None:
    first, second = group.enqueue_many(queue, [data(samples.add, (1,), job_id="a"), data(samples.add, (1,), depends_on="a")])
    assert group.counts == {"queued": 1, "deferred": 1}
    first.cancel()
    assert group.counts == {"canceled": 1, "skipped": 1}
    assert group.status == "canceled"
    first.requeue()
    assert group.status == "running"
    assert (second.is_deferred, second.is_skipped) == (True, False)  # it waits for the first one again


def test_retries_and_repetitions_keep_a_group_open(queue: Queue, group: Group, driver: Driver) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,), retry=1), data(samples.add, (1,), repeat=1)])
    for _ in range(2):
        for outcome in ("failed", "finished"):
            assert not group.is_complete
            driver.end(driver.take(), outcome)
    assert (group.is_complete, group.counts) == (True, {"failed": 1, "finished": 1})


def test_waiting_ends_with_the_last_job(
    queue: Queue, group: Group, background: Callable[..., Background], tmp_path: Path
) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,)), data(samples.wait_for_file, (str(tmp_path / "go"),))])
    assert group.wait(timeout=0.01) is False
    background(lambda: Worker([queue]))
    until((tmp_path / "go.started").exists, message="the second job to run")
    woken: list[tuple[bool, float]] = []
    waiting = [threading.Thread(target=lambda: woken.append((group.wait(timeout=20), time.monotonic()))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    until(lambda: queue.store.client.info("clients")["blocked_clients"] >= 3, message="two to wait beside the worker")
    (tmp_path / "go").touch()
    touched = time.monotonic()
    for thread in waiting:
        thread.join()
    assert [result for result, _ in woken] == [True, True]
    assert max(when for _, when in woken) - touched < 2.5  # woken, not asked again after three seconds


def test_a_group_is_not_complete_while_jobs_are_being_added(queue: Queue, group: Group, driver: Driver) -> None:
    first, *rest = [data(samples.add, (number,)) for number in range(3)]
    pipe = queue.connection.pipeline(transaction=False)
    group.enqueue_many(queue, [first, *rest], pipeline=pipe)
    commands, pipe.command_stack = pipe.command_stack, []
    for number, (arguments, _options) in enumerate(commands):
        assert number == 0 or not group.is_complete
        queue.connection.execute_command(*arguments)
        driver.end(driver.take())
    assert (group.is_complete, group.counts) == (True, {"finished": 3})


def test_a_group_does_not_wait_forever_for_a_dead_producer(
    queue: Queue, group: Group, driver: Driver, connection: redis.Redis
) -> None:
    pipe = queue.connection.pipeline(transaction=False)
    group.enqueue_many(queue, [data(samples.add, (number,)) for number in range(3)], pipeline=pipe)
    queue.connection.execute_command(*pipe.command_stack[0][0])
    pipe.reset()
    driver.end(driver.take())
    assert group.status == "running"
    connection.hset("{flowq}:group:thumbs", "coming_until", 1)  # a minute later
    assert group.is_complete
    assert group.wait(5)


def test_a_group_does_not_wait_for_a_refused_job(queue: Queue, group: Group, driver: Driver) -> None:
    queue.enqueue(samples.add, 1, job_id="taken")
    driver.take()  # from now on its id is taken
    with pytest.raises(DuplicateJobError):
        group.enqueue_many(
            queue,
            [
                data(samples.add, (1,), job_id="a"),
                data(samples.add, (1,), job_id="taken"),
                data(samples.add, (2,)),
            ],
        )
    for _ in range(2):
        driver.end(driver.take())
    assert (group.is_complete, group.counts) == (True, {"finished": 2})


# -- the end of a group


def test_a_deleted_job_leaves_its_group_in_the_same_step(queue: Queue, connection: redis.Redis, group: Group) -> None:
    jobs = group.enqueue_many(queue, [data(samples.add, (number,)) for number in range(3)])
    jobs[0].delete()
    assert (len(group), set(group.get_jobs())) == (2, set(jobs[1:]))
    group.delete_job(jobs[1].id)
    assert (jobs[1].get_status(), Job.fetch(jobs[1].id, connection).group_id, group.counts) == ("queued", None, {"queued": 1})
    with pytest.raises(InvalidJobOperation, match="does not belong"):
        group.delete_job(jobs[1].id)
    with pytest.raises(NoSuchJobError):
        group.delete_job("missing")
    queue.empty()
    assert (keys(connection), Group.all(connection), group.status) == ([], [], "empty")


def test_waiters_are_woken_when_the_open_jobs_are_deleted(queue: Queue, group: Group) -> None:
    (job,) = group.enqueue_many(queue, [data(samples.add, (1,))])
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(group.wait(20)))
    thread.start()
    until(lambda: queue.store.client.hget("{flowq}:group:thumbs", "waiters"), message="a waiter")
    job.delete()
    thread.join()
    assert results == [True]


def test_a_group_expires_with_the_last_of_its_jobs(queue: Queue, connection: redis.Redis, group: Group, driver: Driver) -> None:
    short, long = group.enqueue_many(queue, [data(samples.add, (1,), result_ttl=0.05), data(samples.add, (1,), result_ttl=0.5)])
    driver.end(driver.take())
    assert connection.pttl("{flowq}:group:thumbs") == -1  # a job still runs, so the group does not expire
    driver.end(driver.take())
    assert 0 < connection.pttl("{flowq}:group:thumbs") <= 500
    until(lambda: not Job.exists(short.id, connection), message="the first to expire")
    assert (group.get_jobs(), group.counts) == ([long], {"finished": 2})
    until(lambda: not Job.exists(long.id, connection), message="the second to expire")
    until(lambda: keys(connection) == [], message="the keys to go")
    assert (Group.all(connection), group.get_jobs(), group.status) == ([], [], "empty")


def test_results_that_are_not_kept(queue: Queue, connection: redis.Redis, group: Group, driver: Driver) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,), result_ttl=0), data(samples.add, (1,), result_ttl=0)])
    driver.end(driver.take())
    assert (group.counts, len(group.get_jobs())) == ({"queued": 1, "finished": 1}, 1)
    driver.end(driver.take())
    assert (keys(connection), group.is_complete, group.wait(0)) == ([], True, True)


def test_a_parent_that_is_needed_again_keeps_its_group(
    queue: Queue, connection: redis.Redis, group: Group, driver: Driver
) -> None:
    (parent,) = group.enqueue_many(queue, [data(samples.add, (1,), result_ttl=60)])
    driver.end(driver.take())
    assert connection.pttl("{flowq}:group:thumbs") > 0
    child = queue.enqueue(samples.add, 2, depends_on=parent)
    assert connection.pttl("{flowq}:group:thumbs") == -1
    driver.end(driver.take())
    assert child.is_finished
    assert connection.pttl("{flowq}:group:thumbs") > 0


def test_a_replaced_job_changes_its_group(queue: Queue, connection: redis.Redis, group: Group) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,), job_id="same")])
    other = Group.create(connection, "other")
    other.enqueue_many(queue, [data(samples.add, (1,), job_id="same")])
    assert (group.status, other.counts) == ("empty", {"queued": 1})


def test_a_lost_job_is_counted_once(queue: Queue, group: Group, driver: Driver) -> None:
    (job,) = group.enqueue_many(queue, [data(samples.add, (1,))])
    driver.lose(driver.take())
    wait_for(job, "failed")
    assert (group.counts, group.status) == ({"failed": 1}, GroupStatus.FAILED)


def test_sync_mode(connection: redis.Redis, group: Group) -> None:
    jobs = group.enqueue_many(
        Queue(is_async=False, connection=connection), [data(samples.add, (number,)) for number in range(2)]
    )
    assert ([job.result for job in jobs], group.status) == ([0, 1], "finished")


def test_cleaning_up_finds_nothing(queue: Queue, connection: redis.Redis, group: Group) -> None:
    group.enqueue_many(queue, [data(samples.add, (1,))])
    group.cleanup()
    Group.clean_registries(connection)
    assert Group.all(connection) == [group]


def test_a_job_that_is_saved_joins_when_it_is_enqueued(queue: Queue, connection: redis.Redis, group: Group) -> None:
    queue.create_job(samples.add, (1,), job_id="draft", group_id="thumbs").save()
    assert group.status == "empty"
    draft = Job.fetch("draft", connection)
    assert draft.group_id == "thumbs"
    queue.enqueue_job(draft)
    assert group.counts == {"queued": 1}
    queue.create_job(samples.add, (1,), job_id="other", group_id="thumbs").save()
    Job.fetch("other", connection).delete()
    assert group.counts == {"queued": 1}
