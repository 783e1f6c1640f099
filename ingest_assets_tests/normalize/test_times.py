"""Written times: what they become, and that the quick reading agrees with the careful one."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.contract import Column, Contract
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry

READ = [
    ("iso", "UTC", '"2026-01-02T03:04:05Z"', "2026-01-02T03:04:05+00:00"),
    ("iso", "UTC", '"2026-01-02 03:04:05.1234567-05:30"', "2026-01-02T08:34:05.123456+00:00"),
    ("iso", "UTC", '"2026-01-02T03:04:05+0100"', "2026-01-02T02:04:05+00:00"),
    ("iso", "Europe/Zurich", '"2026-07-01T12:00:00"', "2026-07-01T10:00:00+00:00"),
    ("iso", "Europe/Zurich", '"2026-10-25T02:30:00"', "2026-10-25T00:30:00+00:00"),  # shown twice: the first
    ("iso", "Europe/Zurich", '"2026-03-29T02:30:00"', "2026-03-29T01:30:00+00:00"),  # never shown
    ("iso", "Europe/Zurich", '"2026-07-01"', "2026-06-30T22:00:00+00:00"),
    ("unix", "Europe/Zurich", "1767225600", "2026-01-01T00:00:00+00:00"),
    ("unix", "UTC", "1767225600.1234567", "2026-01-01T00:00:00.123456+00:00"),
    ("unix", "UTC", "-0.0000001", "1969-12-31T23:59:59.999999+00:00"),
    ("unix", "UTC", '"1767225600.5"', "2026-01-01T00:00:00.500000+00:00"),
    ("unix_ms", "UTC", "1767225600001", "2026-01-01T00:00:00.001000+00:00"),
    ("date", "Europe/Zurich", '"2026-07-01"', "2026-06-30T22:00:00+00:00"),
    ("%d.%m.%Y %H:%M", "Europe/Zurich", '"01.07.2026 12:00"', "2026-07-01T10:00:00+00:00"),
    ("%Y-%m-%dT%H:%M:%S%z", "Europe/Zurich", '"2026-07-01T12:00:00+0500"', "2026-07-01T07:00:00+00:00"),
]


@pytest.mark.parametrize(("pattern", "zone", "text", "instant"), READ)
def test_times_become_utc(column, pattern, zone, text, instant):
    contract = {"columns": {"v": {"type": "timestamptz", "format": pattern}}, "time_zone": zone}

    _, (value,) = column(text, **contract)

    assert value == datetime.fromisoformat(instant)


def test_dates_and_times_of_day_stay_what_they_are(normalized):
    columns = {"d": {"type": "date"}, "t": {"type": "time"}, "l": {"type": "timestamp"}}

    batch, _ = normalized({"d": "0044-03-15", "t": "23:59:59.5", "l": "2026-01-02T03:04:05"}, columns=columns)

    (row,) = batch.tables["things"].select(["d", "t", "l"]).to_pylist()
    assert [value.isoformat() for value in row.values()] == ["0044-03-15", "23:59:59.500000", "2026-01-02T03:04:05"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("text", ["2026-07-01T23:30:00-0500", "2026-07-01T00:30:00+0500"])
def test_a_date_of_a_moment_is_the_day_that_is_written(block, text, quick):
    contract = Contract(columns={"v": Column(type="date", format="%Y-%m-%dT%H:%M:%S%z")}, time_zone="Europe/Zurich")

    batch = Normalizer("things", contract, Registry.empty(), quick=quick).batch(block({"v": text}), 0)

    assert [day.isoformat() for day in batch.tables["things"]["v"].to_pylist()] == ["2026-07-01"]


MOMENTS = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(
        ["0000", "0001", "0999", "1000", "1582", "1969", "2024", "2026", "2999", "3000", "9999", "10000", "٢٠٢٦"]
    ),
    st.sampled_from(["00", "01", "02", "12", "13"]),
    st.sampled_from(["00", "01", "28", "29", "30", "31", "32"]),
    st.sampled_from(["T", " ", "t", "  "]),
    st.sampled_from(["00", "23", "24"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["00", "59", "60"]),
    st.sampled_from(["", ".1", ".123456", ".1234567", ",5", "."]),
    st.sampled_from(["Z", "z", "", "+00:00", "-23:59", "+24:00", "+05", "+0530", "+05:60"]),
)


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date"])
@settings(max_examples=150, deadline=None)
@given(text=MOMENTS | st.dates().map(str))
def test_the_quick_reading_of_a_time_is_the_careful_one(block, kind, text):
    contract = Contract(columns={"v": Column(type=kind)})
    known = Normalizer("things", contract, Registry.empty())
    known.batch(block({"w": 1}), 0)

    quick, careful = (
        Normalizer("things", contract, known.registry, quick=way).batch(block({"v": text}), 0) for way in (True, False)
    )

    assert quick == careful


def test_an_instant_is_stored_in_utc(column):
    _, (value,) = column('"2026-01-02T03:04:05+02:00"', columns={"v": {"type": "timestamptz"}})

    assert value.tzinfo is not None
    assert value == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
