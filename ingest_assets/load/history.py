"""When each version of a history held: from its own moment until the next version or the end of its key.

    valid_from    the value of `newest_by`, else the start of the fetch that brought it first
    valid_until   the moment of the key's next version, or of its end; null while it holds
    current       whether it holds still

An end is a tombstone, or a complete fetch that did not bring the key any more. Ends are kept in a table of `_ingest`,
since a version that comes late may be older than one.
"""

from datetime import datetime

import duckdb

from ingest_assets.contract import Contract
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import Target
from ingest_assets.load.warehouse import literal


def moment(contract: Contract, started: datetime) -> str:
    """SQL: since when a staged version holds; a tombstone may tell no time of its own."""
    began = f"CAST({literal(started.isoformat())} AS TIMESTAMPTZ)"
    return f"coalesce(_newest, {began})" if contract.newest_by else began


def end(
    connection: duckdb.DuckDBPyConnection, target: Target, root: str, contract: Contract, staged: Staged, since: str
) -> None:
    """Keep the ends that this fetch decided; `since` is the moment of a version in SQL."""
    # Fetches come in their order where no time orders versions: what has ended then, cannot end again. But what another
    # partition's fetch brings, may be loaded later.
    held = f"EXISTS (SELECT 1 FROM {root} AS t WHERE t._key = d._key AND t.current)"
    if staged.partition is not None:
        known = f"SELECT _key FROM {root} UNION ALL SELECT _key FROM {target.ends}"
        held = f"({held} OR d._key NOT IN ({known}))"
    connection.execute(
        f"DELETE FROM {target.ends} WHERE _id IN (SELECT _id FROM decided WHERE fate IN ('inserted', 'updated'))"
    )
    connection.execute(
        f"INSERT INTO {target.ends} SELECT _key, _id, {since}, {staged.fetch} FROM decided AS d WHERE fate = 'deleted' "
        f"AND NOT EXISTS (SELECT 1 FROM {target.ends} AS e WHERE e._id = d._id) "
        f"AND {'true' if contract.newest_by else held}"
    )


def settle(connection: duckdb.DuckDBPyConnection, target: Target, root: str) -> None:
    """Give the versions of all keys that a fetch touched the time until which they hold."""
    touched = "SELECT _key FROM decided WHERE fate IN ('inserted', 'updated', 'deleted')"
    connection.execute(
        f"""
        UPDATE {root} AS t SET valid_until = s.next, current = s.next IS NULL
        FROM (
            SELECT _id, is_row, lead(moment) OVER (PARTITION BY _key ORDER BY moment, is_row) AS next
            FROM (
                SELECT _key, _id, valid_from AS moment, true AS is_row FROM {root} WHERE _key IN ({touched})
                UNION ALL SELECT _key, _id, ended, false FROM {target.ends} WHERE _key IN ({touched})
            )
        ) AS s
        WHERE t._id = s._id AND s.is_row AND t.valid_until IS DISTINCT FROM s.next"""
    )
