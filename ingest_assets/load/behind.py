"""Rows that stay current although a newer version of them is in quarantine."""

import json
from typing import Any

import duckdb

from ingest_assets.load.looked import Looked
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.columns import at as value_at
from ingest_assets.normalize.exact import exact
from ingest_assets.normalize.values import Unfit, json_text

_MOST = 10_000


def rows_behind(at: Looked) -> int:
    """How many rows have the key of a record that is in quarantine and came later; of the newest 10,000 of these.

    Keys are found by their columns' paths, or by their names. Records that cannot be read have none.
    """
    if not at.endpoint.primary_key:
        return 0
    aside = at.rows(
        "SELECT record, _fetch FROM _ingest.quarantine WHERE source = ? AND endpoint = ? AND closed_by IS NULL "
        "ORDER BY _fetch DESC, _page DESC, _position DESC LIMIT ?",
        at.source,
        at.name,
        _MOST,
    )
    keys = [(key, fetch) for record, fetch in aside if (key := _key(at, bytes(record))) is not None]
    parts = ", ".join(f"CAST(t.{quoted(name)} AS VARCHAR)" for name in at.endpoint.primary_key)
    query = (
        f"SELECT count(*) FROM {at.table} AS t JOIN (SELECT held, max(number) AS number FROM "
        "(SELECT unnest(?::VARCHAR[]) AS held, unnest(?::BIGINT[]) AS number) GROUP BY held) AS q "
        f"ON CAST(to_json([{parts}]) AS VARCHAR) = q.held WHERE t._fetch < q.number"
    )
    try:
        rows = at.rows(query, [key for key, _ in keys], [fetch for _, fetch in keys])
    except (duckdb.CatalogException, duckdb.BinderException):  # no row ever had a key
        return 0
    return int(rows[0][0])


def _key(at: Looked, raw: bytes) -> str | None:
    """The key in a record, as the text of a list of texts."""
    try:
        record = exact(raw)
    except Unfit:
        return None
    values = [_value(at, name, record) for name in at.endpoint.primary_key]
    return None if None in values else json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _value(at: Looked, name: str, record: Any) -> str | None:
    column = at.endpoint.columns.get(name)
    path = column.path if column is not None and column.path is not None else name
    found = value_at(record, tuple(path.split(".")))
    return found if found is None or isinstance(found, str) else json_text(found)
