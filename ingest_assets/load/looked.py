"""What a look at a table is given, and what it finds."""

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import duckdb
from msgspec import Struct, field

from ingest_assets.load import ledger
from ingest_assets.load.due import combinations
from ingest_assets.load.listed import values
from ingest_assets.load.warehouse import quoted
from ingest_assets.normalize.registry import Registry, TableSpec
from ingest_assets.source import Endpoint, listed

# A reader's copy that an earlier version published lacks the column: all of its numbers are exact.
EXPECTED_IS = "coalesce(to_json(f) ->> '$.expected_is', 'exactly')"
"""How an expected number is meant, in a query on `_ingest.fetches AS f`."""
_NAMED = 10


class Found(Struct, frozen=True):
    """What was found: nothing wrong where `problem` is empty. `serious` is what may mean wrong or missing rows."""

    problem: str = ""
    told: Mapping[str, Any] = field(default_factory=dict)
    serious: bool = True


class Looked(Struct, frozen=True, dict=True):
    """The endpoint that is looked at, and when; `connection` is to the reader's copy."""

    connection: duckdb.DuckDBPyConnection
    source: str
    name: str
    endpoint: Endpoint
    now: datetime

    @property
    def table(self) -> str:
        """The table's full name, quoted."""
        return f"{quoted(self.source)}.{quoted(self.name)}"

    @cached_property
    def _database(self) -> str:
        row = self.connection.execute("SELECT current_database()").fetchone()
        return str(row[0]) if row else ""

    @property
    def tables(self) -> tuple[TableSpec, ...]:
        """Its table and those of its lists, as the file says now."""
        told = ledger.registry(self.connection, self.source, self.name, database=quoted(self._database))
        registry = Registry.from_json(told[2]) if told else Registry.empty()
        return registry.tables(self.name, self.endpoint.contract)

    @cached_property
    def slices(self) -> list[dict[str, str]]:
        """The values of its dimensions that go together now: an account that is gone is not late."""
        members = {
            name: values(self.connection, self.source, told, database=self._database)
            for name, told in listed(self.endpoint).items()
        }
        return combinations(self.endpoint, members)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.connection.execute(query, list(values)).fetchall()

    def types(self, table: str | None = None) -> dict[str, str]:
        """The types of the columns of its table, or of another one of the source, by name in small letters.

        DuckDB's CatalogException where there is no such table.
        """
        name = f"{quoted(self.source)}.{quoted(table or self.name)}"
        return {column.lower(): kind for column, kind, *_ in self.rows(f"DESCRIBE {name}")}

    def knows(self, partition: str | None) -> bool:
        """Whether this is one of the partitions that the file says."""
        try:
            self.endpoint.bounds(partition)
        except ValueError:
            return False
        return (self.endpoint.partitions is None) == (partition is None)

    def offers(self, partition: str | None) -> bool:
        """Whether a partition can be asked for now: not before the first period, nor of an account that is gone."""
        if partition is None:
            return True
        by = self.endpoint.slice(partition).by
        return self.endpoint.offers(partition) and (not by or by in self.slices)

    def newest(self, columns: str, where: str, *values: Any) -> list[tuple[Any, ...]]:
        """These columns of the newest fetch of each partition that meets a condition; its values are $3 and on."""
        return self.rows(
            f"SELECT {columns} FROM _ingest.fetches AS f WHERE source = $1 AND endpoint = $2 AND {where} "
            "QUALIFY row_number() OVER (PARTITION BY partition ORDER BY _fetch DESC) = 1 ORDER BY partition",
            self.source,
            self.name,
            *values,
        )


def named(names: Sequence[str | None]) -> str:
    """Partitions as the subject of a sentence, with its verb; 'it is' where there are none to be named."""
    told = [name for name in names if name is not None]
    if not told:
        return "it is"
    if len(told) == 1:
        return f"partition {told[0]} is"
    more = f" and {len(told) - _NAMED:,} more" if len(told) > _NAMED else ""
    return f"{len(told):,} partitions ({', '.join(told[:_NAMED])}{more}) are"


def run_again(at: Looked, partition: str | None = None) -> str:
    """The command that fetches what is missing; of one partition, that fetches it once more."""
    again = f" --partition {shlex.quote(partition)} --again" if partition else ""
    return f"ingest run {at.source}.{at.name}{again}"
