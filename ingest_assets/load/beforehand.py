"""What a merge comes to, found out before the lock is taken.

Most of a merge into a large table is the search for the rows that it meets. Where the reader's copy holds all that is
committed, that search goes through the copy, while others may write. A row is at the same place in both files, since
one is the other's copy, byte by byte. Under the lock it has to be seen only that this is so still; where it is not,
what was found is let go of, and the merge searches by itself.
"""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import duckdb
from msgspec import Struct
from msgspec.structs import replace

from ingest_assets.contract import Contract
from ingest_assets.load import tables
from ingest_assets.load.copies import State, state
from ingest_assets.load.fates import decide, written
from ingest_assets.load.lists import anew, delete_met, insert_children, meet, with_lists
from ingest_assets.load.merging import COME, Merge
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import in_stage, versioned
from ingest_assets.load.warehouse import Warehouse, literal

_MOST_RECORDS = 500_000  # whose rows are made a second time
_COPY = "seen"


class Found(Struct, frozen=True):
    """The fates of a fetch's records where the warehouse is in this state; rows that come and go are in tables."""

    state: State
    fates: Mapping[str, int]

    def put(self, at: Merge) -> tuple[Mapping[str, int], int]:
        """Bring what was found into the target: the fates, and how many child rows were written."""
        gone = self.fates.get("updated", 0)
        at.ready_to_delete(gone, 0)
        made = replace(at, target=in_stage(at.connection))
        child_rows = 0
        if gone:
            at.run(f"DELETE FROM {at.root} WHERE rowid IN (SELECT _there FROM decided WHERE fate = 'updated')")
        for spec in at.staged.below(at.staged.root.name) if gone else ():
            delete_met(at, spec)
        for spec in reversed(at.staged.specs) if set(COME) & self.fates.keys() else ():
            count = at.run(f"INSERT INTO {at.target.table(spec.name)} BY NAME FROM {made.target.table(spec.name)}")
            child_rows += count if spec.parent is not None else 0
        return self.fates, child_rows


def found(warehouse: Warehouse, at: Merge, from_rows: int) -> Found | None:
    """What the merge of a fetch comes to in the state of the reader's copy; None where that is not to be known.

    The target is that of the copy's tables, if these have so many rows.
    """
    if not _fits(at.staged, at.contract) or not warehouse.is_current:
        return None
    before = state(warehouse.reader)
    if before is None:
        return None
    try:
        with _attached(at.connection, warehouse.reader) as database:
            fates = _searched(replace(at, target=replace(at.target, database=database)), from_rows)
    except duckdb.Error:  # the copy is open already, or memory does not do: the merge searches by itself
        warehouse.works(at.connection)
        return None
    # Another copy may have come into its place while this one was opened.
    if fates is None or state(warehouse.reader) != before:
        return None
    return Found(before, fates)


def _fits(staged: Staged, contract: Contract) -> bool:
    """Whether fates say it all: no versions, tombstones, vanished or repeated records are to be looked at."""
    plain = contract.write == "merge" and not versioned(contract) and contract.deleted is None
    return plain and contract.sweep is None and staged.distinct and staged.received <= _MOST_RECORDS


@contextlib.contextmanager
def _attached(connection: duckdb.DuckDBPyConnection, copy: Path) -> Iterator[str]:
    connection.execute(f"ATTACH {literal(str(copy))} AS {_COPY} (READ_ONLY)")
    try:
        yield _COPY
    finally:
        with contextlib.suppress(duckdb.Error):  # one that stays attached is never looked at again: see `ATTACH`
            connection.execute(f"DETACH {_COPY}")


def _searched(at: Merge, from_rows: int) -> dict[str, int] | None:
    """The fates, with rows that come in tables of the stage, and the places of those that go in temporary ones."""
    there = at.connection.execute(f"SELECT count(*) FROM {at.root}").fetchone()
    if there is None or there[0] < max(from_rows, 1):
        return None
    fates = decide(at)
    if "outdated" in fates:
        return None
    made = replace(at, target=in_stage(at.connection))
    tables.create(at.connection, made.target, at.staged.specs, at.contract)
    made.run_in_order(f"INSERT INTO {made.root} BY NAME {written(made, COME)}")
    for spec in at.staged.below(at.staged.root.name):
        meet(at, spec)
        insert_children(made, spec, with_lists(spec, anew(spec)), "_root_row")
    return fates
