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


def candidates(at: Merge, which: str, parts: Sequence[str]) -> str:
    """SQL: of each id the newest version in this fetch that is `which`, where no version of `parts` is newer."""
    names = texts(parts)
    return f"""
        SELECT r.* FROM (
            SELECT * FROM {at.staged.ranked} WHERE {which}
            QUALIFY row_number() OVER (PARTITION BY _id ORDER BY {ORDER}) = 1
        ) AS r
        WHERE NOT EXISTS (
            SELECT 1 FROM {at.target.versions} AS v WHERE v._id = r._id AND v.part IN ({names}) AND {newer(at, "v")}
        )"""


def remember(at: Merge, part: str, which: str) -> None:
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
