"""A body piece by piece: its first look, and how much of it is read as one."""

from collections.abc import Iterator
from typing import BinaryIO

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.decoders.markup import LOOKED_AT_BYTES, not_records
from ingest_assets.http.decoders.parsing import SPACE
from ingest_assets.http.sizes import PIECE_BYTES

SMALL_BYTES = 16 << 20
_READ_BYTES = 1 << 19
BOM = b"\xef\xbb\xbf"


def cut(why: str) -> TransientFailure:
    """The failure for a body that did not come whole."""
    return TransientFailure(f"cut body: {why}")


def chunks(body: BinaryIO) -> Iterator[bytes]:
    """The body in pieces, without a byte order mark; the first piece begins with something to see."""
    start = b""
    while len(start) < len(BOM) and (piece := body.read(PIECE_BYTES)):
        start += piece
    start = start.removeprefix(BOM)
    while not start.strip(SPACE) and (piece := body.read(_READ_BYTES)):
        start = piece
    if start.lstrip(SPACE).startswith(b"<"):
        while len(start) < LOOKED_AT_BYTES and (piece := body.read(_READ_BYTES)):
            start += piece
        raise not_records(start, "JSON")
    if start.strip(SPACE):
        yield start
    while piece := body.read(_READ_BYTES):
        yield piece


def begin_of(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """What there is up to the size of a small body, and whether that is all of it."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size > SMALL_BYTES:
            break
    if not size:
        raise cut("it is empty")
    text = b"".join(held)
    if not text.lstrip(SPACE).startswith((b"{", b"[")):
        raise RequestFailed("expected a JSON object or list, found other text: are the path and the decoder right?")
    return text, size <= SMALL_BYTES
