"""Pages that came before their turn: each in a file of its own, until it is appended to the snapshot.

    <fetch>/ahead-<name>.zst      the body, compressed as it came
    <fetch>/ahead-<name>.json     its line of the index, sealed, once it is whole and may outlive its process

They are not synced: what a power cut leaves is told by seal and hash, and asked for again. A process that dies leaves
whole pages, which a walk that goes on may take. Nobody reads them otherwise, and an ended fetch has none.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw import body, disk
from ingest_assets.raw.index import IndexEntry, from_line, to_line
from ingest_assets.raw.page import PageWriter, Place

_PREFIX = "ahead-"


class Ahead:
    """The pages of one fetch that wait for their turn, by name. Threads may write pages of different names at once."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @contextlib.contextmanager
    def page(self, name: str, request: PageRequest, number: int = 0) -> Iterator[PageWriter]:
        """A page to be written and committed inside; left without that, nothing of it stays."""
        disk.ensure_room(self._place.folder, self._place.reserve_bytes)
        with disk.writing(self._place.folder):
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(self.body(name), flags, 0o600)
        committed = list[IndexEntry]()
        try:
            yield PageWriter(self._place, self.body(name), descriptor, request, number, 0, committed.append)
        finally:
            os.close(descriptor)
            if not committed:
                self.drop(name)

    def body(self, name: str) -> Path:
        """The file of a page's frame."""
        return self._place.folder / f"{_PREFIX}{name}.zst"

    def keep(self, name: str, entry: IndexEntry) -> None:
        """Let a page outlive this process."""
        draft = self._line(name).with_suffix(".new")
        with disk.writing(self._place.folder):
            draft.write_bytes(to_line(entry))
            draft.replace(self._line(name))

    def entry(self, name: str) -> IndexEntry:
        """What is known of a page that was kept; StorageFailed where it is not as it was written."""
        try:
            return from_line(self._line(name).read_bytes())
        except (OSError, ValueError) as error:
            raise disk.damaged(self._line(name), "it is not what was written") from error

    def kept(self) -> Iterator[tuple[str, IndexEntry]]:
        """The pages that a former process left whole, every byte as it came; the others are removed."""
        for file in sorted(self._place.folder.glob(f"{_PREFIX}*")):
            name = file.name.removeprefix(_PREFIX).removesuffix(".json").removesuffix(".zst").removesuffix(".new")
            if file.suffix == ".json" and self._is_whole(name):
                yield name, self.entry(name)
            elif file.suffix != ".zst" or not self._line(name).exists():
                self.drop(name)

    def drop(self, name: str) -> None:
        """Remove a page."""
        for file in (self._line(name), self._line(name).with_suffix(".new"), self.body(name)):
            file.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all."""
        for file in self._place.folder.glob(f"{_PREFIX}*"):
            file.unlink(missing_ok=True)

    def _line(self, name: str) -> Path:
        return self._place.folder / f"{_PREFIX}{name}.json"

    def _is_whole(self, name: str) -> bool:
        try:
            entry = self.entry(name)
        except StorageFailed:
            return False
        return body.is_whole(self.body(name), entry.number, entry.frame)
