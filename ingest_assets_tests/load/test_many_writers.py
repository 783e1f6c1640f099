"""Processes that write into one table at once, each with new keys and wider types, while somebody reads."""

import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

LONG = bool(os.environ.get("INGEST_LONG"))
SECONDS = 60 if LONG else 1
WRITERS = 8 if LONG else 2
ROWS = 50
# In the short form the machine may be at anything else: nobody waits for ever.
_LONGEST_WAIT = 2.0 if LONG else 30.0

_WRITER = """
import contextlib, json, sys, time
from datetime import timedelta
from pathlib import Path
from ingest_assets.load.warehouse import Warehouse
from ingest_assets_tests.load.conftest import Lab, endpoint
from ingest_assets_tests.load.test_many_writers import WRITERS, daily, records

waits = []
class Measured(Warehouse):
    @contextlib.contextmanager
    def alone(self, what):
        began = time.monotonic()
        with super().alone(what):
            waits.append(time.monotonic() - began)
            yield

data, writer, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
things = Lab(data, endpoint(**daily()))
things.warehouse = Measured(data, reserve_bytes=0)
print("ready", flush=True)
sys.stdin.readline()
until, round_ = time.monotonic() + seconds, 0
while round_ < 2 or time.monotonic() < until:
    day = f"2026-01-{writer + 1:02}"
    things.store(1 + writer + WRITERS * round_, day, records(writer, round_))
    things.load(day)
    things.warehouse.publish(timedelta(seconds=1))
    round_ += 1
print(json.dumps({"rounds": round_, "waits": waits}))
"""

_READER = """
import json, sys
from pathlib import Path
from ingest_assets.load.warehouse import Warehouse
from ingest_assets_tests.load.test_many_writers import ROWS

warehouse, counts = Warehouse(Path(sys.argv[1])), []
print("ready", flush=True)
while not (Path(sys.argv[1]) / "done").exists():
    with warehouse.reading() as connection:
        days = connection.execute("SELECT partition, count(*) FROM shop.things JOIN _ingest.fetches USING (_fetch) "
            "WHERE endpoint = 'things' GROUP BY ALL").fetchall()
    counts.append(sum(count for _, count in days))
    assert all(count % ROWS == 0 for _, count in days), days  # a load is there as a whole, or not at all
assert counts == sorted(counts), "rows that had been there were gone"
print(json.dumps({"looks": len(counts), "rows": counts[-1]}))
"""


def daily() -> dict[str, Any]:
    """What makes an endpoint a window by day: each writer has a day."""
    return {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": "2026-01-01"}}


def records(writer: int, round_: int) -> list[dict[str, Any]]:
    """What a writer brings in a round: known keys, a key that is new, and values that make types wider."""
    chance = random.Random(1000 * writer + round_)  # noqa: S311 -- records, not secrets
    wider = [1, 0.5, 2**70, "N/A"][min(3, round_ // 4)]
    found = []
    for n in range(ROWS):
        shared = f"k{chance.randrange(4 + round_ // 2) % 40}"
        lines = [{"n": n, f"m{round_ % 5}": wider}] if n % 5 == 0 else []
        record = {"id": f"{writer}-{round_}-{n}", "at": round_, shared: wider if n == 7 else n, "lines": lines}
        found.append(record | {f"own{writer}_{round_ % 8}": [n, n / 4, str(n)][min(2, round_ // 8)]})
    return found


def _started(code: str, *arguments: object) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=Path(__file__).parents[2])


def _told(process: "subprocess.Popen[str]") -> dict[str, Any]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return dict(json.loads(out.splitlines()[-1]))


def _ready(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"


def _at_once(data: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What the writers and the reader say."""
    processes = [_started(_WRITER, data, number, SECONDS) for number in range(WRITERS)]
    try:
        processes.append(reader := _started(_READER, data))
        for process in processes:
            _ready(process)
        for process in processes[:WRITERS]:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        writers = [_told(process) for process in processes[:WRITERS]]
        (data / "done").touch()
        return writers, _told(reader)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def test_many_writers_and_a_reader_lose_nothing_and_nobody_waits_long(lab, rebuilt):
    things = lab(**daily())
    things.store(10**6, "2026-02-01", [{"id": f"first-{n}"} for n in range(ROWS)])
    things.load("2026-02-01")
    things.warehouse.publish()

    writers, reader = _at_once(things.data)

    rounds = [one["rounds"] for one in writers]
    brought = [r for writer, count in enumerate(rounds) for n in range(count) for r in records(writer, n)]
    assert sorted(things.values("id")) == sorted([*(f"first-{n}" for n in range(ROWS)), *(r["id"] for r in brought)])
    assert len(things.values("_id", "things__lines")) == sum(len(r["lines"]) for r in brought)
    for account in things.accounts().values():
        assert account.pop("received") == sum(account.values())
    assert things.contents() == rebuilt(things).contents()
    waits = sorted(wait for one in writers for wait in one["waits"])
    p50, p99 = statistics.median(waits), waits[int(len(waits) * 0.99)]
    told = f"{sum(rounds)} loads, {len(waits)} waits: p50 {p50:.3f} s, p99 {p99:.3f} s, max {waits[-1]:.3f} s"
    print(f"{told}; {reader['looks']} looks of the reader")
    assert p99 <= _LONGEST_WAIT, told
