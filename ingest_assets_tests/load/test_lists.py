"""Lists follow their rows, whichever way is taken: by the fates of rows where no key comes twice in a fetch, by a look
at all child rows elsewhere."""

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
    "merged": {},
    "replaced": {"write": "replace_partition"},
    "deleted softly": {"deleted": {"path": "gone", "equals": True}, "deletes": "soft"},
}
_LINES = st.lists(st.fixed_dictionaries({"n": st.integers(0, 1)}, optional={"subs": st.lists(st.integers(0, 1))}))
_RECORDS = st.fixed_dictionaries(
    {"id": st.integers(0, 4)},
    optional={
        "v": st.sampled_from([1, 2]), "lines": st.one_of(st.none(), _LINES), "tags": _LINES, "gone": st.just(True),
    },
)  # fmt: skip
_FETCHES = st.lists(st.lists(_RECORDS, unique_by=lambda record: record["id"]), min_size=2, max_size=4)


def _loaded(lab: Any, mode: str, fetches: list[list[Any]], *, twice: bool) -> Any:
    """What the tables hold in the end, where another record came `twice` in each fetch."""
    other = {"id": 9, "lines": [{"n": 0, "subs": [0]}], "tags": [{"n": 0}]}
    with tempfile.TemporaryDirectory() as folder:
        things = lab(at=str(Path(folder) / "data"), **_DAILY, **_MODES[mode])
        for number, records in enumerate(fetches):
            things.store(number + 1, "2026-01-01", [other] * (1 + twice), records)
            (loaded,) = things.load("2026-01-01")
            assert loaded.account.duplicates == twice
        return things.contents()


@pytest.mark.parametrize("mode", _MODES)
@settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(fetches=_FETCHES)
def test_a_record_that_came_twice_changes_nothing_of_other_lists(mode: str, fetches: list[list[Any]], lab: Any) -> None:
    once = _loaded(lab, mode, fetches, twice=False)

    assert _loaded(lab, mode, fetches, twice=True) == once


def test_rows_of_lists_have_ids_of_their_own_however_many_there_are_and_cite_their_parents(lab):
    subs, lines, records = range(30), range(40), range(60)
    things = lab()
    things.store(1, None, [{"id": n, "lines": [{"subs": [*subs]} for _ in lines], "tags": [*lines]} for n in records])

    things.load()

    for table, parents, rows in (
        ("things__lines__subs", "things__lines", 72_000),
        ("things__lines", "things", 2400),
        ("things__tags", "things", 2400),
    ):
        joined = f"FROM w.shop.{table} AS c JOIN w.shop.{parents} AS p ON c._parent = p._id"
        assert things.rows(f"{joined} SELECT count(DISTINCT c._id), count(*)") == [(rows, rows)]
