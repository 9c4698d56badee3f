"""Records that are not what flowq wrote are set aside, and everything else goes on."""

import pytest

from flowq import ids
from flowq.exceptions import CorruptRecordError
from flowq.flows.forecast.history import read_history
from flowq.flows.forecast.ranks import expected_ranks
from flowq.flows.views.snapshot import read_view
from flowq.store import Store
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs
from tests.support.slot_driver import Driver


@pytest.fixture(autouse=True)
def _clean(store: Store, redis_client: object) -> object:
    """What these tests break on purpose is no finding of the invariants."""
    yield
    store.client.flushall()
    store.open()


def create(store: Store, job: str, **fields: str) -> None:
    store.jobs.create(NewJob(job, "default", b"", ids.nonce(), fields=fields))


def spoil(store: Store, kind: str, name: str, **fields: str) -> None:
    for field, value in fields.items():
        store.client.hset(store.session.keys(kind, name), field, value)


def test_a_job_that_cannot_be_claimed(store: Store, driver: Driver) -> None:
    create(store, "bad", ttl="60000")
    create(store, "good")
    spoil(store, "job", "bad", ttl="long")
    assert driver.take().id == "good"
    assert list(store.workers.all_set_aside()) == ["job|bad"]


def test_a_lost_job_that_cannot_be_reaped(store: Store, driver: Driver) -> None:
    for name in ("bad", "good"):
        create(store, name, retry="1|0|0|0")
    bad, good = driver.take(), driver.take()
    spoil(store, "job", "bad", retry="1|0|many|0", attempt="one", returns="x")
    for claim in (bad, good):
        store.client.zadd(store.session.keys("leases"), {claim.id: 1})
    driver.settle()
    assert driver.take().id == "good"
    assert list(store.workers.all_set_aside()) == ["lease|bad"]


def test_an_end_that_cannot_be_taken(store: Store, driver: Driver) -> None:
    for name in ("bad", "good"):
        create(store, name, retry="1|0|0|0")
    bad, good = driver.take(), driver.take()
    spoil(store, "job", "bad", retry="1|soon|never|0")
    assert driver.end(bad, "failed") is Outcome.FENCED
    assert driver.end(good) is Outcome.DONE
    assert list(store.workers.all_set_aside()) == ["job|bad"]


@pytest.mark.parametrize("junk", ["junk", "edges|", "nothing|a|0", "edges|nowhere|x"])
def test_junk_in_the_outbox(store: Store, driver: Driver, junk: str) -> None:
    run = graphs.run(store, {"a": [], "b": ["a"]})
    store.client.lpush(store.session.keys("outbox"), junk)
    driver.settle()
    driver.end(driver.take())
    driver.settle()
    driver.end(driver.take())
    driver.settle()
    assert str(store.runs.require(run).status) == "finished"


def test_junk_among_the_timers(store: Store, driver: Driver) -> None:
    create(store, "good")
    store.client.zadd(store.session.keys("timers"), {"junk": 1, "vacate|x": 1, "timeout|nowhere": 1})
    driver.settle()
    assert driver.take().id == "good"


def test_letters_in_a_run(store: Store, driver: Driver) -> None:
    bad, good = graphs.run(store, {"a": []}), graphs.run(store, {"a": []})
    spoil(store, "run", bad, **{"n:started": "x", "open": "y", "attempt": "z"})
    for _ in range(2):
        driver.end(driver.take())
        driver.settle()
    assert str(store.runs.require(good).status) == "finished"
    assert f"run|{bad}" in store.workers.all_set_aside()
    with pytest.raises(CorruptRecordError, match=f"the record of run {bad} cannot be read"):
        store.runs.get(bad)


def test_letters_in_a_job_are_a_sentence_to_its_readers(store: Store) -> None:
    run = graphs.run(store, {"a": []})
    spoil(store, "job", f"{run}-0", attempt="one")
    (job,) = read_view(store, run).jobs
    assert job.status == "queued"
    assert job.damaged == f"the record of job {run}-0 cannot be read: attempt: invalid literal for int() with base 10: 'one'"


def test_a_plan_that_is_none_is_a_sentence_to_its_readers(store: Store) -> None:
    run = graphs.run(store, {"a": []})
    store.client.set(store.session.keys("plan", run), b"{not a plan")
    with pytest.raises(CorruptRecordError, match="the stored plan cannot be read"):
        read_view(store, run)


THREE: graphs.Shape = {"a": [], "b": [], "c": []}


def finish(driver: Driver, jobs: int) -> None:
    for claim in [driver.take() for _ in range(jobs)]:
        driver.end(claim)
    driver.settle()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "9" * 400, "9" * 5000, "x"])
@pytest.mark.parametrize("field", ["started_at", "ended_at"])
def test_a_run_after_one_with_times_that_are_none(store: Store, driver: Driver, field: str, value: str) -> None:
    run = graphs.run(store, THREE)
    finish(driver, 3)
    spoil(store, "job", f"{run}-0", **{field: value})
    assert len(store.runs.durations(run, 3)) == 3
    assert graphs.run(store, THREE) != run


def test_a_run_after_one_with_a_job_that_is_no_hash(store: Store, driver: Driver) -> None:
    run = graphs.run(store, THREE)
    finish(driver, 3)
    store.client.delete(store.session.keys("job", f"{run}-0"))
    store.client.set(store.session.keys("job", f"{run}-0"), "junk")
    unknown, *others = store.runs.durations(run, 3)
    assert unknown is None
    assert None not in others
    assert graphs.run(store, THREE) != run


@pytest.mark.parametrize(
    "plan", [b"junk", b"{}", b'{"version": 99}', b'{"a":' * 100_000], ids=["junk", "empty", "newer", "deep"]
)
def test_a_run_after_one_whose_plan_cannot_be_read(store: Store, driver: Driver, plan: bytes) -> None:
    run = graphs.run(store, THREE)
    finish(driver, 3)
    assert store.runs.latest_finished("test") == run
    store.client.set(store.session.keys("plan", run), plan)
    assert graphs.run(store, THREE) != run
    assert read_history(store, "test").runs == 0


def test_the_times_of_a_run_with_many_jobs_are_not_read(store: Store, driver: Driver) -> None:
    """Its plan alone would take longer than to submit a small one."""
    run = graphs.run(store, THREE)
    jobs = [driver.take() for _ in range(3)]
    driver.let_time_pass()
    for claim in jobs:
        driver.end(claim)
    driver.settle()
    for claim in jobs:
        spoil(store, "job", claim.id, started_at="0", ended_at="1000")
    assert expected_ranks(store, graphs.plan(THREE)) != []
    spoil(store, "run", run, total="5001")
    assert expected_ranks(store, graphs.plan(THREE)) == []


@pytest.mark.parametrize("value", ["x", "", "nan", "inf", "-3", "1e999", "9" * 5000])
def test_a_rank_that_is_no_number(store: Store, driver: Driver, value: str) -> None:
    shape: graphs.Shape = {"first": [], "bad": ["first"], "good": ["first"]}
    graphs.submit_ranked(store, graphs.plan(shape), "ranked", [9, 8, 7])
    spoil(store, "job", "ranked:1", rank=value)
    finish(driver, 1)
    assert [driver.take().id for _ in range(2)] == ["ranked:2", "ranked:1"]
    assert not store.workers.all_set_aside()


def test_a_forecast_with_a_rank_that_is_no_number(store: Store, driver: Driver) -> None:
    graphs.submit_ranked(store, graphs.plan(THREE), "ranked", [9, 8, 7])
    finish(driver, 3)
    spoil(store, "job", "ranked:1", rank="x")
    assert read_history(store, "test").runs == 1
