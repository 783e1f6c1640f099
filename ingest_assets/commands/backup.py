"""A copy of all that cannot be had again: snapshots, what is noted beside them, and the warehouse.

A warehouse never cites what is not stored beside it: snapshots are copied before it, and those that came meanwhile
after it; only then it takes the place of the former copy. So a backup can be interrupted at any moment.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import note
from ingest_assets.errors import ConfigError
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.locks import held
from ingest_assets.raw.copies import Copied, archive_copied, copied, gone
from ingest_assets.raw.snapshots import Snapshots

# Dagster's folder, locks and staging are made by commands that look at a copy.
_MINE = {"raw", "archive", "warehouse", "dagster", "locks", "staging"}


@dataclass
class _Done:
    """What was looked at, and what of it was copied."""

    fetches: int = 0
    new: set[Path] = field(default_factory=set)
    bytes: int = 0
    damaged: set[Path] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def count(self, copies: Iterable[Copied]) -> None:
        """Count a pass over all snapshots."""
        self.fetches = 0
        for copy in copies:
            self.fetches += 1
            self.bytes += copy.bytes
            self.new |= {copy.snapshot.folder} if copy.bytes else set()
            self.damaged |= {copy.snapshot.folder} if copy.problems else set()
            self.problems += [problem for problem in copy.problems if problem not in self.problems]


def backup(data: Path, folder: Path, out: Output) -> bool:
    """Bring a folder up to date with the data folder, while runs may go on; whether all of it verifies.

    The folder becomes a data folder itself. Raises ConfigError where it is no place for a backup of this one.
    """
    folder, here, warehouse, done = folder.absolute(), Snapshots(data / "raw"), Warehouse(data), _Done()
    _refuse(data, folder)
    warehouse.refuse_lost()
    with held(data / "locks" / "backup.lock", "ingest backup", 0):
        with out.progress.status(f"copying to {folder}"):
            done.count(_copied(here, data, folder))
            draft = warehouse.copied(folder / "warehouse" / "writer.duckdb")
            done.count(_copied(here, data, folder))
            if draft is not None:
                draft.replace(folder / "warehouse" / "writer.duckdb")
        left = gone(here, folder / "raw")
    _print(done, left, folder, out)
    return not done.problems


def _copied(here: Snapshots, data: Path, folder: Path) -> Iterator[Copied]:
    """What counts, and what was given up with its partitions: neither can be fetched again for sure."""
    yield from copied(here, folder / "raw")
    yield from archive_copied(here, data / "archive", folder / "archive")


def _refuse(data: Path, folder: Path) -> None:
    there, here = folder.resolve(), data.resolve()
    if there.is_relative_to(here) or here.is_relative_to(there):
        raise ConfigError(f"{folder}: a backup lies outside of the data folder {data}, and not around it")
    strange = {f.name for f in folder.iterdir()} - _MINE if folder.is_dir() else set()
    if strange or folder.is_file():
        named = f"holds {min(strange)}" if strange else "is a file"
        raise ConfigError(f"{folder} {named}; expected an empty folder, or one that `ingest backup` made")


def _print(done: _Done, left: list[Path], folder: Path, out: Output) -> None:
    for problem in done.problems:
        out.console.print(note("✗", str(problem)))
    out.console.print(
        f"{folder} is up to date: {done.fetches:,} fetches and the warehouse; copied {len(done.new):,} "
        f"({done.bytes / 1e6:,.1f} MB), damaged: {len(done.damaged):,}",
    )
    if left:
        out.console.print(
            f"Not in the data folder any more, and in the backup still: {len(left):,}, such as {left[0]}",
        )
    counts = {"fetches": done.fetches, "copied": len(done.new), "bytes": done.bytes}
    out.document({"folder": folder, **counts, "damaged": done.problems, "only_there": left}, ok=not done.problems)
