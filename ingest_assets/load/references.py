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
        mine, theirs = _type(at, one.table, one.name), _type(at, *one.target)
        if mine is None:
            continue
        if theirs is None:
            problems.append(f"{one.table}.{one.name}: {at.source}.{one.column.references} is not there yet")
            continue
        missing, examples = _missing(at, one, (mine, theirs))
        counts[f"{one.table}.{one.name}"] = missing
        if missing:
            such = f", such as {', '.join(examples)}" if examples else ""
            problems.append(
                f"{one.table}.{one.name}: {missing:,} rows refer to no row of {at.source}.{one.column.references}{such}"
            )
    told = {"rows without their reference": sum(counts.values()), **counts}
    nxt = ". The rows are kept. Next: fetch the other table, or look why the API names what it does not give"
    return Found("; ".join(problems) + nxt if problems else "", told, serious=False)


def _type(at: Looked, table: str, column: str) -> str | None:
    """The type of a column, None where it is not there; one that is not declared comes with its first value."""
    try:
        return at.types(table).get(column.lower())
    except duckdb.CatalogException:
        return None


def _missing(at: Looked, one: Reference, types: tuple[str, str]) -> tuple[int, list[str]]:
    """How many rows refer to nothing, and some of their values where these may be shown."""
    mine, theirs = (f"{quoted(at.source)}.{quoted(name)}" for name in (one.table, one.target[0]))
    column = f"t.{quoted(one.name)}"
    value, other = _comparable((column, f"o.{quoted(one.target[1])}"), types)
    query = f"FROM {mine} AS t WHERE {column} IS NOT NULL AND NOT EXISTS (FROM {theirs} AS o WHERE {other} = {value})"
    count = int(at.rows(f"SELECT count(*) {query}")[0][0])
    if not count or one.column.sensitive:
        return count, []
    rows = at.rows(f"SELECT DISTINCT CAST({column} AS VARCHAR) {query} ORDER BY 1 LIMIT {_SHOWN}")
    return count, [told for (told,) in rows]


def _comparable(columns: tuple[str, str], types: tuple[str, str]) -> tuple[str, str]:
    """SQL: the values of two columns of these types, made equal where they are the same value, and only there."""
    (mine, theirs), (kind, other) = columns, types
    if kind == other:
        return columns
    if _is_number(kind) and _is_number(other):
        cast = f"TRY_CAST({theirs} AS {kind})"
        return mine, f"CASE WHEN TRY_CAST({cast} AS {other}) = {theirs} THEN {cast} END"  # a cast may round
    mine, theirs = (f"({column} ->> '$')" if of == "JSON" else f"CAST({column} AS VARCHAR)"
                    for column, of in zip(columns, types, strict=True))  # fmt: skip
    if "UUID" in types:
        return f"TRY_CAST({mine} AS UUID)", f"TRY_CAST({theirs} AS UUID)"
    if _is_number(kind) or _is_number(other):
        return _shortest(mine), _shortest(theirs)
    return mine, theirs


def _is_number(kind: str) -> bool:
    return kind in ("BIGINT", "HUGEINT", "DOUBLE") or kind.startswith("DECIMAL")


def _shortest(text: str) -> str:
    """SQL: a text, without the zeros at its end that add nothing where it is a number: 1 of 1.0, and 1.5 of 1.50."""
    return f"regexp_replace({text}, '^(-?\\d+)(?:\\.0+|(\\.\\d*[1-9])0+)$', '\\1\\2')"
