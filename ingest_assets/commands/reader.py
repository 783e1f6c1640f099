"""The copy of the warehouse that everybody reads."""

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from ingest_assets.commands.output import Output
from ingest_assets.commands.terminal import moment, size
from ingest_assets.load.warehouse import Warehouse


@dataclass(frozen=True)
class _Copy:
    """What the reader's copy holds: its size, how many tables, how many loads, and when the newest of them was."""

    bytes: int
    tables: int
    loads: int
    newest_load: datetime | None


def publish(data: Path, out: Output) -> bool:
    """Publish what is committed and say what came of it; whether there is anything to read.

    Locked where another process keeps the warehouse to itself for too long.
    """
    warehouse = Warehouse(data)
    before = _copy(warehouse)
    published = warehouse.publish()
    after = _copy(warehouse)
    if after is None:
        out.console.print("Nothing is loaded yet. Next: ingest run")
        out.document({"published": False, "reader": None}, ok=False)
        return False
    holds = f"{after.tables:,} tables, {size(after.bytes)}, the newest load of {moment(after.newest_load)}"
    more = after.loads - (before.loads if before else 0)
    news = (
        f"Published: {more:,} more loads. "
        if published
        else "The reader's copy is current: nothing is committed since. "
    )
    out.console.print(f"{news}It holds {holds}")
    out.console.print(str(warehouse.reader))
    told = {"file": str(warehouse.reader), **asdict(after)}
    out.document({"published": published, "new_loads": more, "reader": told})
    return True


def _copy(warehouse: Warehouse) -> _Copy | None:
    if not warehouse.reader.exists():
        return None
    with warehouse.reading() as connection:
        loads, newest = connection.execute("SELECT count(loaded), max(loaded) FROM _ingest.fetches").fetchall()[0]
        tables = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'warehouse' AND schema_name <> '_ingest'"
        ).fetchall()[0][0]
    return _Copy(warehouse.reader.stat().st_size, tables, loads, newest)
