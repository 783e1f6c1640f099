"""A walk through one partition of an API, page by page, into a snapshot.

    first request ─► page ─► stored, then decoded ─► paginator ─► next request ─► … ─► verdict

A page counts once it is stored: a walk that dies goes on after its last stored page. Where pages are asked for by
their place, records may have moved meanwhile: it goes on with that page once again, and what comes twice counts as
duplicates. The verdict says why the walk ended. What does not end for a stated, acceptable reason is a failure, or
`incomplete` where the source file says that this is to be loaded with a warning.
"""

import contextlib
import json
import shlex
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec
import xxhash

from ingest_assets.errors import ConfigError, RequestFailed, WalkIncomplete
from ingest_assets.extract.request import Walk, fingerprint, first_request, request_key
from ingest_assets.http.client import Client, Response
from ingest_assets.http.decoders import Decoded
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.place import Place, beside, whole
from ingest_assets.raw.bodies import marked
from ingest_assets.raw.erase import tidy
from ingest_assets.raw.forgotten import PARTITION, Forgotten, read
from ingest_assets.raw.snapshots import Bounds, IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

_QUOTED_CHARACTERS = 200
_HEADERS_KEPT = ("content-type", "date", "etag", "last-modified", "link", "request-id", "x-request-id", "retry-after")
_UNTIL_404 = ". Where that is how this API says that no page follows, give the paginator `until: 404` as its sign"


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
    snapshots: Snapshots
    begin: Callable[[Walk], tuple[int, datetime]]
    run: str
    show: Callable[[Progress], None] = lambda _: None
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def fetch(self, walk: Walk) -> Snapshot:
        """Walk the partition to its end, from where an unfinished walk of the same request stopped.

        The snapshot's verdict is complete; open, where its period was not over and settled when the fetch began; or
        incomplete where the source file allows it. Anything else is raised:
        WalkIncomplete and RequestFailed end the fetch as failed; after a TransientFailure or a crash it can go on.
        """
        first = first_request(walk)
        opened = self._unfinished(walk, first) or self._new(walk, first)
        try:
            reason = self._walk(walk, first, opened)
            position = _position(walk, opened)
        except WalkIncomplete as error:
            if walk.endpoint.incomplete == "fail":
                self._end(opened, walk, "failed", str(error))
                raise
            return self._end(opened, walk, "incomplete", str(error))
        except (RequestFailed, ConfigError) as error:
            self._end(opened, walk, "failed", str(error))
            raise
        settles = walk.endpoint.settled_at(walk.partition)
        is_open = settles is not None and opened.manifest.started < settles
        return self._end(opened, walk, "open" if is_open else "complete", reason, position)

    def _unfinished(self, walk: Walk, first: PageRequest) -> OpenSnapshot | None:
        opened = self.snapshots.unfinished(walk.source.name, walk.name, walk.partition)
        if opened is None:
            return None
        why_not = self._why_not(walk, first, opened)
        if why_not is None:
            return opened
        opened.end("given_up", why_not)
        return None

    def _why_not(self, walk: Walk, first: PageRequest, opened: OpenSnapshot) -> str | None:
        """Why an unfinished walk cannot go on, if so."""
        age = self.now() - opened.manifest.started
        if opened.manifest.fingerprint != fingerprint(walk, first):
            return "the source file asks for something else since"
        if age > walk.source.resume_within:
            return f"unfinished for {age}"
        if walk.endpoint.paginator.by_place and opened.pages and not walk.endpoint.primary_key:
            return "it would ask for a page again, and without a primary_key records that come twice cannot be told"
        return None

    def _new(self, walk: Walk, first: PageRequest) -> OpenSnapshot:
        self._check_over(walk)
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
                bounds=None if bounds is None else Bounds(*bounds),
                run=self.run,
            )
        )

    def _check_over(self, walk: Walk) -> None:
        """A period that has not settled would be taken for complete, or is to be fetched as open."""
        bounds, settles, now = walk.bounds, walk.endpoint.settled_at(walk.partition), self.now()
        if bounds is None or settles is None or settles <= now:
            return
        if bounds[0] > now:
            raise WalkIncomplete(f"{walk.label}: it has not begun: its first moment is {bounds[0].isoformat()}")
        if walk.endpoint.partitions is None or not walk.endpoint.partitions.open:
            raise WalkIncomplete(
                f"{walk.label}: it is not over: it counts as closed from {settles:%Y-%m-%d %H:%M} UTC on. To fetch it "
                "while it runs, say `open: true` under partitions"
            )

    def _check_gap(self, walk: Walk) -> None:
        """A feed that the API keeps for a while only has a hole when nobody looked for longer than that."""
        feed = walk.endpoint.feed
        if feed is None or feed.keeps is None or feed.cursor is not None or walk.position is None:
            return
        gap = self.now() - datetime.fromisoformat(walk.position)
        if gap > feed.keeps:
            only = f" --partition {shlex.quote(walk.partition)}" if walk.partition is not None else ""
            raise WalkIncomplete(
                f"{walk.label}: the last record known is of {walk.position}, {gap.days} days ago, and the API keeps "
                f"{feed.keeps.days} days: what lies between is lost to this feed. Load the missing part another way, "
                f"then move on by `ingest run {walk.source.name}.{walk.name}{only} --since DATE`"
            )

    def _walk(self, walk: Walk, first: PageRequest, opened: OpenSnapshot) -> str:
        """Why the walk ended."""
        trail, paginator = _Trail(walk), walk.endpoint.paginator
        page: Page | None = None
        for entry in opened.pages:
            page = trail.add(entry)
        self._show(trail, resumed=page is not None)
        again = page is not None and paginator.by_place
        while True:
            if page is not None and (reason := _ended(walk, page)):
                break
            _check_empty(walk, trail)
            request = page.request if page is not None and again else trail.following(page, first)
            again = False
            try:
                entry = self._page(walk, opened, request)
            except RequestFailed as error:
                if request == first or not paginator.by_place or error.status != HTTPStatus.NOT_FOUND:
                    raise
                if not paginator.ends_at(error.status):
                    raise RequestFailed(f"{error}{_UNTIL_404}", error.status) from error
                reason = "not_found"
                break
            page = trail.add(entry)
            self._show(trail)
        _check_total(walk, opened, trail.received)
        return reason

    def _page(self, walk: Walk, opened: OpenSnapshot, request: PageRequest) -> IndexEntry:
        """Ask for a page, store it, and note what the walk needs of it; asked again while the failure may pass."""

        kept_out = self._kept_out(walk)

        def receive(response: Response) -> IndexEntry:
            with opened.append(request) as writer:
                for chunk in response.chunks():
                    writer.write(chunk)
                with writer.read() as body:
                    decoded = walk.endpoint.decoder.decode(body, walk.endpoint.records)
                    position, told, gone = _read(walk, decoded, opened.manifest.started, kept_out)
                if gone:
                    writer.redact(marked(list(gone.values())))
                headers = {name: response.headers[name] for name in _kept(walk) if name in response.headers}
                note = {
                    "envelope": decoded.envelope,
                    "last_record": decoded.last_record,
                    "position": position,
                    "told": told,
                }
                # Numbers that JSON's own types would round stay text: a cursor is sent back digit by digit.
                plain = json.loads(json.dumps(note, default=str))
                return writer.commit(response.status, headers, decoded.records, plain, sorted(gone))

        return self.client.fetch(request, receive)

    def _end(
        self,
        opened: OpenSnapshot,
        walk: Walk,
        verdict: Literal["complete", "open", "incomplete", "failed"],
        reason: str,
        position: str | None = None,
    ) -> Snapshot:
        snapshot = opened.end(
            verdict,
            reason,
            position=position,
            expected=_expected(walk, opened),
            traffic=asdict(self.client.traffic),
        )
        tidy(snapshot, self._kept_out(walk), self.now())
        return Snapshot(snapshot.folder)

    def _kept_out(self, walk: Walk) -> Forgotten:
        return read(self.snapshots.endpoint_folder(walk.source.name, walk.name))

    def _show(self, trail: "_Trail", *, resumed: bool = False) -> None:
        self.show(Progress(trail.walk.label, trail.pages, trail.records, trail.bytes, resumed))


class _Trail:
    """The pages of a walk so far, counted; a request or page that comes again means that it goes in circles.

    `received` leaves out what came twice because a page was asked for again after a rest.
    """

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.pages = self.records = self.bytes = self.received = self.empty_in_a_row = 0
        self._last: Page | None = None
        self._fullest = 0
        self._asked: dict[str, int] = {}
        self._told: dict[str, int] = {}

    def following(self, page: Page | None, first: PageRequest) -> PageRequest:
        """The request after this page; raise WalkIncomplete where there is none, or it was asked before."""
        with _labelled(self.walk):
            request = first if page is None else self.walk.endpoint.paginator.next(page)
        if request is None:
            raise WalkIncomplete(
                f"{self.walk.label}: page {page and page.number} names no next page and is not the last"
            )
        if (former := self._asked.get(request_key(request))) is not None:
            raise WalkIncomplete(
                f"{self.walk.label}: after page {self.pages - 1} the API names the request of page {former} again: "
                "the walk would go in circles"
            )
        return request

    def add(self, entry: IndexEntry) -> Page:
        """Count a page, which knows then what came before it; raise WalkIncomplete where it shows a mistake."""
        page = _page_of(entry)
        self.pages, self.records, self.bytes = self.pages + 1, self.records + page.records, self.bytes + entry.bytes
        if self._last is not None and self._last.request == page.request:  # asked for again after a rest
            page = replace(page, before=self._last.before, fullest=self._last.fullest)
        else:
            self._check_hole()
            page = replace(page, before=self.received, fullest=self._fullest)
        self._check_circle(page, entry.note["told"])
        self.empty_in_a_row = 0 if page.records else self.empty_in_a_row + 1
        self.received, self._fullest = page.before + page.records, max(page.fullest, page.records)
        self._last = page
        return page

    def _check_hole(self) -> None:
        """A page without records may be the last where only a refusal tells that; here is a page after it."""
        if self._last is not None and not self._last.records and self.walk.endpoint.empty_page == "fail":
            raise _hole(self.walk, self._last)

    def _check_circle(self, page: Page, told: str) -> None:
        number = self._asked.setdefault(request_key(page.request), page.number)
        former = self._told.setdefault(told, number)
        if page.records and former != number:
            raise WalkIncomplete(
                f"{self.walk.label}: page {page.number} holds the very records of page {former}: "
                f"the walk goes in circles{_asked_by(self.walk)}"
            )


def _asked_by(walk: Walk) -> str:
    """What to look at where the API gives the same page again: it may not know the parameter."""
    told = " and ".join(map(repr, walk.endpoint.paginator.sets))
    return f". Does the API know the parameter {told}?" if told else ""


def _kept(walk: Walk) -> tuple[str, ...]:
    """The response headers that are stored with each page: some for people, and those that the walk goes by."""
    total = walk.endpoint.total
    return (*_HEADERS_KEPT, *walk.endpoint.paginator.headers, *(total.headers if total is not None else ()))


def _ended(walk: Walk, page: Page) -> str | None:
    """Why the walk ends with this page, or None where it goes on; raises where the page shows that it cannot."""
    endpoint = walk.endpoint
    if endpoint.errors is not None and (told := dig(page.envelope, endpoint.errors)):
        raise RequestFailed(
            f"{walk.label}: page {page.number} is of status {page.status}, and tells an error at "
            f"{endpoint.errors!r}{_quoted(told)}"
        )
    with _labelled(walk):
        reason = endpoint.paginator.finished(page)
    if reason or page.records or endpoint.empty_page != "fail" or endpoint.paginator.ends_at(HTTPStatus.NOT_FOUND):
        return reason
    raise _hole(walk, page)


@contextlib.contextmanager
def _labelled(walk: Walk) -> Iterator[None]:
    """A paginator knows pages only: what it raises gets the walk's name here."""
    try:
        yield
    except WalkIncomplete as error:
        raise WalkIncomplete(f"{walk.label}: {error}") from error
    except RequestFailed as error:
        raise RequestFailed(f"{walk.label}: {error}", error.status) from error


def _hole(walk: Walk, page: Page) -> WalkIncomplete:
    return WalkIncomplete(
        f"{walk.label}: page {page.number} holds no records and is not the last one. Where that is this API's "
        "habit, say `empty_page: continue`"
    )


def _check_empty(walk: Walk, trail: "_Trail") -> None:
    """A cursor that is ever new and leads to nothing would be followed for ever."""
    most = walk.endpoint.max_empty_pages
    if trail.empty_in_a_row >= most:
        raise WalkIncomplete(
            f"{walk.label}: {most} pages in a row hold no records, and the API names one more. Where that is its "
            f"habit, raise `max_empty_pages` (now {most}); else the API's cursor leads nowhere: run again later, and "
            "tell the API's people"
        )


def _quoted(told: Any) -> str:
    """The text of an error that came inside a good answer, short; the body was redacted when it arrived."""
    first = told[0] if isinstance(told, list) else told
    text = first.get("message") if isinstance(first, dict) else first
    shown = "".join(c for c in " ".join(text.split()) if c.isprintable()) if isinstance(text, str) else ""
    return f": {shown[:_QUOTED_CHARACTERS]!r}" if shown else ""


def _total(walk: Walk) -> Place | None:
    """Where the API says how many records there are in all."""
    return walk.endpoint.total or walk.endpoint.paginator.records_total


def _check_total(walk: Walk, opened: OpenSnapshot, received: int) -> None:
    place, expected = _total(walk), _expected(walk, opened)
    if place is not None and expected is None:
        told = beside(place, _page_of(opened.pages[0])) if opened.pages else ""
        raise WalkIncomplete(f"{walk.label}: total: the first page holds no number {place}{told}")
    if expected is not None and received < expected:
        raise WalkIncomplete(f"{walk.label}: the API says {expected:,} records, and {received:,} came{_one_page(walk)}")


def _one_page(walk: Walk) -> str:
    return (
        ". The source file names no `paginator`, so one page was read" if walk.endpoint.paginator.type == "none" else ""
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
    """How many records the API says there are, by its first page; None where it says no number."""
    place = _total(walk)
    return None if place is None or not opened.pages else whole(place.find(_page_of(opened.pages[0])))


def _position(walk: Walk, opened: OpenSnapshot) -> str | None:
    """Where the next fetch of a feed begins: the last page's cursor, or the greatest time seen so far."""
    feed = walk.endpoint.feed
    if feed is None or not opened.pages:
        return None
    if feed.cursor is not None:
        told = dig(opened.pages[-1].note["envelope"], feed.cursor.path)
        if isinstance(told, bool) or not isinstance(told, str | int) or told == "":
            raise WalkIncomplete(f"{walk.label}: the last page holds no cursor at {feed.cursor.path!r} to go on from")
        return str(told)
    times = [entry.note["position"] for entry in opened.pages if entry.note["position"] is not None]
    return max([*times, *([walk.position] if walk.position else [])], key=datetime.fromisoformat, default=None)


def _read(
    walk: Walk, decoded: Decoded, latest: datetime, kept_out: Forgotten
) -> tuple[str | None, str, dict[int, bytes]]:
    """A page read to its end: the greatest time of its records where the feed goes on by it, and a hash of them.

    With the records that are to be kept out, by position. The hash leaves the envelope out: a cursor that changes must
    not hide that the same records come again.
    """
    feed = walk.endpoint.feed
    path = feed.position if feed is not None else None
    told, times, gone = xxhash.xxh3_128(), list[datetime](), dict[int, bytes]()
    more: dict[str, Any] = {PARTITION: walk.endpoint.told(walk.partition)}
    for block in decoded:
        told.update(block.text)
        if path is not None:
            times += filter(None, (_moment(walk, path, record) for record in block.records()))
        if kept_out.rules:
            records = enumerate(block.records(), block.first)
            gone |= {place: bytes(text) for place, text in records if _is_kept_out(kept_out, text, more)}
    return _greatest(walk, times, decoded.records, latest), told.hexdigest(), gone


def _is_kept_out(kept_out: Forgotten, text: bytes | memoryview, more: dict[str, Any]) -> bool:
    try:
        record = msgspec.json.decode(text)
    except msgspec.MsgspecError:
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
        if isinstance(value, str) and not value.isdecimal():
            moment = datetime.fromisoformat(value)
            zoned = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(walk.endpoint.time_zone))
            return zoned.astimezone(UTC)
        scale = 1000 if walk.endpoint.feed is not None and walk.endpoint.feed.format == "unix_ms" else 1
        return datetime.fromtimestamp(float(value) / scale, UTC)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None
