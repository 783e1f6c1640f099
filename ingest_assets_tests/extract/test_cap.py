"""At an API's result cap the window is cut in two: every record is there, or the walk is incomplete and says why."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.line import Line

LONG = "INGEST_LONG" in os.environ
DAY = datetime(2026, 3, 1, tzinfo=UTC)
HABITS = ("ends", "refuses", "fails inside", "empty", "total", "capped total", "again")


class Search:
    """An API that gives `cap` records of a query at most, in the order of their time, and behaves so at its cap."""

    def __init__(self, answer, seconds, cap, size, habit):
        self.answer, self.cap, self.size, self.habit = answer, cap, size, habit
        self.records = [{"id": n, "at": int(DAY.timestamp()) + second} for n, second in enumerate(seconds)]
        self.down = set()
        self.asked = 0

    def __call__(self, query):
        self.asked += 1
        if self.asked in self.down:
            return self.answer({}, status=503, headers={"Retry-After": "0"})
        lower, upper, first = int(query["from"]), int(query["until"]), int(query.get("cursor", 0))
        found = sorted((r for r in self.records if lower <= r["at"] < upper), key=lambda r: (r["at"], r["id"]))
        if self.habit == "refuses" and first and first + self.size > self.cap:
            return self.answer({"error": "too deep"}, status=400)
        if self.habit == "fails inside" and first and first + self.size > self.cap:
            return self.answer({"data": [], "next": None, "error": "too deep"})
        start = first - self.cap if self.habit == "again" and first >= self.cap else first
        page = found[start : min(start + self.size, self.cap)]
        more = first + self.size < (len(found) if self.habit != "ends" else min(self.cap, len(found)))
        if self.habit == "empty" and first >= self.cap:
            page, more = [], first < 3 * self.cap
        total = {"total": len(found)} if self.habit == "total" else {"total": min(len(found), self.cap)}
        return self.answer({"data": page, "next": str(first + self.size) if more else None, "error": None, **total})


def endpoint(habit, cap):
    window = {"from": "from", "until": "until", "format": "unix", "cap": cap}
    return {
        "window": window,
        "partitions": {"every": "day", "start": "2026-03-01"},
        "errors": "error",
        **({"total": "total"} if habit == "total" else {}),
    }


def walk(lab, habit, cap):
    return lab.walk(endpoint(habit, cap), partition="2026-03-01")


def ids(lab, snapshot):
    return [record["id"] for record in lab.records(snapshot)]


@pytest.mark.parametrize("habit", HABITS)
def test_a_window_that_holds_too_much_is_cut_until_its_pieces_do_not(lab, api, answer, habit):
    api.answer = Search(answer, range(0, 86_400, 3_000), cap=10, size=3, habit=habit)

    snapshot = lab.fetch(walk(lab, habit, 10))

    assert set(ids(lab, snapshot)) == set(range(29))
    assert snapshot.manifest.ended.verdict == "complete"


def test_a_total_above_the_cap_is_enough_to_cut(lab, api, answer):
    api.answer = Search(answer, range(0, 86_400, 3_000), cap=20, size=5, habit="total")

    snapshot = lab.fetch(walk(lab, "total", 20))

    assert [entry.records for entry in snapshot.pages] == [5, 5, 5, 5, 5, 5, 4]
    assert (snapshot.manifest.ended.expected, snapshot.manifest.ended.reason) == (29, "all_parts_ended")
    assert {(asked["from"], asked["until"]) for asked in api.asked} == {
        ("1772323200", "1772409600"),
        ("1772323200", "1772366400"),
        ("1772366400", "1772409600"),
    }


def test_a_window_below_the_cap_is_read_as_ever(lab, api, answer):
    api.answer = Search(answer, range(9), cap=10, size=3, habit="ends")

    snapshot = lab.fetch(walk(lab, "ends", 10))

    assert (len(snapshot.pages), snapshot.manifest.ended.reason) == (3, "no_next")


@pytest.mark.parametrize("habit", ["ends", "refuses", "total"])
def test_the_smallest_window_that_holds_too_much_is_named(lab, api, answer, habit):
    api.answer = Search(answer, [7, *[4000] * 10, 9000], cap=10, size=3, habit=habit)

    with pytest.raises(WalkIncomplete, match=r"the window 2026-03-01T01:06:40\+00:00/2026-03-01T01:06:41\+00:00 holds"):
        lab.fetch(walk(lab, habit, 10))

    assert lab.verdicts() == ["failed"]


def test_how_far_windows_are_cut_can_be_said(lab, api, answer):
    api.answer = Search(answer, [4000] * 10, cap=10, size=3, habit="ends")

    with pytest.raises(WalkIncomplete, match=r"00:00:00.*01:30:00.* holds 10 records, .* gives 10 of a query.*1:30:00"):
        lab.fetch(walk(lab, "ends", {"records": 10, "smallest": "PT1H30M"}))

    assert len(api.asked) < 40


def test_a_refusal_before_the_cap_is_a_failure(lab, api, answer):
    api.answer = Search(answer, range(29), cap=4, size=2, habit="refuses")

    with pytest.raises(RequestFailed, match="400"):
        lab.fetch(walk(lab, "refuses", 1000))


def test_another_refusal_is_a_failure(lab, api, answer):
    api.answer = Search(answer, range(29), cap=10, size=2, habit="refuses")

    with pytest.raises(RequestFailed, match="400"):
        lab.fetch(walk(lab, "refuses", {"records": 12, "statuses": [413]}))


def test_what_came_before_a_window_was_cut_counts_as_duplicates(lab, api, answer, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    api.answer = Search(answer, range(0, 86_400, 3_000), cap=20, size=5, habit="ends")
    line = Line(lab.source(endpoint("ends", 20)), lab.folder, now=lambda: lab.now)

    line.fetch("things", "2026-03-01")
    (loaded,) = line.load("things", "2026-03-01")

    assert (loaded.account.received, loaded.account.inserted, loaded.account.duplicates) == (49, 29, 20)
    assert loaded.account.adds_up


@settings(max_examples=400 if LONG else 8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seconds=st.lists(st.integers(0, 86_399) | st.integers(0, 20) | st.just(43_200), max_size=30),
    cap=st.integers(2, 12),
    size=st.integers(1, 4),
    habit=st.sampled_from(HABITS),
    down=st.sets(st.integers(1, 60), max_size=3),
)
def test_whatever_the_records_and_the_cap_each_is_there_or_the_walk_is_incomplete(
    lab_of, api, answer, seconds, cap, size, habit, down
):
    size = min(size, cap)
    api.answer = search = Search(answer, seconds, cap=cap, size=size, habit=habit)
    search.down = set(down)
    fullest = max((seconds.count(one) for one in seconds), default=0)

    with tempfile.TemporaryDirectory() as folder:
        lab = lab_of(api, Path(folder))
        try:
            snapshot = fetched(lab, walk(lab, habit, cap))
        except WalkIncomplete:
            assert fullest >= min(cap, cap - size + 1)
            return

        assert set(ids(lab, snapshot)) == set(range(len(seconds)))
        assert fullest < cap or habit == "total"


def fetched(lab, one):
    """The snapshot of a walk that is tried until nothing passing fails it."""
    for _ in range(5):
        try:
            return lab.fetch(one, attempts=1)
        except TransientFailure:
            lab.later(minutes=1)
    raise AssertionError("the API was down too often")
