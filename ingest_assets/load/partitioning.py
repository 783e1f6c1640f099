"""Whether what is kept is of the partitions that the file says: what is not would stand beside them for ever.

A later or earlier `start`, or a value less in a list of accounts, changes no partition: what is loaded stays. Another
`every`, zone or `by` does. A table of both would be a function of two files, so such an endpoint is neither fetched
nor loaded until somebody puts the file back, or gives up what is kept (`ingest migrate`).
"""

from collections.abc import Iterable
from datetime import UTC, datetime

import duckdb
from msgspec import Struct

from ingest_assets.errors import ConfigError
from ingest_assets.load.ledger import moment_of
from ingest_assets.load.warehouse import quoted
from ingest_assets.source import Endpoint

Bounds = tuple[datetime | None, datetime | None]


class Kept(Struct, frozen=True):
    """A fetch that counts: its number, its partition, and the slice of time that was asked for."""

    fetch: int
    partition: str | None
    bounds: Bounds


def loaded(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> list[Kept]:
    """Of the loads of an endpoint the newest of each partition and slice of time."""
    rows = connection.execute(
        "SELECT max(_fetch), partition, epoch_us(from_time), epoch_us(until_time) FROM w._ingest.fetches "
        "WHERE source = ? AND endpoint = ? AND loaded IS NOT NULL GROUP BY ALL",
        [source, endpoint],
    ).fetchall()
    return [Kept(fetch, partition, (moment_of(since), moment_of(until))) for fetch, partition, since, until in rows]


def fits(endpoint: Endpoint, kept: Kept) -> bool:
    """Whether a fetch is of a partition that the file says now."""
    if (endpoint.partitions is None) != (kept.partition is None):
        return False
    try:
        bounds: Bounds = endpoint.bounds(kept.partition) or (None, None)
    except ValueError:
        return False
    return [*map(_utc, bounds)] == [*map(_utc, kept.bounds)]


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None


def foreign(endpoint: Endpoint, kept: Iterable[Kept]) -> list[Kept]:
    """Those that do not fit."""
    return [one for one in kept if not fits(endpoint, one)]


def problem(endpoint: Endpoint, found: list[Kept]) -> str:
    """What is wrong where there are some that do not fit, and what it is compared with."""
    one = found[-1]
    lower, upper = one.bounds
    span = f" ({_shown(lower)} to {_shown(upper)} UTC)" if lower and upper else ""
    example = f"one of no partition{span}" if one.partition is None else f"{one.partition!r}{span}"
    many = "fetch is" if len(found) == 1 else "fetches are"
    return f"its file says {said(endpoint)}, and {len(found):,} kept {many} of others, such as {example}"


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def said(endpoint: Endpoint) -> str:
    """The partitions of a file in a few words."""
    told, periods = endpoint.partitions, endpoint.periods
    if told is None:
        return "no partitions"
    parts = ([f"{periods.every} in {periods.zone}"] if periods else []) + sorted(told.by)
    return f"partitions by {' and '.join(parts)}"


def refuse(label: str, endpoint: Endpoint, kept: Iterable[Kept]) -> None:
    """ConfigError where some of what is kept is of other partitions than the file says."""
    if found := foreign(endpoint, kept):
        raise ConfigError(
            f"{label}: {problem(endpoint, found)}. Put the file back as it was; or give up what is kept, "
            f"and fetch anew: ingest migrate {label}"
        )


def abandon(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, tables: Iterable[str]) -> None:
    """Remove all that the warehouse has of an endpoint: these tables of its own, and what `_ingest` says of it."""
    from ingest_assets.load.tables import in_warehouse

    target = in_warehouse(source, endpoint)
    for name in tables:
        connection.execute(f"DROP TABLE IF EXISTS {target.table(name)}")
    for name in (target.versions, target.ends):
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    columns = connection.execute(
        "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE database_name = 'w' "
        "AND schema_name = '_ingest' GROUP BY table_name ORDER BY table_name = 'fetches'"
    ).fetchall()
    for table, names in columns:
        where = f"FROM w._ingest.{quoted(table)} WHERE"
        if {"source", "endpoint"} <= set(names):
            connection.execute(f"DELETE {where} source = ? AND endpoint = ?", [source, endpoint])
        elif "_fetch" in names and not table.startswith(("versions:", "ends:")):
            connection.execute(
                f"DELETE {where} _fetch IN (SELECT _fetch FROM w._ingest.fetches WHERE source = ? AND endpoint = ?)",
                [source, endpoint],
            )
