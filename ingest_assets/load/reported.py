"""Which loads each Dagster instance has been told of, and which of them were undone since."""

from collections.abc import Iterable, Mapping
from datetime import datetime

import duckdb

from ingest_assets.load.ledger import Fetch, fetch_columns, fetch_of

_UNTOLD = (
    "FROM w._ingest.fetches AS f LEFT JOIN w._ingest.reported AS r ON r._fetch = f._fetch AND r.instance = ? "
    "WHERE f.source = ? AND f.endpoint = ? AND f.loaded IS NOT NULL AND r.loaded IS DISTINCT FROM f.loaded"
)


def report(connection: duckdb.DuckDBPyConnection, loads: Mapping[int, datetime], instance: str) -> None:
    """Remember that a Dagster instance has been told of these loads, each a fetch and the time it was loaded."""
    told = [list(loads), list(loads.values())]
    connection.execute(
        "DELETE FROM w._ingest.reported WHERE instance = ? AND list_contains(?, _fetch)", [instance, told[0]]
    )
    connection.execute("INSERT INTO w._ingest.reported SELECT ?, unnest(?), unnest(?)", [instance, *told])


def unreported(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> list[Fetch]:
    """Loads that a Dagster instance has not been told of, in order."""
    query = f"SELECT {fetch_columns('f.')} {_UNTOLD} ORDER BY f._fetch"
    return [fetch_of(row) for row in connection.execute(query, [instance, source, endpoint]).fetchall()]


def is_untold(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> bool:
    """Whether there is a load that a Dagster instance has not been told of."""
    return connection.execute(f"SELECT 1 {_UNTOLD} LIMIT 1", [instance, source, endpoint]).fetchone() is not None


def untold_undone(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> list[Fetch]:
    """Undone fetches that a Dagster instance still takes for loaded, in order."""
    rows = connection.execute(
        f"SELECT {fetch_columns('f.')} FROM w._ingest.fetches AS f JOIN w._ingest.reported AS r USING (_fetch) "
        "WHERE f.source = ? AND f.endpoint = ? AND r.instance = ? AND f.verdict = 'given_up' ORDER BY f._fetch",
        [source, endpoint, instance],
    ).fetchall()
    return [fetch_of(row) for row in rows]


def told_undone(connection: duckdb.DuckDBPyConnection, fetches: Iterable[int], instance: str) -> None:
    """Remember that a Dagster instance has been told that these fetches are undone."""
    connection.execute(
        "DELETE FROM w._ingest.reported WHERE instance = ? AND list_contains(?, _fetch)", [instance, list(fetches)]
    )
