"""One "N/A" in a column of numbers: what it takes until the column is json, and until it is numbers again.

    python -m benchmarks.na                 1,000,000 rows
    python -m benchmarks.na 10000000

Flat records of four fields lie in snapshots, so that each step is what it would be: all rows are read from what is
stored, with no request. Each is a process of its own; the column's type and the rows are looked at after it.

load        the rows are loaded for the first time
one N/A     one more fetch, of one record, whose amount is "N/A": the column becomes json
undo        that fetch is given up: the column is what it was
declare     `amount: {type: double}` in the source's file, and a replay
N/A again   another such record: it goes into quarantine

`locked` is the longest time for which others had to wait to write; `MB` is the writer's file.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import Cost, measured
from ingest_assets.http.page import PageRequest
from ingest_assets.load.load import Loader
from ingest_assets.load.stage import Work
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Manifest, Snapshots
from ingest_assets.source import Endpoint

# The type of the column after each step, and how many records are in quarantine.
STEPS = {
    "load": ("DOUBLE", 0),
    "one N/A": ("JSON", 0),
    "undo": ("DOUBLE", 0),
    "declare": ("DOUBLE", 0),
    "N/A again": ("DOUBLE", 1),
}
_PAGE = 10_000
_NONE = '{"id":7,"amount":"N/A","state":"paid","customer":"c-7"}'


@dataclass(frozen=True)
class Step:
    """What a step cost, and how the table was after it. `mb` is the size of the writer's file."""

    name: str
    cost: Cost
    locked_seconds: float
    type: str
    mb: float


class _Timed(Warehouse):
    """Knows the longest time for which it kept others out."""

    locked_seconds = 0.0

    @contextlib.contextmanager
    def alone(self, what: str) -> Iterator[None]:
        """See `Warehouse`."""
        with super().alone(what):
            began = time.monotonic()
            yield
            self.locked_seconds = max(self.locked_seconds, time.monotonic() - began)


def steps(rows: int) -> Iterator[Step]:
    """Each step, one after the other; raises ValueError where the table is not as it should be."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
        data = Path(made_here)
        _store(data, 1, _orders(rows))
        for number, (name, (kind, aside)) in enumerate(STEPS.items(), 1):
            if "N/A" in name:
                _store(data, number, [[_NONE]])
            command = [sys.executable, "-m", "benchmarks.na", "--step", name, str(data)]
            cost = measured(command, {}, data / "output")
            told = json.loads((data / "output").read_text())
            if (told["type"], told["quarantined"], told["rows"]) != (kind, aside, rows):
                raise ValueError(f"after {name!r}: {told}, expected {rows:,} rows, {kind}, {aside} in quarantine")
            yield Step(name, cost, told["locked"], kind, told["mb"])


def _orders(rows: int) -> Iterator[list[str]]:
    for first in range(0, rows, _PAGE):
        yield [
            f'{{"id":{n},"amount":{n % 900_000 / 100},"state":"paid","customer":"c-{n % 40_000}"}}'
            for n in range(first, min(rows, first + _PAGE))
        ]


def _store(data: Path, fetch: int, pages: Iterable[list[str]]) -> None:
    snapshots = Snapshots(data / "raw")
    snapshot = snapshots.begin(Manifest("shop", "orders", None, fetch, snapshots.now(), "made up"))
    for records in pages:
        with snapshot.append(PageRequest("http://127.0.0.1/orders")) as page:
            page.write(f"[{','.join(records)}]".encode())
            page.commit(200, {}, len(records))
    snapshot.end("complete", "made up")


def _step(name: str, data: Path) -> dict[str, object]:
    """Do one step in this process; how the table is after it."""
    columns = {"amount": {"type": "double"}} if name in ("declare", "N/A again") else {}
    work = Work("shop", "orders", Endpoint(path="/orders", primary_key="id", columns=columns))
    warehouse, snapshots = _Timed(data), Snapshots(data / "raw")
    if name == "undo":
        snapshots.give_up(snapshots.fetches("shop", "orders")[-1], "undone by a person")
    Loader(warehouse, snapshots, work, "benchmark").load(None, replay=name == "declare")
    locked = warehouse.locked_seconds
    warehouse.publish()
    with warehouse.reading() as connection:
        told = connection.execute(
            "SELECT (SELECT data_type FROM duckdb_columns() WHERE schema_name = 'shop' AND column_name = 'amount'), "
            "(SELECT count(*) FROM shop.orders), "
            "(SELECT count(*) FROM _ingest.quarantine WHERE closed_by IS NULL)"
        ).fetchall()[0]
    mb = warehouse.writer.stat().st_size / 1e6
    return dict(zip(("type", "rows", "quarantined", "locked", "mb"), (*told, locked, mb), strict=True))


def _main() -> None:
    if sys.argv[1:2] == ["--step"]:
        print(json.dumps(_step(sys.argv[2], Path(sys.argv[3]))))
        return
    rows = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    print(f"{rows:,} rows; load {os.getloadavg()[0]:.1f}\n")
    print("| step | s | CPU s | peak MB | locked s | column | MB |\n|---|---|---|---|---|---|---|")
    for one in steps(rows):
        cost = f"{one.cost.wall_seconds:.1f} | {one.cost.cpu_seconds:.1f} | {one.cost.peak_mb:.0f}"
        print(f"| {one.name} | {cost} | {one.locked_seconds:.2f} | {one.type.lower()} | {one.mb:.0f} |", flush=True)


if __name__ == "__main__":
    _main()
