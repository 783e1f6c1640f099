"""Whether no key comes twice in a fetch, where numbers tell it as they pass by.

Most APIs list their records by a number that rises or falls. To see that is nothing; to have DuckDB group all keys
takes a tenth of a load.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Self

import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.normalize.plain import numbers_of

_MOST_SPANS = 10_000


class Keys(Struct):
    """What is known of the key's columns that are whole numbers: from where to where they rose or fell, by batch.

    A column of which that is not so, or no number, is in `untold`.
    """

    columns: Sequence[str] = ()
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    untold: set[str] = field(default_factory=set)

    def note(self, rows: pa.Table) -> None:
        """Look at some more rows of the table."""
        for name in self.columns:
            if name not in self.untold and not self._note(name, rows):
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

    def _note(self, name: str, rows: pa.Table) -> bool:
        if name not in rows.column_names or rows.schema.field(name).type != pa.int64():
            return False
        spans = self.spans.setdefault(name, [])
        for chunk in rows.column(name).chunks:
            numbers = numbers_of(chunk)
            if chunk.null_count or len(spans) >= _MOST_SPANS:
                return False
            if len(numbers):
                if not ((numbers[1:] > numbers[:-1]).all() or (numbers[1:] < numbers[:-1]).all()):
                    return False
                spans.append((int(numbers.min()), int(numbers.max())))
        return True


def _are_apart(spans: Sequence[tuple[int, int]]) -> bool:
    return all(before[1] < after[0] for before, after in pairwise(sorted(spans)))
