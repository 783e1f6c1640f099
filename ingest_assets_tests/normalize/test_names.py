"""Names are settled once, and for ever."""

import duckdb
import pytest

from ingest_assets.contract import Contract
from ingest_assets.normalize.names import RESERVED
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry


def names(normalizer):
    return {".".join(column.path): column.name for column in normalizer.specs[0].columns}


def test_clashes_are_numbered_in_order_of_the_paths(normalized):
    _, normalizer = normalized({"ID": 1, "id": 2, "Id": 3, "a": {"b": 1}, "a__b": 2})

    assert names(normalizer) == {"id": "id", "ID": "id_2", "Id": "id_3", "a.b": "a__b", "a__b": "a__b_2"}


def test_a_settled_name_stays(block, normalized):
    _, normalizer = normalized({"Id": 1})

    normalizer.batch(block({"id": 2}), 1)

    assert names(normalizer) == {"Id": "id", "id": "id_2"}


def test_joined_registries_keep_the_names_of_the_first(normalized):
    _, one = normalized({"Id": 1, "x": 1})
    _, other = normalized({"id": 1, "y": 1})

    both = Normalizer("things", Contract(), one.registry.joined(other.registry))

    assert names(both) == {"Id": "id", "id": "id_2", "x": "x", "y": "y"}


def test_a_declared_name_is_not_for_others(normalized):
    batch, normalizer = normalized({"key": "a", "id": 1}, columns={"id": {"type": "varchar", "path": "key"}})

    assert names(normalizer) == {"key": "id", "id": "id_2"}
    assert batch.tables["things"].select(["id", "id_2"]).to_pylist() == [{"id": "a", "id_2": 1}]


@pytest.mark.parametrize("first", ["user_id", "userId"])
def test_of_two_declared_columns_the_one_that_is_spelled_like_the_path_has_the_value(normalized, first):
    columns = {name: {"type": "bigint"} for name in sorted(("user_id", "userId"), key=lambda name: name != first)}

    one, _ = normalized({"userId": 1}, columns=columns)
    both, _ = normalized({"userId": 1, "user_id": 2}, columns=columns)

    assert one.tables["things"]["userId"].to_pylist() == [1]
    assert both.tables["things"].select(["userId", "user_id"]).to_pylist() == [{"userId": 1, "user_id": 2}]


def test_a_key_with_a_dot_is_found_by_the_columns_name(normalized):
    batch, _ = normalized({"user.name": "Zoë"}, columns={"user_name": {"type": "varchar"}})

    assert batch.tables["things"]["user_name"].to_pylist() == ["Zoë"]


@pytest.mark.parametrize("record", [{"customer": {"firstName": "Zoë"}}, {"customer__first_name": "Zoë"}])
def test_a_declared_column_is_found_by_its_name(normalized, record):
    batch, _ = normalized(record, columns={"customer__first_name": {"type": "varchar"}})

    assert batch.tables["things"]["customer__first_name"].to_pylist() == ["Zoë"]


def test_a_declared_column_is_found_inside_of_an_object_with_many_keys(normalized):
    properties = {f"k{n}": n for n in range(150)} | {"time": 1700000000}
    columns = {"at": {"type": "timestamptz", "path": "properties.time", "format": "unix"}}

    batch, normalizer = normalized({"properties": properties}, columns=columns)

    assert batch.tables["things"]["at"].to_pylist()[0].isoformat() == "2023-11-14T22:13:20+00:00"
    assert [column.name for column in normalizer.specs[0].columns] == ["at", "properties"]


def test_a_long_name_is_cut_and_stays_unique(normalized):
    _, normalizer = normalized({"x" * 70: 1, "x" * 71: 2})

    short = sorted(names(normalizer).values())
    assert [len(name) for name in short] == [63, 63]
    assert len(set(short)) == 2


def test_odd_keys_become_names(normalized):
    _, normalizer = normalized({"": 1, "2x": 2, "select": 3, "_row": 4, "a\x00b": 5})

    assert names(normalizer) == {"": "field", "2x": "n2x", "select": "select_", "_row": "row", "a\x00b": "a_b"}


def test_the_reserved_words_are_those_of_the_database():
    found = duckdb.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'").fetchall()

    assert {word for (word,) in found} <= RESERVED


def test_a_contract_that_takes_a_settled_name_renames_the_other(normalized, block):
    _, before = normalized({"id": 1, "key": "a"})
    contract = Contract.model_validate({"columns": {"id": {"type": "varchar", "path": "key"}}})

    after = Normalizer("things", contract, before.registry)

    assert names(after) == {"key": "id", "id": "id_2"}


def test_a_registry_names_the_tables_before_anything_was_fetched():
    contract = Contract.model_validate({"columns": {"id": {"type": "bigint"}}, "children": {"lines.data": {}}})

    specs = Registry.empty().tables("things", contract)

    assert [(spec.name, spec.parent, spec.list_hash) for spec in specs] == [
        ("things", None, None),
        ("things__lines__data", "things", "_hash__lines__data"),
    ]
