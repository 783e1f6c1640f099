"""Collections that come newest first: where a walk of a window ends, and that nothing of the window is lost."""

import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import TransientFailure, WalkIncomplete
from ingest_assets.line import Line

LONG = "INGEST_LONG" in os.environ
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
NEWEST = {
    "window": {"stop_at": "at"},
    "partitions": {"every": "day", "start": "2026-03-01"},
    "columns": {"at": {"type": "timestamptz", "required": True}},
    "changes": "immutable",
}


def at(hours):
    return (FIRST + timedelta(hours=hours)).isoformat()


def paged(*pages):
    """Pages of records by their hours since the first of March, one page naming the next."""
    ids = iter(range(10_000))
    data = [[{"id": next(ids), "at": at(hour)} for hour in hours] for hours in pages]
    return [{"data": d, "next": str(n + 1) if n + 1 < len(data) else None} for n, d in enumerate(data)]


def of_day(pages, day):
    """The records of a day, by id."""
    lower, upper = (FIRST + timedelta(days=n) for n in (day, day + 1))
    found = (record for page in pages for record in page["data"])
    return [r["id"] for r in found if lower <= datetime.fromisoformat(r["at"]) < upper]


def walk(lab, day, **more):
    return lab.walk({**NEWEST, **more}, partition=f"2026-03-{day + 1:02}")


def ended(lab):
    end = lab.stored()[-1].manifest.ended
    return end.verdict, end.reason


def test_a_walk_ends_with_the_first_page_that_is_older_than_its_window(lab, api):
    pages = paged([70, 60], [50, 47], [30, 24], [24, 23], [22, 20], [10, 5], [4, 3])
    api.pages(*pages)

    snapshot = lab.fetch(walk(lab, 1))

    assert ended(lab) == ("complete", "bound_passed")
    assert len(snapshot.pages) == 5
    assert {r["id"] for r in lab.records(snapshot)} >= set(of_day(pages, 1))


def test_records_at_the_very_bound_do_not_end_it(lab, api):
    pages = paged([30, 24], [24, 24], [24, 24], [24, 23], [23, 22], [21, 20])
    api.pages(*pages)

    snapshot = lab.fetch(walk(lab, 1))

    assert len(snapshot.pages) == 5
    assert {r["id"] for r in lab.records(snapshot)} >= set(of_day(pages, 1))


def test_an_old_record_among_the_new_does_not_end_it(lab, api):
    pages = paged([2, 40, 39], [38, 1, 37], [30, 25], [20, 19], [18, 17])
    api.pages(*pages)

    snapshot = lab.fetch(walk(lab, 1))

    assert len(snapshot.pages) == 4
    assert {r["id"] for r in lab.records(snapshot)} >= set(of_day(pages, 1))


def test_a_collection_that_ends_before_its_window_does_is_complete(lab, api):
    api.pages(*paged([40, 30], [26, 25]))

    lab.fetch(walk(lab, 1))

    assert ended(lab) == ("complete", "no_next")


def test_a_collection_that_comes_oldest_first_is_read_to_its_end(lab, api):
    api.pages(*paged([0, 1], [2, 3], [20, 30], [40, 50]))

    snapshot = lab.fetch(walk(lab, 1))

    assert ended(lab) == ("complete", "no_next")
    assert len(snapshot.pages) == 4


@pytest.mark.parametrize("pages", [([30, 29], [40, 39], [12, 11], [36, 35]), ([3, 3], [5, 4], [30, 29])])
def test_where_older_records_come_before_newer_ones_no_end_is_believed(lab, api, pages):
    api.pages(*paged(*pages))

    with pytest.raises(WalkIncomplete, match="stop_at: page 1 holds a record newer than all of the page before it"):
        lab.fetch(walk(lab, 1))

    assert ended(lab)[0] == "failed"


def test_a_page_of_one_old_record_proves_no_order_and_the_next_page_is_asked_for(lab, api):
    api.pages(*paged([5], [40], [30], [10], [9]))

    with pytest.raises(WalkIncomplete, match="page 1 holds a record newer"):
        lab.fetch(walk(lab, 1))


def test_a_column_that_no_record_has_is_a_failure_that_names_it(lab, api):
    api.pages({"data": [{"id": 1, "created": at(30)}], "next": "1"})

    with pytest.raises(WalkIncomplete, match="stop_at: page 0 has records, and none has a time of column 'at'"):
        lab.fetch(walk(lab, 1))


def test_a_total_of_all_there_is_does_not_make_it_incomplete(lab, api):
    pages = [page | {"total": 8} for page in paged([40, 30], [25, 24], [20, 19], [18, 17])]
    api.pages(*pages)

    lab.fetch(walk(lab, 1, total="total"))

    assert ended(lab) == ("complete", "bound_passed")
    assert lab.stored()[-1].manifest.ended.expected is None


def test_a_walk_that_rests_goes_on_and_ends_where_it_would_have(lab, api, answer):
    pages = paged([40, 30], [29, 25], [24, 20], [19, 18], [17, 16])
    api.pages(*pages[:2], *[answer({}, status=503, headers={"Retry-After": "0"})] * 3)
    with pytest.raises(TransientFailure):
        lab.fetch(walk(lab, 1), attempts=1)
    api.pages(*pages)

    snapshot = lab.fetch(walk(lab, 1))

    assert ended(lab) == ("complete", "bound_passed")
    assert [entry.number for entry in snapshot.pages] == [0, 1, 2, 3]


def test_an_upper_bound_may_be_asked_for(lab, api):
    api.pages(*paged([30, 25], [20, 19]))

    lab.fetch(walk(lab, 1, window={"stop_at": "at", "until": "before"}))

    assert api.asked[0] == {"before": "2026-03-03T00:00:00Z"}


def test_what_is_outside_of_a_window_is_filtered_and_all_days_together_have_all(lab, api, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    pages = paged([71, 60], [50, 48], [47, 40], [24, 24], [23, 20], [12, 1], [0, 0])
    api.pages(*pages)
    line = Line(lab.source(NEWEST), lab.folder, now=lambda: lab.now)

    accounts = []
    for day in (0, 1, 2):
        key = f"2026-03-{day + 1:02}"
        line.fetch("things", key)
        (loaded,) = line.load("things", key)
        accounts.append((loaded.account.received, loaded.account.inserted, loaded.account.filtered))
        assert loaded.account.adds_up

    assert accounts == [(14, 6, 8), (10, 4, 6), (6, 4, 2)]
    assert [inserted for _, inserted, _ in accounts] == [len(of_day(pages, day)) for day in (0, 1, 2)]


@settings(max_examples=300 if LONG else 10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.lists(st.integers(0, 71), max_size=20),
    sizes=st.lists(st.integers(1, 4), min_size=20, max_size=20),
    day=st.integers(0, 2),
    random=st.randoms(use_true_random=False),
)
def test_whatever_the_times_and_pages_are_nothing_of_the_window_is_lost(lab_of, api, hours, sizes, day, random):
    left, pages = sorted(hours, reverse=True), []
    for size in sizes:
        page, left = left[:size], left[size:]
        random.shuffle(page)
        pages += [page] if page else []
    told = paged(*pages) or [{"data": [], "next": None}]
    api.pages(*told)

    with tempfile.TemporaryDirectory() as folder:
        lab = lab_of(api, Path(folder))
        found = [record["id"] for record in lab.records(lab.fetch(walk(lab, day)))]

    assert len(set(found)) == len(found)
    assert set(of_day(told, day)) <= set(found)


@settings(max_examples=300 if LONG else 10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(hours=st.lists(st.integers(0, 71), max_size=20), size=st.integers(1, 4), day=st.integers(0, 2))
def test_oldest_first_loses_nothing_either(lab_of, api, hours, size, day):
    hours = sorted(hours)
    told = paged(*(hours[n : n + size] for n in range(0, len(hours), size))) or [{"data": [], "next": None}]
    api.pages(*told)

    with tempfile.TemporaryDirectory() as folder:
        lab = lab_of(api, Path(folder))
        found = {record["id"] for record in lab.records(lab.fetch(walk(lab, day)))}

    assert set(of_day(told, day)) <= found
