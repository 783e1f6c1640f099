"""How many partitions of a range are dealt with at once: as many as take moments, and one where one takes long.

What is done once for several partitions costs each of them less: a transaction of the warehouse, and of Dagster's
files. What they pay for it is that each waits for the last one of them.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from ingest_assets.raw.snapshots import Snapshot

_MOST = 32
_ALONE = 2  # partitions that go by themselves at first: so it is seen early that something is wrong
_SHORT_SECONDS, _LONG_SECONDS = 2.0, 5.0
_MOST_BYTES = 8_000_000  # that wait to be loaded; what has rows made meanwhile is loaded next


@dataclass
class Size:
    """How many partitions are to be dealt with next: `now`."""

    clock: Callable[[], float] = time.monotonic
    now: int = 1
    _began: float = 0.0
    _groups: int = 0

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """Inside, some partitions are dealt with; how long that takes decides how many the next ones are."""
        self._began = self.clock()
        yield
        took, self._groups = self.clock() - self._began, self._groups + 1
        if took > _LONG_SECONDS:
            self.now = max(1, self.now // 2)
        elif took < _SHORT_SECONDS and self._groups >= _ALONE:
            self.now = min(_MOST, self.now * 2)

    def is_used_up(self, fetched: Iterable[Snapshot | None]) -> bool:
        """Whether what was fetched inside has waited long enough to be loaded, or is enough."""
        ends = [snapshot.manifest.ended for snapshot in fetched if snapshot is not None]
        return self.clock() - self._began > _LONG_SECONDS or sum(end.bytes for end in ends if end) > _MOST_BYTES
