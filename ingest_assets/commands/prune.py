"""Stored fetches that nothing needs any more: shown, and removed where somebody says so.

plan     what could go, as the reader's copy tells; nothing is written
prune    endpoint by endpoint, under the locks of its partitions: what could go by then as the warehouse tells, removed

It can be killed and done again: a fetch goes as a whole, and what is left of one goes with the next prune.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingest_assets.commands.du import disk_bytes
from ingest_assets.commands.output import Output
from ingest_assets.commands.stored import Name, readable, stored
from ingest_assets.commands.terminal import counted, note, size, table
from ingest_assets.errors import StorageFailed
from ingest_assets.line import partition_lock
from ingest_assets.load import usage
from ingest_assets.load.plan import LOADABLE
from ingest_assets.load.unneeded import Needs, unneeded
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.locks import held
from ingest_assets.raw.notes import Notes
from ingest_assets.raw.snapshots import Snapshot, Snapshots

_WAIT_SECONDS = 30


@dataclass(frozen=True)
class Pruning:
    """What is to be removed: of these endpoints what nothing needs, but the newest `keep` and what began since."""

    data: Path
    names: tuple[Name, ...]
    keep: int = 1
    before: datetime | None = None

    @property
    def snapshots(self) -> Snapshots:
        """The stored fetches."""
        return Snapshots(self.data / "raw")

    def fetches(self, name: Name) -> list[Snapshot]:
        """The fetches of an endpoint but for those that are damaged, which stay."""
        return readable(self.snapshots.fetches(*name))[0]

    def unneeded(self, name: Name, needs: Needs) -> list[Snapshot]:
        """The fetches of an endpoint that could go."""
        return unneeded(self.fetches(name), needs, keep=self.keep, before=self.before)

    def damaged(self) -> list[StorageFailed]:
        """Why it cannot be told of some fetches what they are."""
        return [error for name in self.names for error in readable(self.snapshots.fetches(*name))[1]]

    def left(self, name: Name) -> list[Path]:
        """What is left of fetches that somebody died while removing."""
        return self.snapshots.removed(*name)


def plan(data: Path, names: Sequence[str], keep: int, before: datetime | None) -> Pruning:
    """What is meant; ConfigError where nothing is stored of a name."""
    return Pruning(data, tuple(stored(Snapshots(data / "raw"), names)), keep, before)


def show(pruning: Pruning, out: Output) -> dict[str, Any]:
    """Print what would be removed; gives the same as a document."""
    found = []
    with _looking(pruning) as needs:
        for name in pruning.names:
            spare = pruning.unneeded(name, needs(name))
            folders = [*(one.folder for one in spare), *pruning.left(name)]
            if folders:
                found.append((".".join(name), len(folders), sum(map(disk_bytes, folders)), *_days(spare)))
    count, total = sum(row[1] for row in found), sum(row[2] for row in found)
    if found:
        rows = [(label, fetches, size(taken), *days) for label, fetches, taken, *days in found]
        out.console.print(table(("endpoint", "fetches", "responses", "oldest", "newest"), rows, right=("responses",)))
        out.console.print(
            f"\n{counted(count, 'fetch', 'fetches')} ({size(total)}) could go: no row, deletion or "
            "record in quarantine came from them, and no walk goes on from them. Tables stay as they are"
        )
    else:
        out.console.print("Nothing to remove: all that is stored is needed")
    for error in pruning.damaged():
        out.console.print(note("!", f"Not removed, {error}", "yellow"))
    told = [dict(zip(("endpoint", "fetches", "bytes"), row[:3], strict=True)) for row in found]
    return {"endpoints": told, "fetches": count, "bytes": total}


def _days(spare: Sequence[Snapshot]) -> tuple[str, str]:
    days = sorted(f"{one.manifest.started:%Y-%m-%d}" for one in spare)
    return (days[0], days[-1]) if days else ("", "")


def prune(pruning: Pruning, out: Output) -> int:
    """Remove it; how many fetches. Locked where another process holds a partition of one of the endpoints."""
    count = taken = 0
    for name in pruning.names:
        with ExitStack() as locks:
            # A load of any partition may build the table anew, from all fetches that are kept.
            for partition in {one.manifest.partition for one in pruning.fetches(name)}:
                file = partition_lock(pruning.data, *name, partition)
                locks.enter_context(held(file, f"pruning {'.'.join(name)}", _WAIT_SECONDS))
            for folder in pruning.left(name):
                taken += disk_bytes(folder)
                shutil.rmtree(folder)
            with _looking(pruning, current=True) as needs:
                found = needs(name)
            spare = pruning.unneeded(name, found)
            _note(pruning.snapshots.notes, name, spare, found)
            for snapshot in spare:
                taken += disk_bytes(snapshot.folder)
                pruning.snapshots.remove(snapshot)
                count += 1
    out.console.print(f"Removed: {counted(count, 'fetch', 'fetches')}; {size(taken)} are free again")
    return count


def _note(notes: Notes, name: Name, spare: Sequence[Snapshot], needs: Needs) -> None:
    """Note of what goes when it had ended, and of what stays what it swept among rows that may go."""
    if spare:
        gone = {one.fetch for one in spare}
        notes.note_sweeps(*name, {fetch: swept for fetch, swept in needs.sweeps.items() if fetch not in gone})
        notes.note_pruned(*name, _loaded(spare))


def _loaded(spare: Sequence[Snapshot]) -> dict[int, datetime]:
    """When those ended that tables were made of: what a table was before cannot be told without them."""
    ended = ((one.fetch, one.manifest.ended) for one in spare)
    return {fetch: end.at for fetch, end in ended if end is not None and end.verdict in LOADABLE}


@contextmanager
def _looking(pruning: Pruning, *, current: bool = False) -> Iterator[Any]:
    """What tells the needs of an endpoint: by the reader's copy, or by the warehouse itself where that has to be so."""
    warehouse = Warehouse(pruning.data)
    warehouse.refuse_lost()
    if not warehouse.writer.exists():
        yield lambda _: Needs()
        return
    with (
        warehouse.looking("pruning") if current or not warehouse.reader.exists() else warehouse.reading() as connection
    ):
        yield lambda name: usage.needs(connection, *name)
