"""The jobs that a fetch has had the API make: `jobs.jsonl`, a sealed line for each change of one.

Each line is on disk before what it announces is done: that a job is asked for before the request leaves, its number
before it is first looked at. So whoever goes on after a crash knows whether there is a job, or that there may be one.
The last line of a job holds its status as the API told it, without the queries of URLs, which are signatures.
"""

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from msgspec import Struct, ValidationError, convert, field
from msgspec.structs import asdict

from ingest_assets.raw import disk
from ingest_assets.raw.parts import lines
from ingest_assets.raw.sealed import sealed, unsealed

FILE = "jobs.jsonl"

Over = Literal["done", "failed", "cancelled", "gone"]


class JobNote(Struct, frozen=True):
    """One job, of the part of the fetch of this key; times as ISO text.

    `key` is what the API knows a repeated request by. `id` is None as long as no answer to the request has come.
    `place` is the URL of its status, where the API names it. `status` is the last one that was read. `unsure` is how
    many requests for it had no answer, so that the API may have made more than this one. `marks` are hashes of the
    parameters of its files' URLs, file by file.
    """

    part: str
    key: str
    asked: str
    id: str | None = None
    place: str | None = None
    over: Over | None = None
    unsure: int = 0
    values: Mapping[str, str] = field(default_factory=dict)
    status: Any = None
    marks: tuple[tuple[str, ...], ...] = ()


class Kept(Protocol):
    """Where the notes of jobs are."""

    def get(self, part: str) -> JobNote | None:
        """The last note of a part's job."""

    def add(self, note: JobNote) -> None:
        """Keep a note, which takes the place of the one before it."""

    def all(self) -> list[JobNote]:
        """The last note of each."""


class InMemory:
    """Notes that nobody needs after this process: those of somebody who only looks."""

    def __init__(self) -> None:
        self._notes: dict[str, JobNote] = {}

    def get(self, part: str) -> JobNote | None:
        """See `Kept`."""
        return self._notes.get(part)

    def add(self, note: JobNote) -> None:
        """See `Kept`."""
        self._notes[note.part] = note

    def all(self) -> list[JobNote]:
        """See `Kept`."""
        return [*self._notes.values()]


class JobNotes(InMemory):
    """The notes of one fetch, durable; threads may share them."""

    def __init__(self, folder: Path) -> None:
        """Reads what is there up to the first line that is not whole, which the next one replaces."""
        super().__init__()
        self._file, self._bytes, self._lock = folder / FILE, 0, threading.Lock()
        for line in lines(self._file):
            try:
                note = convert(unsealed(line), JobNote)
            except (ValueError, ValidationError):
                break
            super().add(note)
            self._bytes += len(line)

    def add(self, note: JobNote) -> None:
        """Keep a note, on disk when this returns."""
        line = sealed(asdict(note))
        folder = self._file.parent
        with self._lock, disk.writing(folder):
            with disk.opened(self._file, os.O_WRONLY | os.O_CREAT) as descriptor:
                os.ftruncate(descriptor, self._bytes)
                disk.write_at(descriptor, line, self._bytes)
                os.fsync(descriptor)
            disk.sync_folder(folder)
            self._bytes += len(line)
            super().add(note)
