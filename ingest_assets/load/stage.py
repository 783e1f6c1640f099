"""Stored pages into typed rows, in a staging database and outside the lock."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
from msgspec import Struct, field

from ingest_assets.load.filling import ASIDE, Filled, blocks, filled, normalizer, only_adds
from ingest_assets.load.meanwhile import Help
from ingest_assets.load.spool import MOST_PILES, Filed, Spool
from ingest_assets.load.staged import Staged, held
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.work import Work
from ingest_assets.normalize.normalize import Widened
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.records import StoredRecords
from ingest_assets.raw.snapshots import Snapshot

_ROOT = {"_row": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID", "_deleted": "BOOLEAN"}
_CHILD = {"_row": "BIGINT", "_position": "BIGINT", "_parent_row": "BIGINT", "_root_row": "BIGINT"}
_MOST_FILES = 4 * MOST_PILES  # that are open at once, of all fetches


class _Sheets(Struct):
    """The staged tables of one fetch, in a schema of their own; `columns` are those made so far, by table.

    Rows that are not in a table but in `files` of a spool, so many, are in `filed`: queries of them, by table.
    """

    connection: duckdb.DuckDBPyConnection
    snapshot: Snapshot
    filed: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    filled: set[str] = field(default_factory=set)
    files: int = 0

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
    second: Help | None = None,
) -> tuple[list[Staged], Registry]:
    """The rows of some fetches, each in schema `f<fetch>`; with the registry, wider where they brought new.

    `folder` takes what is too large for memory, for as long as `files` is not closed; a `second` process
    may have a hand in it.

    A type that has to change on the way starts all of them again with the wider registry: what was staged under the
    narrower one would differ from a rebuild.
    """
    while True:
        try:
            with contextlib.ExitStack() as opened:
                made, registry = _made(connection, work, snapshots, registry, folder, opened, second)
                files.push(opened.pop_all())
            break
        except Widened as wider:
            registry = wider.registry
    specs = held(registry.tables(work.endpoint, work.contract))
    return [_staged(sheet, told, specs) for sheet, told in made], registry


def _staged(sheet: _Sheets, told: Filled, specs: tuple[TableSpec, ...]) -> Staged:
    _ensure_all(sheet, specs)
    _show_files(sheet)
    manifest = sheet.snapshot.manifest
    forgotten = sum(len(entry.forgotten) for entry in sheet.snapshot.pages)
    since, until = (manifest.bounds.from_, manifest.bounds.until) if manifest.bounds else (None, None)
    return Staged(
        fetch=manifest.fetch,
        partition=manifest.partition,
        specs=specs,
        received=told.received + forgotten,
        quarantined=told.quarantined,
        filled=frozenset(sheet.filled),
        started=manifest.started,
        since=since,
        until=until,
        forgotten=forgotten,
        dropped=told.dropped,
        counts=told.counts,
        distinct=told.keys.distinct,
    )


def _made(
    connection: duckdb.DuckDBPyConnection,
    work: Work,
    snapshots: Sequence[Snapshot],
    registry: Registry,
    folder: Path,
    files: contextlib.ExitStack,
    second: Help | None,
) -> tuple[list[tuple[_Sheets, Filled]], Registry]:
    made, left = list[tuple[_Sheets, Filled]](), _MOST_FILES
    for snapshot in snapshots:
        sheet = _empty(connection, snapshot)
        told = None
        if second is not None:
            told = _taken_over(sheet, work, registry, second, files if left >= MOST_PILES else None)
            if told is not None and made and not only_adds(work, registry, told.registry):
                raise Widened(told.registry)  # the other process knows nothing of what is staged already
        if told is None:
            spool = files.enter_context(contextlib.closing(Spool(folder, keeps=left >= MOST_PILES)))
            told = _fill(sheet, work, registry, spool)
        label = f"{work.source}.{work.endpoint}: fetch {snapshot.fetch}"
        told.broken.refuse(label, told.received - told.tombstones)
        made.append((sheet, told))
        registry = told.registry
        left -= sheet.files
    return made, registry


def _empty(connection: duckdb.DuckDBPyConnection, snapshot: Snapshot) -> _Sheets:
    sheet = _Sheets(connection, snapshot)
    connection.execute(f"DROP SCHEMA IF EXISTS {quoted(sheet.schema)} CASCADE")
    connection.execute(f"CREATE SCHEMA {quoted(sheet.schema)}")
    connection.execute(
        f"CREATE TABLE {sheet.table(ASIDE)} "
        '(_page BIGINT, _position BIGINT, reason VARCHAR, "column" VARCHAR, value VARCHAR, record BLOB)'
    )
    return sheet


def _fill(sheet: _Sheets, work: Work, registry: Registry, spool: Spool) -> Filled:
    """Put a fetch's rows and its quarantined records into its tables."""
    stored = StoredRecords(sheet.snapshot, work.model.decoder, work.model.records)
    told = filled(
        work,
        normalizer(work, sheet.snapshot.manifest.partition, registry),
        blocks(stored, stored.pages()),
        spool,
        lambda known: _insert_all(sheet, work, known, spool.taken()),
    )
    if spool.on_disk and spool.keeps:
        _file_all(sheet, work, told.registry, spool.kept())
    else:
        _insert_all(sheet, work, told.registry, spool.taken())
    return told


def _taken_over(
    sheet: _Sheets, work: Work, registry: Registry, second: Help, files: contextlib.ExitStack | None
) -> Filled | None:
    """Take the rows in which a second process had a hand; None where they are not just what `_fill` makes.

    They stay in files until these are closed; without, they go into the tables.
    """
    with contextlib.ExitStack() as opened:
        found = second.taken(sheet.snapshot, registry, opened)
        if found is None:
            return None
        if files is None:
            pieces = ((table, names, piece) for table, names, filed in found.rows for piece in filed.pieces())
            _insert_all(sheet, work, found.told.registry, pieces)
        else:
            _file_all(sheet, work, found.told.registry, found.rows)
            files.push(opened.pop_all())
    return found.told


def _insert_all(sheet: _Sheets, work: Work, registry: Registry, rows: Iterable[tuple[str, Sequence[str], Any]]) -> None:
    types = _ensured(sheet, work, registry)
    for table, names, piece in rows:
        sheet.connection.register("arrived", piece)
        sheet.connection.execute(
            f"INSERT INTO {sheet.table(table)} BY NAME {_select(names, types.get(table, {}), 'arrived')}"
        )
        sheet.connection.unregister("arrived")
        sheet.filled.add(table)


def _file_all(sheet: _Sheets, work: Work, registry: Registry, rows: Iterable[tuple[str, Sequence[str], Filed]]) -> None:
    """Leave the rows in files of a spool, to be read from there."""
    types = _ensured(sheet, work, registry)
    for number, (table, names, filed) in enumerate(rows):
        file = f"rows {number} of {sheet.schema}"
        sheet.connection.register(file, filed)
        sheet.files += filed.count
        sheet.filed.setdefault(table, []).append(_select(names, types.get(table, {}), quoted(file)))
        sheet.filled.add(table)


def _ensured(sheet: _Sheets, work: Work, registry: Registry) -> dict[str, dict[str, str]]:
    """The types of columns by table and name; all of them are in the staged tables from now on."""
    specs = held(registry.tables(work.endpoint, work.contract))
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
    return f"CAST({column} AS {types[name]})" if types.get(name) in ("json", "hugeint", "uuid") else column


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
    lists = {child.list_hash or "": "UUID" for child in specs if child.parent == spec.name}
    return columns | _ROOT | lists
