"""Waiting for the embedded server: the time in which the machine stood still does not count."""

from types import SimpleNamespace

import pytest

from flowq.embedded.patience import Patience


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which the test sets."""
    now = [100.0]
    monkeypatch.setattr("flowq.embedded.patience.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def test_it_is_over_when_its_seconds_are(clock: list[float]) -> None:
    waits = Patience(2.0)
    for _ in range(20):
        clock[0] += 0.0999
        assert not waits.over()
    clock[0] += 0.01
    assert waits.over()
    assert waits.over(), "and stays so"


def test_a_machine_that_stood_still_has_time_left(clock: list[float]) -> None:
    """Of 24 s without a look three count: what is waited for stood still as well."""
    waits = Patience(20.0)
    clock[0] += 24.0
    assert not waits.over()
    assert waits.left == 17.0
    for _ in range(5):
        clock[0] += 24.0
        assert not waits.over()
    clock[0] += 24.0
    assert waits.over()
