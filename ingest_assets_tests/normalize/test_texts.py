"""Numbers, booleans and times that arrive as texts: the quick way and the exact one read the same."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.contract import Column, Contract
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry
from ingest_assets_tests.normalize.conftest import Block, raw

COLUMNS = {
    "whole": Column(type="bigint"),
    "huge": Column(type="hugeint"),
    "real": Column(type="double"),
    "money": Column(type="decimal(8,2)"),
    "sure": Column(type="boolean"),
    "at": Column(type="timestamptz", format="unix"),
    "since": Column(type="timestamptz"),
    "day": Column(type="date"),
    "key": Column(type="uuid"),
    "name": Column(type="varchar"),
}
SPELLED = st.sampled_from(
    """
    |~| |0|-0|007|+5| 5 |5.0|1e3|1_000|9223372036854775807|9223372036854775808|111111111111111111111111111111
    |0.1|.5|5.|-1.25|nan|inf|0x1|1,5|true|False|NO|y|on|1.50|1.505|1767225600|1767225600.5|99999999999999|2026-01-05
    |2026-01-05T10:00:00Z| 2026-01-05 |\u0665|0b7ab8a5-5f6b-4c6f-9e0f-0d6a4b1f0e11|NA|
    """.replace("\n    ", "").split("|")
)


def read(records: list[Any], *, quick: bool) -> tuple[Any, ...]:
    """The tables, and what is set aside, once a batch before told what is not declared."""
    contract = Contract(columns=COLUMNS, write="replace", texts=True)
    known = Normalizer("things", contract, Registry.empty())
    known.batch(Block((raw({"other": "x"}),)), 0)
    normalizer = Normalizer("things", contract, known.registry, quick=quick)

    batch = normalizer.batch(Block(tuple(raw({"other": "x"} | record) for record in records)), 0)

    aside = [(record.position, record.reason, record.value) for record in batch.quarantined]
    return {name: table.to_pylist() for name, table in batch.tables.items()}, aside


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS]), SPELLED), min_size=1, max_size=8))
def test_both_ways_read_the_same_of_texts(records):
    assert read(records, quick=True) == read(records, quick=False)


@pytest.mark.parametrize(
    ("column", "text", "value"),
    [
        ("whole", "007", 7),
        ("whole", "+5", 5),
        ("real", ".5", 0.5),
        ("real", "1e3", 1000.0),
        ("sure", "NO", False),
        ("sure", "1", True),
    ],
)
@pytest.mark.parametrize("quick", [True, False])
def test_a_text_is_read_as_its_column_is_declared(column, text, value, quick):
    tables, aside = read([{column: text}] * 60, quick=quick)

    assert [row[column] for row in tables["things"]] == [value] * 60
    assert aside == []


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("whole", "5.0"),
        ("whole", "1_000"),
        ("whole", "\u0665"),
        ("whole", "9223372036854775808"),
        ("real", "nan"),
        ("real", "1,5"),
        ("money", "1.505"),
        ("money", "+-1.5"),
        ("sure", "on"),
        ("whole", ""),
    ],
)
@pytest.mark.parametrize("quick", [True, False])
def test_a_text_that_is_none_sets_its_record_aside(column, text, quick):
    tables, aside = read([{"name": "a"}, {column: text}], quick=quick)

    assert [row["name"] for row in tables["things"]] == ["a"]
    assert [place for place, _, _ in aside] == [1]
