"""Requests whose reply was lost and which are sent once more: `requeue` with what it revives, `unlist`, jobs of a cron entry."""

from flowq import ids
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from tests.support.slot_driver import Driver


def new(name: str, *parents: str) -> NewJob:
    return NewJob(name, "default", b"", ids.nonce(), parents=[(parent, "success") for parent in parents])


def statuses(store: Store, *names: str) -> list[str]:
    return [str(record.status) for record in store.jobs.get_many(names) if record]


def test_a_requeue_sent_again_revives_nothing_twice(store: Store, driver: Driver) -> None:
    for job in (new("parent"), new("child", "parent"), new("grandchild", "child")):
        store.jobs.create(job)
    driver.end(driver.take(), "failed")
    driver.settle()
    nonce = ids.nonce()
    for _ in range(2):
        assert store.session.run("job/requeue", "parent", False, nonce)[0] == b"done"
        assert statuses(store, "parent", "child", "grandchild") == ["queued", "deferred", "deferred"]
    driver.end(driver.take(), "finished")
    driver.settle()
    assert store.session.run("job/requeue", "parent", False, nonce)[0] == b"done"
    assert statuses(store, "parent", "child", "grandchild") == ["finished", "queued", "deferred"]
    assert store.session.client.llen(store.session.keys("children", "parent")) == 1


def test_what_can_be_taken_out_of_its_registry(store: Store, driver: Driver) -> None:
    store.jobs.create(new("a"))
    assert [store.jobs.unlist(name) for name in ("a", "missing")] == [Outcome.WRONG_STATE, Outcome.NOT_FOUND]
    driver.end(driver.take(), "finished")
    assert [store.jobs.unlist("a") for _ in range(2)] == [Outcome.DONE, Outcome.DONE]
    assert store.queues.registry_count("default", JobStatus.FINISHED) == 0
    assert statuses(store, "a") == ["finished"]
    store.jobs.requeue("a")
    driver.end(driver.take(), "finished")
    assert store.queues.registry_count("default", JobStatus.FINISHED) == 1


def test_a_job_of_a_cron_entry_is_created_once(store: Store) -> None:
    job = new("a")
    assert [store.crons.enqueue("entry", job)[0] for _ in range(2)] == [Outcome.DONE, Outcome.DUPLICATE]
    assert (store.crons.job_ids("entry"), store.crons.names()) == (["a"], ["entry"])
    assert store.crons.enqueue("entry", new("b", "missing")) == (Outcome.NOT_FOUND, "missing")
    assert store.crons.job_ids("entry") == ["a"]
