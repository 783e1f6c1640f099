"""Parts of a fetch walked side by side, and stored one after another.

    threads     part 1 ▸▸▸▸▸    part 2 ▸▸    part 3 ▸▸▸▸ …     each page in a file of its own
    the walk    part 1 ········ part 2 ── part 3 ─── …         appends them in the order of the parts

A part is walked by one thread, from its first page to its end. What is whole and waits for its turn outlives the
process: a walk that goes on takes it.
"""

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import xxhash
from msgspec.structs import replace

from ingest_assets.errors import IngestError
from ingest_assets.extract.chain import End
from ingest_assets.extract.crew import Crew
from ingest_assets.extract.parts import StoredPages, Walked, began, key_of, walked_before
from ingest_assets.extract.request import Part
from ingest_assets.extract.storing import PART, Storing
from ingest_assets.http.client import Client
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot

_FAR = 8  # as many parts a thread are walked, or wait for their turn
_MOST_PAGES = 100  # appended at once


class Abreast:
    """The parts of one fetch in the hands of a crew; `one_only` tells failures that leave the other parts going on."""

    def __init__(self, storing: Storing, opened: OpenSnapshot, crew: Crew, one_only: Callable[[IngestError], bool]):
        self._storing, self._opened, self._crew, self._one_only = storing, opened, crew, one_only
        self._stored = StoredPages(opened)
        self._kept = defaultdict[str, dict[int, str]](dict)
        self._failure: IngestError | None = None
        for name, entry in opened.ahead.kept():
            self._kept[entry.note.get(PART, "")][entry.number] = name

    def walked(self, parts: Iterable[Part | None], show: Callable[[], None]) -> Iterator[Walked]:
        """Each part in its turn, once it is over and its pages are appended.

        Raises the failure of a part that stops the others, after the pages that came before it.
        """
        waiting, begun = iter(parts), deque[Walked]()
        while True:
            begun.extend(map(self._begin, itertools.islice(waiting, max(0, _FAR * self._crew.size - len(begun)))))
            if not begun:
                return
            walked = begun.popleft()
            self._append(walked, show)
            if self._failure is not None:
                raise self._failure
            yield walked
            if walked.end.exception() is None:
                begun.extendleft(map(self._begin, reversed(walked.end.result().more)))

    def _begin(self, part: Part | None) -> Walked:
        if (before := walked_before(self._opened, part)) is not None:
            return before
        come = deque[str]()
        return Walked(part, come, self._crew.begin(partial(self._walk, part, come)))

    def _walk(self, part: Part | None, come: deque[str], client: Client) -> End:
        """A part from after what is stored of it, in a thread of the crew."""
        storing = replace(self._storing, walk=self._storing.walk.of(part))
        names = self._waiting(part)
        places = itertools.count(self._stored.count(part) + len(names))

        def ask(request: PageRequest, _: Page | None) -> IndexEntry:
            self._crew.check()
            place = next(places)
            name = f"{xxhash.xxh3_64_hexdigest(key_of(part).encode())}-{place}"
            entry = storing.page(client, request, partial(self._opened.ahead.page, name, request, place))
            self._opened.ahead.keep(name, entry)
            come.append(name)
            self._crew.nudge()
            return entry

        def there() -> Iterator[IndexEntry]:
            anew = began(storing.walk, (self._opened.ahead.entry(name).request for name in names))
            yield from self._stored.of(storing.walk) if anew is None else ()
            for name in names[anew or 0 :]:
                come.append(name)
                yield self._opened.ahead.entry(name)

        try:
            return storing.chained(client, there(), ask)
        except IngestError as error:
            if not self._one_only(error):
                self._failure = self._failure or error
                self._crew.stop()
            raise

    def _waiting(self, part: Part | None) -> list[str]:
        """The names of the pages of a part that a former process left whole, after those that are stored."""
        kept = self._kept.get(key_of(part), {})
        places = itertools.count(self._stored.count(part))
        return [kept[place] for place in itertools.takewhile(kept.__contains__, places)]

    def _append(self, walked: Walked, show: Callable[[], None]) -> None:
        """Append the pages of a part to the snapshot as they come, until it is over."""
        over = False
        while not over:
            self._crew.wait(lambda: walked.come or walked.end.done())
            over = walked.end.done() and len(walked.come) <= _MOST_PAGES
            names = [walked.come.popleft() for _ in range(min(len(walked.come), _MOST_PAGES))]
            if names:
                self._opened.take([(name, self._opened.ahead.entry(name)) for name in names])
                show()
