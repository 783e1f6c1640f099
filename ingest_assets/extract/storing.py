"""A request becomes a stored page: asked for, compressed as it streams, and read through once."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict

from ingest_assets.errors import CursorExpired
from ingest_assets.extract.batches import ANSWERED, answered
from ingest_assets.extract.chain import Ask, End, chain
from ingest_assets.extract.connections import connections, refuse_others
from ingest_assets.extract.cut_lists import CUT, cuts
from ingest_assets.extract.ending import telling_errors
from ingest_assets.extract.expected import counted, refuse_open_end, refuse_unmarked
from ingest_assets.extract.newest import seen
from ingest_assets.extract.overlap import BEGAN, first
from ingest_assets.extract.reading import MOVED, headers_kept, read_through
from ingest_assets.extract.request import Walk, first_request
from ingest_assets.extract.ruled import is_empty, noted, nothing_in
from ingest_assets.extract.trail import COUNTED, labelled
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.bodies import marked
from ingest_assets.raw.forgotten import Forgotten
from ingest_assets.raw.records import ITEMS, OF, UNCHANGED
from ingest_assets.raw.snapshots import IndexEntry, PageWriter

if TYPE_CHECKING:
    from ingest_assets.extract.jobs import Jobs
    from ingest_assets.extract.unchanged import Former

PART = "part"
"""Where the note of a page has the key of its part."""


class Storing(Struct, frozen=True, dict=True):
    """Stores pages of a walk, or of a part of it. `started` is when the fetch began, `kept_out` who is to stay out.

    `jobs` are those of the fetch, where the API has to make first what is fetched; `former` is the page that is asked
    for only if it has changed.
    """

    walk: Walk
    started: datetime
    kept_out: Callable[[], Forgotten]
    jobs: "Jobs | None" = None
    former: "Former | None" = None

    @cached_property
    def _headers(self) -> tuple[str, ...]:
        return headers_kept(self.walk)

    def chained(self, client: Client, stored: Iterable[IndexEntry], ask: Ask) -> End:
        """How the chain of pages of its walk ended, after the pages that are stored of it.

        Where the API no longer knows where a part stopped, that begins anew, and leaves the others as they are.
        """
        if self.jobs is not None:
            return self.jobs.chain(client, self.walk, stored, ask)
        try:
            return chain(self.walk, stored, ask)
        except CursorExpired:
            if not self._may_begin_anew:
                raise
        return chain(self.walk, (), ask)

    @property
    def _may_begin_anew(self) -> bool:
        """Whether what comes again of a part is known by its key, and takes the place of all that came before."""
        part, endpoint = self.walk.part, self.walk.endpoint
        return part is not None and part.of is None and bool(endpoint.primary_key) and not endpoint.cut_lists

    def page(
        self, client: Client, request: PageRequest, begin: Callable[[], AbstractContextManager[PageWriter]]
    ) -> IndexEntry:
        """Ask for a page, store it where `begin` says, and note what the walk needs of it.

        Asked again while the failure may pass; each time it begins anew.
        """
        walk, kept_out = self.walk, self.kept_out()
        count = self._count(client, request)

        def receive(response: Response, since: int | None = None) -> IndexEntry:
            if not is_empty(response) and since is None:
                refuse_unmarked(walk, response)
            beside = {} if count is None else {COUNTED: count}
            with begin() as writer:
                for chunk in response.chunks():
                    writer.write(chunk)
                return self._committed(
                    writer, response, kept_out, beside if since is None else beside | {UNCHANGED: since}
                )

        if (entry := self._unless_unchanged(client, request, receive)) is not None:
            return entry
        file = walk.part.file if walk.part is not None else None
        if file is None or self.jobs is None:
            return client.fetch(request, receive)
        return self.jobs.download(client, walk, file, receive)

    def _committed(
        self, writer: PageWriter, response: Response, kept_out: Forgotten, beside: Mapping[str, Any]
    ) -> IndexEntry:
        """The page once it was read through, with what the walk needs of it; `beside` is what is known already."""
        walk = self.walk
        times, whose, began, cut = seen(walk), answered(walk), first(walk), cuts(walk)
        watching = [one for one in (times, whose, began, connections(walk)) if one is not None]
        with telling_errors(walk, response.status, writer.read), labelled(walk), writer.read() as body:
            decode = walk.endpoint.decoder.decode
            decoded = nothing_in(walk, response, body) if is_empty(response) else decode(body, walk.endpoint.records)
            position, told, gone = read_through(walk, decoded, self.started, kept_out, watching, cut)
        if UNCHANGED not in beside:
            refuse_open_end(walk, response, decoded)
        response.learn(decoded.envelope)
        refuse_others(walk, decoded.envelope)
        if gone:
            writer.redact(marked(list(gone.values())))
        headers = {name: response.headers[name] for name in self._headers if name in response.headers}
        note = {
            "envelope": decoded.envelope,
            "last_record": decoded.last_record,
            "position": position,
            "told": told,
            **({} if times is None else {"times": times.told()}),
            **({} if whose is None else {ANSWERED: whose.told()}),
            **({} if began is None else {BEGAN: began.value}),
            **({} if cut is None else {CUT: cut.found}),
            **({} if response.moved is None else {MOVED: response.moved}),
            **noted(response),
            **beside,
            **_of_part(walk, decoded.records),
        }
        # Numbers that JSON's own types would round become text: a cursor is sent back digit by digit.
        plain: dict[str, Any] = msgspec.to_builtins(note)
        records = 0 if OF in plain else decoded.records  # the elements of a nested list are no records
        return writer.commit(response.status, headers, records, plain, sorted(gone))

    def _unless_unchanged(
        self, client: Client, request: PageRequest, receive: Callable[[Response, int | None], IndexEntry]
    ) -> IndexEntry | None:
        """The page as it came, or the former one where it has not changed; None where it has to be asked for anew."""
        former = self.former
        if former is None:
            return None

        def received(answer: Response) -> IndexEntry | None:
            if answer.status != HTTPStatus.NOT_MODIFIED:
                return receive(answer, None)
            return receive(former.page(answer), former.since) if former.stands(answer) else None

        return client.fetch(former.asked(request), received)

    def _count(self, client: Client, request: PageRequest) -> dict[str, Any] | None:
        """How many records a parent has, asked before its first page."""
        if not self.walk.endpoint.counts_parents or self.walk.part is None or request != first_request(self.walk):
            return None
        told = counted(client, self.walk, self.started)
        return None if told is None else {"records": told.records, "tells": told.tells}


def _of_part(walk: Walk, records: int) -> dict[str, Any]:
    """What the note of each page says of its part; of a nested list, how its pages are read, too."""
    part = walk.part
    if part is None:
        return {}
    told: dict[str, Any] = {PART: part.key}
    if part.of is not None:
        told[OF] = asdict(part.of) | {"records": walk.endpoint.records.model_dump(mode="json")}
        told[ITEMS] = records
    return told | ({"parent": dict(part.parent)} if part.parent else {})
