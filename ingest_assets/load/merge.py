"""Staged rows into tables: which version of a key wins, and what is left alone.

For each record there is one fate, decided before anything is written:

    quarantined   did not fit (decided while staging)
    filtered      the API brought it beside its partition: it is the next one's, or `within` says so (while staging)
    duplicates    another record of the same fetch has the same key and is newer
    outdated      a newer version was loaded before
    deleted       a tombstone
    inserted      the key was not there
    updated       the key was there with another record
    unchanged     the key was there with this very record: nothing is written

Where loads may come in another order than versions, the versions table decides (see `ingest_assets.load.versions`);
else a partition's fetches come in their order, and a higher fetch number is newer.

Where nothing is there that any row could meet, all of them are inserted as they pass by, and nothing is decided.
"""

from collections.abc import Callable, Mapping, Sequence

import duckdb
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.load import history
from ingest_assets.load.account import Account
from ingest_assets.load.beforehand import Found
from ingest_assets.load.fates import decide, written
from ingest_assets.load.lists import delete_children, insert_children, merge_list, with_lists
from ingest_assets.load.merging import Merge, texts
from ingest_assets.load.staged import Staged, hashed, list_hash, rows
from ingest_assets.load.sweep import Sweep, vanish
from ingest_assets.load.tables import ROOT, TOMBSTONE, Target, beside, versioned
from ingest_assets.load.versions import candidates, remember
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec


def merge(
    connection: duckdb.DuckDBPyConnection,
    staged: Staged,
    contract: Contract,
    target: Target,
    replaced: Sequence[int],
    sweep: Sweep | None,
    room: Callable[[float], None],
    found: Found | None = None,
) -> Account:
    """Write a ranked fetch into the target's tables; the account tells what became of its records.

    `replaced` are the fetches whose rows a table that is replaced as a whole or by partition gives up: those of the
    same partition. `sweep` is what a fetch removes that it did not bring; `room` makes room for so many megabytes.
    `found` is what this comes to, where that is known. Runs inside the caller's transaction.
    """
    at = Merge(connection, staged, contract, target, room)
    if found is not None:
        return _account(at, *found.put(at), 0, _emptied(at).get(staged.fetch, 0))
    if _meets_nothing(at):
        return _account(at, *_insert_all(at))
    fates = _decided(at)
    if versioned(contract):
        remember(at, ROOT, "FROM decided WHERE fate <> 'outdated'")
        if contract.deleted is not None:
            remember(at, TOMBSTONE, f"FROM ({candidates(at, '_deleted', (TOMBSTONE,))})")
    removed = _remove_vanished(at, replaced) if contract.replaces else 0
    swept, spared = _sweep(at, sweep) if sweep is not None else (0, 0)
    removed += swept
    child_rows = _write(at, fates)
    if contract.write == "history" and (removed or fates.keys() & {"inserted", "updated", "deleted"}):
        since = history.moment(contract, staged.started)
        history.end(connection, target, at.root, contract, staged, since)
        history.settle(connection, target, at.root)
    account = _account(at, fates, child_rows, removed, _emptied(at).get(staged.fetch, 0))
    return replace(account, spared=spared)


def merge_together(
    connection: duckdb.DuckDBPyConnection,
    whole: Staged,
    staged: Sequence[Staged],
    contract: Contract,
    target: Target,
    room: Callable[[float], None],
) -> list[Account]:
    """What `merge` does of each of these ranked fetches, which were put together as `whole`; the account of each."""
    at = Merge(connection, whole, contract, target, room)
    emptied: Mapping[int, int] = {}
    if _meets_nothing(at):
        _insert_all(at)
        counted = at.connection.execute(f"SELECT _of, 'inserted', count(*) FROM {whole.ranked} GROUP BY ALL")
    else:
        _write(at, _decided(at))
        emptied = _emptied(at)
        counted = at.connection.execute("SELECT _of, fate, count(*) FROM decided GROUP BY ALL")
    fates: dict[int, dict[str, int]] = {one.fetch: {} for one in staged}
    for fetch, fate, count in counted.fetchall():
        fates[fetch][fate] = count
    child_rows = _child_rows(at, list(fates))
    return [
        _account(replace(at, staged=one), fates[one.fetch], child_rows.get(one.fetch, 0), 0, emptied.get(one.fetch, 0))
        for one in staged
    ]


def _child_rows(at: Merge, fetches: Sequence[int]) -> dict[int, int]:
    """How many child rows cite each of these fetches, which brought none before."""
    tables = [at.target.table(spec.name) for spec in at.staged.specs if spec.parent is not None]
    cited = " UNION ALL ".join(f"SELECT _fetch FROM {table} WHERE list_contains($1, _fetch)" for table in tables)
    if not tables:
        return {}
    return dict(at.connection.execute(f"SELECT _fetch, count(*) FROM ({cited}) GROUP BY ALL", [fetches]).fetchall())


def _decided(at: Merge) -> dict[str, int]:
    """The fates of all records; there is room to write them."""
    fates = decide(at)
    gone = fates.get("updated", 0) + fates.get("deleted", 0)
    at.ready_to_delete(gone, (gone + fates.get("unchanged", 0)) * len(at.staged.specs))
    return fates


def _write(at: Merge, fates: Mapping[str, int]) -> int:
    """Bring rows and their lists into the tables; how many child rows were written."""
    child_rows = sum(merge_list(at, spec, fates) for spec in at.staged.below(at.staged.root.name))
    _write_rows(at, fates)
    return child_rows


def _emptied(at: Merge) -> dict[int, int]:
    """How many lists of rows that were there each fetch emptied."""
    return dict(at.connection.execute("SELECT _of, count(*) FROM emptied GROUP BY _of").fetchall())


def _account(at: Merge, fates: Mapping[str, int], child_rows: int, removed: int = 0, emptied: int = 0) -> Account:
    staged = at.staged
    told = {"quarantined": staged.quarantined, "filtered": _filtered(at) + staged.forgotten, "dropped": staged.dropped}
    return Account(staged.received, **fates, **told, removed=removed, child_rows=child_rows, emptied=emptied)


def _meets_nothing(at: Merge) -> bool:
    """Whether each row of the fetch has an id of its own, which no row, version or child row in the target has."""
    if not at.staged.distinct or at.contract.deleted is not None or versioned(at.contract):
        return False
    mine = f"WHERE _fetch = {at.staged.fetch}" if at.contract.write == "append" else ""  # the fetch is in the id
    return at.connection.execute(f"SELECT 1 FROM {at.root} {mine} LIMIT 1").fetchone() is None


def _insert_all(at: Merge) -> tuple[dict[str, int], int]:
    """Insert a fetch that meets nothing: its fates, and how many child rows it has."""
    count = at.run(f"INSERT INTO {at.root} BY NAME {rows(at.staged, at.contract)}")
    lists = [spec for spec in at.staged.below(at.staged.root.name) if spec.name in at.staged.filled]
    if lists:
        hashes = "".join(f", {list_hash(spec)}" for spec in lists)
        at.run(f"CREATE OR REPLACE TEMP TABLE decided AS SELECT _row, _id, _of, _page{hashes} FROM {at.staged.ranked}")
    fates = {"inserted": count} if count else {}
    return fates, sum(insert_children(at, spec, with_lists(spec), "_root_row") for spec in lists)


def _filtered(at: Merge) -> int:
    if at.staged.until is None or (at.contract.position is None and at.contract.within is None):
        return 0
    query = f"SELECT (SELECT count(*) FROM {at.staged.table(at.staged.root.name)}) - count(*) FROM {at.staged.ranked}"
    row = at.connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def forget(
    connection: duckdb.DuckDBPyConnection,
    target: Target,
    specs: Sequence[TableSpec],
    contract: Contract,
    fetches: Sequence[int],
) -> None:
    """Take all rows and versions out of the target that cite one of these fetches."""
    there = [target.table(spec.name) for spec in specs]
    for table in [*there, *(target.named(*at) for at in beside(target, contract))]:
        connection.execute(f"DELETE FROM {table} WHERE list_contains(?, _fetch)", [list(fetches)])


def _remove_vanished(at: Merge, replaced: Sequence[int]) -> int:
    """Rows of the partition's former fetches that did not come again, with their children; how many rows."""
    at.run(
        f"CREATE OR REPLACE TEMP TABLE vanished AS SELECT _id FROM {at.root} "
        "WHERE list_contains(?, _fetch) AND _id NOT IN (SELECT _id FROM decided)",
        list(replaced),
    )
    return _delete_vanished(at)


def _delete_vanished(at: Merge) -> int:
    count = at.run(f"DELETE FROM {at.root} WHERE _id IN (FROM vanished)")
    if count:
        for spec in at.staged.below(at.staged.root.name):
            delete_children(at, spec, "FROM vanished")
    return count


def _sweep(at: Merge, sweep: Sweep) -> tuple[int, int]:
    """What the fetch did not bring any more is gone; how many rows, and how many are spared as they were too many."""
    count, spared = vanish(at.connection, at.root, at.staged, at.contract, sweep)
    if count and at.contract.write == "history":  # ends like that of a tombstone
        ended = hashed(f"concat('swept {at.staged.fetch}/', _id)")
        at.run(f"INSERT INTO decided (_id, _key, fate) SELECT {ended}, _id, 'deleted' FROM vanished")
    elif count and at.contract.deletes == "soft":
        _mark(at, "FROM vanished")
    elif count:
        _delete_vanished(at)
    return count, spared


def _mark(at: Merge, ids: str) -> None:
    """Say of rows that are there still that they are deleted, since this fetch."""
    at.run(
        f"UPDATE {at.root} SET _deleted = CAST(? AS TIMESTAMPTZ) WHERE _deleted IS NULL AND _id IN ({ids})",
        at.staged.started,
    )


def _write_rows(at: Merge, fates: Mapping[str, int]) -> None:
    # An UPDATE of rows here and there has DuckDB write all columns anew around each of them.
    anew = ["updated"] if at.contract.write != "history" else []
    gone, come = ["deleted", *anew], ["inserted", *anew]
    if fates.get("deleted") and at.contract.deletes == "soft":
        _mark(at, "SELECT _id FROM decided WHERE fate = 'deleted'")
        gone = anew
    if any(map(fates.get, gone)):
        known = ("rowid", "_there") if anew else ("_id", "_id")  # of a history, it is another version that was met
        at.run(
            f"DELETE FROM {at.root} WHERE {known[0]} IN (SELECT {known[1]} FROM decided WHERE fate IN ({texts(gone)}))"
        )
    if any(map(fates.get, come)):
        at.run_in_order(f"INSERT INTO {at.root} BY NAME {written(at, come)}")
    if not anew and fates.get("updated"):
        names = [quoted(column.name) for column in at.staged.root.columns] + ["_fetch", "_page", "_position", "_hash"]
        changes = ", ".join(f"{name} = s.{name}" for name in names)
        changes += ", _deleted = NULL" if at.contract.deletes == "soft" else ""
        at.run(f"UPDATE {at.root} AS t SET {changes} FROM ({written(at, ['updated'])}) AS s WHERE t._id = s._id")
