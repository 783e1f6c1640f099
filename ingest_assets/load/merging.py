"""A fetch on its way into the tables of a target, as the parts of a merge hand it on."""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from ingest_assets.contract import Contract
from ingest_assets.load.staged import Staged
from ingest_assets.load.tables import Target
from ingest_assets.load.warehouse import literal


@dataclass(frozen=True)
class Merge:
    """One fetch on its way into a target."""

    connection: duckdb.DuckDBPyConnection
    staged: Staged
    contract: Contract
    target: Target

    @property
    def root(self) -> str:
        """The full name of the endpoint's own table."""
        return self.target.table(self.staged.root.name)

    def run(self, statement: str, *values: object) -> int:
        """How many rows a statement changed."""
        row = self.connection.execute(statement, list(values)).fetchone()
        return int(row[0]) if row else 0


def texts(values: Sequence[str]) -> str:
    """Texts as SQL literals, one after the other."""
    return ", ".join(map(literal, values))
