"""How much disk the tables take, and which fetches they still cite; `connection` is to the reader's copy, attached
as `warehouse` and in use."""

from collections import defaultdict
from collections.abc import Collection, Mapping

import duckdb

from ingest_assets.load import ledger
from ingest_assets.load.tables import in_warehouse
from ingest_assets.load.unneeded import Needs
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import Registry

Table = tuple[str, str]


def table_bytes(connection: duckdb.DuckDBPyConnection) -> dict[Table, float]:
    """The disk that each table takes, by schema and name; a block that several share counts for each in part."""
    block = connection.execute(
        "SELECT block_size FROM pragma_database_size() WHERE database_name = 'warehouse'"
    ).fetchall()[0][0]
    holders: dict[int, list[Table]] = defaultdict(list)
    taken: dict[Table, float] = {}
    for table in _tables(connection):
        taken[table] = 0.0
        for number in _blocks(connection, table):
            holders[number].append(table)
    for tables in holders.values():
        for table in tables:
            taken[table] += block / len(tables)
    return taken


def _tables(connection: duckdb.DuckDBPyConnection) -> list[Table]:
    return connection.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = 'warehouse'"
    ).fetchall()


def _blocks(connection: duckdb.DuckDBPyConnection, table: Table) -> set[int]:
    name = ".".join(map(quoted, ("warehouse", *table)))
    rows = connection.execute(
        "SELECT DISTINCT block_id, additional_block_ids FROM pragma_storage_info(?)", [name]
    ).fetchall()
    return {number for block, more in rows for number in (block, *(more or ())) if number is not None and number >= 0}


def of_endpoint(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> list[Table]:
    """The tables of an endpoint: its own, those of its lists, and those beside them."""
    told = ledger.registry(connection, source, endpoint, database="warehouse")
    names = Registry.from_json(told[2]).names.values() if told else ()
    beside = in_warehouse(source, endpoint)
    wanted = {*((source, name) for name in names), beside.versions_at, beside.ends_at}
    return [table for table in _tables(connection) if table in wanted]


def cited(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> set[int]:
    """The fetches that a row, a child row, a version, an end or an open quarantine entry came from, or that deleted.

    One that emptied lists deleted child rows. In what a former format wrote, those that updated rows may have done so.
    """
    tables = [".".join(map(quoted, table)) for table in of_endpoint(connection, source, endpoint)]
    parts = [f"SELECT DISTINCT _fetch FROM {table}" for table in tables]
    mine = "source = $1 AND endpoint = $2"
    parts.append(f"SELECT _fetch FROM _ingest.quarantine WHERE {mine} AND closed_by IS NULL")
    emptied = "emptied" if _counts(connection, "emptied") else "updated"
    parts.append(f"SELECT _fetch FROM _ingest.fetches WHERE {mine} AND greatest(removed, deleted, {emptied}) > 0")
    return {row[0] for row in connection.execute(" UNION ".join(parts), [source, endpoint]).fetchall()}


def _counts(connection: duckdb.DuckDBPyConnection, column: str) -> bool:
    query = "SELECT 1 FROM duckdb_columns() WHERE table_name = 'fetches' AND column_name = ? "
    where = "AND database_name = 'warehouse' AND schema_name = '_ingest'"
    return connection.execute(query + where, [column]).fetchone() is not None


def sweeps(
    connection: duckdb.DuckDBPyConnection, source: str, endpoint: str, touched: Collection[int] = ()
) -> dict[int, bool]:
    """The fetches of an endpoint that removed rows they did not bring; false of those that spared them.

    Those of `touched` spared them where a record of theirs was quarantined, too.
    """
    spared = "spared" if _counts(connection, "spared") else "0"
    query = "SELECT _fetch, removed > 0 FROM _ingest.fetches WHERE source = ? AND endpoint = ? "
    where = f"AND (removed > 0 OR {spared} > 0 OR (quarantined > 0 AND list_contains(?, _fetch)))"
    return dict(connection.execute(query + where, [source, endpoint, list(touched)]).fetchall())


def needs(connection: duckdb.DuckDBPyConnection, source: str, endpoint: str) -> Needs:
    """What a warehouse needs of the stored fetches of an endpoint."""
    known = ledger.fetches(connection, source, endpoint, database="warehouse")
    loaded = frozenset(fetch.fetch for fetch in known if fetch.loaded is not None)
    return Needs(loaded, frozenset(cited(connection, source, endpoint)), sweeps(connection, source, endpoint))


def share(taken: Mapping[Table, float], tables: list[Table]) -> float:
    """What these tables take together."""
    return sum(taken[table] for table in tables)
