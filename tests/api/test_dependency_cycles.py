"""Dependencies that would close a cycle are refused when they are created, without other changes."""

import itertools
import random
from collections.abc import Callable

import networkx as nx
import pytest
import redis

from flowq import Queue
from flowq.exceptions import InvalidJobDependency
from flowq.job import Job
from flowq.jobs.prepared import EnqueueData
from tests.api import samples
from tests.support.slot_driver import Driver

Work = Callable[..., None]


def enqueue(queue: Queue, name: str, *parents: str) -> Job:
    return queue.enqueue(samples.add, 1, job_id=name, depends_on=list(parents) or None)


def draft(queue: Queue, name: str, *parents: str) -> Job:
    job = Job.create(
        samples.add, (1,), id=name, depends_on=list(parents) or None, origin=queue.name, connection=queue.connection
    )
    job.save()
    return job


@pytest.mark.parametrize("between", [0, 1, 5])
def test_a_replaced_job_does_not_wait_for_a_job_that_waits_for_it(queue: Queue, work: Work, between: int) -> None:
    names = ["a", *(f"b{number}" for number in range(between + 1))]
    enqueue(queue, "a")
    for parent, child in itertools.pairwise(names):
        enqueue(queue, child, parent)
    with pytest.raises(InvalidJobDependency, match=f"job a would wait for itself: a -> {names[-1]} -> .*a"):
        enqueue(queue, "a", names[-1])
    assert Job.fetch("a", connection=queue.connection).is_queued, "the refused job changed nothing"
    work()
    assert {Job.fetch(name, connection=queue.connection).get_status() for name in names} == {"finished"}


def test_a_job_does_not_wait_for_itself(queue: Queue) -> None:
    enqueue(queue, "a")
    with pytest.raises(InvalidJobDependency, match="a -> a"):
        enqueue(queue, "a", "a")


def test_a_draft_does_not_wait_for_a_job_that_waits_for_it(queue: Queue, work: Work) -> None:
    first = draft(queue, "a")
    second = draft(queue, "b", "a")
    queue.enqueue_job(second)
    assert second.is_deferred
    first = Job.create(samples.add, (1,), id="a", depends_on=["b"], origin=queue.name, connection=queue.connection)
    with pytest.raises(InvalidJobDependency, match="a -> b -> a"):
        queue.enqueue_job(first)
    enqueue(queue, "a")
    work()
    assert second.is_finished


@pytest.mark.parametrize("between", [0, 1, 5])
def test_drafts_that_depend_on_each_other(queue: Queue, work: Work, between: int) -> None:
    names = ["a", *(f"b{number}" for number in range(between + 1))]
    for child, parent in itertools.pairwise(names):
        draft(queue, child, parent)
    with pytest.raises(InvalidJobDependency, match=f"job {names[-1]} would wait for itself: {names[-1]} -> a -> .*{names[-1]}"):
        draft(queue, names[-1], "a")
    with pytest.raises(InvalidJobDependency, match="would wait for itself"):
        enqueue(queue, names[-1], "a")
    with pytest.raises(InvalidJobDependency, match="self -> self"):
        draft(queue, "self", "self")
    for name in reversed(names):
        enqueue(queue, name) if name == names[-1] else queue.enqueue_job(Job.fetch(name, connection=queue.connection))
    work()
    assert {Job.fetch(name, connection=queue.connection).get_status() for name in names} == {"finished"}


def test_a_draft_names_a_job_that_is_not_there_yet(queue: Queue, work: Work) -> None:
    draft(queue, "b", "a")
    enqueue(queue, "c", "b")
    for parent in ("b", "c"):
        with pytest.raises(InvalidJobDependency, match=f"job a would wait for itself: a -> {parent} -> .*a"):
            enqueue(queue, "a", parent)
    enqueue(queue, "a")
    queue.enqueue_job(Job.fetch("b", connection=queue.connection))
    work()
    assert Job.fetch("c", connection=queue.connection).is_finished


def test_a_draft_over_a_draft_that_jobs_wait_for(queue: Queue) -> None:
    draft(queue, "a")
    enqueue(queue, "b", "a")
    with pytest.raises(InvalidJobDependency, match="a -> b -> a"):
        draft(queue, "a", "b")
    assert Job.fetch("a", connection=queue.connection).dependency_ids == [], "the refused draft changed nothing"


def test_the_names_of_a_draft_that_was_replaced_count_no_longer(queue: Queue, work: Work, connection: redis.Redis) -> None:
    draft(queue, "a", "b")
    draft(queue, "a")
    draft(queue, "c", "b").delete()
    draft(queue, "d", "b")
    enqueue(queue, "b", "a")
    enqueue(queue, "a")
    queue.enqueue_job(Job.fetch("d", connection=queue.connection))
    work()
    assert Job.fetch("b", connection=queue.connection).is_finished
    assert not connection.keys("*drafted*")


@pytest.mark.parametrize("count", [150, 1500])
def test_edges_that_are_still_to_be_attached_count_too(queue: Queue, work: Work, count: int) -> None:
    """A job with many parents is attached to most of them by the sweeps of workers."""
    parents = queue.enqueue_many([queue.prepare_data(samples.add, (1,)) for _ in range(count)])
    enqueue(queue, "a")
    enqueue(queue, "b", *(job.id for job in parents), "a")
    with pytest.raises(InvalidJobDependency, match="a -> b -> a"):
        enqueue(queue, "a", "b")
    with pytest.raises(InvalidJobDependency, match="a -> b -> a"):
        queue.enqueue_many([queue.prepare_data(samples.add, (1,), job_id="a", depends_on="b")])


def test_jobs_that_are_created_together(queue: Queue) -> None:
    def data(name: str, *parents: str) -> EnqueueData:
        return queue.prepare_data(samples.add, (1,), job_id=name, depends_on=list(parents) or None)

    parents = [f"p{number}" for number in range(150)]
    queue.enqueue_many([data(name) for name in parents])
    draft(queue, "a")
    with pytest.raises(InvalidJobDependency, match="a -> b -> a"):  # the last edges of `b` are attached after both were created
        queue.enqueue_many([data("b", *parents, "a"), data("a", "b")])


@pytest.mark.parametrize("transaction", [False, True])
def test_a_pipeline_raises_what_is_refused(queue: Queue, transaction: bool) -> None:
    enqueue(queue, "a")
    with queue.connection.pipeline(transaction=transaction) as pipe:
        queue.enqueue(samples.add, 1, job_id="b", depends_on="a", pipeline=pipe)
        queue.enqueue(samples.add, 1, job_id="a", depends_on="b", pipeline=pipe)
        queue.enqueue(samples.add, 1, job_id="c", pipeline=pipe)
        with pytest.raises(redis.ResponseError, match="job a was not enqueued: it would wait for itself: a -> b -> a"):
            pipe.execute()
        assert Job.fetch("c", connection=queue.connection).is_queued, "the others take effect"
        queue.enqueue(samples.add, 1, depends_on="nowhere", pipeline=pipe)
        with pytest.raises(redis.ResponseError, match="it depends on a job that does not exist: nowhere"):
            pipe.execute()
        Driver(queue.store).take()
        queue.enqueue(samples.add, 1, job_id="a", pipeline=pipe)
        (refusal,) = pipe.execute(raise_on_error=False)
        assert "a job with this id exists already, it is started" in str(refusal)


def test_a_job_that_waits_no_longer_closes_no_cycle(queue: Queue, work: Work) -> None:
    enqueue(queue, "a")
    hanging = draft(queue, "never")
    enqueue(queue, "b", "a", hanging.id)
    work()
    again = enqueue(queue, "a", "b")  # the edge from `a` to `b` was decided: `b` waits for `never` alone
    assert again.is_deferred
    enqueue(queue, "never")
    work()
    assert again.is_finished


@pytest.mark.parametrize("seed", range(8))
def test_random_dependencies_on_reused_ids(queue: Queue, work: Work, seed: int) -> None:
    """A model in networkx predicts which are refused, of drafts and of jobs that are enqueued; all other jobs end."""
    choice = random.Random(seed)
    names = [f"j{number}" for number in range(7)]
    drafts = set(names)
    waiting: nx.DiGraph[str] = nx.DiGraph()
    for name in names:
        draft(queue, name)
        waiting.add_node(name)
    for _ in range(40):
        name, *parents = choice.sample(names, choice.randint(2, 4))
        make = draft if name in drafts and choice.random() < 0.5 else enqueue
        closes = any(nx.has_path(waiting, parent, name) for parent in parents)
        if closes:
            with pytest.raises(InvalidJobDependency, match=f"job {name} would wait for itself"):
                make(queue, name, *parents)
        else:
            make(queue, name, *parents)
            if make is enqueue:
                drafts.discard(name)
            waiting.remove_edges_from(list(waiting.out_edges(name)))
            waiting.add_edges_from((name, parent) for parent in parents)
    for name in names:
        if name in drafts:
            queue.enqueue_job(Job.fetch(name, connection=queue.connection))
        elif not waiting.out_degree(name):
            enqueue(queue, name)
    work()
    assert {Job.fetch(name, connection=queue.connection).get_status() for name in names} == {"finished"}
