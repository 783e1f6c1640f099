"""Several processes at once, and processes that are killed."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_LOAD = """
import json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from ingest_assets.load.load import Loader
from ingest_assets.load.work import Work
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.source import Endpoint
data, model, tasks, dies = Path(sys.argv[1]), Endpoint(**json.loads(sys.argv[2])), json.loads(sys.argv[3]), sys.argv[4]
def now():
    if dies == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    return datetime.now(UTC)
print("ready", flush=True)
sys.stdin.readline()
for endpoint, partition in tasks:
    work = Work("shop", endpoint, model)
    Loader(Warehouse(data, reserve_bytes=0), Snapshots(data / "raw"), work, "r", now).load(partition)
"""


def _start(data: Path, model: dict[str, Any], tasks: list[Any], dies: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _LOAD, str(data), json.dumps(model), json.dumps(tasks), dies]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _run(processes: list[subprocess.Popen[str]]) -> list[int]:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
    return [process.returncode for process in processes]


def test_four_processes_at_once_end_in_the_tables_of_one(lab, daily, rebuilt):
    told = {"path": "/things", "primary_key": "id", **daily}
    orders, refunds = lab(**daily, name="orders"), lab(**daily, name="refunds")
    days = [f"2026-01-{day:02}" for day in range(1, 9)]
    for number, day in enumerate(days, 1):
        # Columns, lists and types differ from day to day, so that schemas collide.
        record = {"v": [1, 0.5, 2**70][number % 3], f"c{number % 4}": "x", "l": [{"n": 1, f"m{number % 3}": [1]}]}
        for which, things in enumerate([orders, refunds]):
            things.store(2 * number + which, day, [{"id": 100 * number + n, **record} for n in range(30)])
    tasks = [[name, day] for day in days for name in ("orders", "refunds")]

    codes = _run([_start(orders.data, told, tasks[first::4]) for first in range(4)])

    assert codes == [0, 0, 0, 0]
    one = rebuilt(orders)
    one.load(days[0], replay=True)
    fresh = type(refunds)(one.data, refunds.model, name="refunds")
    fresh.raw = refunds.raw
    for day in days:
        fresh.load(day)
    assert orders.contents() == fresh.contents()
    assert len(orders.accounts()) == len(refunds.accounts()) == 8


@pytest.mark.parametrize("told", [{}, {"newest_by": "at", "columns": {"at": {"type": "bigint"}}}])
def test_a_load_killed_inside_its_transaction_changes_nothing(lab, daily, rebuilt, told):
    model = {"path": "/things", "primary_key": "id", **daily, **told}
    things = lab(**daily, **told)
    things.store(1, "2026-01-01", [{"id": n, "at": 1, "l": [n]} for n in range(5)])
    things.load("2026-01-01")
    before = things.contents(lineage=True)
    things.store(2, "2026-01-01", [{"id": n, "at": 2, "l": [], "v": 0.5} for n in range(3)])

    codes = _run([_start(things.data, model, [["things", "2026-01-01"]], "dies")])

    assert codes == [-9]
    assert things.contents(lineage=True) == before
    assert [one.fetch for one in things.load("2026-01-01")] == [2]
    assert things.contents() == rebuilt(things).contents()
