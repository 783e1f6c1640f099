"""What is asked of an API in the sandbox, and what it answers: the two values all of them share."""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import msgspec

from ingest_assets.sandbox.world import World


@dataclass(frozen=True)
class Asked:
    """A request. `path` lies below the API's prefix; `query` holds the form's and GraphQL variables' values too;
    `base` is scheme and host; `fault` is a fault of paging that this answer shall show."""

    world: World
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    base: str = ""
    fault: str | None = None
    body: bytes = b""

    def one(self, name: str) -> str | None:
        """The first value of a parameter, or None."""
        values = self.query.get(name)
        return values[0] if values else None


@dataclass(frozen=True)
class Answer:
    """A response. A body that is no bytes is streamed; `gzip` says that it is compressed where accepted."""

    body: bytes | Iterable[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    media: str = "application/json"
    gzip: bool = False


@dataclass(frozen=True)
class Room:
    """What is left of a limit after a request: `reset` seconds until a place becomes free."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True)
class Api:
    """What makes an API: where it is, whom it lets in, how it limits, fails and answers.

    `credential` says whose a request is; `buckets` which limits it counts in, by path and by whose it is; `world_of`
    what is told to whom. `limits` are requests and seconds by bucket. `broken` takes a status, `throttled` a bucket
    and the seconds that its Retry-After says, None for no such header; `tells_wait` is whether its own limits send one.
    """

    prefix: str
    limits: Mapping[str, tuple[int, float]]
    buckets: Callable[[str, str], tuple[str, ...]]
    credential: Callable[[Asked], str | Answer]
    expired: Answer
    broken: Callable[[Asked, int], Answer]
    throttled: Callable[[Asked, str, float | None], Answer]
    answer: Callable[[Asked], Answer]
    world_of: Callable[[World, str], World] = lambda world, _who: world
    tells_wait: bool = False
    rate_headers: Callable[[Mapping[str, Room]], dict[str, str]] = lambda _rooms: {}
    headers: Callable[[Asked, int], dict[str, str]] = lambda _asked, _number: {}


encode = msgspec.json.Encoder().encode


def answered(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """A value as JSON."""
    return Answer(encode(value), status, headers or {})


def values_of(query: str) -> dict[str, list[str]]:
    """The values of a query string or form body by name; list indexes are left out of the names.

    >>> values_of("types[0]=a&types[1]=b&created%5Bgte%5D=5")
    {'types[]': ['a', 'b'], 'created[gte]': ['5']}
    """
    values: dict[str, list[str]] = {}
    for pair in filter(None, query.split("&")):
        name, _, value = pair.partition("=")
        name = unquote_plus(name)
        stem, bracket, index = name.rpartition("[")
        if bracket and index[:-1].isdigit():
            name = f"{stem}[]"
        values.setdefault(name, []).append(unquote_plus(value))
    return values


def bearer(headers: Mapping[str, str]) -> str | None:
    """The token of a bearer header (RFC 6750 §2.1), or None."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def basic(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """User and password of a Basic header (RFC 7617 §2), or None.

    >>> basic({"authorization": "Basic dTpwOnc="})
    ('u', 'p:w')
    """
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(encoded).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password
