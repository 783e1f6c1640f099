"""Stored pages into typed rows, in a staging database and outside the lock."""

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ingest_assets.contract import Contract
from ingest_assets.http.decoders import Block
from ingest_assets.load.broken import Broken
from ingest_assets.load.spool import MOST_PILES, Spool
from ingest_assets.load.staged import Staged, rank
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize import Batch, Normalizer, Placed, Quarantined, Registry, TableSpec, Widened, batches
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Endpoint

_ROOT = {"_row": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID", "_deleted": "BOOLEAN"}
_ASIDE = "_quarantine"
_CHILD = {"_row": "BIGINT", "_position": "BIGINT", "_parent_row": "BIGINT", "_root_row": "BIGINT"}
_MOST_FILES = 4 * MOST_PILES  # that are open at once, of all fetches


@dataclass(frozen=True)
class Work:
    """An endpoint to load: its source's name, its own, and what its file says of it."""

    source: str
    endpoint: str
    model: Endpoint

    @property
    def contract(self) -> Contract:
        """What the table promises."""
        return self.model.contract


@dataclass
class _Sheets:
    """The staged tables of one fetch, in a schema of their own; `columns` are those made so far, by table.

    Rows that are not in a table but in files of the spool are in `filed`: queries of them, by table.
    """

    connection: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    filed: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    received: int = 0
    quarantined: int = 0
    forgotten: int = 0
    dropped: int = 0
    tombstones: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: Broken = field(default_factory=Broken)

    @property
    def schema(self) -> str:
        return f"f{self.snapshot.manifest.fetch}"

    def table(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"


def stage(
    connection: duckdb.DuckDBPyConnection,
    work: Work,
    snapshots: Sequence[Snapshot],
    registry: Registry,
    folder: Path,
    files: contextlib.ExitStack,
) -> tuple[list[Staged], Registry]:
    """The rows of some fetches, ranked, each in schema `f<fetch>`; with the registry, wider where they brought new.

    `folder` takes what is too large for memory, for as long as `files` is not closed.

    A type that has to change on the way starts all of them again with the wider registry: what was staged under the
    narrower one would differ from a rebuild.
    """
    while True:
        try:
            with contextlib.ExitStack() as opened:
                sheets, registry = _filled(connection, work, snapshots, registry, folder, opened)
                files.push(opened.pop_all())
            break
        except Widened as wider:
            registry = wider.registry
    specs = _held(registry.tables(work.endpoint, work.contract))
    staged = []
    for sheet in sheets:
        _ensure_all(sheet, specs)
        _show_files(sheet)
        told = sheet.snapshot.manifest
        tables = frozenset(sheet.filled)
        since, until = (told.bounds.from_, told.bounds.until) if told.bounds else (None, None)
        one = Staged(
            told.fetch,
            told.partition,
            specs,
            sheet.received,
            sheet.quarantined,
            tables,
            told.started,
            until,
            sheet.forgotten,
            since,
            sheet.dropped,
            sheet.counts,
        )
        rank(connection, one, work.contract)
        staged.append(one)
    return staged, registry


def _filled(
    connection: duckdb.DuckDBPyConnection,
    work: Work,
    snapshots: Sequence[Snapshot],
    registry: Registry,
    folder: Path,
    files: contextlib.ExitStack,
) -> tuple[list[_Sheets], Registry]:
    sheets, left = [_Sheets(connection, snapshot) for snapshot in snapshots], _MOST_FILES
    for sheet in sheets:
        spool = files.enter_context(contextlib.closing(Spool(folder, keeps=left >= MOST_PILES)))
        registry = _fill(sheet, work, registry, spool)
        left -= sum(map(len, sheet.filed.values()))
    return sheets, registry


def _fill(sheet: _Sheets, work: Work, registry: Registry, spool: Spool) -> Registry:
    """Put a fetch's rows and its quarantined records into its tables; gives the registry that knows them."""
    connection, schema = sheet.connection, quoted(sheet.schema)
    connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
    connection.execute(f"CREATE SCHEMA {schema}")
    connection.execute(
        f"CREATE TABLE {schema}.{_ASIDE} "
        '(_page BIGINT, _position BIGINT, reason VARCHAR, "column" VARCHAR, value VARCHAR, record BLOB)'
    )
    normalizer = Normalizer(work.endpoint, work.contract, registry, work.model.told(sheet.snapshot.manifest.partition))
    for batch in batches(normalizer, _blocks(work, sheet.snapshot)):
        for name, rows in batch.tables.items():
            spool.add(name, rows)
        if batch.quarantined:
            spool.add(_ASIDE, _aside(batch.quarantined))
        sheet.received += batch.received
        sheet.quarantined += len(batch.quarantined)
        sheet.dropped += batch.dropped
        if (root := batch.tables.get(normalizer.specs[0].name)) is not None:
            sheet.counts.update(_counts(root))
        sheet.tombstones += _tombstones(work, batch)
        sheet.broken.note(batch.quarantined)
        if spool.is_full:
            _insert_all(sheet, normalizer, spool)
    if spool.on_disk and spool.keeps:
        _file_all(sheet, normalizer, spool)
    else:
        _insert_all(sheet, normalizer, spool)
    sheet.forgotten = sum(len(entry.forgotten) for entry in sheet.snapshot.pages)
    sheet.broken.refuse(
        f"{work.source}.{work.endpoint}: fetch {sheet.snapshot.fetch}", sheet.received - sheet.tombstones
    )
    sheet.received += sheet.forgotten
    return normalizer.registry


def _counts(rows: pa.Table) -> dict[str, int]:
    """How many values each column has, but for those of the system."""
    names = [name for name in rows.column_names if not name.startswith("_")]
    return {name: rows.num_rows - rows.column(name).null_count for name in names}


def _tombstones(work: Work, batch: Batch) -> int:
    there = work.contract.deleted is not None and batch.received > len(batch.quarantined)
    return pc.sum(batch.tables[work.endpoint].column("_deleted")).as_py() or 0 if there else 0


def _blocks(work: Work, snapshot: Snapshot) -> Iterator[Placed]:
    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    for entry in stored.pages():
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
            yield Block(b"[" + b",".join(texts) + b"]", lines=False, first=block.first + places[0], count=len(texts))


def _aside(records: Sequence[Quarantined]) -> pa.Table:
    texts = ("reason", "column", "value")
    columns = {"_page": pa.array([r.page for r in records]), "_position": pa.array([r.position for r in records])}
    columns |= {name: pa.array([getattr(r, name) for r in records], pa.string()) for name in texts}
    return pa.table(columns | {"record": pa.array([r.record for r in records], pa.binary())})


def _insert_all(sheet: _Sheets, normalizer: Normalizer, spool: Spool) -> None:
    types = _ensured(sheet, normalizer)
    for table, names, rows in spool.taken():
        sheet.connection.register("arrived", rows)
        sheet.connection.execute(
            f"INSERT INTO {sheet.table(table)} BY NAME {_select(names, types.get(table, {}), 'arrived')}"
        )
        sheet.connection.unregister("arrived")
        sheet.filled.add(table)


def _file_all(sheet: _Sheets, normalizer: Normalizer, spool: Spool) -> None:
    """Leave the rows in the spool's files, to be read from there."""
    types = _ensured(sheet, normalizer)
    for number, (table, names, rows) in enumerate(spool.kept()):
        file = f"rows {number} of {sheet.schema}"
        sheet.connection.register(file, rows)
        sheet.filed.setdefault(table, []).append(_select(names, types.get(table, {}), quoted(file)))
        sheet.filled.add(table)


def _ensured(sheet: _Sheets, normalizer: Normalizer) -> dict[str, dict[str, str]]:
    """The types of columns by table and name; all of them are in the staged tables from now on."""
    specs = _held(normalizer.specs)
    _ensure_all(sheet, specs)
    return {spec.name: {column.name: column.type for column in spec.columns} for spec in specs}


def _select(names: Sequence[str], types: Mapping[str, str], source: str) -> str:
    columns = ", ".join(f"{_cast(f'c{number}', name, types)} AS {quoted(name)}" for number, name in enumerate(names))
    return f"SELECT {columns} FROM {source}"


def _show_files(sheet: _Sheets) -> None:
    """Views in place of the staged tables whose rows are in files, too."""
    for table, queries in sheet.filed.items():
        inserted = f"inserted into {table}"
        sheet.connection.execute(f"ALTER TABLE {sheet.table(table)} RENAME TO {quoted(inserted)}")
        union = " UNION ALL BY NAME ".join([f"SELECT * FROM {sheet.table(inserted)}", *queries])
        sheet.connection.execute(f"CREATE VIEW {sheet.table(table)} AS {union}")


def _cast(column: str, name: str, types: Mapping[str, str]) -> str:
    if name == "_hash":
        return f"CAST({column} AS UUID)"
    return f"CAST({column} AS {types[name]})" if types.get(name) in ("json", "hugeint", "uuid") else column


def _held(specs: Sequence[TableSpec]) -> tuple[TableSpec, ...]:
    """The tables without columns that held only null so far: these may still become anything, also several columns."""
    return tuple(replace(spec, columns=tuple(c for c in spec.columns if not c.empty)) for spec in specs)


def _ensure_all(sheet: _Sheets, specs: Sequence[TableSpec]) -> None:
    """Make the staged tables have the columns of the specs; what is there keeps its type."""
    for spec in specs:
        wanted, name = _columns(spec, specs), sheet.table(spec.name)
        there = sheet.columns.setdefault(spec.name, {})
        if not there:
            definition = ", ".join(f"{quoted(column)} {kind}" for column, kind in wanted.items())
            sheet.connection.execute(f"CREATE TABLE {name} ({definition})")
        else:
            for column in wanted.keys() - there.keys():
                sheet.connection.execute(f"ALTER TABLE {name} ADD COLUMN {quoted(column)} {wanted[column]}")
        there.update(wanted)


def _columns(spec: TableSpec, specs: Sequence[TableSpec]) -> dict[str, str]:
    columns = {column.name: column.type.upper() for column in spec.columns}
    if spec.parent is not None:
        return columns | _CHILD
    lists = {child.present or "": "BOOLEAN DEFAULT false" for child in specs if child.parent == spec.name}
    return columns | _ROOT | lists
