"""How long a worker claims nothing after it got no process for a job."""

from flowq.worker.supervisor.periodic_requests import Starvation


def test_pauses_are_equal_where_the_system_lacks_processes() -> None:
    starvation = Starvation(grows=False)
    assert [starvation.pause(0) for _ in range(5)] == [1.0] * 5


def test_pauses_grow_to_a_minute_where_an_engine_cannot_be_reached() -> None:
    starvation = Starvation(grows=True)
    assert [starvation.pause(3) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_job_that_was_executed_ends_the_growth() -> None:
    starvation = Starvation(grows=True)
    assert [starvation.pause(executed) for executed in (0, 0, 0, 1, 1, 7)] == [1, 2, 4, 1, 2, 1]
