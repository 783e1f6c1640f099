"""Texts and numbers as what they are written for, read by Arrow many at a time: times, decimals, ids.

Each function gives the array of all values where every one of them is written in a plain form, of which Arrow makes
what the careful way makes of it (see `values` and `times`), and None where one needs a closer look.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ingest_assets.normalize.plain import as_written, flags_of, numbers_array, plain_array, there
from ingest_assets.normalize.values import arrow_type

_CLOCK = r"[12][0-9]{3}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
_FORMS = {
    "timestamptz": rf"^{_CLOCK}(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$",
    "timestamp": rf"^{_CLOCK}$",
    "date": r"^[12][0-9]{3}-[0-9]{2}-[0-9]{2}$",
}
_BELOW_MICROS = r"(\.[0-9]{6})[0-9]+"  # is cut
_WHOLE = r"^-?[0-9]{1,18}$"
_DOUBLE = r"^-?[0-9]{1,300}(\.[0-9]{1,300})?([eE][+-]?[0-9]{1,3})?$"
_UUID = r"(?i)^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_DECIMALS = {"unix": 6, "unix_ms": 3}  # what is below microseconds is cut, and needs a closer look
_MOST_MICROS = 62_135_596_800 * 10**6  # from the first moment of year 1, before which Python has none, to 1970
_MOST_SHIFT = 18


def times(values: Sequence[Any], kind: str, form: str) -> pa.Array | None:
    """Times of a declared type and format.

    >>> times(["2026-01-02T03:04:05.1234567+0200", None], "timestamptz", "iso").to_pylist()[0].isoformat()
    '2026-01-02T01:04:05.123456+00:00'
    >>> times([1767322800.5], "timestamptz", "unix").to_pylist()[0].isoformat()
    '2026-01-02T03:00:00.500000+00:00'
    """
    if form in _DECIMALS and kind in ("timestamptz", "timestamp"):
        return _epochs(values, arrow_type(kind), _DECIMALS[form])
    if form != "iso" or kind not in _FORMS:
        return None
    texts = plain_array(values, pa.string())
    if not _all(texts, _FORMS[kind]):
        return None
    if kind != "date" and pc.any(pc.match_substring_regex(texts, _BELOW_MICROS)).as_py():
        texts = pc.replace_substring_regex(texts, _BELOW_MICROS, r"\1")
    return texts.cast(arrow_type(kind))


def whole(values: Sequence[str | None]) -> pa.Array | None:
    """Texts of whole numbers."""
    texts = plain_array(values, pa.string())
    return texts.cast(pa.int64()) if _all(texts, _WHOLE) else None


def doubles(values: Sequence[str | None]) -> pa.Array | None:
    """Texts of numbers as their nearest doubles.

    >>> doubles(["0.1", "-1e3", None]).to_pylist(), doubles(["1e400"])
    ([0.1, -1000.0, None], None)
    """
    texts = plain_array(values, pa.string())
    if not _all(texts, _DOUBLE):
        return None
    numbers = texts.cast(pa.float64())
    return None if pc.any(pc.is_inf(numbers)).as_py() else numbers


def uuids(values: Sequence[str | None]) -> pa.Array | None:
    """Texts of UUIDs, in small letters."""
    texts = plain_array(values, pa.string())
    return pc.ascii_lower(texts) if _all(texts, _UUID) else None


def decimals(values: Sequence[Any], kind: pa.Decimal128Type) -> pa.Array | None:
    """Numbers, and texts of numbers, as decimals.

    >>> [str(number) for number in decimals(["1.50", 2, 0.25], pa.decimal128(5, 2)).to_pylist()]
    ['1.50', '2.00', '0.25']
    >>> decimals([0.125], pa.decimal128(5, 2)) is decimals(["1e1"], pa.decimal128(5, 2)) is None
    True
    """
    texts = as_written(values)
    return None if texts is None else decimals_in(texts, kind)


def decimals_in(texts: pa.Array, kind: pa.Decimal128Type) -> pa.Array | None:
    """Texts of numbers as decimals."""
    before = f"[0-9]{{1,{kind.precision - kind.scale}}}" if kind.precision > kind.scale else "0"
    behind = rf"(\.[0-9]{{1,{kind.scale}}})?" if kind.scale else ""
    return texts.cast(kind) if _all(texts, f"^-?{before}{behind}$") else None


def shifted(numbers: pa.Array, places: Any, kind: pa.Decimal128Type) -> pa.Array | None:
    """Whole numbers, as decimals of scale 0, as so many units of the last place of another, each moved up by `places`.

    >>> shifted(pa.array([1999], pa.decimal128(38, 0)), 1, pa.decimal128(9, 3)).to_pylist()
    [Decimal('19.990')]
    """
    low, high = _units(numbers)
    most = _farthest(low)
    moved = int(np.max(places, initial=0))
    if not (high == low >> 63).all() or moved > _MOST_SHIFT or most * 10**moved >= min(2**63, 10**kind.precision):
        return None
    low = low * 10 ** np.asarray(places, np.int64)
    units = np.stack([low, low >> 63], axis=1)
    valid = pc.is_valid(numbers).buffers()[1] if numbers.null_count else None
    return pa.Array.from_buffers(kind, len(numbers), [valid, pa.py_buffer(np.ascontiguousarray(units))])


def _epochs(values: Sequence[Any], kind: pa.DataType, places: int) -> pa.Array | None:
    """Seconds or milliseconds since 1970, of which so many decimals are microseconds."""
    if {type(value) for value in values} <= {int, type(None)}:
        numbers = plain_array(values, pa.int64())
        limits, most = pc.min_max(numbers).as_py(), _MOST_MICROS // 10**places
        if max(abs(limits["min"] or 0), abs(limits["max"] or 0)) > most:
            return None
        return pc.multiply(numbers, plain_array([10**places], pa.int64())[0]).cast(kind)
    numbers = decimals(values, pa.decimal128(18, places))
    if numbers is None or _farthest(low := _units(numbers)[0]) > _MOST_MICROS:
        return None
    return numbers_array(low, there(values)).cast(kind)


def _units(numbers: pa.Array) -> tuple[Any, Any]:
    """The lower and the upper half of the whole numbers that decimals are stored as, 0 for null."""
    stored = np.frombuffer(numbers.buffers()[1], np.int64, 2 * len(numbers), 16 * numbers.offset).reshape(-1, 2)
    if numbers.null_count:
        stored = np.where(flags_of(pc.is_valid(numbers))[:, None], stored, 0)
    return stored[:, 0], stored[:, 1]


def _farthest(numbers: Any) -> int:
    return max(-int(numbers.min(initial=0)), int(numbers.max(initial=0)))


def _all(texts: pa.Array, form: str) -> bool:
    holds: bool | None = pc.all(pc.match_substring_regex(texts, form)).as_py()
    return holds is not False
