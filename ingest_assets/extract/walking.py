"""The parts of a fetch walked one after another, or at once where the source file says so.

several parts                    side by side (`abreast`)
one, asked for by place          its pages ahead of their turn (`ahead`)
else                             in turn: without a thread
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.errors import IngestError
from ingest_assets.extract import ruled
from ingest_assets.extract.chain import Ask, End
from ingest_assets.extract.failures import Failures, concerns_one
from ingest_assets.extract.parts import StoredPages, Walked, key_of, noted, parts_of, together, walked_before
from ingest_assets.extract.request import Part, Walk
from ingest_assets.extract.storing import Storing
from ingest_assets.http.client import Client
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.traffic import Traffic, Wait
from ingest_assets.raw.parts import PartEnd
from ingest_assets.raw.snapshots import IndexEntry, OpenSnapshot

if TYPE_CHECKING:
    from ingest_assets.extract.crew import Another, Crew


class Walking(Struct):
    """One fetch on its way. `client` asks for pages in turn, `another` makes one a thread; `show` is told of pages.

    `reached` is how the parts ended that did, once all were tried.
    """

    storing: Storing
    opened: OpenSnapshot
    client: Client
    another: "Another | None"
    show: Callable[[], None]
    on_wait: Callable[[Wait], None]
    reached: End | None = None
    _aside: Traffic = field(default_factory=Traffic)

    @property
    def walk(self) -> Walk:
        """What is walked."""
        return self.storing.walk

    @property
    def traffic(self) -> Traffic:
        """What was asked for and received, by all threads together."""
        return self.client.traffic + self._aside

    def rest(self, wait: Wait) -> None:
        """Have what came on disk before a long wait begins: a machine that fails meanwhile takes none of it."""
        self.opened.rest(wait.seconds)

    def end(self) -> End:
        """Walk all parts, in their order as far as the snapshot goes; how they ended together.

        Raises what a chain raises. No thread, and no request, outlives this.
        """
        parts, size = parts_of(self.walk), self.walk.at_once if self.another is not None else 1
        size = 1 if self.walk.endpoint.cut_lists else size  # which page a list is of is known once that is stored
        window = self.walk.endpoint.window
        # A cap and a job make several of one.
        several = len(parts) > 1 or (window is not None and window.cap is not None) or self.storing.jobs is not None
        ahead = len(parts) == 1 and not several and self.walk.endpoint.paginator.by_place
        if self.another is None or size == 1 or not (several or ahead):
            return self._together(self._in_turn(parts, self._ask))
        from ingest_assets.extract.crew import Crew

        with Crew(size, self.another, self._told) as crew:
            try:
                return self._foreseen(parts, crew) if ahead else self._abreast(parts, crew)
            finally:
                crew.close()
                self._aside += crew.traffic

    def _told(self, wait: Wait) -> None:
        """Of a wait of the crew's: only this thread writes the snapshot."""
        self.rest(wait)
        self.on_wait(wait)

    def _together(self, all_walked: Iterator[Walked]) -> End:
        ends, failures, positions = list[End](), Failures(self.walk), dict[str, Any]()
        parents = {part.key for part in self.walk.parts or ()}
        for walked in all_walked:
            key, error = key_of(walked.part), walked.end.exception()
            owner = _owner(walked.part)
            if isinstance(error, IngestError) and owner in parents:
                self.opened.parts.add(PartEnd(owner, problem=str(error)))
                failures.failed(key, owner, error)
                continue
            end = walked.end.result()
            if walked.part is None or walked.part.of is None:
                ends.append(end)
            positions[key] = end.position
            if ruled.is_skipped(end.reason):
                failures.skipped(key, end.reason)
            else:
                failures.succeeded()
            if not walked.before and (walked.part is not None or end.more):
                self.opened.parts.add(noted(walked.part, end))
        self.reached = together(ends)
        if self.walk.parts is not None:
            self.reached = replace(self.reached, position=positions if self.walk.endpoint.feed is not None else None)
        self.reached = replace(self.reached, reason=failures.told_with(self.reached.reason))
        if self.storing.jobs is not None:
            told = [end.position for end in ends if end.position is not None]
            self.reached = replace(self.reached, position=max(told, key=datetime.fromisoformat, default=None))
        failures.check()
        return self.reached

    def _in_turn(self, parts: list[Part | None], ask: Callable[[Storing], Ask]) -> Iterator[Walked]:
        stored, waiting = StoredPages(self.opened), deque(parts)
        while waiting:
            part = waiting.popleft()
            walked = walked_before(self.opened, part) or Walked(part)
            if not walked.before:
                self._walk_one(walked, stored, ask)
            yield walked
            if walked.end.exception() is None:
                waiting.extendleft(reversed(walked.end.result().more))

    def _walk_one(self, walked: Walked, stored: StoredPages, ask: Callable[[Storing], Ask]) -> None:
        storing = replace(self.storing, walk=self.walk.of(walked.part))
        try:
            walked.end.set_result(storing.chained(self.client, stored.of(storing.walk), ask(storing)))
        except IngestError as error:
            if not self._one_only(error):
                raise
            walked.end.set_exception(error)

    def _one_only(self, error: IngestError) -> bool:
        """Whether a failure leaves the other parts going on: those of one parent do."""
        return self.walk.parts is not None and concerns_one(error)

    def _ask(self, storing: Storing) -> Ask:
        def ask(request: PageRequest, _: Page | None) -> IndexEntry:
            entry = storing.page(self.client, request, partial(self.opened.append, request))
            self.show()
            return entry

        return ask

    def _foreseen(self, parts: list[Part | None], crew: "Crew") -> End:
        from ingest_assets.extract.ahead import Foresight

        foresight = Foresight(replace(self.storing, walk=self.walk.of(parts[0])), self.opened, crew, self.show)
        try:
            return self._together(self._in_turn(parts, lambda _: foresight.ask))
        finally:
            foresight.flush()

    def _abreast(self, parts: list[Part | None], crew: "Crew") -> End:
        from ingest_assets.extract.abreast import Abreast

        return self._together(Abreast(self.storing, self.opened, crew, self._one_only).walked(parts, self.show))


def _owner(part: Part | None) -> str | None:
    """The key of the parent that a failure of this part is a matter of; a nested list is needed for its record."""
    return None if part is None or part.of is not None else part.owner
