"""What an endpoint's table lists: accounts that others are partitioned by, and parents whose children others hold."""

from collections.abc import Collection, Mapping
from typing import Any

import duckdb

from ingest_assets.errors import ConfigError, ContractBroken
from ingest_assets.load.warehouse import quoted
from ingest_assets.partitions import NO_KEY_PART, Listed, is_key_part
from ingest_assets.source import Above, Endpoint, Source
from ingest_assets.source.parents import Scalar

_TEXTS = ("VARCHAR", "JSON")


def values(connection: duckdb.DuckDBPyConnection, source: str, told: Listed, *, database: str = "w") -> list[str]:
    """The values that a table lists now, in order; none where the table is not there yet, or no row ever came.

    ConfigError where the table has no such column, ContractBroken where a value cannot be part of a partition's key.
    """
    columns = _columns(connection, source, told.endpoint, database)
    if not columns:
        return []
    if told.field not in columns:
        if _is_empty(connection, source, told.endpoint, database):
            return []
        raise ConfigError(
            f"{source}.{told.endpoint}: its table has no column {told.field!r} to list; it has {_known(columns)}"
        )
    value, table = _as_text(columns, told.field), f"{quoted(database)}.{quoted(source)}.{quoted(told.endpoint)}"
    found = connection.execute(
        f"SELECT DISTINCT {value} FROM {table} WHERE {value} IS NOT NULL AND {_stands(columns)} ORDER BY 1"
    ).fetchall()
    listed = [value for (value,) in found]
    if wrong := [value for value in listed if not is_key_part(value)]:
        raise ContractBroken(
            f"{source}.{told.endpoint}: {len(wrong)} values of column {told.field!r} are to be partitions, and each "
            f"{NO_KEY_PART}. Name another field, such as an id"
        )
    return listed


def parents(
    connection: duckdb.DuckDBPyConnection, source: Source, name: str, by: Mapping[str, str], *, database: str = "w"
) -> list[dict[str, str]]:
    """The columns that an endpoint needs of each of its parents, as texts, in order of what its request names.

    `by` are the values of its partition's dimensions: only parents of the same are given, where they have them too.
    A parent without a value that the request names is left out. ConfigError where the table, or a column of it, is not
    there.
    """
    endpoint = source.endpoints[name]
    parent, label = endpoint.parent or "", f"{source.name}.{name}"
    columns = _columns(connection, source.name, parent, database)
    if not columns:
        raise ConfigError(
            f"{label}: its parents are listed by {source.name}.{parent}, which is not loaded yet. "
            f"Next: ingest run {source.name}.{parent}"
        )
    if unknown := [field for field in (*endpoint.parent_fields, *endpoint.parents.where) if field not in columns]:
        if _is_empty(connection, source.name, parent, database):
            return []
        raise ConfigError(
            f"{label}: the table of its parents, {source.name}.{parent}, has no column {unknown[0]!r}; it has "
            f"{_known(columns)}"
        )
    conditions, bound = _conditions(source.endpoints[parent], endpoint, by, columns)
    key = ", ".join(_as_text(columns, field) for field in endpoint.parent_key)
    told = ", ".join(f"{_as_text(columns, field)} AS {quoted(field)}" for field in endpoint.parent_fields)
    found = connection.execute(
        f"SELECT DISTINCT ON ({key}) {told} FROM {quoted(database)}.{quoted(source.name)}.{quoted(parent)} "
        f"WHERE {' AND '.join(conditions)} ORDER BY ALL",
        bound,
    ).fetchall()
    rows = (zip(endpoint.parent_fields, row, strict=True) for row in found)
    return [{field: value for field, value in row if value is not None} for row in rows]


def _conditions(
    parent: Endpoint, endpoint: Endpoint, by: Mapping[str, str], columns: Mapping[str, str]
) -> tuple[list[str], list[Any]]:
    """Which rows of the parent's table are asked for, as SQL, and its values."""
    conditions, bound = [_stands(columns)], list[Any]()
    conditions += [f"{_as_text(columns, field)} IS NOT NULL" for field in endpoint.parent_key]
    for column, wanted in endpoint.parents.where.items():
        if isinstance(wanted, Above):
            number = f"TRY_CAST({_as_text(columns, column)} AS DOUBLE)"
            conditions.append(f"{number if columns[column] in _TEXTS else quoted(column)} > ?")
            bound.append(wanted.above)
        else:
            conditions.append(f"list_contains(?, {_as_text(columns, column)})")
            bound.append([_text(one) for one in (wanted if isinstance(wanted, tuple) else (wanted,))])
    for name, told in parent.columns.items():
        if told.from_partition is not None and told.from_partition in by:
            conditions.append(f"CAST({quoted(name)} AS VARCHAR) = ?")
            bound.append(by[told.from_partition])
    return conditions, bound


def _as_text(columns: Mapping[str, str], name: str) -> str:
    """SQL: a column as text; of one that holds texts and numbers, a text without its quotes."""
    return f"({quoted(name)} ->> '$')" if columns[name] == "JSON" else f"CAST({quoted(name)} AS VARCHAR)"


def _stands(columns: Collection[str]) -> str:
    """SQL: a row is not one of a key that is gone, nor a version of before; these stay in some tables."""
    if "_key" in columns:  # of a history: no column of a record begins with _
        return "current"
    return "_deleted IS NULL" if "_deleted" in columns else "true"


def _text(value: Scalar) -> str:
    """A value as DuckDB writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _columns(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, database: str) -> dict[str, str]:
    """The columns of a table with their types; none where it is not there yet."""
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() "
        "WHERE database_name = ? AND schema_name = ? AND table_name = ?",
        [database, source, endpoint],
    )
    return dict(found.fetchall())


def _is_empty(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, database: str) -> bool:
    """Whether a table has no row: where none ever came, it has no columns but those that the file declares either."""
    table = f"{quoted(database)}.{quoted(source)}.{quoted(endpoint)}"
    return connection.execute(f"FROM {table} LIMIT 1").fetchone() is None


def _known(columns: Collection[str]) -> str:
    return ", ".join(name for name in columns if not name.startswith("_"))
