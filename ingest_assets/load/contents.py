"""DuckDB's table of contents, kept aside while DuckDB writes over it.

At each checkpoint DuckDB writes new blocks where nothing refers to yet, and the header that refers to them last. But
the blocks that say where tables are, it writes in place, what holds now and what will hold in the same block: a process
that is killed in the middle of such a write leaves a block that is neither, and a file that DuckDB refuses to open. Of
1,500 processes that were killed while they did nothing but commit, two left such a file. So these blocks are kept until
DuckDB is done; as long as the header is the former one, what was kept is what belongs there.

    <data>/warehouse/writer.contents    the header, then the place and the bytes of each block, and the hash of all that
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import duckdb
import xxhash

_HEADER_BYTES = 3 * 4096  # the file's own, and two of the database by turns
_BLOCK_BYTES_AT = 4096 + 5 * 8
_PLACE = struct.Struct("<Q")
_HASH_BYTES = 16


class Contents:
    """The table of contents of the database `w` in a file that is about to be attached, for who is alone with it.

    The file is opened here before DuckDB opens it, and closed after it: to close it in between would take away
    DuckDB's lock, which is one of the process.
    """

    def __init__(self, file: Path) -> None:
        self._file, self._descriptor = file, -1

    @contextlib.contextmanager
    def opened(self) -> Iterator["Contents"]:
        """For as long as the file is attached."""
        with contextlib.suppress(FileNotFoundError):  # it is new, and DuckDB makes it
            self._descriptor = os.open(self._file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield self
        finally:
            if self._descriptor >= 0:
                os.close(self._descriptor)

    def keep(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Keep it, before a commit. Where there is no room for it, DuckDB goes on without."""
        if self._descriptor < 0:
            return
        header = os.pread(self._descriptor, _HEADER_BYTES, 0)
        size, end = _block_bytes(header), os.fstat(self._descriptor).st_size
        with connection.cursor() as aside:  # the transaction's own may have been ended by an error
            found = aside.execute("SELECT block_id FROM pragma_metadata_info('w')").fetchall()
        places = [place for (number,) in found if (place := _HEADER_BYTES + number * size) + size <= end]
        parts = [header, *(_PLACE.pack(place) + os.pread(self._descriptor, size, place) for place in places)]
        text = b"".join(parts)
        with contextlib.suppress(OSError):
            _kept(self._file).write_bytes(text + xxhash.xxh3_128_digest(text))

    def done(self) -> None:
        """DuckDB has written it, and the header too."""
        _kept(self._file).unlink(missing_ok=True)


def restore(file: Path, log: Path) -> None:
    """Put back what a process kept that died before DuckDB was done; for who is alone with the file.

    Where the process died with a commit in DuckDB's `log`, what it kept stays: whoever opens the file next writes over
    its contents again, and may die, too.
    """
    try:
        told = _kept(file).read_bytes()
    except FileNotFoundError:
        return
    if not (_put_back(told, file) and log.exists()):
        _kept(file).unlink()


def _put_back(told: bytes, file: Path) -> bool:
    """Whether it is what belongs there."""
    text, hash_ = told[:-_HASH_BYTES], told[-_HASH_BYTES:]
    if xxhash.xxh3_128_digest(text) != hash_ or not file.exists():  # it died while it kept it
        return False
    header = text[:_HEADER_BYTES]
    with file.open("r+b") as database:
        if database.read(_HEADER_BYTES) != header:
            return False
        size = _block_bytes(header)
        for at in range(_HEADER_BYTES, len(text), _PLACE.size + size):
            (place,) = _PLACE.unpack_from(text, at)
            os.pwrite(database.fileno(), text[at + _PLACE.size : at + _PLACE.size + size], place)
        os.fsync(database.fileno())
    return True


def _kept(file: Path) -> Path:
    return file.with_suffix(".contents")


def _block_bytes(header: bytes) -> int:
    found: int = _PLACE.unpack_from(header, _BLOCK_BYTES_AT)[0]
    return found
