"""A column's type is that of the set of its values: in place where its values tell it, or rebuilt."""

from decimal import Decimal

import pytest


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["1", "18446744073709551616"], "HUGEINT", [1, 2**64]),
        (["1", "1.5"], "DOUBLE", [1.0, 1.5]),
        (["9007199254740993", "1.5"], "DECIMAL(38,1)", [Decimal("1.5"), Decimal("9007199254740993.0")]),
        (["18446744073709551616", "0.5"], "DECIMAL(38,1)", [Decimal("0.5"), Decimal("18446744073709551616.0")]),
        (["0.1", "0.12345678901234567890"], "DECIMAL(38,19)", [Decimal("0.1"), Decimal("0.1234567890123456789")]),
        (["1.5", "12345678901234567.25", "0.125"], "DECIMAL(38,3)", None),
        (["1", "18446744073709551616", "0.5", "0.25"], "DECIMAL(38,2)", None),
        (["0.12345678901234567890123456789012345678", "100"], "JSON", None),
        (["1", '"x"'], "JSON", ['"x"', "1"]),
        (["true", "1"], "JSON", ["1", "true"]),
        (['{"c":1}', "1"], "JSON", ["1", '{"c":1}']),
        (["{}", '"x"'], "JSON", ['"x"', "{}"]),
        (['{"c":null}', '"x"'], "JSON", ['"x"', '{"c":null}']),
        (["[1]", '{"c":1}'], "JSON", ["[1]", '{"c":1}']),
        (["[]", "1"], "JSON", ["1", "[]"]),
        (["[[1]]", "1"], "JSON", None),
        (["null", "1"], "BIGINT", [1, None]),
        (["null", "null", '"x"'], "VARCHAR", ["x", None, None]),
    ],
)
@pytest.mark.parametrize("backwards", [False, True])
def test_types_widen_from_fetch_to_fetch_as_in_a_rebuild(lab, rebuilt, texts, kind, values, backwards):
    things = lab()
    for number, text in enumerate(reversed(texts) if backwards else texts, 1):
        things.store(number, None, [b'{"id":%d,"v":%s}' % (number, text.encode())])
        things.load()

    assert things.columns()["v"] == kind
    assert values is None or things.values("v") == values
    assert things.contents() == rebuilt(things).contents()


@pytest.mark.parametrize(("value", "kind"), [(0.5, "DOUBLE"), (2**70, "HUGEINT"), ("N/A", "JSON"), ([], "JSON")])
def test_a_value_that_widens_a_type_makes_nobody_read_what_is_loaded_already(lab, value, kind):
    things = lab()
    things.store(1, None, [{"id": 1, "v": 1}])
    things.load()
    (things.raw / "shop" / "things" / "_" / "1" / "pages.zst").write_bytes(b"")
    things.store(2, None, [{"id": 2, "v": value}])

    things.load()

    assert things.columns()["v"] == kind
    assert sorted(things.values("id")) == [1, 2]


def test_a_key_whose_type_widens_is_still_one_key(lab, rebuilt):
    things = lab(primary_key="k")
    things.store(1, None, [{"k": 1, "v": "old"}, {"k": 2, "v": "kept"}])
    things.load()
    things.store(2, None, [{"k": 1.0, "v": "new"}, {"k": 0.5, "v": "other"}])
    things.load()

    assert things.rows("SELECT k, v FROM w.shop.things ORDER BY k") == [(0.5, "other"), (1.0, "new"), (2.0, "kept")]
    assert things.contents() == rebuilt(things).contents()


def test_a_number_and_its_text_are_two_keys(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.store(2, None, [{"id": "1"}])
    things.load()

    assert things.values("id") == ['"1"', "1"]


def test_a_column_that_held_only_null_is_not_there_yet(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "v": None, "o": {"p": None}}])
    things.load()
    first = things.columns()
    things.store(2, None, [{"id": 2, "v": 0.5, "o": {"p": True}}])
    things.load()

    assert first == {"id": "BIGINT"}
    assert things.columns() == {"id": "BIGINT", "o__p": "BOOLEAN", "v": "DOUBLE"}
    assert things.values("v") == [0.5, None]


def test_an_empty_first_fetch_makes_a_table_that_the_key_joins_later(lab, rebuilt):
    things = lab()
    things.store(1, None, [])
    things.load()
    first = (things.tables(), things.columns())
    things.store(2, None, [{"id": "a"}])
    things.load()

    assert first == (["things"], {})
    assert things.values("id") == ["a"]
    assert things.contents() == rebuilt(things).contents()


def test_lists_appear_and_become_nested(lab, rebuilt):
    things = lab()
    for number, record in enumerate(
        [{"id": 1}, {"id": 2, "l": []}, {"id": 3, "l": [{"a": 1}]}, {"id": 4, "l": [{"a": 2, "m": [{"n": ["x"]}]}]}], 1
    ):
        things.store(number, None, [record])
        things.load()

    assert things.tables() == ["things", "things__l", "things__l__m", "things__l__m__n"]
    assert things.values("value", "things__l__m__n") == ["x"]
    assert things.contents() == rebuilt(things).contents()


@pytest.mark.parametrize("items", [["[1]", '[{"a":1}]'], ["[{}]", "[1]"], ["[null]", "[true]"], ["[[1]]", "[1]"]])
@pytest.mark.parametrize("backwards", [False, True])
def test_elements_of_a_list_widen_as_in_a_rebuild(lab, rebuilt, items, backwards):
    things = lab()
    for number, text in enumerate(reversed(items) if backwards else items, 1):
        things.store(number, None, [b'{"id":%d,"l":%s}' % (number, text.encode())])
        things.load()

    assert things.contents() == rebuilt(things).contents()


def test_a_type_that_widens_in_one_partition_reaches_the_others(lab, daily, rebuilt):
    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1, "v": {"c": 1}}])
    things.load("2026-01-01")
    things.store(2, "2026-01-02", [{"id": 2, "v": "x"}])

    loaded = things.load("2026-01-02")

    assert [one.fetch for one in loaded] == [1, 2]
    assert things.values("v") == ['"x"', '{"c":1}']
    assert things.contents() == rebuilt(things).contents()


def test_columns_whose_names_differ_only_in_case_stay_apart(lab, rebuilt):
    things = lab()
    things.store(1, None, [{"id": 1, "Id": 2, "ID": 3}])
    things.load()
    things.store(2, None, [{"ID": 6, "Id": 5, "id": 4}])
    things.load()

    assert [sorted(row) for row in things.rows("SELECT COLUMNS('^[a-z]') FROM w.shop.things ORDER BY ALL")] == [
        [1, 2, 3],
        [4, 5, 6],
    ]
    assert things.contents() == rebuilt(things).contents()
