"""What an answer says of the pages after it, read strictly: a sign that is missing is no end."""

from decimal import Decimal
from typing import Any

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import Page, dig
from ingest_assets.http.place import MISSING, Place, at, beside, kind, whole

_QUOTED_CHARACTERS = 200

ABSENT = "'end' where the API leaves it out of its last page; by default it has to be there"


def where(page: Page) -> str:
    """How messages name a page."""
    return f"page {page.number}"


def flag(page: Page, path: str) -> bool:
    """The boolean at a path in the body; WalkIncomplete where there is none."""
    found = at(page.envelope, path)
    if not isinstance(found, bool):
        raise WalkIncomplete(
            f"{where(page)}: expected true or false at {path!r}, which tells whether more pages follow, "
            f"found {kind(found)}{beside(Place(path=path), page)}"
        )
    return found


def count(page: Page, place: Place) -> int:
    """The count at a place, a number or a string of digits; WalkIncomplete where there is none."""
    found = place.find(page)
    number = whole(found)
    if number is None:
        raise WalkIncomplete(
            f"{where(page)}: expected a whole number {place}, which tells whether more pages follow, "
            f"found {kind(found)}{beside(place, page)}"
        )
    return number


def is_short(page: Page) -> bool:
    """Whether a page is shorter than one before it in its walk, and so is the last.

    The first page tells nothing: many APIs give fewer records than asked for, however many follow.

    >>> from ingest_assets.http.page import PageRequest
    >>> asked = PageRequest("https://x.example")
    >>> [is_short(Page(n, asked, 200, records=r, fullest=f)) for n, r, f in ((0, 3, 0), (1, 3, 3), (2, 1, 3))]
    [False, False, True]
    """
    return page.records < page.fullest or not page.records


def as_param(value: Any) -> str | None:
    """A cursor's text, or None for what cannot be one. Zero is a cursor like any other."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    return str(value) or None


def ended(page: Page, place: Place, has_more: str | None, done: str | None, absent: str) -> str | None:
    """By what sign a page is the last whose way on is at `place`: a flag, or else that nothing is there.

    Raises WalkIncomplete where neither can be told.
    """
    if done is not None and flag(page, done):
        return "done_true"
    if has_more is not None and not flag(page, has_more):
        return "has_more_false"
    if done is not None or has_more is not None:
        return None
    found = place.find(page)
    if found is MISSING and absent == "refuse":
        raise WalkIncomplete(
            f"{where(page)}: there is nothing {place}, which has to tell whether more pages follow"
            f"{beside(place, page)}. If the API "
            "leaves it out of its last page, write `absent: end`"
        )
    return "no_next" if found is MISSING or found is None or found == "" else None


def lost(page: Page, place: Place, expected: str, found: Any) -> WalkIncomplete:
    """The error where more pages follow and the way to them is not to be found."""
    return WalkIncomplete(
        f"{where(page)}: more pages follow, but there is no {expected[2:]} {place}: expected "
        f"{expected}, found {kind(found)}"
    )


def refuse_graphql_errors(page: Page) -> None:
    """Raise RequestFailed where a GraphQL answer holds errors, which come inside HTTP 200 (GraphQL spec §7.1.2)."""
    query = page.request.body.get("query") if page.request.body else None
    errors = at(page.envelope, "errors")
    if not isinstance(query, str) or errors is MISSING or errors in (None, []):
        return
    first = errors[0] if isinstance(errors, list) else errors
    message = str(dig(first, "message") or "no message")[:_QUOTED_CHARACTERS]
    raise RequestFailed(f"{where(page)}: the GraphQL API answered with errors inside HTTP {page.status}: {message}")
