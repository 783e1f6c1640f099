"""What every paginator is: a frozen model that tells the last page from the others, and what asks for the next."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from ingest_assets.errors import WalkIncomplete
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.paginators.signs import refuse_graphql_errors, where
from ingest_assets.http.place import Place


class PaginatorModel(BaseModel):
    """The shape of a paginator. Without state: a walk goes on from any stored page."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by_place: ClassVar[bool] = False
    """Whether a page is asked for by its place in the list: then records move from page to page while a walk rests."""

    @property
    def headers(self) -> tuple[str, ...]:
        """The names of the response headers that it reads, in small letters: they are stored with each page."""
        return ()

    @property
    def sets(self) -> tuple[str, ...]:
        """The parameters that it puts into the first request."""
        return ()

    @property
    def records_total(self) -> Place | None:
        """Where an answer says how many records there are in all."""
        return None

    def begun(self, request: PageRequest) -> PageRequest:
        """The request for the first page, made of the endpoint's own."""
        return request

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

    def ends_at(self, status: int | None) -> bool:  # noqa: ARG002 -- so it is for most kinds
        """Whether a refusal of this status, of any page but the first, says that the page before was the last."""
        return False

    @abstractmethod
    def _sign(self, page: Page) -> str | None: ...

    @abstractmethod
    def _following(self, page: Page) -> PageRequest: ...


def asking(request: PageRequest, values: Mapping[str, Any], drop: tuple[str, ...] = ()) -> PageRequest:
    """The request with these values in place of its own of that name: in the body of a POST, else in the query."""
    gone = {*values, *drop}
    if request.method == "POST" and request.body_as == "form":  # a form is flat: a dot is a part of the name
        return replace(request, body={k: v for k, v in (request.body or {}).items() if k not in gone} | dict(values))
    if request.method == "POST":
        body: Mapping[str, Any] = request.body or {}
        for path in gone:
            body = _without(body, path)
        for path, value in values.items():
            body = _set(body, path, value)
        return replace(request, body=body)
    kept = tuple(pair for pair in request.params if pair[0] not in gone)
    return replace(request, params=kept + tuple((name, str(value)) for name, value in values.items()))


def _set(body: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of the body with a value at a dotted path, its objects made where they are missing.

    >>> _set({"query": "…", "variables": {"first": 10}}, "variables.after", "abc")
    {'query': '…', 'variables': {'first': 10, 'after': 'abc'}}
    """
    key, _, rest = path.partition(".")
    inner = body.get(key)
    return {**body, key: _set(inner if isinstance(inner, Mapping) else {}, rest, value) if rest else value}


def _without(body: Mapping[str, Any], path: str) -> dict[str, Any]:
    """A copy of the body with nothing at a dotted path.

    >>> _without({"query": "…", "variables": {"first": 10, "after": "abc"}}, "variables.after")
    {'query': '…', 'variables': {'first': 10}}
    """
    key, _, rest = path.partition(".")
    inner = body.get(key)
    kept = {key: _without(inner, rest)} if rest and isinstance(inner, Mapping) else {}
    return {name: value for name, value in body.items() if rest or name != key} | kept


def asked(page: Page, param: str, first: int) -> int:
    """The number that a page was asked for with, or `first` where it was asked for without."""
    request = page.request
    if request.method == "POST":
        found = (request.body or {}).get(param) if request.body_as == "form" else dig(request.body or {}, param)
    else:
        found = dict(request.params).get(param)
    if found is None:
        return first
    if not (str(found).isascii() and str(found).isdecimal()):
        raise WalkIncomplete(f"{where(page)}: the request's {param!r} is no number")
    return int(found)
