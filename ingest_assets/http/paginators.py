"""Where the next page is: one frozen model a kind, without state, so that a walk goes on from any stored page.

Two questions are kept apart. `finished(page)` says whether the API told that this was the last page, and by
what sign; `next(page)` is the request for the one after it. That a page is empty answers neither.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus, urldefrag, urljoin, urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, dig, origin

_QUOTED_CHARACTERS = 200
_MISSING = object()

_ABSENT = "'end' where the API leaves the field out of its last page; by default it has to be there"


def _kind(value: Any) -> str:
    if value is _MISSING:
        return "nothing"
    names = {type(None): "null", bool: "a boolean", str: "a text", list: "a list"}
    return names.get(type(value), "an object" if isinstance(value, Mapping) else "a number")


def _at(value: Any, path: str) -> Any:
    """As `dig`, but tells null from nothing, which is `_MISSING`."""
    parent, _, key = path.rpartition(".")
    holder = dig(value, parent)
    return holder.get(key, _MISSING) if isinstance(holder, Mapping) else _MISSING


def _where(page: Page) -> str:
    return f"page {page.number}"


def _flag(page: Page, path: str) -> bool:
    found = _at(page.envelope, path)
    if not isinstance(found, bool):
        raise WalkIncomplete(
            f"{_where(page)}: expected true or false at {path!r}, which tells whether more pages follow, "
            f"found {_kind(found)}"
        )
    return found


def _as_param(value: Any) -> str | None:
    """A cursor's text, or None for what cannot be one. Zero is a cursor like any other."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    return str(value) or None


def refuse_graphql_errors(page: Page) -> None:
    """Raise RequestFailed where a GraphQL answer holds errors, which come inside HTTP 200 (GraphQL spec §7.1.2)."""
    query = page.request.body.get("query") if page.request.body else None
    errors = _at(page.envelope, "errors")
    if not isinstance(query, str) or errors is _MISSING or errors in (None, []):
        return
    first = errors[0] if isinstance(errors, list) else errors
    message = str(dig(first, "message") or "no message")[:_QUOTED_CHARACTERS]
    raise RequestFailed(f"{_where(page)}: the GraphQL API answered with errors inside HTTP {page.status}: {message}")


def _set(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the body with a value at a dotted path, its objects made where they are missing.

    >>> _set({"query": "…", "variables": {"first": 10}}, "variables.after", "abc")
    {'query': '…', 'variables': {'first': 10, 'after': 'abc'}}
    """
    key, _, rest = path.partition(".")
    inner = body.get(key)
    return {**body, key: _set(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}


def _asking(request: PageRequest, values: Mapping[str, Any], drop: tuple[str, ...] = ()) -> PageRequest:
    """The request with these values in place of its own of that name: in the body of a POST, else in the query."""
    gone = {*values, *drop}
    if request.method == "POST":
        body: Mapping[str, Any] = {key: value for key, value in (request.body or {}).items() if key not in gone}
        for path, value in values.items():
            body = _set(body, path, value)
        return replace(request, body=body)
    kept = tuple(pair for pair in request.params if pair[0] not in gone)
    return replace(request, params=kept + tuple((name, str(value)) for name, value in values.items()))


class _Paginator(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    def next(self, page: Page) -> PageRequest | None:
        """The request for the page after this one, or None where this one is `finished`.

        Raises WalkIncomplete where more pages follow and the way to them is missing, and RequestFailed where
        the answer is a refusal.
        """
        return None if self.finished(page) else self._following(page)

    def finished(self, page: Page) -> str | None:
        """By what sign this page is the last one, such as 'has_more_false'; None where more follow.

        Raises WalkIncomplete where the sign is missing, and RequestFailed where the answer is a refusal.
        """
        refuse_graphql_errors(page)
        return self._sign(page)

    @abstractmethod
    def _sign(self, page: Page) -> str | None: ...

    @abstractmethod
    def _following(self, page: Page) -> PageRequest: ...


class SinglePage(_Paginator):
    """There is one page.

    >>> SinglePage().finished(Page(0, PageRequest("https://x.example"), 200))
    'single_page'
    """

    type: Literal["none"] = "none"

    def _sign(self, page: Page) -> str | None:  # noqa: ARG002 -- the same for all kinds
        return "single_page"

    def _following(self, page: Page) -> PageRequest:
        raise WalkIncomplete(f"{_where(page)}: the source file says that there is one page")


class LastRecord(_Paginator):
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
        None, gt=0, description="only where the API has no has_more: a page of fewer records than this is the last"
    )

    @model_validator(mode="after")
    def _one_sign(self) -> "LastRecord":
        if (self.has_more is None) == (self.page_size is None):
            raise ValueError("give one of has_more and page_size: the walk has to know its last page")
        return self

    def _sign(self, page: Page) -> str | None:
        if self.has_more is not None:
            return None if _flag(page, self.has_more) else "has_more_false"
        return "short_page" if page.records < (self.page_size or 0) else None

    def _following(self, page: Page) -> PageRequest:
        value = _as_param(_at(page.last_record, self.field))
        if value is None:
            found = (
                "no records" if not page.records else f"{_kind(_at(page.last_record, self.field))} in the last record"
            )
            raise WalkIncomplete(
                f"{_where(page)}: the API says that more follow, but the next page is asked for by {self.field!r} of "
                f"the last record, and there is {found}"
            )
        return _asking(page.request, {self.param: value})


class Cursor(_Paginator):
    """The body holds a cursor that asks for the next page.

    >>> zendesk = Cursor(
    ...     type="cursor", path="after_cursor", param="cursor", done="end_of_stream", drop=("start_time",)
    ... )
    >>> asked = PageRequest("https://x.example", (("start_time", "0"), ("per_page", "1000")))
    >>> zendesk.next(Page(0, asked, 200, envelope={"after_cursor": "abc=", "end_of_stream": False})).params
    (('per_page', '1000'), ('cursor', 'abc='))
    >>> zendesk.finished(Page(1, asked, 200, envelope={"after_cursor": "abd=", "end_of_stream": True}))
    'done_true'
    """

    type: Literal["cursor"]
    path: str = Field(description="path in the body of the cursor")
    param: str = Field(description="query parameter (in a POST, path in the body) that takes the cursor")
    has_more: str | None = Field(None, description="path of the boolean that is false on the last page")
    done: str | None = Field(None, description="path of the boolean that is true on the last page")
    drop: tuple[str, ...] = Field((), description="parameters that only the first request may carry")
    absent: Literal["refuse", "end"] = Field("refuse", description=_ABSENT)

    def _sign(self, page: Page) -> str | None:
        return _ended(page, self.path, self.has_more, self.done, self.absent)

    def _following(self, page: Page) -> PageRequest:
        found = _at(page.envelope, self.path)
        value = _as_param(found)
        if value is None:
            raise _lost(page, self.path, "a cursor", found)
        return _asking(page.request, {self.param: value}, self.drop)


class NextUrl(_Paginator):
    """The body holds the URL of the next page, which is followed as it is.

    >>> links = NextUrl(type="next_url", path="links.next")
    >>> asked = PageRequest("https://x.example/v2/users", (("page[size]", "100"),))
    >>> links.next(Page(0, asked, 200, envelope={"links": {"next": "/v2/users?page%5Bafter%5D=b%3D"}}))
    ... # doctest: +ELLIPSIS
    PageRequest(url='https://x.example/v2/users?page%5Bafter%5D=b%3D', params=(), ...)
    >>> links.finished(Page(1, asked, 200, envelope={"links": {"next": None}}))
    'no_next'
    """

    type: Literal["next_url"]
    path: str = Field(description="path in the body of the next page's URL, absolute or relative to this page's")
    has_more: str | None = Field(None, description="path of the boolean that is false on the last page")
    done: str | None = Field(None, description="path of the boolean that is true on the last page")
    keep: tuple[str, ...] = Field((), description="parameters of the first request that the API leaves out of its URLs")
    absent: Literal["refuse", "end"] = Field("refuse", description=_ABSENT)

    def _sign(self, page: Page) -> str | None:
        return _ended(page, self.path, self.has_more, self.done, self.absent)

    def _following(self, page: Page) -> PageRequest:
        found = _at(page.envelope, self.path)
        if not isinstance(found, str) or not found:
            raise _lost(page, self.path, "a URL", found)
        url = next_url(page.request.url, found)
        present = {unquote_plus(part.split("=", 1)[0]) for part in urlsplit(url).query.split("&")}
        kept = tuple(pair for pair in page.request.params if pair[0] in self.keep and pair[0] not in present)
        return replace(page.request, url=url, params=kept)


class Session(_Paginator):
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
        size = _at(page.envelope, self.page_size)
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise WalkIncomplete(
                f"{_where(page)}: expected the page's size at {self.page_size!r} to tell whether more pages follow, "
                f"found {_kind(size)}"
            )
        return "short_page" if page.records < size else None

    def _following(self, page: Page) -> PageRequest:
        found = _at(page.envelope, self.path)
        session = _as_param(found)
        if session is None:
            raise _lost(page, self.path, "a session", found)
        return _asking(page.request, {self.param: session, self.page_param: self._number(page) + 1})

    def _number(self, page: Page) -> int:
        body = page.request.body or {}
        asked = (
            dig(body, self.page_param)
            if page.request.method == "POST"
            else dict(page.request.params).get(self.page_param)
        )
        if asked is None:
            return self.first
        if not str(asked).isdecimal():
            raise WalkIncomplete(f"{_where(page)}: the request's {self.page_param!r} is no page number")
        return int(asked)


class GraphQL(_Paginator):
    """A GraphQL connection: the next page's `after` is this one's `endCursor` (Relay cursor connections §4).

    >>> runs = GraphQL(type="graphql", path="data.runs.pageInfo")
    >>> asked = PageRequest("https://x.example", method="POST", body={"query": "…", "variables": {"first": 2}})
    >>> info = {"data": {"runs": {"pageInfo": {"hasNextPage": True, "endCursor": "abc"}}}}
    >>> runs.next(Page(0, asked, 200, envelope=info)).body
    {'query': '…', 'variables': {'first': 2, 'after': 'abc'}}
    """

    type: Literal["graphql"]
    path: str = Field(description="path in the body of the connection's pageInfo")
    variable: str = Field("after", description="variable of the query that takes the cursor")

    def _sign(self, page: Page) -> str | None:
        return None if _flag(page, f"{self.path}.hasNextPage") else "has_more_false"

    def _following(self, page: Page) -> PageRequest:
        found = _at(page.envelope, f"{self.path}.endCursor")
        if not isinstance(found, str) or not found:
            raise _lost(page, f"{self.path}.endCursor", "a cursor", found)
        return _asking(page.request, {f"variables.{self.variable}": found})


def _ended(page: Page, path: str, has_more: str | None, done: str | None, absent: str) -> str | None:
    if done is not None and _flag(page, done):
        return "done_true"
    if has_more is not None and not _flag(page, has_more):
        return "has_more_false"
    if done is not None or has_more is not None:
        return None
    found = _at(page.envelope, path)
    if found is _MISSING and absent == "refuse":
        raise WalkIncomplete(
            f"{_where(page)}: there is nothing at {path!r}, which has to tell whether more pages follow. If the API "
            "leaves it out of its last page, write `absent: end`"
        )
    return "no_next" if found is _MISSING or found is None or found == "" else None


def _lost(page: Page, path: str, expected: str, found: Any) -> WalkIncomplete:
    return WalkIncomplete(
        f"{_where(page)}: more pages follow, but there is no {expected[2:]} at {path!r}: expected "
        f"{expected}, found {_kind(found)}"
    )


def next_url(base: str, found: str) -> str:
    """A URL from an answer, made absolute (RFC 3986 §5), its percent-encoding kept and its fragment cut.

    Raises RequestFailed where it leads to another origin, or is written so that two readers could take it for
    two hosts: what follows it would carry our credentials there.

    >>> next_url("https://x.example/v2/users?page=1", "?page=a%2Fb")
    'https://x.example/v2/users?page=a%2Fb'
    """
    try:
        url, _ = urldefrag(urljoin(base, found))
        here, there = origin(base), origin(url)
        odd = "\\" in found or not found.isprintable() or "@" in urlsplit(url).netloc
    except ValueError:
        raise RequestFailed("the next page's URL is not a URL") from None  # the error would show it
    if here != there:
        raise RequestFailed(
            f"the next page's URL leads to another origin: expected {here}, found {there}. Not followed"
        )
    if odd:
        raise RequestFailed("the next page's URL holds a backslash, a control character or a user name. Not followed")
    return url


Paginator = Annotated[SinglePage | LastRecord | Cursor | NextUrl | Session | GraphQL, Field(discriminator="type")]
