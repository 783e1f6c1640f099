"""The stored pages of a fetch into rows in a spool, with what there is to say of its records; no database yet."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct, field

from ingest_assets.http.decoders import Block
from ingest_assets.load.broken import Broken
from ingest_assets.load.keys import Keys
from ingest_assets.load.spool import Spool
from ingest_assets.load.troubles import Unsuited
from ingest_assets.load.work import Work
from ingest_assets.normalize import normalize
from ingest_assets.normalize.collecting import keep_freed_memory
from ingest_assets.normalize.normalize import Batch, Normalizer, Quarantined
from ingest_assets.normalize.registry import Registry
from ingest_assets.normalize.rows import plan_for
from ingest_assets.normalize.shape import loses
from ingest_assets.normalize.together import Placed, batches
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import IndexEntry

ASIDE = "_quarantine"
"""The table of records that did not fit."""


class Filled(Struct):
    """What became of a fetch's records: `registry` knows all that they needed, `counts` are values by column.

    `keys` may know that none came twice.
    """

    registry: Registry
    received: int = 0
    quarantined: int = 0
    dropped: int = 0
    tombstones: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: Broken = field(default_factory=Broken)
    keys: Keys = field(default_factory=Keys)

    def with_rest(self, rest: "Filled", registry: Registry) -> "Filled":
        """The same of these other records, too."""
        return Filled(
            registry,
            self.received + rest.received,
            self.quarantined + rest.quarantined,
            self.dropped + rest.dropped,
            self.tombstones + rest.tombstones,
            self.counts + rest.counts,
            self.broken.with_rest(rest.broken),
            self.keys.with_rest(rest.keys),
        )


def normalizer(work: Work, partition: str | None, registry: Registry) -> Normalizer:
    """What makes rows of a partition's records."""
    return Normalizer(work.endpoint, work.contract, registry, work.model.told(partition))


def only_adds(work: Work, before: Registry, after: Registry) -> bool:
    """Whether rows made under a registry are the same under a later one, but for columns and tables that are new."""
    plans = (plan_for(work.endpoint, work.contract, known, {}) for known in (before, after))
    return normalize.only_adds(*plans) and not loses(before.shape, after.shape)


def filled(
    work: Work,
    normalizer: Normalizer,
    blocks: Iterable[Placed],
    spool: Spool,
    relieve: Callable[[Registry], None],
) -> Filled:
    """Put the rows of these blocks into the spool, and the records that did not fit; `relieve` empties a full one.

    Raises Widened where a type has to change on the way.
    """
    keep_freed_memory()
    told = Filled(normalizer.registry, keys=Keys(work.contract.primary_key))
    for batch in batches(normalizer, blocks):
        for name, rows in batch.tables.items():
            spool.add(name, rows)
        if batch.quarantined:
            spool.add(ASIDE, _aside(batch.quarantined))
        _count(told, work, batch)
        told.registry = normalizer.registry
        if spool.is_full:
            relieve(told.registry)
    told.registry = normalizer.registry
    return told


def refuse(_: Registry) -> None:
    """What to do about a full spool where nothing can be: raise Unsuited."""
    raise Unsuited


def _count(told: Filled, work: Work, batch: Batch) -> None:
    told.received += batch.received
    told.quarantined += len(batch.quarantined)
    told.dropped += batch.dropped
    if (root := batch.tables.get(work.endpoint)) is not None:
        told.counts.update(_values(root))
        told.keys.note(root)
        if work.contract.deleted is not None:
            told.tombstones += pc.sum(root.column("_deleted")).as_py() or 0
    told.broken.note(batch.quarantined)


def _values(rows: pa.Table) -> dict[str, int]:
    """How many values each column has, but for those of the system."""
    names = [name for name in rows.column_names if not name.startswith("_")]
    return {name: rows.num_rows - rows.column(name).null_count for name in names}


def _aside(records: Sequence[Quarantined]) -> pa.Table:
    texts = ("reason", "column", "value")
    columns = {"_page": pa.array([r.page for r in records]), "_position": pa.array([r.position for r in records])}
    columns |= {name: pa.array([getattr(r, name) for r in records], pa.string()) for name in texts}
    return pa.table(columns | {"record": pa.array([r.record for r in records], pa.binary())})


def blocks(stored: StoredRecords, entries: Iterable[IndexEntry]) -> Iterator[Placed]:
    """The records of these pages, less the marks of forgotten ones, block by block."""
    for entry in entries:
        for block in stored.blocks(entry):
            for rest in _without(block, entry.forgotten):
                yield Placed(rest, entry.number, entry.note.get("parent", {}))


def _without(block: Block, forgotten: Sequence[int]) -> Iterator[Block]:
    """The block, less the marks of forgotten records; all others keep their positions."""
    gone = {place - block.first for place in forgotten}
    if gone.isdisjoint(range(block.count)):
        yield block
        return
    records = [(place, bytes(text)) for place, text in enumerate(block.records())]
    for kept, run in groupby(records, key=lambda record: record[0] not in gone):
        if kept:
            places, texts = zip(*run, strict=True)
            flaws = {place - places[0]: block.flaws[place] for place in places if place in block.flaws}
            yield Block.of(texts, lines=block.lines, first=block.first + places[0], flaws=flaws)
