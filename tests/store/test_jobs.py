"""Plain jobs: create, claim, finish, fail, retry, expire, cancel, requeue, delete."""

import os
import signal
import threading
from collections.abc import Iterator
from queue import Queue

import pytest

from flowq import defaults, ids
from flowq.exceptions import DataLostError, TooLargeError
from flowq.states import JobStatus
from flowq.store import Store
from flowq.store.schema.keys import Keys
from flowq.store.schema.new_jobs import NewJob
from flowq.store.schema.outcomes import LogLines, Outcome, Verdict
from tests.support.server import PrivateServer
from tests.support.slot_driver import Driver, execution
from tests.support.wait import until


def create(store: Store, job: str, **more: object) -> tuple[Outcome, str]:
    return store.jobs.create(NewJob(job, "default", b"payload of " + job.encode(), ids.nonce(), **more))  # type: ignore[arg-type]


def status(store: Store, job: str) -> str:
    record = store.jobs.get(job)
    assert record is not None
    return str(record.status)


def test_jobs_are_claimed_in_the_order_of_their_creation(store: Store, driver: Driver) -> None:
    for name in ("a", "b", "c"):
        create(store, name)
    claims = driver.step(claims=4).claims
    assert [claim.id if claim else None for claim in claims] == ["a", "b", "c", None]
    assert claims[0] is not None
    assert claims[0].payload == b"payload of a"
    assert (claims[0].execution, claims[0].attempt) == (1, 1)


def test_front_and_priority_order_the_queue(store: Store, driver: Driver) -> None:
    create(store, "plain")
    create(store, "front", front=True)
    create(store, "fronter", front=True)
    create(store, "urgent", fields={"priority": 5})
    create(store, "later", fields={"priority": -1})
    order = ["urgent", "fronter", "front", "plain", "later"]
    assert store.queues.job_ids("default") == order
    assert [driver.take().id for _ in order] == order


def test_queues_are_served_in_the_workers_order(store: Store) -> None:
    store.jobs.create(NewJob("slow", "low", b"", "1"))
    store.jobs.create(NewJob("fast", "high", b"", "2"))
    driver = Driver(store, "high", "low")
    assert [driver.take().id, driver.take().id] == ["fast", "slow"]


def test_the_same_request_again_is_a_duplicate(store: Store) -> None:
    first = store.jobs.create(NewJob("a", "default", b"", "n"))
    again = store.jobs.create(NewJob("a", "default", b"", "n"))
    assert (first[0], again[0]) == (Outcome.DONE, Outcome.DUPLICATE)
    assert store.queues.count("default") == 1


def test_a_taken_id_is_replaced_or_refused(store: Store, driver: Driver) -> None:
    create(store, "a")
    assert create(store, "a", unique=True)[0] is Outcome.CONFLICT
    assert create(store, "a")[0] is Outcome.DONE
    assert store.queues.job_ids("default") == ["a"]
    driver.take()
    assert create(store, "a")[0] is Outcome.CONFLICT


def test_the_numbers_of_an_ids_executions_only_grow(store: Store, driver: Driver) -> None:
    claims = []
    for _ in range(3):
        create(store, "a")
        claim = driver.take()
        claims.append(claim)
        assert (claim.execution, claim.attempt) == (len(claims), 1)
        assert driver.end(claim, value=b"1") is Outcome.DONE
        assert len(store.jobs.results("a")) == 1  # of the new job: the old one's went with it
    create(store, "a")
    assert store.jobs.result("a") is None
    late = driver.store.jobs.get("a")
    assert late is not None
    assert late.status is JobStatus.QUEUED
    assert [driver.end(claim) for claim in claims] == [Outcome.FENCED] * 3


def test_a_finish_is_recorded_once(store: Store, driver: Driver) -> None:
    create(store, "a")
    claim = driver.take()
    assert driver.end(claim, value=b"42") is Outcome.DONE
    assert driver.end(claim, "failed") is Outcome.DUPLICATE
    result = store.jobs.result("a")
    assert result is not None
    assert (result.type, result.value) == ("successful", b"42")
    assert store.queues.registry_ids("default", JobStatus.FINISHED) == ["a"]


def test_a_finished_job_expires_after_its_result_ttl(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"result_ttl": 60})
    driver.end(driver.take())
    until(lambda: store.jobs.get("a") is None, message="the job did not expire")
    assert store.queues.registry_count("default", JobStatus.FINISHED) == 0


def test_a_result_ttl_of_zero_leaves_nothing(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"result_ttl": 0})
    driver.end(driver.take())
    assert store.jobs.get("a") is None


def test_an_expired_job_is_never_claimed(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"ttl": 30})
    create(store, "b")
    until(lambda: store.queues.count("default") == 1, message="the ttl is not counted out")
    assert driver.take().id == "b"
    assert status(store, "a") == "failed"
    record = store.jobs.get("a")
    assert record is not None
    assert record.reason == "expired"


@pytest.mark.parametrize("waits", [False, True])
def test_a_claim_gives_what_a_job_has_released_that_it_finds_expired(store: Store, driver: Driver, waits: bool) -> None:
    create(store, "a", fields={"ttl": 1})
    create(store, "b", parents=(("a", "ran"),))
    assert status(store, "b") == "deferred"
    until(lambda: store.queues.count("default") == 0, message="the ttl is not counted out")
    claims = [store.workers.claim("w", ["default"], 10.0)] if waits else driver.step(claims=2).claims
    assert [claim.id if claim else None for claim in claims] == ["b", None][: len(claims)]


def test_the_sweep_expires_unclaimed_jobs(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"ttl": 20})
    until(lambda: driver.swept() and status(store, "a") == "failed")


def test_a_failure_with_retries_left_is_queued_again_and_leaves_a_result(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"retry": "2|0|0|0"})
    for attempt in (1, 2, 3):
        claim = driver.take()
        assert claim.attempt == attempt
        driver.end(claim, "failed", value=f"error {attempt}".encode())
    assert status(store, "a") == "failed"
    assert [(item.type, item.value) for item in store.jobs.results("a")] == [
        ("failed", b"error 3"),
        ("retried", b"error 2"),
        ("retried", b"error 1"),
    ]


def test_a_retry_interval_is_waited_for(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"retry": "1|40|0|0"})
    driver.end(driver.take(), "failed")
    assert status(store, "a") == "scheduled"
    assert driver.claim() is None
    until(lambda: driver.swept() and status(store, "a") == "queued")
    assert driver.take().attempt == 2


def test_the_last_interval_repeats(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"retry": "5|0,60000|0|0"})
    driver.end(driver.take(), "failed")
    assert status(store, "a") == "queued"
    driver.end(driver.take(), "failed")
    record = store.jobs.get("a")
    assert record is not None
    assert record.due_ms is not None
    assert record.ended_ms is not None
    assert record.due_ms - record.ended_ms == 60000


def test_jitter_spreads_the_waits_within_its_bounds(store: Store, driver: Driver) -> None:
    waits = set()
    for number in range(12):
        create(store, f"j{number}", fields={"retry": "1|10000|20|0"})
        driver.end(driver.take(), "failed")
        record = store.jobs.get(f"j{number}")
        assert record is not None
        assert record.due_ms is not None
        assert record.ended_ms is not None
        waits.add(record.due_ms - record.ended_ms)
    assert len(waits) > 6
    assert all(8000 <= wait <= 12000 for wait in waits)


def test_a_returned_retry_is_counted_separately(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"retry": "1|0|0|0"})
    driver.end(driver.take(), "retry", delay_ms=-1, max_returns=1, value=None)
    driver.end(driver.take(), "failed")
    assert status(store, "a") == "queued"  # the returned one does not count as a retry after an exception
    driver.end(driver.take(), "failed")
    assert status(store, "a") == "failed"
    assert [item.type for item in store.jobs.results("a")] == ["failed", "retried", "retried"]


def test_ten_results_are_kept_exactly(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"retry": "30|0|0|0"})
    for number in range(25):
        driver.end(driver.take(), "failed", value=str(number).encode())
    assert [item.value for item in store.jobs.results("a")] == [str(number).encode() for number in range(24, 14, -1)]


def test_unclaim_requeues_the_job_without_counting_an_attempt(store: Store, driver: Driver) -> None:
    create(store, "a")
    create(store, "b")
    claim = driver.take()
    assert store.workers.unclaim(claim.id, claim.token) is Outcome.DONE
    assert store.workers.unclaim(claim.id, claim.token) is Outcome.DUPLICATE
    again = driver.take()
    assert (again.id, again.attempt, again.execution) == ("a", 1, 2)
    assert driver.end(claim) is Outcome.FENCED


def test_a_lost_execution_is_reaped_to_the_head_and_fenced(store: Store) -> None:
    driver = Driver(store, lease=0.03)
    create(store, "a", fields={"retry": "1|0|0|0"})
    create(store, "b")
    lost = driver.take()
    until(lambda: driver.tick().reaped > 0)
    again = driver.take()
    assert (again.id, again.attempt) == ("a", 2)
    assert driver.end(lost) is Outcome.FENCED
    assert driver.beat(lost) == [Verdict.FENCED]
    assert driver.end(again) is Outcome.DONE


def test_a_lost_execution_without_retries_fails_as_abandoned(store: Store) -> None:
    driver = Driver(store, lease=0.03)
    create(store, "a")
    driver.take()
    until(lambda: driver.tick().reaped > 0)
    record, result = store.jobs.get("a"), store.jobs.result("a")
    assert record is not None
    assert result is not None
    assert (record.status, record.reason) == ("failed", "abandoned")
    assert b"AbandonedJobError" in (result.value or b"")


def test_heartbeats_extend_a_lease(store: Store) -> None:
    driver = Driver(store, lease=0.5)
    create(store, "a")
    claim = driver.take()
    before = store.queues.registry_score("default", JobStatus.STARTED, "a")
    until(
        lambda: (
            driver.beat(claim) == [Verdict.GO_ON] and store.queues.registry_score("default", JobStatus.STARTED, "a") != before
        )
    )


def test_canceling_a_started_job_is_a_verdict_for_its_worker(store: Store, driver: Driver) -> None:
    create(store, "a")
    claim = driver.take()
    assert store.jobs.cancel("a") is Outcome.DONE
    assert driver.beat(claim) == [Verdict.CANCEL]
    driver.end(claim, "failed")
    assert status(store, "a") == "canceled"
    assert store.jobs.cancel("a") is Outcome.WRONG_STATE


def test_a_canceled_job_is_not_claimed(store: Store, driver: Driver) -> None:
    create(store, "a")
    store.jobs.cancel("a")
    assert driver.claim() is None
    assert status(store, "a") == "canceled"


def test_requeue_starts_again_with_fresh_attempts(store: Store, driver: Driver) -> None:
    create(store, "a", fields={"failure_ttl": 50_000})
    driver.end(driver.take(), "failed")
    assert store.jobs.requeue("a") is Outcome.DONE
    assert store.queues.job_ids("default") == ["a"]
    assert store.client.pttl(store.session.keys("job", "a")) == -1
    assert driver.take().attempt == 1
    assert store.jobs.requeue("a") is Outcome.WRONG_STATE
    assert store.jobs.requeue("missing") is Outcome.NOT_FOUND


@pytest.mark.parametrize(
    ("condition", "outcome", "expected"),
    [
        ("success", "finished", "queued"),
        ("success", "failed", "skipped"),
        ("done", "failed", "queued"),
        ("failure", "failed", "queued"),
        ("failure", "finished", "skipped"),
    ],
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_dependent_is_decided_whether_it_came_before_or_after_the_end(
    store: Store, driver: Driver, condition: str, outcome: str, expected: str, when: str
) -> None:
    create(store, "parent")
    if when == "before":
        create(store, "child", parents=[("parent", condition)])
        assert status(store, "child") == "deferred"
        assert store.queues.count("default") == 1
    driver.end(driver.take(), outcome)
    if when == "after":
        create(store, "child", parents=[("parent", condition)])
    assert status(store, "child") == expected


def test_an_unknown_parent_is_refused_and_nothing_is_created(store: Store) -> None:
    assert create(store, "child", parents=[("missing", "success")]) == (Outcome.NOT_FOUND, "missing")
    assert store.jobs.get("child") is None


def test_a_parent_outlives_its_ttl_until_its_child_has_ended(store: Store, driver: Driver) -> None:
    create(store, "parent", fields={"result_ttl": 1})
    create(store, "child", parents=[("parent", "success")])
    driver.end(driver.take(), value=b"kept")
    claim = driver.take()
    until(lambda: store.now_ms() > (store.jobs.get("parent") or store.jobs.get("child")).ended_ms + 5)  # type: ignore[union-attr,operator]
    result = store.jobs.result("parent")
    assert result is not None
    assert result.value == b"kept"
    driver.end(claim)
    until(lambda: store.jobs.get("parent") is None)


def test_deleting_a_parent_leaves_no_child_hanging(store: Store) -> None:
    create(store, "parent")
    create(store, "child", parents=[("parent", "success")])
    assert store.jobs.delete("parent") is Outcome.DONE
    assert status(store, "child") == "skipped"
    assert store.jobs.get("parent") is None


def test_a_scheduled_job_is_queued_when_it_is_due(store: Store, driver: Driver) -> None:
    create(store, "a", due_ms=store.now_ms() + 300)
    assert status(store, "a") == "scheduled"
    until(lambda: driver.swept() and status(store, "a") == "queued")


def test_logs_are_stored_once_and_only_by_the_holder(store: Store, driver: Driver) -> None:
    create(store, "a")
    claim = driver.take()
    entry = LogLines(claim.id, claim.token, 1, "out", b"hello\n\xff")
    driver.step(logs=(entry, entry))
    driver.step(
        logs=(entry, LogLines(claim.id, claim.token, 2, "err", b"more"), LogLines(claim.id, "9-x", 3, "out", b"forged"))
    )
    assert [(log.stream, log.data) for log in store.runs.logs("a")] == [("out", b"hello\n\xff"), ("err", b"more")]
    driver.step(execution(claim))


@pytest.mark.parametrize("executions", [1, 2])
def test_all_keys_of_an_ended_job_expire(store: Store, driver: Driver, executions: int) -> None:
    create(store, "parent")
    create(store, "job", parents=[("parent", "success")], fields={"retry": "1|0|0|0"})
    driver.end(driver.take())
    store.jobs.save_meta("job", b"meta")
    for number in range(1, executions + 1):
        claim = driver.take()
        driver.step(logs=(LogLines(claim.id, claim.token, 1, "out", b"said"),))
        last = number == executions
        driver.end(claim, "finished" if last else "failed", value=b"v")
    names = ["job", "payload", "result", "results", "ledger", "parents", "meta_data", "logs"]
    keys = Keys(store.namespace)
    left = {name: store.client.pttl(keys(name, "job")) for name in names}
    there = {name for name in names if left[name] != -2}
    assert there == set(names) - (set() if executions == 2 else {"results", "ledger"})
    assert all(left[name] > 0 for name in there), left


def test_jobs_of_one_call_are_queued_in_order_beside_those_that_wait(store: Store, driver: Driver) -> None:
    create(store, "earlier")
    jobs = [
        NewJob("a", "default", b"", "1"),
        NewJob("waits", "default", b"", "2", parents=[("a", "success")]),
        NewJob("first", "default", b"", "3", front=True),
        NewJob("other", "other", b"", "4"),
        NewJob("later", "default", b"", "5", due_ms=2**45),
        NewJob("b", "default", b"", "6", fields={"ttl": "60000"}),
    ]
    answers = store.jobs.create_many(jobs)
    assert [answer for _, answer in answers] == ["queued", "deferred", "queued", "queued", "scheduled", "queued"]
    create(store, "last")
    assert store.queues.job_ids("default") == ["first", "earlier", "a", "b", "last"]
    assert store.queues.job_ids("other") == ["other"]


def test_an_id_twice_in_one_call_is_answered_as_in_two(store: Store) -> None:
    twice = [NewJob("a", "default", b"", "n"), NewJob("a", "default", b"", "n"), NewJob("b", "default", b"", "m")]
    assert store.jobs.create_many(twice) == [(Outcome.DONE, "queued"), (Outcome.DUPLICATE, "queued"), (Outcome.DONE, "queued")]
    assert store.queues.job_ids("default") == ["a", "b"]


def test_too_large_a_payload_is_refused_with_both_sizes(store: Store) -> None:
    with pytest.raises(TooLargeError, match=r"9,000,000 bytes, at most 8,388,608"):
        store.jobs.create(NewJob("a", "default", b"x" * 9_000_000, "n"))


def test_flushed_data_stops_a_worker_and_leaves_no_half_job(store: Store) -> None:
    driver = Driver(store)
    create(store, "a")
    claim = driver.take()
    store.client.flushall()
    Store(store.client, store.namespace).open()
    driver.link.heartbeat(driver.registration, "busy", [(claim.id, claim.token)])
    with pytest.raises(DataLostError, match="is gone"):
        driver.reply()
    assert store.jobs.get("a") is None


def test_script_flush_is_invisible(store: Store, driver: Driver) -> None:
    create(store, "a")
    store.client.script_flush()
    claim = driver.take()
    store.client.script_flush()
    assert driver.end(claim) is Outcome.DONE


def news(count: int, size: int = 1) -> list[NewJob]:
    return [NewJob(f"j{number}", "default", bytes(size), f"n{number}") for number in range(count)]


@pytest.mark.parametrize(("count", "size"), [(0, 1), (1, 1), (100, 1), (101, 1), (1250, 1), (7, 600_000)])
def test_many_jobs_are_created_in_order_over_several_calls(store: Store, count: int, size: int) -> None:
    jobs = news(count, size)
    assert store.jobs.create_many(jobs) == [(Outcome.DONE, "queued")] * count
    assert store.queues.job_ids("default") == [new.id for new in jobs]
    assert store.jobs.create_many(jobs) == [(Outcome.DUPLICATE, "queued")] * count
    assert store.queues.count("default") == count


def test_calls_of_many_jobs_are_under_way_side_by_side(store: Store, server: PrivateServer) -> None:
    """The client goes on to make jobs, and sends them, while no call has been answered."""
    made = Queue[str]()
    answers: list[tuple[Outcome, str]] = []

    def jobs() -> Iterator[NewJob]:
        for new in news(1000):
            made.put(new.id)
            yield new

    creating = threading.Thread(target=lambda: answers.extend(store.jobs.create_many(jobs())))
    os.kill(server.pid, signal.SIGSTOP)
    try:
        creating.start()
        until(lambda: made.qsize() > 150, message="jobs of a fourth call to be made")
        assert answers == []
    finally:
        os.kill(server.pid, signal.SIGCONT)
    creating.join()
    assert answers == [(Outcome.DONE, "queued")] * 1000
    assert store.queues.job_ids("default") == [new.id for new in news(1000)]


def test_each_of_many_jobs_is_created_or_refused_by_itself(store: Store) -> None:
    create(store, "taken")
    jobs = [
        *news(150),
        NewJob("taken", "default", b"", "x1", unique=True),
        NewJob("orphan", "default", b"", "x2", parents=[("nowhere", "success")]),
        NewJob("child", "default", b"", "x3", parents=[("j149", "success")]),
    ]
    refused = [(Outcome.CONFLICT, "queued"), (Outcome.NOT_FOUND, "nowhere"), (Outcome.DONE, "deferred")]
    assert store.jobs.create_many(jobs)[150:] == refused
    assert store.queues.count("default") == 151


def usual(name: str, nonce: str = "n", queue: str = "default", **fields: str) -> NewJob:
    return NewJob(name, queue, name.encode(), nonce, call=f"f({name})", fields=fields)


def stored(store: Store, name: str) -> tuple[dict[str, str], bytes | None]:
    found = store.jobs.load_many([name])[0]
    assert found is not None
    return {field: text for field, text in found.record.fields.items() if not field.endswith("_at")}, found.payload


@pytest.mark.parametrize(
    "last",
    [usual("z", timeout="5"), usual("z", timeout="9"), usual("z", "m", timeout="5"), usual("z", queue="other", timeout="5")],
    ids=["alike", "another field", "another request", "another queue"],
)
def test_jobs_of_one_call_are_stored_as_by_calls_of_their_own(store: Store, last: NewJob) -> None:
    jobs = [*(usual(f"j{number}", timeout="5") for number in range(60)), last]
    store.jobs.create_many(jobs)
    together = [stored(store, new.id) for new in jobs]
    order = {queue: store.queues.job_ids(queue) for queue in ("default", "other")}
    store.client.flushall()
    for new in jobs:
        Store(store.client, store.namespace).open().jobs.create(new)
    assert [stored(store, new.id) for new in jobs] == together
    assert {queue: store.queues.job_ids(queue) for queue in order} == order


def test_jobs_that_are_alike_and_whose_ids_are_taken(store: Store, driver: Driver) -> None:
    """By the same request, by another one, by a job that is being executed, and by one that has ended and another waits for again."""
    store.jobs.create(usual("started"))
    driver.take()
    store.jobs.create(usual("ended", "earlier"))
    driver.end(driver.take())
    store.jobs.create(usual("waits", "earlier"))
    store.jobs.create(usual("same"))
    names = ["ended", "same", "started", "waits", "free"]
    answers = store.jobs.create_many([usual(name, "n" if name == "same" else "m") for name in names])
    done = (Outcome.DONE, "queued")
    assert answers == [done, (Outcome.DUPLICATE, "queued"), (Outcome.CONFLICT, "started"), done, done]
    answers = store.jobs.create_many([usual(name, "m") for name in names if name != "same"])
    again = (Outcome.DUPLICATE, "queued")
    assert answers == [again, (Outcome.CONFLICT, "started"), again, again]
    assert sorted(store.queues.job_ids("default")) == sorted(set(names) - {"started"})


def test_nothing_is_created_when_one_of_many_is_too_large(store: Store) -> None:
    with pytest.raises(TooLargeError):
        store.jobs.create_many([*news(1), NewJob("large", "default", bytes(defaults.MAX_PAYLOAD + 1), "n")])
    assert store.queues.count("default") == 0


def test_a_queue_is_emptied_of_jobs_that_others_know_of(store: Store) -> None:
    """Those that are alone vanish at once, the others in the ways that others are told of."""
    create(store, "alone")
    create(store, "parent")
    create(store, "child", parents=[("parent", "success")])
    create(store, "held")
    create(store, "grouped", group="g")
    driver = Driver(store)
    assert driver.take().id == "alone"
    assert store.queues.empty("default") == 3
    assert store.queues.count("default") == 0
    assert [status(store, "child"), store.jobs.get("parent"), store.groups.get("g")] == ["skipped", None, None]


def test_a_deleted_job_lets_its_parents_go(store: Store, driver: Driver) -> None:
    create(store, "parent", fields={"result_ttl": 0})
    create(store, "child", parents=[("parent", "success")])
    driver.end(driver.take())
    assert (status(store, "parent"), status(store, "child")) == ("finished", "queued")
    assert store.jobs.delete("child") is Outcome.DONE
    assert store.jobs.get("parent") is None, "its result_ttl of 0 was put off for the child alone"
