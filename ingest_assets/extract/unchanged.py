"""Pages that have not changed since a former fetch: asked for on condition, and taken from what is stored.

former snapshot ─► its page's validator ─► request on condition ─┬─ 200 ─► a page like any other
                                                                 └─ 304 ─► the former page, verified, stored again
"""

from collections.abc import Iterator
from http import HTTPStatus

from msgspec import Struct

from ingest_assets.errors import StorageFailed
from ingest_assets.extract.request import Walk, fingerprint, first_request
from ingest_assets.http.answer import Response
from ingest_assets.http.page import PageRequest
from ingest_assets.http.validators import condition, on_condition, same
from ingest_assets.raw.index import IndexEntry
from ingest_assets.raw.records import EMPTY, END, UNCHANGED
from ingest_assets.raw.snapshots import Snapshot

_CHUNK_BYTES = 1 << 16


class Former(Struct, frozen=True):
    """The only page of a former fetch, and the header that asks whether it has changed."""

    snapshot: Snapshot
    entry: IndexEntry
    told: tuple[str, str]

    def asked(self, request: PageRequest) -> PageRequest:
        """The request, to be answered only if the page has changed since."""
        return on_condition(request, self.told)

    def stands(self, answer: Response) -> bool:
        """Whether a 304 is of this very page."""
        return same(answer.headers, self.entry.headers)

    @property
    def since(self) -> int:
        """The fetch in which the page came over the network."""
        return int(self.entry.note.get(UNCHANGED, self.snapshot.fetch))

    def page(self, answer: Response) -> Response:
        """The page as an answer: its body from the former snapshot, its headers renewed by those of the 304."""
        headers = {**self.entry.headers, **answer.headers}
        return Response(self.entry.status, headers, answer.url, self._chunks())

    def _chunks(self) -> Iterator[bytes]:
        with self.snapshot.body(self.entry) as stored:
            while chunk := stored.read(_CHUNK_BYTES):
                yield chunk


def former(walk: Walk, newest: Snapshot | None) -> Former | None:
    """What may be asked about on condition: of the newest fetch that is stored and loaded, if it is fit for that.

    It has to be complete, whole on disk, of the same request and reading, of one page, and with all of its records.
    """
    if newest is None or not walk.endpoint.only_if_changed:
        return None
    try:
        entry = _only_page(newest)
        if entry is None or newest.manifest.fingerprint != fingerprint(walk, first_request(walk)) or newest.verify():
            return None
    except StorageFailed:
        return None
    told = condition(entry.headers)
    return None if told is None else Former(newest, entry, told)


def _only_page(snapshot: Snapshot) -> IndexEntry | None:
    """The page of a complete fetch, where it is the only one, and all of its records are in it."""
    end, pages = snapshot.manifest.ended, snapshot.pages
    if end is None or end.verdict != "complete" or len(pages) != 1:
        return None
    entry = pages[0]
    by_rule = EMPTY in entry.note or END in entry.note
    return entry if entry.status == HTTPStatus.OK and not entry.forgotten and not by_rule else None
