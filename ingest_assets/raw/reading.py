"""A snapshot to read: its pages in order, each body verified, and what is wrong with it."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from ingest_assets.errors import StorageFailed
from ingest_assets.raw import body, disk, manifest
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import SEGMENT, Index, IndexEntry
from ingest_assets.raw.jobs import JobNotes
from ingest_assets.raw.manifest import Manifest
from ingest_assets.raw.parts import PartEnds

__all__ = ["SEGMENT", "Snapshot"]


class Snapshot(Struct, frozen=True, dict=True):
    """The stored pages of one fetch, as they were when first asked for: a walk may still be appending."""

    folder: Path

    @property
    def fetch(self) -> int:
        """The number of its fetch, as its folder says."""
        return int(self.folder.name)

    @cached_property
    def manifest(self) -> Manifest:
        """Which fetch it is; StorageFailed where that cannot be told, or the format is not of this version."""
        return manifest.read(self.folder)

    @property
    def unknown(self) -> StorageFailed | None:
        """Why it cannot be told which fetch it is and how it ended; None where that can be told."""
        try:
            self.manifest  # noqa: B018 -- read here, or the reason why not
        except StorageFailed as error:
            return error
        return None

    @cached_property
    def _index(self) -> Index:
        return Index(self.folder / INDEX)

    @cached_property
    def pages(self) -> Sequence[IndexEntry]:
        """The pages in order, read from disk when asked for; StorageFailed where one of them is lost."""
        if flaw := self._flaw():
            raise self._index.damaged(flaw)
        return self._index

    def tells(self, text: bytes) -> bool:
        """Whether the index holds a text somewhere: looked for without reading it line by line."""
        return len(self.pages) > 0 and self._index.holds(text)

    def _flaw(self) -> str | None:
        end, index = self.manifest.ended, self._index
        if index.flaw and (end or not index.torn):
            return index.flaw
        if end and (end.pages, end.records, end.bytes) != (len(index), index.records, index.bytes):
            return f"it has {len(index):,} pages where the fetch ended with {end.pages:,}, or other counts than those"
        return None

    @cached_property
    def parts(self) -> PartEnds:
        """The parts of it that have ended; none where the fetch is one chain of pages."""
        return PartEnds(self.folder)

    @cached_property
    def jobs(self) -> JobNotes:
        """The jobs that the API made for it; none where nothing but pages was asked for."""
        return JobNotes(self.folder)

    def body(self, entry: IndexEntry) -> BinaryIO:
        """The body of a page as a stream to be closed, decompressed while it is read; it cannot seek.

        At its end it is verified: StorageFailed, with file, page and what to do, where it is not what was written.
        """
        return body.opened(self.folder / entry.segment, entry.number, entry.frame)

    @property
    def segment(self) -> str:
        """The file of its bodies, as its index says; of a walk that goes on, the one it appends to."""
        return self._index[-1].segment if len(self._index) else SEGMENT

    @property
    def forgotten(self) -> int:
        """How many pages had records taken out."""
        return sum(bool(entry.forgotten) for entry in self.pages)

    def verify(self) -> list[str]:
        """What is wrong with it now, a sentence each; nothing where every byte is what was written."""
        fresh, problems = Snapshot(self.folder), list[str]()
        try:
            if flaw := fresh._flaw():
                problems.append(str(fresh._index.damaged(flaw)))
            return problems + fresh._segment_problems()
        except StorageFailed as error:
            return [*problems, str(error)]

    def _segment_problems(self) -> list[str]:
        problems, index = list[str](), self._index
        segment = self.folder / self.segment
        for entry in index:
            try:
                self._read_through(entry)
            except StorageFailed as error:
                problems.append(str(error))
        if segment.exists() and self.manifest.ended and (extra := segment.stat().st_size - index.segment_end) > 0:
            problems.append(str(disk.damaged(segment, f"{extra:,} bytes follow its last page")))
        return problems

    def _read_through(self, entry: IndexEntry) -> None:
        with self.body(entry) as stored:
            while stored.read(body.CHUNK_BYTES):
                pass
