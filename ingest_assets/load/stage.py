"""Stored pages into typed rows, in a staging database and outside the lock."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path

import duckdb
import pyarrow as pa

from ingest_assets.contract import Contract
from ingest_assets.http.decoders import Block
from ingest_assets.load.merge import Staged, rank
from ingest_assets.load.spool import Spool
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.normalize import Batch, Normalizer, Quarantined, Widened
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Endpoint

_ROOT = {"_row": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID", "_deleted": "BOOLEAN"}
_ASIDE = "_quarantine"
_CHILD = {"_row": "BIGINT", "_position": "BIGINT", "_parent_row": "BIGINT", "_root_row": "BIGINT"}


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
    """The staged tables of one fetch, in a schema of their own; `columns` are those made so far, by table."""

    connection: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    received: int = 0
    quarantined: int = 0
    forgotten: int = 0

    @property
    def schema(self) -> str:
        return f"f{self.snapshot.manifest.fetch}"

    def table(self, name: str) -> str:
        return f"{quoted(self.schema)}.{quoted(name)}"


def stage(
    connection: duckdb.DuckDBPyConnection, work: Work, snapshots: Sequence[Snapshot], registry: Registry, folder: Path
) -> tuple[list[Staged], Registry]:
    """The rows of some fetches, ranked, each in schema `f<fetch>`; with the registry, wider where they brought new.

    `folder` takes what is too large for memory on the way.

    A type that has to change on the way starts all of them again with the wider registry: what was staged under the
    narrower one would differ from a rebuild.
    """
    while True:
        try:
            sheets, registry = _filled(connection, work, snapshots, registry, folder)
            break
        except Widened as wider:
            registry = wider.registry
    specs = _held(registry.tables(work.endpoint, work.contract))
    staged = []
    for sheet in sheets:
        _ensure_all(sheet, specs)
        told = sheet.snapshot.manifest
        tables = frozenset(sheet.filled)
        since, until = (told.bounds.from_, told.bounds.until) if told.bounds else (None, None)
        one = Staged(
            told.fetch, told.partition, specs, sheet.received, sheet.quarantined, tables, until, sheet.forgotten, since
        )
        rank(connection, one, work.contract)
        staged.append(one)
    return staged, registry


def _filled(
    connection: duckdb.DuckDBPyConnection, work: Work, snapshots: Sequence[Snapshot], registry: Registry, folder: Path
) -> tuple[list[_Sheets], Registry]:
    sheets = [_Sheets(connection, snapshot) for snapshot in snapshots]
    for sheet in sheets:
        with contextlib.closing(Spool(folder)) as spool:
            registry = _fill(sheet, work, registry, spool)
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
    for batch in _batches(work, sheet.snapshot, normalizer):
        for name, rows in batch.tables.items():
            spool.add(name, rows)
        if batch.quarantined:
            spool.add(_ASIDE, _aside(batch.quarantined))
        sheet.received += batch.received
        sheet.quarantined += len(batch.quarantined)
        if spool.is_full:
            _insert_all(sheet, normalizer, spool)
    _insert_all(sheet, normalizer, spool)
    sheet.forgotten = sum(len(entry.forgotten) for entry in sheet.snapshot.pages)
    sheet.received += sheet.forgotten
    return normalizer.registry


def _batches(work: Work, snapshot: Snapshot, normalizer: Normalizer) -> Iterator[Batch]:
    stored = StoredRecords(snapshot, work.model.decoder, work.model.records)
    for entry in stored.pages():
        normalizer.of_page(entry.note.get("parent", {}))
        for block in stored.blocks(entry):
            for rest in _without(block, entry.forgotten):
                yield normalizer.batch(rest, entry.number)


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
    specs = _held(normalizer.specs)
    _ensure_all(sheet, specs)
    types = {spec.name: {column.name: column.type for column in spec.columns} for spec in specs}
    for table, names, rows in spool.taken():
        sheet.connection.register("arrived", rows)
        columns = ", ".join(
            f"{_cast(f'c{number}', name, types.get(table, {}))} AS {quoted(name)}" for number, name in enumerate(names)
        )
        sheet.connection.execute(f"INSERT INTO {sheet.table(table)} BY NAME SELECT {columns} FROM arrived")
        sheet.connection.unregister("arrived")
        sheet.filled.add(table)


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
