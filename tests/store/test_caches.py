"""Cached results: `finish` stores and reuses them, also with concurrent changes."""

import json
import random
from typing import Any

import pytest

from flowq.flows.actions import retry
from flowq.store import Store
from flowq.store.schema.outcomes import CacheReport, Claim, ExecutionReport, Outcome
from tests.support import graphs, invariants
from tests.support.slot_driver import Driver, execution

JOB = "0123456789abcdef"


def report(digest: str = "d1", *, hit: bool = False, ttl_ms: int | None = None, record: str = "{}") -> CacheReport:
    info = json.dumps({"hit": hit, "reason": "r", "run": None})
    return CacheReport(info, JOB, digest, "" if hit else record, f"made of {digest}", ttl_ms)


def ended(claim: Claim, cache: CacheReport, value: bytes = b"null", outcome: str = "finished", **more: Any) -> ExecutionReport:
    return execution(claim, outcome, value=value, cache=cache, **more)


def claimed(store: Store, driver: Driver) -> Claim:
    graphs.run(store, {"a": []})
    return driver.take()


def keep(store: Store, driver: Driver, digest: str = "d1", value: bytes = b"1", ttl_ms: int | None = None) -> None:
    assert driver.step(ended(claimed(store, driver), report(digest, ttl_ms=ttl_ms), value)).ended == (Outcome.DONE,)


def result(store: Store, job: str) -> tuple[str, str | None, bytes | None]:
    record, found = store.jobs.get(job), store.jobs.result(job)
    assert record is not None
    return str(record.status), record.reason, None if found is None else found.value


def keys_of(store: Store) -> list[str]:
    return [store.session.keys(kind, JOB) for kind in ("cache", "cached")]


def test_a_result_is_cached_and_reused(store: Store, driver: Driver) -> None:
    keep(store, driver, value=b'{"rows":3}')
    kept = store.caches.read(JOB)
    assert list(kept.records) == ["d1"]
    assert kept.latest == b"made of d1"
    age, record = kept.records["d1"]
    assert 0 <= age < 60_000
    assert record == b"{}"
    claim = claimed(store, driver)
    assert driver.step(ended(claim, report(hit=True))).ended == (Outcome.DONE,)
    assert result(store, claim.id) == ("finished", "cached", b'{"rows":3}')
    assert store.client.hget(store.session.keys("job", claim.id), "cache") is not None


def test_a_repeated_report_caches_once(store: Store, driver: Driver) -> None:
    claim = claimed(store, driver)
    first, second = ended(claim, report(), b"1"), ended(claim, report("d2"), b"2")
    assert driver.step(first).ended == (Outcome.DONE,)
    before = [store.client.hgetall(key) for key in keys_of(store)]
    assert driver.step(first, second).ended == (Outcome.DUPLICATE, Outcome.DUPLICATE)
    assert [store.client.hgetall(key) for key in keys_of(store)] == before


def test_a_fenced_execution_caches_nothing(store: Store, driver: Driver) -> None:
    claim = claimed(store, driver)
    driver.lose(claim)
    assert driver.step(ended(claim, report(), b"1")).ended == (Outcome.FENCED,)
    assert not store.client.exists(*keys_of(store))


@pytest.mark.parametrize("outcome", ["failed", "canceled", "stopped"])
def test_only_a_success_is_cached(store: Store, driver: Driver, outcome: str) -> None:
    claim = claimed(store, driver)
    driver.step(ended(claim, report(), b"boom", outcome, reason="error"))
    assert not store.client.exists(*keys_of(store))
    record = store.jobs.get(claim.id)
    assert record is not None
    assert json.loads(record.cache or "")["hit"] is False


def test_an_allowed_failure_is_not_cached(store: Store, driver: Driver) -> None:
    driver.step(ended(claimed(store, driver), report(), b"boom", "failed", reason="error", allowed=True))
    assert not store.client.exists(*keys_of(store))


def test_a_job_is_requeued_if_its_cached_result_has_expired(store: Store, driver: Driver) -> None:
    """For example, the record expires between the lookup and the end of the execution."""
    claim = claimed(store, driver)
    hit = ended(claim, report(hit=True))
    assert driver.step(hit).ended == (Outcome.DONE,)
    record = store.jobs.get(claim.id)
    assert record is not None
    assert (str(record.status), record.attempt) == ("queued", 0)
    assert driver.step(hit).ended == (Outcome.DUPLICATE,)
    again = driver.take()
    assert (again.id, again.attempt, again.execution) == (claim.id, 1, 2)
    assert driver.step(ended(again, report(), b"7")).ended == (Outcome.DONE,)
    assert result(store, claim.id) == ("finished", None, b"7")
    assert driver.step(hit).ended == (Outcome.FENCED,), "an execution from before that one"


def test_a_job_that_is_canceled_and_requeued_is_canceled(store: Store, driver: Driver) -> None:
    run = graphs.run(store, {"a": []})
    claim = driver.take()
    store.runs.cancel(run)
    driver.settle()
    driver.step(ended(claim, report(hit=True)))
    driver.settle()
    assert graphs.statuses(store, run) == {"a": "canceled/run_canceled"}


def test_a_hit_releases_the_dependents(store: Store, driver: Driver) -> None:
    keep(store, driver)
    run = graphs.run(store, {"a": [], "b": ["a"]})
    driver.step(ended(driver.take(), report(hit=True)))
    driver.end(driver.take())
    assert graphs.statuses(store, run) == {"a": "finished/cached", "b": "finished"}
    assert str(store.runs.require(run).status) == "finished"


def test_the_ten_most_recently_used_results_are_kept(store: Store, driver: Driver) -> None:
    for number in range(10):
        keep(store, driver, f"d{number}")
    driver.step(ended(claimed(store, driver), report("d0", hit=True)))
    for number in range(10, 13):
        keep(store, driver, f"d{number}")
    expected = {"d0", *(f"d{number}" for number in range(4, 13))}
    assert set(store.caches.read(JOB).records) == expected
    assert {name.decode() for name in store.session.client.hkeys(keys_of(store)[1])} == expected


def test_unused_results_expire(store: Store, driver: Driver) -> None:
    keep(store, driver)
    month = 30 * 86_400_000
    assert all(month - 60_000 < store.client.pttl(key) <= month for key in keys_of(store))
    for key in keys_of(store):
        store.client.pexpire(key, 5_000)
    driver.step(ended(claimed(store, driver), report(hit=True)))
    assert all(store.client.pttl(key) > month - 60_000 for key in keys_of(store)), "it was used"


def test_reuse_does_not_extend_the_ttl_of_a_result(store: Store, driver: Driver) -> None:
    keep(store, driver, ttl_ms=60_000)
    assert all(0 < store.client.pttl(key) <= 60_000 for key in keys_of(store))
    for key in keys_of(store):
        store.client.pexpire(key, 5_000)
    store.client.hset(keys_of(store)[0], "=d1", f"{store.now_ms() - 55_000} {{}}")  # created 55 s ago
    driver.step(ended(claimed(store, driver), report(hit=True, ttl_ms=60_000)))
    assert all(0 < store.client.pttl(key) <= 5_000 for key in keys_of(store))


def test_a_longer_ttl_keeps_existing_results(store: Store, driver: Driver) -> None:
    keep(store, driver, ttl_ms=1_000)
    driver.step(ended(claimed(store, driver), report(hit=True, ttl_ms=60_000)))
    assert all(50_000 < store.client.pttl(key) <= 60_000 for key in keys_of(store))
    keep(store, driver, "d2", ttl_ms=1_000)
    assert all(store.client.pttl(key) > 50_000 for key in keys_of(store)), "the other result has its time"


def test_two_workers_cache_the_same_result_at_once(store: Store, driver: Driver) -> None:
    """Neither found a result; the later one overwrites the earlier one."""
    one, other = claimed(store, driver), claimed(store, driver)
    driver.step(ended(one, report(), b"1"), ended(other, report(), b"2"))
    assert list(store.caches.read(JOB).records) == ["d1"]
    claim = claimed(store, driver)
    driver.step(ended(claim, report(hit=True)))
    assert result(store, claim.id)[2] == b"2"


def test_the_cache_report_is_cleared_by_the_next_execution(store: Store, driver: Driver) -> None:
    graphs.run(store, {"a": []})
    claim = driver.take()
    driver.step(ended(claim, report(), b"boom", "failed", reason="error"))
    driver.lose(claim)
    run = claim.run
    assert run is not None
    retry.plan_retry(store, run).without_cache().apply(store)
    driver.settle()
    row = store.client.hgetall(store.session.keys("job", claim.id))
    assert b"cache" not in row
    assert row[b"fresh"] == b"1"
    invariants.check(store)


@pytest.mark.parametrize("seed", range(4))
def test_random_use_agrees_with_a_model_of_ten_results(store: Store, driver: Driver, seed: int) -> None:
    """Results are cached, reused, reported twice and lost at random; a list in memory is the model."""
    rng = random.Random(seed)
    model: dict[str, bytes] = {}  # the most recently used one last
    for number in range(120):
        digest, value = f"d{rng.randrange(14)}", str(number).encode()
        claim = claimed(store, driver)
        if rng.random() < 0.5:
            told = ended(claim, report(digest), value)
            model.pop(digest, None)
            model[digest] = value
        else:
            told = ended(claim, report(digest, hit=True))
            if digest in model:
                model[digest] = model.pop(digest)
        model = dict(list(model.items())[-10:])
        driver.step(told)
        if rng.random() < 0.3:
            assert driver.step(told).ended == (Outcome.DUPLICATE,)
        if told.cache == report(digest, hit=True) and digest not in model:
            driver.end(driver.take())  # it was requeued
        elif told.cache == report(digest, hit=True):
            assert result(store, claim.id) == ("finished", "cached", model[digest])
        found = {name.decode(): item for name, item in store.session.client.hgetall(keys_of(store)[1]).items()}
        assert found == model
        assert set(store.caches.read(JOB).records) == set(model)
