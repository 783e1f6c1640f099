"""Collections that come newest first and take no lower bound: a walk of a window ends where all is older than it.

    page 0   12:40 12:31 12:08     newer than the window: left out when it is loaded
    page 1   11:59 11:20 11:00     of it
    page 2   11:00 10:59 10:12     some of it: 11:00 is its first moment
    page 3   10:12 09:50 09:44     all older: the end

A page's records may come in any order, and an old one may stand among the new: only a page without a single record
of the window, or newer, ends the walk. Whether the API gives the newest first is seen from page to page.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import Struct, field

from ingest_assets.errors import WalkIncomplete
from ingest_assets.extract.request import Walk
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import dig
from ingest_assets.normalize.times import time_parser

REASON = "bound_passed"
_decoder = msgspec.json.Decoder(float_hook=Decimal)


class Seen(Struct):
    """The times of one page's records, in their order."""

    path: str
    read: Callable[[Any], date | time | datetime]
    _times: list[datetime] = field(default_factory=list)

    def add_all(self, records: Iterable[bytes | memoryview]) -> None:
        """Note the records' times; those without are left to quarantine."""
        self._times += filter(None, map(self._time, records))

    def _time(self, record: bytes | memoryview) -> datetime | None:
        try:
            moment = self.read(dig(_decoder.decode(record), self.path))
        except (*UNREADABLE, TypeError, ValueError, OverflowError):
            return None
        return moment.astimezone(UTC) if isinstance(moment, datetime) else None

    def told(self) -> dict[str, Any] | None:
        """What is kept with the page: its newest time, and whether its times fall from first to last."""
        if not self._times:
            return None
        falls = all(one >= other for one, other in pairwise(self._times)) and self._times[0] > self._times[-1]
        return {"newest": max(self._times).isoformat(), "falls": falls}


def seen(walk: Walk) -> Seen | None:
    """What notes the times of a page; None where the walk does not go by them."""
    name = walk.endpoint.window.stop_at if walk.endpoint.window is not None else None
    if name is None:
        return None
    column = walk.endpoint.columns[name]
    return Seen(column.path or name, time_parser(column.type or "", column.format, walk.endpoint.time_zone))


class Order(Struct):
    """The pages so far by their newest times: whether the walk has passed its window, and whether that can be told."""

    walk: Walk
    passed: bool = False
    _former: datetime | None = None
    _rose_at: int | None = None

    def add(self, number: int, records: int, told: dict[str, Any] | None, *, again: bool) -> None:
        """Take the next page, or a page that was asked for `again` after a rest; WalkIncomplete where no time is."""
        window, bounds = self.walk.endpoint.window, self.walk.bounds
        if window is None or window.stop_at is None or bounds is None or not records:
            return
        if told is None:
            raise WalkIncomplete(
                f"{self.walk.label}: stop_at: page {number} has records, and none has a time of column "
                f"{window.stop_at!r}: say its `path` and `format` under columns"
            )
        newest, former = datetime.fromisoformat(told["newest"]), None if again else self._former
        if former is not None and newest > former:
            self._rose_at = number
        falls = told["falls"] or (former is not None and newest < former)
        self.passed, self._former = newest < bounds[0] and falls, newest
        if self.passed and self._rose_at is not None:
            raise WalkIncomplete(
                f"{self.walk.label}: stop_at: page {self._rose_at} holds a record newer than all of the page before "
                f"it: the API does not give the newest first by {window.stop_at!r}, so the walk cannot tell where its "
                "window ends. Ask for that order in `params`, or for a lower bound in `window`"
            )
