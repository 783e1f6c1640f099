"""Why a walk ends with a page, or cannot."""

import contextlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, BinaryIO

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.extract import ruled
from ingest_assets.extract.request import Walk
from ingest_assets.extract.trail import Trail, hole, labelled
from ingest_assets.http.page import Page, dig
from ingest_assets.http.responses import MOST_BYTES, parsed

_QUOTED_CHARACTERS = 200


def ended(walk: Walk, page: Page) -> str | None:
    """Why the walk ends with this page, or None where it goes on; raises where the page shows that it cannot."""
    endpoint = walk.endpoint
    if (by_rule := ruled.ended(walk, page)) is not None:
        return by_rule
    if page.empty is None:
        refuse_errors(walk, f"page {page.number}", page.status, page.envelope)
    with labelled(walk):
        reason = endpoint.paginator.finished(page)
    if reason or page.records or endpoint.empty_page != "fail" or endpoint.paginator.ends_at(HTTPStatus.NOT_FOUND):
        return reason
    raise hole(walk, page)


def refuse_errors(walk: Walk, named: str, status: int, envelope: Any) -> None:
    """Raise RequestFailed where an answer tells errors: where the file says, or as GraphQL does (its spec, §7.1.2)."""
    for place in (walk.endpoint.errors, "errors" if walk.endpoint.asks_graphql else None):
        if place is not None and (told := dig(envelope, place)):
            raise RequestFailed(
                f"{walk.label}: {named} is of status {status}, and tells an error at {place!r}{_quoted(told)}"
            )


@contextlib.contextmanager
def telling_errors(walk: Walk, status: int, opened: Callable[[], BinaryIO]) -> Iterator[None]:
    """Where an answer that is read inside holds errors in place of records, RequestFailed tells these."""
    try:
        yield
    except RequestFailed:
        with opened() as body:
            refuse_errors(walk, "the answer", status, parsed(body.read(MOST_BYTES)))
        raise


def check_empty(walk: Walk, trail: Trail) -> None:
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
