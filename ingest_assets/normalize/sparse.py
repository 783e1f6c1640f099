"""Objects of many keys of which each record has a few, such as metadata: one look at all values, not one a key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest_assets.normalize.arrays import Misfit, json_array
from ingest_assets.normalize.layout import Sparse
from ingest_assets.normalize.plain import numbers_array, plain_array


@dataclass(frozen=True)
class Spread:
    """What was found: how many keys, the text of values that are verbatim, and the columns that have any by name."""

    keys: int
    raw: bytes | None
    arrays: Mapping[str, pa.Array] = field(default_factory=dict)


def spread(node: Sparse, values: Sequence[dict[str, Any] | None], rows: npt.NDArray[np.int64], count: int) -> Spread:
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
    arrays = {}
    for number, column in enumerate(node.columns.values()):
        places = np.flatnonzero(keys == number)
        if len(places):
            source = np.full(count, -1)
            source[rows[places]] = places
            arrays[column.spec.name] = found.take(numbers_array(source, source >= 0))
    return Spread(len(flat), raw, arrays)
