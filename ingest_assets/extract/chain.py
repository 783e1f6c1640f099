"""One chain of pages, from its first request to a stated end: what every walk and each part of a fetch is.

    stored pages ─► last page ─► ended? ─► next request ─► ask ─► page ─► ended? ─► … ─► why it ended

It has no thread and no file of its own: `ask` gets a page stored and says what it is. So the same checks hold for
pages that are asked for one by one and for those that were asked for ahead of their turn.
"""

from collections.abc import Callable, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from ingest_assets.errors import CursorExpired, RequestFailed, Ruled, WalkIncomplete
from ingest_assets.extract import batches, cap, newest, ruled
from ingest_assets.extract.ending import check_empty, ended
from ingest_assets.extract.expected import check, check_pages, check_total, expected
from ingest_assets.extract.request import Part, Walk, first_request
from ingest_assets.extract.trail import Trail
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.total import Expected
from ingest_assets.raw.snapshots import IndexEntry

_UNTIL_404 = ". Where that is how this API says that no page follows, give the paginator `until: 404` as its sign"
_UNKNOWN_CURSOR = (
    ". It went on by the cursor that the last complete fetch left. Where that is over, begin again by `{}`"
)
_GONE = "gone"

Ask = Callable[[PageRequest, Page | None], IndexEntry]
"""Gets the page that a request asks for; the page that it follows is told, where there is one."""


class End(Struct, frozen=True):
    """How a chain ended: by which sign, how many records the API says it has, how many came, where a feed goes on.

    `more` are parts of the fetch that its pages turned out to need; they are walked right after it. Where they take its
    place, it counts nothing itself.
    """

    reason: str
    expected: Expected | None = None
    received: int = 0
    position: Any = None
    more: tuple[Part, ...] = ()


def chain(walk: Walk, stored: Iterable[IndexEntry], ask: Ask) -> End:
    """Walk a chain to its end, from after the pages of it that are stored.

    Raises what `ask` raises, and WalkIncomplete or RequestFailed where the pages tell no acceptable end; of that,
    CursorExpired where the API no longer knows where the stored pages stopped.
    """
    trail = Trail(walk)
    try:
        reason = _walked(walk, trail, stored, ask)
    except cap.TooMuch as cut:
        return End(cap.REASON, Expected(0), more=cut.halves)
    if reason == _GONE:
        return End(reason, Expected(0), 0, walk.position)
    if ruled.is_skipped(reason):  # what came of it is kept
        return End(reason, Expected(trail.received), trail.received, walk.position, tuple(trail.cut))
    if ruled.is_nothing(trail.last):
        batches.check(walk, trail.notes)
        return End(reason, Expected(0), 0, walk.position)
    if reason == newest.REASON:  # what the API counts is more than what it was asked for
        return End(reason, None, trail.received, more=tuple(trail.cut))
    batches.check(walk, trail.notes)
    check_total(walk, trail.first, trail.received)
    check(walk, trail.counted, trail.received)
    check_pages(walk, trail)
    told = trail.counted or expected(walk, trail.first, trail.last, trail.received)
    if trail.last is not None and trail.last.unchanged_since is not None:
        reason = f"{reason}, unchanged since fetch {trail.last.unchanged_since}"
    return End(reason, told, trail.received, _position(walk, trail), tuple(trail.cut))


def _walked(walk: Walk, trail: Trail, stored: Iterable[IndexEntry], ask: Ask) -> str:
    """The reason for which a chain ended, all of its pages on the trail."""
    first, page = first_request(walk), None
    for entry in stored:
        page = trail.add(entry)
    rested, again = page, page is not None and walk.endpoint.paginator.by_place
    while True:
        cap.check(walk, trail)
        with cap.refusals(walk, trail):
            if page is not None and (reason := _ended(walk, page, rested) or trail.ended):
                return reason
        check_empty(walk, trail)
        request = page.request if page is not None and again else trail.following(page, first)
        again = False
        try:
            with cap.refusals(walk, trail):
                entry = ask(request, page)
        except Ruled as error:
            if page is not None and page is rested and error.means in ("end", "skip_parent"):
                _raise_expired(walk, page, error)
            return ruled.ended_by(walk, error, is_first=page is None)
        except RequestFailed as error:
            if page is not None and page is rested and error.status in walk.endpoint.expired_cursor:
                _raise_expired(walk, page, error)
            if page is None and walk.part is not None and error.status in walk.endpoint.parents.gone:
                return _GONE
            if page is None and _goes_on_by_cursor(walk) and error.status in walk.endpoint.expired_cursor:
                raise RequestFailed(f"{error}{_UNKNOWN_CURSOR.format(walk.moving_on)}", error.status) from error
            return _ended_by(walk, error, is_first=request == first)
        page = trail.add(entry)


def _goes_on_by_cursor(walk: Walk) -> bool:
    feed = walk.endpoint.feed
    return feed is not None and feed.cursor is not None and walk.position is not None


def _ended(walk: Walk, page: Page, rested: Page | None) -> str | None:
    """Why the chain ends with this page, or None; an error in the first answer after a rest may be of its cursor."""
    after = rested if rested is not None and page.number == rested.number + 1 else None
    if after is not None and not page.records and (told := page.end or page.empty):
        _raise_expired(walk, after, RequestFailed(told))
    try:
        return ended(walk, page)
    except RequestFailed as error:
        if after is not None and error.status is None:
            _raise_expired(walk, after, error)
        raise


def _raise_expired(walk: Walk, rested: Page, error: RequestFailed) -> None:
    """Raise CursorExpired for a refusal that met the first request after a rest, unless that named a place.

    Anywhere else the same refusal is a failure: a cursor that was given a moment ago has to be known.
    """
    if not walk.endpoint.paginator.by_place:
        told = f"the API no longer knows the way on from page {rested.number}, which was stored before: {error}"
        raise CursorExpired(told, error.status) from error


def _ended_by(walk: Walk, error: RequestFailed, *, is_first: bool) -> str:
    """The sign that a refusal is; raises it again where it is none."""
    paginator = walk.endpoint.paginator
    if is_first or not paginator.by_place or error.status != HTTPStatus.NOT_FOUND:
        raise error
    if not paginator.ends_at(error.status):
        raise RequestFailed(f"{error}{_UNTIL_404}", error.status) from error
    return "not_found"


def _position(walk: Walk, trail: Trail) -> str | None:
    """Where the next fetch of a feed begins: the last page's cursor, or the greatest time seen so far."""
    feed = walk.endpoint.feed
    if feed is None or trail.last is None:
        return None
    if feed.cursor is not None:
        told: Any = dig(trail.last.envelope, feed.cursor.path)
        if isinstance(told, bool) or not isinstance(told, str | int) or told == "":
            raise WalkIncomplete(f"{walk.label}: the last page holds no cursor at {feed.cursor.path!r} to go on from")
        return str(told)
    times = [time for time in (trail.latest, walk.position) if time is not None]
    return max(times, key=datetime.fromisoformat, default=None)
