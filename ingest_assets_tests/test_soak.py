"""A long walk at the limit, with faults and a kill: memory stays flat, the limit holds, and every record is there.

Twelve seconds; an hour by INGEST_LONG=1, or as long as INGEST_SOAK_SECONDS says.
"""

import bisect
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pytest

from ingest_assets_tests.whole import Api, Asked, Reply, api_of_its_own

SECONDS = float(os.environ.get("INGEST_SOAK_SECONDS") or (3600 if "INGEST_LONG" in os.environ else 12))
RATE = 20
PAGES = int(SECONDS * RATE)
A_PAGE = 20
FLAT_MB = 6.0
SOURCE = """\
base_url: {url}
rate_limit: {{requests: {rate}, per: PT1S}}
endpoints:
  things:
    path: /things
    records: data
    paginator: {{type: cursor, path: next, param: cursor}}
    primary_key: id
    total: total
"""
CHILD = """
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.line import Line

line = Line(catalog.sources()["shop"], Path("data"), run="soak")
with line.partition("things", None):
    line.fetch("things", None)
    line.load("things", None)
"""
FAULTS = (
    Reply({}, 503, {"Retry-After": "0"}),
    Reply({}, 429, {"Retry-After": "0.2"}),
    Reply(reset="before"),
    Reply({"data": []}, cut=True),
    Reply(b'{"data": [{"id": 0}, '),
)


@dataclass
class Pages:
    """An API of many pages, one request in fifty of which fails, and when it was asked."""

    chance: random.Random = field(default_factory=lambda: random.Random(4))  # noqa: S311 -- faults, not secrets
    times: list[float] = field(default_factory=list)
    faults: int = 0
    last: int = -1

    def __call__(self, asked: Asked) -> Any:
        self.times.append(asked.at)
        if self.chance.random() < 1 / 50:
            self.faults += 1
            return self.chance.choice(FAULTS)
        self.last = int(asked.query.get("cursor", 0))
        first, text = self.last * A_PAGE, "x" * 100
        records = [{"id": n, "page": self.last, "text": f"{text}{n}"} for n in range(first, first + A_PAGE)]
        more = self.last + 1 < PAGES
        return {"data": records, "next": str(self.last + 1) if more else None, "total": PAGES * A_PAGE}

    @property
    def worst_second(self) -> int:
        """The most requests within any second."""
        return max(bisect.bisect_left(self.times, one + 1) - n for n, one in enumerate(self.times))


@pytest.fixture
def api() -> Iterator[Api]:
    with api_of_its_own() as running:
        yield running


def started(folder: Path) -> "subprocess.Popen[bytes]":
    """A process that fetches and loads."""
    told = {
        "INGEST_SOURCES": folder,
        "INGEST_ONLY": "shop",
        "INGEST_LIMITS": folder / "limits",
        "NO_PROXY": "127.0.0.1",
    }
    told |= {"XDG_STATE_HOME": folder / "state"}
    environment = os.environ | {name: str(value) for name, value in told.items()}
    return subprocess.Popen([sys.executable, "-c", CHILD], cwd=folder, env=environment)


def memory_mb(process: "subprocess.Popen[bytes]") -> float | None:
    """What it holds of the machine's memory (VmRSS); None once it has ended."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except FileNotFoundError:
        return None
    found = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) / 1024 if found else None


def watched(process: "subprocess.Popen[bytes]", pages: Pages, until: int) -> list[float]:
    """Its memory from time to time, until it was given the page of this number or has ended."""
    held = list[float]()
    while pages.last < until and process.poll() is None:
        if (now := memory_mb(process)) is not None:
            held.append(now)
        time.sleep(SECONDS / 400)
    return held


def test_a_long_walk_keeps_its_memory_its_limit_and_every_record(api: Api, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SOURCE.format(url=api.url, rate=RATE))
    pages = api.answer = Pages()
    with started(tmp_path) as first:
        watched(first, pages, PAGES // 4)
        first.kill()
    asked = len(pages.times)

    began = time.monotonic()
    with started(tmp_path) as second:
        held = watched(second, pages, PAGES - 1)
    seconds = pages.times[-1] - pages.times[asked]

    assert second.returncode == 0
    held = held[len(held) // 5 :]
    halves = median(held[: len(held) // 2]), median(held[len(held) // 2 :])
    with duckdb.connect(str(tmp_path / "data" / "warehouse" / "writer.duckdb"), read_only=True) as reader:
        found = reader.execute("SELECT count(*), count(DISTINCT id), min(id), max(id) FROM shop.things").fetchall()
        (told,) = reader.execute("SELECT verdict, expected, received, duplicates FROM _ingest.fetches").fetchall()
    print(
        f"{PAGES:,} pages, {pages.faults} faults, {(len(pages.times) - asked) / seconds:.1f} requests/s, worst second "
        f"{pages.worst_second}; memory {halves[0]:.1f} then {halves[1]:.1f} MB; {time.monotonic() - began:.0f} s"
    )
    assert found == [(PAGES * A_PAGE, PAGES * A_PAGE, 0, PAGES * A_PAGE - 1)]
    assert told == ("complete", PAGES * A_PAGE, PAGES * A_PAGE, 0)
    assert pages.worst_second <= RATE
    assert pages.faults > PAGES / 100
    assert halves[1] <= halves[0] + FLAT_MB, "memory grows with the pages"
