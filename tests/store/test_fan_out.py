"""Parents with more dependents than one call decides, which are requeued, replaced or deleted while the rest is in the outbox."""

from collections import Counter

import pytest

from flowq import ids
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Claim, Outcome
from tests.support.slot_driver import Driver, execution

MANY = 250  # one call decides 100
PARENTS, CHILDREN = "parents", "children"


@pytest.fixture
def driver(store: Store) -> Driver:
    return Driver(store, PARENTS)


def parent(store: Store, name: str = "parent", **fields: int) -> None:
    texts = {field: str(value) for field, value in fields.items()}
    assert store.jobs.create(NewJob(name, PARENTS, b"", ids.nonce(), fields=texts))[0] is Outcome.DONE


def dependents(store: Store, count: int, *parents: str, prefix: str = "child", condition: str = "success") -> list[str]:
    names = [f"{prefix}-{number}" for number in range(count)]
    edges = [(name, condition) for name in parents or ("parent",)]
    store.jobs.create_many([NewJob(name, CHILDREN, b"", ids.nonce(), parents=edges) for name in names])
    return names


def end(store: Store, claim: Claim, outcome: str = "finished") -> None:
    """End a job in a single call: remaining edges stay in the outbox, and no worker sweeps."""
    assert store.jobs.finish(execution(claim, outcome)) is Outcome.DONE


def statuses(store: Store, names: list[str]) -> dict[str, int]:
    return dict(Counter(str(record.status) for record in store.jobs.get_many(names) if record))


def test_a_parent_requeued_while_its_edges_wait_skips_no_child(store: Store, driver: Driver) -> None:
    parent(store)
    names = dependents(store, MANY)
    end(store, driver.take())
    assert statuses(store, names) == {"queued": 100, "deferred": MANY - 100}
    assert store.jobs.requeue("parent") is Outcome.DONE
    driver.settle()
    assert statuses(store, names) == {"queued": MANY}  # it had finished, which decides all edges


def test_each_end_decides_the_edges_that_existed_then(store: Store, driver: Driver) -> None:
    parent(store)
    first = dependents(store, MANY, prefix="first")
    end(store, driver.take())
    store.jobs.requeue("parent")
    second = dependents(store, MANY, prefix="second", condition="failure")
    end(store, driver.take(), "failed")
    store.jobs.requeue("parent")
    third = dependents(store, 3, prefix="third")
    driver.settle()
    assert statuses(store, first) == {"queued": MANY}
    assert statuses(store, second) == {"queued": MANY}
    assert statuses(store, third) == {"deferred": 3}
    end(store, driver.take())
    driver.settle()
    assert statuses(store, third) == {"queued": 3}


@pytest.mark.parametrize("count", [1, MANY])
def test_a_second_end_decides_no_edge_again(store: Store, driver: Driver, count: int) -> None:
    parent(store)
    parent(store, "other")
    names = dependents(store, count, "parent", "other")
    end(store, driver.take())
    store.jobs.requeue("parent", front=True)
    end(store, driver.take())
    driver.settle()
    assert statuses(store, names) == {"deferred": count}  # the other parent has not ended
    end(store, driver.take())
    driver.settle()
    assert statuses(store, names) == {"queued": count}


def test_a_requeued_parent_whose_edges_are_decided_does_not_expire(store: Store, driver: Driver) -> None:
    parent(store, result_ttl=60_000)
    names = dependents(store, 100)  # as many as one call decides; the next call finds no more
    for name in names[1:]:
        store.jobs.delete(name)
    end(store, driver.take())
    store.jobs.requeue("parent")
    store.jobs.cancel(names[0])  # no child needs the parent any more
    assert store.client.pttl(store.session.keys("job", "parent")) == -1
    assert store.queues.job_ids(PARENTS) == ["parent"]


def test_a_parent_replaced_while_its_edges_wait_skips_no_child(store: Store, driver: Driver) -> None:
    parent(store)
    names = dependents(store, MANY)
    end(store, driver.take())
    parent(store)
    driver.settle()
    assert statuses(store, names) == {"queued": MANY}


def test_dependents_of_a_replaced_parent_are_not_decided_by_the_old_one(store: Store, driver: Driver) -> None:
    parent(store, result_ttl=60_000)
    dependents(store, 1)
    end(store, driver.take())
    end(store, Driver(store, CHILDREN).take())
    assert store.client.pttl(store.session.keys("children", "parent")) > 0
    parent(store)
    dependents(store, 1, prefix="late")
    assert store.client.pttl(store.session.keys("children", "parent")) == -1


def test_a_deleted_parent_leaves_none_of_very_many_hanging(store: Store, driver: Driver) -> None:
    parent(store)
    names = dependents(store, 5_100)  # more than one call decides
    assert store.jobs.delete("parent") is Outcome.DONE
    driver.settle()
    assert statuses(store, names) == {"skipped": 5_100}
    assert store.jobs.get("parent") is None
    assert store.queues.registry_count(CHILDREN, JobStatus.DEFERRED) == 0
