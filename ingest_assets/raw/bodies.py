"""Bodies with some of their records replaced by a mark of the same length."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

from ingest_assets.raw import body, disk

_MARK = b'{"forgotten":true}'


def marked(texts: Sequence[bytes]) -> dict[bytes, bytes]:
    """Each of these records with the mark that takes its place."""
    return {text: _mark(len(text)) for text in texts}


def _mark(length: int) -> bytes:
    """The mark, as long as what it stands for; of short records only the brackets are left."""
    mark = _MARK if length >= len(_MARK) else b"{}" if length >= 2 else b"0"
    return mark.ljust(length)


def replaced(stored: BinaryIO, needles: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """A body with each needle replaced by what is as long; at most the longest needle is held beside a chunk.

    >>> import io
    >>> b"".join(replaced(io.BytesIO(b"say abc or ab"), {b"abc": b"xyz", b"ab": b"--"}))
    b'say xyz or --'
    """
    longest = max(map(len, needles))
    pattern = re.compile(b"|".join(re.escape(needle) for needle in sorted(needles, key=len, reverse=True)))
    held = b""
    while chunk := stored.read(body.CHUNK_BYTES):
        held = pattern.sub(lambda match: needles[match[0]], held + chunk)
        # What is replaced holds no needle, so that looking at it twice does no harm.
        ready = max(len(held) - longest + 1, 0)
        yield held[:ready]
        held = held[ready:]
    yield held


def compressed(pieces: Iterator[bytes], into: int, offset: int) -> body.Frame:
    """These pieces as one frame, written at an offset of an open file."""
    compressor, length = body.Compressor(), 0
    for piece in pieces:
        part = compressor.compressed(memoryview(piece))
        disk.write_at(into, part, offset + length)
        length += len(part)
    end, sha256 = compressor.last()
    disk.write_at(into, end, offset + length)
    return body.Frame(offset, length + len(end), compressor.bytes, sha256)
