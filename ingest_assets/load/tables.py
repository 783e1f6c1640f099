"""The columns a table has, and what it takes to give it others.

A target is the set of tables of one endpoint, in the warehouse or in a database where they are built anew:

    <schema>.<endpoint>            rows:        columns of the contract, then _id _fetch _page _position _hash
    <schema>.<endpoint>__<list>    child rows:  columns of the contract, then _id _parent _fetch _page _position _hash
    <versions>                     newest version of each key, where `newest_by` orders them (tombstones included)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec

_ROOT_COLUMNS = {"_id": "UUID", "_fetch": "BIGINT", "_page": "BIGINT", "_position": "BIGINT", "_hash": "UUID"}
_CHILD_COLUMNS = {"_id": "UUID", "_parent": "UUID", **{k: v for k, v in _ROOT_COLUMNS.items() if k != "_id"}}

# Of these changes DuckDB's own ALTER gives just what a rebuild would; any other change is a rebuild.
_EXACT = {
    ("BIGINT", "HUGEINT"),
    ("BIGINT", "DOUBLE"),
    ("BIGINT", "DECIMAL"),
    ("HUGEINT", "DECIMAL"),
    ("DECIMAL", "DECIMAL"),
}


@dataclass(frozen=True)
class Target:
    """Where the tables of one endpoint are: `database`, its `schema`, and the full name of the versions table."""

    database: str
    schema: str
    versions: str

    def table(self, name: str) -> str:
        """The full name of a table."""
        return f"{quoted(self.database)}.{quoted(self.schema)}.{quoted(name)}"


def in_warehouse(source: str, endpoint: str) -> Target:
    """The tables of an endpoint in the warehouse attached as `w`."""
    return Target("w", source, f"w._ingest.{quoted(f'versions:{source}.{endpoint}')}")


def prepare(
    connection: duckdb.DuckDBPyConnection, target: Target, specs: Sequence[TableSpec], newest_type: str | None
) -> None:
    """Make the target's tables have the columns of `specs`; the change must not need a rebuild."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(target.database)}.{quoted(target.schema)}")
    for spec in specs:
        present = _columns(connection, target, spec.name)
        if not present:
            connection.execute(f"CREATE TABLE {target.table(spec.name)} ({_definition(spec)})")
            continue
        for column in spec.columns:
            wanted = column.type.upper()
            if column.name not in present:
                connection.execute(f"ALTER TABLE {target.table(spec.name)} ADD COLUMN {quoted(column.name)} {wanted}")
            elif present[column.name] != wanted:
                connection.execute(f"ALTER TABLE {target.table(spec.name)} ALTER {quoted(column.name)} TYPE {wanted}")
    if newest_type is not None:
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {target.versions} "
            f"(_id UUID, part VARCHAR, newest {newest_type}, _fetch BIGINT, _page BIGINT, _position BIGINT, deleted BOOLEAN)"
        )


def needs_rebuild(
    connection: duckdb.DuckDBPyConnection, target: Target, specs: Sequence[TableSpec], key: Sequence[str]
) -> bool:
    """Whether the columns of `specs` can't be given to the target's tables in place, with what a rebuild would give."""
    if set(_tables(connection, target, specs[0].name)) - {spec.name for spec in specs}:
        return True
    return any(_changes(connection, target, spec, key) for spec in specs)


def _changes(connection: duckdb.DuckDBPyConnection, target: Target, spec: TableSpec, key: Sequence[str]) -> bool:
    present = _columns(connection, target, spec.name)
    wanted = {column.name: column.type.upper() for column in spec.columns}
    system = _ROOT_COLUMNS if spec.parent is None else _CHILD_COLUMNS
    if any(name not in wanted and name not in system for name in present):
        return True
    changed = [(n, present[n], kind) for n, kind in wanted.items() if present.get(n, kind) != kind]
    return any(
        name in key or not _alters(connection, target, spec.name, *change) for change in changed for name in change[:1]
    )


def cited(connection: duckdb.DuckDBPyConnection, target: Target, specs: Sequence[TableSpec]) -> set[int]:
    """The fetches that rows of the target cite."""
    there = set(_tables(connection, target, specs[0].name))
    found: set[int] = set()
    for name in there:
        rows = connection.execute(f"SELECT DISTINCT _fetch FROM {target.table(name)}").fetchall()
        found |= {row[0] for row in rows}
    return found


def drop(connection: duckdb.DuckDBPyConnection, target: Target, root: str) -> None:
    """Drop the tables of an endpoint."""
    for name in _tables(connection, target, root):
        connection.execute(f"DROP TABLE {target.table(name)}")
    connection.execute(f"DROP TABLE IF EXISTS {target.versions}")


def _alters(
    connection: duckdb.DuckDBPyConnection, target: Target, table: str, column: str, former: str, wanted: str
) -> bool:
    if (former.split("(", maxsplit=1)[0], wanted.split("(", maxsplit=1)[0]) in _EXACT:
        return True
    held = connection.execute(f"SELECT count({quoted(column)}) FROM {target.table(table)}").fetchone()
    return held == (0,)


def _tables(connection: duckdb.DuckDBPyConnection, target: Target, root: str) -> list[str]:
    rows = connection.execute(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = ? AND schema_name = ? "
        "AND (table_name = ? OR starts_with(table_name, ?))",
        [target.database, target.schema, root, f"{root}__"],
    ).fetchall()
    return [row[0] for row in rows]


def _columns(connection: duckdb.DuckDBPyConnection, target: Target, table: str) -> dict[str, str]:
    rows = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [target.database, target.schema, table],
    ).fetchall()
    aliases = {"TIMESTAMP WITH TIME ZONE": "TIMESTAMPTZ"}
    return {name: aliases.get(kind, kind) for name, kind in rows}


def _definition(spec: TableSpec) -> str:
    columns = {column.name: column.type.upper() for column in spec.columns}
    columns |= _ROOT_COLUMNS if spec.parent is None else _CHILD_COLUMNS
    return ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
