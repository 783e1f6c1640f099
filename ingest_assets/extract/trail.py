"""The pages of a walk so far: what they add up to, what comes after the last one, and whether it goes in circles."""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.extract.batches import ANSWERED
from ingest_assets.extract.cut_lists import parts
from ingest_assets.extract.newest import REASON, Order
from ingest_assets.extract.reading import page_of
from ingest_assets.extract.request import Part, Walk, request_key
from ingest_assets.extract.seen import Seen
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.place import whole
from ingest_assets.http.total import Expected
from ingest_assets.raw.snapshots import IndexEntry

COUNTED = "counted"
"""Where the note of a parent's first page has how many records it was counted to have."""


class Trail:
    """The pages of a walk so far, counted; a request or page that comes again means that it goes in circles.

    `received` leaves out what came twice because a page was asked for again after a rest. `former` is the page before
    the `last`, `latest` the greatest time of their records, where a feed goes on by it. `notes` are those of a batch of
    parents, and `counted` is what a request of its own said of one. `fallen` is the greatest total told, and the page
    that told a smaller one, with that.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.pages = self.received = self.empty_in_a_row = 0
        self.first: Page | None = None
        self.former: Page | None = None
        self.last: Page | None = None
        self.latest: str | None = None
        self._fullest = self._most = 0
        self.counted: Expected | None = None
        self.fallen: tuple[int, int, int] | None = None
        self.order = Order(walk)
        self.cut = list[Part]()
        self.notes = list[Mapping[str, Any]]()
        self._following: tuple[PageRequest | None, str] = None, ""
        self._asked = Seen()
        self._told = Seen()

    @property
    def ended(self) -> str | None:
        """The reason, where the pages tell by their times that nothing of the window is left."""
        return REASON if self.order.passed else None

    def following(self, page: Page | None, first: PageRequest) -> PageRequest:
        """The request after this page; raise WalkIncomplete where there is none, or it was asked before."""
        with labelled(self.walk):
            request = first if page is None else self.walk.endpoint.paginator.next(page)
        if request is None:
            raise WalkIncomplete(
                f"{self.walk.label}: page {page and page.number} names no next page and is not the last"
            )
        self._following = request, request_key(request)
        if (former := self._asked.get(self._following[1])) is not None:
            raise WalkIncomplete(
                f"{self.walk.label}: after page {self.pages - 1} the API names the request of page {former} again: "
                "the walk would go in circles"
            )
        return request

    def add(self, entry: IndexEntry) -> Page:
        """Count a page, which knows then what came before it; raise WalkIncomplete where it shows a mistake."""
        again = self.last is not None and self.last.request == entry.request
        if self.last is not None and again:  # asked for once more after a rest
            page = page_of(entry, self.pages, before=self.last.before, fullest=self.last.fullest)
            self._overlapped(page, again=True)
        else:
            self._check_hole()
            page = page_of(entry, self.pages, before=self.received, fullest=self._fullest)
            if common := self._overlapped(page, again=False):
                page = replace(page, before=page.before - common)
        self.pages += 1
        self._check_circle(page, entry.note["told"])
        self.cut += parts(self.walk, entry)
        self.notes += [entry.note] if ANSWERED in entry.note else []
        self._compare_total(page)
        if self.counted is None and COUNTED in entry.note:
            self.counted = Expected(**entry.note[COUNTED])
        self.order.add(page.number, page.records, entry.note.get("times"), again=again)
        self.empty_in_a_row = 0 if page.records else self.empty_in_a_row + 1
        self.received, self._fullest = page.before + page.records, max(page.fullest, page.records)
        self.first, self.former, self.last = self.first or page, self.former if again else self.last, page
        self.latest = _later(self.latest, entry.note["position"])
        return page

    def _overlapped(self, page: Page, *, again: bool) -> int:
        """How many records of a page came with the one before it; `again` where the last one is this very page."""
        former = self.former if again else self.last
        with labelled(self.walk):
            return 0 if former is None else self.walk.endpoint.paginator.overlapped(former, page)

    def _compare_total(self, page: Page) -> None:
        """Note where a page says that there are fewer records than one before it said."""
        total = self.walk.endpoint.paginator.records_total
        told = None if total is None else whole(total.find(page))
        if told is not None and told < self._most:
            self.fallen = self.fallen or (self._most, page.number, told)
        self._most = max(self._most, told or 0)

    def _check_hole(self) -> None:
        """A page without records may be the last where only a refusal tells that; here is a page after it."""
        if self.last is not None and not self.last.records and self.walk.endpoint.empty_page == "fail":
            raise hole(self.walk, self.last)

    def _check_circle(self, page: Page, told: str) -> None:
        request, key = self._following
        key = key if page.request is request else request_key(page.request)
        number = self._asked.setdefault(key, page.number)
        former = self._told.setdefault(told, number)
        if page.records and former != number:
            raise WalkIncomplete(
                f"{self.walk.label}: page {page.number} holds the very records of page {former}: "
                f"the walk goes in circles{_asked_by(self.walk)}"
            )


def _later(one: str | None, other: str | None) -> str | None:
    """The later of two times, as ISO text."""
    return max(filter(None, (one, other)), key=datetime.fromisoformat, default=None)


def _asked_by(walk: Walk) -> str:
    """What to look at where the API gives the same page again: it may not know the parameter."""
    told = " and ".join(map(str, walk.endpoint.paginator.sets))
    return f". Does the API know the parameter {told}?" if told else ""


@contextlib.contextmanager
def labelled(walk: Walk) -> Iterator[None]:
    """A paginator knows pages only, and a decoder bodies: what they raise gets the walk's name here."""
    try:
        yield
    except (WalkIncomplete, RequestFailed, TransientFailure) as error:
        if str(error).startswith(walk.label):
            raise
        told = f"{walk.label}: {error}"
        if isinstance(error, RequestFailed):
            raise RequestFailed(told, error.status) from error
        if isinstance(error, TransientFailure):
            raise TransientFailure(told, error.wait_seconds, for_all=error.for_all) from error
        raise WalkIncomplete(told) from error


def hole(walk: Walk, page: Page) -> WalkIncomplete:
    return WalkIncomplete(
        f"{walk.label}: page {page.number} holds no records and is not the last one. Where that is this API's "
        "habit, say `empty_page: continue`"
    )
