"""What the second process does of `ingest_assets.load.meanwhile`: rows of the pages of a walk, as they come."""

import contextlib
import hashlib
import os
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path

from ingest_assets.errors import IngestError
from ingest_assets.load.filling import Filled, Unsuited, blocks, filled, normalizer, refuse
from ingest_assets.load.link import ENDED, Asked, Made, Parted, received, send, send_files
from ingest_assets.load.spool import MOST_PILES, Spool
from ingest_assets.normalize.normalize import Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw import disk
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry, from_line
from ingest_assets.raw.records import EMPTY, OF, StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_RESERVES = 2  # as much as that has to be free beside what a walk leaves free


class _Pages:
    """The pages of an index that grows, and what was read of it. Its rows are made by `maker`."""

    maker: Normalizer

    def __init__(self, file: Path, link: socket.socket, lead: int) -> None:
        self._file, self._link, self._lead = file, link, lead
        self._ended = False
        self._until: int | None = None
        self._begin()

    def _begin(self) -> None:
        self._seen, self._read, self._bytes = hashlib.sha256(), 0, 0

    @property
    def digest(self) -> str:
        """The digest of the lines that were read since the first."""
        return self._seen.hexdigest()

    def __iter__(self) -> Iterator[IndexEntry]:
        """Those that hold records, from the first to the last that is not left; EOFError where all is over."""
        self._begin()
        with self._file.open("rb") as lines:
            while self._until is None or self._read < self._until:
                line = lines.readline()
                if line.endswith(b"\n"):
                    self._hear(socket.MSG_DONTWAIT)
                    entry = self._took(line)
                    if EMPTY not in entry.note:
                        yield entry
                else:
                    lines.seek(-len(line), os.SEEK_CUR)
                    self._hear(0)

    def _took(self, line: bytes) -> IndexEntry:
        entry = from_line(line)
        if OF in entry.note:
            raise Unsuited
        self._seen.update(line)
        self._read += 1
        self._bytes += entry.bytes
        return entry

    def _hear(self, flags: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if not (told := self._link.recv(4096, flags)):
                raise EOFError
            if ENDED in told and self._until is None:
                self._part()

    def _part(self) -> None:
        """Leave half of the pages that nobody has read to the process that has walked, as it has nothing else to do."""
        there = self._file.read_bytes().count(b"\n")
        left = there - self._read
        lead = self._lead * self._read // max(self._bytes, 1)
        # What is learned from both halves at once is of no use: so the first pages come first.
        knows = self.maker.fast is not None
        self._until = there - (left - lead) // 2 if knows and left > lead else there
        send(self._link, pickle.dumps(Parted(self._until, self.maker.registry.to_json())))


def work(descriptor: int) -> None:
    """Make rows of the pages that are asked for over this socket, hand them over, and end."""
    with socket.socket(fileno=descriptor) as link, contextlib.suppress(EOFError, OSError, IngestError, Unsuited):
        asked: Asked = pickle.loads(received(link))  # noqa: S301 -- from a process of our own
        asked.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        pages, registry = _Pages(asked.folder / INDEX, link, asked.lead), Registry.from_json(asked.registry)
        while True:
            with contextlib.closing(Spool(asked.staging, keeps=True)) as spool:
                try:
                    told = _filled(asked, pages, registry, spool)
                except Widened as wider:
                    registry = wider.registry
                    continue
                _hand_over(link, pages.digest, told, spool)
                return


def _filled(asked: Asked, pages: _Pages, registry: Registry, spool: Spool) -> Filled:
    snapshot, model = Snapshot(asked.folder), asked.work.model
    stored = StoredRecords(snapshot, model.decoder, model.records)
    pages.maker = normalizer(asked.work, snapshot.manifest.partition, registry)

    def with_room() -> Iterator[IndexEntry]:
        for entry in pages:
            disk.ensure_room(asked.staging, _RESERVES * disk.RESERVE_BYTES)
            yield entry

    return filled(asked.work, pages.maker, blocks(stored, with_room()), spool, refuse)


def _hand_over(link: socket.socket, digest: str, told: Filled, spool: Spool) -> None:
    rows = list(spool.handed())
    if len(rows) > MOST_PILES:
        raise Unsuited
    send(link, pickle.dumps(Made(digest, told, [row[:3] for row in rows])))
    send_files(link, [file.fileno() for *_, file in rows])
