"""Records of one fetch that share a key and are not the same: one of them is in the table, and the others are not.

Where nothing says which of them is newer, that is chance: the primary key does not tell the records apart, or the API
changed one while it was read. Both would be counted as duplicates, like a record that came twice.
"""

import json
from collections.abc import Mapping
from typing import Any

import duckdb

from ingest_assets.load.account import NO_CLASHES
from ingest_assets.load.looked import Found, Looked, named, run_again
from ingest_assets.load.staged import Staged
from ingest_assets.load.warehouse import literal, quoted
from ingest_assets.source import Endpoint

_LONGEST = 60
_HIDDEN_KEY = "a key"


def clashes(connection: duckdb.DuckDBPyConnection, staged: Staged, endpoint: Endpoint) -> dict[str, Any]:
    """Columns of `_ingest.fetches`: how many such records a ranked fetch has, and the places of two of them as JSON.

    Those on one page come first, since there the API changed nothing meanwhile. Of a feed, the API's order says which
    is newer; but where records tell a time by which the feed goes on, those of the same time clash.
    """
    moment = _moment(staged, endpoint)
    if moment is None or not endpoint.primary_key:
        return dict(NO_CLASHES)
    found = connection.execute(f"""
        WITH rows AS (
            SELECT r._id, r._rank, r._page, r._position, coalesce(CAST(r._newest AS VARCHAR), '') AS newest,
                coalesce(CAST({moment} AS VARCHAR), '') AS moment, concat_ws(' ', {_told(staged, endpoint)}) AS told,
                {_key(staged, endpoint)} AS key
            FROM {staged.ranked} AS r JOIN {staged.table(staged.root.name)} AS s USING (_row)
            WHERE r._id IN (SELECT _id FROM {staged.ranked} WHERE _rank > 1)
        )
        SELECT o.key, o._page, o._position, w._page, w._position, count(*) OVER ()
        FROM rows AS w JOIN rows AS o ON w._id = o._id AND w._rank = 1 AND o._rank > 1
        WHERE w.told <> o.told AND (w.newest, w.moment) = (o.newest, o.moment)
        ORDER BY w._page <> o._page, o._page, o._position LIMIT 1""").fetchone()
    if found is None:
        return dict(NO_CLASHES)
    key, page, position, other_page, other_position, count = found
    places = [[page, position], [other_page, other_position]]
    return {"clashing": count, "clash": json.dumps({"key": key, "records": places})}


def shared_keys(at: Looked) -> Found:
    """No two different records have the same key: of the newest fetch of a partition, or of it and other partitions."""
    # A reader's copy that an earlier version published lacks the columns.
    newest = at.newest(
        "partition, to_json(f) ->> '$.clashing', to_json(f) ->> '$.clash', contract, to_json(f) ->> '$.crossing'",
        "loaded IS NOT NULL",
    )
    bad = [
        (partition, int(count), json.loads(clash) | ({} if _may_show(at.endpoint, contract) else {"key": _HIDDEN_KEY}))
        for partition, count, clash, contract, _ in newest
        if clash and int(count or 0)
    ]
    crossing = {partition: int(count) for partition, *_, count in newest if count and int(count)}
    problems = [*([_problem(at, bad)] if bad else []), *([_of_others(at, crossing)] if crossing else [])]
    counts = {"records": sum(count for _, count, _ in bad), "of other partitions": sum(crossing.values())}
    return Found(" Also, ".join(problems), counts, serious=False)


def _of_others(at: Looked, crossing: Mapping[str | None, int]) -> str:
    count, key = sum(crossing.values()), f"[{', '.join(at.endpoint.primary_key)}]"
    have = "1 record has" if count == 1 else f"{count:,} records have"
    return (
        f"{named([*crossing])} in doubt: {have} the key of a different one that came in another partition, and nothing "
        f"says which is newer; the one that was fetched last counts. Next: if {key} tells records apart, `newest_by` a "
        f"column that orders versions; else name all columns of the key. Then ingest replay {at.source}.{at.name}"
    )


def _may_show(endpoint: Endpoint, contract: str) -> bool:
    """Whether a key may be shown that was noted under a contract: it may be called sensitive since."""
    key = [endpoint.columns[name] for name in endpoint.primary_key if name in endpoint.columns]
    return contract == endpoint.contract.version and not any(column.sensitive for column in key)


def _problem(at: Looked, bad: list[tuple[str | None, int, Mapping[str, Any]]]) -> str:
    partition, count, clash = next((one for one in bad if _is_one_page(one[2])), bad[0])
    key, ((page, position), (other, other_position)) = f"[{', '.join(at.endpoint.primary_key)}]", clash["records"]
    have = "1 record has" if count == 1 else f"{count:,} records have"
    such = (
        f"{named([partition for partition, _, _ in bad])} in doubt: {have} the key of a different one of the same "
        "fetch, and nothing says which is newer; the one that came last counts. Such as "
        f"{clash['key']}: page {page} record {position} and page {other} record {other_position}"
    )
    if _is_one_page(clash):
        mend = f"primary_key {key} does not tell records apart: name all columns that do, then ingest replay"
        return f"{such}. Next: {mend} {at.source}.{at.name}"
    return (
        f"{such}. Next: if {key} tells records apart, the API changed one while it was read: "
        f"{run_again(at, partition)}, and `newest_by` where a column orders versions. Else name all columns of the key"
    )


def _is_one_page(clash: Mapping[str, Any]) -> bool:
    (page, _), (other, _) = clash["records"]
    return bool(page == other)


def _moment(staged: Staged, endpoint: Endpoint) -> str | None:
    """SQL: the time by which a feed goes on; of what is no feed a constant, and None where the API's order decides."""
    if endpoint.feed is None:
        return "0"
    path = tuple((endpoint.feed.position or "").split("."))
    names = [column.name for column in staged.root.columns if column.path == path]
    return f"s.{quoted(names[0])}" if names else None


def _told(staged: Staged, endpoint: Endpoint) -> str:
    """SQL: what makes a record another one: its text, and what its row has of its parent."""
    there = {column.name for column in staged.root.columns}
    names = [name for name, column in endpoint.columns.items() if column.from_parent is not None and name in there]
    return ", ".join(["r._hash", *(f"s.{quoted(name)}" for name in names)])


def _key(staged: Staged, endpoint: Endpoint) -> str:
    """SQL: the key as it is shown; where it is not to be shown, words."""
    columns = {column.name: column for column in staged.root.columns}
    if any(name not in columns or columns[name].sensitive for name in endpoint.primary_key):
        return literal(_HIDDEN_KEY)
    parts = [
        f"concat({literal(f'{name}=')}, left(CAST(s.{quoted(name)} AS VARCHAR), {_LONGEST}))"
        for name in endpoint.primary_key
    ]
    return f"concat_ws(' ', {', '.join(parts)})"
