"""Keys that come in several partitions although the file does not say so: fetches order their versions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.source import Endpoint
from ingest_assets_tests.load.conftest import DAILY, Lab, build_again, endpoint
from ingest_assets_tests.whole import Api, Whole, state_in

FIRST, SECOND, THIRD = "2026-01-01", "2026-01-02", "2026-01-03"
GONE = {"path": "gone", "equals": True}
MODES: dict[str, dict[str, Any]] = {
    "merge": {},
    "merge with tombstones": {"deleted": GONE},
    "history": {"write": "history"},
    "history with tombstones": {"write": "history", "deleted": GONE},
}
RECORDS = st.lists(
    st.fixed_dictionaries(
        {"id": st.integers(0, 2), "v": st.integers(0, 1)},
        optional={
            "gone": st.just(True),
            "lines": st.lists(st.fixed_dictionaries({"n": st.integers(0, 1)}), max_size=2),
        },
    ),
    max_size=3,
)
PARTITIONS = st.sampled_from([FIRST, SECOND, THIRD])


def model(mode: str) -> Endpoint:
    return endpoint(**DAILY, **MODES[mode])


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=6, deadline=None)
@given(fetches=st.lists(st.tuples(PARTITIONS, RECORDS, st.none() | PARTITIONS), min_size=2, max_size=6))
def test_in_whatever_order_they_are_loaded_the_table_is_that_of_fetches_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, mode: str, fetches: list[tuple[str, list[Any], str | None]]
) -> None:
    folder: Path = tmp_path_factory.mktemp("crossing")
    things, in_order = Lab(folder / "things", model(mode)), Lab(folder / "in_order", model(mode))
    for number, (partition, records, loaded) in enumerate(fetches, 1):
        things.store(number, partition, records)
        in_order.store(number, partition, records)
        in_order.load(partition)
        if loaded is not None:
            things.load(loaded)
    for partition in (THIRD, FIRST, SECOND):
        things.load(partition)

    assert things.contents() == in_order.contents()
    assert build_again(things).contents() == in_order.contents()


def test_a_tombstone_that_is_loaded_before_what_it_ends_ends_it(lab: Callable[..., Lab]) -> None:
    things = lab(**DAILY, **MODES["history with tombstones"])
    things.store(1, FIRST, [{"id": 1}])
    things.store(2, SECOND, [{"id": 1, "gone": True}])

    things.load(SECOND)
    things.load(FIRST)

    assert things.values("current") == [False]


@pytest.fixture
def told(api: Api, tmp_path: Path) -> Callable[..., str]:
    """What the check of shared keys says once these days were fetched, each of which gives these records."""

    def check(days: dict[str, list[Any]], **more: Any) -> str:
        api.answer = lambda asked: {"data": days[asked.query["from"][:10]]}
        with state_in(tmp_path):
            here = Whole(
                tmp_path / "here", api.url, {**DAILY, "records": "data", "paginator": {"type": "none"}, **more}
            )
            for day in days:
                assert here.run(day) == ""
            return here.problems().get("shared_keys", "")

    return check


def test_a_key_that_changed_its_partition_is_told_of(told: Callable[..., str]) -> None:
    said = told({FIRST: [{"id": 1, "v": 1}, {"id": 2, "v": 1}], SECOND: [{"id": 2, "v": 2}]})

    assert said.startswith("partition 2026-01-02 is in doubt: 1 record has the key of a different one that came in ")
    assert "`newest_by` a column that orders versions" in said


@pytest.mark.parametrize(
    ("again", "more"),
    [
        ({"id": 2, "v": 1}, {}),
        ({"id": 2, "v": 1, "gone": True}, {"deleted": GONE}),
        ({"id": 2, "v": 2}, {"newest_by": "v", "columns": {"v": {"type": "bigint"}}}),
        ({"id": 2, "v": 2}, {"write": "replace_partition"}),
    ],
)
def test_nothing_is_told_of_what_is_the_same_or_has_an_order(
    told: Callable[..., str], again: dict[str, Any], more: dict[str, Any]
) -> None:
    assert told({FIRST: [{"id": 2, "v": 1}], SECOND: [again]}, **more) == ""
