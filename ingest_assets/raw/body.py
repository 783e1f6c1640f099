"""A stored body: compressed as it arrives, and verified while it is read. Never held whole in memory."""

import hashlib
import io
import sys
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from msgspec import Struct

from ingest_assets.errors import StorageFailed
from ingest_assets.http.sizes import PIECE_BYTES
from ingest_assets.raw import disk

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdCompressor, ZstdDecompressor, ZstdError
else:
    from backports.zstd import ZstdCompressor, ZstdDecompressor, ZstdError

CHUNK_BYTES = 1_000_000
_LEVEL = 1
_MOST_IDLE = 2  # each holds some megabyte


class Frame(Struct, frozen=True):
    """Where a compressed body is in its segment, and what it is: `bytes` and `sha256` are of the body itself."""

    offset: int
    length: int
    bytes: int
    sha256: str


class Compressor:
    """One frame in the making: what goes in is hashed, what comes out is to be written."""

    _idle: ClassVar[list[ZstdCompressor]] = []  # to make one takes as long as to compress some kilobytes

    def __init__(self) -> None:
        try:
            self._zstd = self._idle.pop()
        except IndexError:
            self._zstd = ZstdCompressor(level=_LEVEL)
        self._hash = hashlib.sha256()
        self.bytes = 0

    def compressed(self, chunk: memoryview) -> bytes:
        """What is ready of the frame once this chunk is in it; often nothing yet."""
        self._hash.update(chunk)
        self.bytes += len(chunk)
        return self._zstd.compress(chunk)

    def last(self, chunk: bytes = b"") -> tuple[bytes, str]:
        """The end of the frame once this chunk is in it, and the sha256 of all that went in."""
        self._hash.update(chunk)
        self.bytes += len(chunk)
        end = self._zstd.compress(chunk, ZstdCompressor.FLUSH_FRAME)
        if len(self._idle) < _MOST_IDLE:
            self._idle.append(self._zstd)
        return end, self._hash.hexdigest()


class _Body(io.RawIOBase):
    def __init__(self, segment: io.FileIO, file: Path, page: int, frame: Frame) -> None:
        self._segment, self._file, self._page, self._frame = segment, file, page, frame
        self._segment.seek(frame.offset)
        self._zstd = ZstdDecompressor()
        self._hash = hashlib.sha256()
        self._taken = self._given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: bytearray | memoryview) -> int:  # type: ignore[override]  # typeshed: any buffer
        data = self._next(len(into))
        into[: len(data)] = data
        self._hash.update(data)
        self._given += len(data)
        if not data or self._given >= self._frame.bytes:  # a decoder may stop at the last byte, before the end
            self._verify()
        return len(data)

    def whole(self) -> bytes:
        """All of it, verified, in one piece."""
        pieces = list[bytes]()
        while self._given <= self._frame.bytes and (piece := self._next(self._frame.bytes + 1 - self._given)):
            pieces.append(piece)
            self._given += len(piece)
        data = b"".join(pieces)
        self._hash.update(data)
        self._verify()
        return data

    def _next(self, most: int) -> bytes:
        data = b""
        while not data and not self._zstd.eof:
            chunk = b""
            if self._zstd.needs_input:
                chunk = self._segment.read(min(CHUNK_BYTES, self._frame.length - self._taken)) or b""
                self._taken += len(chunk)
                if not chunk:
                    raise self._damaged("it is cut off")
            try:
                data = self._zstd.decompress(chunk, most)
            except ZstdError as error:
                raise self._damaged("it cannot be decompressed") from error
        return data

    def _verify(self) -> None:
        if self._given != self._frame.bytes:
            raise self._damaged(f"it has {self._given:,} bytes where {self._frame.bytes:,} were written")
        if self._hash.hexdigest() != self._frame.sha256:
            raise self._damaged("its sha256 is not that of what was written")

    def _damaged(self, found: str) -> Exception:
        return disk.damaged(self._file, f"page {self._page}, bytes from {self._frame.offset:,} on: {found}")

    def close(self) -> None:
        self._segment.close()
        super().close()


class _Piece(io.BufferedIOBase):
    """A body that is decompressed and verified as a whole when it is first read: nothing of it is copied."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        self._data: io.BytesIO | None = None

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1, /) -> bytes:
        if self._data is None:
            self._data = io.BytesIO(self._body.whole())
        return self._data.read(size)

    read1 = read

    def close(self) -> None:
        self._body.close()
        super().close()


def is_whole(file: Path, page: int, frame: Frame) -> bool:
    """Whether every byte of a body is there, and as it was written."""
    try:
        with opened(file, page, frame) as stored:
            while stored.read(CHUNK_BYTES):
                pass
    except StorageFailed:
        return False
    return True


def copied(file: Path, into: int, offset: int) -> int:
    """Write a file's bytes at an offset of an open file; how many they are."""
    length = 0
    with file.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            disk.write_at(into, chunk, offset + length)
            length += len(chunk)
    return length


def opened(file: Path, page: int, frame: Frame) -> BinaryIO:
    """A body as a stream to be closed; it cannot seek. Its end raises StorageFailed if it is not what was written."""
    try:
        body = _Body(file.open("rb", buffering=0), file, page, frame)
    except FileNotFoundError as error:
        raise disk.damaged(file, "the file is missing") from error
    return cast("BinaryIO", _Piece(body) if frame.bytes <= PIECE_BYTES else io.BufferedReader(body, CHUNK_BYTES))
