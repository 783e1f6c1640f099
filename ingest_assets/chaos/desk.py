"""The API's side of each paginator: which records a request means, and what an answer says of those that follow.

A paginator of `http/paginators` reads an answer and asks on. Here is who is asked: it knows pages by what the source
file says that requests carry, and tells the next one as the file says that answers do. Nobody else's signs are there:
an API that pages by cursors gives no total, unless the file names one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from ingest_assets.chaos.asked import Asked
from ingest_assets.chaos.made import Record
from ingest_assets.http.page import PageRequest, find
from ingest_assets.http.paginators import SinglePage
from ingest_assets.http.paginators.cursors import Cursor, GraphQL, LastRecord, Session
from ingest_assets.http.paginators.links import Link, NextUrl
from ingest_assets.http.paginators.numbered import Offset, PageNumber
from ingest_assets.http.place import Place
from ingest_assets.source import Endpoint

_CURSOR = "c{}/{}+of=&%20"  # what a client has to send back byte by byte
_SESSION = "session-1"
_BEHIND = 1_000_000  # a page that is behind the last one
_TOKEN = "page_token"  # noqa: S105 -- the name of a parameter


Pages = Sequence[Sequence[Record]]
"""How an API parts its records."""

_CURSOR_SIGN, _FLAG, _TOTAL = "cursor", "flag", "total"
SIGNS = frozenset({_CURSOR_SIGN, _FLAG, _TOTAL})
"""What an answer can tell beside its records: the way on, whether there is more, how many there are."""


@dataclass(frozen=True)
class Served:
    """What one answer gives: its records, the number of its page, and that of the next one, None on the last.

    `total` is how many records there are, as the API says, and `size` how many a page holds. `elsewhere` is another
    origin that its URLs name. `signs` are those that are told.
    """

    records: Sequence[Record]
    page: int
    following: int | None
    total: Any
    size: int
    elsewhere: str = ""
    signs: frozenset[str] = SIGNS


class NoSuchPage(Exception):
    """The API knows no such page; `status` is what it answers then."""

    def __init__(self, status: int = HTTPStatus.NOT_FOUND) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Desk:
    """Knows the pages of one chain: `at` reads a request, `told` says what an answer holds beside its records.

    `number` tells its cursors from those of other chains.
    """

    endpoint: Endpoint
    number: int = 0
    known: dict[str, int] = field(default_factory=dict)

    def at(self, asked: PageRequest, pages: Pages) -> int:
        """The number of the page that a request means, counted from 0; NoSuchPage where it means none."""
        paginator = self.endpoint.paginator
        match paginator:
            case PageNumber():
                return _number(paginator.param.find(asked), paginator.first) - paginator.first
            case Offset():
                return _beginning(pages, _number(paginator.param.find(asked), paginator.first) - paginator.first)
            case Cursor():
                return self._of_cursor(paginator.param.find(asked), paginator.first)
            case GraphQL():
                found = find(asked.body or {}, f"variables.{paginator.variable}")
                return self._of_cursor(found if isinstance(found, str) else None, None)
            case LastRecord():
                return _after(paginator.param.find(asked), paginator.field, pages)
            case Session():
                return self._of_session(paginator, asked)
            case Link() | NextUrl():
                return self._of_cursor(dict(asked.params).get(_TOKEN), None)
        return 0

    def knows(self, asked: PageRequest) -> bool:
        """Whether a request holds one of its cursors."""
        paginator = self.endpoint.paginator
        return isinstance(paginator, Cursor) and str(paginator.param.find(asked)) in self.known

    def _of_cursor(self, found: Any, first: str | None) -> int:
        if found is None or (first is not None and str(found) == first):
            return 0
        if str(found) not in self.known:
            raise NoSuchPage(HTTPStatus.BAD_REQUEST)
        return self.known[str(found)]

    def _of_session(self, paginator: Session, asked: PageRequest) -> int:
        if (session := paginator.param.find(asked)) is None:
            return 0
        if session != _SESSION:
            raise NoSuchPage(HTTPStatus.BAD_REQUEST)
        return _number(paginator.page_param.find(asked), paginator.first) - paginator.first

    def token(self, page: int) -> str:
        """The cursor of a page."""
        token = _CURSOR.format(self.number, page)
        self.known[token] = page
        return token

    def told(self, served: Served, asked: Asked, origin: str) -> tuple[list[tuple[str, Any]], dict[str, str]]:
        """What the answer says beside its records: values at paths of the body, and headers."""
        body, headers = list[tuple[str, Any]](), dict[str, str]()
        for place, value in self._signs(served, asked, origin):
            if place.header is not None:
                headers[place.header] = (
                    str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
                )
            elif place.path is not None:
                body.append((place.path, value))
        return body, headers

    def _signs(self, served: Served, asked: Asked, origin: str) -> Iterator[tuple[Place, Any]]:
        yield from self._counts(served)
        yield from self._flags(served)
        yield from self._ways(served, asked, origin)

    def _counts(self, served: Served) -> Iterator[tuple[Place, Any]]:
        paginator, told = self.endpoint.paginator, self.endpoint.total
        if _TOTAL not in served.signs:
            return
        if told is not None:
            yield Place(path=told.path, header=told.header), served.total
            if told.relation is not None:
                yield Place(path=told.relation), "eq"
        if isinstance(paginator, PageNumber) and paginator.total_pages is not None:
            pages = -(-served.total // served.size) if isinstance(served.total, int) else served.total
            yield paginator.total_pages, pages
        if (place := paginator.records_total) is not None:
            yield place, f"items 0-1/{served.total}" if place.headers == ("content-range",) else served.total

    def _flags(self, served: Served) -> Iterator[tuple[Place, Any]]:
        paginator, more = self.endpoint.paginator, served.following is not None
        if _FLAG not in served.signs:
            return
        refused = getattr(paginator, "absent", "refuse") == "refuse"
        if (place := getattr(paginator, "has_more", None)) is not None and (more or refused):
            yield place, more
        if (place := getattr(paginator, "done", None)) is not None:
            yield place, not more
        if isinstance(paginator, GraphQL):
            yield Place(path=f"{paginator.path}.hasNextPage"), more
        if isinstance(paginator, Session):
            yield Place(path=paginator.page_size), served.size

    def _ways(self, served: Served, asked: Asked, origin: str) -> Iterator[tuple[Place, Any]]:
        paginator, feed = self.endpoint.paginator, self.endpoint.feed
        on = None if served.following is None else self.token(served.following)
        if feed is not None and feed.cursor is not None and (on is None or isinstance(paginator, SinglePage)):
            yield Place(path=feed.cursor.path), self.token(_BEHIND)
        if _CURSOR_SIGN not in served.signs:
            return
        match paginator:
            case Cursor():
                yield from self._cursor(paginator, on)
            case GraphQL() if on is not None:
                yield Place(path=f"{paginator.path}.endCursor"), on
            case Session():
                yield Place(path=paginator.path), _SESSION
            case NextUrl():
                if on is not None or paginator.absent == "refuse":
                    place = Place(path=paginator.path, header=paginator.header)
                    yield (
                        place,
                        None if on is None else self._url(asked, on, served.elsewhere or origin, paginator.keep),
                    )
            case Link():
                url = self._url(asked, self.token(0), origin, paginator.keep)
                links = [f'<{url}>; rel="first"; title="a, b"']
                if on is not None:
                    url = self._url(asked, on, served.elsewhere or origin, paginator.keep)
                    links.append(f'<{url}>; rel="{paginator.rel}"')
                yield Place(header="Link"), ", ".join(links)

    def _cursor(self, paginator: Cursor, on: str | None) -> Iterator[tuple[Place, Any]]:
        place = Place(path=paginator.path, header=paginator.header)
        feed = self.endpoint.feed
        if paginator.until is not None:
            yield place, on or self.token(_BEHIND)
        elif on is not None or (
            paginator.absent == "refuse" and not (feed and feed.cursor and feed.cursor.path == paginator.path)
        ):
            yield place, on if on is not None or not paginator.end else paginator.end[0]

    def _url(self, asked: Asked, token: str, origin: str, keep: tuple[str, ...]) -> str:
        """The URL of a page: its own parameters, but for those that the file says are left out."""
        kept = [(name, value) for name, value in asked.query if name != _TOKEN and name not in keep]
        return f"{origin}{asked.path}?{urlencode([*kept, (_TOKEN, token)], quote_via=quote)}"


def _number(found: Any, first: int) -> int:
    if found is None:
        return first
    if not str(found).isdecimal():
        raise NoSuchPage(400)
    return int(str(found))


def _beginning(pages: Pages, place: int) -> int:
    """The first page that begins with the record of this place, or the number behind the last."""
    begins = 0
    for number, page in enumerate(pages):
        if begins >= place:
            return number
        begins += len(page)
    return len(pages)


def _after(found: Any, field_name: str, pages: Pages) -> int:
    """The page that begins after the record with this value."""
    if found is None:
        return 0
    told = [str(find(record.data, field_name)) for page in pages for record in page]
    if str(found) not in told:
        raise NoSuchPage(HTTPStatus.BAD_REQUEST)
    return _beginning(pages, told.index(str(found)) + 1)
