"""Stored pages into typed rows, in a staging database and outside the lock."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import pyarrow as pa

from ingest_assets.contract import Contract
from ingest_assets.load.merge import Staged, rank
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.normalize import Batch, Normalizer, Quarantined, Widened
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.raw.snapshots import Snapshot
from ingest_assets.source import Endpoint

_ROOT = {"_row": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID", "_deleted": "BOOLEAN"}


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


def stage(
    connection: duckdb.DuckDBPyConnection, work: Work, snapshots: Sequence[Snapshot], registry: Registry
) -> tuple[list[Staged], Registry]:
    """The rows of some fetches, ranked, each in schema `f<fetch>`; with the registry, wider where they brought new.

    A type that has to change on the way starts all of them again with the wider registry: what was staged under the
    narrower one would differ from a rebuild.
    """
    while True:
        try:
            counts, registry = _rows_of_all(connection, work, snapshots, registry)
            break
        except Widened as wider:
            registry = wider.registry
    specs = _held(registry.tables(work.endpoint, work.contract))
    staged = [
        Staged(s.manifest.fetch, s.manifest.partition, specs, *count)
        for s, count in zip(snapshots, counts, strict=True)
    ]
    for one in staged:
        _ensure_all(connection, f"f{one.fetch}", specs)
        rank(connection, one, work.contract)
    return staged, registry


def _rows_of_all(
    connection: duckdb.DuckDBPyConnection, work: Work, snapshots: Sequence[Snapshot], registry: Registry
) -> tuple[list[tuple[int, int]], Registry]:
    counts = []
    for snapshot in snapshots:
        count, registry = _rows_of(connection, work, snapshot, registry)
        counts.append(count)
    return counts, registry


def _rows_of(
    connection: duckdb.DuckDBPyConnection, work: Work, snapshot: Snapshot, registry: Registry
) -> tuple[tuple[int, int], Registry]:
    """How many records were received and how many quarantined; their rows are in the fetch's schema."""
    schema = f"f{snapshot.manifest.fetch}"
    connection.execute(f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE")
    connection.execute(f"CREATE SCHEMA {quoted(schema)}")
    connection.execute(
        f"CREATE TABLE {quoted(schema)}._quarantine "
        '(_page BIGINT, _position BIGINT, reason VARCHAR, "column" VARCHAR, value VARCHAR, record BLOB)'
    )
    normalizer = Normalizer(work.endpoint, work.contract, registry)
    received = quarantined = 0
    for batch in _batches(work, snapshot, normalizer):
        specs = _held(normalizer.specs)
        _ensure_all(connection, schema, specs)
        for spec in specs:
            if spec.name in batch.tables:
                _append(connection, schema, spec, batch.tables[spec.name])
        _set_aside(connection, schema, batch.quarantined)
        received += batch.received
        quarantined += len(batch.quarantined)
    return (received, quarantined), normalizer.registry


def _batches(work: Work, snapshot: Snapshot, normalizer: Normalizer) -> Iterator[Batch]:
    for entry in snapshot.pages:
        with snapshot.body(entry) as body:
            for block in work.model.decoder.decode(body, work.model.records):
                yield normalizer.batch(block, entry.number)


def _set_aside(connection: duckdb.DuckDBPyConnection, schema: str, records: Sequence[Quarantined]) -> None:
    if not records:
        return
    texts = ("reason", "column", "value")
    columns = {"_page": pa.array([r.page for r in records]), "_position": pa.array([r.position for r in records])}
    columns |= {name: pa.array([getattr(r, name) for r in records], pa.string()) for name in texts}
    connection.register("arrived", pa.table(columns | {"record": pa.array([r.record for r in records], pa.binary())}))
    connection.execute(f"INSERT INTO {quoted(schema)}._quarantine BY NAME FROM arrived")
    connection.unregister("arrived")


def _append(connection: duckdb.DuckDBPyConnection, schema: str, spec: TableSpec, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    types = {column.name: column.type for column in spec.columns}
    names = rows.column_names
    # Numbered, since DuckDB finds Arrow columns by name without regard to case.
    connection.register("arrived", rows.rename_columns([f"c{number}" for number in range(len(names))]))
    select = ", ".join(f"{_cast(f'c{number}', name, types)} AS {quoted(name)}" for number, name in enumerate(names))
    connection.execute(f"INSERT INTO {quoted(schema)}.{quoted(spec.name)} BY NAME SELECT {select} FROM arrived")
    connection.unregister("arrived")


def _cast(column: str, name: str, types: dict[str, str]) -> str:
    if name == "_hash":
        return f"CAST({column} AS UUID)"
    return f"CAST({column} AS {types[name]})" if types.get(name) in ("json", "hugeint", "uuid") else column


def _held(specs: Sequence[TableSpec]) -> tuple[TableSpec, ...]:
    """The tables without columns that held only null so far: these may still become anything, also several columns."""
    return tuple(replace(spec, columns=tuple(c for c in spec.columns if not c.empty)) for spec in specs)


def _ensure_all(connection: duckdb.DuckDBPyConnection, schema: str, specs: Sequence[TableSpec]) -> None:
    """Make the staged tables have the columns of the specs; what is there keeps its type."""
    rows = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = ? AND database_name = current_database()",
        [schema],
    ).fetchall()
    for spec in specs:
        present = {column for table, column in rows if table == spec.name}
        wanted = _columns(spec, specs)
        name = f"{quoted(schema)}.{quoted(spec.name)}"
        if not present:
            connection.execute(f"CREATE TABLE {name} ({', '.join(f'{quoted(n)} {t}' for n, t in wanted.items())})")
        else:
            for column in wanted.keys() - present:
                connection.execute(f"ALTER TABLE {name} ADD COLUMN {quoted(column)} {wanted[column]}")


def _columns(spec: TableSpec, specs: Sequence[TableSpec]) -> dict[str, str]:
    columns = {column.name: column.type.upper() for column in spec.columns}
    if spec.parent is not None:
        return columns | {"_row": "BIGINT", "_position": "BIGINT", "_parent_row": "BIGINT", "_root_row": "BIGINT"}
    lists = {child.present or "": "BOOLEAN DEFAULT false" for child in specs if child.parent == spec.name}
    return columns | _ROOT | lists
