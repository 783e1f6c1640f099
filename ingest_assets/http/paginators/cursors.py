"""The next page is asked for by something that the last answer held: a cursor, a session, its last record."""

from typing import Literal

from pydantic import Field, model_validator

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.paginators.paginator import PaginatorModel, asked, asking
from ingest_assets.http.paginators.signs import ABSENT, as_param, ended, flag, is_short, lost, where
from ingest_assets.http.place import Place, at, kind, whole


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
    param: str = Field(description="query parameter (in a POST, path in the body) that takes the last record's value")
    field: str = Field(description="path in the record of the value that goes into `param`")
    has_more: str | None = Field(None, description="path in the body of the boolean that says whether more follow")
    page_size: int | None = Field(
        None,
        gt=0,
        description="only where the API has no has_more: a page of fewer records than this, and than one before it, "
        "is the last",
    )

    @model_validator(mode="after")
    def _one_sign(self) -> "LastRecord":
        if (self.has_more is None) == (self.page_size is None):
            raise ValueError("give one of has_more and page_size: the walk has to know its last page")
        return self

    def _sign(self, page: Page) -> str | None:
        if self.has_more is not None:
            return None if flag(page, self.has_more) else "has_more_false"
        return "short_page" if page.records < (self.page_size or 0) and is_short(page) else None

    def _following(self, page: Page) -> PageRequest:
        value = as_param(at(page.last_record, self.field))
        if value is None:
            found = "no records" if not page.records else f"{kind(at(page.last_record, self.field))} in the last record"
            raise WalkIncomplete(
                f"{where(page)}: the API says that more follow, but the next page is asked for by {self.field!r} of "
                f"the last record, and there is {found}"
            )
        return asking(page.request, {self.param: value})


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
    param: str = Field(description="query parameter (in a POST, path in the body) that takes the cursor")
    has_more: str | None = Field(None, description="path of the boolean that is false on the last page")
    done: str | None = Field(None, description="path of the boolean that is true on the last page")
    drop: tuple[str, ...] = Field((), description="parameters that only the first request may carry")
    absent: Literal["refuse", "end"] = Field("refuse", description=ABSENT)

    @model_validator(mode="after")
    def _one_place(self) -> "Cursor":
        if (self.path is None) == (self.header is None):
            raise ValueError("give one of path (in the body) and header: the cursor is in one place")
        return self

    @property
    def headers(self) -> tuple[str, ...]:
        """It may read a header."""
        return self._place.headers

    @property
    def _place(self) -> Place:
        return Place(path=self.path, header=self.header)

    def _sign(self, page: Page) -> str | None:
        return ended(page, self._place, self.has_more, self.done, self.absent)

    def _following(self, page: Page) -> PageRequest:
        found = self._place.find(page)
        value = as_param(found)
        if value is None:
            raise lost(page, self._place, "a cursor", found)
        return asking(page.request, {self.param: value}, self.drop)


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
    param: str = Field(description="parameter (in a POST, path in the body) that takes it")
    page_param: str = Field(description="parameter (in a POST, path in the body) that takes the page's number")
    page_size: str = Field(description="path in the body of the page's size: a page of fewer records is the last")
    first: int = Field(0, ge=0, description="number of the first page, which is asked for without naming it")

    def _sign(self, page: Page) -> str | None:
        found = at(page.envelope, self.page_size)
        size = whole(found)
        if not size:
            raise WalkIncomplete(
                f"{where(page)}: expected the page's size at {self.page_size!r} to tell whether more pages follow, "
                f"found {kind(found)}"
            )
        return "short_page" if page.records < size else None

    def _following(self, page: Page) -> PageRequest:
        place = Place(path=self.path)
        found = place.find(page)
        session = as_param(found)
        if session is None:
            raise lost(page, place, "a session", found)
        number = asked(page, self.page_param, self.first)
        return asking(page.request, {self.param: session, self.page_param: number + 1})


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
        return None if flag(page, f"{self.path}.hasNextPage") else "has_more_false"

    def _following(self, page: Page) -> PageRequest:
        place = Place(path=f"{self.path}.endCursor")
        found = place.find(page)
        if not isinstance(found, str) or not found:
            raise lost(page, place, "a cursor", found)
        return asking(page.request, {f"variables.{self.variable}": found})
