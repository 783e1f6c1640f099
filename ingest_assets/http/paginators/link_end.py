"""Whether a page without a link to a next one is the last: a header that was lost on the way would pass for that.

<…?page=2>; rel="next", <…?page=9>; rel="last"      the first page tells of nine: a walk that ends before is cut short
<…?page=2>; rel="prev", <…?page=1>; rel="first"     so ends an API that links backwards, too: its last page has links
no header, on a page as full as those before it     so end few APIs, and only where their pages come out even
"""

from collections.abc import Iterable
from urllib.parse import parse_qsl

from ingest_assets.http.page import Page
from ingest_assets.http.paginators.link_header import LinkValue

_FORWARD = frozenset(["next", "last", "prefetch"])


def missing(told: Iterable[LinkValue], rel: str) -> tuple[str, ...]:
    """The relations that a page before the last had, and the last one would have as well: those that lead not on.

    >>> missing([LinkValue("?p=3", {"rel": "next"}), LinkValue("?p=1", {"rel": "prev first"})], "next")
    ('first', 'prev')
    """
    relations = {name for link in told for name in link.relations}
    return tuple(sorted(relations - _FORWARD - {rel.lower()}))


def place_of_last(first: Iterable[LinkValue], last: Page, rel: str) -> tuple[str, int, int] | None:
    """By which parameter pages count, the number of a walk's last page, and that which the first page names as 'last'.

    None where the links tell no number to compare.

    >>> from ingest_assets.http.page import PageRequest
    >>> told = [LinkValue("/x?page=2&n=5", {"rel": "next"}), LinkValue("/x?page=9&n=5", {"rel": "last"})]
    >>> place_of_last(told, Page(3, PageRequest("https://x.example/x?n=5&page=4"), 200), "next")
    ('page', 4, 9)
    """
    targets = {name: _query(link.target) for link in first for name in link.relations}
    following, final = targets.get(rel.lower()), targets.get("last")
    here = _query(last.request.url) | dict(last.request.params)
    name = _counts_by(following, final) if following and final else None
    if name is None or final is None or not _is_number(here.get(name, "")):
        return None
    return name, int(here[name]), int(final[name])


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(url.partition("#")[0].partition("?")[2], keep_blank_values=True))


def _counts_by(following: dict[str, str], final: dict[str, str]) -> str | None:
    """The parameter by which the last page differs from the next one: a number, and the only one; or is it the same?"""
    names = [name for name in following.keys() | final.keys() if following.get(name) != final.get(name)]
    numbers = [name for name in following if _is_number(following[name])]
    names = names or (["page"] if "page" in numbers else numbers if len(numbers) == 1 else [])
    if len(names) != 1 or not all(_is_number(told.get(names[0], "")) for told in (following, final)):
        return None
    return names[0] if int(following[names[0]]) <= int(final[names[0]]) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()
