"""The versions table: which version of a row, or of a list of it, is the newest that ever came.

It is there where loads may come in another order than versions (see `ingest_assets.load.tables`).
"""

from collections.abc import Sequence

from ingest_assets.load.merging import Merge, texts
from ingest_assets.load.staged import ORDER
from ingest_assets.load.warehouse import literal


def newer(at: Merge, theirs: str) -> str:
    """SQL: version `theirs` (of the versions table) is greater than the staged version `r`."""
    # Where nothing was joined, all of theirs is null, and null is the greatest in a comparison of tuples.
    return (
        f"{theirs}._id IS NOT NULL AND ("
        f"{theirs}.newest IS NOT NULL AND (r._newest IS NULL OR {theirs}.newest > r._newest) OR "
        f"{theirs}.newest IS NOT DISTINCT FROM r._newest AND "
        f"({theirs}._fetch, {theirs}._page, {theirs}._position) > ({at.staged.fetch}, r._page, r._position))"
    )


def newest(at: Merge, which: str) -> str:
    """SQL: of each id the newest version in this fetch that is `which`."""
    found = f"SELECT * FROM {at.staged.ranked} WHERE {which}"
    if at.staged.distinct:
        return found
    return f"{found} QUALIFY row_number() OVER (PARTITION BY _id ORDER BY {ORDER}) = 1"


def candidates(at: Merge, which: str, parts: Sequence[str]) -> str:
    """SQL: of each id the newest version in this fetch that is `which`, where no version of `parts` is newer."""
    names = texts(parts)
    return f"""
        SELECT r.* FROM ({newest(at, which)}) AS r
        WHERE NOT EXISTS (
            SELECT 1 FROM {at.target.versions} AS v WHERE v._id = r._id AND v.part IN ({names}) AND {newer(at, "v")}
        )"""


def remember(at: Merge, part: str, which: str) -> None:
    """Put the versions of `which` into the versions table, in place of the former ones of this part."""
    # Taken out and put in: an UPDATE of rows here and there has DuckDB write all columns anew around each of them.
    at.run(f"DELETE FROM {at.target.versions} WHERE part = {literal(part)} AND _id IN (SELECT _id {which})")
    at.run(f"""
        INSERT INTO {at.target.versions} (_id, part, newest, _fetch, _page, _position, _hash)
        SELECT _id, {literal(part)}, _newest, {at.staged.fetch}, _page, _position, _hash {which}""")
