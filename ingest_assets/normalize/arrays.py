"""Decoded values of one column as an Arrow array, by as few steps of Python as the type allows.

The values are of the type that `wire_type` names, or None: the decoder saw to that. What is left to show is
range and form; Misfit says that something here has to be looked at record by record.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import ne
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import replace

from ingest_assets.column import TIME_TYPES, Money
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.normalize import written
from ingest_assets.normalize.columns import ColumnPlan
from ingest_assets.normalize.exact import MOST_LEVELS, exact_value, levels
from ingest_assets.normalize.names import Path
from ingest_assets.normalize.plain import Piece, bytes_array, flags_of, numbers_of, one_array, piece, plain_array
from ingest_assets.normalize.shape import Shape, learn_number
from ingest_assets.normalize.values import Unfit, arrow_type, json_text

# What numbers have that are not written in their one way, and other texts by chance. Each begins with the sign that is
# seldom: where a pattern begins with any figure, it takes ten times as long to find that there is none.
_NOT_CANONICAL = tuple(
    map(
        re.compile,
        (rb"\.(?<=[0-9]\.)0+(?![0-9])", rb"e(?<=[0-9]e)[-+0-9]", rb"E(?<=[0-9]E)[-+0-9]", b"0" * 40),
    )
)
_MOST_SCALE = 22  # powers of ten up to here are doubles themselves
_SURE = 1e15
_TINY = 1e-99
_SHORT = 150
_BEYOND = (*UNREADABLE, OverflowError)  # a number that is encoded as none
_encoder = msgspec.json.Encoder()
_NUMBERS = {int, Decimal, type(None)}


class Misfit(Exception):
    """Not shown to fit the known shape: to be taken record by record.

    `rows` are ordinals of those that do not fit, where that is known: of the values at hand, then `in_table`, and at
    last `records` are whose they are.
    """

    def __init__(self, told: str, rows: npt.ArrayLike = ()) -> None:
        super().__init__(told)
        self.rows = np.asarray(rows, np.int64)
        self.table: Path = ()
        self.records = self.rows[:0]

    def in_table(self, table: Path, rows: npt.NDArray[np.int64]) -> None:
        """Say in which rows of a table the values are."""
        self.table, self.rows = table, rows[self.rows]


class Twins(Misfit):
    """A key may stand twice in an object of one of these records."""


def is_raw(column: ColumnPlan) -> bool:
    """Whether a column's values are taken as text, and parsed exactly."""
    return column.spec.type == "json" or (column.declared is None and column.spec.type.startswith("decimal"))


def wire_type(column: ColumnPlan) -> Any:
    """What the decoder takes for a column's values, but for null."""
    kind = column.spec.type
    if _is_unified(column) and not column.texts:
        return str | int | bool
    if kind in TIME_TYPES:
        return int | float | str if _is_unix(column) else str
    if kind.startswith("decimal"):
        return int | float | str
    if column.texts and column.declared is not None:
        return str
    plain = {"boolean": bool, "bigint": int, "hugeint": int, "double": int | float}
    return plain.get(kind, str)


def needs_exact_doubles(column: ColumnPlan) -> bool:
    """Whether a number with a point must be what its double says. A declared double takes the nearest."""
    if column.declared is None:
        return column.spec.type == "double"
    return column.spec.type.startswith("decimal") or _is_unix(column)


def refuse_lost(column: ColumnPlan, array: pa.Array, doubles: Iterable[float]) -> None:
    """Misfit where a column holds what became of one of these doubles, which are not the numbers that were written."""
    held = [double for double in doubles if _fits(column, double)]
    lost = pc.is_in(array, value_set=one_array([piece_of(column, held)])) if held else None
    if lost is not None and pc.any(lost).as_py():
        raise Misfit(column.spec.name, np.flatnonzero(flags_of(lost)))


def _is_unified(column: ColumnPlan) -> bool:
    return column.declared is not None and column.declared.spellings is not None


def _asks_of_texts(column: ColumnPlan) -> bool:
    return column.declared is not None and not (column.declared.values is None and column.declared.pattern is None)


def _is_unix(column: ColumnPlan) -> bool:
    return column.declared is not None and column.declared.format in ("unix", "unix_ms")


def piece_of(column: ColumnPlan, values: Sequence[Any]) -> Piece:
    """A piece of a column that is not raw, amounts of money as they were sent, within bounds or not; raises Misfit."""
    try:
        plain = _plain_kind(column)
        return _array_of(column, values) if plain is None else piece(values, plain)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise Misfit(column.spec.name, _unfit(column, values)) from error


def _unfit(column: ColumnPlan, values: Sequence[Any]) -> list[int]:
    """The places of those values that a declared column does not take."""
    kinds = list(zip(map(type, values), values, strict=True))  # True and 1 are equal, and not the same
    wrong = {kind for kind in set(kinds) if not _fits(column, kind[1])}
    return [place for place, kind in enumerate(kinds) if kind in wrong]


def _fits(column: ColumnPlan, value: Any) -> bool:
    try:
        return value is None or column.fit(_exact(value)) is not None
    except (TypeError, ValueError, OverflowError):
        return False


def _exact(value: Any) -> Any:
    """A value as the exact way has it: a double that was shown to be exact is the number that its shortest form is."""
    return Decimal(repr(value)) if isinstance(value, float) else value


def _plain_kind(column: ColumnPlan) -> pa.DataType | None:
    """The Arrow type of a column that takes any value of its kind as it is; None where one has to be looked at."""
    kind, declared = column.spec.type, column.declared is not None
    if kind == "varchar":
        return None if _asks_of_texts(column) else arrow_type(kind)
    if kind in ("boolean", "bigint"):
        return None if declared and column.texts else arrow_type(kind)
    return arrow_type(kind) if kind == "double" and not declared else None


def _array_of(column: ColumnPlan, values: Sequence[Any]) -> pa.Array:
    if column.spec.type == "double" and not column.texts:
        return plain_array([None if value is None else float(value) for value in values], pa.float64())
    quick = _written(column, values)
    return _fitted(column, values) if quick is None else quick


def _written(column: ColumnPlan, values: Sequence[Any]) -> pa.Array | None:
    """The values where all are written in the plainest form of their type."""
    kind, declared = column.spec.type, column.declared
    if declared is not None and kind in TIME_TYPES:
        return written.times(values, kind, declared.format or "iso")
    if kind.startswith("decimal"):
        return written.decimals(values, column.sent_type)
    if kind == "uuid":
        return written.uuids(values)
    if column.texts and kind in ("bigint", "double"):
        return written.whole(values) if kind == "bigint" else written.doubles(values)
    return None


def refuse_outside(column: ColumnPlan, array: pa.Array) -> None:
    """Misfit where a value is not within the bounds that the contract gives."""
    limits = pc.min_max(array).as_py()
    if limits["min"] is not None and not all(map(column.bounds.hold, limits.values())):
        values = enumerate(array.to_pylist())
        raise Misfit(
            column.spec.name, [n for n, value in values if value is not None and not column.bounds.hold(value)]
        )


def money_array(column: ColumnPlan, sent: pa.Array, codes: pa.Array | None) -> pa.Array:
    """Amounts as they were sent, with the code beside each, as the money that they are; raises Misfit."""
    array = _quick_money(column, sent, codes)
    if array is None:
        array = _money(column, sent, codes)
    refuse_outside(column, array)
    return array


def _quick_money(column: ColumnPlan, sent: pa.Array, codes: pa.Array | None) -> pa.Array | None:
    """The same where all currencies are known and no digit goes: by whole numbers; None where one has to be looked at.

    An amount in minor units is that many of the last digit of its currency.
    """
    money = column.declared.money if column.declared is not None else None
    if money is None or (digits := _digits(money, sent, codes)) is None:
        return None
    if money.unit == "major":
        return sent
    kind = arrow_type(column.spec.type)
    moved = kind.scale - digits
    return written.shifted(sent, moved, kind) if np.min(moved, initial=0) >= 0 else None


def _digits(money: Money, sent: pa.Array, codes: pa.Array | None) -> npt.NDArray[np.int64] | None:
    """How many digits the currency of each amount has, or one for all; None where that is not known of one."""
    if money.currency is not None:
        known = [money.digits(money.currency)]
        return None if None in known else np.asarray(known, np.int64)
    if codes is None or pc.any(pc.and_(pc.is_null(codes), pc.is_valid(sent))).as_py():
        return None
    told = codes.dictionary_encode()
    known = [money.digits(code) for code in told.dictionary.to_pylist()]
    if None in known:
        return None
    digits = np.zeros(len(codes), np.int64)
    digits[flags_of(pc.is_valid(codes))] = np.asarray(known, np.int64)[numbers_of(told.indices.cast(pa.int64()))]
    return digits


def _money(column: ColumnPlan, sent: pa.Array, codes: pa.Array | None) -> pa.Array:
    amounts = sent.to_pylist()
    pairs = list(zip(amounts, codes.to_pylist() if codes is not None else [None] * len(amounts), strict=True))
    told, wrong = dict[tuple[Any, Any], Any](), set[tuple[Any, Any]]()
    for pair in set(pairs):
        try:
            told[pair] = None if pair[0] is None else column.amount(*pair)
        except (Unfit, TypeError, ValueError, OverflowError):
            wrong.add(pair)
    if wrong:
        raise Misfit(column.spec.name, [place for place, pair in enumerate(pairs) if pair in wrong])
    return pa.array([told[pair] for pair in pairs], arrow_type(column.spec.type))


def _fitted(column: ColumnPlan, values: Sequence[Any]) -> pa.Array:
    # The doubles in the text are shown to be exact wherever this is asked.
    if _is_unified(column):
        return _unified(column, values)
    fitted = {value: column.fit(_exact(value)) for value in set(values) if value is not None}
    return pa.array([fitted.get(value) for value in values], column.sent_type)


def _unified(column: ColumnPlan, values: Sequence[Any]) -> pa.Array:
    keys = list(zip(map(type, values), values, strict=True))  # True and 1 are equal, and not the same
    fitted = {key: None if key[1] is None else column.fit(key[1]) for key in set(keys)}
    return plain_array([fitted[key] for key in keys], pa.string())


def raw_values(texts: Sequence[Any], above: int) -> list[Any]:
    """Texts of JSON values, found `above` levels deep in their records, as exact values; raises Misfit."""
    try:
        return [exact_value(bytes(text), above) for text in texts]
    except Unfit as error:
        raise Misfit(error.reason) from error


def fitted_array(column: ColumnPlan, values: Sequence[Any]) -> pa.Array:
    """Exact values as they fit their column; raises Misfit."""
    if column.declared is None and column.spec.type != "json" and not {type(v) for v in values} <= _NUMBERS:
        raise Misfit(column.spec.name)
    try:
        fitted = [None if value is None else column.fit(value) for value in values]
        array = pa.array(fitted, column.sent_type)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as error:
        raise Misfit(column.spec.name) from error
    if not column.bounds.none and not column.is_money:
        refuse_outside(column, array)
    return array


def json_array(texts: Sequence[Any], joined: bytes, above: int) -> pa.Array:
    """Texts of JSON values as their canonical texts, null for null; raises Misfit.

    `joined` is the JSON array of them. Those that are canonical as they came are what their re-encoded values give.
    """
    texts = [bytes(text) for text in texts]
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if any(levels(texts[place]) + above > MOST_LEVELS for place in np.flatnonzero(lengths > _SHORT).tolist()):
        raise Misfit("levels")
    for place in _doubtful(texts, lengths, joined):
        try:
            texts[place] = _canonical(texts[place], above).encode()
        except Unfit as error:
            raise Misfit(error.reason, [place]) from error
    return bytes_array(texts, b"null")


def _doubtful(texts: Sequence[bytes], lengths: npt.NDArray[np.int64], joined: bytes) -> Iterable[int]:
    """The places of those that may not be canonical."""
    if _is_canonical(joined):
        return ()
    try:
        lines = _encoder.encode_lines(msgspec.json.decode(joined)).split(b"\n")
    except _BEYOND:
        return range(len(texts))
    ends = np.cumsum(lengths + 1)  # each is followed by a comma, and the first one begins after a bracket
    return {
        *np.searchsorted(ends, [*_written_otherwise(joined)]).tolist(),
        *np.flatnonzero(np.fromiter(map(ne, texts, lines), np.bool_, len(texts))).tolist(),
    }


def _is_canonical(text: bytes) -> bool:
    try:
        same = bool(msgspec.json.encode(msgspec.json.decode(text)) == text)
    except _BEYOND:
        return False
    return same and next(_written_otherwise(text), None) is None


def _written_otherwise(text: bytes) -> Iterator[int]:
    """Places of what only numbers have that may not be written in their one way."""
    return (found.start() for pattern in _NOT_CANONICAL for found in pattern.finditer(text))


def _canonical(text: bytes, above: int) -> str:
    return str(text, "utf-8") if _is_canonical(text) else json_text(exact_value(text, above))


def news(known: Shape, type_name: str, array: pa.Array) -> list[Decimal | int]:
    """The numbers of a learned column that its shape does not know the like of: longer, or with more decimals.

    The fast path accepts a number only where it changes nothing that a later clash would decide by.
    """
    numbers: list[Any] = _new_doubles(known, array) if type_name == "double" else _limits(known, type_name, array)
    grown = replace(known)
    for number in numbers:
        learn_number(grown, number)
    return numbers if grown != known else []


def _limits(known: Shape, type_name: str, array: pa.Array) -> list[Any]:
    """The least and the greatest number, beside which no other is news; all decimals where one may be."""
    scale = 0 if type_name in ("bigint", "hugeint") else array.type.scale
    if scale and not (known.beyond_a_double and known.scale == scale):
        return [value for value in array.to_pylist() if value is not None]
    limits = [limit for limit in pc.min_max(array).as_py().values() if limit is not None]
    return [int(limit) for limit in limits] if type_name == "hugeint" else limits


def _new_doubles(known: Shape, array: pa.Array) -> list[Decimal]:
    values = numbers_of(array)
    if not len(values):
        return []
    limits = [values.min(), values.max()]
    if known.scale <= _MOST_SCALE:
        # m / 10^s is rounded correctly, so a value that comes back is the double of a number of s decimals
        # and at most 15 digits, and no other such number has that double.
        power = 10.0**known.scale
        with np.errstate(over="ignore", invalid="ignore"):
            figures = np.rint(values * power)
            values = values[~((figures / power == values) & (np.abs(figures) < _SURE))]
    told = [text for text in map(repr, values.tolist()) if "e" in text or _decimals_in(text) > known.scale]
    return [*map(Decimal, map(repr, map(float, limits))), *map(Decimal, told)]


def _decimals_in(text: str) -> int:
    return len(text) - 1 - text.index(".")


def has_tiny(array: pa.Array) -> bool:
    """Whether a column of doubles holds a number so small that digits may be lost, or a zero that may be one."""
    values = numbers_of(array)
    return bool(len(values)) and bool(np.abs(values).min() < _TINY)
