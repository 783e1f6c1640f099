"""A fetch on its way into the tables of a target, as the parts of a merge hand it on."""

from collections.abc import Callable, Sequence

import duckdb
from msgspec import Struct

from ingest_assets.contract import Contract
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import Target, versioned
from ingest_assets.load.warehouse import literal, without

# A row that is deleted has DuckDB hold eight bytes for each of the rows that it stores together, until the commit.
_TOGETHER = 2048
_MARKS_MB = 8 * _TOGETHER / 1e6

COME = ("inserted", "updated")
"""The fates of records whose rows are written."""


class Merge(Struct, frozen=True):
    """One fetch on its way into a target. `room` is told how many megabytes more a statement will hold."""

    connection: duckdb.DuckDBPyConnection
    staged: Staged
    contract: Contract
    target: Target
    room: Callable[[float], None]

    @property
    def root(self) -> str:
        """The full name of the endpoint's own table."""
        return self.target.table(self.staged.root.name)

    def run(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        row = self.connection.execute(statement, list(values)).fetchone()
        return int(row[0]) if row else 0

    def count(self, rows: str) -> int:
        """How many rows there are in a table or in a query in parentheses."""
        found = self.connection.execute(f"SELECT count(*) FROM {rows}").fetchone()
        return int(found[0]) if found else 0

    def run_in_order(self, statement: str) -> int:
        """How many rows a statement changed in which of two tables the left one passes by, and the right one is held.

        The left one are staged rows: DuckDB cannot tell how many these are, holds them, wide as they may be, and goes
        through the other one with one thread.
        """
        self.run(without("join_order", "build_side_probe_side"))
        count = self.run(statement)
        self.run(without())  # after an error a transaction cannot, and `Warehouse.works` does
        return count

    def ready_to_delete(self, rows: int, versions: int) -> None:
        """Have room for the deletion of so many rows, of what is below them, and of versions, wherever these are."""
        tables = {self.target.table(spec.name): rows for spec in self.staged.specs}
        if versioned(self.contract):
            tables[self.target.versions] = versions
        if sum(tables.values()) * _MARKS_MB < 1:
            return
        marks = 0
        for table, most in tables.items():
            marks += min(most, self.count(table) // _TOGETHER + 1)
        self.room(marks * _MARKS_MB)


def texts(values: Sequence[str]) -> str:
    """Texts as SQL literals, one after the other."""
    return ", ".join(map(literal, values))
