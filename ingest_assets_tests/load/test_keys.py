"""Keys that are known not to come twice."""

from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest_assets.load.keys import Keys

batches = st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=5).map(sorted), max_size=5)


def noted(columns: list[str], *rows: pa.Table) -> Keys:
    """What is known after these batches of rows."""
    keys = Keys(columns)
    for page, some in enumerate(rows):
        keys.note(some if "_page" in some.column_names else of_page(page, some))
    return keys


def of_page(number: int, rows: pa.Table) -> pa.Table:
    """The rows, all of one page."""
    return rows.append_column("_page", pa.array([number] * rows.num_rows, pa.int64()))


def ids(*batches: list[int | None]) -> Keys:
    """What is known of ids in these batches."""
    return noted(["id"], *(pa.table({"id": pa.array(batch, pa.int64())}) for batch in batches))


@given(batches, batches)
def test_what_is_told_to_be_distinct_is(first: list[list[int]], rest: list[list[int]]) -> None:
    found = ids(*first).with_rest(ids(*rest))

    numbers = list(chain.from_iterable([*first, *rest]))
    assert not (found.distinct and len(set(numbers)) < len(numbers))


@pytest.mark.parametrize(
    "batches",
    [[[1, 2], [3, 5]], [[9, 4], [3, 1]], [[3, 4], [1, 2]], [[7]]],
    ids=["rising", "falling", "not in order", "one"],
)
def test_numbers_that_rise_or_fall_in_batches_apart_from_each_other_are_distinct(batches: list[list[int]]) -> None:
    assert ids(*batches).distinct
    assert ids(*batches[:1]).with_rest(ids(*batches[1:])).distinct or len(batches) == 1


@pytest.mark.parametrize(
    "batches",
    [[[1, 1]], [[1, 3], [2]], [[1, 3, 2]], [[1, None]], [[1, 2], [2, 3]], []],
    ids=["twice", "between", "up and down", "null", "the last again", "none"],
)
def test_of_other_numbers_nothing_is_known(batches: list[list[int | None]]) -> None:
    assert not ids(*batches).distinct


def test_one_column_of_the_key_is_enough() -> None:
    rows = pa.table({"account": ["a", "a"], "number": pa.array([1, 2], pa.int64())})

    assert noted(["account", "number"], rows).distinct
    assert not noted(["account", "number"], rows, rows).distinct
    assert not noted(["account"], rows).distinct


def test_a_column_that_was_not_always_there_is_not_known() -> None:
    rows = pa.table({"id": pa.array([1, 2], pa.int64())})

    assert not noted(["id"], rows, pa.table({"other": [1]})).distinct
    assert not noted(["id"], rows).with_rest(noted(["id"], pa.table({"id": ["a"]}))).distinct


def test_pages_of_others_may_lie_between_those_of_a_batch() -> None:
    ours = {"id": pa.array([1, 2, 7, 8], pa.int64()), "_page": pa.array([1, 1, 3, 4], pa.int64())}
    theirs = {"id": pa.array([3, 4], pa.int64()), "_page": pa.array([2, 2], pa.int64())}

    assert noted(["id"], pa.table(ours)).with_rest(noted(["id"], pa.table(theirs))).distinct
    assert not noted(["id"], pa.table(ours | {"_page": pa.array([1, 2, 3, 4], pa.int64())}), pa.table(theirs)).distinct
