"""Values that other loaders round, drop, rename or die of: exact in the warehouse, or set aside with the reason.

In any order, and however they are cut into pages, the tables are the same.
"""

# ruff: noqa: S608 -- the names in these queries are the tests' own

import json
import random
from decimal import Decimal
from typing import Any

import pytest

from ingest_assets.load.warehouse import quoted

FILLER = 55  # so many plain records in a page, so that the quick way is taken
# Values of one column, as they are written.
COLUMNS = {
    "integers of any length": ["0", "-0", "9007199254740993", "-9223372036854775808", "9223372036854775808", "7" * 38],
    "integers of a thousand digits": ["1", "9" * 39, "-" + "8" * 1000, "1" + "0" * 5000],
    "decimals": ["0.1", "12345678901234567890.12", "0.30000000000000004", "-0.0", "1"],
    "decimals of any length": ["0.1", f"0.{'123456789' * 9}", "1e-30"],
    "1.5 among integers": ["1", "2", "1.5", "3"],
    "1e400": ["1", "1e400", "-1e400", "1.5e-400", "1e308", "5e-324"],
    "numbers and texts": ["1", '"1"', "1.0", '"1.0"', "true", '"true"', "null", '"null"', '""'],
    "NUL and other signs": [
        '"a\\u0000b"',
        '"\\u0001"',
        '"\\u007f"',
        '"\\u2028"',
        '"\\ud83d\\ude00"',
        '"\ufeff"',
        '"\\/"',
    ],
    "texts that look like other things": ['"NaN"', '"infinity"', '"2026-01-02"', '"{}"', '":"', '"a\\":1"', '"\\\\"'],
    "objects and lists": ['{"a":1.50}', "[1,[2,[]]]", "[]", "{}", "null"],
    "keys that differ by case": ['{"Id":1,"id":2,"ID":3}', '{"iD":4}'],
    "keys with odd signs": ['{"a.b":1,"a b":2,"a\\"b":3,"a\'b":4,"":5,"$x":6,"a__b":7,"select":8,"é":9,"\\n":10}'],
    "10,000 keys": ["{" + ",".join(f'"key {n}":{n}' for n in range(10_000)) + "}", '{"key 1":1.5}'],
    "199 levels": ["[" * 198 + "1" + "]" * 198, "1"],
    "a long text": [f'"{"ü" * 500_000}"', '"short"'],
}
# Records of which nothing could be kept as it is, and what is said of them.
ASIDE = {
    "a key twice": (b'{"id":%d,"v":1,"v":2}', "stands twice"),
    "a key twice, with spaces": (b'{"id":%d,"v"  :1,"v" \n:2}', "stands twice"),
    "a key twice, one of them escaped": (b'{"id":%d,"v":1,"\\u0076":2}', "stands twice"),
    "a key twice far below": (b'{"id":%d,"v":[{"a":[{"b":1,"b":1}]}]}', "stands twice"),
    "half of a pair": (b'{"id":%d,"v":"\\ud800"}', "surrogate"),
    "half of a pair in a key": (b'{"id":%d,"\\udc00":1}', "surrogate"),
    "not UTF-8": (b'{"id":%d,"v":"\xff"}', "not UTF-8"),
    "not UTF-8 far below": (b'{"id":%d,"v":[{"a":[{"b":"\xff"}]}]}', "not UTF-8"),
    "not UTF-8 in a key": (b'{"id":%d,"\xff":1}', "not UTF-8"),
    "NaN": (b'{"id":%d,"v":NaN}', "NaN"),
    "an exponent beyond all use": (b'{"id":%d,"v":1e-99999999999999999999}', "exponent"),
    "5,000 levels": (b'{"id":%d,"v":' + b"[" * 5000 + b"]" * 5000 + b"}", "levels"),
    "no object": (b"[%d]", "not an object"),
}
ORDERS = [(0, 1000), (1, 9), (2, 60)]  # of chance, and records a page


def record(number: int, value: str) -> bytes:
    return f'{{"id":{number},"v":{value}}}'.encode()


def loaded(lab: Any, records: list[bytes], chance: int, size: int) -> Any:
    """The laboratory once it has loaded these records in some order, in pages of this size."""
    if chance:
        random.Random(chance).shuffle(records)  # noqa: S311 - an order that can be repeated
    lab.store(1, None, *(records[at : at + size] for at in range(0, len(records), size)))
    lab.load()
    return lab


def exact(kind: str, value: Any) -> Any:
    """A stored value as the exact value that it stands for."""
    if kind == "JSON":
        return json.loads(value, parse_float=Decimal, parse_int=Decimal) if value is not None else None
    return Decimal(repr(value)) if isinstance(value, float) else value


def told_by(lab: Any) -> dict[int, list[Any]]:
    """The values of each record, but for nulls, by its id; of columns and of what is in texts of JSON."""
    kinds = lab.columns()
    names = [name for name in kinds if name != "id"]
    told = {}
    for row in lab.rows(f"SELECT id, {', '.join(map(quoted, names)) or 'NULL'} FROM w.shop.things"):
        values = [exact(kinds[name], value) for name, value in zip(names, row[1:], strict=False)]
        told[row[0]] = sorted((value for value in values if value is not None), key=repr)
    return told


def sent_by(text: str, *, flat: bool) -> list[Any]:
    value = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    values = list(value.values()) if flat and isinstance(value, dict) else [value]
    return sorted((value for value in values if value is not None), key=repr)


@pytest.mark.parametrize("name", COLUMNS)
def test_each_value_is_exact_in_any_order_and_pages(lab: Any, name: str) -> None:
    values = dict(enumerate(COLUMNS[name] + ["null"] * FILLER))
    records = [record(number, value) for number, value in values.items()]

    labs = [loaded(lab(at=f"data{how[0]}"), list(records), *how) for how in ORDERS]

    assert all(one.contents() == labs[0].contents() for one in labs)
    assert not any(one.quarantined() for one in labs)
    flat = "v" not in labs[0].columns()
    assert told_by(labs[0]) == {number: sent_by(text, flat=flat) for number, text in values.items()}


@pytest.mark.parametrize("name", ASIDE)
def test_what_cannot_be_kept_is_set_aside_with_its_reason_and_nothing_else(lab: Any, name: str) -> None:
    text, reason = ASIDE[name]
    good = [record(number, "1") for number in range(FILLER)]

    labs = [loaded(lab(at=f"data{how[0]}"), [*good, text % 1000], *how) for how in ORDERS]

    for one in labs:
        [(_, _, _, told, _)] = one.quarantined()
        assert reason in told
        assert one.values("id") == list(range(FILLER))
        assert one.accounts() == {1: {"received": FILLER + 1, "inserted": FILLER, "quarantined": 1}}
