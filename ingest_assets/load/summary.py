"""What the warehouse says of a load: its account, its tables, and five rows to look at."""

from collections.abc import Sequence
from typing import Any

import duckdb
from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.load import drift, ledger
from ingest_assets.load.tables import in_warehouse, present
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import ColumnSpec, Registry, TableSpec

_PREVIEW_ROWS = 5
_LONGEST_VALUE = 80


class Summary(Struct, frozen=True):
    """A load as people are shown it. `rows` counts by table, parents first; `preview` leaves out what is sensitive.

    `columns` are those that the table has; `drift` is what the fetch brought that the table did not know.
    """

    fetch: ledger.Fetch
    account: dict[str, Any]
    columns: tuple[ColumnSpec, ...]
    rows: dict[str, int]
    preview: tuple[dict[str, str], ...]
    drift: tuple[str, ...] = ()


def summaries(
    connection: duckdb.DuckDBPyConnection, fetches: Sequence[ledger.Fetch], contract: Contract
) -> dict[int, Summary]:
    """What is known of loaded fetches of one endpoint, by number; `connection` has the warehouse attached as `w`."""
    if not fetches:
        return {}
    source, endpoint = fetches[0].source, fetches[0].endpoint
    told = ledger.registry(connection, source, endpoint)
    registry = Registry.from_json(told[2]) if told else Registry.empty()
    specs, target = registry.tables(endpoint, contract), in_warehouse(source, endpoint)
    there = present(connection, target, [spec.name for spec in specs])  # the file may name more since the last load
    columns = tuple(column for column in specs[0].columns if column.name in there.get(endpoint, ()))
    rows = {spec.name: _count(connection, target.table(spec.name)) for spec in specs if spec.name in there}
    # Under another layout a column may hold what is sensitive and had another name.
    shown = [c.name for c in columns if not _holds_sensitive(c, specs)] if told and told[1] == contract.layout else []
    accounts = _accounts(connection, [fetch.fetch for fetch in fetches])
    return {
        fetch.fetch: Summary(
            fetch,
            accounts[fetch.fetch],
            columns,
            rows,
            _preview(connection, target.table(endpoint), shown, fetch.fetch),
            drift.of_fetch(connection, fetch.fetch, specs),
        )
        for fetch in fetches
    }


def _holds_sensitive(column: ColumnSpec, specs: Sequence[TableSpec]) -> bool:
    """Whether a column of the first table is sensitive, or is json around what is."""
    hidden = [(*spec.path, *one.path) for spec in specs for one in spec.columns if one.sensitive]
    return column.sensitive or any(path[: len(column.path)] == column.path for path in hidden)


def _accounts(connection: duckdb.DuckDBPyConnection, fetches: list[int]) -> dict[int, dict[str, Any]]:
    found = connection.execute("SELECT * FROM w._ingest.fetches WHERE list_contains(?, _fetch)", [fetches])
    names = [column[0] for column in found.description or ()]
    rows = (dict(zip(names, row, strict=True)) for row in found.fetchall())
    return {row["_fetch"]: row for row in rows}


def _count(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
    return int(row[0]) if row else 0


def _preview(
    connection: duckdb.DuckDBPyConnection, table: str, columns: list[str], fetch: int
) -> tuple[dict[str, str], ...]:
    """Five rows that the fetch brought, or of the table where it brought none."""
    chosen = ", ".join(f"left(CAST({quoted(name)} AS VARCHAR), {_LONGEST_VALUE}) AS {quoted(name)}" for name in columns)
    if not chosen:
        return ()
    for place in (f"WHERE _fetch = {fetch}", ""):
        found = connection.execute(f"SELECT {chosen} FROM {table} {place} LIMIT {_PREVIEW_ROWS}").fetchall()
        if found:
            return tuple(dict(zip(columns, row, strict=True)) for row in found)
    return ()
