"""Keys and bounds of periods are Dagster's own, in zones that move their clocks at odd moments."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.assets.names import time_partitions
from ingest_assets.periods import EVERY, Periods, even_hours, fixed_offset, written

ZONES = (
    "UTC",
    "Europe/Amsterdam",
    "America/New_York",
    "America/Havana",  # an hour that begins at midnight comes twice
    "America/Santiago",  # a day that begins at one o'clock; 23:00 comes twice
    "Asia/Beirut",
    "Africa/Cairo",
    "Atlantic/Azores",
    "America/Nuuk",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Adelaide",
    "Pacific/Auckland",
    "Antarctica/Troll",  # its clock moves by two hours
)
_DAYS = st.dates(date(2023, 1, 1), date(2030, 12, 31))


def _moments() -> st.SearchStrategy[datetime]:
    return st.datetimes(datetime(2023, 2, 1), datetime(2031, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 -- above


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("every", EVERY)
def test_keys_and_bounds_of_a_year_are_those_of_dagster(every, zone):
    periods = Periods(every, date(2026, 1, 1), zone)
    theirs = time_partitions(periods, running=False)
    now = datetime(2027, 1, 2, 12, tzinfo=UTC)

    keys = theirs.get_partition_keys(current_time=now)

    assert keys == periods.between(periods.first, periods.last_ended(now))
    step = 1 if every != "hour" else 97
    for key in {*keys[::step], *(key for key in keys if len(key) > len("2026-01-01-00:00"))}:
        window = theirs.time_window_for_partition_key(key)
        assert [b.astimezone(UTC) for b in periods.bounds(key)] == [b.astimezone(UTC) for b in window]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(EVERY), _DAYS, st.sampled_from(ZONES), _moments())
def test_first_last_and_running_are_those_of_dagster(every, start, zone, now):
    periods = Periods(every, start, zone)
    running = [key for key in periods.running(now) if periods.holds(key)]

    with partition_loading_context(now):
        closed, ahead = (time_partitions(periods, running=flag) for flag in (False, True))

        assert closed.get_last_partition_key() == periods.last_ended(now)
        told = [*running] or first_told_too_early(periods, now)
        assert ahead.get_last_partition_key() == (told[-1] if told else None)
        assert ahead.get_first_partition_key() == (periods.first if told else None)


def first_told_too_early(periods, now):
    """Dagster takes the first period for the running one from the beginning of the period before it."""
    return [periods.first] if periods.next(periods.key(now)) == periods.first else []


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EVERY), st.sampled_from(ZONES), _moments())
def test_a_moment_lies_in_the_period_of_its_key(every, zone, moment):
    periods = Periods(every, date(2023, 1, 1), zone)

    lower, upper = periods.bounds(periods.key(moment))

    assert lower.astimezone(UTC) <= moment < upper.astimezone(UTC)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EVERY), st.sampled_from(ZONES), _DAYS)
def test_periods_follow_each_other_without_gap_or_overlap(every, zone, start):
    periods = Periods(every, start, zone)
    keys = [periods.first]
    for _ in range(60):
        keys.append(periods.next(keys[-1]))

    bounds = [[b.astimezone(UTC) for b in periods.bounds(key)] for key in keys]

    assert len(set(keys)) == len(keys)
    assert all(before[1] == after[0] for before, after in pairwise(bounds))
    assert keys == periods.between(keys[0], keys[-1])


@pytest.mark.parametrize(("zone", "day", "hours"), [("Europe/Amsterdam", "2026-03-29", 23), ("UTC", "2026-03-29", 24)])
def test_a_day_is_as_long_as_its_clock_makes_it(zone, day, hours):
    lower, upper = (b.astimezone(UTC) for b in Periods("day", date(2026, 1, 1), zone).bounds(day))

    assert upper - lower == timedelta(hours=hours)


def test_a_day_of_25_hours_has_25_hours():
    periods = Periods("hour", date(2026, 1, 1), "Europe/Amsterdam")

    keys = periods.between(*periods.span("2026-10-25"))

    assert len(keys) == 25
    assert keys[2:4] == ["2026-10-25-02:00", "2026-10-25-02:00+0100"]


def test_a_period_counts_as_ended_once_it_has_settled():
    periods = Periods("hour", date(2026, 1, 1))
    now = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)

    assert periods.last_ended(now) == "2026-01-05-11:00"
    assert periods.last_ended(now, timedelta(hours=2)) == "2026-01-05-09:00"
    assert periods.running(now) == ["2026-01-05-12:00"]
    assert periods.running(now, timedelta(hours=2)) == ["2026-01-05-10:00", "2026-01-05-11:00", "2026-01-05-12:00"]


def test_before_the_first_period_nothing_has_ended():
    periods = Periods("month", date(2026, 5, 17))

    assert periods.first == "2026-05-01"
    assert periods.last_ended(datetime(2026, 5, 31, tzinfo=UTC)) is None
    assert periods.running(datetime(2026, 4, 30, tzinfo=UTC)) == []


@pytest.mark.parametrize(
    ("every", "key"),
    [
        ("day", "2026-02-30"),
        ("day", "2026-01-01-00:00"),
        ("day", "01.02.2026"),
        ("hour", "2026-01-01"),
        ("hour", "2026-01-01-00:30"),
        ("hour", "2026-03-29-02:00"),  # the clock skips it
        ("hour", "2026-10-25-02:00+0200"),  # the first one is written without its offset
        ("week", "2026-01-06"),
        ("month", "2026-01-02"),
    ],
)
def test_what_is_no_key_is_refused(every, key):
    periods = Periods(every, date(2026, 1, 1), "Europe/Amsterdam")

    with pytest.raises(ValueError, match="is no"):
        periods.bounds(key)
    assert not periods.holds(key)


@pytest.mark.parametrize(
    ("every", "text", "span"),
    [
        ("hour", "2026-01-31-05:00", ("2026-01-31-05:00", "2026-01-31-05:00")),
        ("hour", "2026-01-31T05:30", ("2026-01-31-05:00", "2026-01-31-05:00")),
        ("hour", "2026-10-25-02:00+0100", ("2026-10-25-02:00+0100", "2026-10-25-02:00+0100")),
        ("hour", "2026-10-25T02:00+01:00", ("2026-10-25-02:00+0100", "2026-10-25-02:00+0100")),
        ("day", "2026-02", ("2026-02-01", "2026-02-28")),
        ("week", "2026-01-07", ("2026-01-05", "2026-01-05")),
        ("month", "2026-01-31", ("2026-01-01", "2026-01-01")),
    ],
)
def test_people_write_months_days_and_times(every, text, span):
    assert Periods(every, date(2025, 1, 1), "Europe/Amsterdam").span(text) == span


@pytest.mark.parametrize("text", ["yesterday", "2026-13", "2026-02-30", "2026-01-05:00", ""])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Periods("day", date(2026, 1, 1)).span(text)


def test_zones_that_move_by_half_an_hour_are_known():
    assert not even_hours("Australia/Lord_Howe", date(2026, 1, 1))
    assert all(even_hours(zone, date(2026, 1, 1)) for zone in ZONES)


def test_zones_that_never_move_are_known():
    assert [zone for zone in ZONES if fixed_offset(zone, date(2026, 1, 1))] == ["UTC", "Asia/Kolkata", "Asia/Kathmandu"]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("iso", "2026-03-29T00:00:00+01:00"),
        ("date", "2026-03-29"),
        ("unix", "1774738800"),
        ("unix_ms", "1774738800000"),
        ("%Y/%m/%d %H:%M %z", "2026/03/29 00:00 +0100"),
    ],
)
def test_a_bound_is_written_as_the_api_wants_it(form, text):
    first, _ = Periods("day", date(2026, 1, 1), "Europe/Amsterdam").bounds("2026-03-29")

    assert written(first, form) == text


@given(st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)), min_size=2))  # noqa: DTZ001 -- Hypothesis adds the zone
def test_unix_bounds_keep_the_order_of_time(moments):
    texts = [int(written(moment, "unix_ms")) for moment in sorted(moments)]

    assert all(one <= other for one, other in pairwise(texts))
