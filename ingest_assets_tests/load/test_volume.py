"""What is an unusual number of records, and what is not."""

from datetime import UTC, date, datetime, timedelta
from statistics import median

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.load import schema
from ingest_assets.load.health import look, looks
from ingest_assets.load.looked import Looked
from ingest_assets.load.volume import _usual
from ingest_assets.source import Endpoint, Volume

FIRST = date(2026, 1, 5)  # a Monday
WINDOW = {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": FIRST}}
WEEK = [1000, 1040, 980, 1010, 990, 120, 0]


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        connection.execute("ATTACH ':memory:' AS w")
        schema.begun(connection)
        connection.execute("USE w")
        yield connection


def came(connection, number, records, *, key=None, begins=None, started, verdict="complete", aside=(0, 0)):
    """A fetch that was loaded; `aside` are its duplicates and those of the next partition."""
    connection.execute(
        "INSERT INTO _ingest.fetches (_fetch, source, endpoint, partition, from_time, started, loaded, verdict, "
        "received, duplicates, filtered) VALUES (?, 'shop', 'things', ?, ?, ?, ?, ?, ?, ?, ?)",
        [number, key, begins, started, started, verdict, records + sum(aside), *aside],
    )


def days(connection, counts, *, late=timedelta(hours=3), **more):
    """A fetch a day, on the morning after it; returns a moment after the last."""
    for number, records in enumerate(counts):
        begins = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC) + timedelta(days=number)
        fetched = begins + timedelta(days=1) + late
        came(connection, number + 1, records, key=f"{begins:%Y-%m-%d}", begins=begins, started=fetched, **more)
    return fetched + timedelta(hours=1)


def found(connection, now, **told):
    endpoint = Endpoint(**{"path": "/things", "primary_key": "id", **WINDOW, **told})
    return look("volume", Looked(connection, "shop", "things", endpoint, now))


def test_a_week_like_the_others_is_usual_also_on_its_days_of_rest(connection):
    now = days(connection, WEEK * 6)

    told = found(connection, now)

    assert told.problem == ""
    assert told.told == {"looked at": 7, "unusual": 0}


def test_a_day_far_from_the_same_weekdays_says_what_came_and_what_is_usual(connection):
    now = days(connection, [*WEEK * 5, 300])

    told = found(connection, now)

    assert told.problem == (
        "partition 2026-02-09 has 300 records, usual are 1,000 (the median of the 5 before it, each a Monday). Ask "
        "the API's people, or read it again: ingest run shop.things --partition 2026-02-09 --again"
    )
    assert not told.serious
    assert told.told["unusual"] == 1


@pytest.mark.parametrize(("last", "unusual"), [(0, 1), (1, 1), (499, 1), (501, 0), (1999, 0), (2100, 1), (50_000, 1)])
def test_half_and_twice_as_many_are_the_bounds_where_nothing_is_said(connection, last, unusual):
    now = days(connection, [*WEEK * 5, last])

    assert found(connection, now).told["unusual"] == unusual


@pytest.mark.parametrize(("volume", "unusual"), [({"least": 0.2}, 0), ({"least": 0.4}, 1), ({"history": 6}, 0)])
def test_the_bounds_can_be_set(connection, volume, unusual):
    now = days(connection, [*WEEK * 5, 300])

    assert found(connection, now, volume=volume).told["unusual"] == unusual


def test_no_records_where_there_always_were_some_are_unusual_however_few_these_are(connection):
    now = days(connection, [1] * 35 + [0])

    assert "has 0 records, usual are 1 (" in found(connection, now).problem


def test_no_records_where_that_has_happened_before_are_usual(connection):
    now = days(connection, [2, 1, 3, 0, 1, 2, 4] * 5 + [1, 2, 3, 0])

    assert found(connection, now).problem == ""


def test_what_chance_explains_is_usual(connection):
    now = days(connection, [9] * 35 + [3])

    assert found(connection, now).problem == ""


def test_one_odd_day_of_the_past_does_not_make_the_next_ones_odd(connection):
    now = days(connection, [*WEEK * 4, 100_000, *WEEK[1:], 1000])

    assert "2026-02-09" not in found(connection, now).problem


def test_without_enough_of_the_past_nothing_is_unusual(connection):
    now = days(connection, [1000] * 6 + [1])

    assert found(connection, now).told == {"looked at": 0, "unusual": 0}


def test_before_a_weekday_has_come_often_only_what_is_outside_of_all_is_unusual(connection):
    now = days(connection, [*WEEK, 5000, 400, 0])

    told = found(connection, now)

    assert told.problem.startswith("partition 2026-01-12 has 5,000 records, usual are 0 to 1,040 (the last 7, of any")
    assert told.told == {"looked at": 3, "unusual": 1}


def test_what_is_older_than_a_week_is_told_no_more_but_for_the_newest_partition(connection):
    now = days(connection, [*WEEK * 5, 300, *WEEK[1:]])

    soon, later = found(connection, now), found(connection, now + timedelta(days=2))

    assert "2026-02-09" in soon.problem
    assert later.problem == ""
    assert later.told["looked at"] > 0


def test_of_a_partition_that_was_fetched_again_the_newest_fetch_counts(connection):
    now = days(connection, [*WEEK * 5, 300])
    monday = datetime(2026, 2, 9, tzinfo=UTC)
    came(connection, 99, 1001, key="2026-02-09", begins=monday, started=now)

    assert found(connection, now + timedelta(hours=1)).problem == ""


def test_duplicates_and_records_of_the_next_partition_do_not_count(connection):
    now = days(connection, [*WEEK * 5, 300], aside=(400, 300))

    assert "has 300 records, usual are 1,000" in found(connection, now).problem


def test_what_is_not_complete_is_not_compared(connection):
    now = days(connection, WEEK * 5)
    began = datetime(2026, 2, 9, tzinfo=UTC)
    came(connection, 99, 3, key="2026-02-09", begins=began, started=now, verdict="open")

    assert found(connection, now).problem == ""


def test_each_account_is_compared_with_itself(connection):
    for account, usual, last in (("big", 1000, 1010), ("small", 50, 3)):
        for week in range(6):
            begins = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(weeks=week)
            key = f"{account}|{begins:%Y-%m-%d}"
            came(connection, week, last if week == 5 else usual, key=key, begins=begins, started=begins)
    by = {"every": "week", "start": FIRST, "by": {"account": ["big", "small"]}}
    column = {"account": {"type": "varchar", "from_partition": "account"}}

    told = found(
        connection,
        begins,
        partitions=by,
        params={"a": "{account}"},
        columns=column,
        primary_key=["account", "id"],
    )

    assert "partition small|2026-02-09 has 3 records, usual are 50 (the median of the 5 before it)" in told.problem
    assert told.told["unusual"] == 1


def test_an_hour_is_compared_with_the_same_hour_of_the_same_weekday(connection):
    begins = datetime(2026, 1, 5, tzinfo=UTC)
    for number in range(24 * 7 * 5 + 1):
        at = begins + timedelta(hours=number)
        usual = 1000 if at.hour == 0 else 10
        came(
            connection, number, 10 if number == 24 * 7 * 5 else usual, key=f"{at:%Y-%m-%d-%H:%M}", begins=at, started=at
        )

    told = found(connection, at, partitions={"every": "hour", "start": FIRST})

    assert "usual are 1,000 (the median of the 5 before it, each a Monday 00:00)" in told.problem


def test_a_listing_is_compared_with_its_earlier_fetches(connection):
    start = datetime(2026, 1, 5, tzinfo=UTC)
    for number, records in enumerate([500, 501, 3, 502, 505, 507, 0]):
        came(connection, number, records, started=start + timedelta(days=number))

    told = found(connection, start + timedelta(days=7), window=None, partitions=None)

    assert "it has 0 records, usual are 502 (the median of the 6 before it)" in told.problem
    assert told.told == {"looked at": 1, "unusual": 1}


@given(st.lists(st.integers(0, 10**9), min_size=4, max_size=30), st.integers(0, 10**9))
def test_the_median_itself_is_never_unusual_and_less_is_never_usual_again(alike, records):
    usual = _usual(alike, alike, Volume(), "")

    assert usual is not None
    assert not usual.is_unusual(round(median(alike[-8:])), Volume()) or median(alike[-8:]) < 1
    if records < usual.low and usual.is_unusual(records, Volume()):
        assert all(usual.is_unusual(fewer, Volume()) for fewer in (records // 2, records - 1) if fewer >= 0)


@pytest.mark.parametrize(
    ("told", "there"),
    [
        ({}, True),
        ({"volume": False}, False),
        ({"window": None, "partitions": None}, True),
        ({"window": None, "partitions": None, "feed": {"from": "a", "start": FIRST, "position": "at"}}, False),
    ],
)
def test_what_has_no_usual_number_or_shall_not_be_looked_at_has_no_such_check(told, there):
    endpoint = Endpoint(path="/things", primary_key="id", **{**WINDOW, **told})

    assert ("volume" in looks(endpoint)) == there


@pytest.mark.parametrize(("least", "most", "message"), [(1.0, 2.0, "less than 1"), (0.5, 1.0, "greater than 1")])
def test_bounds_that_call_the_usual_unusual_are_refused(least, most, message):
    with pytest.raises(ValueError, match=message):
        Endpoint(path="/things", primary_key="id", volume={"least": least, "most": most})


def test_a_history_that_the_median_never_has_is_refused():
    with pytest.raises(ValueError, match="history is 9 and of is 8: the median is never of so many"):
        Endpoint(path="/things", primary_key="id", volume={"history": 9})
