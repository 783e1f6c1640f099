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

Child rows follow the newest version that has their list: an absent list leaves them, an empty one removes
them, and a tombstone counts as having every list empty, also lists that were never seen until after it. Where
loads may come in another order than versions, the versions table decides (see `ingest_assets.load.tables`);
else a partition's fetches come in their order, and a higher fetch number is newer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from ingest_assets.contract import Contract
from ingest_assets.load import history
from ingest_assets.load.staged import ORDER, Staged
from ingest_assets.load.sweep import Sweep, vanish
from ingest_assets.load.tables import ROOT, TOMBSTONE, Target, beside, versioned
from ingest_assets.load.warehouse import literal, quoted
from ingest_assets.normalize.registry import TableSpec


@dataclass(frozen=True)
class Account:
    """What became of the records of one fetch; `removed` and `child_rows` count rows, `dropped` values."""

    received: int
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    outdated: int = 0
    deleted: int = 0
    quarantined: int = 0
    duplicates: int = 0
    filtered: int = 0
    removed: int = 0
    child_rows: int = 0
    dropped: int = 0

    @property
    def adds_up(self) -> bool:
        """Promise 3: every record has one fate."""
        parts = (self.inserted, self.updated, self.unchanged, self.outdated, self.deleted)
        return self.received == sum(parts) + self.quarantined + self.duplicates + self.filtered


@dataclass(frozen=True)
class _Merge:
    """One fetch on its way into a target."""

    connection: duckdb.DuckDBPyConnection
    staged: Staged
    contract: Contract
    target: Target

    def run(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        row = self.connection.execute(statement, list(values)).fetchone()
        return int(row[0]) if row else 0


def merge(
    connection: duckdb.DuckDBPyConnection,
    staged: Staged,
    contract: Contract,
    target: Target,
    replaced: Sequence[int],
    sweep: Sweep | None = None,
) -> Account:
    """Write a ranked fetch into the target's tables; the account tells what became of its records.

    `replaced` are the fetches whose rows a table that is replaced as a whole or by partition gives up: those of the
    same partition. `sweep` is what a fetch removes that it did not bring. Runs inside the caller's transaction.
    """
    at = _Merge(connection, staged, contract, target)
    fates = _decide(at)
    if versioned(contract):
        _remember(at, ROOT, "FROM decided WHERE fate <> 'outdated'")
        if contract.deleted is not None:
            _remember(at, TOMBSTONE, f"FROM ({_candidates(at, '_deleted', (TOMBSTONE,))})")
    removed = _remove_vanished(at, replaced) if contract.replaces else 0
    removed += _sweep(at, sweep) if sweep is not None else 0
    child_rows = sum(_merge_list(at, spec, fates) for spec in staged.below(staged.root.name))
    _write_rows(at, fates)
    if contract.write == "history" and (removed or fates.keys() & {"inserted", "updated", "deleted"}):
        since = history.moment(contract, staged.started)
        history.end(connection, target, _root(at), contract, staged.fetch, since)
        history.settle(connection, target, _root(at))
    told = {"quarantined": staged.quarantined, "filtered": _filtered(at) + staged.forgotten}
    return Account(staged.received, **fates, **told, removed=removed, child_rows=child_rows, dropped=staged.dropped)


def _filtered(at: _Merge) -> int:
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
    for table in [*there, *(mine for mine, _ in beside(target, target, contract))]:
        connection.execute(f"DELETE FROM {table} WHERE list_contains(?, _fetch)", [list(fetches)])


def _root(at: _Merge) -> str:
    return at.target.table(at.staged.root.name)


def _newer(at: _Merge, theirs: str) -> str:
    """SQL: version `theirs` (of the versions table) is greater than the staged version `r`."""
    # Where nothing was joined, all of theirs is null, and null is the greatest in a comparison of tuples.
    return (
        f"{theirs}._id IS NOT NULL AND ("
        f"{theirs}.newest IS NOT NULL AND (r._newest IS NULL OR {theirs}.newest > r._newest) OR "
        f"{theirs}.newest IS NOT DISTINCT FROM r._newest AND "
        f"({theirs}._fetch, {theirs}._page, {theirs}._position) > ({at.staged.fetch}, r._page, r._position))"
    )


def _candidates(at: _Merge, which: str, parts: Sequence[str]) -> str:
    """SQL: of each id the newest version in this fetch that is `which`, where no version of `parts` is newer."""
    names = _texts(parts)
    return f"""
        SELECT r.* FROM (
            SELECT * FROM {at.staged.ranked} WHERE {which}
            QUALIFY row_number() OVER (PARTITION BY _id ORDER BY {ORDER}) = 1
        ) AS r
        WHERE NOT EXISTS (
            SELECT 1 FROM {at.target.versions} AS v WHERE v._id = r._id AND v.part IN ({names}) AND {_newer(at, "v")}
        )"""


def _decide(at: _Merge) -> dict[str, int]:
    """The fate of every record that fits; in table `decided`, but for duplicates."""
    versions, outdated, same, changed = "", f"t._fetch > {at.staged.fetch}", "t._id = r._id", "updated"
    if at.contract.write == "history" and at.contract.newest_by is None:
        same, changed = "t._key = r._key AND t.current", "inserted"
    if versioned(at.contract):
        versions = f"LEFT JOIN {at.target.versions} AS v ON v._id = r._id AND v.part = {literal(ROOT)}"
        outdated = _newer(at, "v")
    stands = " AND t._deleted IS NULL" if at.contract.deletes == "soft" else ""
    at.run(f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT r._row, r._id, r._key, r._newest, r._page, r._position, r._hash, CASE
                WHEN {outdated} THEN 'outdated'
                WHEN r._deleted THEN 'deleted'
                WHEN t._id IS NULL THEN 'inserted'
                WHEN t._hash = r._hash{stands} THEN 'unchanged'
                ELSE '{changed}'
            END AS fate
        FROM {at.staged.ranked} AS r
        LEFT JOIN {_root(at)} AS t ON {same} {versions}
        WHERE r._rank = 1""")
    found = at.connection.execute(f"""
        SELECT fate, count(*) FROM decided GROUP BY fate
        UNION ALL SELECT 'duplicates', count(*) FROM {at.staged.ranked} WHERE _rank > 1""")
    return {fate: count for fate, count in found.fetchall() if count}


def _remember(at: _Merge, part: str, which: str) -> None:
    """Put the versions of `which` into the versions table, in place of the former ones of this part."""
    fetch = at.staged.fetch
    at.run(f"""
        MERGE INTO {at.target.versions} AS v
        USING (SELECT _id, _newest, _page, _position, _hash {which}) AS s
        ON v._id = s._id AND v.part = {literal(part)}
        WHEN MATCHED THEN UPDATE SET
            newest = s._newest, _fetch = {fetch}, _page = s._page, _position = s._position, _hash = s._hash
        WHEN NOT MATCHED THEN INSERT VALUES
            (s._id, {literal(part)}, s._newest, {fetch}, s._page, s._position, s._hash)""")


def _remove_vanished(at: _Merge, replaced: Sequence[int]) -> int:
    """Rows of the partition's former fetches that did not come again, with their children; how many rows."""
    at.run(
        f"CREATE OR REPLACE TEMP TABLE vanished AS SELECT _id FROM {_root(at)} "
        "WHERE list_contains(?, _fetch) AND _id NOT IN (SELECT _id FROM decided)",
        list(replaced),
    )
    return _delete_vanished(at)


def _delete_vanished(at: _Merge) -> int:
    count = at.run(f"DELETE FROM {_root(at)} WHERE _id IN (FROM vanished)")
    if count:
        for spec in at.staged.below(at.staged.root.name):
            _delete_children(at, spec, "FROM vanished")
    return count


def _sweep(at: _Merge, sweep: Sweep) -> int:
    """What the fetch did not bring any more is gone; how many rows."""
    count = vanish(at.connection, _root(at), at.staged, at.contract, sweep)
    if count and at.contract.write == "history":  # ends like that of a tombstone
        at.run(
            "INSERT INTO decided (_id, _key, fate) "
            f"SELECT CAST(md5(concat('swept {at.staged.fetch}/', _id)) AS UUID), _id, 'deleted' FROM vanished"
        )
    elif count and at.contract.deletes == "soft":
        _mark(at, "FROM vanished")
    elif count:
        _delete_vanished(at)
    return count


def _mark(at: _Merge, ids: str) -> None:
    """Say of rows that are there still that they are deleted, since this fetch."""
    at.run(
        f"UPDATE {_root(at)} SET _deleted = CAST(? AS TIMESTAMPTZ) WHERE _deleted IS NULL AND _id IN ({ids})",
        at.staged.started,
    )


def _write_rows(at: _Merge, fates: Mapping[str, int]) -> None:
    # An UPDATE of rows here and there has DuckDB write all columns anew around each of them.
    anew = ["updated"] if at.contract.write != "history" else []
    gone, come = ["deleted", *anew], ["inserted", *anew]
    if fates.get("deleted") and at.contract.deletes == "soft":
        _mark(at, "SELECT _id FROM decided WHERE fate = 'deleted'")
        gone = anew
    if any(map(fates.get, gone)):
        at.run(f"DELETE FROM {_root(at)} WHERE _id IN (SELECT _id FROM decided WHERE fate IN ({_texts(gone)}))")
    if any(map(fates.get, come)):
        # The staged rows have to pass by, and the narrow table of fates to be held: not what DuckDB chooses here.
        at.run("SET disabled_optimizers = 'join_order,build_side_probe_side'")
        at.run(f"INSERT INTO {_root(at)} BY NAME {_rows(at, come)}")
        at.run("RESET disabled_optimizers")
    if not anew and fates.get("updated"):
        names = [quoted(column.name) for column in at.staged.root.columns] + ["_fetch", "_page", "_position", "_hash"]
        changes = ", ".join(f"{name} = s.{name}" for name in names)
        changes += ", _deleted = NULL" if at.contract.deletes == "soft" else ""
        at.run(f"UPDATE {_root(at)} AS t SET {changes} FROM ({_rows(at, ['updated'])}) AS s WHERE t._id = s._id")


def _texts(texts: Sequence[str]) -> str:
    return ", ".join(map(literal, texts))


def _rows(at: _Merge, fates: Sequence[str]) -> str:
    """SQL: the staged rows of these fates, with all columns of the table."""
    columns = "".join(f"s.{quoted(column.name)}, " for column in at.staged.root.columns)
    if at.contract.write == "history":
        since = history.moment(at.contract, at.staged.started)
        columns += f"d._key, {since} AS valid_from, NULL AS valid_until, true AS current, "
    return f"""
        SELECT {columns}d._id, CAST({at.staged.fetch} AS BIGINT) AS _fetch, d._page, d._position, d._hash
        FROM {at.staged.table(at.staged.root.name)} AS s
        JOIN (SELECT * FROM decided WHERE fate IN ({_texts(fates)})) AS d USING (_row)"""


def _merge_list(at: _Merge, spec: TableSpec, fates: Mapping[str, int]) -> int:
    """Bring one list of all rows to its newest version; how many child rows were written, those below included."""
    if not versioned(at.contract):  # the newest version of each key says it all, where no key came twice
        if not fates.keys() - {"unchanged"}:
            return 0
        if at.contract.write == "history":  # each version has the lists that came with it
            return _insert_children(at, spec, "(FROM decided WHERE fate = 'inserted')", "_root_row")
        if not fates.keys() - {"inserted"}:  # nothing is below a row that was not there
            return _insert_children(at, spec, "decided", "_root_row")
    table, has_list = at.target.table(spec.name), quoted(spec.name)
    found = f"""
        SELECT * FROM {at.staged.ranked} WHERE {has_list} {_of_rows(at)}
        QUALIFY row_number() OVER (PARTITION BY _id ORDER BY {ORDER}) = 1"""
    if versioned(at.contract):
        found = _candidates(at, has_list, (spec.name, TOMBSTONE))
    # The same record has the same child rows: they are not written again.
    at.run(f"""
        CREATE OR REPLACE TEMP TABLE listed AS
        SELECT r._row, r._id, r._key, r._newest, r._page, r._position, r._hash, r._deleted, NOT r._deleted AND
            EXISTS (SELECT 1 FROM {table} AS c WHERE c._parent = r._id AND c._hash = r._hash) AS same
        FROM ({found}) AS r""")
    if versioned(at.contract):
        _remember(at, spec.name, "FROM listed")
    if fates.keys() - {"inserted", "duplicates"}:
        _delete_children(at, spec, "SELECT _id FROM listed WHERE NOT same")
    return _insert_children(at, spec, "(FROM listed WHERE NOT same AND NOT _deleted)", "_root_row")


def _of_rows(at: _Merge) -> str:
    """SQL: what is deleted softly keeps the lists that it had."""
    if at.contract.deletes == "hard":
        return ""
    return "AND NOT _deleted AND _id NOT IN (SELECT _id FROM decided WHERE fate = 'deleted')"


def _delete_children(at: _Merge, spec: TableSpec, parents: str) -> None:
    """Delete the child rows of the ids that the query `parents` gives, the deepest first."""
    theirs = f"{at.target.table(spec.name)} WHERE _parent IN ({parents})"
    for inner in at.staged.below(spec.name):
        _delete_children(at, inner, f"SELECT _id FROM {theirs}")
    at.run(f"DELETE FROM {theirs}")


def _insert_children(at: _Merge, spec: TableSpec, parents: str, link: str) -> int:
    """Insert the staged child rows whose `link` is the _row of one of `parents`, and theirs below them; how many."""
    if spec.name not in at.staged.filled:
        return 0
    joined = f"{at.staged.table(spec.name)} AS c JOIN {parents} AS p ON p._row = c.{link}"
    identity = f"CAST(md5(concat(p._id, '/', {literal(spec.name)}, '/', c._position)) AS UUID) AS _id"
    columns = "".join(f"c.{quoted(column.name)}, " for column in spec.columns)
    count = at.run(f"""
        INSERT INTO {at.target.table(spec.name)} BY NAME
        SELECT {columns}{identity}, p._id AS _parent, CAST({at.staged.fetch} AS BIGINT) AS _fetch, p._page,
            c._position, p._hash
        FROM {joined}""")
    inner = [below for below in at.staged.below(spec.name) if below.name in at.staged.filled]
    if inner and count:
        written = quoted(f"rows of {spec.name}")
        at.run(f"CREATE OR REPLACE TEMP TABLE {written} AS SELECT c._row, {identity}, p._page, p._hash FROM {joined}")
        count += sum(_insert_children(at, below, written, "_parent_row") for below in inner)
    return count
