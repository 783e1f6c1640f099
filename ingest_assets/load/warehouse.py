"""The writer's file, its lock, and the copy that everybody else reads.

    <data>/warehouse.duckdb          the reader's copy: replaced as a whole, may be opened at any time
    <data>/warehouse/writer.duckdb   opened only under the lock, by whoever writes
    <data>/warehouse/writer.lock     the lock: a file of its own (see `ingest_assets.locks`)
    <data>/warehouse/writer.contents while something is committed: what DuckDB writes over (`contents`)
    <data>/staging/                  what does not fit into memory while it is staged

A reader of DuckDB blocks its writer and a writer its readers, so nobody reads the writer's file.
"""

import contextlib
import itertools
import os
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from ingest_assets.errors import StorageFailed
from ingest_assets.load import schema
from ingest_assets.load.contents import Contents, restore
from ingest_assets.load.copies import copy, drafted
from ingest_assets.load.troubles import UNTOUCHED, failure
from ingest_assets.locks import held
from ingest_assets.raw.snapshots import Snapshots

# DuckDB 1.4 and later open files of this version, and so do the tools built on it; those before it write slower.
_STORAGE = "v1.4.0"
_RESERVE_BYTES = 100_000_000
_ROW_GROUP = 30_720  # rows that are held in memory until they are written; a quarter of what is usual
_PUBLISH = "ingest reader publish"
# With DuckDB 2.0 a filter that a join hands to a scan finds other rows among those that the transaction itself has
# written and deleted: rows stay or go that should not, or the process dies.
_UNSAFE = "join_filter_pushdown"
_THREADS = 2  # each takes its share of the memory, so that more of them need a higher limit


def quoted(name: str) -> str:
    """A name as an SQL identifier.

    >>> quoted('has "quotes"')
    '"has ""quotes\"""'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal.

    >>> literal("it's")
    "'it''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def without(*optimizers: str) -> str:
    """SQL: statements after it are planned without these of DuckDB's optimizers, and without those that are unsafe.

    >>> without("join_order")
    "SET disabled_optimizers = 'join_filter_pushdown,join_order'"
    """
    return f"SET disabled_optimizers = {literal(','.join([_UNSAFE, *optimizers]))}"


class Warehouse:
    """The DuckDB warehouse below a data folder.

    `wait_seconds` is how long to wait for another writer, `reserve_bytes` what stays free on the disk. DuckDB gets
    `memory_mb` to begin with, and more where a load cannot do with that, up to `most_memory_mb`.
    """

    def __init__(
        self,
        data: Path,
        *,
        wait_seconds: float = 120,
        memory_mb: int = 96,
        most_memory_mb: int = 1024,
        reserve_bytes: int = _RESERVE_BYTES,
    ) -> None:
        self.reader = data / "warehouse.duckdb"
        self.writer = data / "warehouse" / "writer.duckdb"
        self.lock = data / "warehouse" / "writer.lock"
        self.staging = data / "staging"
        self.locks = data / "locks"
        self._snapshots = Snapshots(data / "raw")
        self.wait_seconds = wait_seconds
        self.memory_mb = self._least_memory_mb = memory_mb
        self.most_memory_mb = most_memory_mb
        self.reserve_bytes = reserve_bytes
        self._numbers = itertools.count()
        self._instance: tuple[int, duckdb.DuckDBPyConnection] | None = None
        self._starting = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether the writer's file is gone, while fetches that it numbered are stored beside it."""
        return not self.writer.exists() and self._snapshots.begun

    def refuse_lost(self) -> None:
        """StorageFailed where the warehouse is lost: a new one would number anew what is numbered already."""
        if self.lost:
            raise StorageFailed(
                f"{self.writer}: the warehouse is gone, and the snapshots of what it held are there. Next: ingest "
                "rebuild (it sends no request), or put the file back from a backup"
            )

    @contextlib.contextmanager
    def connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection of its own to this process's DuckDB; starting one takes longer than a small load."""
        connection = self._running().cursor()
        try:
            yield connection
        finally:
            connection.close()

    def start(self) -> None:
        """Begin to start this process's DuckDB, in a thread: it takes a while. Who needs it waits until it is there."""

        def running() -> None:
            with contextlib.suppress(duckdb.Error, OSError):  # who needs it tries again, and tells
                self._running()

        if self._instance is None:
            threading.Thread(target=running, name="DuckDB starts").start()

    def _running(self) -> duckdb.DuckDBPyConnection:
        with self._starting:
            if self._instance is None or self._instance[0] != os.getpid():
                self._instance = (os.getpid(), self._started())
            return self._instance[1]

    @contextlib.contextmanager
    def stage(self, connection: duckdb.DuckDBPyConnection, needed_bytes: int = 0) -> Iterator[None]:
        """Give a connection a database of its own, in memory or spilled to disk, which is gone at the end.

        StorageFailed where less than `needed_bytes` and the reserve are free.
        """
        self._check_space(needed_bytes)
        name = f"stage{next(self._numbers)}"
        connection.execute(f"ATTACH ':memory:' AS {name}")
        try:
            connection.execute(f"USE {name}")
            with self.translated():
                yield
        finally:
            self._detach(connection, name)

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """Be the only writer inside; `what` is shown to those who wait."""
        self.writer.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with held(self.lock, what, self.wait_seconds):
            restore(self.writer, self.log)
            yield

    @contextlib.contextmanager
    def transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """The writer's file attached as `w` in one transaction, for who is `alone`.

        Committed at the end, rolled back where the block raises.
        """
        self.refuse_lost()
        self._check_space()
        with self.translated(), Contents(self.writer).opened() as contents:
            connection.execute(
                f"ATTACH {literal(str(self.writer))} AS w (STORAGE_VERSION '{_STORAGE}', ROW_GROUP_SIZE {_ROW_GROUP})"
            )
            try:
                with committed(connection):
                    schema.begun(connection)
                    yield
                    contents.keep(connection)
            finally:
                self._detach(connection, "w")
            contents.done()

    @contextlib.contextmanager
    def writing(self, connection: duckdb.DuckDBPyConnection, what: str) -> Iterator[None]:
        """A transaction on the writer's file, attached as `w`, as the only writer."""
        with self.alone(what), self.transaction(connection):
            yield

    @contextlib.contextmanager
    def session(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A short transaction on the writer's file, attached as `w`."""
        with self.connection() as connection, self.writing(connection, what):
            yield connection

    def publish(self, pace: timedelta = timedelta(0)) -> bool:
        """Put a copy of the writer's file, as last committed, in the reader's place.

        False where nothing is new, or the copy was put there less than `pace` ago.
        """
        if not self.writer.exists() or self.is_current or self._is_young(pace):
            return False
        with self.alone("publishing the reader's copy"):
            self.fold_in()
            for left in self.reader.parent.glob(f"{self.reader.stem}.*.new"):
                left.unlink()  # of a process that died while it published: who publishes is alone
            try:
                self._copy(self.reader.with_suffix(f".{os.getpid()}.new"))
            except OSError as error:
                raise StorageFailed(
                    f"{self.reader}: the reader's copy could not be written: {error.strerror}; the former one stays. "
                    "Mend that, then run again"
                ) from error
        return True

    @property
    def published(self) -> datetime | None:
        """When the reader's copy was put in its place; None where there is none."""
        # Its time of change: that of modification is the writer's, by which it is known whether it is current.
        return datetime.fromtimestamp(self.reader.stat().st_ctime, UTC) if self.reader.exists() else None

    def _is_young(self, pace: timedelta) -> bool:
        published = self.published
        return published is not None and timedelta(0) <= datetime.now(UTC) - published < pace

    def copied(self, target: Path) -> Path | None:
        """A copy of the warehouse as last committed, beside `target`, to be put there; None where it is there already.

        StorageFailed where it cannot be written, or is none that can be read.
        """
        self.publish()
        if not self.reader.exists() or (
            target.exists() and target.stat().st_mtime_ns == self.reader.stat().st_mtime_ns
        ):
            return None
        draft = drafted(self.reader, target)
        try:
            self._look_into(draft, self.reader, "remove it, then run again")
        except StorageFailed:
            draft.unlink()
            raise
        return draft

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to the reader's copy; StorageFailed where there is none, or it cannot be read."""
        if not self.reader.exists():
            if self.writer.exists():
                raise StorageFailed(f"{self.reader}: there is no reader's copy. Next: {_PUBLISH}")
            raise StorageFailed(f"{self.reader}: there is no warehouse yet; materialize something first")
        # Opened by its path, it would be the former copy where this process has that one open still.
        connection = duckdb.connect(":memory:")
        try:
            _settle(connection)
            try:
                connection.execute(f"ATTACH {literal(str(self.reader))} AS warehouse (READ_ONLY)")
            except duckdb.Error as error:
                told = str(error).splitlines()[0]
                raise StorageFailed(
                    f"{self.reader}: the reader's copy cannot be read: {told}. Next: remove it, then {_PUBLISH}"
                ) from error
            connection.execute("USE warehouse")
            yield connection
        finally:
            connection.close()

    @contextlib.contextmanager
    def looking(self, what: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """A read-only connection to what is committed, as `reading` gives one to the copy; nobody writes meanwhile.

        It needs no room on the disk, but where a process died before its last commit was folded in.
        """
        with self.alone(what), self.translated():
            self.fold_in()
            connection = duckdb.connect(":memory:")
            try:
                _settle(connection)
                connection.execute(f"ATTACH {literal(str(self.writer))} AS warehouse (READ_ONLY)")
                connection.execute("USE warehouse")
                yield connection
            finally:
                connection.close()

    @property
    def log(self) -> Path:
        """What was committed and is not in the file yet: DuckDB's log beside it."""
        return self.writer.with_name(f"{self.writer.name}.wal")

    @property
    def is_current(self) -> bool:
        """Whether the reader's copy holds all that is committed."""
        is_whole = self.reader.exists() and not self.log.exists()
        return is_whole and self.reader.stat().st_mtime_ns == self.writer.stat().st_mtime_ns

    def fold_in(self) -> None:
        """Put into the file what a process committed that died before it did so; for who is `alone`."""
        if self.log.exists():
            with self.connection() as connection, self.transaction(connection):
                pass  # opening does it

    def rewrite(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Write the file anew, for who is `alone`: what was deleted stays readable in its free space until then."""
        self.fold_in()
        self._check_space(self.writer.stat().st_size)
        fresh = self.writer.with_name("rewritten.duckdb")
        for left in self.writer.parent.glob(f"{fresh.name}*"):
            left.unlink()
        how = f"(STORAGE_VERSION '{_STORAGE}', ROW_GROUP_SIZE {_ROW_GROUP})"
        with self.translated():
            try:
                connection.execute(f"ATTACH {literal(str(self.writer))} AS w {how}")
                connection.execute(f"ATTACH {literal(str(fresh))} AS fresh {how}")
                connection.execute("COPY FROM DATABASE w TO fresh")
            finally:
                self._detach(connection, "fresh")
                self._detach(connection, "w")
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(self.writer)

    def _copy(self, fresh: Path) -> None:
        try:
            # The writer's time marks the copy, so that it is seen whether anything was committed since.
            copy(self.writer, fresh, self._check_space)
            self._look_into(fresh, self.writer, "move it away and build it again from the snapshots: ingest rebuild")
            fresh.replace(self.reader)
        finally:
            fresh.unlink(missing_ok=True)

    def _look_into(self, fresh: Path, source: Path, mend: str) -> None:
        """StorageFailed where a copy cannot be opened, or does not say what it holds; its rows are not looked at."""
        name = f"copy{next(self._numbers)}"
        try:
            with self.connection() as connection:
                connection.execute(f"ATTACH {literal(str(fresh))} AS {name} (READ_ONLY)")
                try:
                    connection.execute(f"FROM {name}._ingest.meta").fetchall()
                finally:
                    self._detach(connection, name)
        except duckdb.Error as error:
            told = str(error).splitlines()[0]
            raise StorageFailed(
                f"{source}: a copy of it cannot be read: {told}. It is damaged, or a later DuckDB wrote it; the former "
                f"copy stays. Next: {mend}"
            ) from error

    def _started(self) -> duckdb.DuckDBPyConnection:
        self.staging.mkdir(parents=True, exist_ok=True, mode=0o700)
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": f"{self.memory_mb}MB",
            "temp_directory": str(self.staging),
            "preserve_insertion_order": False,
            "threads": min(_THREADS, os.cpu_count() or 1),
            "checkpoint_threshold": "1KB",  # a commit goes to the file at once, not into the log and from there
        }
        connection = duckdb.connect(":memory:", config=config)
        _settle(connection)
        return connection

    def _detach(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        try:
            if name != "w":
                connection.execute("USE memory")
            connection.execute(f"DETACH {name}")
        except (duckdb.Error, RuntimeError):  # the second where a signal came just now
            # After a fatal error a database stays attached for as long as DuckDB runs: the next one begins anew.
            connection.close()
            self._stop()

    def _stop(self) -> None:
        if self._instance is not None:
            self._instance[1].close()
            self._instance = None

    def more_memory(self) -> bool:
        """Give DuckDB twice the memory from now on; False where that is more than it may have."""
        if 2 * self.memory_mb > self.most_memory_mb:
            return False
        self.memory_mb *= 2
        if self._instance is not None:
            self._instance[1].execute(f"SET memory_limit = '{self.memory_mb}MB'")
        return True

    def room(self, megabytes: float) -> None:
        """Have DuckDB use so many megabytes beside what it begins with, or as many as it may have."""
        while self.memory_mb < self._least_memory_mb + megabytes and self.more_memory():
            pass

    def works(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether a connection and what it staged are there still after an error, and ready for another try."""
        try:
            connection.execute(without())  # as a merge may have left it
        except duckdb.Error:
            return False
        return True

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of memory and disk are raised as StorageFailed inside."""
        try:
            yield
        except duckdb.Error as error:
            if found := failure(error, self.writer, self.memory_mb, self._free_bytes()):
                raise found from error
            raise

    def _free_bytes(self) -> int:
        return shutil.disk_usage(next(f for f in self.writer.parents if f.exists())).free

    def _check_space(self, needed: int = 0) -> None:
        free = self._free_bytes()
        if free < needed + self.reserve_bytes:
            raise StorageFailed(
                f"{self.writer.parent}: {free / 1e6:,.0f} MB free, {(needed + self.reserve_bytes) / 1e6:,.0f} MB "
                f"needed. {UNTOUCHED}; free some space and run again"
            )


@contextlib.contextmanager
def committed(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end the transaction that is begun inside; roll it back where the block raises."""
    try:
        yield
        connection.execute(
            "SELECT 1"
        )  # raises after an error that nobody heeded: there COMMIT rolls back, and is silent
        connection.execute("COMMIT")
    except BaseException:
        # A connection that a fatal error has ended cannot roll back; closing it does.
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def _settle(connection: duckdb.DuckDBPyConnection) -> None:
    """For all connections to its DuckDB."""
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    # Without this, a Python variable can stand in for a table that is missing.
    connection.execute("SET GLOBAL python_enable_replacements = false")
    connection.execute(without())
