"""The body of an answer as it arrives: checked to be whole, unzipped, and no larger than allowed.

urllib3 notices where fewer bytes come than announced, but takes a gzip stream that simply stops for a whole
one; so its decoding is done here.
"""

import http.client
import zlib
from collections.abc import Callable, Iterable, Iterator

import requests
import urllib3

from ingest_assets.errors import RequestFailed, TransientFailure

_CHUNK_BYTES = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS


def chunks(answer: requests.Response, named: str, max_bytes: int, count: Callable[[int], None]) -> Iterator[bytes]:
    """The body in chunks, its content encoding undone; `count` is told the bytes that came over the network.

    Raises TransientFailure where it is cut or damaged, RequestFailed where its encoding was not asked for, or
    it is larger than `max_bytes` once unzipped. `named` is what messages call the request.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise RequestFailed(f"{named}: asked for gzip or plain, and the answer is encoded as {encoding[:40]!r}")
    received = _received(answer, named, count)
    whole = _unzipped(received, named) if encoding.endswith("gzip") else received
    size = 0
    for chunk in whole:
        size += len(chunk)
        if size > max_bytes:
            raise RequestFailed(f"{named}: the body is larger than {max_bytes:,} bytes, the most that is read")
        yield chunk


def _received(answer: requests.Response, named: str, count: Callable[[int], None]) -> Iterator[bytes]:
    try:
        for chunk in answer.raw.stream(_CHUNK_BYTES, decode_content=False):
            count(len(chunk))
            yield chunk
    except urllib3.exceptions.ReadTimeoutError:
        why = "the rest did not come in time"
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError):
        why = "the connection ended before it was whole"
    else:
        return
    raise TransientFailure(f"{named}: cut body: {why}")  # apart from its cause, whose text may hold the URL


def _unzipped(received: Iterable[bytes], named: str) -> Iterator[bytes]:
    """The content of one or more gzip members (RFC 1952 §2.2), in bounded chunks however well it was packed."""
    member = zlib.decompressobj(_GZIP)
    begun = False
    try:
        for data in received:
            while data:
                begun = True
                member = zlib.decompressobj(_GZIP) if member.eof else member
                if content := member.decompress(data, _CHUNK_BYTES):
                    yield content
                data = member.unused_data if member.eof else member.unconsumed_tail
        if content := member.flush():
            yield content
    except zlib.error:
        raise TransientFailure(f"{named}: cut body: its gzip data are damaged") from None
    if begun and not member.eof:
        raise TransientFailure(f"{named}: cut body: its gzip data do not end")
