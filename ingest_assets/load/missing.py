"""Rows that cite fetches whose stored pages are missing: a table that is built anew would be without them."""

from collections.abc import Sequence

import duckdb

from ingest_assets.load.staged import Staged, list_hash
from ingest_assets.load.tables import ROOT, TOMBSTONE, Target, citing
from ingest_assets.load.warehouse import literal
from ingest_assets.load.work import Work
from ingest_assets.normalize.registry import Registry


def only_there(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    known: Registry,
    work: Work,
    staged: Sequence[Staged],
    missing: Sequence[int],
) -> int | None:
    """The first of the `missing` fetches that a row cites whose version none of the staged fetches brought later.

    `known` is the registry of the target's tables so far.
    """
    # Of a key that keeps one version, a later fetch may have brought it again; any other row is of its own fetch.
    again = staged if work.contract.write == "merge" else ()
    conditions = _conditions(target, known, work)
    for table in citing(connection, target, known.names.values()):
        came = f"SELECT 1 FROM ({_brought(again)}) AS b WHERE {conditions[table]} AND b._fetch > t._fetch"
        row = connection.execute(
            f"SELECT min(t._fetch) FROM {table} AS t WHERE list_contains(?, t._fetch)"
            f"{f' AND NOT EXISTS ({came})' if again else ''}",
            [missing],
        ).fetchone()
        if row and row[0] is not None:
            return int(row[0])
    return None


def _brought(staged: Sequence[Staged]) -> str:
    """SQL: the hash of each record of these fetches, and of each of its lists, with the id of its row."""
    return " UNION ALL ".join(
        f"SELECT _id, {hash_} AS _hash, {one.fetch} AS _fetch FROM {one.ranked}"
        for one in staged
        for hash_ in ("_hash", *map(list_hash, one.below(one.root.name)))
    )


def _conditions(target: Target, known: Registry, work: Work) -> dict[str, str]:
    """SQL by table: `b` is the version of its row `t`. A list is told by its row, too: others may have the same one."""
    parents = {spec.name: spec.parent for spec in known.tables(work.endpoint, work.contract)}
    of_list = "b._hash = t._hash AND b._id = t._parent"
    conditions = {target.table(name): of_list for name in known.names.values()}
    for name, parent in parents.items():
        if parent != work.endpoint:  # what is below a list came with it, and is there only beside it
            conditions[target.table(name)] = "b._hash = t._hash"
    of_record = ", ".join(map(literal, (ROOT, TOMBSTONE)))
    conditions[target.versions] = f"b._hash = t._hash AND (t.part IN ({of_record}) OR b._id = t._id)"
    return conditions | {target.ends: "false"}
