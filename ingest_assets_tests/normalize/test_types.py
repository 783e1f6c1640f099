"""The type of a column that nobody declared follows from its values, whatever their order."""

import json
import uuid
from decimal import Decimal

import pytest
import xxhash

TYPES = [
    (["null"], "varchar", []),
    (["true", "null"], "boolean", [True, None]),
    (["1", "-9223372036854775808"], "bigint", [1, -(2**63)]),
    (["1", "9223372036854775808"], "hugeint", [Decimal(1), Decimal(2**63)]),
    (["1", "1" * 39], "json", ["1", "1" * 39]),
    (["1", "0.5"], "double", [1.0, 0.5]),
    (["9007199254740993", "0.5"], "decimal(38,1)", [Decimal("9007199254740993.0"), Decimal("0.5")]),
    (["12345678901234567890.12", "1"], "decimal(38,2)", [Decimal("12345678901234567890.12"), Decimal("1.00")]),
    (["1e30", "0.12345678901234567891"], "json", ["1" + "0" * 30, "0.12345678901234567891"]),
    (['"1"', '"x"'], "varchar", ["1", "x"]),
    (['"1"', "1"], "json", ['"1"', "1"]),
    (["true", "1"], "json", ["true", "1"]),
    (["[1]", "1"], "json", ["[1]", "1"]),
    (['{"a":1}', "[1]"], "json", ['{"a":1}', "[1]"]),
    (['{"a":1.50}', "1e3"], "json", ['{"a":1.5}', "1000"]),
]


@pytest.mark.parametrize(("texts", "type_name", "values"), TYPES)
@pytest.mark.parametrize("backwards", [False, True])
def test_a_type_is_a_function_of_the_values(column, texts, type_name, values, backwards):
    step = -1 if backwards else 1

    found = column(*texts[::step])

    assert found == (type_name, values[::step])


def test_an_object_of_more_than_a_hundred_keys_is_json(normalized):
    few, many = ({"o": {f"k{n}": n for n in range(count)}} for count in (100, 101))

    _, flat = normalized(few)
    _, text = normalized(many)

    assert len(flat.specs[0].columns) == 100
    assert [(column.name, column.type) for column in text.specs[0].columns] == [("o", "json")]


def made_of(*objects):
    return [{"id": n, "o": found} for n, found in enumerate(objects)]


def columns_of(normalizer):
    return {column.name: column.type for column in normalizer.specs[0].columns if not column.empty}


@pytest.mark.parametrize("backwards", [False, True])
def test_an_object_of_sixteen_keys_of_which_none_is_always_there_is_json(normalized, backwards):
    objects = [{f"k{n}": n} for n in range(16)]

    _, few = normalized(*made_of(*objects[:15]))
    batch, many = normalized(*made_of(*(reversed(objects) if backwards else objects)))

    assert len(columns_of(few)) == 16
    assert columns_of(many) == {"id": "bigint", "o": "json"}
    assert [json.loads(text) for text in batch.tables["things"]["o"].to_pylist()] == objects[:: -1 if backwards else 1]


@pytest.mark.parametrize("others", [[{}], [None], [{"type": "card"}], [{"type": None}, {}]])
def test_an_object_with_a_key_that_is_always_there_has_columns_however_many_there_are(normalized, others):
    objects = [{"type": "card", f"k{n}": n} for n in range(16)]

    _, normalizer = normalized(*made_of(*others, *objects, *others))

    assert len(columns_of(normalizer)) == 18


def test_an_object_with_a_declared_list_has_columns_and_the_list_its_table(normalized):
    objects = [{f"k{n}": n} for n in range(20)] + [{"parts": [{"a": 1}]}]

    batch, normalizer = normalized(*made_of(*objects), children={"o.parts": {"columns": {"a": {"type": "bigint"}}}})

    assert len(columns_of(normalizer)) == 21
    assert batch.tables["things__o__parts"]["a"].to_pylist() == [1]


def test_rows_of_a_list_have_columns_though_they_have_no_key_in_common(normalized):
    _, normalizer = normalized({"lines": [{f"k{n}": n} for n in range(20)]})

    assert len(normalizer.specs[1].columns) == 20


def test_a_record_may_have_any_number_of_keys(normalized):
    _, normalizer = normalized({f"k{n}": n for n in range(150)})

    assert len(normalizer.specs[0].columns) == 150


def test_objects_are_flattened_and_empty_ones_are_nothing(normalized):
    batch, normalizer = normalized({"customer": {"address": {"city": "Bern"}}, "none": {}})

    assert [column.name for column in normalizer.specs[0].columns] == ["customer__address__city"]
    assert batch.tables["things"]["customer__address__city"].to_pylist() == ["Bern"]


def test_lists_become_tables_of_their_own(normalized):
    batch, normalizer = normalized({"lines": [{"n": 1, "taxes": [5]}, None, {"n": 2}]}, {"lines": [{"taxes": [6, 7]}]})

    lines, taxes = batch.tables["things__lines"], batch.tables["things__lines__taxes"]
    assert [spec.parent for spec in normalizer.specs] == [None, "things", "things__lines"]
    assert lines.select(["_row", "_parent_row", "_root_row", "_position", "n"]).to_pylist() == [
        {"_row": 0, "_parent_row": 0, "_root_row": 0, "_position": 0, "n": 1},
        {"_row": 1, "_parent_row": 0, "_root_row": 0, "_position": 1, "n": None},
        {"_row": 2, "_parent_row": 0, "_root_row": 0, "_position": 2, "n": 2},
        {"_row": 3, "_parent_row": 1, "_root_row": 1, "_position": 0, "n": None},
    ]
    assert taxes.select(["_parent_row", "_root_row", "_position", "value"]).to_pylist() == [
        {"_parent_row": 0, "_root_row": 0, "_position": 0, "value": 5},
        {"_parent_row": 3, "_root_row": 1, "_position": 0, "value": 6},
        {"_parent_row": 3, "_root_row": 1, "_position": 1, "value": 7},
    ]


@pytest.mark.parametrize("items", [[[1], [2]], [1, {"a": 1}], [1, "x"]])
def test_a_list_of_lists_or_of_mixed_kinds_has_json_values(normalized, items):
    _, normalizer = normalized({"l": items})

    assert [(column.name, column.type) for column in normalizer.specs[1].columns] == [("value", "json")]


def test_an_absent_list_is_not_an_empty_one(normalized):
    batch, normalizer = normalized({"l": [1]}, {"l": []}, {"l": None}, {})

    came = normalizer.specs[1].list_hash
    assert came == "_hash__l"
    hashes = [uuid.UUID(xxhash.xxh3_128_hexdigest(text)) for text in (b"[1]", b"[]")]
    assert batch.tables["things"][came].to_pylist() == [*hashes, None, None]


def test_a_list_that_was_a_scalar_too_is_a_column_and_no_table(normalized):
    batch, normalizer = normalized({"l": [1, 2]}, {"l": "none"})

    assert [spec.name for spec in normalizer.specs] == ["things"]
    assert batch.tables["things"]["l"].to_pylist() == ["[1,2]", '"none"']
