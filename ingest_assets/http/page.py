"""A request for a page, and the page that answered it: the values that the walk is made of.

A page's body is never a value: it is on disk, see `ingest_assets.raw`. What a paginator needs of it is
its *envelope* (the body without the records), how many records it held, and the last of them.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

from msgspec import Struct, field

MISSING = object()
_CHOSEN = re.compile(r"(?P<name>[^\[\]]*)\[(?:(?P<place>-?\d+)|(?P<key>[^\[\]=]+)=(?P<value>[^\[\]]*))\]")


class PageRequest(Struct, frozen=True):
    """What asks for a page, without credentials: those are added at the last moment, for their origin only.

    `params` are added to the query of `url`, in order, percent-encoded. `body` is sent as JSON or as a form.
    `path` are values for `{names}` in `url`, each encoded so that it stays one segment of its path.
    """

    url: str
    params: tuple[tuple[str, str], ...] = ()
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    body_as: Literal["json", "form"] = "json"
    path: tuple[tuple[str, str], ...] = ()


class SignedRequest(PageRequest, frozen=True):
    """A request whose URL lets anybody in for a while by its query, which is named nowhere."""


class Page(Struct, frozen=True):
    """One answered request. `number` counts from 0 within its fetch; header names are in small letters.

    `before` is how many records the pages before it in its walk held, and `fullest` the most that one of them held.
    `began` is the value by which its first record is known, where pages overlap.
    `unchanged_since` is the fetch in which it came over the network, where the API says that it has not changed since.
    `end` and `empty` say by which rule of the source file it is the last one, or holds no records. `moved` is the URL
    that a redirect led to, where there was one.
    """

    number: int
    request: PageRequest
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    envelope: Any = None
    records: int = 0
    last_record: Any = None
    before: int = 0
    fullest: int = 0
    began: Any = None
    end: str | None = None
    empty: str | None = None
    unchanged_since: int | None = None
    moved: str | None = None

    @property
    def base(self) -> str:
        """What a relative URL in it is relative to (RFC 3986 §5.1.3)."""
        return self.moved or self.request.url


def origin(url: str) -> str:
    """Scheme, host and port of a URL, the port always written: what a credential belongs to (RFC 6454).

    >>> origin("https://API.example.com/v1?x=1"), origin("http://[::1]:8080/")
    ('https://api.example.com:443', 'http://[::1]:8080')
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def find(value: Any, path: str) -> Any:
    """The value at a dotted path, or MISSING where the path leads nowhere.

    A key may hold dots itself. Of a list, `[0]` is the first element and `[-1]` the last; `[rel=next]` is the first one
    whose `rel` is `next`.

    >>> find({"@odata.nextLink": "/b", "n": None}, "@odata.nextLink"), find({"n": None}, "n")
    ('/b', None)
    >>> find({"link": [{"rel": "self", "url": "/a"}, {"rel": "next", "url": "/b"}]}, "link[rel=next].url")
    '/b'
    >>> find({"link": [1]}, "link.url") is MISSING, find([{"id": 1}, {"id": 2}], "[-1].id")
    (True, 2)
    """
    if not path:
        return value
    steps = path.split(".")
    for taken in range(1, len(steps) + 1):
        inner = _step(value, ".".join(steps[:taken]))
        found = MISSING if inner is MISSING else find(inner, ".".join(steps[taken:]))
        if found is not MISSING:
            return found
    return MISSING


def _step(value: Any, key: str) -> Any:
    if isinstance(value, Mapping) and key in value:
        return value[key]
    chosen = _CHOSEN.fullmatch(key)
    if chosen is None:
        return MISSING
    holder = _step(value, chosen["name"]) if chosen["name"] else value
    if isinstance(holder, Mapping) and chosen["key"] is not None:
        holder = [holder]  # one element of XML, and in some APIs' JSON, stands where several would be a list
    if not isinstance(holder, list):
        return MISSING
    if chosen["place"] is not None:
        place = int(chosen["place"])
        return holder[place] if -len(holder) <= place < len(holder) else MISSING
    fits = (one for one in holder if isinstance(one, Mapping) and str(one.get(chosen["key"])) == chosen["value"])
    return next(fits, MISSING)


def dig(value: Any, path: str) -> Any:
    """As `find`, with None where the path leads nowhere.

    >>> dig({"meta": {"next": "abc"}}, "meta.next")
    'abc'
    >>> dig({"links": [1]}, "links.next") is None
    True
    """
    found = find(value, path)
    return None if found is MISSING else found
