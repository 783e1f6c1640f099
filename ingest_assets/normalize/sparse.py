"""Objects of many keys of which each record has a few, such as metadata: one look at all values, not one a key."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa

from ingest_assets.normalize.arrays import Misfit, json_array
from ingest_assets.normalize.layout import Sparse
from ingest_assets.normalize.pieces import Columns, Leaf, Rows
from ingest_assets.normalize.plain import numbers_array, one_array, piece, strings_array, strings_of
from ingest_assets.normalize.rows import TablePlan


class Spread(Leaf):
    """The columns of an object that is taken as a dictionary. A key that is not known raises Misfit.

    A part is the number of each key, how many keys each object has, and the values: JSON texts where these are taken
    as they are, or a piece of a column of texts.
    """

    def __init__(self, columns: Columns, table: TablePlan, node: Sparse) -> None:
        super().__init__(columns, table.spec.path)
        self.node = node
        self.numbers = {key: number for number, key in enumerate(node.columns)}

    def _part(self, values: Sequence[dict[str, Any] | None]) -> tuple[Rows, Rows, Any]:
        objects = [value or {} for value in values]
        try:
            keys = np.fromiter(map(self.numbers.__getitem__, chain.from_iterable(objects)), np.int64)
        except KeyError as error:
            new = [place for place, found in enumerate(objects) if not found.keys() <= self.numbers.keys()]
            raise Misfit("a key that was never seen", new) from error
        self.columns.keys += len(keys)
        flat = list(chain.from_iterable(map(dict.values, objects)))
        sizes = np.fromiter(map(len, objects), np.int64, len(objects))
        return keys, sizes, flat if self.node.verbatim else piece(flat, pa.string())

    def _finish(self) -> None:
        keys, sizes, values = zip(*self.parts, strict=True)
        rows = np.repeat(self.rows(), np.concatenate(sizes))
        found = self._array(values)
        self.found.arrays.update(_columns(self.node, found, np.concatenate(keys), rows, self.found.rows))

    def _array(self, values: Sequence[Any]) -> pa.Array:
        if not self.node.verbatim:
            return one_array(values)
        flat = list(chain.from_iterable(values))
        text = b"[%s]" % b",".join(flat)
        self.columns.raws.append(text)
        return json_array(flat, text, self.node.depth)


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
