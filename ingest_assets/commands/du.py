"""What takes the disk: responses and tables by endpoint, the rest by folder; and what nothing needs any more."""

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ingest_assets.commands.output import Output
from ingest_assets.commands.stored import Name, readable, stored
from ingest_assets.commands.terminal import facts, note, size, table
from ingest_assets.load import usage
from ingest_assets.load.unneeded import Needs, unneeded
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Snapshot, Snapshots


@dataclass(frozen=True)
class _Endpoint:
    """What one endpoint takes. `unneeded` are folders of fetches that no row, tombstone or quarantined record cites.

    `damaged` tells of fetches of which that cannot be told.
    """

    endpoint: str
    fetches: int
    response_bytes: int
    table_bytes: int
    unneeded: tuple[str, ...] = ()
    unneeded_bytes: int = 0
    damaged: tuple[str, ...] = ()


def du(data: Path, names: Sequence[str], out: Output) -> None:
    """Print it; of the sources and endpoints that are named, also of those whose file is gone, or of all."""
    snapshots = Snapshots(data / "raw")
    chosen = stored(snapshots, names)
    loaded = _loaded(data, chosen)
    endpoints = [_endpoint(name, snapshots.fetches(*name), loaded.get(name)) for name in chosen]
    folders = _folders(data)
    free = shutil.disk_usage(data).free if data.exists() else 0
    _print(endpoints, folders, free, out)
    told = {name: count for name, (count, _) in folders.items()}
    out.document({"endpoints": [asdict(one) for one in endpoints], "bytes": told, "free_bytes": free})


def _loaded(data: Path, names: Iterable[Name]) -> dict[Name, tuple[int, Needs]]:
    """Bytes of its tables, and what these need, by endpoint; nothing where there is no warehouse yet."""
    warehouse = Warehouse(data)
    if not warehouse.reader.exists():
        return {}
    with warehouse.reading() as connection:
        taken = usage.table_bytes(connection)
        return {
            name: (
                int(usage.share(taken, usage.of_endpoint(connection, *name))),
                usage.needs(connection, *name),
            )
            for name in names
        }


def _endpoint(name: Name, fetches: Sequence[Snapshot], loaded: tuple[int, Needs] | None) -> _Endpoint:
    known, errors = readable(fetches)
    spare = unneeded(known, loaded[1]) if loaded is not None else []
    return _Endpoint(
        ".".join(name),
        len(fetches),
        disk_bytes(fetches[0].folder.parent.parent) if fetches else 0,
        loaded[0] if loaded is not None else 0,
        tuple(str(snapshot.folder) for snapshot in spare),
        sum(disk_bytes(snapshot.folder) for snapshot in spare),
        tuple(map(str, errors)),
    )


def _folders(data: Path) -> dict[str, tuple[int, str]]:
    """The bytes of each part of the data folder, and what it is."""
    parts = {
        "responses": (data / "raw", "what APIs answered"),
        "archive": (data / "archive", "responses that `ingest migrate` gave up"),
        "warehouse": (data / "warehouse", "what loads write to"),
        "reader": (data / "warehouse.duckdb", "the copy to read"),
        "dagster": (data / "dagster", "Dagster's own runs and events"),
        "staging": (data / "staging", "of loads that are going on"),
        "trace": (data / "trace", "the last requests"),
    }
    return {name: (disk_bytes(path), what) for name, (path, what) in parts.items()}


def disk_bytes(path: Path) -> int:
    """The bytes of a file, or of all files below a folder; others may come and go meanwhile."""
    total = 0
    for file in [path, *path.rglob("*")]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            total += file.lstat().st_size if not file.is_dir() else 0
    return total


def _print(endpoints: Sequence[_Endpoint], folders: dict[str, tuple[int, str]], free: int, out: Output) -> None:
    if endpoints:
        columns = ("endpoint", "fetches", "responses", "tables", "not needed")
        rows = [
            (e.endpoint, e.fetches, size(e.response_bytes), size(e.table_bytes), size(e.unneeded_bytes))
            for e in sorted(endpoints, key=lambda e: -e.response_bytes - e.table_bytes)
        ]
        out.console.print(table(columns, rows, right=("responses", "tables", "not needed")))
        out.console.print()
    told = [(name, f"{size(count):>9}  {what}") for name, (count, what) in folders.items()]
    out.console.print(facts([*told, ("free", f"{size(free):>9}  on this disk")]))
    if spare := sum(len(e.unneeded) for e in endpoints):
        count = size(sum(e.unneeded_bytes for e in endpoints))
        out.console.print(
            f"\nNot needed: {spare:,} fetches ({count}) that no row, tombstone or record in quarantine came from. "
            "Remove them: ingest prune"
        )
    for error in (error for e in endpoints for error in e.damaged):
        out.console.print(note("!", error, "yellow"))
