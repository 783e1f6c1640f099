"""The lists of a fetch's records into the child tables.

Child rows follow the newest version that has their list: an absent list leaves them, an empty one removes
them, and a tombstone counts as having every list empty, also lists that were never seen until after it.
"""

from collections.abc import Mapping

from ingest_assets.load.changed_lists import delete_found, search
from ingest_assets.load.child_rows import delete_children, insert_children
from ingest_assets.load.merging import Merge
from ingest_assets.load.tables import TOMBSTONE, versioned
from ingest_assets.load.versions import candidates, newest, remember
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec


def merge_list(at: Merge, spec: TableSpec, fates: Mapping[str, int]) -> int:
    """Bring one list of all rows to its newest version; how many child rows were written, those below included."""
    if not versioned(at.contract):  # the newest version of each key says it all, where no key came twice
        if not fates.keys() - {"unchanged"}:
            return 0
        if at.contract.write == "history":  # each version has the lists that came with it
            return insert_children(at, spec, "(FROM decided WHERE fate = 'inserted')", "_root_row")
        if not fates.keys() - {"inserted"}:  # nothing is below a row that was not there
            return insert_children(at, spec, "decided", "_root_row")
        if at.staged.distinct and "outdated" not in fates:
            return _follow(at, spec, fates)
    table, has_list = at.target.table(spec.name), quoted(spec.name)
    found = newest(at, f"{has_list} {_of_rows(at)}")
    if versioned(at.contract):
        found = candidates(at, has_list, (spec.name, TOMBSTONE))
    # A join, since DuckDB holds all that is looked up by EXISTS here, and that may be all child rows.
    at.run(f"""
        CREATE OR REPLACE TEMP TABLE listed AS
        WITH found AS MATERIALIZED ({found})
        SELECT r._row, r._id, r._key, r._newest, r._of, r._page, r._position, r._hash, r._deleted,
            NOT r._deleted AND
            r._id IN (SELECT f._id FROM {table} AS c JOIN found AS f ON c._parent = f._id AND c._hash = f._hash) AS same
        FROM found AS r""")
    if versioned(at.contract):
        remember(at, spec.name, "FROM listed")
    if fates.keys() - {"inserted", "duplicates"}:
        delete_children(at, spec, "SELECT _id FROM listed WHERE NOT same")
    return insert_children(at, spec, "(FROM listed WHERE NOT same AND NOT _deleted)", "_root_row")


def _follow(at: Merge, spec: TableSpec, fates: Mapping[str, int]) -> int:
    """Bring one list of each row that is written to what came with it, where no id came twice; how many child rows."""
    come = search(at, spec, fates)
    delete_found(at, spec, fates)
    return insert_children(at, spec, come, "_root_row")


def _of_rows(at: Merge) -> str:
    """SQL: what is deleted softly keeps the lists that it had."""
    if at.contract.deletes == "hard":
        return ""
    return "AND NOT _deleted AND _id NOT IN (SELECT _id FROM decided WHERE fate = 'deleted')"
