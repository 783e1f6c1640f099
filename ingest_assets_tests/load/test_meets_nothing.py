"""A fetch that meets no row is inserted as it passes by: into the rows that it has where it meets one."""

# ruff: noqa: S608 -- the names in these queries are the test's own

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "3"))
_DAILY = {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": "2026-01-01"}}
_MODES: dict[str, dict[str, Any]] = {
    "by key": {"primary_key": "id"},
    "by a key of two": {"primary_key": ["id", "sort"]},
    "with soft deletes": {"primary_key": "id", "sweep": {"most": 1}, "deletes": "soft"},
    "replaced": {"primary_key": "id", "write": "replace_partition"},
    "replaced without a key": {"primary_key": [], "write": "replace_partition"},
    "by time": {"primary_key": "id", "newest_by": "at", "columns": {"at": {"type": "bigint"}}},
    "with tombstones": {"primary_key": "id", "deleted": {"path": "gone", "equals": True}},
    "history": {"primary_key": "id", "write": "history"},
}
_LINES = st.lists(st.fixed_dictionaries({"n": st.integers(0, 1)}, optional={"subs": st.lists(st.integers(0, 1))}))
_RECORDS = st.fixed_dictionaries(
    {"id": st.one_of(st.integers(0, 30), st.none()), "sort": st.sampled_from(["1", ":", "1:1", "", "11"])},
    optional={"at": st.integers(0, 2), "v": st.sampled_from([1, 2, 0.5, "x", None]), "lines": _LINES},
)


def _loaded(lab: Any, mode: str, pages: list[list[Any]], *, meets: bool) -> tuple[Any, list[Any]]:
    """The account of fetch 2, and its rows in all tables; where it `meets` one, that is of a fetch before it."""
    with tempfile.TemporaryDirectory() as folder:
        things = lab(at=str(Path(folder) / "data"), **_DAILY, **_MODES[mode])
        if meets:
            things.store(1, "2026-01-01", [{"id": -1, "sort": "other", "lines": [{"n": 0, "subs": [0]}]}])
            things.load("2026-01-01")
        things.store(2, "2026-01-02", *pages)
        (loaded,) = things.load("2026-01-02")
        found = []
        for table in things.tables():
            # Of the other fetch the table may know more columns, of which this one has no value.
            system = ["_id", "_fetch", "_page", "_position", "_hash"]
            names = sorted([*(name for name in things.columns(table) if name != "_rest"), *system])
            listed = ", ".join(f'"{name}"' for name in names)
            rows = things.rows(f"SELECT {listed} FROM w.shop.{table} WHERE _fetch = 2 ORDER BY _id, _page, _position")
            told = [{n: value for n, value in zip(names, row, strict=True) if value is not None} for row in rows]
            found += [(table, told)] if told else []
        return loaded.account, found


@pytest.mark.parametrize("mode", _MODES)
@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(pages=st.lists(st.lists(_RECORDS, min_size=1, max_size=4), min_size=1, max_size=2))
def test_what_meets_nothing_ends_in_the_rows_that_it_has_beside_others(lab: Any, mode: str, pages: Any) -> None:
    account, rows = _loaded(lab, mode, pages, meets=False)

    beside, same = _loaded(lab, mode, pages, meets=True)

    assert account == beside
    assert rows == same


def test_keys_that_are_equal_as_text_only_are_none_that_come_twice(lab: Any) -> None:
    things = lab(primary_key=["a", "b"])
    things.store(1, None, [{"a": "1:", "b": "2"}, {"a": "1", "b": ":2"}, {"a": "", "b": "1:2"}])

    (loaded,) = things.load()

    assert loaded.account.inserted == 3
    assert things.rows("SELECT count(DISTINCT _id) FROM w.shop.things") == [(3,)]


@pytest.mark.parametrize("key", [0, 0.0])
def test_a_key_that_comes_twice_in_the_first_fetch_is_there_once(lab: Any, key: float) -> None:
    things = lab()
    things.store(1, None, [{"id": key, "v": 1, "l": [1]}, {"id": key, "v": 2, "l": [2]}, {"id": 2, "v": 3}])

    (loaded,) = things.load()

    assert (loaded.account.inserted, loaded.account.duplicates) == (2, 1)
    assert things.values("v") == [2, 3]
    assert things.values("value", "things__l") == [2]


def test_a_fetch_that_is_added_meets_no_row_of_others(lab: Any) -> None:
    things = lab(write="append")
    things.store(1, None, [{"id": 1, "l": [1]}])
    things.load()
    things.store(2, None, [{"id": 1, "l": [1]}, {"id": 2}])

    things.load()
    things.load(replay=True)

    assert things.values("id") == [1, 1, 2]
    assert things.values("value", "things__l") == [1, 1]
