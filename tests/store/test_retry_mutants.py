"""An epoch of a run begins once, however often and by whomever its retry is sent; each guard of the scripts of a retry is needed for that."""

from collections.abc import Callable

import pytest

from flowq.states import RunStatus
from flowq.store import Store
from flowq.store.retry_upload import ResetJob, chunks
from flowq.store.schema.outcomes import Outcome
from tests.support import graphs
from tests.support.run_driver import Drive
from tests.support.slot_driver import Driver
from tests.support.stories import noticed

JOBS = [ResetJob(0, 0)]


def failed(store: Store) -> str:
    """Return a run whose only job has failed."""
    return fail(store, graphs.run(store, {"a": []}))


def fail(store: Store, run: str) -> str:
    driver = Driver(store)
    Drive(store, driver, run, {"a": "failed"}).to_the_end()
    driver.close()
    return run


def epoch(store: Store, run: str) -> tuple[str, int]:
    record = store.runs.require(run)
    return str(record.status), record.attempt


def upload(store: Store, run: str, nonce: str) -> Outcome:
    ((piece, entries),) = chunks(JOBS, None)
    return Outcome(store.session.run("run/upload_retry", run, nonce, 0, piece, entries)[0].decode())


def apply(store: Store, run: str, nonce: str, attempt: int, number: int = 1) -> Outcome:
    return Outcome(store.session.run("run/retry", run, nonce, number, attempt)[0].decode())


def a_retry_that_is_sent_again_is_known(store: Store) -> None:
    run = failed(store)
    assert store.runs.reset(run, "one", 1, JOBS) is Outcome.DONE
    assert apply(store, run, "one", 1) is Outcome.DUPLICATE
    assert epoch(store, run) == (RunStatus.RUNNING, 2)
    fail(store, run)
    assert [apply(store, run, "one", attempt) for attempt in (1, 2)] == [Outcome.DUPLICATE] * 2, "its epoch may be over"
    assert epoch(store, run) == (RunStatus.FAILED, 2)


def a_retry_of_an_earlier_epoch_is_refused(store: Store) -> None:
    run = failed(store)
    assert store.runs.reset(run, "one", 1, JOBS) is Outcome.DONE
    fail(store, run)
    assert store.runs.reset(run, "two", 1, JOBS) is Outcome.WRONG_STATE, "its user has seen the first epoch"
    assert epoch(store, run) == (RunStatus.FAILED, 2)


def a_retry_whose_jobs_another_one_has_replaced_is_refused(store: Store) -> None:
    run = failed(store)
    assert [upload(store, run, nonce) for nonce in ("one", "two")] == [Outcome.DONE] * 2
    assert apply(store, run, "one", 1) is Outcome.WRONG_STATE
    assert [apply(store, run, "two", 1), apply(store, run, "two", 1)] == [Outcome.DONE, Outcome.DUPLICATE]


def a_retry_begins_with_all_its_jobs_once(store: Store) -> None:
    run = failed(store)
    assert [upload(store, run, "one"), upload(store, run, "one")] == [Outcome.DONE, Outcome.DUPLICATE]
    assert store.client.llen(store.session.keys("staging", run)) == 1
    assert apply(store, run, "one", 1, number=2) is Outcome.WRONG_STATE, "a part is missing"
    assert upload(store, run, "two") is Outcome.DONE
    assert store.client.llen(store.session.keys("staging", run)) == 1


def a_run_that_is_open_is_not_retried(store: Store) -> None:
    run = failed(store)
    upload(store, run, "one")
    assert apply(store, run, "one", 1) is Outcome.DONE
    assert [upload(store, run, "two"), apply(store, run, "two", 2)] == [Outcome.WRONG_STATE] * 2
    store.client.hset(
        store.session.keys("run", run), mapping={"retry_nonce": "two", "retry_chunks": 1}
    )  # staged before the first one
    assert apply(store, run, "two", 2) is Outcome.WRONG_STATE
    assert epoch(store, run) == (RunStatus.RUNNING, 2)


STORIES: tuple[Callable[[Store], None], ...] = (
    a_retry_that_is_sent_again_is_known,
    a_retry_of_an_earlier_epoch_is_refused,
    a_retry_whose_jobs_another_one_has_replaced_is_refused,
    a_retry_begins_with_all_its_jobs_once,
    a_run_that_is_open_is_not_retried,
)

MUTANTS = {
    "a retry that is sent again is a new one": ("run/retry", "if found[5] == nonce then return { 'duplicate' } end", ""),
    "an epoch is accepted twice": ("run/retry", " or tonumber(found[4]) ~= attempt then", " then"),
    "jobs of another retry": ("run/retry", "if found[2] ~= nonce or ", "if "),
    "parts that are missing": ("run/retry", "or tonumber(found[3]) ~= chunks ", ""),
    "an open run begins again": ("run/retry", "if status == 'running' or status == 'queued' then return { 'wrong_state' } end", ""),
    "an upload into an open run": ("run/upload_retry", "if status == 'running' or status == 'queued' then return { 'wrong_state' } end", ""),
    "a part that counts twice": ("run/upload_retry", "if tonumber(found[3]) > chunk then return { 'duplicate' } end", ""),
    "jobs of two retries": ("run/upload_retry", "call('DEL', K.staging(run), K.draft(run))", ""),
}  # fmt: skip


@pytest.mark.parametrize("story", STORIES)
def test_a_story_of_retries(store: Store, story: Callable[[Store], None]) -> None:
    story(store)
    store.client.flushall()  # runs are left in the middle
    store.open()


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_is_noticed(store: Store, mutate: Callable[[str, str, str], None], name: str) -> None:
    mutate(*MUTANTS[name])
    assert noticed(store, STORIES, store), "no story goes wrong"
