"""The stored pages of an endpoint, as the API sent them, read by what the source file says now."""

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest_assets.errors import IngestError
from ingest_assets.http.page import Page
from ingest_assets.raw.index import IndexEntry
from ingest_assets.raw.manifest import Bounds
from ingest_assets.raw.records import OF
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.source import Endpoint, Source

_MOST_PAGES = 50
_MOST_WALKS = 6
_MOST_BYTES = 32 << 20


@dataclass(frozen=True)
class Finding:
    """What stored responses say against a file: of which endpoint, where in the file, what, and what to do."""

    endpoint: str
    field: str
    found: str
    todo: str = ""


@dataclass(frozen=True)
class StoredPage:
    """One page: what asked for it, and what the file makes of its body; `problem` is why that is nothing."""

    entry: IndexEntry
    page: Page
    records: tuple[Any, ...]
    problem: str = ""


@dataclass(frozen=True)
class Stored:
    """The first chain of pages of a stored fetch. `whole` is whether the API had no page after the last one."""

    partition: str | None
    fetch: int
    bounds: Bounds | None
    pages: tuple[StoredPage, ...] = field(repr=False)
    whole: bool = False

    @property
    def records(self) -> list[Any]:
        """All of their records."""
        return [record for page in self.pages for record in page.records]


def stored(snapshots: Snapshots, source: Source, name: str) -> list[Stored]:
    """The newest fetches of an endpoint that hold pages, of several partitions; the oldest first."""
    kept = [one for one in snapshots.fetches(source.name, name) if one.manifest.ended is not None and len(one.pages)]
    return [_read(one, source.endpoints[name]) for one in kept[-_MOST_WALKS:]]


def _read(snapshot: Snapshot, endpoint: Endpoint) -> Stored:
    told, pages = snapshot.manifest, list[StoredPage]()
    before = fullest = 0
    for entry in _chain(snapshot):
        with snapshot.body(entry) as body:
            text = body.read(_MOST_BYTES)
        pages.append(_page(entry, text, endpoint, before, fullest))
        before, fullest = before + len(pages[-1].records), max(fullest, len(pages[-1].records))
    whole = told.ended is not None and told.ended.verdict in ("complete", "open") and len(pages) < _MOST_PAGES
    return Stored(told.partition, told.fetch, told.bounds, tuple(pages), whole)


def _chain(snapshot: Snapshot) -> Iterator[IndexEntry]:
    """The pages of its first part, without those of nested lists."""
    first = snapshot.pages[0].note.get("part")
    for number, entry in enumerate(snapshot.pages):
        if number == _MOST_PAGES or entry.note.get("part") != first:
            return
        if OF not in entry.note:
            yield entry


def _page(entry: IndexEntry, text: bytes, endpoint: Endpoint, before: int, fullest: int) -> StoredPage:
    records, problem = list[Any](), ""
    decoded = None
    try:
        decoded = endpoint.decoder.decode(io.BytesIO(text), endpoint.records)
        for block in decoded:
            records += [_parsed(one) for one in block.records()]
    except IngestError as error:
        problem, records = str(error), []
    page = Page(
        entry.number,
        entry.request,
        entry.status,
        entry.headers,
        envelope=None if decoded is None or problem else decoded.envelope,
        records=len(records),
        last_record=records[-1] if records else None,
        before=before,
        fullest=fullest,
    )
    return StoredPage(entry, page, tuple(records), problem)


def _parsed(text: bytes | memoryview) -> Any:
    try:
        return json.loads(bytes(text).decode(errors="replace"))
    except ValueError:
        return None


def keys(records: list[Any]) -> str:
    """The keys that some records have, for messages."""
    found = dict.fromkeys(key for record in records[:20] if isinstance(record, Mapping) for key in record)
    return ", ".join([*found][:12]) or "none"
