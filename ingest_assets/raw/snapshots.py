"""All snapshots of a data folder: begin one, go on with one, find them again."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.raw import disk, manifest
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry
from ingest_assets.raw.manifest import Bounds, Counted, Ending, Manifest, Verdict
from ingest_assets.raw.notes import PRUNED, SWEEPS, Notes
from ingest_assets.raw.page import PageWriter, Place
from ingest_assets.raw.paths import decoded, encoded
from ingest_assets.raw.reading import SEGMENT, Snapshot
from ingest_assets.raw.stored import Stored, mark_given_up, stored, unmark
from ingest_assets.raw.writing import OpenSnapshot

__all__ = [
    "ANY",
    "Bounds",
    "Counted",
    "Ending",
    "IndexEntry",
    "Manifest",
    "OpenSnapshot",
    "PageWriter",
    "Snapshot",
    "Snapshots",
    "Verdict",
]

_DRAFT = ".new"
_REMOVED = ".removed-"
_LAST = ".last_fetch"


class _Any(Enum):
    ANY = "every partition"


ANY: Final = _Any.ANY


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, but for drafts; none where it is missing."""
    # Unlike a path's own list, this knows what is a folder without another look.
    return sorted(folder / one.name for one in _entries(folder) if not one.name.startswith(".") and one.is_dir())


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, as the system has it; nothing where it is missing, or is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        yield from found


class Snapshots(Struct, frozen=True):
    """The snapshots below `folder`, by source, endpoint, partition and number of the fetch.

    Before each page, and within long ones, `reserve_bytes` must be free on the disk. `as_of` a time, they are those
    that had ended by then, and nothing is noted beside them.
    """

    folder: Path
    reserve_bytes: int = disk.RESERVE_BYTES
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    as_of: datetime | None = None

    def begin(self, told: Manifest) -> OpenSnapshot:
        """A new snapshot without pages, durable at once. The caller holds the partition's lock.

        StorageFailed where this fetch is stored already, or the disk is full.
        """
        folder = told.folder(self.folder)
        if folder.exists():
            raise StorageFailed(
                f"{folder}: fetch {told.fetch} is stored already, so the warehouse numbers fetches anew: "
                "is it older than the snapshots? Rebuild it from them, or move them away"
            )
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        draft = folder.with_name(_DRAFT)
        with disk.writing(self.folder):
            disk.make_folder(folder.parent)
            disk.ensure_room(folder.parent, self.reserve_bytes)
            shutil.rmtree(draft, ignore_errors=True)
            disk.make_folder(draft)
            for name in (SEGMENT, INDEX):
                disk.make_file(draft / name)
            manifest.write(draft, told)
            draft.rename(folder)
            disk.sync_folder(folder.parent)
        return self._open(folder, told)

    def _open(self, folder: Path, told: Manifest) -> OpenSnapshot:
        return OpenSnapshot(Place(folder, self.reserve_bytes, self.now), told)

    def unfinished(self, source: str, endpoint: str, partition: str | None) -> OpenSnapshot | None:
        """The newest fetch of the partition, to go on with, if it has not ended. The caller holds the lock.

        Only the newest is looked at: an older one was left behind for good when a newer began. Torn pages are cut off.
        """
        newest = self.of(source, endpoint, partition).newest
        if newest is None or newest.manifest.ended:
            return None
        return self._open(newest.folder, newest.manifest)

    def of(self, source: str, endpoint: str, partition: str | None) -> Stored:
        """What is stored of one partition, by number."""
        return self._stored(self.endpoint_folder(source, endpoint) / encoded(partition))

    def partitions(self, source: str, endpoint: str) -> Iterator[Stored]:
        """What is stored of each partition of an endpoint."""
        return map(self._stored, _folders(self.endpoint_folder(source, endpoint)))

    def _stored(self, folder: Path) -> Stored:
        found = stored(folder)
        if self.as_of is None:
            return found
        ends = {snapshot.fetch: snapshot.manifest.ended for snapshot in found.newest_first()}
        return found.without([fetch for fetch, end in ends.items() if end is None or end.at > self.as_of])

    def fetches(self, source: str, endpoint: str, partition: str | Literal[_Any.ANY] | None = ANY) -> list[Snapshot]:
        """The snapshots of an endpoint, or of one of its partitions, in order of their fetches."""
        if partition is not ANY:
            return [*self.of(source, endpoint, partition).besides(())]
        found = [(fetch, of) for of in self.partitions(source, endpoint) for fetch in of.fetches]
        return [of.snapshot(fetch) for fetch, of in sorted(found, key=lambda one: one[0])]

    def some(self, source: str, endpoint: str, partition: str | None) -> Snapshot | None:
        """Any snapshot of a partition, or else of one of the endpoint's others; no folder is read to its end."""
        folder = self.endpoint_folder(source, endpoint)
        within = chain([folder / encoded(partition)], (Path(one) for one in _entries(folder) if one.name[0] != "."))
        fetches = (one for partition_folder in within for one in _entries(partition_folder) if one.name.isdigit())
        return next((Snapshot(Path(one)) for one in fetches), None)

    def give_up(self, snapshot: Snapshot, reason: str) -> None:
        """Let a fetch count no more, for good: its pages stay to be looked at. The caller holds the partition's lock.

        All that loads goes by the verdict, so that this one write is what undoes a fetch. The mark, which comes before
        it, tells where to look.
        """
        told = snapshot.manifest
        if told.ended is None:
            self._open(snapshot.folder, told).end("given_up", reason)
        else:
            with disk.writing(snapshot.folder):
                mark_given_up(snapshot)
                manifest.write(
                    snapshot.folder, replace(told, ended=replace(told.ended, verdict="given_up", reason=reason))
                )

    def find(self, source: str, endpoint: str, partition: str | None, fetch: int) -> Snapshot:
        """The snapshot of one fetch; StorageFailed where there is none."""
        folder = self.folder / encoded(source) / encoded(endpoint) / encoded(partition) / str(fetch)
        if not folder.is_dir():
            raise StorageFailed(f"{folder}: the stored pages of fetch {fetch} are missing; restore them from a backup")
        return Snapshot(folder)

    def archive(self, source: str, endpoint: str, into: Path) -> Path | None:
        """Move all snapshots of an endpoint out of here, to a folder of the moment's name; None where there are none.

        The caller holds the locks of all its partitions. Who was forgotten stays so: that is left where it is.
        """
        folder = self.folder / encoded(source) / encoded(endpoint)
        if not (partitions := _folders(folder)):
            return None
        last = max((snapshot.fetch for snapshot in self.fetches(source, endpoint)), default=0)
        target = into / encoded(source) / encoded(endpoint) / f"{self.now():%Y%m%dT%H%M%SZ}-{last}"
        with disk.writing(into):
            disk.make_folder(target)
            for partition in partitions:
                partition.rename(target / partition.name)
            for note in (PRUNED, SWEEPS):  # of tables that are made of none of these
                if (folder / note).exists():
                    (folder / note).rename(target / note)
            disk.sync_folder(target)
            disk.sync_folder(folder)
        return target

    def remove(self, snapshot: Snapshot) -> None:
        """Remove a fetch from the disk, whole at once for whoever looks. The caller holds the partition's lock."""
        gone = snapshot.folder.with_name(f"{_REMOVED}{snapshot.folder.name}")
        with disk.writing(gone.parent):
            snapshot.folder.rename(gone)
            disk.sync_folder(gone.parent)
            unmark(snapshot)
            shutil.rmtree(gone)

    def removed(self, source: str, endpoint: str) -> list[Path]:
        """What is left of fetches that somebody died while removing."""
        partitions = _folders(self.folder / encoded(source) / encoded(endpoint))
        return [folder for partition in partitions for folder in partition.glob(f"{_REMOVED}*")]

    def archived(self, source: str, endpoint: str, where: Path) -> list[Snapshot]:
        """What `archive` moved of an endpoint to this folder, whenever that was; in order of their fetches."""
        moments = _folders(where / encoded(source) / encoded(endpoint))
        folders = [fetch for moment in moments for partition in _folders(moment) for fetch in _folders(partition)]
        return sorted((Snapshot(f) for f in folders if f.name.isdigit()), key=lambda snapshot: snapshot.fetch)

    def last_number(self) -> int:
        """The greatest number of a fetch that was ever issued for this folder; 0 before the first.

        Kept apart from the warehouse: one that was restored from a backup must not issue a number again.
        """
        try:
            return int((self.folder / _LAST).read_text())
        except (FileNotFoundError, ValueError):
            return max(
                (s.fetch for source, endpoint in self.endpoints() for s in self.fetches(source, endpoint)), default=0
            )

    @property
    def begun(self) -> bool:
        """Whether any fetch was ever numbered for this folder."""
        return (self.folder / _LAST).exists()

    @property
    def notes(self) -> Notes:
        """What the warehouse noted beside them."""
        return Notes(self.folder, writes=self.as_of is None)

    def issued(self, fetch: int) -> None:
        """Remember that a fetch has this number, durably; the caller holds the warehouse's lock."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with disk.writing(self.folder):
            disk.make_folder(self.folder)
            disk.write_file(self.folder / _LAST, str(fetch).encode())

    def endpoint_folder(self, source: str, endpoint: str) -> Path:
        """Where the snapshots of an endpoint are."""
        return self.folder / encoded(source) / encoded(endpoint)

    def endpoints(self) -> Iterator[tuple[str, str]]:
        """Source and endpoint of all that is stored, also of sources whose file is gone."""
        for source in _folders(self.folder):
            for endpoint in _folders(source):
                with contextlib.suppress(ValueError):  # a name that no snapshot of ours has
                    yield decoded(source.name) or "", decoded(endpoint.name) or ""
