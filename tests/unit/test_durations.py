"""Durations: all forms, refused values, and formatting."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowq.durations import NEVER, format_duration, from_milliseconds, milliseconds, parse_duration
from flowq.exceptions import UsageError


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (15, 15), (0, 0), (1.5, 1.5), ("15", 15), ("90s", 90), ("5m", 300), ("1h", 3600), ("1h30m", 5400), ("2d", 172_800), ("1w2d", 777_600),
        ("250ms", 0.25), ("1m500ms", 60.5), ("1.5h", 5400), (" 3s ", 3), ("0", 0),
    ],
)  # fmt: skip
def test_forms(value: object, seconds: float) -> None:
    assert parse_duration(value) == seconds


@pytest.mark.parametrize(
    "value",
    ["", "s", "5 m", "5x", "m5", "30m1h", "1m1m", "1e3", "-5s", "--1", "½h", "5m ago", None, True, [], {}, -2, float("nan"), float("inf"),
     "9" * 400, 10**400, "99999999999d", "never", -1, "-1", "٣s"],
)  # fmt: skip
def test_refused(value: object) -> None:
    with pytest.raises(UsageError, match="expected a duration"):
        parse_duration(value)


@pytest.mark.parametrize("value", [-1, -1.0, "-1", "never"])
def test_never_is_accepted_if_allowed(value: object) -> None:
    assert parse_duration(value, never=True) == NEVER


@given(st.integers(0, 10**12).map(lambda millis: millis / 1000))
def test_formatted_durations_parse_to_the_same_value(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds)


def test_format() -> None:
    assert [format_duration(value) for value in (0, 90, 0.25, 5400, 90_061, NEVER)] == [
        "0s",
        "1m30s",
        "250ms",
        "1h30m",
        "1d1h1m1s",
        "never",
    ]


@pytest.mark.parametrize(
    ("seconds", "millis"), [(0, 0), (0.0001, 1), (0.0015, 2), (1.001, 1001), (0.29, 290), (180, 180_000), (NEVER, -1)]
)
def test_milliseconds(seconds: float, millis: int) -> None:
    assert milliseconds(seconds) == millis


@given(st.integers(-1, 10**14))
def test_what_is_stored_reads_back(millis: int) -> None:
    assert milliseconds(from_milliseconds(str(millis))) == millis
