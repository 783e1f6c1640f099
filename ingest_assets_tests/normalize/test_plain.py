import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.normalize.plain import one_array, piece, plain_array

TEXTS = st.text(st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('\0\n"\\,é')), max_size=6)
NUMBERS = st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(-3, 3), st.sampled_from([2**53, -(2**53) - 1]))
VALUES = {
    pa.int64(): NUMBERS,
    pa.float64(): st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.just(-0.0)),
    pa.string(): TEXTS,
    pa.bool_(): st.booleans(),
}


@pytest.mark.parametrize("kind", VALUES, ids=str)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_array_is_the_one_that_pyarrow_makes(kind: pa.DataType, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.one_of(VALUES[kind], st.none()) if data.draw(st.booleans()) else VALUES[kind]))

    made = plain_array(values, kind)

    made.validate(full=True)
    assert (made.type, repr(made.to_pylist())) == (kind, repr(pa.array(values, kind).to_pylist()))
    assert made.null_count == values.count(None)


@pytest.mark.parametrize("kind", VALUES, ids=str)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_pieces_are_put_together_in_their_order(kind: pa.DataType, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.lists(st.one_of(VALUES[kind], st.none()), max_size=5), min_size=1))

    made = one_array([piece(values, kind) for values in pieces])

    made.validate(full=True)
    together = [value for values in pieces for value in values]
    assert (made.type, repr(made.to_pylist())) == (kind, repr(pa.array(together, kind).to_pylist()))


@pytest.mark.parametrize(
    ("value", "kind"),
    [(2**63, pa.int64()), (-(2**63) - 1, pa.int64()), (2**53 + 1, pa.float64()), ("\ud800", pa.string())],
)
@pytest.mark.parametrize("before", [[], [None]])
def test_what_the_kind_does_not_hold_is_refused(value, kind, before):
    with pytest.raises((OverflowError, ValueError, pa.ArrowException)):
        plain_array([*before, value], kind)


def test_rows_are_made_without_pandas():
    page = (
        b'[{"id": 1, "name": "a", "price": 1.5, "paid": null, "gift": true, "lines": [{"id": null}], "to": {"x": 1}}]'
    )
    script = f"""
import sys
from ingest_assets.contract import Contract
from ingest_assets.http.decoders import Block
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry
normalizer = Normalizer("orders", Contract(), Registry.empty())
batches = [normalizer.batch(Block({page!r}, lines=False, first=0, count=1), page) for page in range(2)]
assert [batch.tables["orders"].num_rows for batch in batches] == [1, 1]
print("pandas" in sys.modules)
"""

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("False\n", "")


def test_rows_of_declared_types_are_made_without_pandas():
    script = """
import json, sys
from ingest_assets.contract import Contract
from ingest_assets.http.decoders import Block
from ingest_assets.normalize.normalize import Normalizer
from ingest_assets.normalize.registry import Registry
columns = {
    "price": {"type": "decimal(9,2)"},
    "paid": {"type": "decimal(9,3)", "money": {"currency_from": "code"}},
    "code": {"type": "varchar"},
    "key": {"type": "uuid"},
    "at": {"type": "timestamptz"},
    "since": {"type": "timestamp", "format": "unix"},
}
record = {
    "price": 1.5, "paid": 199, "code": "EUR", "key": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "at": "2026-01-02T03:04:05.1234567+0100", "since": 1700000000.5,
}
records = [record, {**record, "paid": None, "code": None}] * 300
normalizer = Normalizer("orders", Contract(columns=columns), Registry.empty())
batch = normalizer.batch(Block(json.dumps(records).encode(), lines=False, first=0, count=len(records)), 0)
assert batch.tables["orders"].num_rows == len(records)
print("pandas" in sys.modules)
"""

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (ran.stdout, ran.stderr) == ("False\n", "")
