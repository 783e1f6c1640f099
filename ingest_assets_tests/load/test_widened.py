"""A column that takes a wider type without the responses holds what it would hold had they been read again."""

import json
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ingest_assets.load.widened import widened
from ingest_assets.normalize.shape import MOST_DIGITS, Shape, joined, learn, scalar_type
from ingest_assets.normalize.values import arrow_type, learned_fit

_INTEGERS = st.integers(-(10**MOST_DIGITS) + 1, 10**MOST_DIGITS - 1)
_SMALL = st.integers(-(2**53), 2**53)
_WRITTEN = st.builds(lambda value: Decimal(repr(value)), st.floats(allow_nan=False, allow_infinity=False))
_SHORT = st.decimals(-1000, 1000, places=3)
_FINE = _INTEGERS.map(lambda figures: Decimal(f"{figures}e-{MOST_DIGITS}"))
_ONE_KIND = st.one_of(
    *(st.lists(values, min_size=1, max_size=6) for values in (st.booleans(), st.text(), _INTEGERS, _SMALL)),
    st.lists(_WRITTEN | _SMALL, min_size=1, max_size=6),
    st.lists(_SHORT | _INTEGERS, min_size=1, max_size=6),
    st.lists(_SHORT | _FINE, min_size=1, max_size=6),
)
_ANY = st.lists(st.booleans() | st.text(max_size=3) | _INTEGERS | _SMALL | _WRITTEN | _SHORT, max_size=3)


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


def shape_of(values: list[Any]) -> Shape:
    shape = Shape()
    for value in values:
        learn(shape, value)
    return shape


def staged(connection: duckdb.DuckDBPyConnection, values: list[Any], kind: str) -> None:
    """A table of these values as a load stages them in a learned column of this type."""
    fitted = pa.array([None if value is None else learned_fit(kind)(value) for value in values], arrow_type(kind))
    connection.register("arrived", pa.table({"v": fitted}))
    connection.execute(f"CREATE OR REPLACE TABLE t AS SELECT CAST(v AS {kind}) AS v FROM arrived")  # noqa: S608 -- the test's own names
    connection.unregister("arrived")


def texts(connection: duckdb.DuckDBPyConnection) -> list[Any]:
    return connection.execute("SELECT CAST(v AS VARCHAR), typeof(v) FROM t ORDER BY rowid").fetchall()


@given(values=_ONE_KIND, later=_ANY)
def test_a_column_made_wider_holds_what_it_would_hold_had_its_values_been_read_again(connection, values, later):
    shape = shape_of(values)
    former, wanted = scalar_type(shape), scalar_type(joined(shape, shape_of(later)))
    assume(former != wanted)
    staged(connection, [*values, None], former)

    connection.execute(f"ALTER TABLE t ALTER v TYPE {wanted} USING {widened('v', former.upper(), wanted.upper())}")

    found = texts(connection)
    staged(connection, [*values, None], wanted)
    assert found == texts(connection)


def test_a_double_of_any_size_is_written_out_as_the_json_number_that_it_came_as(connection):
    values = [Decimal(f"{figures}e{n}") for n in range(-324, 309) for figures in ("1", "-7.25", "9.0071992547409")]
    values = [value for value in values if Decimal(repr(float(value))) == value] + [Decimal("-0.0")]
    staged(connection, values, "double")

    connection.execute(f"ALTER TABLE t ALTER v TYPE JSON USING {widened('v', 'DOUBLE', 'JSON')}")

    found = texts(connection)
    staged(connection, values, "json")
    assert found == texts(connection)


def test_every_character_of_a_text_is_escaped_as_in_the_json_that_it_came_as(connection):
    values = [f"<{chr(code)}>" for code in (*range(0x300), 0x2028, 0xFFFD, 0x10FFFF)] + ['"\\"', "", "null", "\\u0041"]
    staged(connection, values, "varchar")

    connection.execute(f"ALTER TABLE t ALTER v TYPE JSON USING {widened('v', 'VARCHAR', 'JSON')}")

    found = texts(connection)
    assert [json.loads(text) for text, _ in found] == values
    staged(connection, values, "json")
    assert found == texts(connection)


def test_what_only_the_responses_tell_is_not_made_up():
    assert widened("v", "JSON", "VARCHAR") is None
    assert widened("v", "VARCHAR", "BIGINT") is None
    assert widened("v", "UUID", "JSON") is None
    assert widened("v", "TIMESTAMPTZ", "JSON") is None
