"""What an endpoint's table lists: the accounts, shops or repositories by which other endpoints are partitioned."""

import duckdb

from ingest_assets.errors import ConfigError, ContractBroken
from ingest_assets.load.warehouse import quoted
from ingest_assets.partitions import NO_KEY_PART, Listed, is_key_part


def values(connection: duckdb.DuckDBPyConnection, source: str, told: Listed, *, database: str = "w") -> list[str]:
    """The values that a table lists now, in order; none where the table is not there yet.

    ConfigError where the table has no such column, ContractBroken where a value cannot be part of a partition's key.
    """
    columns = [
        name
        for (name,) in connection.execute(
            "SELECT column_name FROM duckdb_columns() WHERE database_name = ? AND schema_name = ? AND table_name = ?",
            [database, source, told.endpoint],
        ).fetchall()
    ]
    if not columns:
        return []
    if told.field not in columns:
        known = ", ".join(name for name in columns if not name.startswith("_"))
        raise ConfigError(f"{source}.{told.endpoint}: its table has no column {told.field!r} to list; it has {known}")
    column, table = quoted(told.field), f"{quoted(database)}.{quoted(source)}.{quoted(told.endpoint)}"
    found = connection.execute(
        f"SELECT DISTINCT CAST({column} AS VARCHAR) FROM {table} WHERE {column} IS NOT NULL ORDER BY 1"
    ).fetchall()
    listed = [value for (value,) in found]
    if wrong := [value for value in listed if not is_key_part(value)]:
        raise ContractBroken(
            f"{source}.{told.endpoint}: {len(wrong)} values of column {told.field!r} are to be partitions, and each "
            f"{NO_KEY_PART}. Name another field, such as an id"
        )
    return listed
