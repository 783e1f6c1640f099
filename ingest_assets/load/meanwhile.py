"""Rows made by a second process while a walk goes on: where a core is free, a load has little left to do after it.

walk's process                                        second process
    page stored ── "look" ─────────────────────────►  reads the index as it grows, each page as any load does
    walk ended  ── "ended" ────────────────────────►  reads the rest
    load        ◄── what became of the records, and files of rows that have no name ──┘

It is a help and nothing else. What it made is taken only where it is what the load would make: from this very index,
under the registry that the load begins with. Wherever it fails, is late to begin or dies, the load makes the rows. It
writes no file that has a name, and ends when the walk's process does, whatever ends that.
"""

import contextlib
import hashlib
import json
import os
import pickle
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest_assets.errors import IngestError, Locked
from ingest_assets.load.filling import Filled, blocks, filled
from ingest_assets.load.spool import MOST_PILES, Filed, Spool
from ingest_assets.load.work import Work
from ingest_assets.locks import held
from ingest_assets.normalize.normalize import Widened
from ingest_assets.normalize.registry import Registry
from ingest_assets.raw import disk
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry, from_line
from ingest_assets.raw.records import EMPTY, OF, StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_LOOK, _ENDED = b".", b"!"
_LENGTH = struct.Struct("!Q")
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ingest_assets.load.meanwhile import work; work(int(sys.argv[2]))"
)
_RESERVES = 2  # as much as that has to be free beside what a walk leaves free


@dataclass(frozen=True)
class _Asked:
    """What the second process is to do; `registry` is the text of the one to begin with."""

    work: Work
    folder: Path
    registry: str
    staging: Path


@dataclass(frozen=True)
class _Made:
    """What it has done: of an index of this digest; tables and names of columns for each of the files that follow."""

    index: str
    told: Filled
    tables: Sequence[tuple[str, tuple[str, ...], pa.Schema]]


@dataclass(frozen=True)
class Taken:
    """What became of a fetch's records, and its rows as `Spool.kept` gives them."""

    told: Filled
    rows: Sequence[tuple[str, Sequence[str], Any]]


class Meanwhile:
    """A second process that makes rows of the pages of one fetch while it is walked; to be closed.

    A data folder has so many `places` for them, by default one fewer than there are cores: Locked where no more may
    begin. OSError where the system starts no process.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        work: Work,
        registry: Registry,
        staging: Path,
        locks: Path,
        places: int | None = None,
    ) -> None:
        self.fetch = snapshot.fetch
        self._registry = registry
        with contextlib.ExitStack() as opened:
            places = _cores() - 1 if places is None else places
            opened.enter_context(_place(locks, places, f"{work.source}.{work.endpoint}"))
            self._link, self.pid = _begun(opened)
            asked = pickle.dumps(_Asked(work, snapshot.folder.absolute(), registry.to_json(), staging.absolute()))
            with contextlib.suppress(OSError):  # it is gone: so `taken` gets nothing
                self._link.sendall(_LENGTH.pack(len(asked)) + asked)
            self._opened = opened.pop_all()

    def look(self) -> None:
        """Say that there are more pages."""
        with contextlib.suppress(OSError):  # it has not read what it was told before, or is gone
            self._link.send(_LOOK, socket.MSG_DONTWAIT)

    def taken(self, snapshot: Snapshot, registry: Registry, files: contextlib.ExitStack) -> Taken | None:
        """What was made of a fetch that has ended, once; None where it is not just what a load makes.

        That is so for another fetch, another registry to begin with, pages that were changed since, and a process that
        failed. The files are open until `files` are closed.
        """
        if snapshot.fetch != self.fetch or registry != self._registry or self._link.fileno() < 0:
            return None
        try:
            self._link.sendall(_ENDED)
            made: _Made = pickle.loads(_received(self._link))  # noqa: S301 -- from a process of our own
            descriptors = _descriptors(self._link, len(made.tables))
        except (OSError, EOFError):
            return None
        finally:
            self.close()
        for descriptor in descriptors:
            files.callback(os.close, descriptor)
        if made.index != hashlib.sha256((snapshot.folder / INDEX).read_bytes()).hexdigest():
            return None
        rows = [
            (table, names, files.enter_context(contextlib.closing(Filed(descriptor, schema))))
            for (table, names, schema), descriptor in zip(made.tables, descriptors, strict=True)
        ]
        return Taken(made.told, rows)

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._opened.close()


def _begun(opened: contextlib.ExitStack) -> tuple[socket.socket, int]:
    ours, theirs = (opened.enter_context(end) for end in socket.socketpair())
    command = [sys.executable, "-c", _START, json.dumps(sys.path), str(theirs.fileno())]
    process = subprocess.Popen(  # noqa: S603 -- our own command with our own arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        start_new_session=True,  # Ctrl-C is for the walk's process, which ends this one
    )
    opened.callback(process.wait)
    opened.callback(process.kill)
    theirs.close()
    return ours, process.pid


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def _place(locks: Path, places: int, what: str) -> Iterator[None]:
    with contextlib.ExitStack() as opened:
        for number in range(1, places + 1):
            with contextlib.suppress(Locked):
                opened.enter_context(held(locks / f"meanwhile-{number}.lock", f"making rows of {what}", 0))
                break
        else:
            raise Locked("no core is free for a second process")
        yield


def _received(link: socket.socket) -> bytes:
    """A message that its length goes before; EOFError where the other end is gone."""
    return _exactly(link, _LENGTH.unpack(_exactly(link, _LENGTH.size))[0])


def _exactly(link: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        if not (piece := link.recv(min(count - len(received), 1 << 20))):
            raise EOFError
        received += piece
    return bytes(received)


def _descriptors(link: socket.socket, count: int) -> list[int]:
    if count == 0:
        return []
    _, descriptors, _, _ = socket.recv_fds(link, 1, count)
    if len(descriptors) != count:
        for descriptor in descriptors:
            os.close(descriptor)
        raise EOFError
    return descriptors


class _Pages:
    """The pages of an index that grows, and what was read of it."""

    def __init__(self, file: Path, link: socket.socket) -> None:
        self._file, self._link = file, link
        self._ended = False
        self._seen = hashlib.sha256()

    @property
    def digest(self) -> str:
        """The digest of the lines that were read since the first."""
        return self._seen.hexdigest()

    def __iter__(self) -> Iterator[IndexEntry]:
        """Those that hold records, from the first to that after which the walk ended; EOFError where it is gone."""
        self._seen = hashlib.sha256()
        with self._file.open("rb") as lines:
            while True:
                line = lines.readline()
                if line.endswith(b"\n"):
                    self._hear(socket.MSG_DONTWAIT)
                    self._seen.update(line)
                    yield from _with_records(from_line(line))
                elif self._ended:
                    return
                else:
                    lines.seek(-len(line), os.SEEK_CUR)
                    self._hear(0)

    def _hear(self, flags: int) -> None:
        with contextlib.suppress(BlockingIOError):
            if not (told := self._link.recv(4096, flags)):
                raise EOFError
            self._ended = self._ended or _ENDED in told


class _Unsuited(Exception):
    """What only a whole snapshot tells is needed, or more files than may be open."""


def _with_records(entry: IndexEntry) -> Iterator[IndexEntry]:
    if OF in entry.note:
        raise _Unsuited
    if EMPTY not in entry.note:
        yield entry


def work(descriptor: int) -> None:
    """What the second process does: rows of the pages that it is asked for over this socket, and then it ends."""
    with socket.socket(fileno=descriptor) as link, contextlib.suppress(EOFError, OSError, IngestError, _Unsuited):
        asked: _Asked = pickle.loads(_received(link))  # noqa: S301 -- from a process of our own
        asked.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        pages, registry = _Pages(asked.folder / INDEX, link), Registry.from_json(asked.registry)
        while True:
            with contextlib.closing(Spool(asked.staging, keeps=True)) as spool:
                try:
                    told = _filled(asked, pages, registry, spool)
                except Widened as wider:
                    registry = wider.registry
                    continue
                _hand_over(link, pages.digest, told, spool)
                return


def _filled(asked: _Asked, pages: _Pages, registry: Registry, spool: Spool) -> Filled:
    snapshot, model = Snapshot(asked.folder), asked.work.model
    stored = StoredRecords(snapshot, model.decoder, model.records)

    def with_room() -> Iterator[IndexEntry]:
        for entry in pages:
            disk.ensure_room(asked.staging, _RESERVES * disk.RESERVE_BYTES)
            yield entry

    return filled(asked.work, snapshot.manifest.partition, registry, blocks(stored, with_room()), spool, _refuse)


def _refuse(_: Registry) -> None:
    raise _Unsuited


def _hand_over(link: socket.socket, digest: str, told: Filled, spool: Spool) -> None:
    rows = list(spool.handed())
    if len(rows) > MOST_PILES:
        raise _Unsuited
    made = pickle.dumps(_Made(digest, told, [row[:3] for row in rows]))
    link.sendall(_LENGTH.pack(len(made)) + made)
    if rows:
        socket.send_fds(link, [_LOOK], [file.fileno() for *_, file in rows])
