"""Promise 7: memory does not grow with the number of records, and a load that needs more of it gets some."""

import subprocess
import sys
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.load import load, stage
from ingest_assets.load.commit import Commit
from ingest_assets.load.troubles import TooLittleMemory, failure
from ingest_assets.load.warehouse import Warehouse

_MEASURE = """
import resource, sys
from pathlib import Path
from ingest_assets.load.load import Loader
from ingest_assets.load.work import Work
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Endpoint
data = Path(sys.argv[1])
model = Endpoint(path="/things", primary_key="id", newest_by="at", columns={"at": {"type": "bigint"}})
warehouse = Warehouse(data, memory_mb=96, most_memory_mb=96, reserve_bytes=0)
(loaded,) = Loader(warehouse, Snapshots(data / "raw"), Work("shop", "things", model), "r").load(None)
unit = 1024 if sys.platform == "darwin" else 1
print(loaded.account.inserted, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)
"""


def _peak(things: Any) -> tuple[int, int]:
    """Rows inserted by a process of its own, and its greatest size in kilobytes."""
    run = subprocess.run([sys.executable, "-c", _MEASURE, str(things.data)], capture_output=True, text=True, check=True)
    inserted, kilobytes = run.stdout.split()
    return int(inserted), int(kilobytes)


def _pages(count: int) -> list[list[bytes]]:
    record = (
        b'{"id":%d,"at":%d,"name":"customer number %d","tags":["a%d"],"address":{"city":"%d","text":"'
        + b"x" * 60
        + b'"}}'
    )
    return [[record % ((n,) * 5) for n in range(first, first + 10_000)] for first in range(0, count, 10_000)]


def test_memory_is_bounded_while_300_000_rows_are_staged_and_merged(lab):
    small, large = lab(at="small"), lab(at="large")
    small.store(1, None, *_pages(30_000))
    large.store(1, None, *_pages(300_000))

    few, base = _peak(small)
    many, peak = _peak(large)

    assert (few, many) == (30_000, 300_000)
    assert peak - base < 120_000
    assert list((large.data / "staging").iterdir()) == []


def test_a_load_that_needs_more_memory_gets_twice_as_much(lab):
    things = lab()
    things.store(1, None, *_pages(20_000))
    things.warehouse = Warehouse(things.data, memory_mb=4, reserve_bytes=0)

    (loaded,) = things.load()

    assert loaded.account.inserted == 20_000
    assert 4 < things.warehouse.memory_mb <= 64


def test_what_needs_more_memory_to_be_built_anew_is_not_staged_again(lab, monkeypatch):
    things, done = lab(), []
    things.store(1, None, *_pages(30_000))
    things.load()
    before = things.contents(lineage=True)
    for module, name in ((stage, "stage"), (Commit, "_built")):
        noted = partial(_noted, done, name, getattr(module, name))
        monkeypatch.setattr(module, name, partialmethod(noted) if module is Commit else noted)

    ways = set()
    for memory_mb in range(4, 9):
        things.warehouse = Warehouse(things.data, memory_mb=memory_mb, reserve_bytes=0)
        things.load(replay=True)
        ways.add(tuple(done))
        done.clear()

    assert ("stage", "_built", "_built") in ways
    things.warehouse = Warehouse(things.data, reserve_bytes=0)
    assert things.contents(lineage=True) == before


def test_to_build_much_anew_again_and_again_takes_no_more_memory_than_once(lab, monkeypatch):
    things, found = lab(), []
    things.store(1, None, [{"id": 1}])
    things.load()
    monkeypatch.setattr(load, "_MUCH_BYTES", -1)

    for _ in range(3):
        things.load(replay=True)
        found.append(things.warehouse.memory_mb)

    assert found == 3 * [2 * Warehouse(things.data).memory_mb]


def _noted(done, name, act, *given):
    done.append(name)
    return act(*given)


def test_a_commit_that_needs_more_memory_is_told_as_that():
    told = "TransactionContext Error: Failed to commit: failed to pin block of size 1.3 MiB (91.5 MiB/91.5 MiB used)"

    assert isinstance(failure(duckdb.TransactionException(told), Path("w"), 96, 0), TooLittleMemory)
    full = duckdb.TransactionException("TransactionContext Error: Failed to commit: Could not write to file")
    assert not isinstance(failure(full, Path("w"), 96, 0), TooLittleMemory)


def test_a_load_that_needs_more_memory_than_there_is_changes_nothing(lab):
    things = lab()
    things.store(1, None, [{"id": -1}])
    things.load()
    before = things.contents(lineage=True)
    things.store(2, None, *_pages(20_000))
    things.warehouse = Warehouse(things.data, memory_mb=4, most_memory_mb=7, reserve_bytes=0)

    with pytest.raises(StorageFailed, match="DuckDB cannot do with 4 MB"):
        things.load()

    things.warehouse = Warehouse(things.data, reserve_bytes=0)
    assert things.contents(lineage=True) == before
