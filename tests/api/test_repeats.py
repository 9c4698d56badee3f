"""`Retry` and `Repeat` of plain jobs."""

import math
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowq import Queue, Repeat, Retry
from flowq.exceptions import UsageError
from flowq.results import Result
from tests.api import samples
from tests.api.conftest import lines

Work = Callable[..., None]


def test_a_repeated_job_runs_times_plus_once_and_each_leaves_a_result(queue: Queue, work: Work, tmp_path: Path) -> None:
    log = tmp_path / "log"
    job = queue.enqueue(samples.write, str(log), "x\n", repeat=Repeat(times=2))
    assert job.repeats_left == 2
    work(max_jobs=1)
    assert (job.repeats_left, job.is_queued) == (1, True)
    work()
    assert lines(log) == ["x"] * 3
    assert job.is_finished
    assert [result.type for result in job.results()] == [Result.Type.SUCCESSFUL] * 3


def test_a_repeat_waits_for_its_interval(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.add, 1, repeat=Repeat(times=2, interval=[30, 60]))
    work()
    assert job.is_scheduled
    assert job.ended_at is not None
    assert queue.scheduled_job_registry.get_scheduled_time(job) - job.ended_at == timedelta(seconds=30)
    assert job.result == 1


def test_dependents_of_a_repeated_job_wait_for_its_last_success(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.add, 1, repeat=2)
    child = queue.enqueue(samples.add, 2, depends_on=job)
    work(max_jobs=2)
    assert (child.is_deferred, child.is_skipped) == (True, False)
    work()
    assert child.is_finished


def test_a_failure_ends_the_repetition_after_its_retries(queue: Queue, work: Work, tmp_path: Path) -> None:
    job = queue.enqueue(samples.fail_until, str(tmp_path / "log"), 2, retry=Retry(max=1), repeat=Repeat(times=1))
    work()
    assert [result.type.name for result in job.results()] == ["SUCCESSFUL", "SUCCESSFUL", "RETRIED"]
    bad = queue.enqueue(samples.div_by_zero, 1, repeat=Repeat(times=5))
    work()
    assert (bad.is_failed, len(bad.results())) == (True, 1)


def test_a_requeued_job_has_all_its_attempts_again(queue: Queue, work: Work) -> None:
    job = queue.enqueue(samples.div_by_zero, 1, retry=Retry(max=2))
    assert job.retries_left == 2
    work()
    job.refresh()
    assert (job.number_of_retries, job.retries_left) == (2, 0)
    job.requeue()
    assert (job.number_of_retries, job.retries_left) == (0, 2)
    work()
    assert len(job.results()) == 6


def test_a_retry_may_go_to_the_front(queue: Queue, work: Work, tmp_path: Path) -> None:
    front = queue.enqueue(samples.fail_until, str(tmp_path / "a"), 2, retry=Retry(max=1, enqueue_at_front=True))
    other = queue.enqueue(samples.add, 1)
    work(max_jobs=1)
    assert queue.job_ids == [front.id, other.id]


@pytest.mark.parametrize("make", [Retry, Repeat])
@pytest.mark.parametrize("times", [0, -1, "3", 2.5, None, True])
def test_impossible_times_are_refused(make: Callable[..., object], times: Any) -> None:
    with pytest.raises(UsageError, match=r"^(Retry\(max|Repeat\(times)=…\) must be a whole number of at least 1, found "):
        make(times)


@pytest.mark.parametrize("make", [Retry, Repeat])
@pytest.mark.parametrize("interval", [-1, [5, -10], "soon", "", [None], {}, {5: 6}, True, math.nan, math.inf, object(), b"5"])
def test_impossible_intervals_are_refused(make: Callable[..., object], interval: Any) -> None:
    with pytest.raises(UsageError, match=r"^Re\w+\(interval=…\): expected a duration"):
        make(1, interval)


@pytest.mark.parametrize(
    ("interval", "expected"),
    [(None, [0]), ([], [0]), (5, [5]), (0.5, [0.5]), ("90s", [90]), (["1m", 5], [60, 5]), (range(1, 3), [1, 2]), ({7}, [7])],
)
def test_intervals(interval: Any, expected: list[float]) -> None:
    for intervals in (Retry(1, interval).intervals, Repeat(1, interval).intervals):
        assert repr(intervals) == repr(expected)  # whole seconds stay integers
