"""Pages of one chain asked for ahead of their turn, where a page's place and a known total tell which will come.

    the chain asks for   2         3         4                what it asks for decides; what was foreseen
    at work meanwhile    3 4 5 6   4 5 6 7   5 6 7 8          and is not asked for is thrown away

So a walk ends, and fails, as it would page by page. A page that is shorter than foreseen, or a total that changes,
only moves what is asked for next.
"""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial

from msgspec.structs import replace

from ingest_assets.extract.crew import Crew
from ingest_assets.extract.request import request_key
from ingest_assets.extract.storing import Storing
from ingest_assets.http.client import Client
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot

_FAR = 2  # as many pages a thread are asked for, or wait for their turn


class Foresight:
    """Asks for the pages of a chain, and for those that will follow; `flush` stores what has come in its turn."""

    def __init__(self, storing: Storing, opened: OpenSnapshot, crew: Crew, show: Callable[[], None]) -> None:
        self._storing, self._opened, self._crew, self._show = storing, opened, crew, show
        self._work: dict[str, tuple[str, Future[IndexEntry]]] = {}
        self._names = map(str, itertools.count())
        self._come: list[tuple[str, IndexEntry]] = []
        opened.ahead.clear()

    def ask(self, request: PageRequest, page: Page | None) -> IndexEntry:
        """The page that a request asks for, which follows another one; raises what asking for it raises."""
        key = request_key(request)
        if key not in self._work:
            self._forget()
            self._begin(key, request)
        if page is not None:
            self._foresee(request, page)
        name, work = self._work.pop(key)
        if not work.done():
            self.flush()
            self._crew.wait(work.done)
        entry = work.result()
        self._come.append((name, entry))
        return entry

    def flush(self) -> None:
        """Append the pages that have come to the snapshot."""
        come, self._come = self._come, []
        if come:
            self._opened.take(come)
            self._show()

    def _begin(self, key: str, request: PageRequest) -> None:
        name = next(self._names)
        begin = partial(self._opened.ahead.page, name, request)

        def work(client: Client) -> IndexEntry:
            return self._storing.page(client, request, begin)

        self._work[key] = name, self._crew.begin(work)

    def _forget(self) -> None:
        """What was foreseen does not come to pass."""
        for name, work in self._work.values():
            work.cancel()
            work.add_done_callback(partial(self._drop, name))
        self._work.clear()

    def _drop(self, name: str, _: Future[IndexEntry]) -> None:
        self._opened.ahead.drop(name)

    def _foresee(self, request: PageRequest, page: Page) -> None:
        """Begin what will be asked for after this request, by the page before it; nothing more once one has failed."""
        if any(work.done() and work.exception() is not None for _, work in self._work.values()):
            return
        for foreseen in self._following(request, page):
            if len(self._work) > _FAR * self._crew.size:
                return
            if (key := request_key(foreseen)) not in self._work:
                self._begin(key, foreseen)

    def _following(self, request: PageRequest, page: Page) -> Iterator[PageRequest]:
        paginator, fullest = self._storing.walk.endpoint.paginator, max(page.fullest, page.records)
        for _ in range((paginator.left(page) or 0) - 1):
            following = paginator.foreseen(replace(page, request=request, records=fullest))
            if following is None:
                return
            yield (request := following)
