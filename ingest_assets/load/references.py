"""Rows whose value is none of the column that it refers to: told with counts and examples, and never taken out."""

from collections.abc import Iterator

import duckdb
from msgspec import Struct

from ingest_assets.column import Column
from ingest_assets.load.looked import Found, Looked
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.names import table_name
from ingest_assets.source import Endpoint

_SHOWN = 3


class Reference(Struct, frozen=True):
    """A column of a table of the endpoint, and the table and column of the same source that it refers to."""

    table: str
    name: str
    column: Column

    @property
    def target(self) -> tuple[str, str]:
        """Table and column."""
        table, _, column = (self.column.references or "").partition(".")
        return table, column


def references_of(endpoint: Endpoint, name: str) -> Iterator[Reference]:
    """All references that the file declares, of the table and of its lists."""
    tables = {"": endpoint.columns, **{path: table.columns for path, table in endpoint.children.items()}}
    for dotted, columns in tables.items():
        for column, declared in columns.items():
            if declared.references is not None:
                yield Reference(table_name(name, tuple(dotted.split(".")) if dotted else ()), column, declared)


def references(at: Looked) -> Found:
    """Each value is one of the column that it refers to."""
    at.types()  # raises where not even the table is there
    problems, counts = [], {}
    for one in references_of(at.endpoint, at.name):
        if not _has(at, one.table, one.name):
            continue
        if not _has(at, *one.target):
            problems.append(f"{one.table}.{one.name}: {at.source}.{one.column.references} is not there yet")
            continue
        missing, examples = _missing(at, one)
        counts[f"{one.table}.{one.name}"] = missing
        if missing:
            such = f", such as {', '.join(examples)}" if examples else ""
            problems.append(
                f"{one.table}.{one.name}: {missing:,} rows refer to no row of {at.source}.{one.column.references}{such}"
            )
    told = {"rows without their reference": sum(counts.values()), **counts}
    nxt = ". The rows are kept. Next: fetch the other table, or look why the API names what it does not give"
    return Found("; ".join(problems) + nxt if problems else "", told, serious=False)


def _has(at: Looked, table: str, column: str) -> bool:
    """Whether a table has a column; it gets one that is not declared with its first value."""
    try:
        return column.lower() in at.types(table)
    except duckdb.CatalogException:
        return False


def _missing(at: Looked, one: Reference) -> tuple[int, list[str]]:
    """How many rows refer to nothing, and some of their values where these may be shown."""
    table, column = (f"{quoted(at.source)}.{quoted(name)}" for name in (one.table, one.target[0])), quoted(one.name)
    mine, theirs = table
    query = (
        f"FROM {mine} AS t WHERE t.{column} IS NOT NULL AND CAST(t.{column} AS VARCHAR) NOT IN "
        f"(SELECT CAST(o.{quoted(one.target[1])} AS VARCHAR) FROM {theirs} AS o "
        f"WHERE o.{quoted(one.target[1])} IS NOT NULL)"
    )
    count = int(at.rows(f"SELECT count(*) {query}")[0][0])
    if not count or one.column.sensitive:
        return count, []
    rows = at.rows(f"SELECT DISTINCT CAST(t.{column} AS VARCHAR) {query} ORDER BY 1 LIMIT {_SHOWN}")
    return count, [value for (value,) in rows]
