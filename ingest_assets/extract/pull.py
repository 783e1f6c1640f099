"""A walk through one partition of an API, page by page, into a snapshot.

    first request ─► page ─► stored, then decoded ─► paginator ─► next request ─► … ─► verdict

A page counts once it is stored: a walk that dies goes on after its last stored page. The verdict says why the
walk ended. What does not end for a stated, acceptable reason is a failure, or `incomplete` where the source file
says that this is to be loaded with a warning.
"""

import json
from collections.abc import Callable
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from ingest_assets.errors import ConfigError, RequestFailed, WalkIncomplete
from ingest_assets.extract.request import Walk, fingerprint, first_request, request_key
from ingest_assets.http.client import Client, Response
from ingest_assets.http.decoders import Decoded
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.secrets import Redactor
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

_HEADERS_KEPT = ("content-type", "date", "etag", "last-modified", "link", "request-id", "x-request-id", "retry-after")


@dataclass(frozen=True)
class Progress:
    """How far a walk is: shown while it works."""

    label: str
    pages: int
    records: int
    bytes: int
    resumed: bool = False


@dataclass(frozen=True)
class Puller:
    """Fetches partitions of one endpoint; the caller holds the partition's lock.

    `begin` gives a new fetch its number and start time.
    """

    client: Client
    redactor: Redactor
    snapshots: Snapshots
    begin: Callable[[Walk], tuple[int, datetime]]
    run: str
    show: Callable[[Progress], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def fetch(self, walk: Walk) -> Snapshot:
        """Walk the partition to its end, from where an unfinished walk of the same request stopped.

        The snapshot's verdict is complete, or incomplete where the source file allows it. Anything else is raised:
        WalkIncomplete and RequestFailed end the fetch as failed; after a TransientFailure or a crash the walk can go on.
        """
        first = first_request(walk)
        opened = self._unfinished(walk, first) or self._new(walk, first)
        try:
            reason = self._walk(walk, first, opened)
        except WalkIncomplete as error:
            if walk.endpoint.incomplete == "fail":
                self._end(opened, walk, "failed", str(error))
                raise
            return self._end(opened, walk, "incomplete", str(error))
        except (RequestFailed, ConfigError) as error:
            self._end(opened, walk, "failed", str(error))
            raise
        return self._end(opened, walk, "complete", reason)

    def _unfinished(self, walk: Walk, first: PageRequest) -> OpenSnapshot | None:
        opened = self.snapshots.unfinished(walk.source.name, walk.name, walk.partition)
        if opened is None:
            return None
        age = self.now() - opened.manifest.started
        same = opened.manifest.fingerprint == fingerprint(walk, first)
        if same and age <= walk.source.resume_within:
            return opened
        why = f"unfinished for {age}" if same else "the source file asks for something else since"
        opened.end("given_up", why)
        return None

    def _new(self, walk: Walk, first: PageRequest) -> OpenSnapshot:
        self._check_gap(walk)
        number, started = self.begin(walk)
        bounds = walk.bounds
        return self.snapshots.begin(
            Manifest(
                source=walk.source.name,
                endpoint=walk.name,
                partition=walk.partition,
                fetch=number,
                started=started,
                fingerprint=fingerprint(walk, first),
                bounds=None if bounds is None else (bounds[0], bounds[1]),
                run=self.run,
            )
        )

    def _check_gap(self, walk: Walk) -> None:
        """A feed that the API keeps for a while only has a hole when nobody looked for longer than that."""
        feed = walk.endpoint.feed
        if feed is None or feed.keeps is None or feed.cursor is not None or walk.position is None:
            return
        gap = self.now() - datetime.fromisoformat(walk.position)
        if gap > feed.keeps:
            raise WalkIncomplete(
                f"{walk.label}: the last record known is of {walk.position}, {gap.days} days ago, and the API keeps "
                f"{feed.keeps.days} days: what lies between is lost to this feed. Load the missing part another way, "
                f"then move on by `ingest run {walk.source.name}.{walk.name} --since DATE`"
            )

    def _walk(self, walk: Walk, first: PageRequest, opened: OpenSnapshot) -> str:
        """Why the walk ended."""
        seen = _Seen(walk.label)
        page: Page | None = None
        for entry in opened.pages:
            page = _page_of(entry)
            seen.add(page, entry.sha256)
        self._show(walk, opened, resumed=page is not None)
        while True:
            if page is not None:
                self._check_page(walk, page)
                if reason := walk.endpoint.paginator.finished(page):
                    self._check_total(walk, opened)
                    return reason
            request = first if page is None else walk.endpoint.paginator.next(page)
            if request is None:
                raise WalkIncomplete(f"{walk.label}: page {page and page.number} names no next page and is not the last")
            seen.check(request)
            page, digest = self._page(walk, opened, request)
            seen.add(page, digest)
            self._show(walk, opened)

    def _page(self, walk: Walk, opened: OpenSnapshot, request: PageRequest) -> tuple[Page, str]:
        """Ask for a page, store it, and read what the walk needs of it; asked again while the failure may pass."""

        def receive(response: Response) -> tuple[Page, str]:
            with opened.append(request) as writer:
                for chunk in response.chunks():
                    writer.write(chunk)
                with writer.read() as body:
                    decoded = walk.endpoint.decoder.decode(body, walk.endpoint.records)
                    position = _greatest_position(walk, decoded)
                headers = {name: response.headers[name] for name in _HEADERS_KEPT if name in response.headers}
                note = {"envelope": decoded.envelope, "last_record": decoded.last_record, "position": position}
                entry = writer.commit(response.status, headers, decoded.records, json.loads(json.dumps(note, default=_number)))
            return _page_of(entry), entry.sha256

        return self.client.fetch(request, receive)

    def _check_page(self, walk: Walk, page: Page) -> None:
        endpoint = walk.endpoint
        if endpoint.errors is not None and (told := dig(page.envelope, endpoint.errors)):
            raise RequestFailed(f"{walk.label}: page {page.number}: status {page.status}, and errors at {endpoint.errors!r} in it")
        if page.records == 0 and endpoint.empty_page == "fail" and not endpoint.paginator.finished(page):
            raise WalkIncomplete(
                f"{walk.label}: page {page.number} holds no records and is not the last one. Where that is this API's "
                "habit, say `empty_page: continue`"
            )

    def _check_total(self, walk: Walk, opened: OpenSnapshot) -> None:
        received = sum(entry.records for entry in opened.pages)
        expected = _expected(walk, opened)
        if expected is not None and received < expected:
            raise WalkIncomplete(f"{walk.label}: the API says {expected} records, and {received} came")

    def _end(self, opened: OpenSnapshot, walk: Walk, verdict: str, reason: str) -> Snapshot:
        return opened.end(
            verdict,
            reason,
            position=_position(walk, opened) if verdict == "complete" else None,
            expected=_expected(walk, opened),
            traffic=self.client.traffic_dict(),
        )

    def _show(self, walk: Walk, opened: OpenSnapshot, *, resumed: bool = False) -> None:
        counts = [(entry.records, entry.bytes) for entry in opened.pages]
        records, size = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0)
        self.show(Progress(walk.label, len(counts), records, size, resumed))


class _Seen:
    """The requests and pages of a walk: one that comes again means that it goes in circles."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._requests: dict[str, int] = {}
        self._pages: dict[str, int] = {}

    def check(self, request: PageRequest) -> None:
        """Raise WalkIncomplete where this was asked before."""
        if (former := self._requests.get(request_key(request))) is not None:
            raise WalkIncomplete(
                f"{self._label}: after page {len(self._requests) - 1} the API names the request of page {former} "
                "again: the walk would go in circles"
            )

    def add(self, page: Page, digest: str) -> None:
        """Remember a page; raise WalkIncomplete where a page with records is the same as an earlier one."""
        self._requests[request_key(page.request)] = page.number
        former = self._pages.setdefault(digest, page.number)
        if page.records and former != page.number:
            raise WalkIncomplete(
                f"{self._label}: page {page.number} is the same as page {former}: the API goes in circles"
            )


def _page_of(entry: IndexEntry) -> Page:
    return Page(
        entry.number,
        entry.request,
        entry.status,
        entry.headers,
        envelope=entry.note["envelope"],
        records=entry.records,
        last_record=entry.note["last_record"],
    )


def _expected(walk: Walk, opened: OpenSnapshot) -> int | None:
    """How many records the API says there are, by its first page."""
    if walk.endpoint.total is None or not opened.pages:
        return None
    told = dig(opened.pages[0].note["envelope"], walk.endpoint.total)
    if isinstance(told, bool) or not str(told).isdigit():
        raise WalkIncomplete(f"{walk.label}: total: {walk.endpoint.total!r} holds no number of records on the first page")
    return int(told)


def _position(walk: Walk, opened: OpenSnapshot) -> str | None:
    """Where the next fetch of a feed begins: the last page's cursor, or the greatest time seen so far."""
    feed = walk.endpoint.feed
    if feed is None or not opened.pages:
        return None
    if feed.cursor is not None:
        told = dig(opened.pages[-1].note["envelope"], feed.cursor.path)
        if not isinstance(told, str) or not told:
            raise WalkIncomplete(f"{walk.label}: the last page holds no cursor at {feed.cursor.path!r} to go on from")
        return told
    times = [entry.note["position"] for entry in opened.pages if entry.note["position"] is not None]
    return max([*times, *([walk.position] if walk.position else [])], key=datetime.fromisoformat, default=None)


def _greatest_position(walk: Walk, decoded: Decoded) -> str | None:
    """The greatest time of a page's records where the feed goes on by it; reads the page to its end in any case."""
    feed = walk.endpoint.feed
    if feed is None or feed.position is None:
        deque(decoded, maxlen=0)
        return None
    records = (msgspec.json.decode(record) for block in decoded for record in block.records())
    times = [_moment(walk, feed.position, dig(record, feed.position)) for record in records]
    return max(times).isoformat() if times else None


def _moment(walk: Walk, path: str, value: Any) -> datetime:
    try:
        if isinstance(value, str) and not value.isdigit():
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(walk.endpoint.time_zone))
        scale = 1000 if walk.endpoint.feed is not None and walk.endpoint.feed.format == "unix_ms" else 1
        return datetime.fromtimestamp(float(value) / scale, UTC)
    except (TypeError, ValueError, OverflowError):
        raise WalkIncomplete(f"{walk.label}: feed: position {path!r} holds no time in one of the records") from None


def _number(value: Any) -> float:
    return float(value)
