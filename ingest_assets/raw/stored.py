"""The fetches that are stored of one partition, by their numbers: their folders are listed, and none is looked into.

    <partition>/17/             the pages of fetch 17
    <partition>/.given_up-17    it was given up after it had ended

A feed that is asked each few minutes has a hundred thousand of them after a year, and each run begins with this list.
"""

import contextlib
import os
from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.raw import disk
from ingest_assets.raw.reading import Snapshot

_GIVEN_UP = ".given_up-"


class Stored(Struct, frozen=True, dict=True):
    """The fetches of the partition in `folder`, in any order; `marked` are those that may have been given up."""

    folder: Path
    fetches: tuple[int, ...]
    marked: tuple[int, ...]

    @cached_property
    def numbers(self) -> list[int]:
        """The fetches in order."""
        return sorted(self.fetches)

    @property
    def newest(self) -> Snapshot | None:
        """The newest of them; None where there is none."""
        return self.snapshot(max(self.fetches)) if self.fetches else None

    def newest_first(self) -> Iterator[Snapshot]:
        """All of them from the newest on, each made when it is its turn."""
        return map(self.snapshot, reversed(self.numbers))

    def since(self, fetch: int) -> Iterator[Snapshot]:
        """The one of this number, if it is there, and those after it, the newest first."""
        return map(self.snapshot, sorted((one for one in self.fetches if one >= fetch), reverse=True))

    def besides(self, fetches: Collection[int]) -> Iterator[Snapshot]:
        """All but these, in order."""
        return map(self.snapshot, sorted(one for one in self.fetches if one not in fetches))

    def without(self, fetches: Collection[int]) -> "Stored":
        """The same as if these were not stored."""
        return replace(self, fetches=tuple(one for one in self.fetches if one not in fetches)) if fetches else self

    def snapshot(self, fetch: int) -> Snapshot:
        """The one of this number, which is among them."""
        return Snapshot(self.folder / str(fetch))

    @property
    def given_up(self) -> list[Snapshot]:
        """Those that had ended, may have been loaded, and were given up since, in order."""
        marked = map(self.snapshot, sorted({*self.marked}.intersection(self.fetches))) if self.marked else ()
        return [one for one in marked if one.manifest.ended and one.manifest.ended.verdict == "given_up"]


def stored(folder: Path) -> Stored:
    """What is stored of the partition in this folder; nothing where it is missing."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 -- a path of each takes ten times as long
    except (FileNotFoundError, NotADirectoryError):
        names = []
    marked = [int(name.removeprefix(_GIVEN_UP)) for name in names if name.startswith(_GIVEN_UP)]
    return Stored(folder, tuple(map(int, filter(str.isdigit, names))), tuple(marked))


def mark_given_up(snapshot: Snapshot) -> None:
    """Mark, durably, a fetch that is about to be given up: its manifest says whether it was."""
    mark = _mark(snapshot)
    with contextlib.suppress(FileExistsError):  # by who died before the manifest was written
        disk.make_file(mark)
    disk.sync_folder(mark.parent)


def unmark(snapshot: Snapshot) -> None:
    """Take the mark of a fetch away, if it has one: its folder is gone."""
    _mark(snapshot).unlink(missing_ok=True)


def _mark(snapshot: Snapshot) -> Path:
    return snapshot.folder.with_name(f"{_GIVEN_UP}{snapshot.folder.name}")
