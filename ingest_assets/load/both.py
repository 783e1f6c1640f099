"""The rows of a fetch that two processes made, each of some of its pages; those of this process are made here."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
from msgspec import Struct

from ingest_assets.load.filling import Filled, blocks, filled, normalizer, only_adds, refuse
from ingest_assets.load.link import Knows, Made
from ingest_assets.load.shares import Share
from ingest_assets.load.spool import Filed, Spool
from ingest_assets.load.troubles import Unsuited
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.index import FILE as INDEX
from ingest_assets.raw.index import IndexEntry
from ingest_assets.raw.records import EMPTY, OF, StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_FAR = 1 << 32  # more rows than a table gets of the pages before, and far fewer than lie between fetches (`together`)


class Taken(Struct, frozen=True):
    """What became of a fetch's records, and its rows as `Spool.kept` gives them."""

    told: Filled
    rows: Sequence[tuple[str, Sequence[str], Filed]]


class Part(Struct, frozen=True):
    """What became of the records of some pages; files of rows, each with its table, names of columns, and schema."""

    told: Filled
    rows: Sequence[tuple[tuple[str, tuple[str, ...], pa.Schema], int]]
    shares: Sequence[Share]


def own(
    work: Work, snapshot: Snapshot, known: Knows, shares: Iterable[Share], staging: Path, opened: contextlib.ExitStack
) -> Part | None:
    """What becomes of the records of the shares that this process takes; None where it takes none."""
    took = list[Share]()

    def entries() -> Iterator[IndexEntry]:
        for first, until in shares:
            took.append((first, until))
            for entry in snapshot.pages[first:until]:
                if OF in entry.note:
                    raise Unsuited
                if EMPTY not in entry.note:
                    yield entry

    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    spool = opened.enter_context(contextlib.closing(Spool(staging, keeps=True)))
    maker = normalizer(work, snapshot.manifest.partition, Registry.from_json(known.registry))
    maker.counts.update({spec.name: _FAR for spec in maker.specs})
    told = filled(work, maker, blocks(stored, entries()), spool, refuse)
    rows = [((table, names, schema), file.fileno()) for table, names, schema, file in spool.handed()]
    return Part(told, rows, took) if took else None


def others(snapshot: Snapshot, made: Made, descriptors: Sequence[int], opened: contextlib.ExitStack) -> Part:
    """What another process made; Unsuited where that is of other lines than the index has."""
    for descriptor in descriptors:
        opened.callback(os.close, descriptor)
    with (snapshot.folder / INDEX).open("rb") as file:
        lines = file.readlines()
    read = b"".join(line for first, until in made.shares for line in lines[first:until])
    if made.index != hashlib.sha256(read).hexdigest():
        raise Unsuited
    return Part(made.told, list(zip(made.tables, descriptors, strict=True)), made.shares)


def together(
    work: Work, pages: int, theirs: Part, mine: Part | None, known: Knows | Made, opened: contextlib.ExitStack
) -> Taken:
    """What became of the records of so many pages; Unsuited where not all were taken.

    So it is, too, where these would be other rows, had they been made one after the other.
    """
    told, rows, shares = theirs.told, list(theirs.rows), list(theirs.shares)
    if mine is not None and isinstance(known, Knows):
        told = _with_rest(work, told, mine.told, Registry.from_json(known.registry))
        rows += mine.rows
        shares += mine.shares
    if sum(until - first for first, until in shares) != pages:
        raise Unsuited
    gathered = dict[tuple[str, tuple[str, ...], pa.Schema], list[int]]()
    for of, descriptor in rows:
        gathered.setdefault(of, []).append(descriptor)
    return Taken(
        told,
        [
            (table, names, opened.enter_context(contextlib.closing(Filed(found, schema))))
            for (table, names, schema), found in gathered.items()
        ],
    )


def _with_rest(work: Work, first: Filled, rest: Filled, known: Registry) -> Filled:
    """What became of all records. Names depend on those known before, so both may not find some; nor change a type."""
    one, other = first.registry, rest.registry
    if _tables(work, one) == _tables(work, known):
        one, other = other, one
    both = one.joined(other)
    if _tables(work, other) != _tables(work, known) or _tables(work, both) != _tables(work, one):
        raise Unsuited
    if not only_adds(work, known, both):
        raise Unsuited
    return first.with_rest(rest, both)


def _tables(work: Work, registry: Registry) -> tuple[TableSpec, ...]:
    return registry.tables(work.endpoint, work.contract)
