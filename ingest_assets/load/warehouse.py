"""The writer's file, its lock, and the copy that everybody else reads.

    <data>/warehouse.duckdb          the reader's copy: replaced as a whole, may be opened at any time
    <data>/warehouse/writer.duckdb   opened only under the lock, by whoever writes
    <data>/warehouse/writer.lock     the lock: a file of its own (see `ingest_assets.locks`)
    <data>/staging/                  one database file a load, removed after it

A reader of DuckDB blocks its writer and a writer its readers, so nobody reads the writer's file.
"""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

from ingest_assets.errors import StorageFailed
from ingest_assets.load import ledger
from ingest_assets.locks import held

# DuckDB 1.5 opens files of this storage version too, and so do the tools built on it.
_STORAGE = "v1.0.0"
_RESERVE_BYTES = 100_000_000


def quoted(name: str) -> str:
    """A name as an SQL identifier.

    >>> quoted('has "quotes"')
    '"has ""quotes\"""'
    """
    return '"' + name.replace('"', '""') + '"'


class Warehouse:
    """The DuckDB warehouse below a data folder.

    `wait_seconds` is how long to wait for another writer; `memory_limit` is DuckDB's own, a load.
    """

    def __init__(self, data: Path, *, wait_seconds: float = 120, memory_limit: str = "256MB") -> None:
        self.reader = data / "warehouse.duckdb"
        self.writer = data / "warehouse" / "writer.duckdb"
        self.lock = data / "warehouse" / "writer.lock"
        self.staging = data / "staging"
        self.wait_seconds = wait_seconds
        self.memory_limit = memory_limit

    @contextlib.contextmanager
    def stage(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to a new staging database, which is removed at the end."""
        self.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._check_space()
        with tempfile.TemporaryDirectory(dir=self.staging, prefix=f"{os.getpid()}-") as folder:
            connection = self._connect(Path(folder) / "stage.duckdb", Path(folder))
            try:
                yield connection
            finally:
                connection.close()

    @contextlib.contextmanager
    def writing(self, connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
        """The writer's file attached as `w` in one transaction, under the lock.

        Committed at the end, rolled back where the block raises. `what` is shown to those who wait.
        """
        self.writer.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(self.lock, what, self.wait_seconds):
            self._check_space()
            connection.execute(f"ATTACH '{_text(self.writer)}' AS w (STORAGE_VERSION '{_STORAGE}')")
            try:
                connection.execute("BEGIN")
                ledger.create(connection)
                yield
                connection.execute("COMMIT")
            except BaseException:
                # A connection that a fatal error has ended cannot roll back; closing it does.
                with contextlib.suppress(duckdb.Error):
                    connection.execute("ROLLBACK")
                raise
            finally:
                with contextlib.suppress(duckdb.Error):
                    connection.execute("DETACH w")

    @contextlib.contextmanager
    def session(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A short transaction on the writer's file, attached as `w`."""
        connection = self._connect(":memory:", self.staging)
        try:
            with self.writing(connection, what):
                yield connection
        finally:
            connection.close()

    def publish(self) -> None:
        """Put a copy of the writer's file, as last committed, in the reader's place; a no-op where nothing is new."""
        if not self.writer.exists() or self._is_current():
            return
        with held(self.lock, "publishing the reader's copy", self.wait_seconds):
            self._check_space(self.writer.stat().st_size)
            fresh = self.reader.with_suffix(f".{os.getpid()}.new")
            try:
                shutil.copyfile(self.writer, fresh)
                with fresh.open("rb") as copy:
                    os.fsync(copy.fileno())
                # The writer's time marks the copy, so that it is seen whether anything was committed since.
                stat = self.writer.stat()
                os.utime(fresh, ns=(stat.st_mtime_ns, stat.st_mtime_ns))
                fresh.replace(self.reader)
            except OSError as error:
                raise StorageFailed(
                    f"{self.reader}: the reader's copy could not be written: {error.strerror}"
                ) from error
            finally:
                fresh.unlink(missing_ok=True)

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the reader's copy; StorageFailed where there is none yet."""
        if not self.reader.exists():
            raise StorageFailed(f"{self.reader}: there is no warehouse yet; materialize something first")
        connection = duckdb.connect(str(self.reader), read_only=True)
        try:
            _settle(connection)
            yield connection
        finally:
            connection.close()

    def _is_current(self) -> bool:
        return self.reader.exists() and self.reader.stat().st_mtime_ns == self.writer.stat().st_mtime_ns

    def _connect(self, file: Path | str, spill: Path) -> duckdb.DuckDBPyConnection:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": self.memory_limit,
            "temp_directory": str(spill),
            "preserve_insertion_order": False,
        }
        connection = duckdb.connect(str(file), config=config)
        _settle(connection)
        return connection

    def _check_space(self, needed: int = 0) -> None:
        folder = self.writer.parent if self.writer.parent.exists() else self.staging
        free = shutil.disk_usage(folder).free
        if free < needed + _RESERVE_BYTES:
            raise StorageFailed(
                f"{folder}: {free / 1e6:.0f} MB free, {(needed + _RESERVE_BYTES) / 1e6:.0f} MB needed. "
                "What is loaded and fetched stays as it is; free some space and run again"
            )


def _settle(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("SET TimeZone = 'UTC'")
    # Without this, a Python variable can stand in for a table that is missing.
    connection.execute("SET python_enable_replacements = false")


def _text(path: Path) -> str:
    return str(path).replace("'", "''")
