"""A page that arrives: compressed as it comes, read back, and committed to wherever it belongs.

A small body is held until it is whole: it is compressed at once, and read from memory, where it is the very text that
went into the frame.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

from msgspec import Struct
from msgspec.structs import asdict, replace

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.http.sizes import PIECE_BYTES
from ingest_assets.raw import body, disk
from ingest_assets.raw.bodies import compressed, replaced
from ingest_assets.raw.index import SEGMENT, IndexEntry

_CHECK_EVERY_BYTES = 16_000_000


class Place(Struct, frozen=True, dict=True):
    """Where a snapshot is written: its folder, how much of the disk stays free, and the clock."""

    folder: Path
    reserve_bytes: int
    now: Callable[[], datetime]

    @cached_property
    def segment(self) -> Path:
        """The file of all bodies."""
        return self.folder / SEGMENT


class PageWriter:
    """A page that arrives: first `write` its body, then `read` it back to decode it, then `commit`.

    Until `commit` returns, the page does not exist.
    """

    def __init__(
        self,
        place: Place,
        file: Path,
        descriptor: int,
        request: PageRequest,
        number: int,
        offset: int,
        keep: Callable[[IndexEntry], None],
    ) -> None:
        """Writes to an open file from an offset on; `keep` makes the page exist."""
        self._place, self._file, self._descriptor, self._request = place, file, descriptor, request
        self._number, self._offset, self._keep = number, offset, keep
        self._compressor = body.Compressor()
        self._held: list[bytes] | None = []
        self._held_bytes = 0
        self._text: bytes | None = None
        self._length = self._checked = 0
        self._frame: body.Frame | None = None
        self._received: datetime | None = None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append to the body; chunks of any size. StorageFailed where the disk is full or near it."""
        if self._frame:
            raise StorageFailed(f"{self._file}: a page that was read or committed cannot grow")
        if self._held is not None:
            self._held.append(bytes(chunk))
            self._held_bytes += len(chunk)
            if self._held_bytes <= PIECE_BYTES:
                return
            chunk, self._held = b"".join(self._held), None
        view = memoryview(chunk)
        for start in range(0, len(view), body.CHUNK_BYTES):
            self._put(self._compressor.compressed(view[start : start + body.CHUNK_BYTES]))

    def _put(self, compressed: bytes) -> None:
        if self._length - self._checked > _CHECK_EVERY_BYTES:
            disk.ensure_room(self._place.folder, self._place.reserve_bytes)
            self._checked = self._length
        with disk.writing(self._place.folder):
            disk.write_at(self._descriptor, compressed, self._offset + self._length)
        self._length += len(compressed)

    def _finished(self) -> body.Frame:
        if self._frame is None:
            self._received = self._place.now()
            self._text = b"".join(self._held) if self._held is not None else None
            self._held = None
            end, sha256 = self._compressor.last(self._text or b"")
            self._put(end)
            self._frame = body.Frame(self._offset, self._length, self._compressor.bytes, sha256)
        return self._frame

    def read(self) -> BinaryIO:
        """The body as a stream to be closed; may be asked for again. Nothing can be written any more."""
        frame = self._finished()
        return io.BytesIO(self._text) if self._text is not None else body.opened(self._file, self._number, frame)

    def redact(self, instead: Mapping[bytes, bytes]) -> None:
        """Put other texts of the same length into the body before it is committed: what was there is stored nowhere."""
        draft = self._file.with_name(f"{self._file.name}.new")
        with disk.writing(self._place.folder):
            with self.read() as stored, disk.opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as into:
                made = compressed(replaced(stored, instead), into, 0)
            self._put_back(draft, made)

    def _put_back(self, draft: Path, made: body.Frame) -> None:
        """The frame of a draft in the place of this page's."""
        try:
            length = body.copied(draft, self._descriptor, self._offset)
            os.ftruncate(self._descriptor, self._offset + length)
            self._length, self._frame, self._text = length, replace(made, offset=self._offset), None
        finally:
            draft.unlink()

    def commit(
        self,
        status: int,
        headers: Mapping[str, str],
        records: int,
        note: Mapping[str, Any] | None = None,
        forgotten: Sequence[int] = (),
    ) -> IndexEntry:
        """Make the page exist. `headers` are those worth keeping, `note` what the walk needs to go on.

        `forgotten` are the positions of records that were taken out of its body.
        """
        frame = self._finished()
        entry = IndexEntry(
            number=self._number,
            **asdict(frame),
            request=self._request,
            status=status,
            received=self._received or self._place.now(),
            records=records,
            headers=dict(headers),
            note=dict(note or {}),
            forgotten=tuple(forgotten),
            forgotten_at=self._place.now().isoformat() if forgotten else None,
        )
        with disk.writing(self._place.folder):
            self._keep(entry)
        return entry
