"""What is known of fetches, registries, quarantine and failed tries: rows of the `_ingest` schema.

All functions take a connection on which the warehouse is attached as `w`; `ingest_assets.load.schema` made its tables.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
from msgspec import Struct, field
from msgspec.structs import replace

from ingest_assets.load.schema import FATES
from ingest_assets.raw.snapshots import Manifest

_TRAFFIC = ("requests", "retries", "bytes_received", "limit_wait_seconds", "retry_wait_seconds")
_LOADED = ("loaded", "loaded_run", "contract", "load_seconds")
_ACCOUNT = (
    "received",
    *FATES,
    "removed",
    "child_rows",
    "clashing",
    "clash",
    "dropped",
    "emptied",
    "spared",
    "crossing",
    "filled",
)


class Fetch(Struct, frozen=True):
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


class Load(Struct, frozen=True):
    """What decides by a load what is to be loaded: fetch, partition, when (µs since 1970), under which contract."""

    fetch: int
    partition: str | None
    loaded: int
    contract: str | None


class Failure(Struct, frozen=True):
    """A try that failed after its partition was last loaded whole; `stops` where it was no matter of one partition.

    `until` is when the API may be asked again, where it named a time; `everywhere` where that is so for all endpoints.
    """

    partition: str | None
    failed: datetime
    problem: str
    stops: bool
    until: datetime | None = None
    everywhere: bool = False


class Known(Struct, frozen=True):
    """What is known of an endpoint: its fetches in their order, and the tries that failed.

    `untold` where a Dagster instance does not know of all loads; `members` are the values of dimensions that another
    endpoint lists, and `unlisted` why these cannot be told.
    """

    fetches: tuple[Fetch, ...] = ()
    failures: tuple[Failure, ...] = ()
    untold: bool = False
    members: Mapping[str, Sequence[str]] = field(default_factory=dict)
    unlisted: str = ""


_MOMENTS = ("from_time", "until_time", "started", "ended", "loaded")
_IS_MOMENT = [name in _MOMENTS for name in Fetch.__struct_fields__]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fetch_columns(table: str = "") -> str:
    """What `fetch_of` makes a fetch of, as SQL; `table` is the alias of `_ingest.fetches`, with a dot."""
    columns = ["_fetch" if name == "fetch" else name for name in Fetch.__struct_fields__]
    # DuckDB makes moments by way of pytz, which takes longer to load than all fetches of most endpoints.
    return ", ".join(f"epoch_us({table}{name})" if name in _MOMENTS else f"{table}{name}" for name in columns)


def fetch_of(row: Sequence[Any]) -> Fetch:
    """The fetch that a row of `fetch_columns` tells of."""
    told: list[Any] = [
        moment_of(value) if is_moment else value for value, is_moment in zip(row, _IS_MOMENT, strict=True)
    ]
    return Fetch(*told)


def moment_of(microseconds: int | None) -> datetime | None:
    """A moment as `epoch_us` gives it, in UTC."""
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)


def begin(
    connection: duckdb.DuckDBPyConnection,
    key: tuple[str, str],
    bounds: Mapping[str | None, tuple[datetime, datetime] | None],
    run: str,
    now: datetime,
    above: int,
) -> dict[str | None, tuple[int, datetime]]:
    """Number and start time of a new fetch of each of these partitions of (source, endpoint); greater than `above`.

    The start time never goes back within an endpoint, whatever the clock does. Earlier fetches of the partitions
    that never ended are given up here: the partitions' locks are held by who asks.
    """
    connection.execute(
        "UPDATE w._ingest.fetches SET ended = ?, verdict = 'given_up', reason = 'another fetch began' WHERE source = ? "
        "AND endpoint = ? AND ended IS NULL AND (list_contains(?, partition) OR partition IS NULL AND ?)",
        [now, *key, [partition for partition in bounds if partition is not None], None in bounds],
    )
    last = connection.execute(
        "SELECT max(_fetch), epoch_us(max(started) FILTER (source = ? AND endpoint = ?)) FROM w._ingest.fetches", key
    ).fetchone()
    number, latest = (last[0], moment_of(last[1])) if last is not None else (None, None)
    first, tick = max(number or 0, above) + 1, timedelta(microseconds=1)
    started = max(now, latest + tick) if latest else now
    begun = {partition: (first + n, started + n * tick) for n, partition in enumerate(bounds)}
    for partition, (fetch, moment) in begun.items():
        _insert(connection, fetch, (*key, partition), bounds[partition] or (None, None), moment, run)
    return begun


def never_begun(connection: duckdb.DuckDBPyConnection, fetches: Iterable[int]) -> None:
    """Take back fetches that have a number and nothing else: nothing was asked for."""
    connection.execute("DELETE FROM w._ingest.fetches WHERE list_contains(?, _fetch)", [list(fetches)])


def ended(connection: duckdb.DuckDBPyConnection, manifest: Manifest, **more: Any) -> None:
    """Write down how a walk ended, as its snapshot tells, and `more` columns of it.

    Also of a fetch that this warehouse has not numbered. An end that is written down already stays, but for that of one
    which was taken for given up when another one began: it had ended, and was not loaded.
    """
    all_ended(connection, [(manifest, more)])


def all_ended(connection: duckdb.DuckDBPyConnection, told: Sequence[tuple[Manifest, Mapping[str, Any]]]) -> None:
    """The same of several walks, each with more columns of it."""
    numbers = [manifest.fetch for manifest, _ in told]
    query = "SELECT _fetch, verdict FROM w._ingest.fetches WHERE list_contains(?, _fetch)"
    known = dict(connection.execute(query, [numbers]).fetchall())
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for manifest, more in told:
        if manifest.fetch not in known:
            _number(connection, manifest)
        values = {**more, **(_end(manifest) if _is_news(manifest, known.get(manifest.fetch)) else {})}
        if values:
            alike.setdefault(tuple(values), []).append({"_fetch": manifest.fetch, **values})
    for names, rows in alike.items():
        _update_all(connection, names, rows)


def _is_news(manifest: Manifest, known: str | None) -> bool:
    verdict = None if manifest.ended is None else manifest.ended.verdict
    return known is None or (known == "given_up" and verdict != "given_up")


def _end(manifest: Manifest) -> dict[str, Any]:
    if (end := manifest.ended) is None:
        return {}
    told = {"ended": end.at, "verdict": end.verdict, "reason": end.reason, "position": json.dumps(end.position)}
    counts = {"expected": end.expected, "pages": end.pages, "records": end.records, "bytes": end.bytes}
    expected = {"expected_is": None if end.expected is None else end.expected_is}
    return expected | told | counts | {name: end.traffic.get(name) for name in _TRAFFIC}


def _update_all(connection: duckdb.DuckDBPyConnection, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Set these columns of some fetches: in one statement where it is many, since each takes as long as that."""
    if len(rows) == 1:
        update(connection, rows[0]["_fetch"], {name: rows[0][name] for name in names})
        return
    import pyarrow as pa

    assignments = ", ".join(f'"{name}" = t."{name}"' for name in names)
    connection.register("told", pa.Table.from_pylist(list(rows)))
    connection.execute(f"UPDATE w._ingest.fetches AS f SET {assignments} FROM told AS t WHERE f._fetch = t._fetch")
    connection.unregister("told")


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


def has_quarantine(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> bool:
    """Whether there is any entry of an endpoint, open or closed."""
    query = "SELECT 1 FROM w._ingest.quarantine WHERE source = ? AND endpoint = ? LIMIT 1"
    return connection.execute(query, [source, endpoint]).fetchone() is not None


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
    unloaded(connection, fetches)
    for fetch in fetches:
        connection.execute(
            "UPDATE w._ingest.fetches SET verdict = 'given_up', position = NULL, "
            "reason = 'undone ' || strftime(?, '%Y-%m-%d %H:%M UTC') WHERE _fetch = ?",
            [now, fetch],
        )


def unloaded(connection: duckdb.DuckDBPyConnection, fetches: Sequence[int]) -> None:
    """Write down that these fetches are loaded no more."""
    for fetch in fetches:
        update(connection, fetch, dict.fromkeys((*_LOADED, *_ACCOUNT)))
        connection.execute("DELETE FROM w._ingest.quarantine WHERE _fetch = ?", [fetch])


def update(connection: duckdb.DuckDBPyConnection, fetch: int, values: Mapping[str, Any]) -> None:
    """Set columns of one fetch."""
    assignments = ", ".join(f'"{name}" = ?' for name in values)
    connection.execute(f"UPDATE w._ingest.fetches SET {assignments} WHERE _fetch = ?", [*values.values(), fetch])


def fetches(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    endpoint: str,
    *,
    database: str = "w",
    of: Collection[int] | None = None,
) -> list[Fetch]:
    """All fetches of an endpoint in their order, or those `of` them."""
    return [fetch_of(row) for row in _fetch_rows(connection, source, endpoint, database, of)]


def _fetch_rows(
    connection: duckdb.DuckDBPyConnection,
    source: str,
    endpoint: str,
    database: str = "w",
    of: Collection[int] | None = None,
) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"SELECT {fetch_columns()} FROM {database}._ingest.fetches WHERE source = ? AND endpoint = ? "
        f"{'' if of is None else 'AND list_contains(?, _fetch) '}ORDER BY _fetch",
        [source, endpoint, *([] if of is None else [list(of)])],
    ).fetchall()


def known(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, now: datetime) -> Callable[[], Known]:
    """What gives all that decides what to fetch of an endpoint, but for what others list; nothing is of the future.

    It is called once the warehouse is free: of many fetches, making them takes longer than reading them.
    """
    failures = connection.execute(
        "SELECT partition, failed, problem, stops, until, everywhere IS TRUE FROM w._ingest.failures "
        "WHERE source = ? AND endpoint = ? AND failed <= ? ORDER BY failed",
        [source, endpoint, now],
    ).fetchall()
    rows = _fetch_rows(connection, source, endpoint)
    return lambda: Known(
        tuple(by_the_clock(fetch_of(row), now) for row in rows), tuple(Failure(*row) for row in failures)
    )


def by_the_clock(fetch: Fetch, now: datetime) -> Fetch:
    """A fetch whose times are not of the future: a clock that was ahead told them, and it may be long ago.

    Its end is by the clock also where its start is not, which never goes back.
    """
    if max(fetch.started, fetch.loaded or fetch.started) <= now:
        return fetch
    looked = fetch.ended if fetch.ended is not None and fetch.ended <= now else _EPOCH
    loaded = fetch.loaded if fetch.loaded is None or fetch.loaded <= now else looked
    return replace(fetch, started=min(fetch.started, looked), loaded=loaded)


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


def loads(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> tuple[Load, ...]:
    """All loads of an endpoint, in order of their fetches."""
    rows = connection.execute(
        "SELECT _fetch, partition, epoch_us(loaded), contract FROM w._ingest.fetches "
        "WHERE source = ? AND endpoint = ? AND loaded IS NOT NULL ORDER BY _fetch",
        [source, endpoint],
    ).fetchall()
    return tuple(Load(*row) for row in rows)


def is_loaded(connection: duckdb.DuckDBPyConnection, fetch: int) -> bool:
    """Whether a fetch is loaded."""
    query = "SELECT 1 FROM w._ingest.fetches WHERE _fetch = ? AND loaded IS NOT NULL"
    return connection.execute(query, [fetch]).fetchone() is not None


def loaded(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> set[int]:
    """The fetches of an endpoint that are loaded."""
    query = "SELECT _fetch FROM w._ingest.fetches WHERE source = ? AND endpoint = ? AND loaded IS NOT NULL"
    return {fetch for (fetch,) in connection.execute(query, [source, endpoint]).fetchall()}


def positions(
    connection: duckdb.DuckDBPyConnection,
    key: tuple[str, str, str | None],
    verdicts: Collection[str],
    without: Collection[int],
    *,
    newest: bool,
) -> dict[int, Any]:
    """Where the fetches of a partition with these verdicts ended, in their order; of the `newest` alone, if so."""
    rows = connection.execute(
        "SELECT _fetch, position FROM w._ingest.fetches WHERE source = ? AND endpoint = ? "
        "AND partition IS NOT DISTINCT FROM ? AND list_contains(?, verdict) AND NOT list_contains(?, _fetch) "
        f"ORDER BY _fetch {'DESC LIMIT 1' if newest else ''}",
        [*key, list(verdicts), list(without)],
    ).fetchall()
    return {fetch: None if position is None else json.loads(position) for fetch, position in rows}


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
