"""What the second process does of `ingest_assets.load.meanwhile`: rows of the pages of fetches, as they come."""

import contextlib
import hashlib
import os
import pickle
import socket
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from ingest_assets.errors import IngestError
from ingest_assets.load.filling import Filled, blocks, filled, normalizer, refuse
from ingest_assets.load.link import Asked, Knows, Made, files, received, send, send_files
from ingest_assets.load.shares import Share, taken
from ingest_assets.load.spool import MOST_PILES, Spool
from ingest_assets.load.troubles import Unsuited
from ingest_assets.normalize.normalize import Normalizer, Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw import disk
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry, from_line
from ingest_assets.raw.records import EMPTY, OF, StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_RESERVES = 2  # as much as that has to be free beside what a walk leaves free


class _Pages:
    """The pages of an index that grows, by the shares that are taken from a pipe. Their rows are made by `maker`."""

    maker: Normalizer

    def __init__(self, file: Path, link: socket.socket, pipe: int) -> None:
        self._file, self._link, self._waiting = file, link, taken(pipe)
        self._told: Registry | None = None
        self.taken: list[Share] = []
        self._seen = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of the lines of the shares that were taken."""
        return self._seen.hexdigest()

    def __iter__(self) -> Iterator[IndexEntry]:
        """Those that hold records: of the shares taken before, where it begins again, and of those to be taken."""
        self._seen = hashlib.sha256()
        at = 0
        with self._file.open("rb") as lines:
            for first, until in chain(list(self.taken), self._new()):
                for _ in islice(lines, first - at):
                    pass
                at = until
                for line in islice(lines, until - first):
                    if EMPTY not in (entry := self._read(line)).note:
                        yield entry

    def _new(self) -> Iterator[Share]:
        while True:
            self._tell()
            if (share := next(self._waiting, None)) is None:
                return
            self.taken.append(share)
            yield share

    def _read(self, line: bytes) -> IndexEntry:
        entry = from_line(line)
        if OF in entry.note:
            raise Unsuited
        self._seen.update(line)
        return entry

    def _tell(self) -> None:
        """Tell which registry it goes on with, once it knows the names and types of any record."""
        if self.maker.fast is not None and self.maker.registry is not self._told:
            self._told = self.maker.registry
            send(self._link, pickle.dumps(Knows(self._told.to_json())))


def work(descriptor: int) -> None:
    """Make rows of one fetch after the other, as they are asked for over this socket, until it is closed."""
    with socket.socket(fileno=descriptor) as link, contextlib.suppress(EOFError, OSError, IngestError, Unsuited):
        while True:
            asked: Asked = pickle.loads(received(link))  # noqa: S301 -- from a process of our own
            (pipe,) = files(link, 1)
            try:
                _made(asked, link, pipe)
            finally:
                os.close(pipe)


def _made(asked: Asked, link: socket.socket, pipe: int) -> None:
    """Make rows of the pages that are taken from this pipe, and hand them over."""
    asked.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
    pages, registry = _Pages(asked.folder / INDEX, link, pipe), Registry.from_json(asked.registry)
    while True:
        with contextlib.closing(Spool(asked.staging, keeps=True)) as spool:
            try:
                told = _filled(asked, pages, registry, spool)
            except Widened as wider:
                registry = wider.registry
                continue
            _hand_over(link, pages, told, spool)
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


def _hand_over(link: socket.socket, pages: _Pages, told: Filled, spool: Spool) -> None:
    rows = list(spool.handed())
    if len(rows) > MOST_PILES:
        raise Unsuited
    send(link, pickle.dumps(Made(pages.taken, pages.digest, told, [row[:3] for row in rows])))
    send_files(link, [file.fileno() for *_, file in rows])
