"""A stored page read to its end: what the walk, the feed and the next fetch need to know of it."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import msgspec
import xxhash

from ingest_assets.errors import ConfigError, WalkIncomplete
from ingest_assets.extract.cut_lists import Cuts
from ingest_assets.extract.overlap import BEGAN
from ingest_assets.extract.request import Walk
from ingest_assets.http.decoders import Decoded
from ingest_assets.http.decoders.parsing import UNREADABLE
from ingest_assets.http.page import Page, dig
from ingest_assets.raw.forgotten import PARTITION, Forgotten
from ingest_assets.raw.records import EMPTY, END, ITEMS, UNCHANGED
from ingest_assets.raw.snapshots import IndexEntry

_HEADERS_KEPT = (
    *("content-type", "date", "etag", "last-modified", "link", "request-id", "x-request-id", "retry-after"),
    *(
        f"{family}-{word}"
        for family in ("x-ratelimit", "x-rate-limit", "ratelimit")
        for word in ("limit", "remaining", "reset")
    ),
    *("ratelimit", "ratelimit-policy"),
)
MOVED = "moved"
"""Where the note of a page has the URL that a redirect led to."""
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def headers_kept(walk: Walk) -> tuple[str, ...]:
    """The response headers that are stored with each page: some for people, and those that the walk goes by."""
    total = walk.endpoint.total
    return (*_HEADERS_KEPT, *walk.endpoint.paginator.headers, *(total.headers if total is not None else ()))


def page_of(entry: IndexEntry, number: int, *, before: int = 0, fullest: int = 0) -> Page:
    """A stored page as the walk sees it: its number in its chain, and what the pages before it held."""
    return Page(
        number,
        entry.request,
        entry.status,
        entry.headers,
        envelope=entry.note["envelope"],
        records=entry.note.get(ITEMS, entry.records),
        last_record=entry.note["last_record"],
        before=before,
        fullest=fullest,
        began=entry.note.get(BEGAN),
        end=entry.note.get(END),
        empty=entry.note.get(EMPTY),
        unchanged_since=entry.note.get(UNCHANGED),
        moved=entry.note.get(MOVED),
    )


class Watching(Protocol):
    """Sees all records of a page."""

    def add_all(self, records: Iterable[bytes | memoryview]) -> None:
        """Some of them, in their order."""


def read_through(
    walk: Walk,
    decoded: Decoded,
    latest: datetime,
    kept_out: Forgotten,
    watching: Sequence[Watching],
    cut: Cuts | None,
) -> tuple[str | None, str, dict[int, bytes]]:
    """A page read to its end: the greatest time of its records where the feed goes on by it, and a hash of them.

    With the records that are to be kept out, by position. The hash leaves the envelope out: a cursor that changes must
    not hide that the same records come again. All who are `watching` see
    the records, and `cut` notes the lists in them that came cut.
    """
    feed = walk.endpoint.feed
    path = feed.position if feed is not None else None
    told, times, gone = xxhash.xxh3_128(), list[datetime](), dict[int, bytes]()
    more: dict[str, Any] = {PARTITION: walk.endpoint.told(walk.partition)}
    for block in decoded:
        told.update(block.view)
        if path is not None:
            times += filter(None, (_moment(walk, path, record) for record in block.records()))
        for one in watching:
            one.add_all(block.records())
        if cut is not None:
            cut.add_all(block)
        if kept_out.rules:
            records = enumerate(block.records(), block.first)
            gone |= {place: bytes(text) for place, text in records if _is_kept_out(kept_out, text, more)}
    return _greatest(walk, times, decoded.records, latest), told.hexdigest(), gone


def refuse_made(walk: Walk, kept_out: Forgotten) -> None:
    """Raise ConfigError where records are to stay out that cannot be taken out of a body."""
    if kept_out.rules and walk.endpoint.decoder.makes:
        raise ConfigError(
            f"{walk.label}: some of its records are to stay out (ingest forget), and records can be taken out of JSON "
            f"only, not out of {walk.endpoint.decoder.type}"
        )
    if kept_out.rules and walk.endpoint.cut_lists:
        raise ConfigError(
            f"{walk.label}: some of its records are to stay out (ingest forget), and lists that are read on "
            "(`cut_lists`) stand on pages of their own, from which they cannot be taken out"
        )
    if kept_out.rules and walk.endpoint.records.makes:
        raise ConfigError(
            f"{walk.label}: some of its records are to stay out (ingest forget), and records that are made of several "
            "places of a body cannot be taken out of it; write `records` without key, keep and layout"
        )


def _is_kept_out(kept_out: Forgotten, text: bytes | memoryview, more: dict[str, Any]) -> bool:
    try:
        record = msgspec.json.decode(text)
    except UNREADABLE:
        return False
    return isinstance(record, dict) and kept_out.has(record | more)


def _greatest(walk: Walk, times: list[datetime], records: int, latest: datetime) -> str | None:
    """The greatest of a page's times.

    A time after `latest`, when the fetch began, counts as that: one wrong record must not move the feed past what
    is still to come. Records without a time are left to quarantine; a page of nothing else is a wrong `position`.
    """
    feed = walk.endpoint.feed
    if feed is None or feed.position is None:
        return None
    if records and not times:
        raise WalkIncomplete(f"{walk.label}: feed: position {feed.position!r} holds a time in none of a page's records")
    return min(max(times), latest).isoformat() if times else None


def _moment(walk: Walk, path: str, record: Any) -> datetime | None:
    """The time at a path of a record's text, or None where there is none."""
    try:
        value = dig(msgspec.json.decode(record), path)
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            moment = datetime.fromisoformat(value)
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(walk.endpoint.time_zone))
            return zoned.astimezone(UTC)
        scale = 1000 if walk.endpoint.feed is not None and walk.endpoint.feed.format == "unix_ms" else 1
        return datetime.fromtimestamp(float(value) / scale, UTC)
    except (*UNREADABLE, TypeError, ValueError, OverflowError):
        return None
