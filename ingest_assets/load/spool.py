"""Rows on their way to DuckDB: gathered, so that it takes many at once, and on disk where they are many.

An insert of a thousand rows costs DuckDB nearly as much as one of a hundred thousand; and rows that are in a file of
columns already are read from there, as often as they are asked for, and need not be put into a table first.
"""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
from msgspec import Struct, field

from ingest_assets.errors import StorageFailed

MOST_PILES = 24
"""As many files as a spool may have open."""

_MOST_BYTES = 8_000_000
_MOST_AT_ONCE = 32_000_000  # what one insert changes has to fit into DuckDB's memory
_MOST_IN_BATCH = 4_096  # rows
_ENOUGH_IN_BATCH = 1_024  # with fewer on average, rows are put together first
_COLUMN_BYTES = 500  # of a column in memory, beside its values


class _Pile(Struct):
    """Rows of one table and one schema: those in memory, and the file of those before them."""

    rows: list[pa.Table] = field(default_factory=list)
    file: IO[bytes] | None = None
    writer: Any = None

    def combined(self) -> pa.Table:
        """The rows in memory, which it lets go of."""
        rows = pa.concat_tables(self.rows)
        if rows.num_rows < _ENOUGH_IN_BATCH * len(self.rows):
            rows = rows.combine_chunks()
        self.rows.clear()
        return rows


class Filed:
    """Rows in files of Arrow batches: a stream of them as often as it is asked for, one batch at a time in memory.

    `descriptors` are of files that are there until this is closed.
    """

    def __init__(self, descriptors: Sequence[int], schema: pa.Schema) -> None:
        self._files, self._schema = [pa.OSFile(f"/dev/fd/{descriptor}") for descriptor in descriptors], schema

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """See the Arrow PyCapsule interface."""
        return pa.RecordBatchReader.from_batches(self._schema, self._batches()).__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        for file in self._files:
            stored = pa.ipc.open_file(file)
            yield from map(stored.get_batch, range(stored.num_record_batches))

    @property
    def count(self) -> int:
        """How many files these are."""
        return len(self._files)

    def pieces(self) -> Iterator[pa.Table]:
        """The rows, as many at a time as DuckDB takes at once."""
        gathered, size = list[pa.RecordBatch](), 0
        for batch in self._batches():
            gathered.append(batch)
            size += batch.nbytes
            if size > _MOST_AT_ONCE:
                yield pa.Table.from_batches(gathered)
                gathered, size = [], 0
        if gathered:
            yield pa.Table.from_batches(gathered)

    def close(self) -> None:
        """Let go of the files."""
        for file in self._files:
            file.close()


class Spool:
    """Gathers rows by table, in `folder` once they are more than a few megabytes; to be closed.

    Its files have no name: nothing is left of them, whatever becomes of the process. Where it `keeps` rows, any
    number of them may wait in its files until it is closed.
    """

    def __init__(self, folder: Path, *, keeps: bool = False) -> None:
        self._folder = folder
        self.keeps = keeps
        self._piles: dict[tuple[str, tuple[str, ...], pa.Schema], _Pile] = {}
        self._bytes = self._taken_in = 0
        self._files = contextlib.ExitStack()

    @property
    def is_full(self) -> bool:
        """Whether the rows have to go: they are of many different columns, or as much as DuckDB takes at once."""
        return len(self._piles) > MOST_PILES or (self._taken_in > _MOST_AT_ONCE and not self.keeps)

    @property
    def on_disk(self) -> bool:
        """Whether rows had to go to files."""
        return any(pile.file is not None for pile in self._piles.values())

    def add(self, table: str, rows: pa.Table) -> None:
        """Take rows of a table; StorageFailed where the disk does not."""
        if not rows.num_rows:
            return
        # Numbered, since DuckDB finds Arrow columns by name without regard to case.
        numbered = rows.rename_columns([f"c{number}" for number in range(rows.num_columns)])
        pile = self._piles.setdefault((table, tuple(rows.column_names), numbered.schema), _Pile())
        pile.rows.append(numbered)
        size = rows.nbytes + _COLUMN_BYTES * rows.num_columns
        self._bytes += size
        self._taken_in += size
        if self._bytes > _MOST_BYTES:
            self._write()

    def taken(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """Each table, the names of its columns, and its rows for DuckDB, where these are called c0, c1 and so on.

        What is taken is gone. Rows of the same table come as often as there are different columns.
        """
        yield from self.kept()
        self.close()

    def kept(self) -> Iterator[tuple[str, tuple[str, ...], Any]]:
        """The same as `taken`, but the rows stay, to be read as often as need be; nothing can be added any more."""
        if self.on_disk:
            for table, names, schema, file in self.handed():
                yield table, names, self._files.enter_context(contextlib.closing(Filed([file.fileno()], schema)))
        else:
            for (table, names, _), pile in self._piles.items():
                yield table, names, pile.combined()

    def handed(self) -> Iterator[tuple[str, tuple[str, ...], pa.Schema, IO[bytes]]]:
        """The same with all rows in files of Arrow batches, as schema and file; these are closed with the spool."""
        self._write()
        with self._told():
            for pile in self._piles.values():
                if pile.file is not None:
                    pile.writer.close()
                    pile.file.flush()
        for (table, names, schema), pile in self._piles.items():
            if pile.file is not None:
                yield table, names, schema, pile.file

    def close(self) -> None:
        """Let go of all rows."""
        self._piles.clear()
        self._files.close()
        self._bytes = self._taken_in = 0

    def _write(self) -> None:
        with self._told():
            for (_, _, schema), pile in self._piles.items():
                if pile.file is None:
                    pile.file = _nameless(self._folder)
                    self._files.callback(_let_go, pile.file)
                    pile.writer = pa.ipc.new_file(pile.file, schema)
                if pile.rows:
                    pile.writer.write_table(pile.combined(), max_chunksize=_MOST_IN_BATCH)
        self._bytes = 0

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StorageFailed(
                f"{self._folder}: rows could not be put aside: {error.strerror}. What is loaded and fetched stays as "
                "it is; free some space and run again"
            ) from error


def _nameless(folder: Path) -> IO[bytes]:
    return tempfile.TemporaryFile(dir=folder)


def _let_go(file: IO[bytes]) -> None:
    with contextlib.suppress(OSError):  # what it holds still, and the disk does not take, is of no use any more
        file.close()
