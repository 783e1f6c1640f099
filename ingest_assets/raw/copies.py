"""Copies of all snapshots below another folder, taken while walks go on.

What has ended never changes, but for a verdict that is taken back and records that are forgotten: it is copied once,
and again where its manifest says something else, or its index names another segment. Of a walk that goes on, the
manifest is copied first, then its jobs, then which parts have ended, then the index, then the bodies: each page that
one of them names is in the next by then, and what is torn at an end is cut off as after a crash.
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct

from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.raw import disk, manifest
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import SEGMENT, Index
from ingest_assets.raw.jobs import FILE as JOBS
from ingest_assets.raw.parts import FILE as PARTS
from ingest_assets.raw.reading import Snapshot
from ingest_assets.raw.snapshots import Snapshots


class Copied(Struct, frozen=True):
    """A snapshot that was looked at: how many bytes were copied, 0 where it was there; `problems` as of `verify`."""

    snapshot: Snapshot
    bytes: int
    problems: tuple[str, ...] = ()


def copied(here: Snapshots, there: Path) -> Iterator[Copied]:
    """Copy what is not in the folder `there` yet, each snapshot verified where it arrived; then the notes beside them.

    One that is not whole enough to be copied is named, and the others are copied.
    ConfigError where `there` holds the snapshots of another data folder. StorageFailed where it cannot be written.
    """
    for name in list(here.endpoints()):
        yield from _all_copied(here.fetches(*name), here.folder, there)
    for note in _notes(here.folder):
        target = there / note.relative_to(here.folder)
        with disk.writing(target.parent):
            disk.make_folder(target.parent)
            disk.write_file(target, note.read_bytes())


def archive_copied(here: Snapshots, archive: Path, there: Path) -> Iterator[Copied]:
    """As `copied`, of the snapshots that were moved to an archive."""
    for name in list(Snapshots(archive).endpoints()):
        yield from _all_copied(here.archived(*name, archive), archive, there)


def _all_copied(snapshots: Iterable[Snapshot], here: Path, there: Path) -> Iterator[Copied]:
    return (_copied(snapshot, there / snapshot.folder.relative_to(here)) for snapshot in snapshots)


def gone(here: Snapshots, there: Path) -> list[Path]:
    """Folders of snapshots that are in the copy, and not here any more."""
    copies = Snapshots(there)
    stored = [s.folder for name in copies.endpoints() for s in copies.fetches(*name)]
    return [folder for folder in stored if not (here.folder / folder.relative_to(there)).is_dir()]


def _notes(folder: Path) -> Iterator[Path]:
    """What is kept beside snapshots: of all, of a source, of an endpoint, of a partition."""
    for level in (".*", "*/.*", "*/*/.*", "*/*/*/.*"):
        yield from (f for f in sorted(folder.glob(level)) if f.is_file() and f.suffix != ".new")


def _copied(snapshot: Snapshot, target: Path) -> Copied:
    if lost := _lost(snapshot):
        # Its former copy stays; and where its folder is gone, it was pruned just now.
        return Copied(snapshot, 0, (lost,) if snapshot.folder.exists() else ())
    told, there = (snapshot.folder / manifest.FILE).read_bytes(), target / manifest.FILE
    if there.exists() and Snapshot(target).unknown is None:
        _refuse_others(snapshot, Snapshot(target))
        same = there.read_bytes() == told and all((target / name).exists() for name in (INDEX, snapshot.segment))
        if snapshot.manifest.ended and same:
            return Copied(snapshot, 0)
    draft = target.with_name(f"{target.name}.new")
    with disk.writing(target.parent):
        shutil.rmtree(draft, ignore_errors=True)
        disk.make_folder(draft)
        for name in (manifest.FILE, JOBS, PARTS, INDEX):
            if name not in (JOBS, PARTS) or (snapshot.folder / name).exists():
                _copy(snapshot.folder / name, draft / name)
        segment = _segment(draft)
        _copy(snapshot.folder / segment, draft / segment)
        shutil.rmtree(target, ignore_errors=True)
        draft.rename(target)
        disk.sync_folder(target.parent)
    problems = Snapshot(target).verify()
    problems = (snapshot.verify() or problems) if problems else []  # what came damaged is to be mended there
    return Copied(snapshot, sum(f.stat().st_size for f in target.iterdir()), tuple(problems))


def _lost(snapshot: Snapshot) -> str | None:
    """Why a snapshot cannot be copied: which it is cannot be told, or one of its files is missing."""
    try:
        segment = snapshot.folder / snapshot.segment
        problem = snapshot.unknown or (None if segment.exists() else disk.damaged(segment, "the file is missing"))
    except StorageFailed as error:
        problem = error
    return str(problem) if problem else None


def _copy(file: Path, target: Path) -> None:
    with file.open("rb") as content, target.open("xb") as copy:
        shutil.copyfileobj(content, copy)
        copy.flush()
        os.fsync(copy.fileno())
    target.chmod(0o600)


def _refuse_others(mine: Snapshot, copy: Snapshot) -> None:
    if (mine.manifest.started, mine.manifest.fingerprint) != (copy.manifest.started, copy.manifest.fingerprint):
        raise ConfigError(
            f"{copy.folder} is fetch {copy.fetch} of another data folder than {mine.folder}: give each data folder a "
            "backup of its own"
        )


def _segment(draft: Path) -> str:
    """The file of the bodies that a copied index names."""
    index = Index(draft / INDEX)
    return index[-1].segment if len(index) else SEGMENT
