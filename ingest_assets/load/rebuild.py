"""A lost warehouse, built again beside its place; or one that lacks what is stored, such as a restored one.

    <data>/warehouse/rebuild/    where a lost one is built; moved into its place as a whole, once all is loaded

So nobody takes half a warehouse for a whole one, and what was built before an interruption stays.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from ingest_assets.errors import StorageFailed
from ingest_assets.load import ledger, owners
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Manifest, Snapshots


def site(data: Path) -> Path:
    """The folder of the warehouse to load into: the data folder, or one beside a lost warehouse's place."""
    return data / "warehouse" / "rebuild" if Warehouse(data).lost else data


def tell(folder: Path, snapshots: Snapshots, manifests: Iterable[Manifest]) -> None:
    """Tell the warehouse of a folder which fetches are stored, and whose rows their sources hold."""
    noted = {source: snapshots.notes.account(source) for source, _ in snapshots.endpoints()}
    with Warehouse(folder).session("telling it what is stored") as connection:
        ledger.stored(connection, manifests)
        for source, whose in noted.items():
            if whose is not None:
                owners.remember(connection, source, *whose)


def finish(data: Path, folder: Path) -> None:
    """Move what was built beside a lost warehouse's place into it, where that is so; publish the reader's copy."""
    here = Warehouse(data)
    if folder != data:
        _move(Warehouse(folder), here)
        shutil.rmtree(folder)
    here.publish()


def _move(built: Warehouse, here: Warehouse) -> None:
    built.fold_in()
    with here.alone("putting the rebuilt warehouse in place"):
        if here.writer.exists():
            raise StorageFailed(f"{here.writer} is there again, and {built.writer} was built meanwhile: remove one")
        here.log.unlink(missing_ok=True)  # of the file that is gone: it must not be folded into this one
        built.writer.replace(here.writer)
