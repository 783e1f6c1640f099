"""The pages of a snapshot: `index.jsonl`, a sealed line a page."""

import mmap
import os
from array import array
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, overload

from msgspec import Struct, field
from msgspec.structs import asdict

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw import disk
from ingest_assets.raw.body import Frame
from ingest_assets.raw.sealed import sealed, unsealed

FILE = "index.jsonl"
SEGMENT = "pages.zst"
MOST_UNSYNCED = 100
"""How many of the last pages a power cut may take at most: their lines or bodies were not synced."""
_RARE = {"segment": SEGMENT, "forgotten": (), "forgotten_at": None}  # told only where they differ from what is usual


class IndexEntry(Struct, frozen=True):
    """A stored page: where its frame is, what asked for it, what answered.

    `offset` and `length` are of the compressed frame; `bytes` and `sha256` of the body. `received` is when its last
    byte came, in UTC. `note` is whatever JSON the walk needs to go on from here. `segment` is the file of the frame;
    `forgotten` are the positions of records that were taken out, the last time at `forgotten_at`.
    """

    number: int
    offset: int
    length: int
    bytes: int
    sha256: str
    request: PageRequest
    status: int
    received: datetime
    records: int
    headers: Mapping[str, str] = field(default_factory=dict)
    note: Mapping[str, Any] = field(default_factory=dict)
    segment: str = SEGMENT
    forgotten: tuple[int, ...] = ()
    forgotten_at: str | None = None

    @property
    def frame(self) -> Frame:
        """Where the body is."""
        return Frame(self.offset, self.length, self.bytes, self.sha256)


def to_line(entry: IndexEntry) -> bytes:
    """The page as its line in the index."""
    told = {"request": asdict(entry.request), "received": entry.received.astimezone(UTC).isoformat()}
    absent = {name for name, usual in _RARE.items() if getattr(entry, name) == usual}
    return sealed({name: value for name, value in (asdict(entry) | told).items() if name not in absent})


def _pairs(told: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in told)


def from_line(line: bytes) -> IndexEntry:
    """The page that `to_line` wrote; ValueError where the line is not as it was written."""
    told = unsealed(line)
    request = told["request"]
    request |= {name: _pairs(request.get(name, ())) for name in ("params", "headers", "path")}
    told["forgotten"] = tuple(told.get("forgotten", ()))
    told |= {"request": PageRequest(**request), "received": datetime.fromisoformat(told["received"])}
    return IndexEntry(**told)


class Index(Sequence[IndexEntry]):
    """The pages in order, read from their lines when asked for: in memory a page takes eight bytes.

    Reading stops at the first line that is not whole. `flaw` says what is wrong with it, or is None; `torn` is true
    if it is the last one, which is what a process leaves that dies while it appends; or if it never came to the disk
    but for its length, and was one of the last: that is what a power cut leaves.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.segment_end = self.records = self.bytes = 0
        self.flaw: str | None = None
        self.torn = False
        self._ends = array("Q", [0])
        try:
            self._scan()
        except FileNotFoundError as error:
            raise disk.damaged(file, "the file is missing") from error

    def _scan(self) -> None:
        with self.file.open("rb") as lines:
            for line in lines:
                try:
                    entry = from_line(line)
                except ValueError as error:
                    self.flaw = f"line {len(self) + 1} {error}"
                    after = sum(1 for _ in islice(lines, MOST_UNSYNCED))
                    self.torn = not after or (b"\0" in line and after < MOST_UNSYNCED)
                    return
                if (entry.number, entry.offset) != (len(self), self.segment_end):
                    self.flaw = (
                        f"line {len(self) + 1} is of page {entry.number}: lines are missing, or in another order"
                    )
                    return
                self._count(entry, len(line))

    def _count(self, entry: IndexEntry, line_bytes: int) -> None:
        self._ends.append(self._ends[-1] + line_bytes)
        self.segment_end += entry.length
        self.records += entry.records
        self.bytes += entry.bytes

    def _entry(self, line: bytes) -> IndexEntry:
        try:
            return from_line(line)
        except ValueError as error:
            raise self.damaged(f"a line {error}") from error

    def damaged(self, found: str) -> StorageFailed:
        """The error for an index that is not what was written."""
        return disk.damaged(self.file, found)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, at: int) -> IndexEntry: ...
    @overload
    def __getitem__(self, at: slice) -> list[IndexEntry]: ...
    def __getitem__(self, at: int | slice) -> IndexEntry | list[IndexEntry]:
        if isinstance(at, slice):
            return [self[number] for number in range(len(self))[at]]
        number = range(len(self))[at]
        with self.file.open("rb") as lines:
            lines.seek(self._ends[number])
            return self._entry(lines.read(self._ends[number + 1] - self._ends[number]))

    def __iter__(self) -> Iterator[IndexEntry]:
        with self.file.open("rb") as lines:
            for line in islice(lines, len(self)):
                yield self._entry(line)

    def add(self, entry: IndexEntry) -> None:
        """Make a page exist; its frame is written already. Whatever fails leaves it out."""
        line = to_line(entry)
        with disk.opened(self.file, os.O_WRONLY) as descriptor:
            try:
                disk.write_at(descriptor, line, self._ends[-1])
            except BaseException:
                os.ftruncate(descriptor, self._ends[-1])
                raise
        self._count(entry, len(line))

    def holds(self, text: bytes) -> bool:
        """Whether a text stands anywhere in the file, which is not empty."""
        with self.file.open("rb") as lines, mmap.mmap(lines.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(text) >= 0

    def cut(self, pages: int) -> None:
        """Leave out all but the first pages, and what follows them in the file."""
        while len(self) > pages:
            last = self[-1]
            self._ends.pop()
            self.segment_end -= last.length
            self.records -= last.records
            self.bytes -= last.bytes
        with disk.opened(self.file, os.O_WRONLY) as descriptor:
            os.ftruncate(descriptor, self._ends[-1])
