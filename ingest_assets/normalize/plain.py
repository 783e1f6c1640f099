"""Arrow arrays of plain values by way of numpy, and numpy arrays of them.

Before pyarrow makes its first array of Python values it imports pandas, which takes as long as some ten thousand
records. So it is asked only for what is not as plain as nearly everything is.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, repeat
from operator import is_not, ne
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_assets.normalize.values import arrow_type

Flags = npt.NDArray[np.bool_]
_EXACT = 2.0**53
_NEWLINE, _QUOTE = b'\n"'
_MOST_BYTES = 2**31 - 1
_NAN = float("nan")
_NO_UUID = bytes(16)
_MARKS = [  # no byte of UTF-8 is as high; a backslash comes first, so that those left begin something escaped
    (b"\\\\", b"\xf8"),
    (b'\\"', b"\xf9"),
    (b"\\n", b"\xfa"),
    (b"\\r", b"\xfb"),
    (b"\\t", b"\xfc"),
]
_MEANT = bytes.maketrans(b"".join(mark for _, mark in _MARKS), b'\\"\n\r\t')
_encoder = msgspec.json.Encoder()

Piece: TypeAlias = bytes | npt.NDArray[Any] | pa.Array
"""Values of one kind in a row: JSON lines of texts, numbers or flags, or whatever Arrow made of them."""


def plain_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What `pa.array(values, kind)` gives of values that are of the kind's own Python type, or None.

    Raises what that raises where a value is not in the kind's range.

    >>> plain_array([1, None, 3], pa.int64()).to_pylist(), plain_array(["ä", "", None], pa.string()).to_pylist()
    ([1, None, 3], ['ä', '', None])
    """
    return one_array([piece(values, kind)])


def piece(values: Sequence[Any], kind: pa.DataType) -> Piece:
    """A piece of what `plain_array` makes: quickly made, and quickly put together."""
    made = _MAKERS[kind](values) if kind in _MAKERS else None
    return pa.array(values, kind) if made is None else made


def one_array(pieces: Sequence[Piece]) -> pa.Array:
    """The pieces of a column as one array."""
    arrays = [array for kind, run in groupby(pieces, key=type) for array in _arrays(kind, list(run))]
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def _arrays(kind: type, pieces: Sequence[Any]) -> Sequence[pa.Array]:
    if kind is bytes:
        return [_unescaped(b"".join(pieces))]
    if kind is np.ndarray:
        return [_of_numbers(np.concatenate(pieces))]
    return pieces


def there(values: Sequence[Any], other: object = None) -> Flags:
    """Which of these are there: not None, or not another mark."""
    return np.frombuffer(bytes(map(is_not, values, repeat(other))), np.bool_)


def flags_array(flags: Flags) -> pa.Array:
    """An array of booleans."""
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, _bits(flags)], 0)


def numbers_array(numbers: npt.NDArray[Any], kept: Flags | None = None) -> pa.Array:
    """An array of 64-bit numbers, null where they are not `kept`."""
    buffers = [None if kept is None else _bits(kept), pa.py_buffer(np.ascontiguousarray(numbers))]
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), buffers)


def numbers_of(array: pa.Array) -> npt.NDArray[Any]:
    """The values of an array of 64-bit numbers that are not null."""
    if array.null_count:
        array = array.drop_null()
    kind = np.float64 if pa.types.is_floating(array.type) else np.int64
    return np.frombuffer(array.buffers()[1], kind, len(array), 8 * array.offset) if len(array) else np.zeros(0, kind)


def uuid_array(digests: Sequence[bytes | None]) -> pa.Array:
    """An array of UUIDs of 16 bytes each, or null."""
    try:
        bits, data = None, b"".join(digests)  # type: ignore[arg-type]  # raises at a null
    except TypeError:
        bits, data = _bits(there(digests)), b"".join([digest or _NO_UUID for digest in digests])
    stored = pa.Array.from_buffers(pa.binary(16), len(digests), [bits, pa.py_buffer(data)])
    return pa.ExtensionArray.from_storage(pa.uuid(), stored)


def repeated(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """The same value so many times."""
    return pa.repeat(plain_array([value], kind)[0], count)


def _bits(flags: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _of_numbers(numbers: npt.NDArray[Any]) -> pa.Array:
    if numbers.dtype == np.bool_:
        return flags_array(numbers)
    if numbers.dtype == np.int64 or not (null := np.isnan(numbers)).any():  # no number of JSON is NaN
        return numbers_array(numbers)
    numbers[null] = 0
    return numbers_array(numbers, ~null)


def _whole(values: Sequence[int | None]) -> Piece | None:
    try:
        return np.frombuffer(struct.pack(f"{len(values)}q", *values), np.int64)
    except struct.error:  # there are nulls among them
        numbers = _doubles(values)
        if numbers is None:
            return None
        null = np.isnan(numbers)
        return numbers_array(np.where(null, 0, numbers).astype(np.int64), ~null)


def _doubles(values: Sequence[float | None]) -> npt.NDArray[np.float64] | None:
    """The numbers, NaN for null; None where one may be whole and beyond a double."""
    form = f"{len(values)}d"
    try:
        try:
            packed = struct.pack(form, *values)
        except struct.error:  # there are nulls among them
            packed = struct.pack(form, *[_NAN if value is None else value for value in values])
    except struct.error:
        return None
    numbers = np.frombuffer(packed, np.float64)
    return None if (np.abs(numbers) >= _EXACT).any() else numbers


def _booleans(values: Sequence[bool | None]) -> Piece | None:
    try:
        return np.frombuffer(bytes(values), np.bool_)  # type: ignore[arg-type]  # raises at a null
    except TypeError:
        numbers = _doubles(values)
        if numbers is None:
            return None
        return pa.Array.from_buffers(pa.bool_(), len(values), [_bits(~np.isnan(numbers)), _bits(numbers > 0)])


def _lines(values: Sequence[str | None]) -> Piece:
    """The texts as JSON lines in which signs of a byte stand for what is escaped, where that is enough."""
    lines = _encoder.encode_lines(values)
    if b"\\" in lines:
        for escaped, mark in _MARKS:
            lines = lines.replace(escaped, mark)
        if b"\\" in lines:
            return bytes_array([b"" if value is None else value.encode() for value in values], None, there(values))
    return lines


def _unescaped(lines: bytes) -> pa.Array:
    """The array of such lines, each a text in quotes, or null."""
    signs = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(signs == _NEWLINE)
    kept = signs[ends - 1] == _QUOTE
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    lengths[:1] += 1
    lengths -= 1 + 2 * kept  # the newline goes, and the quotes
    return _strings(lengths, lines.translate(_MEANT, b'"\n'), None if kept.all() else kept)


def bytes_array(texts: Sequence[bytes], null: bytes | None, kept: Flags | None = None) -> pa.Array:
    """An array of these texts, as UTF-8; null in place of those that are `null`, or not `kept`."""
    if kept is None:
        kept = np.fromiter(map(ne, texts, repeat(null)), np.bool_, len(texts))
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    return _strings(lengths, b"".join(texts), None if kept.all() else kept)


def as_written(values: Sequence[int | float | str | None]) -> pa.Array | None:
    """Numbers as their shortest texts and texts as they are, but for quotes and what JSON escapes; None beyond 64 bits.

    >>> as_written([1, 0.5, "x", None]).to_pylist()
    ['1', '0.5', 'x', None]
    """
    try:
        lines = _encoder.encode_lines(values).replace(b'"', b"")
    except OverflowError:
        return None
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)
    kept = there(values)
    return _strings(np.diff(ends, prepend=-1) - 1, lines.translate(None, b"\n"), None if kept.all() else kept)


def flags_of(array: pa.Array) -> Flags:
    """The values of an array of booleans without nulls."""
    bits = np.unpackbits(np.frombuffer(array.buffers()[1], np.uint8), bitorder="little")
    flags: Flags = bits[array.offset :][: len(array)] == 1
    return flags


def _strings(lengths: npt.NDArray[np.int64], data: bytes, kept: Flags | None) -> pa.Array:
    if len(data) > _MOST_BYTES:
        raise OverflowError("more text than an array holds")
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    bits = None if kept is None else _bits(kept)
    return pa.Array.from_buffers(pa.string(), len(lengths), [bits, pa.py_buffer(offsets), pa.py_buffer(data)])


_MAKERS: Mapping[pa.DataType, Callable[[Sequence[Any]], Piece | None]] = {
    arrow_type("bigint"): _whole,
    arrow_type("double"): _doubles,
    arrow_type("boolean"): _booleans,
    arrow_type("varchar"): _lines,
}
