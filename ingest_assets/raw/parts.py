"""Which parts of a fetch have ended: `parts.jsonl`, a sealed line a part, where a fetch has several.

A line is written once the part's pages are stored. It is not synced: where a power cut takes it, the part is walked
from its last stored page, as any other that has not ended. Where a power cut takes pages and leaves the line, the line
tells that there were more pages by then, and counts for nothing.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict, replace

from ingest_assets.http.total import Tells
from ingest_assets.raw import disk
from ingest_assets.raw.sealed import sealed, unsealed

FILE = "parts.jsonl"


class PartEnd(Struct, frozen=True):
    """How a part ended. `problem` says why it failed, where it did; `more` are parts that follow it, as JSON.

    `under` is the key of the parent that it is a piece of. What fails of a parent is noted under that parent's key.
    `pages` is how many the fetch had by then.
    """

    key: str
    reason: str = ""
    expected: int | None = None
    expected_is: Tells = "exactly"
    received: int = 0
    position: str | None = None
    more: Sequence[Mapping[str, Any]] = ()
    problem: str | None = None
    under: str = ""
    pages: int = 0


class PartEnds:
    """The parts of one fetch that have ended, by key; a part that ended twice counts as it did last."""

    def __init__(self, folder: Path, pages: Callable[[], int] | None = None) -> None:
        """Reads what is there up to the first line that is not whole, which the next one replaces.

        `pages` is how many pages there are, for a fetch that goes on.
        """
        self._file, self._pages = folder / FILE, pages
        self._bytes = 0
        self._ends: dict[str, PartEnd] = {}
        for line in lines(self._file):
            try:
                end = PartEnd(**unsealed(line))
            except ValueError:
                break
            if pages is not None and end.pages > pages():
                break
            self._ends[end.key] = end
            self._bytes += len(line)

    def __contains__(self, key: str) -> bool:
        return key in self._ends

    def __getitem__(self, key: str) -> PartEnd:
        return self._ends[key]

    def __iter__(self) -> Iterator[PartEnd]:
        return iter(self._ends.values())

    def __len__(self) -> int:
        return len(self._ends)

    def add(self, end: PartEnd) -> None:
        """Note that a part has ended."""
        end = replace(end, pages=self._pages()) if self._pages is not None else end
        line = sealed(asdict(end))
        with disk.writing(self._file.parent), disk.opened(self._file, os.O_WRONLY | os.O_CREAT) as descriptor:
            os.ftruncate(descriptor, self._bytes)
            disk.write_at(descriptor, line, self._bytes)
        self._bytes += len(line)
        self._ends[end.key] = end


def lines(file: Path) -> Iterator[bytes]:
    """The lines of a file; none where it is missing."""
    try:
        with file.open("rb") as lines:
            yield from lines
    except FileNotFoundError:
        return
