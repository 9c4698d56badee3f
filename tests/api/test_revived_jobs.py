"""A job that was skipped waits again when the job is requeued because of which it was skipped."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flowq import Dependency, Queue, SimpleWorker
from flowq.defaults import FAILURE_TTL
from flowq.exceptions import InvalidJobOperation
from flowq.job import Job
from tests.api import samples
from tests.api.conftest import Command

Work = Callable[..., None]


def failing(queue: Queue, marker: Path, **options: object) -> Job:
    """Enqueue a job that fails until the marker exists."""
    return queue.enqueue(samples.needs, str(marker), **options)


def statuses(jobs: Sequence[Job]) -> list[str]:
    """Return the statuses as stored: to users of RQ, a skipped job is deferred."""
    return ["skipped" if job.is_skipped else str(job.get_status()) for job in jobs]


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "repaired"


def test_a_repaired_and_requeued_job_takes_its_dependents_along(queue: Queue, work: Work, marker: Path) -> None:
    parent = failing(queue, marker)
    child = queue.enqueue(samples.add, 1, depends_on=parent)
    late = []
    work()
    late.append(queue.enqueue(samples.add, 2, depends_on=parent))  # the parent has failed already
    assert statuses([parent, child, *late]) == ["failed", "skipped", "skipped"]
    assert child.skip_reason == "upstream_failed"
    marker.touch()
    parent.requeue()
    assert statuses([parent, child, *late]) == ["queued", "deferred", "deferred"]
    assert not any((child.skip_reason, child.ended_at))
    assert parent.dependent_ids == [child.id, late[0].id]
    work()
    assert statuses([parent, child, *late]) == ["finished"] * 3
    assert (child.result, late[0].result) == (1, 2)


def test_a_chain_waits_again_hop_by_hop(queue: Queue, work: Work, marker: Path) -> None:
    chain = [failing(queue, marker)]
    for number in range(3):
        chain.append(queue.enqueue(samples.add, number, depends_on=chain[-1]))
    work()
    assert statuses(chain) == ["failed", "skipped", "skipped", "skipped"]
    for _ in range(2):  # it fails once more
        chain[0].requeue()
        assert statuses(chain) == ["queued", "deferred", "deferred", "deferred"]
        work()
        assert statuses(chain) == ["failed", "skipped", "skipped", "skipped"]
    marker.touch()
    chain[0].requeue()
    work()
    assert statuses(chain) == ["finished"] * 4
    assert chain[0].dependent_ids == [chain[1].id]


def test_a_diamond_runs_once(queue: Queue, work: Work, marker: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    top = failing(queue, marker)
    sides = [queue.enqueue(samples.append, str(ran), side, depends_on=top) for side in ("left", "right")]
    other = queue.enqueue(samples.add, 1, result_ttl=0)
    bottom = queue.enqueue(samples.append, str(ran), "bottom", depends_on=[*sides, other])
    work()
    assert statuses([top, *sides, bottom]) == ["failed", "skipped", "skipped", "skipped"]
    assert not Job.exists(other.id, queue.connection)  # it had succeeded: the edge to it is met
    marker.touch()
    top.requeue()
    assert statuses([bottom]) == ["deferred"]
    work()
    assert sorted(ran.read_text().split()) == ["bottom", "left", "right"]
    assert ran.read_text().split()[-1] == "bottom"


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("first", [0, 1])
def test_two_failed_parents_must_both_be_requeued(queue: Queue, work: Work, tmp_path: Path, first: int, early: bool) -> None:
    markers = [tmp_path / "a", tmp_path / "b"]
    parents = [failing(queue, marker) for marker in markers]
    child = queue.enqueue(samples.add, 1, depends_on=parents) if early else None
    work()
    child = child or queue.enqueue(samples.add, 1, depends_on=parents)
    assert child.is_skipped
    for position in (first, 1 - first):
        assert child.is_skipped
        markers[position].touch()
        parents[position].requeue()
        work()
    assert child.is_finished


def test_a_dependent_that_accepts_a_failure_runs_once(queue: Queue, work: Work, marker: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    parent = failing(queue, marker)
    lenient = queue.enqueue(samples.append, str(ran), "lenient", depends_on=Dependency(parent, allow_failure=True))
    strict = queue.enqueue(samples.append, str(ran), "strict", depends_on=[parent, lenient])
    work()
    assert statuses([lenient, strict]) == ["finished", "skipped"]
    marker.touch()
    parent.requeue()
    work()
    assert ran.read_text().split() == ["lenient", "strict"]


def test_a_job_below_a_canceled_one_waits_again(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.add, 1)
    child = queue.enqueue(samples.add, 2, depends_on=Dependency(parent, allow_failure=True))
    parent.cancel()
    assert child.skip_reason == "upstream_canceled"
    parent.requeue()
    assert statuses([child]) == ["deferred"]
    parent.cancel()
    assert child.is_skipped
    parent.requeue()
    work()
    assert child.is_finished


def test_edges_that_a_cancel_took_away_stay_away(queue: Queue, work: Work, marker: Path) -> None:
    canceled, failed = queue.enqueue(samples.nothing), failing(queue, marker)
    children = [queue.enqueue(samples.add, 1, depends_on=[canceled, failed]) for _ in range(2)]
    canceled.cancel(remove_from_dependencies=True)
    work()
    assert statuses(children) == ["skipped", "skipped"]
    marker.touch()
    failed.requeue()
    work()
    assert statuses(children) == ["finished", "finished"]


@pytest.mark.parametrize("way", ["job", "registry", "queue", "command"])
def test_a_skipped_job_can_be_requeued(queue: Queue, work: Work, command: Command, way: str) -> None:
    parent = queue.enqueue(samples.div_by_zero, 1)
    child = queue.enqueue(samples.add, 1, depends_on=parent)
    grandchild = queue.enqueue(samples.add, 2, depends_on=child)
    work()
    assert statuses([child, grandchild]) == ["skipped", "skipped"]
    if way == "job":
        child.requeue()
    elif way == "registry":
        queue.skipped_job_registry.requeue(child)
    elif way == "queue":
        queue.requeue(child.id)
    else:
        assert command("requeue", "--queue", "default", child.id) == (0, "requeued 1 job in queue default\n", "")
    assert statuses([parent, child, grandchild]) == ["failed", "queued", "deferred"]
    work()
    assert statuses([parent, child, grandchild]) == ["failed", "finished", "finished"]
    with pytest.raises(InvalidJobOperation, match="it is queued"):
        queue.enqueue(samples.nothing, job_id="waits").requeue()
    queue.empty()


def test_a_skipped_job_is_kept_like_a_failed_one(queue: Queue, work: Work) -> None:
    parent = queue.enqueue(samples.div_by_zero, 1, failure_ttl=7000)
    kept = queue.enqueue(samples.add, 1, depends_on=parent)
    short = queue.enqueue(samples.add, 1, depends_on=parent, failure_ttl=0)
    work()
    expiry = queue.skipped_job_registry.get_expiration_time(kept)
    assert abs(expiry - datetime.now(UTC) - timedelta(seconds=FAILURE_TTL)) < timedelta(seconds=20)
    assert not Job.exists(short.id, queue.connection)
    parent.requeue()
    work()
    remaining = queue.failed_job_registry.get_expiration_time(parent) - datetime.now(UTC)
    assert timedelta(seconds=6900) < remaining <= timedelta(seconds=7000)


def test_another_job_with_the_id_does_not_revive_what_the_first_one_skipped(queue: Queue, work: Work, marker: Path) -> None:
    first = failing(queue, marker, job_id="nightly")
    old = queue.enqueue(samples.add, 1, depends_on=first)
    work()
    again = failing(queue, marker, job_id="nightly")
    new = queue.enqueue(samples.add, 1, depends_on=again)
    work()
    marker.touch()
    again.requeue()
    assert statuses([old, new]) == ["skipped", "deferred"]
    work()
    assert statuses([old, new]) == ["skipped", "finished"]


def test_many_parents_are_attached_again_in_steps(queue: Queue, marker: Path) -> None:
    failed = failing(queue, marker)
    others = queue.enqueue_many([Queue.prepare_data(samples.nothing, result_ttl=0) for _ in range(250)])
    child = queue.enqueue(samples.add, 1, depends_on=[*others, failed])
    SimpleWorker([queue]).work(burst=True)
    assert child.is_skipped
    marker.touch()
    failed.requeue()
    SimpleWorker([queue]).work(burst=True)
    assert child.is_finished


DEPENDENTS = 3_000


@pytest.mark.slow
@pytest.mark.parametrize("early", [False, True])
def test_thousands_of_dependents_wait_again_in_bounded_steps(queue: Queue, work: Work, marker: Path, early: bool) -> None:
    """Also when the parent is requeued before all of them are skipped. A step takes about 12 ms."""
    parent = failing(queue, marker)
    children = queue.enqueue_many([Queue.prepare_data(samples.nothing, depends_on=parent) for _ in range(DEPENDENTS)])
    if early:
        SimpleWorker([queue]).work(max_jobs=1)
        assert queue.skipped_job_registry.count < len(children)
    else:
        work()
        sweep(queue, skipped=DEPENDENTS)
    for _ in range(2):
        again = queue.skipped_job_registry.count
        parent.requeue()
        assert sweep(queue, skipped=0) >= again / 200
        parent.cancel()
        assert sweep(queue, skipped=DEPENDENTS) >= DEPENDENTS / 200
    edges = queue.connection.llen(queue.store.session.keys("children", parent.id))
    assert len(children) <= edges <= (2 * len(children) if early else len(children))
    assert len(parent.dependent_ids) == len(children)


def sweep(queue: Queue, *, skipped: int) -> int:
    """Sweep until so many of the dependents are skipped and the others wait; return how often."""
    number = 0
    while (queue.skipped_job_registry.count, queue.deferred_job_registry.count) != (skipped, DEPENDENTS):
        queue.store.workers.sweep(10)
        number += 1
    return number
