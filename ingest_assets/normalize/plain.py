"""Arrow arrays of plain values by way of numpy, and numpy arrays of them.

Before pyarrow makes its first array of Python values it imports pandas, which takes as long as some ten thousand
records. So it is asked only for what is not as plain as nearly everything is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from operator import is_not, ne
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_assets.normalize.values import arrow_type

Flags = npt.NDArray[np.bool_]
_EXACT = 2.0**53
_NEWLINE, _QUOTE = b'\n"'
_MOST_BYTES = 2**31 - 1
_encoder = msgspec.json.Encoder()


def plain_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What `pa.array(values, kind)` gives of values that are of the kind's own Python type, or None.

    Raises what that raises where a value is not in the kind's range.

    >>> plain_array([1, None, 3], pa.int64()).to_pylist(), plain_array(["ä", "", None], pa.string()).to_pylist()
    ([1, None, 3], ['ä', '', None])
    """
    made = _MAKERS[kind](values) if kind in _MAKERS and values else None
    return pa.array(values, kind) if made is None else made


def there(values: Sequence[Any], other: object = None) -> Flags:
    """Which of these are there: not None, or not another mark."""
    return np.fromiter(map(is_not, values, repeat(other)), np.bool_, len(values))


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


def uuid_array(digests: Sequence[bytes]) -> pa.Array:
    """An array of UUIDs of 16 bytes each."""
    stored = pa.Array.from_buffers(pa.binary(16), len(digests), [None, pa.py_buffer(b"".join(digests))], 0)
    return pa.ExtensionArray.from_storage(pa.uuid(), stored)


def repeated(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """The same value so many times."""
    return pa.repeat(plain_array([value], kind)[0], count)


def _bits(flags: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))


def _whole(values: Sequence[int | None]) -> pa.Array | None:
    try:
        return numbers_array(np.fromiter(values, np.int64, len(values)))
    except TypeError:  # there are nulls among them
        numbers, kept = _floats(values)
        return None if numbers is None else numbers_array(numbers.astype(np.int64), kept)


def _doubles(values: Sequence[float | None]) -> pa.Array | None:
    numbers, kept = _floats(values)
    return None if numbers is None else numbers_array(numbers, kept)


def _floats(values: Sequence[float | None]) -> tuple[npt.NDArray[np.float64] | None, Flags | None]:
    """The numbers and which are kept, None where all are; no numbers where one may be whole and beyond a double."""
    numbers = np.array(values, np.float64)
    exact = np.abs(numbers) < _EXACT
    if exact.all():
        return numbers, None
    null = np.isnan(numbers)  # no number of JSON is NaN
    numbers[null] = 0
    return (numbers, ~null) if (exact | null).all() else (None, None)


def _booleans(values: Sequence[bool | None]) -> pa.Array | None:
    try:
        return flags_array(np.frombuffer(bytes(values), np.bool_))  # type: ignore[arg-type]  # raises at a null
    except TypeError:
        numbers, kept = _floats(values)
        bits = None if kept is None else _bits(kept)
        return None if numbers is None else pa.Array.from_buffers(pa.bool_(), len(values), [bits, _bits(numbers > 0)])


def text_arrays(columns: Sequence[Sequence[str | None]]) -> list[pa.Array]:
    """What `plain_array` gives of the texts of each of these columns, in less time than one by one."""
    lines = [_encoder.encode_lines(values) for values in columns]
    easy = [number for number, text in enumerate(lines) if text and b"\\" not in text and len(text) < _MOST_BYTES]
    made = dict(zip(easy, _unescaped([lines[number] for number in easy]), strict=True))
    return [made[n] if n in made else _joined(values) for n, values in enumerate(columns)]


def _unescaped(columns: Sequence[bytes]) -> Iterator[pa.Array]:
    """The arrays of columns of JSON lines without an escape, each a text in quotes, or null."""
    signs = np.frombuffer(b"".join(columns), np.uint8)
    ends = np.flatnonzero(signs == _NEWLINE)
    kept = signs[ends - 1] == _QUOTE
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    lengths[:1] += 1
    lengths -= 1 + 2 * kept  # the newline goes, and the quotes
    begin = 0
    for text in columns:
        end = begin + text.count(b"\n")
        part = kept[begin:end]
        yield _strings(lengths[begin:end], text.translate(None, b'"\n'), None if part.all() else part)
        begin = end


def _texts(values: Sequence[str | None]) -> pa.Array:
    return text_arrays([values])[0]


def _joined(values: Sequence[str | None]) -> pa.Array:
    return bytes_array([b"" if value is None else value.encode() for value in values], None, there(values))


def bytes_array(texts: Sequence[bytes], null: bytes | None, kept: Flags | None = None) -> pa.Array:
    """An array of these texts, as UTF-8; null in place of those that are `null`, or not `kept`."""
    if kept is None:
        kept = np.fromiter(map(ne, texts, repeat(null)), np.bool_, len(texts))
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    if lengths.sum() > _MOST_BYTES:
        raise OverflowError("more text than an array holds")
    return _strings(lengths, b"".join(texts), None if kept.all() else kept)


def strings_of(array: pa.Array) -> tuple[npt.NDArray[np.int32], pa.Buffer, Flags | None]:
    """Where each text of an array begins and the last one ends, in which bytes, and which of them are no nulls."""
    bits, offsets, data = array.buffers()
    kept = None
    if array.null_count:
        kept = np.unpackbits(np.frombuffer(bits, np.uint8), bitorder="little")[array.offset :][: len(array)] == 1
    return np.frombuffer(offsets, np.int32, len(array) + 1, 4 * array.offset), data or pa.py_buffer(b""), kept


def strings_array(offsets: npt.NDArray[np.int32], data: pa.Buffer, kept: Flags | None) -> pa.Array:
    """An array of texts that begin there in these bytes, null where they are not `kept`."""
    bits = None if kept is None else _bits(kept)
    return pa.Array.from_buffers(pa.string(), len(offsets) - 1, [bits, pa.py_buffer(offsets), data])


def _strings(lengths: npt.NDArray[np.int64], data: bytes, kept: Flags | None) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return strings_array(offsets, pa.py_buffer(data), kept)


_MAKERS: Mapping[pa.DataType, Callable[[Sequence[Any]], pa.Array | None]] = {
    arrow_type("bigint"): _whole,
    arrow_type("double"): _doubles,
    arrow_type("boolean"): _booleans,
    arrow_type("varchar"): _texts,
}
