"""Dependencies that would close a cycle are refused when they are created, without other changes."""

import itertools
import random
from collections.abc import Callable

import networkx as nx
import pytest

from flowq import Queue
from flowq.exceptions import InvalidJobDependency
from flowq.job import Job
from tests.api import samples

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


def test_two_drafts_that_depend_on_each_other(queue: Queue) -> None:
    draft(queue, "b")
    first = draft(queue, "a", "b")
    second = draft(queue, "b", "a")
    queue.enqueue_job(first)
    with pytest.raises(InvalidJobDependency, match="b -> a -> b"):
        queue.enqueue_job(second)


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
    """A model in networkx predicts which are refused; all other jobs end."""
    choice = random.Random(seed)
    names = [f"j{number}" for number in range(7)]
    waiting: nx.DiGraph[str] = nx.DiGraph()
    for name in names:
        draft(queue, name)
        waiting.add_node(name)
    for _ in range(40):
        name, *parents = choice.sample(names, choice.randint(2, 4))
        closes = any(nx.has_path(waiting, parent, name) for parent in parents)
        if closes:
            with pytest.raises(InvalidJobDependency, match=f"job {name} would wait for itself"):
                enqueue(queue, name, *parents)
        else:
            enqueue(queue, name, *parents)
            waiting.remove_edges_from(list(waiting.out_edges(name)))
            waiting.add_edges_from((name, parent) for parent in parents)
    for name in [name for name in names if not waiting.out_degree(name)]:
        enqueue(queue, name)
    work()
    assert {Job.fetch(name, connection=queue.connection).get_status() for name in names} == {"finished"}
