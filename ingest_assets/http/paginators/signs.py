"""What an answer says of the pages after it, read strictly: a sign that is missing is no end."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, Protocol

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import MISSING, Page, dig, find
from ingest_assets.http.place import Place, beside, kind, whole

_QUOTED_CHARACTERS = 200

_WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}

HAS_MORE = "where it says whether more pages follow: true or false, yes or no, or a number, of which 0 is no"
DONE = "where it says whether this is the last page, as `has_more` says the opposite"
END = "texts or numbers that stand there on the last page, beside null and the empty text, such as '0' or 'null'"
NO_MORE = "'end' where the API leaves `has_more` out when it is false"
ABSENT = "'end' where the API leaves it out of its last page; by default it has to be there"


class Signs(Protocol):
    """The signs of a paginator whose way on stands in the answer."""

    @property
    def has_more(self) -> Place | None: ...
    @property
    def done(self) -> Place | None: ...
    @property
    def absent(self) -> Literal["refuse", "end"]: ...
    @property
    def end(self) -> tuple[str, ...]: ...


def where(page: Page) -> str:
    """How messages name a page."""
    return f"page {page.number}"


def flag(page: Page, place: Place) -> bool:
    """What a truth value says: true or false, as JSON or as text, yes or no, or a whole number, of which 0 is no.

    WalkIncomplete where there is anything else.
    """
    told = truth(place.find(page))
    if told is None:
        raise WalkIncomplete(
            f"{where(page)}: expected true or false {place}, which tells whether more pages follow, "
            f"found {kind(place.find(page))}{beside(place, page)}"
        )
    return told


def truth(found: Any) -> bool | None:
    """What a value says as a truth value; None where it says neither.

    >>> [truth(found) for found in (True, "False", " Y ", "0", 0, 37, 2.5, -1, "", "maybe", None, [])]
    [True, False, True, False, False, True, None, None, None, None, None, None]
    """
    if isinstance(found, bool):
        return found
    if isinstance(found, str) and (word := found.strip().lower()) in _WORDS:
        return _WORDS[word]
    number = whole(found)
    return None if number is None else number > 0


def goes_on(page: Page, has_more: Place, absent: str) -> bool:
    """Whether `has_more` says that more pages follow; where the API may leave it out, that says no."""
    return flag(page, has_more) if absent == "refuse" or has_more.find(page) is not MISSING else False


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


def as_cursor(value: Any) -> Any:
    """A cursor as it came, or None for what cannot be one: a list or an object too, where it holds anything.

    >>> as_cursor([1700000000, "id-7"]), as_cursor({}), as_cursor(0)
    ([1700000000, 'id-7'], None, 0)
    """
    return value if isinstance(value, list | Mapping) and value else as_param(value)


def as_param(value: Any) -> str | int | None:
    """A cursor that is one value, as it came, or None for what cannot be one. Zero is a cursor like any other."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    return value if isinstance(value, int) else str(value) or None


def ended(page: Page, place: Place, signs: "Signs") -> str | None:
    """By what sign a page is the last whose way on is at `place`: a flag, or else that nothing is there.

    Raises WalkIncomplete where neither can be told.
    """
    if signs.done is not None:
        if flag(page, signs.done):
            return "done_true"
        if signs.has_more is None:
            return None
    found = place.find(page)
    if signs.has_more is not None and (signs.has_more.find(page) is not MISSING or signs.absent == "refuse"):
        return None if flag(page, signs.has_more) else "has_more_false"
    if signs.has_more is not None and not _is_end(found, signs.end):
        raise WalkIncomplete(
            f"{where(page)}: there is nothing {signs.has_more}, which tells whether more pages follow, and "
            f"{kind(found)} {place}, which leads to one{beside(signs.has_more, page)}"
        )
    if found is MISSING and signs.absent == "refuse":
        raise WalkIncomplete(
            f"{where(page)}: there is nothing {place}, which has to tell whether more pages follow"
            f"{beside(place, page)}. If the API "
            "leaves it out of its last page, write `absent: end`"
        )
    return "no_next" if _is_end(found, signs.end) else None


def _is_end(found: Any, end: tuple[str, ...]) -> bool:
    """Whether this stands where the way on would be and says that there is none."""
    written = str(found).lower() if isinstance(found, bool) else str(found)
    return found is MISSING or found is None or found == "" or written in end


def lost(page: Page, place: Place, expected: str, found: Any) -> WalkIncomplete:
    """The error where more pages follow and the way to them is not to be found."""
    return WalkIncomplete(
        f"{where(page)}: more pages follow, but there is no {expected[2:]} {place}: expected "
        f"{expected}, found {kind(found)}"
    )


def refuse_graphql_errors(page: Page) -> None:
    """Raise RequestFailed where a GraphQL answer holds errors, which come inside HTTP 200 (GraphQL spec §7.1.2)."""
    query = page.request.body.get("query") if page.request.body else None
    errors = find(page.envelope, "errors")
    if not isinstance(query, str) or errors is MISSING or errors in (None, []):
        return
    first = errors[0] if isinstance(errors, list) else errors
    message = str(dig(first, "message") or "no message")[:_QUOTED_CHARACTERS]
    raise RequestFailed(f"{where(page)}: the GraphQL API answered with errors inside HTTP {page.status}: {message}")
