"""The body of an answer as it arrives: checked to be whole, unzipped, and no larger than allowed.

What it is packed in, a content encoding or a file of its own, is undone in `unpacking`.
urllib3 notices where fewer bytes come than announced, but takes a gzip stream that simply stops for a whole
one; so its decoding is done here.
"""

import http.client
from collections.abc import Callable, Iterable, Iterator

import requests
import urllib3

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.sizes import PIECE_BYTES
from ingest_assets.http.unpacking import CHUNK_BYTES, unpacked

_FREE_BYTES = 64 << 20
_LONGEST_NUMBER = 19


def chunks(
    answer: requests.Response,
    named: str,
    max_bytes: int,
    count: Callable[[int], None],
    *,
    max_ratio: int | None = None,
    member: str | None = None,
) -> Iterator[bytes]:
    """The body in pieces, its content encoding undone; `count` is told the bytes that came over the network.

    Raises TransientFailure where it is cut or damaged, RequestFailed where its encoding was not asked for, or
    it is larger than `max_bytes` once unpacked, or than `max_ratio` times what came. `named` is what messages call the
    request, `member` the file to read of a zip archive.
    """
    encoding = answer.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise RequestFailed(f"{named}: asked for gzip or plain, and the answer is encoded as {encoding[:40]!r}")
    announced = answer.headers.get("content-length", "").strip()
    if announced.isdecimal() and int(announced[:_LONGEST_NUMBER]) > max_bytes:
        raise _too_large(named, max_bytes)
    came = _Counted(_received(answer, named, count), named, max_bytes)
    whole: Iterable[bytes] = came
    if encoding.endswith("gzip"):
        whole = unpacked(whole, named, member, whole=True)
    size = 0
    for chunk in unpacked(whole, named, member):
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(named, max_bytes)
        if max_ratio is not None and size > max(_FREE_BYTES, max_ratio * came.bytes):
            raise RequestFailed(
                f"{named}: unpacked, the body is more than {max_ratio} times as large as it came: is it made to fill a "
                "disk? Else raise `max_ratio` of `answer`"
            )
        yield chunk
    if encoding.endswith("gzip") and not came.bytes and _ends_by_closing(answer):
        raise TransientFailure(f"{named}: cut body: its gzip data do not begin")


def _ends_by_closing(answer: requests.Response) -> bool:
    """Whether nothing but the end of the connection marks that of the body (RFC 9112 §6.3)."""
    return answer.raw.length_remaining is None and not answer.raw.chunked


class _Counted:
    """What came over the network, and how much that was so far; no more than is read."""

    def __init__(self, received: Iterator[bytes], named: str, max_bytes: int) -> None:
        self._received, self._named, self._max_bytes = received, named, max_bytes
        self.bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._received:
            self.bytes += len(chunk)
            if self.bytes > self._max_bytes:
                raise _too_large(self._named, self._max_bytes)
            yield chunk


def _too_large(named: str, max_bytes: int) -> RequestFailed:
    told = f"{named}: the body is larger than {max_bytes:,} bytes, the most that is read"
    return RequestFailed(f"{told}: ask for less at once, or raise `max_mb` of `answer`")


def _received(answer: requests.Response, named: str, count: Callable[[int], None]) -> Iterator[bytes]:
    """What comes, the chunks of a server put together to pieces: all that follows costs as much for each of them."""
    held, size = list[bytes](), 0
    try:
        for chunk in answer.raw.stream(_at_once(answer), decode_content=False):
            count(len(chunk))
            held.append(chunk)
            size += len(chunk)
            if size >= PIECE_BYTES:
                yield b"".join(held)
                held, size = [], 0
    except urllib3.exceptions.ReadTimeoutError:
        why = "the rest did not come in time"
    except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError, ValueError):  # of chunks of -3 bytes
        why = "the connection ended before it was whole"
    else:
        if held:
            yield b"".join(held)
        return
    raise TransientFailure(f"{named}: cut body: {why}")  # apart from its cause, whose text may hold the URL


def _at_once(answer: requests.Response) -> int:
    """How many bytes to read at once: as many as are announced, within bounds, since memory is taken for all."""
    announced = answer.headers.get("content-length", "").strip()
    if not announced.isdecimal():
        return CHUNK_BYTES
    return min(max(int(announced[:_LONGEST_NUMBER]), CHUNK_BYTES), PIECE_BYTES)
