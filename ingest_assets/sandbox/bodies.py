"""How a body goes over the wire, whole or broken on purpose: ASGI responses (their spec: asgi.readthedocs.io)."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping

from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from ingest_assets.sandbox.answers import Answer

PIECES = 5


class CutResponse(Response):
    """A response that promises more bytes than it sends, then ends the connection."""

    def __init__(self, sent: bytes, promised: int, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(status_code=status, headers={**headers, "content-length": f"{promised}"})
        self._sent = sent

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Sends the part; the server closes the connection because the body was not completed."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self._sent, "more_body": True})


def whole(answer: Answer, headers: Mapping[str, str], *, gzip: bool) -> Response:
    """The answer as it should be; compressed if it may be and the caller takes it. Its own headers count most."""
    headers = {**headers, **answer.headers}
    if isinstance(answer.body, bytes) and not (gzip and answer.gzip):
        return Response(answer.body, answer.status, headers, answer.media)
    chunks = [answer.body] if isinstance(answer.body, bytes) else answer.body
    if gzip and answer.gzip:
        chunks, headers = compressed(chunks), {**headers, "Content-Encoding": "gzip"}
    return StreamingResponse(paced(chunks, 0.0), answer.status, headers, answer.media)


def slow(answer: Answer, headers: Mapping[str, str], *, gzip: bool, seconds: float) -> Response:
    """The answer in pieces, so many seconds apart."""
    body = body_of(answer)
    size = len(body) // PIECES + 1
    headers = {**answer.headers, **headers}
    pieces: Iterable[bytes] = [body[begin : begin + size] for begin in range(0, len(body), size)]
    if gzip and answer.gzip:
        pieces, headers = compressed(pieces), {**headers, "Content-Encoding": "gzip"}
    return StreamingResponse(paced(pieces, seconds), answer.status, headers, answer.media)


def cut(answer: Answer, headers: Mapping[str, str]) -> Response:
    """Half of the answer, where Content-Length promises all of it (RFC 9112 §8: an incomplete message)."""
    body = body_of(answer)
    headers = {**answer.headers, **headers, "content-type": answer.media}
    return CutResponse(half(body), len(body) + 16, answer.status, headers)


def cut_chunked(answer: Answer, headers: Mapping[str, str], *, gzip: bool) -> Response:
    """Half of the answer, ended as if that were all."""
    part = Answer(iter([half(body_of(answer))]), answer.status, answer.headers, answer.media, answer.gzip)
    return whole(part, headers, gzip=gzip)


def body_of(answer: Answer) -> bytes:
    """The body as bytes."""
    return answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)


def half(body: bytes) -> bytes:
    r"""About half of a body, cut inside of a record.

    >>> half(b'{"a":1}\n{"a":2}\n')
    b'{"a":1}\n{'
    """
    place = len(body) // 2
    while body[:place].endswith(b"\n") or body[place : place + 1] == b"\n":
        place += 1
    return body[:place]


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks as one gzip stream (RFC 1952)."""
    packer = zlib.compressobj(level=1, wbits=31)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


async def paced(chunks: Iterable[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The chunks, so many seconds apart."""
    for chunk in chunks:
        if chunk:
            yield chunk
            await asyncio.sleep(seconds)  # even without a pause others have their turn
