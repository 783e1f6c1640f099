"""Whether the API changed within the last week; later it is in `_ingest.drift` only, since a red check is not read."""

from datetime import timedelta

import duckdb

from ingest_assets.load.drift import Change, shown
from ingest_assets.load.looked import Found, Looked

_TOLD_FOR = timedelta(days=7)
_NAMED = 5


def drift(at: Looked) -> Found:
    """Nothing came within the last week that the table did not know, and no column vanished."""
    try:
        rows = at.rows(
            'SELECT _fetch, kind, "table", "column", former, now, sample FROM _ingest.drift '
            'WHERE source = ? AND endpoint = ? AND noticed >= ? ORDER BY noticed DESC, kind, "table", "column"',
            at.source,
            at.name,
            at.now - _TOLD_FOR,
        )
    except duckdb.CatalogException:  # a reader's copy that an earlier version published
        return Found()
    if not rows:
        return Found("", {"changes": 0}, serious=False)
    all_found = [Change(kind, table, column, former, now, fetch=fetch, sample=sample)
                 for fetch, kind, table, column, former, now, sample in rows]  # fmt: skip
    found = shown(all_found, at.tables)
    more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    told = "; ".join(f"{change.text} (since fetch {change.fetch})" for change in found[:_NAMED])
    problem = f"the API changed: {told}{more}. Next: declare what is to stay, or leave it: it is told for a week"
    return Found(problem, {"changes": len(found)}, serious=False)
