"""Rows made by a second process while a walk goes on: where a core is free, a load has little left to do after it.

walk's process                                        second process (`second`)
    page stored ── "look" ─────────────────────────►  reads the index as it grows, each page as any load does
    walk ended  ── "ended" ────────────────────────►  reads half of the rest
    load        ◄── where that half ends ───────────
        makes rows of the other half
                ◄── what became of the records, and files of rows that have no name ──┘

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
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from ingest_assets.errors import Locked
from ingest_assets.load.filling import Filled, Unsuited, blocks, filled, normalizer, refuse
from ingest_assets.load.link import ENDED, LOOK, Asked, Made, Parted, files, received, send
from ingest_assets.load.spool import Filed, Spool
from ingest_assets.load.work import Work
from ingest_assets.locks import held
from ingest_assets.normalize.normalize import only_adds
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.normalize.rows import plan_for
from ingest_assets.normalize.shape import loses
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.records import EMPTY, OF, StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ingest_assets.process import Process; Process(); "
    "from ingest_assets.load.second import work; work(int(sys.argv[2]))"
)
_LEAD_BYTES = 8_000_000  # what the second process does until this one is ready to make rows, too
_FAR = 1 << 40  # more rows than a child table gets of the pages before


@dataclass(frozen=True)
class Taken:
    """What became of a fetch's records, and its rows as `Spool.kept` gives them."""

    told: Filled
    rows: Sequence[tuple[str, Sequence[str], Any]]


@dataclass(frozen=True)
class _Part:
    """What became of some pages' records; open files of rows, each with its table, names of columns, and schema."""

    told: Filled
    rows: Sequence[tuple[tuple[str, tuple[str, ...], pa.Schema], int]]


class Meanwhile:
    """A second process that makes rows of the pages of one fetch while it is walked; to be closed.

    A data folder has so many `places` for them, by default one fewer than there are cores: Locked where no more may
    begin. OSError where the system starts no process. `lead` as in `Asked`.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        work: Work,
        registry: Registry,
        staging: Path,
        locks: Path,
        places: int | None = None,
        lead: int = _LEAD_BYTES,
    ) -> None:
        self.fetch = snapshot.fetch
        self._work, self._registry, self._staging = work, registry, staging
        with contextlib.ExitStack() as opened:
            places = _cores() - 1 if places is None else places
            opened.enter_context(_place(locks, places, f"{work.source}.{work.endpoint}"))
            self._link, self.pid = _begun(opened)
            asked = Asked(work, snapshot.folder.absolute(), registry.to_json(), staging.absolute(), lead)
            with contextlib.suppress(OSError):  # it is gone: so `taken` gets nothing
                send(self._link, pickle.dumps(asked))
            self._opened = opened.pop_all()

    def look(self) -> None:
        """Say that there are more pages."""
        with contextlib.suppress(OSError):  # it has not read what it was told before, or is gone
            self._link.send(LOOK, socket.MSG_DONTWAIT)

    def taken(self, snapshot: Snapshot, registry: Registry, opened: contextlib.ExitStack) -> Taken | None:
        """What was made of a fetch that has ended, once; None where it is not just what a load makes.

        That is so for another fetch, another registry to begin with, pages that were changed since, and a process that
        failed. The files of rows are there until `opened` is closed. Raises Widened as `filled` does.
        """
        if snapshot.fetch != self.fetch or registry != self._registry or self._link.fileno() < 0:
            return None
        try:
            self._link.sendall(ENDED)
            parted: Parted = pickle.loads(received(self._link))  # noqa: S301 -- from a process of our own
            rest = _rest(self._work, snapshot, parted, self._staging, opened)
            made: Made = pickle.loads(received(self._link))  # noqa: S301 -- from a process of our own
            descriptors = files(self._link, len(made.tables))
        except (OSError, EOFError, Unsuited):
            return None
        finally:
            self.close()
        for descriptor in descriptors:
            opened.callback(os.close, descriptor)
        told = made.told if rest is None else _with_rest(self._work, made.told, rest.told, parted)
        if told is None or made.index != _digest(snapshot, parted.pages):
            return None
        gathered = dict[tuple[str, tuple[str, ...], pa.Schema], list[int]]()
        for rows, descriptor in [*zip(made.tables, descriptors, strict=True), *(rest.rows if rest else ())]:
            gathered.setdefault(rows, []).append(descriptor)
        return Taken(
            told,
            [
                (table, names, opened.enter_context(contextlib.closing(Filed(found, schema))))
                for (table, names, schema), found in gathered.items()
            ],
        )

    def close(self) -> None:
        """End the process, whatever it is at."""
        self._opened.close()


def _digest(snapshot: Snapshot, pages: int) -> str:
    with (snapshot.folder / INDEX).open("rb") as lines:
        return hashlib.sha256(b"".join(islice(lines, pages))).hexdigest()


def _rest(work: Work, snapshot: Snapshot, parted: Parted, staging: Path, opened: contextlib.ExitStack) -> _Part | None:
    """What becomes of the records of the pages that a second process leaves to this one; None where it leaves none."""
    entries = snapshot.pages[parted.pages :]
    if not entries:
        return None
    if any(OF in entry.note for entry in entries):
        raise Unsuited
    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    spool = opened.enter_context(contextlib.closing(Spool(staging, keeps=True)))
    placed = blocks(stored, (entry for entry in entries if EMPTY not in entry.note))
    maker = normalizer(work, snapshot.manifest.partition, Registry.from_json(parted.registry))
    maker.counts.update({spec.name: _FAR for spec in maker.specs})
    told = filled(work, maker, placed, spool, refuse)
    return _Part(told, [((table, names, schema), file.fileno()) for table, names, schema, file in spool.handed()])


def _with_rest(work: Work, first: Filled, rest: Filled, parted: Parted) -> Filled | None:
    """What became of all records; None where these would be other rows, had they been made one after the other.

    So it is where both found names, which depend on those known before, and where a type is another one after all.
    """
    known = Registry.from_json(parted.registry)
    one, other = first.registry, rest.registry
    if _tables(work, one) == _tables(work, known):
        one, other = other, one
    both = one.joined(other)
    if _tables(work, other) != _tables(work, known) or _tables(work, both) != _tables(work, one):
        return None
    if not _only_adds(work, known, both) or loses(known.shape, both.shape):
        return None
    return first.with_rest(rest, both)


def _tables(work: Work, registry: Registry) -> tuple[TableSpec, ...]:
    return registry.tables(work.endpoint, work.contract)


def _only_adds(work: Work, before: Registry, after: Registry) -> bool:
    return only_adds(*(plan_for(work.endpoint, work.contract, known, {}) for known in (before, after)))


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
