"""Whether no key comes twice in a fetch, where numbers tell it as they pass by.

Most APIs list their records by a number that rises or falls. To see that is nothing; to have DuckDB group all keys
takes a tenth of a load.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import numpy as np
import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.normalize.plain import numbers_of

_MOST_SPANS = 10_000


class Keys(Struct):
    """What is known of the key's columns that are whole numbers: from where to where they rose or fell.

    That is told of each run of pages that follow each other: where two processes share the pages of a fetch, those of
    one lie between those of the other. A column of which that is not so, or no number, is in `untold`.
    """

    columns: Sequence[str] = ()
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)

    def note(self, rows: pa.Table) -> None:
        """Look at some more rows of the table, with the `_page` that each is of."""
        names = [name for name in self.columns if name not in self.untold]
        ends = _run_ends(rows) if names else []
        for name in names:
            if not self._note(name, rows, ends):
                self.untold.add(name)
                self.spans.pop(name, None)

    def with_rest(self, rest: Self) -> "Keys":
        """The same of other rows, too."""
        untold = self.untold | rest.untold
        told = {name: self.spans.get(name, []) + rest.spans.get(name, []) for name in self.columns}
        return Keys(self.columns, {name: spans for name, spans in told.items() if name not in untold}, untold)

    @property
    def distinct(self) -> bool:
        """Whether it is sure that no two rows have the same key; False where nothing is known."""
        return any(_are_apart(spans) for spans in self.spans.values())

    def _note(self, name: str, rows: pa.Table, ends: Sequence[int]) -> bool:
        if name not in rows.column_names or rows.schema.field(name).type != pa.int64():
            return False
        spans, column = self.spans.setdefault(name, []), rows.column(name)
        if column.null_count or len(spans) + len(ends) > _MOST_SPANS:
            return False
        numbers = numbers_of(column.combine_chunks())
        for first, until in pairwise([0, *ends]):
            run = numbers[first:until]
            if not ((run[1:] > run[:-1]).all() or (run[1:] < run[:-1]).all()):
                return False
            spans.append((int(run.min()), int(run.max())))
        return True


def _run_ends(rows: pa.Table) -> list[int]:
    """Where each run of pages that follow each other ends; none where there is no row."""
    steps = np.diff(numbers_of(rows.column("_page").combine_chunks()))
    return [*(np.flatnonzero((steps < 0) | (steps > 1)) + 1).tolist(), rows.num_rows] if rows.num_rows else []


def _are_apart(spans: Sequence[tuple[int, int]]) -> bool:
    return all(before[1] < after[0] for before, after in pairwise(sorted(spans)))
