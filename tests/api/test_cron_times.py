"""The times at which an entry is due, compared with an oracle that visits every minute, above all where clocks change."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowq.exceptions import UsageError
from flowq.slots.schedule import CronExpression, Interval
from flowq.slots.timezones import LOCAL, name_of, named

BERLIN = ZoneInfo("Europe/Berlin")  # 2026: on 29 March 02:00 becomes 03:00, on 25 October 03:00 becomes 02:00
NEW_YORK = ZoneInfo("America/New_York")  # 2026: on 8 March 02:00 becomes 03:00, on 1 November 02:00 becomes 01:00
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # changes by half an hour
MINUTE = 60_000
DAY = 24 * 60 * MINUTE


def millis(when: datetime) -> int:
    return int(when.timestamp() * 1000)


def slots(text: str, zone: tzinfo | None, start: datetime, count: int) -> list[str]:
    """Return the next slots after a time, as local times with their offset."""
    expression, at, found = CronExpression.of(text, zone), millis(start), []
    for _ in range(count):
        coming = expression.next_slot(at, at)
        assert coming is not None
        assert coming > at
        at = coming
        found.append(datetime.fromtimestamp(at / 1000, UTC).astimezone(zone or BERLIN).strftime("%d. %H:%M:%S%z"))
    return found


SPRING = datetime(2026, 3, 28, 12, tzinfo=BERLIN)
AUTUMN = datetime(2026, 10, 24, 12, tzinfo=BERLIN)

CHANGES = [
    # a fixed time is due once a day: right after a skipped hour, at its first occurrence in a repeated hour
    ("30 2 * * *", SPRING, ["29. 03:00:00+0200", "30. 02:30:00+0200"]),
    ("30 2 * * *", AUTUMN, ["25. 02:30:00+0200", "26. 02:30:00+0100"]),
    ("30 2 * * * 15", SPRING, ["29. 03:00:15+0200", "30. 02:30:15+0200"]),  # the seconds come last
    ("30 2 * * * 15", AUTUMN, ["25. 02:30:15+0200", "26. 02:30:15+0100"]),
    ("0 3 * * *", SPRING, ["29. 03:00:00+0200", "30. 03:00:00+0200"]),
    ("0 3 * * *", AUTUMN, ["25. 03:00:00+0100", "26. 03:00:00+0100"]),
    ("@daily", SPRING, ["29. 00:00:00+0100", "30. 00:00:00+0200"]),
    ("15,45 2 * * *", SPRING, ["29. 03:00:00+0200", "30. 02:15:00+0200"]),  # both were skipped: once
    ("15,45 2 * * *", AUTUMN, ["25. 02:15:00+0200", "25. 02:45:00+0200", "26. 02:15:00+0100"]),
]


@pytest.mark.parametrize(("text", "start", "wanted"), CHANGES)
def test_a_fixed_time_happens_once_where_clocks_are_changed(text: str, start: datetime, wanted: list[str]) -> None:
    assert slots(text, BERLIN, start, len(wanted)) == wanted


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("text", ["*/20 * * * *", "7 * * * *", "* * * * *"])
def test_what_happens_every_hour_goes_on_with_real_time(text: str, day: datetime) -> None:
    expression, at, times = CronExpression.of(text, BERLIN), millis(day), []
    while at < millis(day) + DAY:
        at = expression.next_slot(at, at) or 0
        times.append(at)
    steps = {late - early for early, late in pairwise(times)}
    assert len(steps) == 1, "an hour was left out, or happened twice as often"


def test_the_local_zone_is_that_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for zone in ("Europe/Berlin", "CET-1CEST,M3.5.0,M10.5.0/3"):  # by name, and in the form without a name
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        for text, start, wanted in CHANGES:
            assert slots(text, None, start, len(wanted)) == wanted
    monkeypatch.undo()
    time.tzset()
    assert name_of(LOCAL) == "local"
    assert named(name_of(BERLIN)) == BERLIN


# -- against every minute of some days -----------------------------------------------------------------------------------------


def local_minutes(zone: tzinfo, start: int, end: int) -> Iterator[tuple[int, datetime]]:
    for at in range(start - start % MINUTE, end, MINUTE):
        yield at, datetime.fromtimestamp(at / 1000, UTC).astimezone(zone)


def written_down(minutes: set[int], hours: set[int], zone: tzinfo, start: int, end: int) -> list[int]:
    """Return the times of a fixed minute and hour by visiting every minute: an oracle without arithmetic on zones."""
    found, before = [], None
    for at, local in local_minutes(zone, start - DAY, end):
        naive = local.replace(tzinfo=None)
        if before is not None and naive - before > timedelta(minutes=1):  # a gap: times in it are due now, once
            skipped = before + timedelta(minutes=1)
            while skipped < naive:
                if skipped.hour in hours and skipped.minute in minutes and at not in found:
                    found.append(at)
                skipped += timedelta(minutes=1)
        repeated = local.fold == 1
        if naive.hour in hours and naive.minute in minutes and not repeated and at not in found:
            found.append(at)
        before = naive
    return [at for at in found if start < at < end]


ZONES = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, ZoneInfo("Asia/Kolkata"), ZoneInfo("UTC")])
CHANGING = st.sampled_from(
    [
        datetime(2026, 3, 29, tzinfo=UTC),
        datetime(2026, 10, 25, tzinfo=UTC),
        datetime(2026, 3, 8, tzinfo=UTC),
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 4, 4, 12, tzinfo=UTC),
        datetime(2026, 10, 3, 12, tzinfo=UTC),
    ]
)


@given(
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=3),
    hours=st.sets(st.integers(0, 23), min_size=1, max_size=3),
    zone=ZONES,
    day=CHANGING,
    offset=st.integers(-12 * 60, 12 * 60),
)
@settings(max_examples=150, deadline=None)
def test_fixed_times_are_those_of_the_wall_clock(
    minutes: set[int], hours: set[int], zone: ZoneInfo, day: datetime, offset: int
) -> None:
    start = millis(day) + offset * MINUTE
    end = start + 2 * DAY
    text = f"{','.join(map(str, sorted(minutes)))} {','.join(map(str, sorted(hours)))} * * *"
    expression, at, found = CronExpression.of(text, zone), start, []
    while (coming := expression.next_slot(at, at)) is not None and coming < end:
        found.append(coming)
        at = coming
    assert found == written_down(minutes, hours, zone, start, end)


@given(
    text=st.sampled_from(
        ["*/7 * * * *", "5 */3 * * *", "30 2 * * *", "0 0 1 * *", "* * * * * */20", "0 12 * * MON", "@hourly"]
    ),
    zone=ZONES,
    day=CHANGING,
    past=st.integers(0, 40 * 24 * 60),
    offset=st.integers(-DAY, DAY),
)
@settings(max_examples=150, deadline=None)
def test_the_missed_slot_is_the_last_of_the_next_slots(
    text: str, zone: ZoneInfo, day: datetime, past: int, offset: int
) -> None:
    expression = CronExpression.of(text, zone)
    now = millis(day) + offset
    after = now - past * MINUTE
    missed = expression.missed_slot(after, now)
    coming = expression.next_slot(after, after)
    assert coming is not None
    if missed is None:
        assert coming > now
    else:
        assert after < missed <= now
        following = expression.next_slot(missed, missed)
        assert following is not None
        assert following > now


def test_looking_back_over_years_is_fast() -> None:
    started = time.monotonic()
    now = millis(datetime(2026, 7, 1, tzinfo=UTC))
    assert CronExpression.of("* * * * * *", BERLIN).missed_slot(0, now) == now
    leap = CronExpression.of("0 0 29 2 *", BERLIN).missed_slot(0, now)
    assert leap == millis(datetime(2024, 2, 29, tzinfo=BERLIN))
    assert time.monotonic() - started < 1


# -- intervals -----------------------------------------------------------------------------------------------------------------


def test_an_interval_is_due_at_once_and_then_keeps_its_steps() -> None:
    interval = Interval.of("5m")
    assert interval.missed_slot(None, 1_000_000) == 1_000_000
    assert interval.missed_slot(1_000_000, 1_000_000 + 5 * MINUTE - 1) is None
    assert interval.missed_slot(1_000_000, 1_000_000 + 5 * MINUTE) == 1_000_000 + 5 * MINUTE
    assert interval.missed_slot(1_000_000, 1_000_000 + 17 * MINUTE) == 1_000_000 + 15 * MINUTE  # the latest of three
    assert interval.next_slot(1_000_000, 1_000_000 + 17 * MINUTE) == 1_000_000 + 20 * MINUTE
    assert interval.next_slot(1_000_000, 999_000) == 1_000_000 + 5 * MINUTE  # the server's clock was set back


# -- invalid values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("61 * * * *", "wrong minute in '61 * * * *'"),
        ("* 24 * * *", "wrong hour"),
        ("0 0 30 2 *", "wrong day-of-month"),
        ("0 0 * * 8", "wrong day-of-week"),
        ("* * * *", "found 4"),
        ("* * * * * * *", "found 7"),
        ("* * * * * 61", "wrong second"),
        ("@reboot", "there is no '@reboot', expected one of @yearly"),
        ("", "expected an expression"),
        (5, "expected an expression"),
    ],
)
def test_a_wrong_expression_is_reported_in_a_sentence(text: object, said: str) -> None:
    with pytest.raises(UsageError, match=said.replace("*", r"\*")):
        CronExpression.of(text)


def test_a_wrong_zone_and_a_wrong_interval_are_reported_in_sentences() -> None:
    with pytest.raises(UsageError, match="there is no time zone 'Europe/Berlim' here"):
        named("Europe/Berlim")
    for name in ("../etc/passwd", "", "a/" * 1000 + "b", "a/" * 50 + "b"):
        with pytest.raises(UsageError, match="there is no time zone") as error:
            named(name)
        assert len(str(error.value)) < 200
    for value in (-1, 0, "soon", 0.01):
        with pytest.raises(UsageError, match="interval: expected"):
            Interval.of(value)


def test_the_words_of_rq() -> None:
    """Names of months and days, lists, steps, the last day of a month, the n-th weekday."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    zone = ZoneInfo("UTC")
    assert slots("0 9 * * MON-FRI", zone, start, 2) == ["01. 09:00:00+0000", "02. 09:00:00+0000"]
    assert slots("0 0 L * *", zone, start, 2) == ["31. 00:00:00+0000", "28. 00:00:00+0000"]
    assert slots("0 0 * * FRI#2", zone, start, 2) == ["09. 00:00:00+0000", "13. 00:00:00+0000"]
    assert list(islice(slots("0 0 1 JAN,JUL *", zone, start, 2), 1)) == ["01. 00:00:00+0000"]
