"""What becomes of each record of a fetch, and the rows that come of those that are written."""

from collections.abc import Sequence

from ingest_assets.load import history
from ingest_assets.load.merging import Merge, texts
from ingest_assets.load.staged import list_hash, same_row, same_version
from ingest_assets.load.tables import ROOT, versioned
from ingest_assets.load.versions import newer
from ingest_assets.load.warehouse import literal, quoted


def decide(at: Merge) -> dict[str, int]:
    """The fate of every record that fits; in table `decided`, but for duplicates.

    `_before` is the fetch of another record that is there. Of which fetches a list empties what was there, is for
    `emptied`: that table is made here.
    """
    versions, outdated, same, changed = "", "t._fetch > r._of", same_row(at.staged, at.contract), "updated"
    lists = "".join(f"r.{quoted(spec.name)}, r.{list_hash(spec)}, " for spec in at.staged.below(at.staged.root.name))
    if at.contract.write == "history" and at.contract.newest_by is None:
        same, changed = "t._key = r._key AND t.current", "inserted"
    if versioned(at.contract):
        versions = f"LEFT JOIN {at.target.versions} AS v ON v._id = r._id AND v.part = {literal(ROOT)}"
        outdated = newer(at, "v")
    stands = " AND t._deleted IS NULL" if at.contract.deletes == "soft" else ""
    at.run(f"""
        CREATE OR REPLACE TEMP TABLE decided AS
        SELECT r._row, r._id, r._key, r._newest, r._of, r._page, r._position, r._hash, {lists}t.rowid AS _there,
            CASE WHEN NOT ({same_version(at.staged, at.contract)}) THEN t._fetch END AS _before, CASE
                WHEN {outdated} THEN 'outdated'
                WHEN r._deleted THEN 'deleted'
                WHEN t._fetch IS NULL THEN 'inserted'
                WHEN {same_version(at.staged, at.contract)}{stands} THEN 'unchanged'
                ELSE '{changed}'
            END AS fate
        FROM {at.staged.ranked} AS r
        LEFT JOIN {at.root} AS t ON {same} {versions}
        WHERE r._rank = 1""")
    at.run("CREATE OR REPLACE TEMP TABLE emptied (_row BIGINT, _of BIGINT)")
    found = at.connection.execute(f"""
        SELECT fate, count(*) FROM decided GROUP BY fate
        UNION ALL SELECT 'duplicates', count(*) FROM {at.staged.ranked} WHERE _rank > 1""")
    return {fate: count for fate, count in found.fetchall() if count}


def written(at: Merge, fates: Sequence[str]) -> str:
    """SQL: the staged rows of these fates, with all columns of the table."""
    columns = "".join(f"s.{quoted(column.name)}, " for column in at.staged.root.columns)
    if at.contract.write == "history":
        since = history.moment(at.contract, at.staged.started)
        columns += f"d._key, {since} AS valid_from, NULL AS valid_until, true AS current, "
    return f"""
        SELECT {columns}d._id, d._of AS _fetch, d._page, d._position, d._hash
        FROM {at.staged.table(at.staged.root.name)} AS s
        JOIN (SELECT * FROM decided WHERE fate IN ({texts(fates)})) AS d USING (_row)"""
