"""Small fetches that are merged as one, since much of what a merge costs does not depend on its rows.

Fetches that have no key in common do not meet: to merge them one after the other or all at once comes to the same.
"""

from collections.abc import Sequence

import duckdb
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.load.staged import RANKED, Staged
from ingest_assets.load.tables import versioned
from ingest_assets.load.warehouse import quoted

_MOST_RECORDS = 20_000  # whose rows are written a second time
_APART = 1 << 40  # between the rows of a fetch and those of the next
_SCHEMA = "together"
_ROWS = ("_row", "_root_row", "_parent_row")


def together(connection: duckdb.DuckDBPyConnection, staged: Sequence[Staged], contract: Contract) -> Staged | None:
    """The ranked fetches as one; None where one by one is the way, as where a key is in several of them.

    Its rows are in schema `together` of the staging database.
    """
    if not _suits(staged, contract):
        return None
    connection.execute(f"DROP SCHEMA IF EXISTS {_SCHEMA} CASCADE")
    connection.execute(f"CREATE SCHEMA {_SCHEMA}")
    views = {name: f"{_SCHEMA}.{quoted(name)}" for name in (RANKED, *(spec.name for spec in staged[0].specs))}
    _put(connection, staged, RANKED, views[RANKED])
    twice = f"SELECT 1 FROM {views[RANKED]} GROUP BY _id HAVING count(*) > 1 LIMIT 1"
    if connection.execute(twice).fetchone() is not None:
        return None
    for spec in staged[0].specs:
        _put(connection, staged, spec.name, views[spec.name])
    return replace(
        staged[0],
        received=sum(one.received for one in staged),
        filled=frozenset().union(*(one.filled for one in staged)),
        views=views,
        several=True,
    )


def _suits(staged: Sequence[Staged], contract: Contract) -> bool:
    plain = contract.write == "merge" and not versioned(contract) and contract.deleted is None
    few = sum(one.received for one in staged) <= _MOST_RECORDS
    return len(staged) > 1 and plain and contract.sweep is None and few and all(one.distinct for one in staged)


def _put(connection: duckdb.DuckDBPyConnection, staged: Sequence[Staged], name: str, into: str) -> None:
    of = {row[0] for row in connection.execute(f"DESCRIBE {staged[0].table(name)}").fetchall()}
    rows = [column for column in _ROWS if column in of]
    parts = []
    for number, one in enumerate(staged):
        moved = ", ".join(f"{row} + {number * _APART} AS {row}" for row in rows)
        parts.append(f"SELECT * REPLACE ({moved}) FROM {one.table(name)}")
    connection.execute(f"CREATE TABLE {into} AS {' UNION ALL BY NAME '.join(parts)}")
