"""Whether an answer tells of more records than its page holds: asked where a walk takes a first page for the last.

Nothing is guessed in a walk. This is for `ingest check`, which may say what a person should look at: a source file
that names no paginator, or the wrong one, would bring a first page and call it complete.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ingest_assets.http.page import Page
from ingest_assets.http.paginators.link_header import links
from ingest_assets.http.place import whole

_NEXT = frozenset(
    [
        "next",
        "nextpage",
        "nexturl",
        "nextlink",
        "nextcursor",
        "nexttoken",
        "nextpagetoken",
        "nextoffset",
        "hasmore",
        "hasnext",
        "hasnextpage",
        "morepages",
        "xnextpage",
    ]
)
_PAGES = frozenset(
    [
        "totalpages",
        "pagecount",
        "numpages",
        "lastpage",
        "xtotalpages",
    ]
)
_RECORDS = frozenset(
    ["total", "totalcount", "totalresults", "totalrecords", "totalitems", "totalsize", "xtotal", "xtotalcount"]
)
_DEEPEST = 4


def more(page: Page) -> str | None:
    """Where the answer tells of pages or records beyond these, or None where nothing does.

    >>> from ingest_assets.http.page import PageRequest
    >>> more(Page(0, PageRequest("https://x.example"), 200, envelope={"meta": {"totalPages": 3}}, records=25))
    "'meta.totalPages'"
    """
    for header in ("x-next-page", "x-total-pages", "x-total", "x-total-count"):
        if header in page.headers and _tells(header, page.headers[header], page.records):
            return f"header {header!r}"
    if _links_on(page.headers.get("link", "")):
        return "header 'link'"
    return next((repr(path) for path, value in _values(page.envelope) if _tells(path, value, page.records)), None)


def _links_on(header: str) -> bool:
    try:
        return any("next" in link.relations for link in links(header))
    except ValueError:
        return False


def _values(envelope: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What stands outside of the records, by path."""
    if not isinstance(envelope, Mapping) or depth == _DEEPEST:
        return
    for key, value in envelope.items():
        inner = f"{path}.{key}" if path else key
        yield inner, value
        yield from _values(value, inner, depth + 1)


def _tells(path: str, value: Any, records: int) -> bool:
    name = re.sub(r"[^a-z]", "", path.rpartition(".")[2].lower())
    if name in _NEXT:
        return value not in (None, False, "", 0) and value != {}
    number = whole(value)
    if number is None:
        return False
    return (name in _PAGES and number > 1) or (name in _RECORDS and number > records)
