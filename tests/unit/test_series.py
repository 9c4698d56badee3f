"""The slots of schedule entries: a table of nights on which clocks are changed, and an oracle that visits every minute around each change."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from flowq.exceptions import UsageError
from flowq.slots.series import Series, jitter_of, slot_id

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def millis(local: str, zone: str = "UTC") -> int:
    return round(datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def shown(slots: Iterator[int], zone: str) -> list[str]:
    return [datetime.fromtimestamp(slot / 1000, UTC).astimezone(ZoneInfo(zone)).strftime("%d %H:%M%z")[:-2] for slot in slots]


# -- nights on which clocks are changed ----------------------------------------------------------------------------------------

NIGHTS = [
    # a skipped time is made up right after, a repeated one is due at its first occurrence
    ("Europe/Berlin", "30 2 * * *", "2026-03-28T12:00", ["29 03:00+02", "30 02:30+02"]),
    ("Europe/Berlin", "30 2 * * *", "2026-10-24T12:00", ["25 02:30+02", "26 02:30+01"]),
    ("Europe/Berlin", "0 1-4 * * *", "2026-03-29T01:30", ["29 03:00+02", "29 04:00+02"]),  # 02:00 and 03:00 are one slot
    ("Europe/Berlin", "0 3 * * *", "2026-10-25T00:00", ["25 03:00+01", "26 03:00+01"]),
    ("America/New_York", "30 1 * * *", "2026-11-01T00:00", ["01 01:30-04", "02 01:30-05"]),
    ("America/Chicago", "0 0,2 * * *", "2026-03-07T23:00", ["08 00:00-06", "08 03:00-05", "09 00:00-05"]),
    ("America/Santiago", "0 0 * * *", "2026-09-05T12:00", ["06 01:00-03", "07 00:00-03"]),  # midnight itself is skipped
    ("Africa/Cairo", "@daily", "2026-04-23T12:00", ["24 01:00+03", "25 00:00+03"]),
    ("Africa/Casablanca", "30 2 * * *", "2026-02-14T00:00", ["14 02:30+01", "15 02:30+01", "16 02:30+00"]),
    ("Antarctica/Troll", "30 1,2 * * *", "2026-03-29T00:00", ["29 03:00+02", "30 01:30+02"]),  # two hours at once
    # what happens every hour, or every few minutes, goes on with real time
    ("Europe/Berlin", "0 * * * *", "2026-10-25T01:30", ["25 02:00+02", "25 02:00+01", "25 03:00+01"]),
    ("Europe/Berlin", "0 * * * *", "2026-03-29T01:30", ["29 03:00+02", "29 04:00+02"]),
    ("Europe/Berlin", "*/30 2 * * *", "2026-03-29T00:00", ["30 02:00+02", "30 02:30+02"]),
    ("Europe/Berlin", "* * * * * */30", "2026-10-25T02:59", ["25 02:59+02", "25 02:00+01", "25 02:00+01"]),
    # half an hour
    ("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T12:00", ["04 02:30+11", "05 02:15+11"]),
    ("Australia/Lord_Howe", "31 * * * *", "2026-10-04T01:00", ["04 01:31+10", "04 02:31+11", "04 03:31+11"]),
    ("Australia/Lord_Howe", "31 * * * *", "2026-04-05T01:00", ["05 01:31+11", "05 01:31+10", "05 02:31+10"]),
    ("Australia/Lord_Howe", "*/30 */12 * * *", "2026-04-05T01:00", ["05 12:00+10", "05 12:30+10", "06 00:00+10"]),
    # a day that Samoa left out
    ("Pacific/Apia", "0 12 29,30,31 12 *", "2011-12-29T00:00", ["29 12:00-10", "31 00:00+14", "31 12:00+14"]),
]


@pytest.mark.parametrize(("zone", "cron", "start", "wanted"), NIGHTS)
def test_nights_on_which_clocks_are_changed(zone: str, cron: str, start: str, wanted: list[str]) -> None:
    first = millis(start, zone) + 1
    found = shown(islice(Series(cron=(cron,), timezone=zone).between(first, first + 400 * DAY), len(wanted)), zone)
    assert found == wanted


def test_leap_days() -> None:
    series, slot, years = Series(cron=("0 0 29 2 *",), timezone="Europe/Berlin"), millis("2026-01-01"), []
    for _ in range(2):
        slot = series.after(slot) or 0
        years.append(datetime.fromtimestamp(slot / 1000, ZoneInfo("Europe/Berlin")).year)
    assert years == [2028, 2032]


# -- every minute around every change of clocks of ten years ---------------------------------------------------------------------


@cache
def changes(zone: str) -> tuple[int, ...]:
    """The times, from 2020 to 2030, at which the clocks of a zone are changed, found by looking at every day, then at every minute."""
    found, info = [], ZoneInfo(zone)
    days = [datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=number) for number in range(11 * 366)]
    offsets = [day.astimezone(info).utcoffset() for day in days]
    for day, before, after in zip(days, offsets, offsets[1:], strict=False):
        if before != after:
            minutes = (day + timedelta(minutes=number) for number in range(24 * 60 + 1))
            found.append(next(round(at.timestamp() * 1000) for at in minutes if at.astimezone(info).utcoffset() != before))
    return tuple(found)


def has_seasons(zone: str) -> bool:
    quarters = (datetime(year, month, 2, tzinfo=UTC) for year in range(2020, 2031) for month in (1, 4, 7, 10))
    return len({quarter.astimezone(ZoneInfo(zone)).utcoffset() for quarter in quarters}) > 1


CHANGING = sorted(filter(has_seasons, available_timezones()))
ODD = ["Australia/Lord_Howe", "Antarctica/Troll", "Africa/Casablanca", "Africa/Cairo", "America/Santiago", "America/Havana"]
BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


def values(text: str, low: int, high: int) -> set[int]:
    """The values of one field, by its definition."""
    found: set[int] = set()
    for term in text.split(","):
        span, _, step = term.partition("/")
        first, _, last = ("*" if span == "*" else span).partition("-")
        begin, end = (low, high) if first == "*" else (int(first), int(last or first))
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def by_the_minute(cron: str, zone: str, first: int, end: int) -> list[int]:
    """The slots in [first, end), by looking at the clock on the wall in every minute, as Debian's cron does."""
    texts, info = cron.split(), ZoneInfo(zone)
    minutes, hours, days, months, weekdays = (values(text, *bounds) for text, bounds in zip(texts, BOUNDS, strict=True))
    either = not texts[2].startswith("*") and not texts[4].startswith("*")
    real_time = texts[0].startswith("*") or texts[1].startswith("*")

    def is_meant(local: datetime) -> bool:
        of_month, of_week = local.day in days, local.isoweekday() % 7 in weekdays
        day = of_month or of_week if either else of_month and of_week
        return local.minute in minutes and local.hour in hours and local.month in months and day

    found, before = set(), None
    for at in range(first - 2 * DAY, end, MINUTE):
        local = datetime.fromtimestamp(at / 1000, UTC).astimezone(info)
        naive = local.replace(tzinfo=None, fold=0)
        if is_meant(naive) and (real_time or not local.fold):
            found.add(at)
        while before is not None and not real_time and before + timedelta(minutes=1) < naive:  # skipped: made up now
            before += timedelta(minutes=1)
            if is_meant(before):
                found.add(at)
        before = naive
    return sorted(at for at in found if at >= first)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(st.integers(low, high - 1), number).map(lambda pair: f"{pair[0]}-{max(pair[1], pair[0] + 1)}")
    stepped = st.tuples(st.one_of(st.just("*"), span), st.integers(1, 15)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    some = st.lists(st.one_of(number.map(str), span), min_size=1, max_size=3).map(",".join)
    return st.one_of(st.just("*"), stepped, some)


DAYS = st.one_of(st.just("* * *"), st.tuples(*(field(*bounds) for bounds in BOUNDS[2:])).map(" ".join))
CRON = st.tuples(field(*BOUNDS[0]), field(*BOUNDS[1]), DAYS).map(" ".join)
ZONES = st.one_of(st.sampled_from(ODD), st.sampled_from(CHANGING))


@given(data=st.data(), cron=CRON, zone=ZONES, before=st.integers(0, 36 * 60))
@settings(max_examples=120, deadline=None)
def test_the_slots_are_those_of_the_clock_on_the_wall(data: st.DataObject, cron: str, zone: str, before: int) -> None:
    first = data.draw(st.sampled_from(changes(zone))) - before * MINUTE
    end = first + 2 * DAY
    assert slots_of(cron, zone, first, end) == by_the_minute(cron, zone, first, end)


def slots_of(cron: str, zone: str, first: int, end: int) -> list[int]:
    try:
        return list(Series(cron=(cron,), timezone=zone).between(first, end))
    except UsageError:  # such as 30 February
        assume(False)
        raise


# -- what holds for all series ---------------------------------------------------------------------------------------------------

SERIES = st.one_of(
    st.builds(Series, cron=st.lists(CRON, min_size=1, max_size=2).map(tuple), timezone=ZONES),
    st.builds(
        Series,
        every=st.integers(1000, 3 * DAY),
        timezone=ZONES,
        start=st.sampled_from([None, "2026-03-01", "2026-03-29T02:30", "2031-01-01"]),
    ),
    st.builds(Series, at=st.just(("2026-03-29T02:30", "2026-10-25T02:30", "2026-03-29T02:30", "2026-12-24")), timezone=ZONES),
)


@given(series=SERIES, start=st.integers(millis("2026-01-01"), millis("2027-01-01")), split=st.integers(0, 3 * DAY))
@settings(max_examples=150, deadline=None)
def test_a_series_goes_on_in_the_same_way_wherever_it_is_taken_up(series: Series, start: int, split: int) -> None:
    end = start + 3 * DAY
    try:
        whole = list(islice(series.between(start, end), 3000))
    except UsageError:
        assume(False)
        raise
    end = whole[-1] + 1 if len(whole) == 3000 else end
    middle = min(start + split, end)
    assert all(early < late for early, late in pairwise(whole))
    assert [*series.between(start, middle), *series.between(middle, end)] == whole
    assert series.after(middle - 1) == next((slot for slot in whole if slot >= middle), series.after(end - 1))
    assert series.last(start - 1, middle) == next((slot for slot in reversed(whole) if slot <= middle), None)
    assert series.last(middle, middle) is None


def test_several_expressions_are_one_series() -> None:
    series = Series(cron=("0 6 * * *", "0 18 * * *", "0 6 * * MON"), timezone="Europe/Berlin")
    day = millis("2026-06-01", "Europe/Berlin")
    assert shown(series.between(day, day + DAY), "Europe/Berlin") == ["01 06:00+02", "01 18:00+02"]  # a Monday: once


def test_every_counts_in_real_time_from_the_start() -> None:
    series = Series(every=90 * MINUTE, timezone="Europe/Berlin", start="2026-03-29T01:00", end="2026-03-29T06:00")
    assert shown(series.between(0, millis("2027-01-01")), "Europe/Berlin") == ["29 01:00+01", "29 03:30+02", "29 05:00+02"]
    assert series.after(millis("2026-03-29T05:00", "Europe/Berlin")) is None
    assert series.last(0, millis("2027-01-01")) == millis("2026-03-29T05:00", "Europe/Berlin")
    hourly = Series(every=HOUR, timezone="Asia/Kolkata")  # from 1970-01-01T00:00 of the zone, that is at :30 UTC
    assert hourly.after(millis("2026-01-01")) == millis("2026-01-01T00:30")


def test_start_and_end_bound_every_kind() -> None:
    days = ("2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04")
    for kind in (Series(cron=("0 0 * * *",)), Series(every=DAY), Series(at=days)):
        series = replace(kind, timezone="Asia/Tokyo", start=days[1], end=days[3])
        assert shown(series.between(0, millis("2030-01-01")), "Asia/Tokyo") == ["02 00:00+09", "03 00:00+09"]
        assert shown(iter([series.last(0, millis("2030-01-01")) or 0]), "Asia/Tokyo") == ["03 00:00+09"]
        assert series.last(0, millis("2026-05-02", "Asia/Tokyo") - 1) is None


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_ends_of_time(zone: str) -> None:
    now = millis("2026-01-01")
    assert Series(every=HOUR, start="0001-01-01", timezone=zone).after(now) is not None
    for kind in (Series(cron=("0 6 * * *",), timezone=zone), Series(every=DAY, timezone=zone)):
        for series in (replace(kind, start="9999-12-31"), replace(kind, end="0001-01-01")):
            assert series.after(now) is None
            assert series.last(0, now) is None
    assert Series(at=("9999-12-31T23:59",), timezone=zone).after(now) is None


def test_the_definition_changes_with_what_decides_on_slots_alone() -> None:
    plain = Series(cron=("0 6 * * *",))
    others = [
        Series(cron=("0 7 * * *",)),
        Series(every=DAY),
        Series(at=("2026-01-01",)),
        Series(cron=("0 6 * * *",), timezone="Asia/Tokyo"),
        Series(cron=("0 6 * * *",), start="2026-01-01"),
        Series(cron=("0 6 * * *",), end="2026-01-01"),
    ]
    found = [series.definition() for series in [plain, *others]] + [plain.definition(1000)]
    assert len(set(found)) == len(found)
    assert plain.definition() == Series(cron=("0 6 * * *",)).definition()


def test_jitter_and_ids_are_the_same_everywhere() -> None:
    slots = range(0, 1000 * HOUR, HOUR)
    late = [jitter_of("flows/nightly:eu", slot, 5 * MINUTE) for slot in slots]
    assert late == [jitter_of("flows/nightly:eu", slot, 5 * MINUTE) for slot in slots]
    assert min(late) >= 0
    assert max(late) < 5 * MINUTE
    assert sum(late) / len(late) == pytest.approx(2.5 * MINUTE, rel=0.1)
    assert jitter_of("flows/nightly:eu", 0, 0) == 0
    ids = {slot_id(schedule, str(slot), salt) for schedule in ("a:b", "a:c") for slot in slots for salt in ("", "again")}
    assert len(ids) == 4 * len(slots)
    assert slot_id("flows/nightly:eu", "1767225600000") == "4c7vabmq962e"
    assert slot_id("a", "b\n") != slot_id("a\nb", "")
