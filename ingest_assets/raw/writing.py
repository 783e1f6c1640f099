"""A snapshot that grows: pages are appended while a walk goes on, and it ends with a verdict."""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.http.total import Expected
from ingest_assets.raw import body, disk, manifest
from ingest_assets.raw.bodies import compressed, replaced
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import Index, IndexEntry
from ingest_assets.raw.manifest import Counted, Ending, Manifest, Verdict
from ingest_assets.raw.parts import PartEnds
from ingest_assets.raw.reading import SEGMENT, Snapshot

_CHECK_EVERY_BYTES = 16_000_000


@dataclass(frozen=True)
class Place:
    """Where a snapshot is written: its folder, how much of the disk stays free, and the clock."""

    folder: Path
    reserve_bytes: int
    now: Callable[[], datetime]

    @property
    def segment(self) -> Path:
        """The file of all bodies."""
        return self.folder / SEGMENT


class PageWriter:
    """A page that arrives: first `write` its body, then `read` it back to decode it, then `commit`.

    Until `commit` returns, the page does not exist.
    """

    def __init__(self, place: Place, index: Index, descriptor: int, request: PageRequest) -> None:
        self._place, self._index, self._descriptor, self._request = place, index, descriptor, request
        self._number, self._offset = len(index), index.segment_end
        self._compressor = body.Compressor()
        self._length = self._checked = 0
        self._frame: body.Frame | None = None
        self._received: datetime | None = None

    def write(self, chunk: bytes | bytearray | memoryview) -> None:
        """Append to the body; chunks of any size. StorageFailed where the disk is full or near it."""
        if self._frame:
            raise StorageFailed(f"{self._place.segment}: a page that was read or committed cannot grow")
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
            end, sha256 = self._compressor.last()
            self._put(end)
            self._frame = body.Frame(self._offset, self._length, self._compressor.bytes, sha256)
        return self._frame

    def read(self) -> BinaryIO:
        """The body as a stream to be closed; may be asked for again. Nothing can be written any more."""
        return body.opened(self._place.segment, self._number, self._finished())

    def redact(self, instead: Mapping[bytes, bytes]) -> None:
        """Put other texts of the same length into the body before it is committed: what was there is stored nowhere."""
        draft = self._place.segment.with_name("page.new")
        with disk.writing(self._place.folder):
            with self.read() as stored, disk.opened(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as into:
                made = compressed(replaced(stored, instead), into, 0)
            self._put_back(draft, made)

    def _put_back(self, draft: Path, made: body.Frame) -> None:
        """The frame of a draft in the place of this page's."""
        try:
            with draft.open("rb") as frame:
                length = 0
                while chunk := frame.read(body.CHUNK_BYTES):
                    disk.write_at(self._descriptor, chunk, self._offset + length)
                    length += len(chunk)
            os.ftruncate(self._descriptor, self._offset + length)
            self._length, self._frame = length, replace(made, offset=self._offset)
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
        """Make the page exist, durably. `headers` are those worth keeping, `note` what the walk needs to go on.

        `forgotten` are the positions of records that were taken out of its body.
        """
        if self._offset != self._index.segment_end:
            raise StorageFailed(
                f"{self._place.segment}: page {self._number} is there: a page is committed once, in turn"
            )
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
            os.fsync(self._descriptor)
            self._index.append(entry)
        return entry


class OpenSnapshot:
    """The stored pages of a fetch that has not ended. The caller holds the partition's lock."""

    def __init__(self, place: Place, told: Manifest) -> None:
        """Cuts off what a process left unfinished that died while it appended."""
        self.manifest = told
        self._place = place
        self._index = Index(place.folder / INDEX)
        self.parts = PartEnds(place.folder)
        if self._index.flaw and not self._index.torn:
            raise self._index.damaged(self._index.flaw)
        try:
            self._index.cut(place.segment.stat().st_size)
        except FileNotFoundError as error:
            raise disk.damaged(place.segment, "the file is missing") from error
        self._truncate()

    @property
    def folder(self) -> Path:
        """Where it is stored."""
        return self._place.folder

    @property
    def pages(self) -> Sequence[IndexEntry]:
        """The pages so far; read from disk when asked for."""
        return self._index

    @property
    def records(self) -> int:
        """How many records its pages hold so far."""
        return self._index.records

    @property
    def bytes(self) -> int:
        """How many bytes their bodies have."""
        return self._index.bytes

    @property
    def counted(self) -> Expected | None:
        """What the API answered where it was asked how many records there are."""
        told = self.manifest.counted
        return None if told is None else Expected(told.records, told.tells)

    def count(self, counted: Counted) -> None:
        """Keep, durably, that answer."""
        self._refuse_if_ended()
        told = replace(self.manifest, counted=counted)
        with disk.writing(self.folder):
            manifest.write(self.folder, told)
        self.manifest = told

    def _truncate(self) -> None:
        with disk.writing(self.folder):
            os.truncate(self._place.segment, self._index.segment_end)

    def _refuse_if_ended(self) -> None:
        if self.manifest.ended:
            raise StorageFailed(
                f"{self.folder}: fetch {self.manifest.fetch} has ended: it never changes; begin another"
            )

    @contextlib.contextmanager
    def append(self, request: PageRequest) -> Iterator[PageWriter]:
        """The next page, to be written and committed inside. Left without `commit`, nothing of it stays.

        StorageFailed where less than the reserve is free: the disk is not filled to the last byte.
        """
        self._refuse_if_ended()
        disk.ensure_room(self.folder, self._place.reserve_bytes)
        with disk.writing(self.folder):
            descriptor = os.open(self._place.segment, os.O_WRONLY | os.O_CLOEXEC)
        try:
            yield PageWriter(self._place, self._index, descriptor, request)
        finally:
            os.close(descriptor)
            self._truncate()

    def end(
        self,
        verdict: Verdict,
        reason: str,
        *,
        position: Any = None,
        traffic: Mapping[str, Any] | None = None,
        expected: Expected | None = None,
    ) -> Snapshot:
        """Write down why the walk ended: from now on the snapshot never changes. Counts are those of its pages."""
        self._refuse_if_ended()
        ending = Ending(
            at=self._place.now(),
            verdict=verdict,
            reason=reason,
            pages=len(self._index),
            records=self._index.records,
            bytes=self._index.bytes,
            expected=expected.records if expected else None,
            expected_is=expected.tells if expected else "exactly",
            position=position,
            traffic=dict(traffic or {}),
        )
        ended = replace(self.manifest, ended=ending)
        with disk.writing(self.folder):
            manifest.write(self.folder, ended)
        self.manifest = ended
        return Snapshot(self.folder)
