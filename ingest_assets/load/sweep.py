"""What a complete fetch did not bring any more: which rows are gone, and whether so many may go unasked.

A fetch sweeps its own partition, and only where it is complete and all of its records fit: one in quarantine may be the
newest version of any key. A fetch that would remove a larger share than the file says is refused while it is the newest
of its partition; once a newer one is complete, that tells what is gone, and this one removes nothing. What a person
accepted stands beside the snapshots, so that a rebuild does the same. So does what fetches did that are left after a
prune, or had done when a record was forgotten: without the other rows the share would be another one.
"""

from collections.abc import Iterable
from decimal import Decimal

import duckdb
from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.errors import TooManyGone
from ingest_assets.load.staged import Staged
from ingest_assets.load.warehouse import quoted
from ingest_assets.load.work import Work
from ingest_assets.raw.snapshots import Snapshot, Snapshots
from ingest_assets.raw.stored import Stored

_SHOWN = 60


class Sweep(Struct, frozen=True):
    """What a fetch may remove: rows that cite one of `fetches`, those of its partition.

    `most` is the share that goes unasked, None where somebody accepted it; `asks` where it is refused else.
    """

    label: str
    fetches: tuple[int, ...]
    most: float | None
    asks: bool


def sweep(work: Work, snapshots: Snapshots, staged: Staged, before: Iterable[int]) -> Sweep | None:
    """What a staged fetch sweeps, or None; `before` are its partition's fetches so far."""
    told = work.contract.sweep
    if told is None or staged.quarantined:
        return None
    stored = snapshots.of(work.source, work.endpoint, staged.partition)
    if not _is_complete(stored.snapshot(staged.fetch)):
        return None
    notes, label = snapshots.notes, f"{work.source}.{work.endpoint}"
    accepted = staged.fetch in notes.accepted(work.source, work.endpoint)
    sweeps = True if accepted else notes.sweeps(work.source, work.endpoint).get(staged.fetch)
    if sweeps is False:
        return None
    return Sweep(
        label, (*before, staged.fetch), None if sweeps else told.most, superseding(stored, staged.fetch) is None
    )


def superseding(stored: Stored, fetch: int) -> int | None:
    """The newest complete fetch of a partition after this one, which tells in its place what is gone."""
    newest = next((s.fetch for s in stored.since(fetch) if _is_complete(s)), fetch)
    return newest if newest > fetch else None


def _is_complete(snapshot: Snapshot) -> bool:
    return snapshot.manifest.ended is not None and snapshot.manifest.ended.verdict == "complete"


def vanish(
    connection: duckdb.DuckDBPyConnection, root: str, staged: Staged, contract: Contract, told: Sweep
) -> tuple[int, int]:
    """Put the ids of the rows to be deleted into table `vanished`; how many, and how many are spared instead.

    TooManyGone where they are too many, and nothing tells otherwise.
    """
    mine = f"FROM {root} WHERE list_contains($1, _fetch) AND {_stands(contract)}"
    id_ = "_key" if contract.write == "history" else "_id"
    query = f"SELECT {id_} AS _id {mine} AND {id_} NOT IN (SELECT {id_} FROM decided)"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE vanished AS {query}", [list(told.fetches)])
    rows = connection.execute(f"SELECT (SELECT count(*) FROM vanished), count(*) {mine}", [list(told.fetches)])
    gone, there = rows.fetchone() or (0, 0)
    # In floats 0.29 of 100 rows is less than 29.
    if told.most is None or gone <= Decimal(str(told.most)) * there:
        return int(gone), 0
    if told.asks:
        raise TooManyGone(_refusal(connection, root, staged, contract, told, gone, there), staged.fetch)
    connection.execute("DELETE FROM vanished")
    return 0, int(gone)


def _stands(contract: Contract) -> str:
    """SQL: a row has not gone before."""
    if contract.write == "history":
        return "current"
    return "_deleted IS NULL" if contract.deletes == "soft" else "true"


def _refusal(
    connection: duckdb.DuckDBPyConnection,
    root: str,
    staged: Staged,
    contract: Contract,
    told: Sweep,
    gone: int,
    there: int,
) -> str:
    of = f" of partition {staged.partition}" if staged.partition is not None else ""
    return (
        f"{told.label}: {gone:,} of {there:,} rows{of} did not come again in fetch {staged.fetch}"
        f"{_example(connection, root, contract)}: more than {told.most:.0%} are not deleted unasked (`sweep`). "
        f"Nothing of the fetch is loaded. Where they are gone: ingest accept {told.label} --deletions {staged.fetch}; "
        f"where not: ingest undo {told.label} --fetch {staged.fetch}, then ingest run {told.label}"
    )


def _example(connection: duckdb.DuckDBPyConnection, root: str, contract: Contract) -> str:
    """One of the keys, but for what is sensitive."""
    hidden = {name for name, column in contract.columns.items() if column.sensitive}
    names = [name for name in contract.primary_key if name not in hidden]
    if not names:
        return ""
    texts = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in names)
    id_ = "_key" if contract.write == "history" else "_id"
    query = f"SELECT {texts} FROM {root} WHERE {id_} IN (FROM vanished) ORDER BY ALL LIMIT 1"
    values = connection.execute(query).fetchone() or ()
    return ", such as " + " ".join(f"{name}={str(value)[:_SHOWN]}" for name, value in zip(names, values, strict=False))
