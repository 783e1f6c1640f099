"""The lists of a fetch's records into the child tables.

Child rows follow the newest version that has their list: an absent list leaves them, an empty one removes
them, and a tombstone counts as having every list empty, also lists that were never seen until after it. One that came
again as it was leaves them too: they have its hash, and go on citing what brought it.
"""

from collections.abc import Mapping

from ingest_assets.load.merging import COME, Merge, texts
from ingest_assets.load.staged import child_id, list_hash
from ingest_assets.load.tables import ROOT, TOMBSTONE, versioned
from ingest_assets.load.versions import candidates, newest, remember
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import TableSpec

_FEW = 200_000  # parents that memory holds with ease; DuckDB goes through more of them with both threads by itself


def merge_list(at: Merge, spec: TableSpec, fates: Mapping[str, int]) -> int:
    """Bring one list of all rows to its newest version; how many child rows were written, those below included."""
    if not versioned(at.contract):  # the newest version of each key says it all, where no key came twice
        if not fates.keys() - {"unchanged"}:
            return 0
        if at.contract.write == "history":  # each version has the lists that came with it
            return insert_children(at, spec, with_lists(spec, "fate = 'inserted'"), "_root_row")
        if not fates.keys() - {"inserted"}:  # nothing is below a row that was not there
            return insert_children(at, spec, with_lists(spec), "_root_row")
        if at.staged.distinct and "outdated" not in fates:
            meet(at, spec)
            delete_met(at, spec)
            return insert_children(at, spec, with_lists(spec, anew(spec)), "_root_row")
    table, has_list = at.target.table(spec.name), quoted(spec.name)
    found = newest(at, f"{has_list} {_of_rows(at)}")
    if versioned(at.contract):
        # A version of a history says what each list of it is, also one that came before the list was known.
        says = (ROOT,) if at.contract.write == "history" else (spec.name, TOMBSTONE)
        found = candidates(at, has_list, says)
    # A join, since DuckDB holds all that is looked up by EXISTS here, and that may be all child rows.
    at.run(f"""
        CREATE OR REPLACE TEMP TABLE listed AS
        WITH found AS MATERIALIZED (
            SELECT * REPLACE (CASE WHEN _deleted THEN _hash ELSE {list_hash(spec)} END AS _hash) FROM ({found})
        )
        SELECT r._row, r._id, r._key, r._newest, r._of, r._page, r._position, r._hash, r._deleted,
            NOT r._deleted AND
            r._id IN (SELECT f._id FROM {table} AS c JOIN found AS f ON c._parent = f._id AND c._hash = f._hash) AS same
        FROM found AS r""")
    if versioned(at.contract):
        remember(at, spec.name, "FROM listed")
    if fates.keys() - {"inserted", "duplicates"}:
        going = f"SELECT r._row, r._of FROM {table} AS c JOIN listed AS r ON c._parent = r._id"
        _note_emptied(at, spec, f"{going} WHERE NOT r.same AND NOT r._deleted")
        delete_children(at, spec, "SELECT _id FROM listed WHERE NOT same")
    return insert_children(at, spec, "(FROM listed WHERE NOT same AND NOT _deleted)", "_root_row")


def meet(at: Merge, spec: TableSpec) -> None:
    """Find the child rows of rows that were there, where no id came twice: those that stay, and those that go.

    With what is below them they are in temporary tables, that of a list's is `met`: the place of each, whether it stays
    since the list came again as it was, and the _row of its record.
    """
    gone = ["updated", *(["deleted"] if at.contract.deletes == "hard" else [])]
    same = f"coalesce(d.fate = 'updated' AND c._hash = d.{list_hash(spec)}, false)"
    _keep_places(
        at,
        spec,
        f"d._row, {same} AS same",
        f"JOIN decided AS d ON c._parent = d._id WHERE d.{quoted(spec.name)} AND d.fate IN ({texts(gone)})",
    )
    going = f"SELECT d._row, d._of FROM {met(spec)} AS c JOIN decided AS d USING (_row) WHERE NOT c.same"
    if at.count(f"({going})"):
        _note_emptied(at, spec, going)


def _note_emptied(at: Merge, spec: TableSpec, going: str) -> None:
    """Put the lists that came empty into table `emptied`; `going` are _row and _of of each child row that goes.

    No row cites their fetch, and without it what is older would come back. Versions cite it where there are any, and
    of what is replaced the newest fetch is kept.
    """
    if at.contract.write == "merge" and not versioned(at.contract):
        came = f"SELECT _root_row FROM {at.staged.table(spec.name)}"
        at.run(f"INSERT INTO emptied SELECT DISTINCT _row, _of FROM ({going}) WHERE _row NOT IN ({came})")


def _keep_places(at: Merge, spec: TableSpec, told: str, which: str) -> None:
    inner = at.staged.below(spec.name)
    at.run(
        f"CREATE OR REPLACE TEMP TABLE {met(spec)} AS "
        f"SELECT c.rowid AS _there, {told}{', c._id' if inner else ''} FROM {at.target.table(spec.name)} AS c {which}"
    )
    for below in inner:
        which = f"WHERE c._parent IN (SELECT _id FROM {met(spec)} WHERE NOT same)"
        _keep_places(at, below, "NULL AS _row, false AS same", which)


def met(spec: TableSpec) -> str:
    """SQL: the table that `meet` makes of a list's child rows."""
    return quoted(f"met {spec.name}")


def delete_met(at: Merge, spec: TableSpec) -> None:
    """Delete the child rows that `meet` found to go, and what is below them."""
    for below in at.staged.below(spec.name):
        delete_met(at, below)
    gone = f"SELECT _there FROM {met(spec)} WHERE NOT same"
    if at.count(f"({gone})"):
        at.run(f"DELETE FROM {at.target.table(spec.name)} WHERE rowid IN ({gone})")


def anew(spec: TableSpec) -> str:
    """SQL: the list of a decided row has to be written, by what `meet` found."""
    kept = f"SELECT _row FROM {met(spec)} WHERE same"
    return f"{quoted(spec.name)} AND fate IN ({texts(COME)}) AND _row NOT IN ({kept})"


def with_lists(spec: TableSpec, which: str = "true") -> str:
    """SQL: decided rows of which this holds, as parents of what came in one list with them."""
    return f"(SELECT _row, _id, _of, _page, {list_hash(spec)} AS _hash FROM decided WHERE {which})"


def _of_rows(at: Merge) -> str:
    """SQL: what is deleted softly keeps the lists that it had."""
    if at.contract.deletes == "hard":
        return ""
    return "AND NOT _deleted AND _id NOT IN (SELECT _id FROM decided WHERE fate = 'deleted')"


def delete_children(at: Merge, spec: TableSpec, parents: str) -> None:
    """Delete the child rows of the ids that the query `parents` gives, the deepest first."""
    theirs = f"{at.target.table(spec.name)} WHERE _parent IN ({parents})"
    for inner in at.staged.below(spec.name):
        delete_children(at, inner, f"SELECT _id FROM {theirs}")
    at.run(f"DELETE FROM {theirs}")


def insert_children(at: Merge, spec: TableSpec, parents: str, link: str) -> int:
    """Insert the staged child rows whose `link` is the _row of one of `parents`, and theirs below them; how many.

    Parents are rows with _id, _of, _page, and the _hash that their child rows get.
    """
    if spec.name not in at.staged.filled:
        return 0
    joined = f"{at.staged.table(spec.name)} AS c JOIN {parents} AS p ON p._row = c.{link}"
    identity = child_id(spec.name) + " AS _id"
    columns = "".join(f"c.{quoted(column.name)}, " for column in spec.columns)
    run = at.run_in_order if at.count(parents) <= _FEW else at.run
    count = run(f"""
        INSERT INTO {at.target.table(spec.name)} BY NAME
        SELECT {columns}{identity}, p._id AS _parent, p._of AS _fetch, p._page,
            c._position, p._hash
        FROM {joined}""")
    inner = [below for below in at.staged.below(spec.name) if below.name in at.staged.filled]
    if inner and count:
        written = quoted(f"rows of {spec.name}")
        shown = f"SELECT c._row, {identity}, p._of, p._page, p._hash FROM {joined}"
        run(f"CREATE OR REPLACE TEMP TABLE {written} AS {shown}")
        count += sum(insert_children(at, below, written, "_parent_row") for below in inner)
    return count
