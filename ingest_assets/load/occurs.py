"""In which tables and columns a value is: where a person who is to be forgotten may stand too."""

from collections.abc import Iterator, Sequence
from itertools import groupby

import duckdb
from msgspec import Struct

from ingest_assets.load.warehouse import quoted

QUARANTINE = "(quarantine)"


class Occurrence(Struct, frozen=True):
    """A column in which a value occurs, and in how many rows; of json, as a whole text in it."""

    table: str
    column: str
    rows: int


def occurrences(connection: duckdb.DuckDBPyConnection, values: Sequence[str]) -> list[Occurrence]:
    """Where one of these values occurs, in tables and in quarantine; `connection` is to the reader's copy."""
    columns = connection.execute(
        "SELECT schema_name, table_name, column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = 'warehouse' AND schema_name <> '_ingest' AND NOT starts_with(column_name, '_') "
        "ORDER BY schema_name, table_name, column_index"
    ).fetchall()
    found: list[Occurrence] = []
    for (schema, table), group in groupby(columns, key=lambda row: (row[0], row[1])):
        named = [(column, kind) for _, _, column, kind in group]
        found += _of(connection, schema, table, named, values)
    aside = connection.execute(
        "SELECT source || '.' || endpoint, count(*) FROM _ingest.quarantine "
        "WHERE list_bool_or([contains(CAST(record AS VARCHAR), v) FOR v IN $1]) GROUP BY 1 ORDER BY 1",
        [list(values)],
    ).fetchall()
    return [*found, *(Occurrence(table, QUARANTINE, rows) for table, rows in aside)]


def _of(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    table: str,
    columns: Sequence[tuple[str, str]],
    values: Sequence[str],
) -> Iterator[Occurrence]:
    counts = ", ".join(f"count(*) FILTER ({_holds(column, kind)})" for column, kind in columns)
    row = connection.execute(
        f"SELECT {counts} FROM {quoted(schema)}.{quoted(table)}", [list(values), [f'"{v}"' for v in values]]
    ).fetchone()
    for (column, _), rows in zip(columns, row or (), strict=False):
        if rows:
            yield Occurrence(f"{schema}.{table}", column, rows)


def _holds(column: str, kind: str) -> str:
    name = quoted(column)
    if kind == "JSON":
        return f"list_bool_or([contains(CAST({name} AS VARCHAR), v) FOR v IN $2]) AND $1 IS NOT NULL"
    return f"list_contains($1, CAST({name} AS VARCHAR)) AND $2 IS NOT NULL"
