"""Columns, child rows and `_rest` of a record are all of it, whatever the contract leaves out; else it is set aside."""

import json
import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.contract import Children, Column, Contract, Tombstone
from ingest_assets.modes import Modes
from ingest_assets.normalize.normalize import Batch, Normalizer, Widened
from ingest_assets.normalize.registry import Registry, TableSpec

DECLARED = {"id": Column(type="bigint"), "a": Column(type="bigint"), "deep": Column(type="varchar", path="o.a")}
CHILDREN = {
    "l": Children(columns={"n": Column(type="bigint", path="b")}),
    "o.l": Children(columns={"a": Column(type="boolean")}),
}
CONTRACTS = {
    "everything is taken": Contract(),
    "declared, and all else taken": Contract(columns=DECLARED, children=CHILDREN),
    "what is not declared is dropped": Contract(
        columns=DECLARED, children=CHILDREN, modes=Modes(tables="drop", columns="drop", types="drop")
    ),
    "lists are dropped": Contract(columns=DECLARED, modes=Modes(tables="drop", columns="evolve", types="drop")),
    "lists that are not declared are dropped": Contract(
        columns=DECLARED, children=CHILDREN, modes=Modes(tables="drop", columns="evolve")
    ),
    "lists that are not declared are refused": Contract(children=CHILDREN, modes=Modes(tables="quarantine")),
    "what says that a key is gone is dropped": Contract(
        columns=DECLARED,
        children=CHILDREN,
        modes=Modes(tables="drop", columns="drop"),
        deleted=Tombstone(path="o.b", equals=1),
    ),
    "keys are dropped": Contract(children=CHILDREN, modes=Modes(tables="drop", columns="drop")),
    "only values are dropped": Contract(columns=DECLARED, children=CHILDREN, modes=Modes(types="drop")),
}
SCALARS = st.sampled_from(
    ["null", "true", "1", "-7", "1.5", "0.12345678901234567891", "123456789012345678901", '"x"', '""', '"\\u00e9\\n"']
)
KEYS = st.sampled_from(["a", "b", "c", "o", "l", "A", "a_b", "", "q x"])


def objects(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.dictionaries(KEYS, values, max_size=4).map(written)


def written(record: dict[str, str]) -> str:
    return "{" + ",".join(f'"{key}":{value}' for key, value in record.items()) + "}"


def lists(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(values, max_size=3).map(lambda items: f"[{','.join(items)}]")


VALUES = st.recursive(SCALARS, lambda inner: objects(inner) | lists(inner), max_leaves=6)
# Alike for the most part, as an API's records are: else all columns end as json.
ALIKE = st.fixed_dictionaries(
    {"id": st.sampled_from(["1", "2"])},
    optional={
        "a": st.sampled_from(["1", "2", "null", '"N/A"']),
        "o": objects(st.sampled_from(["1", "null", "2.5"])) | st.just('{"a":"x","l":[{"a":true,"b":1},{"a":1}]}'),
        "l": lists(objects(st.sampled_from(["1", "7", "null"]))),
        "c": VALUES,
    },
).map(written)
RECORDS = st.lists(ALIKE | ALIKE | objects(VALUES) | st.just('{"id":1,"a":1,"a":2}'), min_size=1, max_size=10)


def fetched(blocks: Sequence[Any], contract: Contract) -> tuple[Normalizer, list[Batch]]:
    """The batches of a fetch, started again with the wider registry as often as it asks for."""
    registry = Registry.empty()
    while True:
        normalizer = Normalizer("things", contract, registry)
        try:
            return normalizer, [normalizer.batch(block, page) for page, block in enumerate(blocks)]
        except Widened as wider:
            registry = wider.registry


def exact(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def put(element: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        element = element.setdefault(key, {})
    element[path[-1]] = value


def merged(one: Any, other: Any) -> Any:
    """Both as one; what stands in both places is the same: a column of text may hold what another one drops."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: merged(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in [*one, *(key for key in other if key not in one)]
        }
    assert told(one) is None or told(other) is None or told(one) == told(other)
    return other if told(one) is None else one


class Whole:
    """What all rows of a fetch give back, put together again."""

    def __init__(self, specs: Sequence[TableSpec], batches: Sequence[Batch]) -> None:
        self.specs = specs
        self.rows: dict[str, list[dict[str, Any]]] = {spec.name: [] for spec in specs}
        for batch in batches:
            for name, table in batch.tables.items():
                self.rows[name] += table.to_pylist()

    def records(self) -> Iterator[tuple[int, int, Any]]:
        """Page, position and content of each record that has a row."""
        root = self.specs[0]
        for row in self.rows[root.name]:
            yield row["_page"], row["_position"], self.element(root, row)

    def element(self, spec: TableSpec, row: dict[str, Any]) -> Any:
        """An element as its row, the rows below it and its rest have it."""
        element: dict[str, Any] = {}
        rest: Any = None
        bare: Any = None
        for below in self.specs:
            if below.parent == spec.name:
                own = [one for one in self.rows[below.name] if one["_parent_row"] == row["_row"]]
                if own:
                    put(element, below.steps, [self.element(below, one) for one in own])
        for column in sorted(spec.columns, key=lambda column: -len(column.path)):  # what holds all comes last
            value = row.get(column.name)
            if value is None:
                continue
            value = exact(value) if column.type == "json" else Decimal(repr(value)) if type(value) is float else value
            if column.rest:
                rest = value
            elif not column.path:
                bare = value
            else:
                put(element, column.path, value)
        return merged(element if bare is None else bare, rest)


def told(value: Any) -> Any:
    """A value so that what is equal is the same: without nulls and what is empty, numbers as what they are."""
    if isinstance(value, dict):
        kept = {key: told(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    if isinstance(value, list):
        return [told(inner) for inner in value] or None
    return ("number", Fraction(value)) if type(value) in (int, Decimal) else value


@pytest.mark.parametrize("mode", ["drop", "quarantine"])
@pytest.mark.parametrize("declared", [{}, {"n": Column(type="bigint", path="b")}])
def test_a_declared_list_takes_new_keys_where_only_other_lists_are_left_out(normalized, mode, declared):
    record = {"id": 1, "l": [{"c": "x", "d": {"e": 2}}]}

    batch, _ = normalized(record, modes=Modes(tables=mode), children={"l": Children(columns=declared)})

    (row,) = batch.tables["things__l"].to_pylist()
    assert (row["c"], row["d__e"]) == ("x", 2)


@pytest.mark.parametrize("name", CONTRACTS)
@settings(max_examples=600 if "INGEST_LONG" in os.environ else 25, deadline=None)
@given(records=RECORDS, size=st.integers(1, 10), times=st.sampled_from([1, 1, 8]))
def test_columns_child_rows_and_the_rest_are_the_whole_record(block, name, records, size, times):
    records = records * times
    pages = [records[at : at + size] for at in range(0, len(records), size)]

    normalizer, batches = fetched([block(*map(str.encode, page)) for page in pages], CONTRACTS[name])

    found = {(page, place): told(content) for page, place, content in Whole(normalizer.specs, batches).records()}
    aside = {(one.page, one.position): one.record.decode() for batch in batches for one in batch.quarantined}
    sent = {(page, place): text for page, texts in enumerate(pages) for place, text in enumerate(texts)}
    assert found.keys() | aside.keys() == sent.keys()
    assert not found.keys() & aside.keys()
    assert aside == {place: sent[place] for place in aside}
    assert found == {place: told(exact(sent[place])) for place in found}
