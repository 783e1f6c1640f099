"""Killed at random moments of a load, a replay, a publish or a prune: nothing is torn, lost or there twice.

A twin does the same and is never killed. After each kill the tables are, to the row and its lineage, those of the twin
before or after what was killed; and after it, where the process had come to its end.
"""

import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest_assets.load.schema import FATES
from ingest_assets_tests.load.conftest import Lab, rebuild
from ingest_assets_tests.load.victims import SOURCE, Victims, line, victims

LONG = bool(os.environ.get("INGEST_LONG"))
KILLS = 80 if LONG else 1  # of each of these
WHAT = ("load", "replay", "publish", "prune")
_PRUNED = 3 if LONG else 1  # rounds
_LATEST = 1.1 if LONG else 0.9  # of the time that the twin took: now and then after the end
ROWS = 400 if LONG else 40
NAMES = tuple(SOURCE.endpoints) if LONG else ("people",)
_DAYS = ("2026-01-01", "2026-01-02") if LONG else ("2026-01-01",)
_TOLD = f"""
SELECT 'account', _fetch, received, {", ".join(FATES)} FROM w._ingest.fetches WHERE loaded IS NOT NULL UNION ALL
SELECT 'aside', _fetch, _page, _position, closed_by, NULL, NULL, NULL, NULL, NULL, NULL FROM w._ingest.quarantine
ORDER BY ALL
"""  # noqa: S608 -- ours
# What a killed process was about to put in place goes with the next load of its endpoint.
_TABLES = (
    "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'shop' AND NOT starts_with(table_name, '_new:') "
    "ORDER BY ALL"
)
# Where a process was, by a function that it was in: the first that is found counts.
_PHASES = {
    "load": {
        "moving.": "bringing it in", "load.commit": "inside the transaction", "stage.stage": "staging",
        "load._build": "building anew", "warehouse": "opening the warehouse", "": "around it",
    },
    "publish": {"copies.copy": "copying", "warehouse.fold_in": "folding in", "": "around it"},
    "prune": {"snapshots.remove": "removing", "warehouse": "looking", "": "around it"},
}  # fmt: skip
_PHASES["replay"] = _PHASES["load"]
_RARE = {"building anew", "bringing it in", "folding in", "around it"}  # a moment, or only after another kill


@dataclass
class World:
    """A data folder that is killed at, its twin, and what became of the kills."""

    victims: Victims
    here: Path
    twin: Path
    chance: random.Random
    phases: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    fetch: int = 0
    told: Any = None

    def kills(self, what: str) -> int:
        """How many have met such a process."""
        return sum(count for (name, _), count in self.phases.items() if name == what)

    def store(self) -> None:
        """One more fetch of each partition: all rows change, and now and then what they are made of."""
        for number, name in enumerate(NAMES):
            for day in _DAYS:
                self.fetch += 1
                pages = _pages(self.fetch, 10_000 * (1 + _DAYS.index(day)), (self.fetch // 6 + number) % 5)
                for data in (self.here, self.twin):
                    lab(data, name).store(self.fetch, day, *pages)

    def done(self, job: dict[str, Any]) -> None:
        """Have it done, by the twin and here; killed here until it comes to its end."""
        before, began = self.told, time.monotonic()
        code, mark = self._ended(job, self.twin)
        assert (code, mark) == (0, "done"), mark
        self.seconds[job["what"]] = time.monotonic() - began
        after = self.told = self.state(self.twin)
        while True:
            is_killed = self.kills(job["what"]) < KILLS
            code, mark = self._ended(job, self.here, self.chance.uniform(0, _LATEST) if is_killed else None)
            assert code in (0, -signal.SIGKILL), mark
            now = self.state(self.here)
            assert now in ((after,) if mark == "done" else (before, after)), (job, mark)
            assert all(account[1] == sum(account[2:]) for kind, *account in now[1] if kind == "account"), now[1]
            if code == 0:
                assert job["what"] not in ("load", "replay") or not self._left(job["endpoint"])
                return
            if mark:  # else it was killed before it began
                self.phases[job["what"], phase(job["what"], mark)] += 1

    def _ended(self, job: dict[str, Any], data: Path, share: float | None = None) -> tuple[int, str]:
        """How a job ended; after that share of the time that it took the twin it is killed."""
        process = self.victims.start(job, data)
        if share is not None:
            time.sleep(share * self.seconds[job["what"]])
            os.kill(process, signal.SIGKILL)
        return self.victims.end(process)

    def state(self, data: Path) -> Any:
        """All tables with their lineage, accounts and quarantine; and all tables of the reader's copy."""
        some = lab(data, NAMES[0])
        tables = {name: table for name, table in some.contents(lineage=True).items() if not name.startswith("_new:")}
        told = tables, some.rows(_TOLD)
        warehouse = line(data).warehouse
        if not warehouse.reader.exists():
            return *told, None
        with warehouse.reading() as reader:
            names = [name for (name,) in reader.execute(_TABLES).fetchall()]
            return *told, {t: reader.execute(f"SELECT count(*), sum(hash(t)::HUGEINT) FROM shop.{t} AS t").fetchall()  # noqa: S608 -- ours
                           for t in names}  # fmt: skip

    def _left(self, endpoint: str) -> list[str]:
        """What killed processes were about to put in place of an endpoint's tables, and is there still."""
        return [table for table in lab(self.here, endpoint).tables() if table.startswith(f"_new:shop.{endpoint}:")]


def lab(data: Path, name: str) -> Lab:
    """One of the endpoints in a data folder."""
    return Lab(data, SOURCE.endpoints[name], "shop", name)


def phase(what: str, mark: str) -> str:
    """What a process was at, by its own mark."""
    return next((told for name, told in _PHASES[what].items() if name in mark), "")


def _pages(fetch: int, first: int, kind: int) -> list[list[Any]]:
    """Records of which all change from fetch to fetch, one that does not fit, and types that grow."""
    value = [1, 0.5, 2**70, "text", {"a": 1}][kind]
    records: list[dict[str, Any]] = [
        {
            "id": first + n,
            "at": 1_767_225_600 + fetch,
            "v": fetch,
            "lines": [{"n": n, "f": fetch}] * (n % 3),
            f"new{fetch // 12}": value,
        }
        for n in range(ROWS)
    ]
    records[3] |= {"wild": value, "gone": fetch % 2 == 0}
    records.append({"id": first, "at": "no time"})
    half = ROWS // 2
    return [records[:half], records[half:]]


def jobs(*, more: bool) -> Iterator[dict[str, Any]]:
    """What is done after each round of fetches; `more` where older ones of a partition can go."""
    for name in NAMES:
        for day in _DAYS:
            yield {"what": "load", "endpoint": name, "partition": day}
        yield {"what": "publish"}
        yield {"what": "replay", "endpoint": name, "partition": _DAYS[0]}
        if LONG:
            yield {"what": "publish"}
        if more:
            yield {"what": "prune", "endpoint": name}


def test_kills_at_any_moment_tear_lose_and_double_nothing(tmp_path: Path) -> None:
    with victims(tmp_path) as starting:
        _killed(World(starting, tmp_path / "here", tmp_path / "twin", random.Random(20261121)))  # noqa: S311 -- moments


def _killed(world: World) -> None:
    rounds, world.told = 0, world.state(world.twin)

    while any(world.kills(what) < KILLS for what in WHAT):
        for _ in range(1 if LONG else 2):  # so that there is something to prune
            world.store()
        for job in jobs(more=rounds % _PRUNED == _PRUNED - 1):
            world.done(job)
        rounds += 1

        for name in NAMES:
            found = {t: rows for t, rows in lab(world.here, name).contents().items() if t.split("__")[0] == name}
            assert found == rebuild(lab(world.here, name), with_registry=True).contents()
        assert line(world.here).sweep()
        assert list((world.here / "staging").iterdir()) == []
        assert [*world.here.rglob("*.new"), *world.here.rglob(".removed-*")] == []
        for left in world.here.glob("rebuilt*"):
            shutil.rmtree(left)
    told = {f"{what}, {where}": count for (what, where), count in sorted(world.phases.items())}
    print(f"{sum(world.phases.values())} kills in {rounds} rounds: {json.dumps(told, indent=1)}")
    if LONG:
        wanted = {(what, told) for what in WHAT for told in _PHASES[what].values() if told not in _RARE}
        assert wanted - world.phases.keys() == set()
