"""How child rows get into their tables, and out of them: with those below them."""

from ingest_assets.load.merging import Merge
from ingest_assets.load.staged import hashed
from ingest_assets.load.warehouse import literal, quoted
from ingest_assets.normalize.registry import TableSpec

_FEW = 200_000  # parents that memory holds with ease; DuckDB goes through more of them with both threads by itself


def child_id(spec: TableSpec) -> str:
    """SQL: the id of a staged child row `c` of the row `p`."""
    return hashed(f"concat(p._id, '/', {literal(spec.name)}, '/', c._position)")


def delete_children(at: Merge, spec: TableSpec, parents: str) -> None:
    """Delete the child rows of the ids that the query `parents` gives, the deepest first."""
    theirs = f"{at.target.table(spec.name)} WHERE _parent IN ({parents})"
    for inner in at.staged.below(spec.name):
        delete_children(at, inner, f"SELECT _id FROM {theirs}")
    at.run(f"DELETE FROM {theirs}")


def insert_children(at: Merge, spec: TableSpec, parents: str, link: str) -> int:
    """Insert the staged child rows whose `link` is the _row of one of `parents`, and theirs below them; how many."""
    if spec.name not in at.staged.filled:
        return 0
    joined = f"{at.staged.table(spec.name)} AS c JOIN {parents} AS p ON p._row = c.{link}"
    identity = f"{child_id(spec)} AS _id"
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
