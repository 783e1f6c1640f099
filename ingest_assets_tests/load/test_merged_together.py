"""Fetches that are merged as one give the tables and accounts that they give one after the other."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_assets.load import commit
from ingest_assets_tests.load.conftest import endpoint

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "4"))
_DAYS = [f"2026-01-0{day}" for day in range(1, 5)]
_SUBS = st.lists(st.fixed_dictionaries({"m": st.integers(0, 1)}), max_size=2)
_LINES = st.lists(st.fixed_dictionaries({"n": st.integers(0, 1)}, optional={"subs": _SUBS}), max_size=2)
_RECORD = st.fixed_dictionaries({"id": st.integers(0, 3)}, optional={"v": st.integers(0, 1), "lines": _LINES})
_FETCH = st.lists(_RECORD, unique_by=lambda record: record["id"], max_size=3)
_FETCHES = st.lists(_FETCH, min_size=len(_DAYS), max_size=len(_DAYS))
_LINE = {"n": 0, "subs": [{"m": 1}]}


@pytest.fixture
def merged(monkeypatch) -> list[int]:
    """How many fetches were merged as one, each time."""
    counts: list[int] = []

    def noted(connection: Any, whole: Any, staged: Any, *more: Any) -> Any:
        counts.append(len(staged))
        return merge_together(connection, whole, staged, *more)

    merge_together = commit.merge_together
    monkeypatch.setattr(commit, "merge_together", noted)
    return counts


def _filled(things: Any, numbers: Any, fetches: list[list[Any]], days: list[str], *, apart: bool) -> None:
    """One more fetch of each day, whose keys are its own where the days are `apart`."""
    for number, day, records in zip(numbers, days, fetches, strict=True):
        own = 10 * days.index(day) if apart else 0
        things.store(number, day, [{**record, "id": record["id"] + own} for record in records])


def _together(things: Any, days: list[str]) -> list[Any]:
    loads = dict(things.loader().load_together(dict.fromkeys(days, False)))
    return [load for day in days for load in loads[day]]


@pytest.mark.parametrize("apart", [True, False])
def test_tables_and_accounts_are_the_same(lab_at, daily, merged, apart):
    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_FETCHES, _FETCHES)
    @example([[{"id": 1, "v": 0, "lines": [_LINE]}]] * 4, [[{"id": 1, "v": 1, "lines": [_LINE]}, {"id": 2}]] * 4)
    @example([[{"id": 1, "v": 0, "lines": [_LINE]}]] * 4, [[{"id": 1, "v": 1, "lines": []}], [], [{"id": 1}], []])
    def holds(first, second):
        with tempfile.TemporaryDirectory() as folder:
            model = endpoint(**daily, columns={"id": {"type": "bigint", "required": True}})
            one, other = (lab_at(Path(folder) / name, model) for name in ("one", "other"))
            for things in (one, other):
                _filled(things, range(1, 5), first, _DAYS, apart=apart)
            loads = [[load for day in _DAYS for load in one.load(day)], _together(other, _DAYS)]
            for things in (one, other):
                _filled(things, range(5, 9), second, _DAYS, apart=apart)
            loads[0] += [load for day in _DAYS for load in one.load(day)]
            loads[1] += _together(other, _DAYS)

            assert sorted(loads[1], key=lambda load: load.fetch) == sorted(loads[0], key=lambda load: load.fetch)
            assert other.contents(lineage=True) == one.contents(lineage=True)

    holds()

    assert not apart or 4 in merged


def test_a_key_that_is_in_two_of_them_is_that_of_the_newer_one(lab, daily, merged):
    things = lab(**daily, columns={"id": {"type": "bigint", "required": True}})
    things.store(1, _DAYS[0], [{"id": 1, "v": "old"}])
    things.store(2, _DAYS[0], [{"id": 1, "v": "new"}])
    things.store(3, _DAYS[1], [{"id": 2, "v": "other"}])

    _together(things, _DAYS[:2])

    assert things.values("v") == ["new", "other"]
    assert merged == []
