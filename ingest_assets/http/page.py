"""A request for a page, and the page that answered it: the values that the walk is made of.

A page's body is never a value: it is on disk, see `ingest_assets.raw`. What a paginator needs of it is
its *envelope* (the body without the records), how many records it held, and the last of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit


@dataclass(frozen=True)
class PageRequest:
    """What asks for a page, without credentials: those are added at the last moment, for their origin only.

    `params` are added to the query of `url`, in order, percent-encoded. `body` is sent as JSON or as a form.
    """

    url: str
    params: tuple[tuple[str, str], ...] = ()
    method: Literal["GET", "POST"] = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: Mapping[str, Any] | None = None
    body_as: Literal["json", "form"] = "json"


@dataclass(frozen=True)
class Page:
    """One answered request. `number` counts from 0 within its fetch; header names are in small letters.

    `before` is how many records the pages before it in its walk held, and `fullest` the most that one of them held.
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


def origin(url: str) -> str:
    """Scheme, host and port of a URL, the port always written: what a credential belongs to (RFC 6454).

    >>> origin("https://API.example.com/v1?x=1"), origin("http://[::1]:8080/")
    ('https://api.example.com:443', 'http://[::1]:8080')
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def dig(value: Any, path: str) -> Any:
    """The value at a dotted path, or None where the path leads nowhere.

    >>> dig({"meta": {"next": "abc"}}, "meta.next")
    'abc'
    >>> dig({"links": [1]}, "links.next") is None
    True
    """
    for key in path.split(".") if path else ():
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value
