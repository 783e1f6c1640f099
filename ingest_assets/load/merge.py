"""Staged rows into tables: which version of a key wins, and what is left alone.

For each record there is one fate, decided before anything is written:

    quarantined   did not fit (decided while staging)
    duplicates    another record of the same fetch has the same key and is newer
    outdated      the table holds a newer version
    deleted       a tombstone
    inserted      the key was not there
    updated       the key was there with another record
    unchanged     the key was there with this very record: nothing is written

Child rows follow the newest version that has their list: an absent list leaves them, an empty one removes
them, and a tombstone counts as having every list empty. With `newest_by`, the target's versions table holds
the newest version of each row and of each of its lists, so that load order decides nothing; without it, a
partition's fetches come in their order, and a higher fetch number is newer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ingest_assets.contract import Contract
from ingest_assets.load.tables import Target
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec

_ORDER = "_newest DESC NULLS LAST, _page DESC, _position DESC"


@dataclass(frozen=True)
class Staged:
    """A staged fetch: its tables are in schema `f<fetch>` of the staging database."""

    fetch: int
    partition: str | None
    specs: tuple[TableSpec, ...]
    received: int
    quarantined: int

    def table(self, name: str) -> str:
        """The full name of one of its tables."""
        return f"{quoted(f'f{self.fetch}')}.{quoted(name)}"


@dataclass(frozen=True)
class Account:
    """What became of the records of one fetch; `removed` and `child_rows` count rows, not records."""

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

    @property
    def adds_up(self) -> bool:
        """Promise 3: every record has one fate."""
        parts = (self.inserted, self.updated, self.unchanged, self.outdated, self.deleted)
        return self.received == sum(parts) + self.quarantined + self.duplicates + self.filtered


def rank(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract) -> None:
    """Give every staged row its id, and its rank among the versions of its key (1 is the newest).

    A row's id is a hash of its primary key; where there is none, of its content and how often that came. Tables
    that are replaced by partition have the partition in it, so that partitions can't take each other's rows.
    """
    root = staged.specs[0]
    newest = quoted(contract.newest_by) if contract.newest_by else "NULL"
    place = "" if contract.write == "merge" else _literal(staged.partition or "")
    if contract.primary_key:
        there = {column.name for column in root.columns}  # a key not seen yet has no column, and no row has it
        parts = [f"CAST({quoted(n) if n in there else 'NULL'} AS VARCHAR)" for n in contract.primary_key]
        key = ", ".join(f"length({part}), ':', {part}" for part in parts)
    else:
        key = "_hash, ':', row_number() OVER (PARTITION BY _hash ORDER BY _page, _position)"
    name = f"concat({place}, '/', {key})" if place else f"concat({key})"
    lists = "".join(f", {_present(spec, contract)} AS {quoted(spec.name)}" for spec in _lists(staged))
    connection.execute(
        f"CREATE TABLE {staged.table('_ranked')} AS SELECT *, row_number() OVER (PARTITION BY _id ORDER BY {_ORDER}) AS _rank "
        f"FROM (SELECT _row, CAST(md5({name}) AS UUID) AS _id, {newest} AS _newest, _page, _position, _hash, _deleted"
        f"{lists} FROM {staged.table(root.name)})"
    )


def merge(
    connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract, target: Target, replaced: Sequence[int]
) -> Account:
    """Write a ranked fetch into the target's tables; the account tells what became of its records.

    `replaced` are the fetches whose rows a table that is replaced as a whole or by partition gives up: those of the
    same partition. Runs inside the caller's transaction.
    """
    _decide(connection, staged, contract, target)
    removed = 0
    if contract.write != "merge":
        removed = _remove_vanished(connection, staged, target, replaced)
    child_rows = 0
    for spec in _lists(staged):
        child_rows += _merge_children(connection, staged, contract, target, spec)
    _write_rows(connection, staged, contract, target)
    fates = dict(connection.execute("SELECT fate, count(*) FROM decided GROUP BY fate").fetchall())
    ranked = connection.execute(f"SELECT count(*) FROM {staged.table('_ranked')} WHERE _rank > 1").fetchone()
    connection.execute("DROP TABLE decided")
    return Account(
        staged.received, **fates, quarantined=staged.quarantined, duplicates=ranked[0] if ranked else 0,
        removed=removed, child_rows=child_rows,
    )  # fmt: skip


def forget(
    connection: duckdb.DuckDBPyConnection, target: Target, specs: Sequence[TableSpec], fetches: Sequence[int]
) -> None:
    """Take all rows out of the target that cite one of these fetches."""
    for spec in specs:
        connection.execute(f"DELETE FROM {target.table(spec.name)} WHERE _fetch IN (SELECT unnest(?))", [list(fetches)])


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _lists(staged: Staged) -> list[TableSpec]:
    """The child tables of the rows themselves; theirs come with them."""
    root = staged.specs[0].name
    return [spec for spec in staged.specs[1:] if spec.parent == root]


def _present(spec: TableSpec, contract: Contract) -> str:
    # A replaced table knows its newest fetch only, so there a list that is absent is as good as empty.
    return f"({quoted(spec.present or '')} OR _deleted)" if contract.write == "merge" else "true"


def _newer(mine: str, theirs: str, fetch: int) -> str:
    """SQL: version `theirs` (of the versions table) is greater than the staged version `mine`."""
    return (
        f"({theirs}.newest IS NOT NULL AND ({mine}._newest IS NULL OR {theirs}.newest > {mine}._newest)) OR "
        f"({theirs}.newest IS NOT DISTINCT FROM {mine}._newest AND "
        f"({theirs}._fetch, {theirs}._page, {theirs}._position) > ({fetch}, {mine}._page, {mine}._position))"
    )


def _decide(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract, target: Target) -> None:
    versions = ""
    outdated = f"t._fetch > {staged.fetch}"
    if contract.newest_by:
        versions = f"LEFT JOIN {target.versions} AS v ON v._id = r._id AND v.part = ''"
        outdated = _newer("r", "v", staged.fetch)
    connection.execute(
        f"CREATE TEMP TABLE decided AS SELECT r._row, r._id, r._newest, r._page, r._position, r._hash, r._deleted, CASE "
        f"WHEN {outdated} THEN 'outdated' WHEN r._deleted THEN 'deleted' WHEN t._id IS NULL THEN 'inserted' "
        f"WHEN t._hash = r._hash THEN 'unchanged' ELSE 'updated' END AS fate "
        f"FROM {staged.table('_ranked')} AS r LEFT JOIN {target.table(staged.specs[0].name)} AS t ON t._id = r._id {versions} "
        f"WHERE r._rank = 1"
    )
    if contract.newest_by:
        _remember(connection, target, "", staged.fetch, "FROM decided WHERE fate <> 'outdated'")


def _remember(connection: duckdb.DuckDBPyConnection, target: Target, part: str, fetch: int, which: str) -> None:
    """Put the versions of `which` (rows of _id, _newest, _page, _position, _deleted) into the versions table."""
    connection.execute(
        f"MERGE INTO {target.versions} AS v USING (SELECT _id, _newest, _page, _position, _deleted {which}) AS s "
        f"ON v._id = s._id AND v.part = {_literal(part)} "
        f"WHEN MATCHED THEN UPDATE SET newest = s._newest, _fetch = {fetch}, _page = s._page, _position = s._position, deleted = s._deleted "
        f"WHEN NOT MATCHED THEN INSERT VALUES (s._id, {_literal(part)}, s._newest, {fetch}, s._page, s._position, s._deleted)"
    )


def _remove_vanished(
    connection: duckdb.DuckDBPyConnection, staged: Staged, target: Target, replaced: Sequence[int]
) -> int:
    """Rows of the partition's former fetches that did not come again, with their children."""
    root = target.table(staged.specs[0].name)
    connection.execute(
        f"CREATE TEMP TABLE vanished AS SELECT t._id FROM {root} AS t ANTI JOIN decided AS d ON d._id = t._id "
        f"WHERE t._fetch IN (SELECT unnest(?))",
        [list(replaced)],
    )
    for spec in _lists(staged):
        _delete_children(connection, staged, target, spec, "vanished")
    connection.execute(f"DELETE FROM {root} WHERE _id IN (FROM vanished)")
    count = connection.execute("SELECT count(*) FROM vanished").fetchone()
    connection.execute("DROP TABLE vanished")
    return count[0] if count else 0


def _write_rows(connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract, target: Target) -> None:
    root = staged.specs[0]
    columns = [quoted(column.name) for column in root.columns]
    system = ["_id", "_fetch", "_page", "_position", "_hash"]
    values = [*(f"s.{name}" for name in columns), "d._id", str(staged.fetch), "d._page", "d._position", "d._hash"]
    table = target.table(root.name)
    changed = f"FROM decided AS d JOIN {staged.table(root.name)} AS s USING (_row)"
    select = ", ".join(f"{value} AS {name}" for value, name in zip(values, [*columns, *system], strict=True))
    if contract.write != "merge" or contract.deleted is not None:
        connection.execute(f"DELETE FROM {table} WHERE _id IN (SELECT _id FROM decided WHERE fate = 'deleted')")
    connection.execute(
        f"MERGE INTO {table} AS t USING (SELECT {select} {changed} WHERE d.fate IN ('inserted', 'updated')) AS s "
        f"ON t._id = s._id "
        f"WHEN MATCHED THEN UPDATE SET {', '.join(f'{name} = s.{name}' for name in [*columns, *system[1:]])} "
        f"WHEN NOT MATCHED THEN INSERT ({', '.join([*columns, *system])}) "
        f"VALUES ({', '.join(f's.{name}' for name in [*columns, *system])})"
    )


def _merge_children(
    connection: duckdb.DuckDBPyConnection, staged: Staged, contract: Contract, target: Target, spec: TableSpec
) -> int:
    """Bring one list of all rows to its newest version; how many child rows were written, theirs included."""
    table = target.table(spec.name)
    older = f"EXISTS (SELECT 1 FROM {table} AS c WHERE c._parent = r._id AND c._fetch > {staged.fetch})"
    if contract.newest_by:
        newer = _newer("r", "v", staged.fetch)
        older = f"EXISTS (SELECT 1 FROM {target.versions} AS v WHERE v._id = r._id AND v.part = {_literal(spec.name)} AND ({newer}))"
    connection.execute(
        f"CREATE TEMP TABLE listed AS SELECT * FROM (SELECT r.* FROM {staged.table('_ranked')} AS r WHERE r.{quoted(spec.name)} "
        f"QUALIFY row_number() OVER (PARTITION BY r._id ORDER BY {_ORDER}) = 1) AS r WHERE NOT ({older})"
    )
    if contract.newest_by:
        _remember(connection, target, spec.name, staged.fetch, "FROM listed")
    # The same record has the same child rows: they are not written again.
    connection.execute(
        f"DELETE FROM listed AS r WHERE NOT r._deleted AND EXISTS "
        f"(SELECT 1 FROM {table} AS c WHERE c._parent = r._id AND c._hash = r._hash)"
    )
    _delete_children(connection, staged, target, spec, "listed")
    connection.execute("DELETE FROM listed WHERE _deleted")
    written = _insert_children(connection, staged, target, spec, "listed", "_row", "_root_row")
    connection.execute("DROP TABLE listed")
    return written


def _delete_children(
    connection: duckdb.DuckDBPyConnection, staged: Staged, target: Target, spec: TableSpec, parents: str
) -> None:
    """Delete the child rows of the ids in `parents`, the deepest first."""
    table = target.table(spec.name)
    below = [inner for inner in staged.specs if inner.parent == spec.name]
    if below:
        ids = quoted(f"ids of {spec.name}")
        connection.execute(
            f"CREATE TEMP TABLE {ids} AS SELECT _id FROM {table} WHERE _parent IN (SELECT _id FROM {parents})"
        )
        for inner in below:
            _delete_children(connection, staged, target, inner, ids)
        connection.execute(f"DROP TABLE {ids}")
    connection.execute(f"DELETE FROM {table} WHERE _parent IN (SELECT _id FROM {parents})")


def _insert_children(
    connection: duckdb.DuckDBPyConnection, staged: Staged, target: Target, spec: TableSpec,
    parents: str, parent_row: str, link: str,
) -> int:  # fmt: skip
    """Insert the staged child rows whose `link` is the `parent_row` of one of `parents`, and theirs below them."""
    written = quoted(f"rows of {spec.name}")
    connection.execute(
        f"CREATE TEMP TABLE {written} AS SELECT c._row, CAST(md5(concat(p._id, '/', {_literal(spec.name)}, '/', c._position)) AS UUID) AS _id, "
        f"p._id AS _parent, p._page, c._position, p._hash FROM {staged.table(spec.name)} AS c JOIN {parents} AS p ON p.{parent_row} = c.{link}"
    )
    columns = [quoted(column.name) for column in spec.columns]
    connection.execute(
        f"INSERT INTO {target.table(spec.name)} BY NAME SELECT {''.join(f's.{name}, ' for name in columns)}"
        f"w._id, w._parent, CAST({staged.fetch} AS BIGINT) AS _fetch, w._page, w._position, w._hash "
        f"FROM {written} AS w JOIN {staged.table(spec.name)} AS s USING (_row)"
    )
    row = connection.execute(f"SELECT count(*) FROM {written}").fetchone()
    count = row[0] if row else 0
    for inner in (inner for inner in staged.specs if inner.parent == spec.name):
        count += _insert_children(connection, staged, target, inner, written, "_row", "_parent_row")
    connection.execute(f"DROP TABLE {written}")
    return int(count)
