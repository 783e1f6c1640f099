"""Tables that were built anew, brought into the warehouse some rows at a time, and put in place by a change of names.

    <schema>."_new:<source>.<endpoint>:<table>"   the rows that are there so far
    <data>/locks/<source>/<endpoint>.new.lock     held meanwhile
    <data>/warehouse/<source>.<endpoint>.new      there meanwhile, and after a process that died at it

So nobody waits for the warehouse longer than it takes to write some rows. What is left by who died goes when the
endpoint is loaded next.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import duckdb
from msgspec import Struct

from ingest_assets.errors import IngestError, Locked, StorageFailed
from ingest_assets.load.warehouse import Warehouse, quoted
from ingest_assets.locks import held
from ingest_assets.raw import disk

_SECONDS = 0.4  # the warehouse is held so long for some rows, about
_ROWS = 100_000  # to begin with

Ensured = Callable[[Callable[[], tuple[int, float]]], tuple[int, float]]


class Move(Struct, frozen=True):
    """A table that was built anew: its full name, the schema and name it is to have, and its name until then."""

    built: str
    schema: str
    name: str
    meanwhile: str

    @property
    def place(self) -> str:
        """The full name that it is to have."""
        return f"w.{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def new(self) -> str:
        """Its full name in the warehouse until then."""
        return f"w.{quoted(self.schema)}.{quoted(self.meanwhile)}"


class Moving(Struct, frozen=True):
    """Brings in the tables of one endpoint; `what` is shown to those who wait."""

    warehouse: Warehouse
    source: str
    endpoint: str
    what: str

    def move(self, built: str, schema: str, name: str) -> Move:
        """What is to be done with one table that was built."""
        return Move(built, schema, name, f"{self._prefix}{name}")

    @contextlib.contextmanager
    def brought(
        self, connection: duckdb.DuckDBPyConnection, moves: Sequence[Move], from_rows: int, ensured: Ensured
    ) -> Iterator[bool]:
        """Whether all rows are in the warehouse inside, for who gives the tables their names there.

        False, and nothing done, where they are fewer than `from_rows`, or another process does so for the endpoint.
        What has not got its name by the end goes. `ensured` may try again what brings some rows.
        """
        with contextlib.ExitStack() as opened:
            if not (_is_large(connection, moves, from_rows) and self._is_open(opened)):
                yield False
                return
            with disk.writing(self._mark.parent):
                disk.write_file(self._mark, b"")
            try:
                self._make(connection, moves)
                rows = min(_ROWS, max(from_rows, 1))
                for move in moves:
                    rows = self._bring(connection, move, rows, ensured)
                yield True
            except Exception:
                with contextlib.suppress(duckdb.Error, IngestError):  # then it goes with the next load
                    self._clear(connection)
                raise
            self._mark.unlink()

    def clear(self) -> None:
        """Drop what a process left that died while it brought in tables."""
        if self._mark.exists():
            with contextlib.ExitStack() as opened:
                if self._is_open(opened):
                    self._clear(opened.enter_context(self.warehouse.connection()))

    @contextlib.contextmanager
    def none(self) -> Iterator[None]:
        """Have no such tables of the endpoint in the warehouse inside, also none that came with a backup."""
        with self._alone(self.warehouse.wait_seconds):
            with self.warehouse.connection() as connection:
                self._clear(connection)
            yield

    @property
    def _mark(self) -> Path:
        return self.warehouse.writer.with_name(f"{self.source}.{self.endpoint}.new")

    def _alone(self, wait_seconds: float) -> contextlib.AbstractContextManager[None]:
        return held(self.warehouse.locks / self.source / f"{self.endpoint}.new.lock", self.what, wait_seconds)

    def _is_open(self, opened: contextlib.ExitStack) -> bool:
        """Whether nobody else brings in tables of the endpoint, nor begins to until `opened` is closed."""
        with contextlib.suppress(Locked):
            opened.enter_context(self._alone(0))
            return True
        return False

    def _make(self, connection: duckdb.DuckDBPyConnection, moves: Sequence[Move]) -> None:
        with self.warehouse.writing(connection, self.what):
            self._drop(connection)
            for move in moves:
                connection.execute(f"CREATE SCHEMA IF NOT EXISTS w.{quoted(move.schema)}")
                connection.execute(f"CREATE TABLE {move.new} AS FROM {move.built} LIMIT 0")

    def _bring(self, connection: duckdb.DuckDBPyConnection, move: Move, rows: int, ensured: Ensured) -> int:
        """Bring all rows of a table, so many at first; how many the next ones should be."""
        found = connection.execute(f"SELECT count(*), coalesce(max(rowid) + 1, 0) FROM {move.built}").fetchone()
        wanted, end = found or (0, 0)
        begin = done = 0
        while begin < end:
            count, seconds = ensured(partial(self._some, connection, move, begin, begin + rows))
            begin, done = begin + rows, done + count
            rows = max(1, min(4 * rows, int(rows * _SECONDS / max(seconds, 0.001))))
        if done != wanted:
            raise StorageFailed(f"{move.place}: {done:,} of {wanted:,} rows were brought; nothing is changed")
        return rows

    def _some(self, connection: duckdb.DuckDBPyConnection, move: Move, begin: int, end: int) -> tuple[int, float]:
        with self.warehouse.writing(connection, self.what):
            began = time.monotonic()
            query = f"INSERT INTO {move.new} FROM {move.built} WHERE rowid >= {begin} AND rowid < {end}"
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0, time.monotonic() - began

    def _clear(self, connection: duckdb.DuckDBPyConnection) -> None:
        with self.warehouse.writing(connection, self.what):
            self._drop(connection)
        self._mark.unlink(missing_ok=True)

    def _drop(self, connection: duckdb.DuckDBPyConnection) -> None:
        left = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() "
            "WHERE database_name = 'w' AND starts_with(table_name, ?)",
            [self._prefix],
        ).fetchall()
        for schema, name in left:
            connection.execute(f"DROP TABLE w.{quoted(schema)}.{quoted(name)}")

    @property
    def _prefix(self) -> str:
        return f"_new:{self.source}.{self.endpoint}:"


def _is_large(connection: duckdb.DuckDBPyConnection, moves: Sequence[Move], from_rows: int) -> bool:
    counts = (connection.execute(f"SELECT count(*) FROM {move.built}").fetchone() for move in moves)
    return sum(int(row[0]) for row in counts if row) >= max(from_rows, 1)
