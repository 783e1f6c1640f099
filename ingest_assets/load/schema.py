"""The `_ingest` schema: what is loaded, in the same transaction as the rows.

    _ingest.meta         the format of this schema
    _ingest.sources      which origin and account each source's rows come from
    _ingest.fetches      each fetch: its number, bounds, verdict, traffic and account
    _ingest.registries   names and shapes seen, by endpoint: with the contract, what decides a table's columns
    _ingest.quarantine   records that did not fit, with reason and place
    _ingest.reported     which loads each Dagster instance has been told of
    _ingest.drift        what fetches brought that their tables did not know
    _ingest.failures     tries that failed since their partition was last loaded

All functions take a connection on which the warehouse is attached as `w`.
"""

import duckdb

from ingest_assets.errors import StorageFailed

FORMAT = 13
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
    expected_is VARCHAR, clashing BIGINT, clash JSON, dropped BIGINT, filled JSON, url VARCHAR, code VARCHAR,
    emptied BIGINT, spared BIGINT, crossing BIGINT
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
CREATE TABLE IF NOT EXISTS w._ingest.drift (
    source VARCHAR NOT NULL, endpoint VARCHAR NOT NULL, _fetch BIGINT NOT NULL, version BIGINT NOT NULL,
    noticed TIMESTAMPTZ NOT NULL, kind VARCHAR NOT NULL, "table" VARCHAR NOT NULL, "column" VARCHAR,
    former VARCHAR, now VARCHAR, sample VARCHAR
);
"""
# What makes a format the next one; tables that are missing then are made as in a new warehouse.
_UPGRADES = {
    1: "DROP TABLE w._ingest.reported",  # it did not say which instance was told: each looks for itself
    # There was no other kind than exactly.
    2: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS expected_is VARCHAR",
    3: "ALTER TABLE IF EXISTS w._ingest.failures ADD COLUMN IF NOT EXISTS until TIMESTAMPTZ; "
    "ALTER TABLE IF EXISTS w._ingest.failures ADD COLUMN IF NOT EXISTS everywhere BOOLEAN",
    4: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS clashing BIGINT; "
    "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS clash JSON",
    5: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS dropped BIGINT; "
    "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS filled JSON",
    6: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS url VARCHAR; "
    "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS code VARCHAR",
    7: "UPDATE w._ingest.registries SET layout = ''",  # ids are other hashes: the next load builds the tables anew
    8: "UPDATE w._ingest.registries SET layout = ''",  # child rows had the hash of their record, not of their list
    # Which ones emptied a list was not counted; those without updates did not.
    9: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS emptied BIGINT; "
    "UPDATE w._ingest.fetches SET emptied = updated",
    10: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS spared BIGINT",
    11: "ALTER TABLE w._ingest.fetches ADD COLUMN IF NOT EXISTS crossing BIGINT",
    12: "UPDATE w._ingest.registries SET layout = ''",  # objects whose keys are data had a column for each
}


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
