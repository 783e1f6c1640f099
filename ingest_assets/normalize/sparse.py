"""Objects of many keys of which each record has a few, such as metadata: one look at all values, not one a key."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_assets.normalize.arrays import Misfit, json_array
from ingest_assets.normalize.layout import Sparse
from ingest_assets.normalize.plain import numbers_array, plain_array, strings_array, strings_of

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Spread:
    """What was found: how many keys, the text of values that are verbatim, and the columns that have any by name."""

    keys: int
    raw: bytes | None
    arrays: Mapping[str, pa.Array] = field(default_factory=dict)


def spread(node: Sparse, values: Sequence[dict[str, Any] | None], rows: Rows, count: int) -> Spread:
    """The columns of these objects, which belong to `rows` out of `count`; Misfit where a key is not known."""
    objects = [value or {} for value in values]
    order = {key: number for number, key in enumerate(node.columns)}
    try:
        keys = np.fromiter(map(order.__getitem__, chain.from_iterable(objects)), np.int64)
    except KeyError as error:
        raise Misfit("a key that was never seen") from error
    flat = list(chain.from_iterable(map(dict.values, objects)))
    raw = b"[%s]" % b",".join(flat) if node.verbatim else None
    found = plain_array(flat, pa.string()) if raw is None else json_array(flat, raw, node.depth)
    rows = np.repeat(rows, np.fromiter(map(len, objects), np.int64, len(objects)))
    return Spread(len(flat), raw, dict(_columns(node, found, keys, rows, count)))


def _columns(node: Sparse, found: pa.Array, keys: Rows, rows: Rows, count: int) -> Iterator[tuple[str, pa.Array]]:
    """The columns that have values: these are put in the order of their keys, so that each column's are in a row."""
    order = np.argsort(keys, kind="stable")
    ends = np.searchsorted(keys[order], np.arange(len(node.columns) + 1)).tolist()
    offsets, data, kept = strings_of(found.take(numbers_array(order)))
    rows = rows[order]
    for column, begin, end in zip(node.columns.values(), ends, ends[1:], strict=False):
        if begin < end:
            there = np.zeros(count + 1, np.int64)
            there[rows[begin:end] + 1] = 1
            flags = there[1:] == 1
            if kept is not None:
                flags[rows[begin:end]] = kept[begin:end]
            yield column.spec.name, strings_array(offsets[begin + np.cumsum(there)], data, flags)
