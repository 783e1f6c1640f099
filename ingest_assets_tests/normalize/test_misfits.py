"""Records that are kept from the quick way: just those that do not fit it, and told by it as such."""

import json
from typing import Any

import msgspec
import pytest

from ingest_assets.column import Column, Money
from ingest_assets.contract import Children, Contract
from ingest_assets.normalize.arrays import Misfit
from ingest_assets.normalize.fast import Fast
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry

COLUMNS = {
    "price": Column(type="decimal(9,2)", min=0),
    "paid": Column(type="decimal(9,2)", money=Money(currency_from="code")),
    "code": Column(type="varchar"),
    "at": Column(type="timestamptz"),
    "since": Column(type="timestamptz", format="unix"),
    "width": Column(type="double"),
    "name": Column(type="varchar", pattern="[a-z]+", required=True),
}
CHILDREN = {
    "lines": Children(columns={"n": Column(type="decimal(9,2)")}),
    "lines.taxes": Children(columns={"rate": Column(type="decimal(9,4)", max=1)}),
}
GOOD: dict[str, Any] = {
    "price": 1.5,
    "paid": 199,
    "code": "EUR",
    "at": "2026-01-02T03:04:05Z",
    "since": 1700000000.5,
    "width": 0.5,
    "name": "a",
    "x": 0.25,
    "lines": [{"n": 1.5, "taxes": [{"rate": 0.19}, {"rate": 0.07}]}, {"n": 2}],
}


def quick(block: Any) -> Fast:
    contract = Contract(columns=COLUMNS, children=CHILDREN)
    first = Normalizer("things", contract, Registry.empty())
    first.batch(block(GOOD), 0)
    normalizer = Normalizer("things", contract, first.registry)
    assert normalizer.fast is not None
    return normalizer.fast


def columns(fast: Fast, texts: list[bytes]) -> Any:
    return fast.columns([msgspec.json.decode(text, type=fast.tree.struct) for text in texts], texts)


def text(**more: Any) -> bytes:
    return json.dumps({**GOOD, **more}).encode()


@pytest.mark.parametrize(
    "more",
    [
        {"price": "N/A"},
        {"price": 1.234},
        {"price": -1},
        {"paid": 1.5},
        {"code": "none"},
        {"code": None},
        {"at": "yesterday"},
        {"name": "A"},
        {"name": None},
        {"lines": [{"n": "x"}]},
        {"lines": [{}, {}, {"taxes": [{"rate": 0.5}, {"rate": 2}]}]},
    ],
)
def test_a_value_that_does_not_fit_keeps_its_own_record_from_the_quick_way(block, more):
    texts = [text(lines=[GOOD["lines"][0]] * (n % 3)) for n in range(20)]
    texts[7], texts[13] = text(**more), text(**more)

    with pytest.raises(Misfit) as told:
        columns(quick(block), texts)

    assert told.value.records.tolist() == [7, 13]


@pytest.mark.parametrize("place", ["price", "since", "x"])
def test_a_number_that_no_double_holds_keeps_its_own_record_from_the_quick_way(block, place):
    texts = [text() for _ in range(20)]
    texts[7] = text(**{place: 7.125}).replace(b"7.125", b"7.1250000000000000001")

    with pytest.raises(Misfit) as told:
        columns(quick(block), texts)

    assert told.value.records.tolist() == [7]


@pytest.mark.parametrize("more", [b'"width":52.5200065999999991234', b'"code":"EUR, 1234567890123456.5"'])
def test_a_number_that_no_double_holds_is_no_matter_of_columns_that_do_not_hold_it(block, more):
    field = more.split(b":")[0]
    texts = [text().replace(field + b": " + json.dumps(GOOD[field.strip(b'"').decode()]).encode(), more)] * 20
    if b"code" in more:
        texts = [one.replace(b'"paid": 199', b'"paid": null') for one in texts]

    found = columns(quick(block), texts)

    assert len(found) == 20
    assert found.tables[()].arrays["price"].to_pylist()[0] == 1.5
