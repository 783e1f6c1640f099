"""The `_ingest` schema: what is loaded, in the same transaction as the rows.

    _ingest.meta         the format of this schema
    _ingest.sources      which origin and account each source's rows come from
    _ingest.fetches      each fetch: its number, bounds, verdict, traffic and account
    _ingest.registries   names and shapes seen, by endpoint: with the contract, what decides a table's columns
    _ingest.quarantine   records that did not fit, with reason and place
    _ingest.reported     which loads each Dagster instance has been told of
    _ingest.failures     tries that failed since their partition was last loaded

All functions take a connection on which the warehouse is attached as `w`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import duckdb

from ingest_assets.errors import ConfigError, StorageFailed
from ingest_assets.raw.snapshots import Manifest

FORMAT = 4
_TRAFFIC = ("requests", "retries", "bytes_received", "limit_wait_seconds", "retry_wait_seconds")
_LOADED = ("loaded", "loaded_run", "contract", "load_seconds")
FATES = ("inserted", "updated", "unchanged", "outdated", "deleted", "quarantined", "duplicates", "filtered")

_DDL = f"""
CREATE SCHEMA IF NOT EXISTS w._ingest;
CREATE TABLE IF NOT EXISTS w._ingest.meta (format INTEGER NOT NULL);
INSERT INTO w._ingest.meta SELECT {FORMAT} WHERE NOT EXISTS (FROM w._ingest.meta);
CREATE TABLE IF NOT EXISTS w._ingest.sources (
    source VARCHAR NOT NULL, origin VARCHAR NOT NULL, account VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS w._ingest.fetches (
    _fetch BIGINT NOT NULL, source VARCHAR NOT NULL, endpoint VARCHAR NOT NULL, partition VARCHAR,
    from_time TIMESTAMPTZ, until_time TIMESTAMPTZ, started TIMESTAMPTZ NOT NULL, run VARCHAR,
    ended TIMESTAMPTZ, verdict VARCHAR, reason VARCHAR, position JSON, expected BIGINT,
    pages BIGINT, records BIGINT, bytes BIGINT, requests BIGINT, retries BIGINT, bytes_received BIGINT,
    limit_wait_seconds DOUBLE, retry_wait_seconds DOUBLE,
    loaded TIMESTAMPTZ, loaded_run VARCHAR, contract VARCHAR, load_seconds DOUBLE,
    received BIGINT, {", ".join(f"{fate} BIGINT" for fate in FATES)}, removed BIGINT, child_rows BIGINT,
    expected_is VARCHAR
);
CREATE TABLE IF NOT EXISTS w._ingest.registries (
    source VARCHAR NOT NULL, endpoint VARCHAR NOT NULL, version BIGINT NOT NULL, layout VARCHAR NOT NULL,
    registry VARCHAR NOT NULL
);
CREATE TABLE IF NOT EXISTS w._ingest.quarantine (
    _fetch BIGINT NOT NULL, _page BIGINT NOT NULL, _position BIGINT NOT NULL, source VARCHAR NOT NULL,
    endpoint VARCHAR NOT NULL, partition VARCHAR, reason VARCHAR NOT NULL, "column" VARCHAR, value VARCHAR,
    record BLOB NOT NULL, closed_by BIGINT
);
CREATE TABLE IF NOT EXISTS w._ingest.reported (
    instance VARCHAR NOT NULL, _fetch BIGINT NOT NULL, loaded TIMESTAMPTZ NOT NULL
);
CREATE TABLE IF NOT EXISTS w._ingest.failures (
    source VARCHAR NOT NULL, endpoint VARCHAR NOT NULL, partition VARCHAR, failed TIMESTAMPTZ NOT NULL,
    run VARCHAR, problem VARCHAR NOT NULL, stops BOOLEAN NOT NULL, until TIMESTAMPTZ, everywhere BOOLEAN
);
"""
# What makes a format the next one; tables that are missing then are made as in a new warehouse.
_UPGRADES = {
    1: "DROP TABLE w._ingest.reported",  # it did not say which instance was told: each looks for itself
    # There was no other kind than exactly.
    2: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS expected_is VARCHAR",
    3: "ALTER TABLE IF EXISTS w._ingest.failures ADD COLUMN IF NOT EXISTS until TIMESTAMPTZ; "
    "ALTER TABLE IF EXISTS w._ingest.failures ADD COLUMN IF NOT EXISTS everywhere BOOLEAN",
}


@dataclass(frozen=True)
class Fetch:
    """A row of `_ingest.fetches`, but for its account."""

    fetch: int
    source: str
    endpoint: str
    partition: str | None
    from_time: datetime | None
    until_time: datetime | None
    started: datetime
    run: str | None
    ended: datetime | None
    verdict: str | None
    reason: str | None
    position: str | None
    loaded: datetime | None
    loaded_run: str | None
    contract: str | None

    @property
    def told_position(self) -> Any:
        """Where a feed goes on after it, None where it said nothing."""
        return None if self.position is None else json.loads(self.position)


@dataclass(frozen=True)
class Failure:
    """A try that failed after its partition was last loaded whole; `stops` where it was no matter of one partition.

    `until` is when the API may be asked again, where it named a time; `everywhere` where that is so for all endpoints.
    """

    partition: str | None
    failed: datetime
    problem: str
    stops: bool
    until: datetime | None = None
    everywhere: bool = False


@dataclass(frozen=True)
class Known:
    """What is known of an endpoint: its fetches in their order, and the tries that failed.

    `untold` where a Dagster instance does not know of all loads; `members` are the values of dimensions that another
    endpoint lists.
    """

    fetches: tuple[Fetch, ...] = ()
    failures: tuple[Failure, ...] = ()
    untold: bool = False
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)


_FETCH_COLUMNS = ", ".join("_fetch" if field.name == "fetch" else field.name for field in fields(Fetch))


def begun(connection: duckdb.DuckDBPyConnection) -> None:
    """Begin a transaction; make the schema where it is missing. StorageFailed where it is of another format."""
    connection.execute("BEGIN")
    try:
        told = connection.execute("SELECT format FROM w._ingest.meta").fetchone()
    except duckdb.CatalogException:
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        _make(connection)
        return
    if told is not None and told[0] in _UPGRADES:
        _upgrade(connection, told[0])
    elif told is None or told[0] != FORMAT:
        raise StorageFailed(
            f"the warehouse is of format {told and told[0]}, this version reads and writes format {FORMAT}; "
            "run the version that wrote it; or move the warehouse away and build it again: ingest rebuild"
        )


def _make(connection: duckdb.DuckDBPyConnection) -> None:
    for statement in filter(str.strip, _DDL.split(";\n")):
        connection.execute(statement)


def _upgrade(connection: duckdb.DuckDBPyConnection, former: int) -> None:
    for number in range(former, FORMAT):
        connection.execute(_UPGRADES[number])
    _make(connection)
    connection.execute("UPDATE w._ingest.meta SET format = ?", [FORMAT])


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


def begin(
    connection: duckdb.DuckDBPyConnection,
    key: tuple[str, str, str | None],
    bounds: tuple[datetime, datetime] | None,
    run: str,
    now: datetime,
    above: int,
) -> tuple[int, datetime]:
    """Number and start time of a new fetch of (source, endpoint, partition); the number is greater than `above`.

    The start time never goes back within an endpoint, whatever the clock does. Earlier fetches of the partition
    that never ended are given up here: the partition's lock is held by who asks.
    """
    source, endpoint, partition = key
    connection.execute(
        "UPDATE w._ingest.fetches SET ended = ?, verdict = 'given_up', reason = 'another fetch began' "
        "WHERE source = ? AND endpoint = ? AND partition IS NOT DISTINCT FROM ? AND ended IS NULL",
        [now, source, endpoint, partition],
    )
    last = connection.execute(
        "SELECT max(_fetch), max(started) FILTER (source = ? AND endpoint = ?) FROM w._ingest.fetches",
        [source, endpoint],
    ).fetchone()
    number, latest = last if last is not None else (None, None)
    started = max(now, latest + timedelta(microseconds=1)) if latest else now
    fetch = max(number or 0, above) + 1
    _insert(connection, fetch, key, bounds or (None, None), started, run)
    return fetch, started


def ended(connection: duckdb.DuckDBPyConnection, manifest: Manifest, **more: Any) -> None:
    """Write down how a walk ended, as its snapshot tells, and `more` columns of it.

    Also of a fetch that this warehouse has not numbered. An end that is written down already stays.
    """
    there = connection.execute("SELECT ended FROM w._ingest.fetches WHERE _fetch = ?", [manifest.fetch]).fetchone()
    if there is None:
        _number(connection, manifest)
    end = manifest.ended
    if end is not None and (there is None or there[0] is None):
        told = {"ended": end.at, "verdict": end.verdict, "reason": end.reason, "position": json.dumps(end.position)}
        counts = {"expected": end.expected, "pages": end.pages, "records": end.records, "bytes": end.bytes}
        more |= (
            {"expected_is": None if end.expected is None else end.expected_is}
            | told
            | counts
            | {name: end.traffic.get(name) for name in _TRAFFIC}
        )
    if more:
        update(connection, manifest.fetch, more)


def stored(connection: duckdb.DuckDBPyConnection, manifests: Iterable[Manifest]) -> None:
    """Write down those of these stored fetches that this warehouse does not know, and how they ended."""
    known = {number for (number,) in connection.execute("SELECT _fetch FROM w._ingest.fetches").fetchall()}
    newer: dict[tuple[str, str, str | None], Manifest] = {}
    for manifest in sorted(manifests, key=lambda manifest: manifest.fetch, reverse=True):
        key = (manifest.source, manifest.endpoint, manifest.partition)
        if manifest.fetch not in known:
            ended(connection, manifest)
            if manifest.ended is None and key in newer:
                update(connection, manifest.fetch, _given_up(newer[key].started))
        newer[key] = manifest


def _given_up(at: datetime) -> dict[str, Any]:
    return {"ended": at, "verdict": "given_up", "reason": "another fetch began"}


def _number(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> None:
    key = (manifest.source, manifest.endpoint, manifest.partition)
    bounds = (manifest.bounds.from_, manifest.bounds.until) if manifest.bounds else (None, None)
    _insert(connection, manifest.fetch, key, bounds, manifest.started, manifest.run)


def _insert(
    connection: duckdb.DuckDBPyConnection,
    fetch: int,
    key: tuple[str, str, str | None],
    bounds: tuple[datetime | None, datetime | None],
    started: datetime,
    run: str | None,
) -> None:
    connection.execute(
        "INSERT INTO w._ingest.fetches (_fetch, source, endpoint, partition, from_time, until_time, started, run) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [fetch, *key, *bounds, started, run],
    )


def quarantine(
    connection: duckdb.DuckDBPyConnection, fetch: int, key: tuple[str, str, str | None], staged: str | None
) -> None:
    """Put a fetch's staged quarantine, if it has any, in place of that of an earlier load of it."""
    connection.execute("DELETE FROM w._ingest.quarantine WHERE _fetch = ?", [fetch])
    if staged is not None:
        connection.execute(
            "INSERT INTO w._ingest.quarantine "
            f'SELECT ?, _page, _position, ?, ?, ?, reason, "column", value, record, NULL FROM {staged}',
            [fetch, *key],
        )


def close_quarantine(connection: duckdb.DuckDBPyConnection, fetch: int, key: tuple[str, str, str | None]) -> None:
    """Close the open entries of the partition's earlier fetches: this one told their records anew."""
    connection.execute(
        "UPDATE w._ingest.quarantine SET closed_by = ? WHERE _fetch < ? AND closed_by IS NULL "
        "AND source = ? AND endpoint = ? AND partition IS NOT DISTINCT FROM ?",
        [fetch, fetch, *key],
    )


def undone(connection: duckdb.DuckDBPyConnection, fetches: Sequence[int], now: datetime) -> None:
    """Write down that these loaded fetches are undone: they count as if they had never come.

    That Dagster was told of them stays, until it is told of this too: see `untold_undone`.
    """
    empty = "".join(f", {name} = NULL" for name in (*_LOADED, "received", *FATES, "removed", "child_rows"))
    for fetch in fetches:
        connection.execute(
            "UPDATE w._ingest.fetches SET verdict = 'given_up', position = NULL, "
            f"reason = 'undone ' || strftime(?, '%Y-%m-%d %H:%M UTC'){empty} WHERE _fetch = ?",
            [now, fetch],
        )
        connection.execute("DELETE FROM w._ingest.quarantine WHERE _fetch = ?", [fetch])


def untold_undone(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> list[Fetch]:
    """Undone fetches that a Dagster instance still takes for loaded, in order."""
    columns = ", ".join(f"f.{name}" for name in _FETCH_COLUMNS.split(", "))
    rows = connection.execute(
        f"SELECT {columns} FROM w._ingest.fetches AS f JOIN w._ingest.reported AS r USING (_fetch) "
        "WHERE f.source = ? AND f.endpoint = ? AND r.instance = ? AND f.verdict = 'given_up' ORDER BY f._fetch",
        [source, endpoint, instance],
    ).fetchall()
    return [Fetch(*row) for row in rows]


def told_undone(connection: duckdb.DuckDBPyConnection, fetches: Iterable[int], instance: str) -> None:
    """Remember that a Dagster instance has been told that these fetches are undone."""
    connection.execute(
        "DELETE FROM w._ingest.reported WHERE instance = ? AND list_contains(?, _fetch)", [instance, list(fetches)]
    )


def update(connection: duckdb.DuckDBPyConnection, fetch: int, values: Mapping[str, Any]) -> None:
    """Set columns of one fetch."""
    assignments = ", ".join(f'"{name}" = ?' for name in values)
    connection.execute(f"UPDATE w._ingest.fetches SET {assignments} WHERE _fetch = ?", [*values.values(), fetch])


def fetches(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, *, database: str = "w") -> list[Fetch]:
    """All fetches of an endpoint in their order."""
    rows = connection.execute(
        f"SELECT {_FETCH_COLUMNS} FROM {database}._ingest.fetches WHERE source = ? AND endpoint = ? ORDER BY _fetch",
        [source, endpoint],
    ).fetchall()
    return [Fetch(*row) for row in rows]


def known(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> Known:
    """All that decides what to fetch of an endpoint; and whether it has loads that a Dagster was not told of."""
    failures = connection.execute(
        "SELECT partition, failed, problem, stops, until, everywhere IS TRUE FROM w._ingest.failures "
        "WHERE source = ? AND endpoint = ? ORDER BY failed",
        [source, endpoint],
    ).fetchall()
    return Known(
        tuple(fetches(connection, source, endpoint)),
        tuple(Failure(*row) for row in failures),
        bool(unreported(connection, source, endpoint, instance)),
    )


def failed(connection: duckdb.DuckDBPyConnection, key: tuple[str, str, str | None], run: str, failure: Failure) -> None:
    """Write down a try that failed; those before the partition's newest load, if that is whole, count no more."""
    connection.execute(
        "DELETE FROM w._ingest.failures WHERE source = $1 AND endpoint = $2 AND partition IS NOT DISTINCT FROM $3 "
        "AND failed <= (SELECT max(loaded) FROM w._ingest.fetches WHERE source = $1 AND endpoint = $2 "
        "AND partition IS NOT DISTINCT FROM $3 AND verdict <> 'incomplete')",
        list(key),
    )
    told = [*key, failure.failed, run, failure.problem, failure.stops, failure.until, failure.everywhere]
    connection.execute("INSERT INTO w._ingest.failures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", told)


def loads(
    connection: duckdb.DuckDBPyConnection, source: str, endpoint: str
) -> list[tuple[int, str | None, datetime | None]]:
    """Number, partition and time of all loads of an endpoint, in order."""
    return connection.execute(
        "SELECT _fetch, partition, loaded FROM w._ingest.fetches "
        "WHERE source = ? AND endpoint = ? AND loaded IS NOT NULL ORDER BY _fetch",
        [source, endpoint],
    ).fetchall()


def version(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> tuple[int, str | None]:
    """Version and layout of an endpoint's registry; 0 and None before its first load."""
    row = connection.execute(
        "SELECT version, layout FROM w._ingest.registries WHERE source = ? AND endpoint = ?", [source, endpoint]
    ).fetchone()
    return (0, None) if row is None else (row[0], row[1])


def registry(
    connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, *, database: str = "w"
) -> tuple[int, str, str] | None:
    """Version, layout and text of an endpoint's registry, or None before its first load."""
    row = connection.execute(
        f"SELECT version, layout, registry FROM {database}._ingest.registries WHERE source = ? AND endpoint = ?",
        [source, endpoint],
    ).fetchone()
    return None if row is None else (row[0], row[1], row[2])


def register(connection: duckdb.DuckDBPyConnection, key: tuple[str, str], version: int, layout: str, text: str) -> None:
    """Put an endpoint's registry in place of the former one."""
    connection.execute("DELETE FROM w._ingest.registries WHERE source = ? AND endpoint = ?", list(key))
    connection.execute("INSERT INTO w._ingest.registries VALUES (?, ?, ?, ?, ?)", [*key, version, layout, text])


def report(connection: duckdb.DuckDBPyConnection, loads: Mapping[int, datetime], instance: str) -> None:
    """Remember that a Dagster instance has been told of these loads, each a fetch and the time it was loaded."""
    told = [list(loads), list(loads.values())]
    connection.execute(
        "DELETE FROM w._ingest.reported WHERE instance = ? AND list_contains(?, _fetch)", [instance, told[0]]
    )
    connection.execute("INSERT INTO w._ingest.reported SELECT ?, unnest(?), unnest(?)", [instance, *told])


def unreported(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, instance: str) -> list[Fetch]:
    """Loads that a Dagster instance has not been told of, in order."""
    columns = ", ".join(f"f.{name}" for name in _FETCH_COLUMNS.split(", "))
    rows = connection.execute(
        f"SELECT {columns} FROM w._ingest.fetches AS f LEFT JOIN w._ingest.reported AS r "
        "ON r._fetch = f._fetch AND r.instance = ? "
        "WHERE f.source = ? AND f.endpoint = ? AND f.loaded IS NOT NULL AND r.loaded IS DISTINCT FROM f.loaded "
        "ORDER BY f._fetch",
        [instance, source, endpoint],
    ).fetchall()
    return [Fetch(*row) for row in rows]
