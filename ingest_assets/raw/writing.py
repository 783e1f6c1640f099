"""A snapshot that grows: pages are appended while a walk goes on, and it ends with a verdict."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.http.total import Expected
from ingest_assets.raw import body, disk, manifest
from ingest_assets.raw.ahead import Ahead
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import Index, IndexEntry
from ingest_assets.raw.jobs import JobNotes
from ingest_assets.raw.manifest import Counted, Ending, Manifest, Verdict
from ingest_assets.raw.page import PageWriter, Place
from ingest_assets.raw.parts import PartEnds
from ingest_assets.raw.reading import Snapshot


class OpenSnapshot:
    """The stored pages of a fetch that has not ended. The caller holds the partition's lock."""

    def __init__(self, place: Place, told: Manifest) -> None:
        """Cuts off what a process left unfinished that died while it appended."""
        self.manifest = told
        self._place = place
        self._index = Index(place.folder / INDEX)
        self.parts = PartEnds(place.folder)
        self.jobs = JobNotes(place.folder)
        self.ahead = Ahead(place)
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

        def keep(entry: IndexEntry) -> None:
            if entry.offset != self._index.segment_end:
                raise StorageFailed(
                    f"{self._place.segment}: page {entry.number} is there: a page is committed once, in turn"
                )
            os.fsync(descriptor)
            self._index.extend([entry])

        try:
            number, end = len(self._index), self._index.segment_end
            yield PageWriter(self._place, self._place.segment, descriptor, request, number, end, keep)
        finally:
            os.close(descriptor)
            self._truncate()

    def take(self, pages: Sequence[tuple[str, IndexEntry]]) -> None:
        """Append pages that came before their turn, in this order, durably and all at once; each with its name."""
        self._refuse_if_ended()
        entries, end = list[IndexEntry](), self._index.segment_end
        try:
            with disk.writing(self.folder), disk.opened(self._place.segment, os.O_WRONLY) as segment:
                for number, (name, entry) in enumerate(pages, len(self._index)):
                    body.copied(self.ahead.body(name), segment, end)
                    entries.append(replace(entry, number=number, offset=end))
                    end += entry.length
                os.fsync(segment)
                self._index.extend(entries)
        finally:
            self._truncate()
        for name, _ in pages:
            self.ahead.drop(name)

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
        self.ahead.clear()
        return Snapshot(self.folder)
