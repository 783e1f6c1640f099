"""By what an API knows a page again, and the request that asks for it only if it has changed (RFC 9110 §8.8, §13).

    ETag: "a7"                             If-None-Match: "a7"
    Last-Modified: …, where no ETag is     If-Modified-Since: …

A time of a second's grain proves nothing of what changed within it: it counts only if it was well past when it came.
"""

from collections.abc import Mapping
from datetime import timedelta

from msgspec.structs import replace

from ingest_assets.http.page import PageRequest
from ingest_assets.http.waits import moment

CONDITIONS = frozenset({"if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"})
_WELL_PAST = timedelta(minutes=1)


def condition(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """The header that asks for what has changed since an answer with these headers; None where they tell no validator.

    >>> condition({"etag": 'W/"a7"'}), condition({"content-type": "text/csv"})
    (('If-None-Match', 'W/"a7"'), None)
    >>> moved = {"last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
    >>> condition(moved | {"date": "Thu, 01 Jan 2026 00:02:00 GMT"})
    ('If-Modified-Since', 'Thu, 01 Jan 2026 00:00:00 GMT')
    >>> condition(moved | {"date": "Thu, 01 Jan 2026 00:00:09 GMT"}) is None
    True
    """
    etag = headers.get("etag", "").strip()
    if etag:
        return ("If-None-Match", etag) if etag.endswith('"') and etag.isprintable() else None
    modified, came = moment(headers.get("last-modified", "")), moment(headers.get("date", ""))
    if modified is None or came is None or came - modified < _WELL_PAST:
        return None
    return "If-Modified-Since", headers["last-modified"].strip()


def same(headers: Mapping[str, str], former: Mapping[str, str]) -> bool:
    """Whether a 304 is of the page that came with the former headers: its ETag, if it has one, is that page's.

    >>> same({"etag": '"a7"'}, {"etag": 'W/"a7"'}), same({"etag": '"b8"'}, {"etag": '"a7"'}), same({}, {"etag": '"a7"'})
    (True, False, True)
    """
    told = headers.get("etag", "").strip()
    return not told or told.removeprefix("W/") == former.get("etag", "").strip().removeprefix("W/")


def on_condition(request: PageRequest, told: tuple[str, str]) -> PageRequest:
    """The request, to be answered only if the page has changed."""
    return replace(request, headers=(*request.headers, told))


def is_on_condition(request: PageRequest) -> bool:
    """Whether a request may be answered by 304."""
    return any(name.lower() in CONDITIONS for name, _ in request.headers)
