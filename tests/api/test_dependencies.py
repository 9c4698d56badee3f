"""Dependencies of plain jobs: no job hangs or is released wrongly, whatever the ends of its parents."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowq import Dependency, Queue, SimpleWorker, Worker
from flowq.exceptions import InvalidJobDependency, UsageError
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import Background, wait_for
from tests.support.wait import until

Work = Callable[..., None]


def test_all_of_a_list_must_succeed(queue: Queue, work: Work) -> None:
    parents = [queue.enqueue(samples.add, number) for number in range(3)]
    child = queue.enqueue(samples.add, 1, depends_on=[parents[0], parents[1].id, Dependency(parents[2])])
    assert child.dependency_ids == [job.id for job in parents]
    assert child.dependency == parents[0]
    assert child.fetch_dependencies() == parents
    assert parents[0].dependent_ids == [child.id]
    work(max_jobs=2)
    assert child.is_deferred
    work()
    assert child.result == 1


@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("fails", "upstream_failed"),
        ("is canceled", "upstream_canceled"),
        ("is deleted", "upstream_canceled"),
        ("expires", "upstream_failed"),
        ("is skipped", "upstream_skipped"),
    ],
)
def test_a_child_of_a_parent_that_did_not_succeed_is_skipped_with_the_reason(
    queue: Queue, work: Work, fate: str, expected: str
) -> None:
    grandparent = queue.enqueue(samples.div_by_zero, 1)
    parent = {
        "fails": lambda: queue.enqueue(samples.div_by_zero, 1),
        "expires": lambda: queue.enqueue(samples.add, 1, ttl="1ms"),
        "is skipped": lambda: queue.enqueue(samples.add, 1, depends_on=grandparent),
    }.get(fate, lambda: queue.enqueue(samples.add, 1))()
    child = queue.enqueue(samples.add, 1, depends_on=parent)
    if fate == "is canceled":
        parent.cancel()
    if fate == "is deleted":
        parent.delete()

    def decided() -> bool:
        work()
        return child.is_skipped

    until(decided, message="the child to be skipped")
    assert child.skip_reason == expected
    assert (child.get_status(), child.is_deferred) == ("deferred", True)  # as in RQ
    assert child in queue.deferred_job_registry


def test_skipped_jobs_have_a_registry_and_are_counted(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.div_by_zero, 1)
    children = [queue.enqueue(samples.add, 1, depends_on=parent) for _ in range(3)]
    assert len(queue.skipped_job_registry) == 0
    work()
    assert sorted(queue.skipped_job_registry.get_job_ids()) == sorted(child.id for child in children)
    assert queue.store.queues.get(queue.name).skipped == 3
    queue.skipped_job_registry.remove(children[0])
    assert children[0] not in queue.skipped_job_registry


def test_deferred_and_skipped_jobs_are_one_list(queue: Queue, work: Work) -> None:
    later = queue.enqueue_in(timedelta(hours=1), samples.nothing)
    waits = queue.enqueue(samples.nothing, depends_on=later)
    parent = queue.enqueue(samples.div_by_zero, 1)
    skipped = [queue.enqueue(samples.nothing, depends_on=parent, failure_ttl=ttl) for ttl in (900, 60, 500)]
    registry = queue.deferred_job_registry
    work()
    expected = [waits.id, skipped[1].id, skipped[2].id, skipped[0].id]
    assert (registry.get_job_ids(), registry.count) == (expected, 4)
    assert registry.get_job_ids(1, 2) == expected[1:3]
    assert registry.get_job_ids(desc=True) == expected[::-1]
    assert registry.remove(skipped[0]) == 1
    assert (skipped[0].get_status(), skipped[0].is_skipped, skipped[0] in registry) == ("deferred", True, False)
    registry.requeue(skipped[1])
    assert queue.job_ids == [skipped[1].id]
    registry.remove(skipped[2], delete_job=True)
    assert not Job.exists(skipped[2].id, queue.connection)
    registry.cleanup()
    assert registry.get_job_ids() == [waits.id]
    registry.remove(waits)
    assert waits.is_canceled
    later.delete()
    queue.empty()


def test_what_was_skipped_is_read_again(queue: Queue, work: Work) -> None:
    """A handle that has seen an end reads no more, but another program may requeue the parent of a skipped job."""
    parent = queue.enqueue(samples.div_by_zero, 1)
    child = queue.enqueue(samples.nothing, depends_on=parent)
    work()
    assert (child.skip_reason, child.ended_at is None) == ("upstream_failed", False)
    Job.fetch(parent.id, queue.connection).requeue()
    assert (child.skip_reason, child.ended_at, child.is_skipped) == (None, None, False)
    queue.empty()


@pytest.mark.parametrize(
    ("fate", "expected"),
    [("fails", ("finished", False)), ("succeeds", ("finished", False)), ("is canceled", ("deferred", True))],
)
def test_allow_failure_accepts_a_failure_but_not_a_cancel(
    queue: Queue, work: Work, fate: str, expected: tuple[str, bool]
) -> None:
    parent = queue.enqueue(samples.div_by_zero if fate == "fails" else samples.add, 1)
    child = queue.enqueue(samples.add, 1, depends_on=Dependency(parent, allow_failure=True))
    if fate == "is canceled":
        parent.cancel()
    work()
    assert (child.get_status(), child.is_skipped) == expected


def test_enqueue_at_front(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.add, 1)
    other = queue.enqueue(samples.add, 2)
    child = queue.enqueue(samples.add, 3, depends_on=Dependency(parent, enqueue_at_front=True))
    work(max_jobs=1)
    assert queue.job_ids == [child.id, other.id]


@pytest.mark.parametrize("started", [False, True])
def test_cancel_may_let_the_dependents_go_on(
    queue: Queue, work: Work, background: Callable[..., Background], started: bool
) -> None:
    parent = queue.enqueue(samples.hang)
    child = queue.enqueue(samples.add, 1, depends_on=parent)
    if started:
        background(lambda: Worker([queue]))
        wait_for(parent, "started")
    parent.cancel(enqueue_dependents=True)
    wait_for(parent, "canceled")
    if not started:
        work()
    wait_for(child, "finished")


def test_deleting_with_dependents(queue: Queue) -> None:
    parent = queue.enqueue(samples.add, 1)
    child = queue.enqueue(samples.add, 1, depends_on=parent)
    grandchild = queue.enqueue(samples.add, 1, depends_on=child)
    parent.delete(delete_dependents=True)
    assert not Job.exists(parent.id, connection=queue.connection)
    assert not Job.exists(child.id, connection=queue.connection)
    assert grandchild.is_skipped


def test_a_parent_that_has_ended_counts_at_once(queue: Queue, work: Work) -> None:
    good, bad = queue.enqueue(samples.add, 1), queue.enqueue(samples.div_by_zero, 1)
    work()
    assert queue.enqueue(samples.add, 1, depends_on=good).is_queued
    assert queue.enqueue(samples.add, 1, depends_on=bad).is_skipped
    assert queue.enqueue(samples.add, 1, depends_on=Dependency(bad, allow_failure=True)).is_queued


def test_a_parent_of_another_queue(queue: Queue, work: Work) -> None:
    other = Queue("other", connection=queue.connection)
    child = queue.enqueue(samples.add, 1, depends_on=other.enqueue(samples.add, 1))
    work(other, queue)
    assert child.result == 1


def test_a_parent_that_is_requeued_does_not_release_twice(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    parent = queue.enqueue(samples.add, 1)
    queue.enqueue(samples.write, str(log), "x\n", depends_on=parent)
    work()
    parent.requeue()
    work()
    assert log.read_text() == "x\n"


def test_enqueue_at_waits_for_both_the_time_and_the_parent(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.add, 1)
    due = datetime.now(UTC) + timedelta(hours=1)
    later = queue.enqueue_at(due, samples.add, 1, depends_on=parent)
    past = queue.enqueue_at(datetime.now(UTC) - timedelta(hours=1), samples.add, 1, depends_on=parent)
    assert (later.get_status(), past.get_status()) == ("deferred", "deferred")
    work()
    assert (later.get_status(), past.get_status()) == ("scheduled", "finished")
    assert abs(queue.scheduled_job_registry.get_scheduled_time(later) - due) < timedelta(seconds=1)


def test_unknown_and_impossible_dependencies(queue: Queue) -> None:
    with pytest.raises(InvalidJobDependency, match="'missing'"):
        queue.enqueue(samples.add, 1, depends_on=["missing"])
    with pytest.raises(InvalidJobDependency, match="'self'"):
        queue.enqueue(samples.add, 1, depends_on="self", job_id="self")
    with pytest.raises(UsageError, match="at least one job"):
        Dependency([])
    with pytest.raises(UsageError, match="jobs or ids"):
        queue.enqueue(samples.add, 1, depends_on=3)
    assert len(queue) == 0


def test_a_job_that_reuses_an_id_has_no_parents_of_the_old_job(queue: Queue, work: Work) -> None:
    former, parent = queue.enqueue(samples.add, 1), queue.enqueue_in(timedelta(hours=1), samples.add, 2)
    queue.enqueue(samples.add, 3, job_id="child", depends_on=former)
    child = queue.enqueue(samples.add, 4, job_id="child", depends_on=parent)
    assert (former.dependent_ids, parent.dependent_ids) == ([], ["child"])
    work()
    assert (former.is_finished, child.get_status()) == (True, "deferred")
    former.delete(delete_dependents=True)
    assert child.is_deferred


@pytest.mark.parametrize("other", ["vanishes at its end", "is replaced", "is a draft that is canceled", "runs twice"])
def test_a_parent_is_kept_for_its_children_and_no_longer(queue: Queue, work: Work, other: str) -> None:
    parent = queue.enqueue(samples.add, 20, 1, result_ttl=0)
    later = queue.enqueue_in(timedelta(hours=1), samples.add, 1)
    waiting = queue.enqueue(samples.result_of_parent, depends_on=[parent, later])
    child = waiting
    if other == "is a draft that is canceled":
        draft = queue.create_job(samples.add, depends_on=parent)
        draft.save()
        draft.cancel()
    else:
        child = queue.enqueue(samples.add, 1, depends_on=parent, result_ttl=0 if other == "vanishes at its end" else 100)
        if other == "is replaced":
            queue.enqueue(samples.add, 2, job_id=child.id)
    work()
    if other == "runs twice":
        child.requeue()
        work()
    assert (waiting.get_status(), parent.result) == ("deferred", 21)
    waiting.cancel()
    assert not Job.exists(parent.id, queue.connection)


def test_many_dependencies_are_attached_in_steps(queue: Queue) -> None:
    ended = queue.enqueue_many([Queue.prepare_data(samples.add, (1,)) for _ in range(150)])
    SimpleWorker([queue]).work(burst=True)  # a fork for each of hundreds of jobs takes long
    waiting = queue.enqueue_many([Queue.prepare_data(samples.add, (1,)) for _ in range(250)])
    child = queue.enqueue(samples.add, 1, depends_on=[*ended, *waiting])
    assert child.is_deferred
    assert len(child.dependency_ids) == 400
    SimpleWorker([queue]).work(burst=True)
    assert child.is_finished
    parent = queue.enqueue(samples.div_by_zero, 1)
    SimpleWorker([queue]).work(burst=True)
    skipped = queue.enqueue(samples.add, 1, depends_on=[*waiting, parent])
    SimpleWorker([queue]).work(burst=True)
    assert skipped.is_skipped


def test_a_job_with_many_dependencies_that_is_replaced_holds_none_of_the_old_ones(queue: Queue) -> None:
    first = queue.enqueue_many([Queue.prepare_data(samples.add, (1,), result_ttl=0) for _ in range(250)])
    queue.enqueue(samples.add, 1, depends_on=first, job_id="child")
    second = queue.enqueue_many([Queue.prepare_data(samples.add, (1,), result_ttl=0) for _ in range(250)])
    child = queue.enqueue(samples.add, 1, depends_on=second, job_id="child")
    SimpleWorker([queue]).work(burst=True)
    assert child.is_finished
    assert not any(Job.exists(job.id, connection=queue.connection) for job in [*first, *second]), "no record is held any more"


def test_the_deletion_of_a_job_with_many_dependents_goes_in_steps(queue: Queue) -> None:
    parent = queue.enqueue(samples.add, 1, job_id="parent")
    children = queue.enqueue_many([Queue.prepare_data(samples.add, (1,), depends_on="parent") for _ in range(900)])

    def calls() -> int:
        stats = queue.connection.info("commandstats")  # of functions, or of scripts where the server has none
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("fcall", "evalsha"))

    before = calls()
    parent.delete()
    assert calls() - before >= 4
    assert all(child.is_skipped for child in children)
