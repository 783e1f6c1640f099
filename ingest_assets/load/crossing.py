"""Keys that come in several partitions, where nothing but the order of fetches says which version of them is newer.

Of an endpoint whose keys do that, the file should say so: `changes: window`, or accounts that share keys, ask for
`newest_by`. Where it does not, the table is that of all fetches in their order. So a fetch that comes late, and meets a
key of another partition, has all built anew; and the check `shared_keys` tells of the rows in doubt.
"""

from collections.abc import Sequence

import duckdb

from ingest_assets.contract import Contract
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import Target

_STAGED = "staged_partitions"


def by_order(staged: Staged, contract: Contract) -> bool:
    """Whether the order of fetches says which version is newer, and a key could come in several partitions."""
    kept = contract.write in ("merge", "history") and bool(contract.primary_key)
    return kept and contract.newest_by is None and staged.partition is not None


def partitions(connection: duckdb.DuckDBPyConnection, staged: Sequence[Staged], *, in_warehouse: bool) -> str:
    """SQL: of which partition each fetch is that a merge can meet.

    Those staged need not be in the warehouse yet; and where all is built anew, that is not attached.
    """
    told = [one.fetch for one in staged], [one.partition for one in staged]
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE {_STAGED} AS SELECT unnest($1) AS _fetch, unnest($2) AS partition", list(told)
    )
    mine = f"SELECT _fetch, partition FROM {_STAGED}"
    others = f"SELECT _fetch, partition FROM w._ingest.fetches WHERE _fetch NOT IN (SELECT _fetch FROM {_STAGED})"
    return f"({mine} UNION ALL {others})" if in_warehouse else f"({mine})"


def crossed(connection: duckdb.DuckDBPyConnection, of: str) -> dict[int, tuple[int, int]]:
    """How many decided records of each fetch met another record of their key, which another partition's fetch brought.

    Then how many of them are no tombstones: these may well come in another partition than what they end. `of` says
    which partition each fetch is `of`.
    """
    found = connection.execute(f"""
        SELECT d._of, count(*), count(*) FILTER (d.fate <> 'deleted')
        FROM decided AS d
        JOIN {of} AS before ON before._fetch = d._before
        JOIN {of} AS own ON own._fetch = d._of
        WHERE before.partition IS DISTINCT FROM own.partition
        GROUP BY d._of""").fetchall()
    return {fetch: (count, records) for fetch, count, records in found}


def meets_others(connection: duckdb.DuckDBPyConnection, staged: Staged, target: Target, of: str) -> bool:
    """Whether a key of this fetch has a version or an end in a history that another partition's fetch brought."""
    root = target.table(staged.root.name)
    found = connection.execute(f"""
        SELECT 1 FROM {staged.ranked} AS r
        JOIN (SELECT _key, _fetch FROM {root} UNION ALL SELECT _key, _fetch FROM {target.ends}) AS t USING (_key)
        JOIN {of} AS before ON before._fetch = t._fetch
        JOIN {of} AS own ON own._fetch = r._of
        WHERE before.partition IS DISTINCT FROM own.partition
        LIMIT 1""")
    return found.fetchone() is not None
