"""Tables that keep each version of a key, and say when it held."""

import shutil
from datetime import UTC, datetime, timedelta

import pytest

from ingest_assets.errors import StorageFailed

_AT = {"newest_by": "at", "columns": {"at": {"type": "timestamptz", "format": "unix", "required": True}}}
_GONE = {"deleted": {"path": "gone", "equals": True}}
_VALIDITY = "SELECT v, valid_from, valid_until, current FROM w.shop.things ORDER BY valid_from"


def _fetched(hours: int) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)


def _unix(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_a_version_holds_from_the_fetch_that_brought_it_until_the_next_one(lab):
    things = lab(write="history")
    for fetch, value in enumerate(["a", "a", "b", "a"], 1):
        things.store(fetch, None, [{"id": 1, "v": value}])

    things.load()

    assert things.rows(_VALIDITY) == [
        ("a", _fetched(1), _fetched(3), False),
        ("b", _fetched(3), _fetched(4), False),
        ("a", _fetched(4), None, True),
    ]
    assert things.accounts()[2] == {"received": 1, "unchanged": 1}


def test_a_version_that_comes_late_takes_its_place_among_the_others(lab, daily, rebuilt):
    things = lab(write="history", **daily, **_AT)
    for fetch, day, seconds in ((1, 3, 30), (2, 1, 10), (3, 2, 20)):
        things.store(fetch, f"2026-01-0{day}", [{"id": 1, "at": seconds, "v": f"{seconds}"}])
        things.load(f"2026-01-0{day}")

    assert things.rows(_VALIDITY) == [
        ("10", _unix(10), _unix(20), False),
        ("20", _unix(20), _unix(30), False),
        ("30", _unix(30), None, True),
    ]
    assert things.contents() == rebuilt(things).contents()


def test_of_versions_of_one_moment_the_one_that_came_last_holds(lab):
    things = lab(write="history", **_AT)
    for fetch, value in enumerate(["a", "b"], 1):
        things.store(fetch, None, [{"id": 1, "at": 10, "v": value, "l": [value]}])
        things.load()

    assert things.rows(_VALIDITY) == [("b", _unix(10), None, True)]
    assert things.values("value", "things__l") == ["b"]


def test_the_same_version_that_comes_again_changes_nothing(lab, daily):
    things = lab(write="history", **daily, **_AT)
    things.store(1, "2026-01-01", [{"id": 1, "at": 10, "v": "a", "l": [1]}])
    things.load("2026-01-01")
    before = things.contents(lineage=True)
    things.store(2, "2026-01-02", [{"id": 1, "at": 10, "v": "a", "l": [1]}])

    things.load("2026-01-02")

    assert things.contents(lineage=True) == before
    assert things.accounts()[2] == {"received": 1, "unchanged": 1}


def test_a_tombstone_ends_the_validity_and_a_later_version_begins_another(lab):
    things = lab(write="history", **_GONE)
    for fetch, told in enumerate([{"v": "a"}, {"gone": True}, {"gone": True}, {"v": "a"}], 1):
        things.store(fetch, None, [{"id": 1, **told}])
        things.load()

    assert things.rows(_VALIDITY) == [("a", _fetched(1), _fetched(2), False), ("a", _fetched(4), None, True)]


def test_a_version_older_than_a_tombstone_ends_with_it_when_it_comes_late(lab, daily, rebuilt):
    things = lab(write="history", **daily, **_AT, **_GONE)
    things.store(1, "2026-01-02", [{"id": 1, "at": 20, "gone": True}])
    things.load("2026-01-02")
    things.store(2, "2026-01-01", [{"id": 1, "at": 10, "v": "a"}])

    things.load("2026-01-01")

    assert things.rows(_VALIDITY) == [("a", _unix(10), _unix(20), False)]
    assert things.contents() == rebuilt(things).contents()


def test_each_version_has_the_lists_that_came_with_it(lab):
    things = lab(write="history")
    things.store(1, None, [{"id": 1, "v": "a", "l": [{"m": [1, 2]}]}])
    things.store(2, None, [{"id": 1, "v": "b", "l": [{"m": [3]}]}])
    things.store(3, None, [{"id": 1, "v": "c"}])

    things.load()

    found = things.rows(
        "SELECT t.v, list(m.value ORDER BY m.value) FROM w.shop.things AS t JOIN w.shop.things__l AS l "
        "ON l._parent = t._id JOIN w.shop.things__l__m AS m ON m._parent = l._id GROUP BY 1 ORDER BY 1"
    )
    assert found == [("a", [1, 2]), ("b", [3])]


def test_a_version_that_comes_late_gives_no_lists_to_the_one_that_came_after_it(lab, daily, rebuilt):
    things = lab(write="history", **daily, **_AT)
    things.store(1, "2026-01-01", [{"id": 1, "at": 10, "l": [1]}])
    things.store(2, "2026-01-02", [{"id": 1, "at": 10}])

    for day in ("2026-01-02", "2026-01-01"):
        things.load(day)

    assert things.values("value", "things__l") == []
    assert things.contents() == rebuilt(things).contents()


def test_fields_that_are_named_like_the_columns_of_a_history_get_other_names(lab):
    things = lab(write="history")
    things.store(1, None, [{"id": 1, "current": "yes", "valid_from": 7}])

    things.load()

    assert things.rows("SELECT current_2, valid_from_2, current FROM w.shop.things") == [("yes", 7, True)]


def test_versions_whose_stored_pages_are_gone_are_not_given_up_by_a_replay(lab):
    things = lab(write="history")
    things.store(1, None, [{"id": 1, "v": "a"}])
    things.store(2, None, [{"id": 1, "v": "a"}])
    things.load()
    shutil.rmtree(things.snapshots.fetches("shop", "things")[0].folder)

    with pytest.raises(StorageFailed, match="the stored pages of fetch 1 are missing"):
        things.load(replay=True)
