"""What Arrow reads many at a time is what the careful way reads one by one, or is left to it."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest_assets.column import Column, Money
from ingest_assets.normalize import written
from ingest_assets.normalize.arrays import Misfit, money_array
from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.registry import ColumnSpec
from ingest_assets.normalize.rules import amount_fit
from ingest_assets.normalize.values import arrow_type, declared_fit

FIGURES = st.text("0123456789", min_size=1, max_size=25)
SIGNS = st.sampled_from(["", "", "-", "+", " "])
NUMBERS = st.builds(
    lambda sign, whole, rest, end: f"{sign}{whole}{rest}{end}",
    SIGNS,
    FIGURES,
    FIGURES.map(".{}".format) | st.sampled_from(["", "", ".5", ".25", ".", ".50"]),
    st.sampled_from(["", "", "", "e5", "E-2", "e+400", "\n", "x"]),
)
TEXTS = NUMBERS | st.sampled_from(["", "null", "NaN", "inf", '"5"', "\\5", "٣", "1_000", "0x1", "-"])
SENT = TEXTS | st.integers() | st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False)
SENT = st.none() | SENT | st.integers(0, 10**6).map(lambda cents: cents / 100)
MOMENTS = st.builds(
    lambda day, sep, clock, rest, offset: f"{day}{sep}{clock}{rest}{offset}",
    st.sampled_from(["2026-01-02", "2024-02-29", "2026-02-30", "0999-01-01", "2999-12-31"]),
    st.sampled_from(["T", " ", "t"]),
    st.sampled_from(["03:04:05", "23:59:59", "24:00:00", "03:04", "23:59:60"]),
    st.text("0123456789", max_size=10).map(lambda figures: figures and f".{figures}"),
    st.sampled_from(["", "Z", "+0200", "-05:30", "+00", "+0060", "+24:00", "z", " +01:00"]),
)


def fitted(kind: str, values: list[Any], *, texts: bool = False, form: Any = None) -> list[Any] | None:
    """What the careful way makes of these; None where it takes one of them not."""
    fit = declared_fit(Column(type=kind, format=form), "UTC", texts=texts)
    try:
        return [None if v is None else fit(Decimal(repr(v)) if isinstance(v, float) else v) for v in values]
    except (TypeError, ValueError, OverflowError):
        return None


def read(make: Any) -> list[Any] | None:
    """What is read at once; None where it is left to the careful way."""
    try:
        found = make()
    except (ValueError, OverflowError, pa.ArrowException):
        return None
    if found is None:
        return None
    found.validate(full=True)
    return found.to_pylist()


def check(found: list[Any] | None, careful: list[Any] | None) -> None:
    assert found is None or (careful is not None and list(map(told, found)) == list(map(told, careful)))


def told(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | time) else repr(value)


@pytest.mark.parametrize("kind", ["decimal(9,2)", "decimal(38,0)", "decimal(2,2)", "decimal(38,10)", "decimal(5,0)"])
@settings(max_examples=150, deadline=None)
@given(values=st.lists(SENT, max_size=3))
@example(values=["null", "-0.0", None])
@example(values=[2**70])
def test_decimals(kind: str, values: list[Any]) -> None:
    check(read(lambda: written.decimals(values, arrow_type(kind))), fitted(kind, values))


@settings(max_examples=150, deadline=None)
@given(values=st.lists(st.none() | TEXTS, max_size=3))
def test_whole_numbers_and_doubles_in_texts(values: list[Any]) -> None:
    check(read(lambda: written.whole(values)), fitted("bigint", values, texts=True))
    check(read(lambda: written.doubles(values)), fitted("double", values, texts=True))


@settings(max_examples=100, deadline=None)
@given(values=st.lists(st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper()) | TEXTS, max_size=2))
def test_uuids(values: list[Any]) -> None:
    check(read(lambda: written.uuids(values)), fitted("uuid", values))


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date", "time"])
@settings(max_examples=300, deadline=None)
@given(values=st.lists(st.none() | MOMENTS | MOMENTS.map(lambda one: one[:10]), max_size=2))
def test_times(kind: str, values: list[Any]) -> None:
    check(read(lambda: written.times(values, kind, "iso")), fitted(kind, values))


@pytest.mark.parametrize("form", ["unix", "unix_ms"])
@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "date", "time"])
@settings(max_examples=200, deadline=None)
@given(values=st.lists(SENT | st.integers(-(10**12), 10**15).map(lambda n: n / 1000), max_size=2))
@example(values=[-1.5, None, "1.000001"])
@example(values=[1767322800])
@example(values=[-62135596800, 0])
@example(values=[-62135596801])
@example(values=[-62135596800001])
@example(values=[-62135596800.5])
@example(values=[253402300799, 253402300799999])
def test_times_since_1970(kind: str, form: str, values: list[Any]) -> None:
    check(read(lambda: written.times(values, kind, form)), fitted(kind, values, form=form))


@pytest.mark.parametrize(
    ("values", "at_once"),
    [(["1.5", 2, 0.25, None], True), ([1, 2, 3], True), (["1e1"], False), ([0.125], False), (["+1"], False)],
)
def test_plain_decimals_are_read_at_once(values: list[Any], at_once: bool) -> None:
    assert (written.decimals(values, pa.decimal128(9, 2)) is not None) is at_once


CODES = st.sampled_from(["EUR", "eur", "JPY", "KWD", "XXQ", None])
AMOUNTS = st.none() | st.integers(-(10**6), 10**6) | st.sampled_from([0, 10**15, 10**17, 2**63, -(2**63), 10**30])


@pytest.mark.parametrize("unit", ["minor", "major"])
def test_amounts_without_any_currency_are_no_money(unit: Any) -> None:
    declared = Column(type="decimal(18,3)", money=Money(currency_from="code", unit=unit))
    spec = ColumnSpec(name="v", type="decimal(18,3)", path=("v",), declared=True)
    column = ColumnPlan(spec, amount_fit(declared), declared)

    with pytest.raises(Misfit) as error:
        money_array(column, pa.array([None, Decimal(1)], column.sent_type), None)

    assert error.value.rows.tolist() == [1]
    assert money_array(column, pa.array([None], column.sent_type), None).to_pylist() == [None]


@pytest.mark.parametrize("unit", ["minor", "major"])
@pytest.mark.parametrize("kind", ["decimal(18,3)", "decimal(38,10)", "decimal(9,2)", "decimal(9,0)"])
@settings(max_examples=150, deadline=None)
@given(pairs=st.lists(st.tuples(AMOUNTS, CODES), max_size=4))
def test_amounts_are_the_money_that_they_are_one_by_one(kind: str, unit: Any, pairs: list[tuple[Any, Any]]) -> None:
    declared = Column(type=kind, money=Money(currency_from="code", unit=unit))
    spec = ColumnSpec(name="v", type=kind, path=("v",), declared=True)
    column = ColumnPlan(spec, amount_fit(declared), declared)
    sent, careful, wrong = list[Any](), list[Any](), list[int]()
    for place, (amount, code) in enumerate(pairs):
        try:
            sent.append(None if amount is None else column.fit(amount))
        except OverflowError:
            sent.append(None)
        try:
            careful.append(None if sent[-1] is None else column.amount(sent[-1], code))
        except Exception:  # noqa: BLE001 -- whatever says that it is no money
            wrong.append(place)

    amounts, codes = pa.array(sent, column.sent_type), pa.array([code for _, code in pairs], pa.string())
    if wrong:
        with pytest.raises(Misfit) as error:
            money_array(column, amounts, codes)
        assert error.value.rows.tolist() == wrong
    else:
        assert money_array(column, amounts, codes).to_pylist() == careful
