"""A record that does not fit is set aside with its reason, and stops no other."""

import pytest

from ingest_assets.contract import Contract
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry


def quarantined(normalized, bad, **contract):
    batch, _ = normalized({"id": 1}, bad, {"id": 3}, **contract)
    assert batch.received == 3
    assert batch.tables["things"].num_rows == 3 - len(batch.quarantined)
    return [(one.position, one.column, one.reason, one.value) for one in batch.quarantined]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a":1,"a":2}', "the key 'a' stands twice in one object"),
        (b'{"o":{"a":1,"a":1}}', "the key 'a' stands twice in one object"),
        (b'{"a":"\\ud800"}', "half of a surrogate pair in a string"),
        (b'{"\\udc00":1}', "half of a surrogate pair in a string"),
        (b'{"a":NaN}', "NaN is no number of JSON"),
        (b'{"a":-Infinity}', "-Infinity is no number of JSON"),
        (b'{"a":"\xff"}', "not UTF-8 at byte 6 of the record"),
        (b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", "more than 200 levels deep"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "more than 200 levels deep"),
        (b'{"a":01}', "not JSON: Expecting ',' delimiter at character 6 of the record"),
        (b"[1]", "the record is not an object"),
        (b"null", "the record is not an object"),
        (b'{"a":1e9999999999999999999}', "a number with an exponent beyond all use"),
    ],
)
def test_what_is_no_record_is_set_aside(normalized, text, reason):
    assert quarantined(normalized, text) == [(1, None, reason, None)]


@pytest.mark.parametrize(
    "text", [b'{"a":"\\u0000"}', b'{"a":' + b"[" * 199 + b"]" * 199 + b"}", b'{"a":"\\ud83d\\ude00"}']
)
def test_what_is_odd_but_right_is_a_row(normalized, text):
    assert quarantined(normalized, text) == []


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ({"type": "bigint"}, b'"1"', "a string that does not fit bigint"),
        ({"type": "bigint"}, b"1.0", "a number that does not fit bigint"),
        ({"type": "bigint"}, b"true", "a boolean that does not fit bigint"),
        ({"type": "bigint"}, b"9223372036854775808", "an integer that does not fit bigint"),
        ({"type": "hugeint"}, b"1" + b"0" * 38, "an integer that does not fit hugeint"),
        ({"type": "boolean"}, b"1", "an integer that does not fit boolean"),
        ({"type": "double"}, b'"1"', "a string that does not fit double"),
        ({"type": "double"}, b"1e400", "a number that does not fit double"),
        ({"type": "varchar"}, b"true", "a boolean that does not fit varchar"),
        ({"type": "varchar", "values": ("a", "b")}, b'"c"', "a string that does not fit varchar; `values` are a, b"),
        ({"type": "varchar", "values": ("a", "b")}, b'["a"]', "a list that does not fit varchar"),
        ({"type": "decimal(4,2)"}, b"1.005", "a number that does not fit decimal(4,2)"),
        ({"type": "decimal(4,2)"}, b"100", "an integer that does not fit decimal(4,2)"),
        ({"type": "decimal(4,2)"}, b'"1,5"', "a string that does not fit decimal(4,2)"),
        ({"type": "uuid"}, b'"123"', "a string that does not fit uuid"),
        ({"type": "date"}, b'"2026-02-29"', "a string that does not fit date, format iso"),
        ({"type": "date"}, b'"2026-02-01T00:00:00Z"', "a string that does not fit date, format iso"),
        ({"type": "timestamptz"}, b'"yesterday"', "a string that does not fit timestamptz, format iso"),
        ({"type": "timestamptz"}, b'"0001-01-01T00:00:00+05:00"', "a string that does not fit timestamptz, format iso"),
        ({"type": "timestamptz"}, b"1700000000", "an integer that does not fit timestamptz, format iso"),
        ({"type": "timestamptz", "format": "unix"}, b'"soon"', "a string that does not fit timestamptz, format unix"),
        ({"type": "timestamp"}, b'"2026-01-01T00:00:00Z"', "a string that does not fit timestamp, format iso"),
        ({"type": "time"}, b'"25:00"', "a string that does not fit time, format iso"),
        ({"type": "time", "format": "%H:%M%z"}, b'"23:30+0500"', "a string that does not fit time, format %H:%M%z"),
    ],
)
def test_a_value_that_does_not_fit_its_column_sets_its_record_aside(normalized, column, value, told):
    found = quarantined(normalized, b'{"id":2,"v":' + value + b"}", columns={"v": column})

    assert [(place, name, reason) for place, name, reason, _ in found] == [(1, "v", f"column 'v': {told}")]


@pytest.mark.parametrize("bad", [b'{"v":1}', b'{"id":null}'])
@pytest.mark.parametrize("contract", [{"primary_key": "id"}, {"columns": {"id": {"type": "bigint", "required": True}}}])
def test_a_record_without_a_key_or_a_required_value_is_set_aside(normalized, bad, contract):
    ((place, column, reason, _),) = quarantined(normalized, bad, **contract)

    assert (place, column) == (1, "id")
    assert "no value" in reason


@pytest.mark.parametrize(
    ("record", "key", "column"),
    [
        ({"user": {"id": 1}}, "user__id", {"uid": {"type": "bigint", "path": "user.id"}}),
        ({"user": {"id": 1}}, "user__id", {"user": {"type": "json"}}),
        ({"ID": 1}, "id", {"number": {"type": "bigint", "path": "ID"}}),
        ({"userId": 1}, "user_id", {"userId": {"type": "bigint"}}),
        ({"userId": 1}, "userId", {"user_id": {"type": "bigint"}}),
    ],
)
def test_a_key_whose_value_is_in_another_column_is_none(normalized, record, key, column):
    batch, _ = normalized(record, record, primary_key=(key,), columns=column)

    told = f"column {key!r}: no value, and it is part of the key"
    assert [(one.column, one.reason) for one in batch.quarantined] == [(key, told)] * 2


def test_a_tombstone_needs_its_key_only(normalized):
    contract = {
        "columns": {"id": {"type": "bigint"}, "name": {"type": "varchar", "required": True}},
        "primary_key": "id",
        "deleted": {"path": "gone", "equals": True},
    }

    batch, _ = normalized(
        {"id": 1, "name": "a"}, {"id": 1, "gone": True}, {"id": 2, "gone": 1}, {"gone": True}, **contract
    )

    assert batch.tables["things"]["_deleted"].to_pylist() == [False, True]
    assert [one.position for one in batch.quarantined] == [2, 3]


def test_a_declared_list_that_is_none_sets_its_record_aside(normalized):
    found = quarantined(normalized, {"id": 2, "l": "x"}, children={"l": {"columns": {"n": {"type": "bigint"}}}})

    assert [reason for _, _, reason, _ in found] == ["list 'l': a string where a list is declared"]


def test_a_bad_value_in_a_child_sets_the_whole_record_aside(normalized):
    record = {"id": 2, "l": [{"n": 1}, {"n": "x"}]}

    found = quarantined(normalized, record, children={"l": {"columns": {"n": {"type": "bigint"}}}})

    assert found == [(1, "l.n", "column 'n': a string that does not fit bigint", '"x"')]


def test_a_sensitive_value_is_not_shown(normalized):
    found = quarantined(normalized, {"v": "secret"}, columns={"v": {"type": "bigint", "sensitive": True}})

    assert [value for *_, value in found] == [None]


ID = {"type": "bigint"}
SECRET = {"type": "varchar", "path": "a.b", "sensitive": True}
IN_KEY = {"type": "varchar", "path": "id.b", "sensitive": True}
CLOSED = {"modes": {"columns": "quarantine", "tables": "quarantine"}}
OF_LISTS = {"children": {"l": {"columns": {"b": {"type": "varchar", "sensitive": True}}}}}


@pytest.mark.parametrize(
    ("record", "contract"),
    [
        ({"a": [{"b": "secret"}]}, {"columns": {"id": ID, "b": SECRET}, **CLOSED}),
        ({"a": "secret"}, {"columns": {"id": ID, "b": SECRET}, **CLOSED}),
        ({"a": {"b": "secret"}}, {"columns": {"b": SECRET, "a": {"type": "varchar"}}}),
        ({"id": {"b": "secret"}}, {"columns": {"b": IN_KEY}, "primary_key": ("id",)}),
        ({"a": {"b": {"c": 1}}}, {"columns": {"b": SECRET, "c": {"type": "varchar", "path": "a.b.c"}}}),
        ({"l": ["secret"]}, {**OF_LISTS, **CLOSED, "columns": {"id": ID}}),
        ({"l": {"b": {"c": "secret"}}}, {**OF_LISTS, **CLOSED, "columns": {"id": ID}}),
        ({"l": [{"b": "x"}]}, {**OF_LISTS, "columns": {"l": {"type": "varchar"}}}),
    ],
)
def test_what_is_around_a_sensitive_value_or_inside_of_it_is_not_shown(normalized, record, contract):
    found = quarantined(normalized, record, **contract)

    assert [value for *_, value in found] == [None]


def test_what_is_beside_a_sensitive_value_is_shown(normalized):
    found = quarantined(normalized, {"a": {"b": "secret", "c": 1}}, columns={"id": ID, "b": SECRET}, **CLOSED)

    assert [value for *_, value in found] == ["1"]


def test_a_record_set_aside_teaches_nothing(normalized):
    _, normalizer = normalized({"v": 1, "w": 1}, {"v": "x", "w": "x", "new": 1}, columns={"v": {"type": "bigint"}})

    assert [(column.name, column.type) for column in normalizer.specs[0].columns] == [("v", "bigint"), ("w", "bigint")]


def test_a_bad_record_in_a_large_block_stops_no_other(normalized):
    records = [{"id": n} for n in range(500)]

    batch, _ = normalized(*records[:250], b'{"id":1,"id":1}', *records[250:])

    assert [one.position for one in batch.quarantined] == [250]
    assert batch.tables["things"]["id"].to_pylist() == list(range(500))


@pytest.mark.parametrize(
    "twin",
    [
        b'{"a":1,"a":2,"b":3}',
        b'{"a":1,"a":2,"b" :3}',
        b'{"a":1,"a":2,"b"\n:3}',
        b'{"a":1,"a":"\\":","b" :3}',
        b'{"a":1,"a":2,"c\\\\":3}',
    ],
)
def test_a_doubled_key_is_found_however_the_others_are_written(block, twin):
    normalizer = Normalizer("things", Contract(), Registry.empty())
    normalizer.batch(block(*[{"a": 1, "b": 2, "c\\": 3}] * 20), 0)

    batch = normalizer.batch(block(*[b'{"a":1,"b":2}'] * 20, twin), 1)

    assert [one.position for one in batch.quarantined] == [20]


def test_a_large_block_may_hold_what_is_no_json(block):
    normalizer = Normalizer("things", Contract(), Registry.empty())
    records = [b'{"a":NaN}', *[{"a": n} for n in range(100)]]

    batches = [normalizer.batch(block(*records), page) for page in range(2)]

    assert [len(batch.quarantined) for batch in batches] == [1, 1]
    assert [batch.tables["things"].num_rows for batch in batches] == [100, 100]
