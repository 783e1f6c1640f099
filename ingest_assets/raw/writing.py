"""A snapshot that grows: pages are appended while a walk goes on, and it ends with a verdict."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

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
from ingest_assets.raw.unsynced import Unsynced, arrived


class OpenSnapshot:
    """The stored pages of a fetch that has not ended. The caller holds the partition's lock."""

    def __init__(self, place: Place, told: Manifest) -> None:
        """Cuts off what a process left unfinished that died while it appended."""
        self.manifest = told
        self._place = place
        self._index = Index(place.folder / INDEX)
        self._unsynced = Unsynced((place.segment, self._index.file))
        self._recover()
        self.parts = PartEnds(place.folder, lambda: len(self._index))
        self.jobs = JobNotes(place.folder)
        self.ahead = Ahead(place)

    def _recover(self) -> None:
        """Cut off what did not arrive, and have the rest on disk."""
        index, segment = self._index, self._place.segment
        if index.flaw and not index.torn:
            raise index.damaged(index.flaw)
        try:
            pages, is_new = arrived(index, segment), segment.stat().st_size == index.file.stat().st_size == 0
        except FileNotFoundError as error:
            raise disk.damaged(segment, "the file is missing") from error
        if not is_new:
            with disk.writing(self.folder):
                index.cut(pages)
                os.truncate(segment, index.segment_end)
                self._unsynced.sync()

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

    def sync_each(self) -> None:
        """From now on have every page on disk before the next: for what the API could not be asked for again."""
        self._unsynced.each = True

    def sync(self) -> None:
        """Have all pages on disk, also where the machine fails; those that cannot be synced are none."""
        if not self._unsynced.pages:
            return
        with disk.writing(self.folder):
            try:
                self._unsynced.sync()
            except BaseException:
                self._index.cut(len(self._index) - self._unsynced.pages)
                self._unsynced.pages = 0
                self._truncate()
                raise

    def rest(self, seconds: float) -> None:
        """Have the pages on disk before a wait of so many seconds, where that is longer than a page may be unsynced."""
        if self._unsynced.is_due_before(seconds):
            self.sync()

    def _keep(self, entry: IndexEntry) -> None:
        """Let a page exist whose frame is written."""
        self._index.add(entry)
        if self._unsynced.is_due(entry):
            self.sync()

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
            self._keep(entry)

        number, end = len(self._index), self._index.segment_end
        try:
            yield PageWriter(self._place, self._place.segment, descriptor, request, number, end, keep)
        finally:
            os.close(descriptor)
            if len(self._index) == number:
                self._truncate()

    def take(self, pages: Sequence[tuple[str, IndexEntry]]) -> None:
        """Append pages that came before their turn, in this order; each with its name."""
        self._refuse_if_ended()
        try:
            with disk.writing(self.folder), disk.opened(self._place.segment, os.O_WRONLY) as segment:
                for name, entry in pages:
                    end = self._index.segment_end
                    body.copied(self.ahead.body(name), segment, end)
                    self._keep(replace(entry, number=len(self._index), offset=end))
                    self.ahead.drop(name)
        finally:
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
        self.sync()
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
