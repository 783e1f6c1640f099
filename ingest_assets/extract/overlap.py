"""Pages by offset that overlap: the last record of a page is asked for again, as the first one of the next.

?offset=0     a b c d           Where c is deleted meanwhile, the second page begins with e: f stands where e was,
?offset=3           d e f g     and without the overlap e would be on neither page.
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import msgspec

from ingest_assets.extract.request import Walk
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import dig

BEGAN = "began"
"""Where the note of a page has the value by which its first record is known."""
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class First:
    """The value at a path of one page's first record."""

    def __init__(self, path: str) -> None:
        self._path, self._seen = path, False
        self.value: Any = None

    def add_all(self, records: Iterable[bytes | memoryview]) -> None:
        """Note that of the very first one."""
        if self._seen or (text := next(iter(records), None)) is None:
            return
        self._seen = True
        try:
            self.value = dig(_decoder.decode(text), self._path)
        except UNREADABLE:
            return  # it goes to quarantine, and cannot be known again


def first(walk: Walk) -> First | None:
    """What notes how a page begins; None where pages do not overlap."""
    field = walk.endpoint.paginator.overlaps_by
    return None if field is None else First(field)
