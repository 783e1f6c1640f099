"""The two resources that all assets share, and that a person's own assets can take as parameters."""

import contextlib
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from ingest_assets import catalog
from ingest_assets.catalog import hint
from ingest_assets.errors import ConfigError
from ingest_assets.http.secrets import Secrets
from ingest_assets.line import Line, Pace, Unwatched, Watcher, data_folder
from ingest_assets.load import listed as listing
from ingest_assets.load import owners
from ingest_assets.load.warehouse import Warehouse as DuckDB
from ingest_assets.load.warehouse import quoted
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Source, listed

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa


class Api(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's own generic takes no part here
    """How APIs are asked: credentials, limits, patience, and where source files and data are."""

    data: str = Field(default="", description="folder of stored responses; empty: INGEST_DATA, else ./data")
    sources: str = Field(
        default="", description="folder whose source files are read instead at run time; empty: as loaded"
    )
    secrets: dict[str, str] = Field(
        default_factory=dict,
        description="environment variable to read a secret from, by the name that source files use, where it is "
        "another one. Never the secret itself: Dagster keeps and shows what stands here",
    )
    rate_limit_share: float = Field(
        default=1.0, gt=0, le=1, description="the share of each source's limits this run may use"
    )
    max_wait_seconds: float = Field(
        default=0, ge=0, description="longest single wait for an API; 0: as the source file says"
    )
    connect_timeout_seconds: float = Field(default=10.0, gt=0)
    read_timeout_seconds: float = Field(default=60.0, gt=0)

    def line(
        self,
        source: Source,
        run: str,
        warehouse: Path | None = None,
        watcher: Watcher | None = None,
        *,
        priority: int = 0,
    ) -> Line:
        """The line of one source for one run.

        `warehouse` is the folder of the warehouse where it is another one; `watcher` is told how the line gets on.
        Of lines that wait for the same limit, the one of the higher `priority` goes first.
        Raises ConfigError where `sources` or `secrets` lead to what is not there.
        """
        if self.sources:
            folder = Path(self.sources).expanduser()
            source = catalog.load(folder / f"{source.name}.yaml", [folder, catalog.SHIPPED])
        wait = timedelta(seconds=self.max_wait_seconds) if self.max_wait_seconds else source.max_wait
        return Line(
            source=source,
            data=data_folder(self.data),
            secrets=Secrets(self._values()),
            warehouse_folder=warehouse,
            run=run,
            pace=Pace(
                self.rate_limit_share,
                wait,
                self.connect_timeout_seconds,
                self.read_timeout_seconds,
                priority=priority,
            ),
            watcher=watcher or Unwatched(),
        )

    def _values(self) -> dict[str, str]:
        missing = [name for name, variable in self.secrets.items() if variable not in os.environ]
        if missing:
            raise ConfigError(  # without what stands there, which may be a secret that somebody put in the wrong place
                f"api: secrets: {', '.join(missing)}: expected the name of an environment variable that is set"
            )
        return {name: os.environ[variable] for name, variable in self.secrets.items()}


class Warehouse(dg.ConfigurableResource):  # type: ignore[type-arg]  # Dagster's own generic takes no part here
    """The tables, as last published."""

    data: str = Field(default="", description="folder of the warehouse; empty: INGEST_DATA, else ./data")

    @property
    def folder(self) -> Path:
        """The folder of the warehouse."""
        return data_folder(self.data)

    @contextlib.contextmanager
    def reading(self) -> "Iterator[duckdb.DuckDBPyConnection]":
        """A read-only connection to the reader's copy; StorageFailed where nothing is published yet."""
        with DuckDB(self.folder).reading() as connection:
            yield connection

    def members(self, source: Source, endpoint: str) -> dict[str, list[str]]:
        """The values of those of an endpoint's dimensions that other endpoints list; none before they are published."""
        dimensions = listed(source.endpoints[endpoint])
        if not dimensions or not DuckDB(self.folder).reader.exists():
            return {name: [] for name in dimensions}
        with self.reading() as connection:
            return {
                name: listing.values(connection, source.name, told, database="warehouse")
                for name, told in dimensions.items()
            }

    def accept(self, source: str) -> None:
        """Forget whose rows a source's are: its next fetch says it anew."""
        with DuckDB(self.folder).session(f"accepting {source}") as connection:
            owners.accept(connection, source)
            Snapshots(self.folder / "raw").notes.forget_account(source)

    def read(self, table: str, partition: str | None = None) -> "pd.DataFrame":
        """A table (`source.endpoint`, or `source.endpoint__list`) as a DataFrame, or the rows of one partition of it.

        Reads the reader's copy, so it never waits for a load. Raises StorageFailed where nothing is published yet, and
        ConfigError where there is no such table.
        """
        schema, _, name = table.partition(".")
        if not name:
            raise ConfigError(f"{table!r} is no table; expected such as stripe.charges")
        query = f"SELECT t.* FROM {quoted(schema)}.{quoted(name)} AS t"  # noqa: S608 -- quoted
        if partition is not None:
            query += " JOIN _ingest.fetches AS f USING (_fetch) WHERE f.partition = $partition"
        with self.reading() as connection:
            there = _tables(connection, schema)
            if table.lower() not in there:
                raise ConfigError(f"{table!r} is not there yet: materialize it first; {hint(table, there)}")
            found = connection.sql(query, params={"partition": partition} if partition is not None else None)
            return _frame(found.to_arrow_table())


def _tables(connection: "duckdb.DuckDBPyConnection", schema: str) -> list[str]:
    """The full names of the tables of a schema, in small letters: DuckDB finds a table by any case of its name."""
    query = "SELECT lower(schema_name || '.' || table_name) FROM duckdb_tables() WHERE lower(schema_name) = lower(?)"
    return [name for (name,) in connection.execute(query, [schema]).fetchall()]


def _frame(rows: "pa.Table") -> "pd.DataFrame":
    """Arrow rows as a DataFrame: integers stay integers where some are null, which pandas would make doubles."""
    import pandas as pd
    import pyarrow as pa

    frame: pd.DataFrame = rows.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    return frame
