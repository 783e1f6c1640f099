"""The parts of a fetch walked one after another, or at once where the source file says so.

several parts                    side by side (`abreast`)
one, asked for by place          its pages ahead of their turn (`ahead`)
else                             in turn: without a thread
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from ingest_assets.errors import IngestError
from ingest_assets.extract.abreast import Abreast
from ingest_assets.extract.ahead import Foresight
from ingest_assets.extract.chain import Ask, End, chain
from ingest_assets.extract.crew import Another, Crew
from ingest_assets.extract.parts import StoredPages, Walked, key_of, noted, parts_of, together, walked_before
from ingest_assets.extract.request import Part, Walk
from ingest_assets.extract.storing import Storing
from ingest_assets.http.client import Client, Traffic, Wait
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot


@dataclass
class Walking:
    """One fetch on its way. `client` asks for pages in turn, `another` makes one a thread; `show` is told of pages."""

    storing: Storing
    opened: OpenSnapshot
    client: Client
    another: Another | None
    show: Callable[[], None]
    on_wait: Callable[[Wait], None]
    _aside: Traffic = field(default_factory=Traffic)

    @property
    def walk(self) -> Walk:
        """What is walked."""
        return self.storing.walk

    @property
    def traffic(self) -> Traffic:
        """What was asked for and received, by all threads together."""
        return self.client.traffic + self._aside

    def end(self) -> End:
        """Walk all parts, in their order as far as the snapshot goes; how they ended together.

        Raises what a chain raises. No thread, and no request, outlives this.
        """
        parts, size = parts_of(self.walk), self.walk.at_once if self.another is not None else 1
        size = 1 if self.walk.endpoint.cut_lists else size  # which page a list is of is known once that is stored
        window = self.walk.endpoint.window
        several = len(parts) > 1 or (window is not None and window.cap is not None)  # a cap makes several of one
        ahead = not several and self.walk.endpoint.paginator.by_place
        if self.another is None or size == 1 or not (several or ahead):
            return self._together(self._in_turn(parts, self._ask))
        with Crew(size, self.another, self.on_wait) as crew:
            try:
                return self._foreseen(parts, crew) if ahead else self._abreast(parts, crew)
            finally:
                crew.close()
                self._aside += crew.traffic

    def _together(self, all_walked: Iterator[Walked]) -> End:
        ends = list[End]()
        for walked in all_walked:
            end = walked.end.result()
            if walked.part is None or walked.part.of is None:
                ends.append(end)
            if not walked.before and (walked.part is not None or end.more):
                self.opened.parts.add(noted(key_of(walked.part), end))
        return together(ends)

    def _in_turn(self, parts: list[Part | None], ask: Callable[[Storing], Ask]) -> Iterator[Walked]:
        stored, waiting = StoredPages(self.opened), deque(parts)
        while waiting:
            part = waiting.popleft()
            walked = walked_before(self.opened, part) or Walked(part)
            if not walked.before:
                storing = replace(self.storing, walk=replace(self.walk, part=part))
                walked.end.set_result(chain(storing.walk, stored.of(part), ask(storing)))
            yield walked
            waiting.extendleft(reversed(walked.end.result().more))

    def _ask(self, storing: Storing) -> Ask:
        def ask(request: PageRequest, _: Page | None) -> IndexEntry:
            entry = storing.page(self.client, request, partial(self.opened.append, request))
            self.show()
            return entry

        return ask

    def _foreseen(self, parts: list[Part | None], crew: Crew) -> End:
        foresight = Foresight(self.storing, self.opened, crew, self.show)
        try:
            return self._together(self._in_turn(parts, lambda _: foresight.ask))
        finally:
            foresight.flush()

    def _abreast(self, parts: list[Part | None], crew: Crew) -> End:
        return self._together(Abreast(self.storing, self.opened, crew, _concerns_one).walked(parts, self.show))


def _concerns_one(_: IngestError) -> bool:
    """Whether a failure is a matter of one part, so that the others go on."""
    return False
