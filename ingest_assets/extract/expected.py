"""How many records there should be, by the API's own word, and whether they came.

a total      on the first page, in its body or a header
a count      a request of its own, asked before the first page and kept with the fetch: what is added while the
             walk goes on makes more come, never fewer
"""

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.extract.request import Walk, count_request
from ingest_assets.extract.trail import Trail, labelled
from ingest_assets.http.answer import Response
from ingest_assets.http.client import Client
from ingest_assets.http.decoders import Decoded
from ingest_assets.http.decoders.kind import LinesModel
from ingest_assets.http.page import Page, PageRequest, dig
from ingest_assets.http.place import beside
from ingest_assets.http.total import Expected, Total, number
from ingest_assets.raw.snapshots import Counted

_COUNT_BYTES = 1 << 16


def counted(client: Client, walk: Walk, now: datetime) -> Counted | None:
    """The API's answer to how many records there are; None where the file names no such request.

    TransientFailure where the body is cut, RequestFailed where it is an error, or holds no number.
    """
    request = count_request(walk)
    return None if request is None else client.fetch(request, lambda answer: _counted(walk, request, answer, now))


def _counted(walk: Walk, request: PageRequest, answer: Response, now: datetime) -> Counted:
    if answer.rule is not None:
        raise RequestFailed(f"{walk.label}: count: the answer is no number, but {answer.rule.means}, as {answer.rule}")
    body = bytearray()
    for chunk in answer.chunks():
        body += chunk
        if len(body) > _COUNT_BYTES:
            raise RequestFailed(f"{walk.label}: count: the answer is longer than {_COUNT_BYTES:,} bytes")
    text, told = bytes(body).decode("utf-8-sig", "replace"), walk.endpoint.count
    place = told.value if told is not None else None
    page = Page(0, request, answer.status, answer.headers, envelope=_envelope(walk, text, place))
    if walk.endpoint.errors is not None and dig(page.envelope, walk.endpoint.errors):
        raise RequestFailed(f"{walk.label}: count: the answer tells an error at {walk.endpoint.errors!r}")
    expected = number(text.strip().strip('"')) if place is None else place.told(page)
    if expected is None:
        found = f"no number {place}{beside(place, page)}" if place is not None else "more than a number; name `value:`"
        raise RequestFailed(f"{walk.label}: count: the answer holds {found}")
    headers = {name: answer.headers[name] for name in (place.headers if place is not None else ())}
    return Counted(expected.records, expected.tells, now, answer.url, answer.status, headers, text)


def _envelope(walk: Walk, text: str, place: Total | None) -> Any:
    """The body of a count; None where the number is not in it, or is all of it."""
    if place is None or place.path is None:
        return None
    try:
        return json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError):
        raise TransientFailure(f"{walk.label}: count: the answer is no whole JSON document") from None


def expected(walk: Walk, first: Page | None, last: Page | None, received: int) -> Expected | None:
    """How many records the API says a chain of pages has; None where it says no number, or not how that is meant."""
    try:
        return _expected(walk, first, last, received)
    except WalkIncomplete:
        return None


def _expected(walk: Walk, first: Page | None, last: Page | None, received: int) -> Expected | None:
    """As `expected`, and WalkIncomplete where it does not say how the number is meant.

    The first page's total counts what was there when the walk began. Where more came, and the last page says more, it
    is the last page's: records were added on the way.
    """
    if (total := _total(walk)) is None or first is None:
        return None
    told = total.told(first)
    if told is None or received <= told.records or last is None:
        return told
    later = total.told(last)
    return later if later is not None and later.records > told.records else told


def check_total(walk: Walk, first: Page | None, received: int) -> None:
    """Raise WalkIncomplete where fewer records came than the first page says, or it does not say it where it should."""
    total = _total(walk)
    with labelled(walk):
        told = _expected(walk, first, None, received)
    if told is None and total is not None and total.tells != "about":
        beside_it = beside(total, first) if first is not None else ""
        raise WalkIncomplete(f"{walk.label}: total: the first page holds no number {total}{beside_it}")
    check(walk, told, received)


def refuse_unmarked(walk: Walk, response: Response) -> None:
    """Raise RequestFailed where a body that is cut would pass for whole: by its length, its format and any count.

    And TransientFailure where there is none at all, by its status.
    """
    decoder, total, count = walk.endpoint.decoder, _total(walk), walk.endpoint.count
    counts = (total is not None and total.tells != "about") or count is not None
    if response.status == HTTPStatus.NO_CONTENT:
        _refuse_no_content(walk, response)
    if not (response.tells_cuts or decoder.tells_cuts or counts):
        raise RequestFailed(
            f"{walk.label}: the answer says nowhere where it ends (no Content-Length, no chunks), and of "
            f"{decoder.type} what is cut between two lines looks whole. Where the API counts its records, name that "
            "by `total` or `count`; else accept it: `decoder: {…, unmarked_end: accept}`"
        )


def _refuse_no_content(walk: Walk, response: Response) -> None:
    """Raise TransientFailure for a 204, but where an answer without a line is a page."""
    decoder = walk.endpoint.decoder
    if not (isinstance(decoder, LinesModel) and (response.tells_cuts or decoder.tells_cuts)):
        raise TransientFailure(
            f"{walk.label}: HTTP 204 No Content, which is no page. Where that means that there are no records, say so: "
            "`responses: [{status: 204, means: empty}]`"
        )


def refuse_open_end(walk: Walk, response: Response, decoded: Decoded) -> None:
    """Raise TransientFailure where a body's last value may be cut: a count of records does not tell that."""
    if decoded.open_end and not (response.tells_cuts or walk.endpoint.decoder.tells_cuts):
        raise TransientFailure(
            f"{walk.label}: cut body: its last line has no end, as those before it have, and the answer says nowhere "
            "where it ends. Where the API ends all answers so, accept it: `decoder: {…, unmarked_end: accept}`"
        )


def check_pages(walk: Walk, trail: Trail) -> None:
    """Raise WalkIncomplete where the pages show that some are missing, or that records moved while they were read.

    A total that falls says so where pages are asked for by their place: what stood after what was removed has moved to
    places that were read before. Of pages at once the order in which they were counted is not known.
    """
    first, last = trail.first, trail.last
    if trail.fallen is not None and walk.at_once == 1:
        most, page, fewer = trail.fallen
        raise WalkIncomplete(
            f"{walk.label}: page {page} says {fewer:,} records in all, and one before it {most:,}: some were removed "
            "while they were read, and others may have moved to pages that were read before. Run again"
        )
    if (
        first is not None
        and last is not None
        and (told := walk.endpoint.paginator.cut_short(first, trail.former, last))
    ):
        raise WalkIncomplete(f"{walk.label}: {told}")


def check(walk: Walk, told: Expected | None, received: int) -> None:
    """Raise WalkIncomplete where fewer records came than the API says."""
    if told is not None and told.falls_short(received):
        raise WalkIncomplete(f"{walk.label}: the API says {told} records, and {received:,} came{_one_page(walk)}")


def in_all(counts: Sequence[Expected | None]) -> Expected | None:
    """What the numbers of all parts of a fetch come to, worth as much as the weakest; None where one has none.

    >>> str(in_all([Expected(10), Expected(5, "at_least")])), in_all([Expected(10), None])
    ('at least 15', None)
    """
    numbers = [told for told in counts if told is not None]
    if len(numbers) < len(counts):
        return None
    words = {told.tells for told in numbers}
    return Expected(
        sum(told.records for told in numbers),
        "about" if "about" in words else "at_least" if "at_least" in words else "exactly",
    )


def _total(walk: Walk) -> Total | None:
    """Where pages say how many records there are in all."""
    place = walk.endpoint.paginator.records_total
    return walk.endpoint.total or (None if place is None else Total.model_validate(place.model_dump()))


def _one_page(walk: Walk) -> str:
    return (
        ". The source file names no `paginator`, so one page was read" if walk.endpoint.paginator.type == "none" else ""
    )
