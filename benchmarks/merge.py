"""How long it takes to merge one changed record in a hundred, with its list, into a table of many rows.

    python -m benchmarks.merge              1,000,000 rows, 10,000 of them changed
    python -m benchmarks.merge 10000000

What is measured is what all other writers wait for: the load's transactions, from opening the warehouse to letting go
of it, also those that had to be tried again. Staging comes between them, outside of the lock. Lists come as they were,
and then changed, too; both first where there is no reader's copy, and then with one that is current, as a run leaves
it. A first load brings 20,000 records; the rest of the table is made of copies of them, under other keys, by one
statement. Each record has a list of two, so there are twice as many child rows.
"""

import contextlib
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from ingest_assets.http.page import PageRequest
from ingest_assets.load.load import Loader
from ingest_assets.load.staged import hashed, key_text
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets.raw.snapshots import Manifest, Snapshots
from ingest_assets.source import Endpoint

_FIRST = 20_000
_ID = hashed(key_text(["CAST(b.id + {first} * k AS VARCHAR)"]))
_LINE_ID = hashed(f"concat({_ID}, '/', 'orders__lines', '/', l._position)")
_COPY = f"""
INSERT INTO w.shop.orders BY NAME
SELECT b.* REPLACE (b.id + {{first}} * k AS id, {_ID} AS _id)
FROM w.shop.orders AS b CROSS JOIN range(1, {{copies}}) AS c(k)"""
_COPY_LINES = f"""
INSERT INTO w.shop.orders__lines BY NAME
SELECT l.* REPLACE ({_ID} AS _parent, {_LINE_ID} AS _id)
FROM w.shop.orders__lines AS l JOIN w.shop.orders AS b ON b._id = l._parent CROSS JOIN range(1, {{copies}}) AS c(k)"""


class _Timed(Warehouse):
    """Knows how long its transactions took."""

    seconds = 0.0
    cpu_seconds = 0.0

    @contextlib.contextmanager
    def transaction(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """See `Warehouse`."""
        began, cpu = time.monotonic(), time.process_time()
        try:
            with super().transaction(connection):
                yield
        finally:
            self.seconds += time.monotonic() - began
            self.cpu_seconds += time.process_time() - cpu


def _order(number: int, state: str, discount: float = 0) -> dict[str, object]:
    first = number % _FIRST  # whose copy it is
    price = first % 400 + 0.95 - discount
    lines = [{"article": f"A-{first % 9000}", "quantity": at, "price": price} for at in (1, 2)]
    return {"id": number, "name": f"#{number}", "state": state, "total": number % 3000 / 4, "lines": lines}


def measured(rows: int, changes: int) -> Iterator[tuple[str, float, float]]:
    """What is merged, and its seconds and CPU seconds; ValueError where it changed other rows than it was to."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
        data = Path(made_here)
        warehouse, snapshots = _Timed(data), Snapshots(data / "raw")
        work = Work("shop", "orders", Endpoint(path="/orders", primary_key="id", paginator={"type": "none"}))
        loader = Loader(warehouse, snapshots, work, "benchmark")
        _store(snapshots, 1, [_order(number, "open") for number in range(_FIRST)])
        loader.load(None)
        with warehouse.session("copying rows") as connection:
            for copy in (_COPY_LINES, _COPY):
                connection.execute(copy.format(first=_FIRST, copies=rows // _FIRST))
        for fetch, (copy, discount) in enumerate(itertools.product((False, True), (0, 0.5)), 2):
            if copy:
                warehouse.publish()
            # Other records each time: those that were changed stand side by side since.
            changed = range(fetch, rows, rows // changes)
            _store(snapshots, fetch, [_order(number, "paid", discount) for number in changed])
            warehouse.seconds = warehouse.cpu_seconds = 0.0
            (loaded,) = loader.load(None)
            if (loaded.account.updated, loaded.account.child_rows) != (changes, 2 * changes * (discount > 0)):
                raise ValueError(f"{loaded.account}, expected {changes:,} updated rows")
            what = (
                f"{'a current' if copy else 'no'} reader's copy, lists {'changed, too' if discount else 'as they were'}"
            )
            yield what, warehouse.seconds, warehouse.cpu_seconds


def _store(snapshots: Snapshots, fetch: int, orders: list[dict[str, object]]) -> None:
    snapshot = snapshots.begin(Manifest("shop", "orders", None, fetch, snapshots.now(), "made up"))
    with snapshot.append(PageRequest("http://127.0.0.1/orders")) as page:
        page.write(json.dumps(orders).encode())
        page.commit(200, {}, len(orders))
    snapshot.end("complete", "made up")


if __name__ == "__main__":
    rows = int(sys.argv[1]) if sys.argv[1:] else 1_000_000
    for what, seconds, cpu in measured(rows, rows // 100):
        told = f"{seconds:.2f} s, {cpu:.2f} CPU s, load {os.getloadavg()[0]:.1f}"
        print(f"{rows // 100:,} changes into {rows:,} rows, {what}: {told}", flush=True)
