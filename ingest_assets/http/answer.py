"""An answer as the rest of the project sees it: redacted, bounded, its body a stream that is read once."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import requests
from msgspec import Struct

from ingest_assets.http import body
from ingest_assets.http.naming import Naming
from ingest_assets.http.page import PageRequest
from ingest_assets.http.place import as_sent
from ingest_assets.http.responses import ResponseRule, parsed
from ingest_assets.http.secrets import Redactor
from ingest_assets.http.waits import Told


class Response(Struct, frozen=True):
    """An answer that is a page. Header names are in small letters; everything is redacted, the body too.

    `rule` is the one of the source file that speaks of it: it is the last page, or holds no records. `moved` is where a
    redirect within the origin led to, without its query: what is relative in the answer is relative to that.
    """

    status: int
    headers: Mapping[str, str]
    url: str
    _body: Iterator[bytes]
    _read: Callable[["Response", Any], None] = lambda _response, _envelope: None
    rule: ResponseRule | None = None
    moved: str | None = None

    def learn(self, envelope: Any) -> None:
        """What the body holds beside its records: some APIs tell there what the request cost, and what is left."""
        self._read(self, envelope)

    @property
    def tells_cuts(self) -> bool:
        """Whether a body that ends early can be told: its length is announced, or its end is marked (RFC 9112 §8)."""
        marked = f"{self.headers.get('transfer-encoding', '')} {self.headers.get('content-encoding', '')}".lower()
        lengths = self.headers.get("content-length", "").split(",")  # the same one may stand there several times
        is_announced = all(one.strip().isdecimal() for one in lengths)
        return is_announced or "chunked" in marked or "gzip" in marked

    def chunks(self) -> Iterator[bytes]:
        """The body, to be read once, its content encoding undone.

        Raises TransientFailure where it is cut or damaged, RequestFailed where it is larger than allowed.
        """
        return self._body


class BodyBounds(Struct, frozen=True):
    """What a body may be: its size once decompressed, how far it may swell, and which member of an archive it is."""

    max_bytes: int = 20 << 30
    max_ratio: int | None = None
    member: str | None = None


def response(
    request: PageRequest,
    answer: requests.Response,
    naming: Naming,
    bounds: BodyBounds,
    count: Callable[[int], None],
    read: Callable[[Response, Any], None],
) -> Response:
    """An answer, its body unread; `count` is told of each piece of it, `read` of what stands beside its records."""
    named = naming.named(request)
    chunks = body.chunks(answer, named, bounds.max_bytes, count, max_ratio=bounds.max_ratio, member=bounds.member)
    redactor = naming.redactor
    return Response(answer.status_code, headers(answer, redactor), naming.shown(request), redactor.stream(chunks), read)


def headers(answer: requests.Response, redactor: Redactor) -> dict[str, str]:
    """The headers that are for others to see, their names in small letters."""
    found = {name: as_sent(value) for name, value in answer.headers.items()}
    found.pop("set-cookie", None)
    return redactor.texts(found)


def head(chunks: Iterator[bytes], most: int) -> tuple[bytes, bool]:
    """The first bytes of a body, a little more than `most` at most, and whether these are all."""
    found = b""
    for chunk in chunks:
        found = found + chunk if found else chunk  # most bodies are one piece, which is not copied
        if len(found) > most:
            return found, False
    return found, True


def told(response: Response, text: bytes) -> Told:
    """An answer as rules look at it, `text` being its body."""
    found = text.decode("utf-8", "replace")
    return Told(response.status, response.headers, found, parsed(text), datetime.now(UTC))
