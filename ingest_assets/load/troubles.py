"""How failures end: what stays, what is next; and what it means that DuckDB failed."""

from pathlib import Path
from typing import TYPE_CHECKING

from ingest_assets.errors import StorageFailed

if TYPE_CHECKING:
    import duckdb

UNTOUCHED = "What is loaded and fetched stays as it is"
NEXT = "nothing of it is loaded, and it is kept. Next: change the file, and it loads without another request"
_UNREADABLE = ("Storage Version", "version number", "Corrupt database", "not a valid DuckDB")  # as DuckDB says it


class TooLittleMemory(StorageFailed):
    """A load that may do with more memory: see `Warehouse.more_memory`."""


class Unsuited(Exception):
    """What only a whole snapshot tells is needed, or more files than may be open: so a second process is of no use."""


def failure(error: "duckdb.Error", writer: Path, memory_mb: int, free_bytes: int) -> StorageFailed | None:
    """What happened, where and what to do; None where it is neither memory nor disk."""
    import duckdb  # here: what makes rows knows the words above, and no database

    told = str(error).splitlines()[0]
    # Of a commit it says so in the words of another error.
    if isinstance(error, duckdb.OutOfMemoryException) or "allocate" in told or "failed to pin block" in told:
        return TooLittleMemory(
            f"{writer}: DuckDB cannot do with {memory_mb} MB: {told}. {UNTOUCHED}; give it more memory"
        )
    # Of other files, such as those that it spills to, that is a matter of the disk.
    cut = f'Could not read enough bytes from file "{writer}"'
    if any(sign in told for sign in (*_UNREADABLE, cut)):
        return StorageFailed(
            f"{writer}: {told}. It is damaged, or a later DuckDB wrote it. Use the version that wrote it; or "
            "move the file away and build it again from the snapshots: ingest rebuild"
        )
    # Nobody else writes: where a commit fails, it is the disk.
    if isinstance(error, duckdb.IOException | duckdb.FatalException) or "Failed to commit" in told:
        free = f"{free_bytes / 1e6:,.0f} MB are free"
        return StorageFailed(f"{writer}: {told}; {free}. {UNTOUCHED}; mend that and run again")
    return None
