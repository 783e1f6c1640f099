"""The next page is asked for by something that the last answer held: a cursor, a session, its last record."""

from typing import Literal
from urllib.parse import urljoin

from msgspec.structs import replace
from pydantic import Field, model_validator

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, find
from ingest_assets.http.paginators.paginator import PaginatorModel, asked, asking
from ingest_assets.http.paginators.signs import (
    ABSENT,
    DONE,
    END,
    HAS_MORE,
    NO_MORE,
    as_cursor,
    as_param,
    ended,
    flag,
    goes_on,
    is_short,
    lost,
    where,
)
from ingest_assets.http.place import Place, at, kind, whole
from ingest_assets.http.target import Target

_TAKES = "what takes {}: a query parameter (in a POST, a path in the body), or {{query|body|header|path: NAME}}"


class LastRecord(PaginatorModel):
    """The next page begins after the last record of this one, as Stripe's `starting_after` says.

    >>> stripe = LastRecord(type="last_record", param="starting_after", field="id", has_more="has_more")
    >>> asked = PageRequest("https://x.example", (("limit", "2"),))
    >>> stripe.next(Page(0, asked, 200, envelope={"has_more": True}, records=2, last_record={"id": "b"})).params
    (('limit', '2'), ('starting_after', 'b'))
    >>> stripe.next(Page(1, asked, 200, envelope={"has_more": False})) is None
    True
    """

    type: Literal["last_record"]
    param: Target = Field(description=_TAKES.format("the last record's value"))
    field: str = Field(description="path in the record of the value that goes into `param`")
    has_more: Place | None = Field(None, description=HAS_MORE)
    absent: Literal["refuse", "end"] = Field("refuse", description=NO_MORE)
    until: Literal["empty_page"] | None = Field(
        None, description="instead of has_more: 'empty_page' where only a page without records tells the end"
    )
    page_size: int | None = Field(
        None,
        gt=0,
        description="only where the API has no has_more: a page of fewer records than this, and than one before it, "
        "is the last",
    )

    @model_validator(mode="after")
    def _one_sign(self) -> "LastRecord":
        if sum(sign is not None for sign in (self.has_more, self.page_size, self.until)) != 1:
            raise ValueError("give one of has_more and page_size, or until: the walk has to know its last page")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """It may read a header."""
        return () if self.has_more is None else self.has_more.headers

    def _sign(self, page: Page) -> str | None:
        if self.has_more is not None:
            return None if goes_on(page, self.has_more, self.absent) else "has_more_false"
        if self.until is not None:
            return None if page.records else "empty_page"
        return "short_page" if page.records < (self.page_size or 0) and is_short(page) else None

    def _following(self, page: Page) -> PageRequest:
        value = as_cursor(find(page.last_record, self.field))
        if value is None:
            told = kind(find(page.last_record, self.field))
            found = f"{told} in the last record" if page.records else "no records"
            raise WalkIncomplete(
                f"{where(page)}: the API says that more follow, but the next page is asked for by {self.field!r} of "
                f"the last record, and there is {found}"
            )
        return asking(page, {self.param: value})


class Cursor(PaginatorModel):
    """The body or a header holds a cursor that asks for the next page.

    >>> zendesk = Cursor(
    ...     type="cursor", path="after_cursor", param="cursor", done="end_of_stream", drop=("start_time",)
    ... )
    >>> asked = PageRequest("https://x.example", (("start_time", "0"), ("per_page", "1000")))
    >>> zendesk.next(Page(0, asked, 200, envelope={"after_cursor": "abc=", "end_of_stream": False})).params
    (('per_page', '1000'), ('cursor', 'abc='))
    >>> zendesk.finished(Page(1, asked, 200, envelope={"after_cursor": "abd=", "end_of_stream": True}))
    'done_true'
    >>> gitlab = Cursor(type="cursor", header="X-Next-Page", param="page")
    >>> gitlab.next(Page(0, asked, 200, {"x-next-page": "2"})).params
    (('start_time', '0'), ('per_page', '1000'), ('page', '2'))
    >>> gitlab.finished(Page(1, asked, 200, {"x-next-page": ""}))
    'no_next'
    """

    type: Literal["cursor"]
    path: str | None = Field(None, min_length=1, description="path in the body of the cursor")
    header: str | None = Field(None, min_length=1, description="instead of path: the response header with the cursor")
    param: Target = Field(description=_TAKES.format("the cursor"))
    first: str | None = Field(None, description="the cursor of the first request, where it needs one, such as '*'")
    next_path: str | None = Field(
        None, pattern="^/", description="path from the host on of the pages after the first, where it is another"
    )
    has_more: Place | None = Field(None, description=HAS_MORE)
    done: Place | None = Field(None, description=DONE)
    until: Literal["empty_page", "same_cursor"] | None = Field(
        None, description="where the API never stops giving cursors: what its last page is known by"
    )
    end: tuple[str, ...] = Field((), description=END)
    absent: Literal["refuse", "end"] = Field("refuse", description=ABSENT)

    @model_validator(mode="after")
    def _one_place(self) -> "Cursor":
        if (self.path is None) == (self.header is None):
            raise ValueError("give one of path (in the body) and header: the cursor is in one place")
        if self.until is not None and (self.has_more or self.done or self.end or self.absent == "end"):
            raise ValueError("until is for APIs that never stop giving cursors: leave has_more, done, end, absent out")
        if self.param.path is not None and self.first is None and self.next_path is None:
            raise ValueError(f"the first request needs something for {{{self.param.path}}}: say first, or next_path")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """It may read headers."""
        places = (self._place, self.has_more, self.done)
        return tuple(name for place in places if place is not None for name in place.headers)

    @property
    def sets(self) -> tuple[Target, ...]:
        """The cursor, where the first request has one."""
        return () if self.first is None else (self.param,)

    def begun(self, request: PageRequest) -> PageRequest:
        """With the first cursor, where it is told."""
        return request if self.first is None else self.param.put(request, self.first)

    @property
    def _place(self) -> Place:
        return at(self.path, self.header)

    def _sign(self, page: Page) -> str | None:
        if self.until == "empty_page":
            return None if page.records else "empty_page"
        if self.until == "same_cursor":
            return "same_cursor" if str(self._place.find(page)) == str(self.param.find(page.request)) else None
        return ended(page, self._place, self)

    def _following(self, page: Page) -> PageRequest:
        found = self._place.find(page)
        value = as_cursor(found)
        if value is None:
            raise lost(page, self._place, "a cursor", found)
        request = asking(page, {self.param: value})
        return replace(request, url=urljoin(request.url, self.next_path)) if self.next_path else request


class Session(PaginatorModel):
    """Pages are numbered inside a session that the first answer names, as in Mixpanel's engage.

    >>> engage = Session(
    ...     type="session", path="session_id", param="session_id", page_param="page", page_size="page_size"
    ... )
    >>> asked = PageRequest("https://x.example", method="POST", body={"project_id": "1"}, body_as="form")
    >>> engage.next(Page(0, asked, 200, envelope={"session_id": "s-1", "page_size": 2}, records=2)).body
    {'project_id': '1', 'session_id': 's-1', 'page': 1}
    >>> engage.finished(Page(1, asked, 200, envelope={"session_id": "s-1", "page_size": 2}, records=1))
    'short_page'
    """

    type: Literal["session"]
    path: str = Field(description="path in the body of the session's name")
    param: Target = Field(description=_TAKES.format("it"))
    page_param: Target = Field(description=_TAKES.format("the page's number"))
    page_size: str = Field(description="path in the body of the page's size: a page of fewer records is the last")
    first: int = Field(0, ge=0, description="number of the first page, which is asked for without naming it")

    def _sign(self, page: Page) -> str | None:
        found = find(page.envelope, self.page_size)
        size = whole(found)
        if not size:
            raise WalkIncomplete(
                f"{where(page)}: expected the page's size at {self.page_size!r} to tell whether more pages follow, "
                f"found {kind(found)}"
            )
        return "short_page" if page.records < size else None

    def _following(self, page: Page) -> PageRequest:
        place = at(self.path)
        found = place.find(page)
        session = as_param(found)
        if session is None:
            raise lost(page, place, "a session", found)
        number = asked(page, self.page_param, self.first)
        return asking(page, {self.param: session, self.page_param: number + 1})


class GraphQL(PaginatorModel):
    """A GraphQL connection: the next page's `after` is this one's `endCursor` (Relay cursor connections §4).

    >>> runs = GraphQL(type="graphql", path="data.runs.pageInfo")
    >>> asked = PageRequest("https://x.example", method="POST", body={"query": "…", "variables": {"first": 2}})
    >>> info = {"data": {"runs": {"pageInfo": {"hasNextPage": True, "endCursor": "abc"}}}}
    >>> runs.next(Page(0, asked, 200, envelope=info)).body
    {'query': '…', 'variables': {'first': 2, 'after': 'abc'}}
    """

    type: Literal["graphql"]
    path: str = Field(description="path in the body of the connection's pageInfo")
    variable: str = Field("after", description="variable of the query that takes the cursor; a path where it is nested")

    def _sign(self, page: Page) -> str | None:
        return None if flag(page, at(f"{self.path}.hasNextPage")) else "has_more_false"

    def _following(self, page: Page) -> PageRequest:
        place = at(f"{self.path}.endCursor")
        found = place.find(page)
        if not isinstance(found, str) or not found:
            raise lost(page, place, "a cursor", found)
        return asking(page, {Target(body=f"variables.{self.variable}"): found})
