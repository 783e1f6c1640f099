"""A fetch of several parts: each is a chain of pages of its own, and all of them are one snapshot."""

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.errors import TransientFailure, WalkIncomplete
from ingest_assets.extract.spans import cut
from ingest_assets.periods import Periods, written

DAY = {
    "path": "/things",
    "records": "data",
    "paginator": {"type": "cursor", "path": "next", "param": "cursor"},
    "primary_key": "id",
    "window": {"from": "from", "until": "until", "pieces": 4},
    "partitions": {"every": "day", "start": "2026-03-01"},
    "changes": "immutable",
}
HOURS = [f"2026-03-09T{hour:02}:30:00Z" for hour in range(24)]


def hourly(api, answer, *, fails_at=()):
    """A record an hour, two on a page; pages that begin at one of `fails_at` are not to be had."""

    def page(query):
        inside = [at for at in HOURS if query["from"] <= at < query["until"]]
        begin = int(query.get("cursor", 0))
        if inside[begin] in fails_at:
            return answer({}, status=503)
        more = str(begin + 2) if begin + 2 < len(inside) else None
        return answer({"data": [{"id": at} for at in inside[begin : begin + 2]], "next": more})

    api.answer = page


def walk(lab, **more):
    return lab.walk({**DAY, **more}, partition="2026-03-09")


def test_the_pieces_of_a_window_are_one_snapshot_in_their_order(lab, api, answer):
    hourly(api, answer)

    snapshot = lab.fetch(walk(lab))

    assert [record["id"] for record in lab.records(snapshot)] == HOURS
    assert [(q["from"], q["until"]) for q in api.asked if "cursor" not in q] == [
        (f"2026-03-09T{hour:02}:00:00Z", f"2026-03-{9 + (hour + 6) // 24:02}T{(hour + 6) % 24:02}:00:00Z")
        for hour in (0, 6, 12, 18)
    ]
    assert lab.verdicts() == ["complete"]


def test_each_page_says_of_which_part_it_is(lab, api, answer):
    hourly(api, answer)

    snapshot = lab.fetch(walk(lab))

    keys = [entry.note["part"] for entry in snapshot.pages]
    assert keys == [key for key in dict.fromkeys(keys) for _ in range(3)]
    assert [end.key for end in snapshot.parts] == list(dict.fromkeys(keys))


def test_a_fetch_goes_on_in_the_part_that_failed_and_asks_for_none_again_that_had_ended(lab, api, answer):
    hourly(api, answer, fails_at=[HOURS[14]])
    with pytest.raises(TransientFailure):
        lab.fetch(walk(lab))
    hourly(api, answer)
    api.asked.clear()

    snapshot = lab.fetch(walk(lab))

    assert [(query["from"][11:13], query.get("cursor")) for query in api.asked] == [
        ("12", "2"),
        ("12", "4"),
        ("18", None),
        ("18", "2"),
        ("18", "4"),
    ]
    assert [record["id"] for record in lab.records(snapshot)] == HOURS


def test_a_part_whose_end_was_lost_in_a_power_cut_is_not_asked_for_again(lab, api, answer):
    hourly(api, answer, fails_at=[HOURS[14]])
    with pytest.raises(TransientFailure):
        lab.fetch(walk(lab))
    kept = lab.stored()[0].folder / "parts.jsonl"
    kept.write_bytes(kept.read_bytes()[:-20])
    hourly(api, answer)
    api.asked.clear()

    snapshot = lab.fetch(walk(lab))

    assert [query["from"][11:13] for query in api.asked] == ["12"] * 2 + ["18"] * 3
    assert [record["id"] for record in lab.records(snapshot)] == HOURS


def test_a_window_that_is_cut_otherwise_is_another_walk(lab, api, answer):
    hourly(api, answer, fails_at=[HOURS[14]])
    with pytest.raises(TransientFailure):
        lab.fetch(walk(lab))
    hourly(api, answer)

    snapshot = lab.fetch(walk(lab, window={**DAY["window"], "pieces": 3}))

    assert lab.verdicts() == ["given_up", "complete"]
    assert [record["id"] for record in lab.records(snapshot)] == HOURS


def test_totals_are_those_of_each_part_and_add_up(lab, api, answer):
    hourly(api, answer)
    pages = api.answer
    api.answer = lambda query: answer({**pages(query).body, "total": 6})

    snapshot = lab.fetch(walk(lab, total="total"))

    assert snapshot.manifest.ended.expected == 24


def test_a_part_that_is_short_of_its_total_fails_the_fetch_and_is_named(lab, api, answer):
    hourly(api, answer)
    pages = api.answer
    api.answer = lambda query: answer({**pages(query).body, "total": 7 if "T12" in query["from"] else 6})

    with pytest.raises(WalkIncomplete, match=r"part 2026-03-09T12:00:00\+00:00/.*says 7 records, and 6 came"):
        lab.fetch(walk(lab, total="total"))


@given(
    zone=st.sampled_from(["UTC", "Europe/Amsterdam", "Australia/Lord_Howe", "America/New_York"]),
    day=st.dates(min_value=datetime(2026, 1, 1).date(), max_value=datetime(2026, 12, 31).date()),  # noqa: DTZ001 -- a day, of whichever zone
    every=st.sampled_from(["day", "week", "month"]),
    most=st.integers(1, 60),
    form=st.sampled_from(["iso", "date", "unix", "unix_ms", "%d.%m.%Y", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S%z"]),
)
def test_pieces_cover_their_span_without_gap_or_overlap_as_they_are_written(zone, day, every, most, form):
    periods = Periods(every, day, zone)
    lower, upper = periods.bounds(periods.first)

    pieces = cut(lower, upper, most, form)

    assert 1 <= len(pieces) <= most
    assert (pieces[0][0], pieces[-1][1]) == (lower, upper)
    assert all(one[1] == other[0] for one, other in pairwise(pieces))
    bounds = [lower, *(piece[1] for piece in pieces)]
    assert all(
        one.timestamp() < other.timestamp() and written(one, form) != written(other, form)
        for one, other in pairwise(bounds)
    )
    for moment in bounds[1:-1]:
        read = datetime.strptime(written(moment, "%Y-%m-%d %H:%M:%S"), "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 -- as the API's zone reads it
        assert read.replace(tzinfo=ZoneInfo(zone)).timestamp() == moment.replace(microsecond=0).timestamp()
