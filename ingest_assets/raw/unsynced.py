"""What a power cut could still take of a snapshot that grows: the pages of a moment, never those of an ended fetch.

To have each page on disk before the next is asked for costs more than the page where pages are small. So they are
written one by one, which outlives the process, and synced together, which outlives the machine: bodies first, then
the index. Who goes on after a crash therefore reads the bodies of the last pages, and cuts off what did not arrive.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ingest_assets.raw import body, disk
from ingest_assets.raw.index import MOST_UNSYNCED, Index, IndexEntry

_MOST_BYTES = 64_000_000
_SECONDS = 0.25
_SHARE = 4  # of a slow disk no more than a fifth of the time is waited for


class Unsynced:
    """Counts the `pages` that are written and not synced; `each` has every one of them synced by itself."""

    def __init__(self, files: Sequence[Path], clock: Callable[[], float] = time.monotonic) -> None:
        self.each = False
        self._files, self._clock = files, clock
        self.pages = self._bytes = 0
        self._synced, self._took = clock(), 0.0

    def is_due(self, entry: IndexEntry) -> bool:
        """Count a page that was written; whether it is time to sync."""
        self.pages += 1
        self._bytes += entry.length
        many = self.pages >= MOST_UNSYNCED or self._bytes >= _MOST_BYTES
        return many or self.each or self._is_long(self._clock() - self._synced)

    def is_due_before(self, seconds: float) -> bool:
        """Whether it is time to sync before a wait of so many seconds."""
        return self.pages > 0 and self._is_long(seconds)

    def _is_long(self, seconds: float) -> bool:
        return seconds >= max(_SECONDS, _SHARE * self._took)

    def sync(self) -> None:
        """Have all that is in the files on disk."""
        began = self._clock()
        for file in self._files:
            with disk.opened(file, os.O_WRONLY) as descriptor:
                os.fsync(descriptor)
        self._synced = self._clock()
        self._took, self.pages, self._bytes = self._synced - began, 0, 0


def arrived(index: Index, segment: Path) -> int:
    """How many pages are there whole, up to the first that is not; those that may be unsynced are read for it.

    They are the last ones, and all but the newest of them have less than `_MOST_BYTES` together.
    """
    most, size, last = segment.stat().st_size, index.segment_end, len(index)
    while size > most:
        last -= 1
        size = index[last].offset
    first, read = last, 0
    while first and last - first < MOST_UNSYNCED and read < _MOST_BYTES:
        first -= 1
        read += index[first].length if first < last - 1 else 0
    pages = (index[number] for number in range(first, last))
    return next((page.number for page in pages if not body.is_whole(segment, page.number, page.frame)), last)
