"""A fetch is batch after batch: what they share, and when it has to start again."""

from datetime import date, timedelta

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.contract import Column, Contract
from ingest_assets.http.decoders import decoded
from ingest_assets.normalize.normalize import Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.together import Placed, batches


@pytest.fixture
def normalizer():
    return Normalizer("things", Contract(), Registry.empty())


def test_rows_are_counted_over_the_whole_fetch(block, normalizer):
    first = normalizer.batch(block({"l": [1, 2]}, {"l": [3]}), 0)
    second = normalizer.batch(block({"l": [4]}, first=7), 1)

    assert first.tables["things"]["_row"].to_pylist() == [0, 1]
    assert second.tables["things"].select(["_row", "_page", "_position"]).to_pylist() == [
        {"_row": 2, "_page": 1, "_position": 7}
    ]
    assert second.tables["things__l"].select(["_row", "_parent_row", "_root_row"]).to_pylist() == [
        {"_row": 3, "_parent_row": 2, "_root_row": 2}
    ]


def test_the_hash_is_that_of_the_text_as_sent(block, normalizer):
    text = b'{ "a": 1.50 }'

    batch = normalizer.batch(block(text), 0)

    assert [found.hex for found in batch.tables["things"]["_hash"].to_pylist()] == [xxhash.xxh3_128_hexdigest(text)]


def test_new_columns_and_tables_start_nothing_again(block, normalizer):
    normalizer.batch(block({"a": 1}), 0)

    batch = normalizer.batch(block({"b": "x", "l": [1]}), 1)

    assert batch.tables["things"].select(["a", "b"]).to_pylist() == [{"a": None, "b": "x"}]
    assert batch.tables["things__l"].num_rows == 1


def test_a_column_of_nulls_may_still_become_anything(block, normalizer):
    first = normalizer.batch(block({"a": None, "b": None, "c": None}), 0)
    empty = [column.name for column in normalizer.specs[0].columns if column.empty]

    second = normalizer.batch(block({"a": 1, "b": {"x": 2}, "c": [3]}), 1)

    assert empty == ["a", "b", "c"]
    assert not set(empty) & set(first.tables["things"].column_names)
    assert second.tables["things"].select(["a", "b__x"]).to_pylist() == [{"a": 1, "b__x": 2}]


@pytest.mark.parametrize(
    ("before", "after", "type_name"),
    [
        ("1", "1.5", "double"),
        ("1", '"x"', "json"),
        ("true", "1", "json"),
        ('{"x":1}', '"x"', "json"),
        ("{}", "1", "json"),
    ],
)
def test_another_type_starts_the_fetch_again(block, normalizer, before, after, type_name):
    normalizer.batch(block(b'{"a":' + before.encode() + b"}"), 0)

    with pytest.raises(Widened) as widened:
        normalizer.batch(block(b'{"a":' + after.encode() + b"}"), 1)

    again = Normalizer("things", Contract(), widened.value.registry)
    assert [(column.name, column.type) for column in again.specs[0].columns] == [("a", type_name)]


def test_a_registry_from_before_counts_like_a_batch(block, normalizer):
    normalizer.batch(block({"a": 1}), 0)
    later = Normalizer("things", Contract(), normalizer.registry)

    with pytest.raises(Widened):
        later.batch(block({"a": "x"}), 0)


def test_a_registry_that_learned_nothing_is_the_same_one(block, normalizer):
    normalizer.batch(block({"a": 1}), 0)
    before = normalizer.registry

    normalizer.batch(block({"a": 2}), 1)

    assert normalizer.registry == before


def test_a_block_without_records_is_an_empty_batch(block, normalizer):
    batch = normalizer.batch(block(), 0)

    assert (batch.tables, batch.quarantined, batch.received) == ({}, [], 0)


def test_digits_seen_at_full_speed_are_remembered(block, normalizer):
    normalizer.batch(block({"a": 1}), 0)
    normalizer.batch(block({"a": 9007199254740993}), 0)

    with pytest.raises(Widened) as widened:
        normalizer.batch(block({"a": 1.5}), 1)

    again = Normalizer("things", Contract(), widened.value.registry)
    assert [column.type for column in again.specs[0].columns] == ["decimal(38,1)"]


def test_one_new_key_in_a_large_block_leaves_the_rest_at_full_speed(block):
    normalizer = Normalizer("things", Contract(), Registry.empty())
    records = [{"id": n, "name": f"n{n}"} for n in range(1000)]
    normalizer.batch(block(*records), 0)
    records[700] = {"id": 700, "name": "x", "late": True}

    batch = normalizer.batch(block(*records), 1)

    assert batch.tables["things"]["late"].to_pylist()[699:702] == [None, True, None]
    assert batch.tables["things"]["_position"].to_pylist() == list(range(1000))


def day(number):
    return date(2026, 1, 1) + timedelta(days=number)


def test_small_pages_of_many_parents_are_one_batch_and_each_row_has_its_own_parent(block):
    columns = {"id": Column(type="bigint"), "of": Column(type="date", from_parent="id")}
    normalizer = Normalizer("things", Contract(columns=columns), Registry.empty())
    pages = [Placed(block({"id": 10 * n}, {"id": 10 * n + 1}, first=5), n, {"id": str(day(n))}) for n in range(100)]

    found = list(batches(normalizer, pages))

    assert len(found) < 20
    rows = [row for batch in found for row in batch.tables["things"].to_pylist()]
    assert [(row["of"], row["_page"], row["_position"], row["id"], row["_row"]) for row in rows] == [
        (day(n), n, 5 + place, 10 * n + place, 2 * n + place) for n in range(100) for place in range(2)
    ]


@pytest.mark.parametrize("lines", [False, True])
@given(spaces=st.lists(st.text(" \t\r", max_size=3), min_size=1, max_size=4), lengths=st.data())
@settings(max_examples=40)
def test_small_pages_are_read_together_as_one_by_one_however_they_are_written(spaces, lengths, lines):
    counts = lengths.draw(st.lists(st.integers(0, 40), min_size=3, max_size=60))
    pages = []
    for page, count in enumerate(counts):
        space = spaces[page % len(spaces)].encode()
        records = [b'{"id":%d,%s"t":"[\\"%d]","l":[%d]}' % (n, space, page, n) for n in range(count)]
        text = (b"\n" if lines else b"%s,%s" % (space, space)).join(records)
        text = text if lines else b"[%s%s%s]" % (space, text, space)
        pages.append(Placed(decoded.Block(text, lines=lines, first=page, count=count), page))

    together, alone = (Normalizer("things", Contract(), Registry.empty()) for _ in range(2))
    found = list(batches(together, pages))
    singly = [alone.batch(one.block, one.page) for one in pages]

    for name in ("things", "things__l"):
        rows, others = (
            [row for batch in of if name in batch.tables for row in batch.tables[name].to_pylist()]
            for of in (found, singly)
        )
        assert rows == others


def test_pages_of_a_parent_that_does_not_fit_are_set_aside_among_others(block):
    columns = {"id": Column(type="bigint"), "of": Column(type="date", from_parent="id")}
    normalizer = Normalizer("things", Contract(columns=columns), Registry.empty())
    pages = [Placed(block({"id": n}), n, {"id": "none" if n == 60 else str(day(n))}) for n in range(100)]

    found = list(batches(normalizer, pages))

    assert [(q.page, q.column) for batch in found for q in batch.quarantined] == [(60, "of")]
    assert sum(len(batch.tables["things"]) for batch in found if batch.tables) == 99
