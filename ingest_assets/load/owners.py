"""Whose rows a warehouse holds: of which origin and account each source's are."""

from urllib.parse import urlsplit

import duckdb

from ingest_assets.errors import ConfigError


def identify(connection: duckdb.DuckDBPyConnection, source: str, origin: str, account: str) -> tuple[str, str]:
    """Remember whose rows these are; returns origin and account as they are remembered.

    The port of a loopback address is left out: it is handed out by chance. ConfigError where the warehouse holds rows
    of another origin or account.
    """
    if (urlsplit(origin).hostname or "") in ("127.0.0.1", "::1", "localhost"):
        origin = "loopback"
    known = connection.execute("SELECT origin, account FROM w._ingest.sources WHERE source = ?", [source]).fetchone()
    if known is None:
        connection.execute("INSERT INTO w._ingest.sources VALUES (?, ?, ?)", [source, origin, account])
    elif known != (origin, account):
        raise ConfigError(
            f"source {source!r}: this warehouse holds rows of {_whose(*known)}, and its file now leads to "
            f"{_whose(origin, account)}. Give the other account a source of its own (like: {source}), use another "
            f"data folder, or say `ingest accept {source}` where both are the same account"
        )
    return origin, account


def remember(connection: duckdb.DuckDBPyConnection, source: str, origin: str, account: str) -> None:
    """Whose rows a source's are, as noted beside the snapshots; what this warehouse knows of it stays."""
    connection.execute(
        "INSERT INTO w._ingest.sources SELECT $1, $2, $3 WHERE NOT EXISTS (FROM w._ingest.sources WHERE source = $1)",
        [source, origin, account],
    )


def accept(connection: duckdb.DuckDBPyConnection, source: str) -> None:
    """Forget whose rows a source's are: the next fetch says it anew."""
    connection.execute("DELETE FROM w._ingest.sources WHERE source = ?", [source])


def _whose(origin: str, account: str) -> str:
    return f"{origin} (account {account})" if account else origin
