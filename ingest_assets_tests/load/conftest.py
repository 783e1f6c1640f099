"""A data folder with snapshots and a warehouse: store fetches, load them, look at the tables."""

# ruff: noqa: S608 -- the names in these queries are the tests' own

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_assets.errors import ContractBroken
from ingest_assets.http.page import PageRequest
from ingest_assets.line import Line
from ingest_assets.load import schema
from ingest_assets.load.load import Loaded, Loader
from ingest_assets.load.warehouse import Warehouse, quoted
from ingest_assets.load.work import Work
from ingest_assets.raw.manifest import Bounds
from ingest_assets.raw.notes import REGISTRY
from ingest_assets.raw.snapshots import Manifest, Snapshots
from ingest_assets.source import Endpoint, Source

START = datetime(2026, 1, 1, tzinfo=UTC)
DAILY = {
    "window": {"from": "from", "until": "until"},
    "partitions": {"every": "day", "start": "2026-01-01"},
}
LINEAGE = ("_id", "_parent", "_fetch", "_page")


def endpoint(**told: Any) -> Endpoint:
    """An endpoint of an API that nobody asks here."""
    return Endpoint(**{"path": "/things", "primary_key": ["id"], **told})


@dataclass
class Lab:
    """One endpoint of one source in a data folder of its own."""

    data: Path
    model: Endpoint
    source: str = "shop"
    name: str = "things"
    warehouse: Warehouse = field(init=False)
    raw: Path = field(init=False)

    def __post_init__(self) -> None:
        self.warehouse = Warehouse(self.data, reserve_bytes=0)
        self.raw = self.data / "raw"

    @property
    def snapshots(self) -> Snapshots:
        return Snapshots(self.raw, reserve_bytes=0)

    def store(self, fetch: int, partition: str | None, *pages: list[Any], verdict: str = "complete") -> None:
        """A fetch with these pages; a record that is bytes is taken as it is."""
        told = Manifest(
            self.source, self.name, partition, fetch, START + timedelta(hours=fetch), "f", self._of(partition)
        )
        opened = self.snapshots.begin(told)
        for records in pages:
            with opened.append(PageRequest("https://api.example.com/things")) as page:
                page.write(b"[" + b",".join(map(text, records)) + b"]")
                page.commit(200, {}, len(records))
        opened.end(verdict, "as the test says")

    def _of(self, partition: str | None) -> Bounds | None:
        bounds = self.model.bounds(partition)
        return Bounds(*bounds) if bounds else None

    def loader(self, model: Endpoint | None = None, now: Callable[[], datetime] | None = None) -> Loader:
        work = Work(self.source, self.name, model or self.model)
        return Loader(self.warehouse, self.snapshots, work, "r", now or (lambda: datetime.now(UTC)))

    def line(self, warehouse: Path | None = None) -> Line:
        """What commands use; it loads into the warehouse of another folder where one is given."""
        source = Source(name=self.source, base_url="http://127.0.0.1:9", endpoints={self.name: self.model})
        return Line(source, self.data, "r", warehouse)

    def load(self, partition: str | None = None, **how: Any) -> list[Loaded]:
        return self.loader().load(partition, **how)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a query on the writer's file, attached as `w`."""
        with self.warehouse.session("looking") as connection:
            return connection.execute(query, list(values)).fetchall()

    def columns(self, table: str | None = None) -> dict[str, str]:
        """Type by name of a table's columns, but for those of the system."""
        rows = self.rows(
            "SELECT column_name, data_type FROM duckdb_columns() WHERE database_name = 'w' AND schema_name = ? "
            "AND table_name = ? AND NOT starts_with(column_name, '_') ORDER BY column_name",
            self.source,
            table or self.name,
        )
        return dict(rows)

    def values(self, column: str, table: str | None = None) -> list[Any]:
        """A column's values, in order."""
        name = f"w.{quoted(self.source)}.{quoted(table or self.name)}"
        return [row[0] for row in self.rows(f"SELECT {quoted(column)} FROM {name} ORDER BY ALL")]

    def tables(self) -> list[str]:
        rows = self.rows(
            "SELECT table_name FROM duckdb_tables() WHERE database_name = 'w' AND schema_name = ? ORDER BY 1",
            self.source,
        )
        return [row[0] for row in rows]

    def contents(self, *, lineage: bool = False) -> dict[str, tuple[list[tuple[str, str]], list[tuple[Any, ...]]]]:
        """Columns with types and all rows of each table; without `lineage`, but for what says where a row came from.

        Ids are left in: they are a function of the key.
        """
        found = {}
        with self.warehouse.session("looking") as connection:
            described = connection.execute(
                "SELECT table_name, column_name, data_type FROM duckdb_columns() "
                "WHERE database_name = 'w' AND schema_name = ? ORDER BY ALL",
                [self.source],
            ).fetchall()
            for table in dict.fromkeys(row[0] for row in described):
                root = not any(row[:2] == (table, "_parent") for row in described)
                where = {"_fetch", "_page"} | ({"_position"} if root else set())
                kept = [row[1:] for row in described if row[0] == table and (lineage or row[1] not in where)]
                names = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name, _ in kept)
                rows = connection.execute(
                    f"SELECT {names} FROM w.{quoted(self.source)}.{quoted(table)} ORDER BY ALL"
                ).fetchall()
                found[table] = (kept, rows)
        return found

    def quarantined(self) -> list[tuple[Any, ...]]:
        """Fetch, page, position, reason and who closed it, of all quarantined records."""
        return self.rows(
            "SELECT _fetch, _page, _position, reason, closed_by FROM w._ingest.quarantine WHERE endpoint = ? "
            "ORDER BY ALL",
            self.name,
        )

    def accounts(self) -> dict[int, dict[str, int]]:
        """The stored account of each loaded fetch, but for zeros."""
        names = ["received", *schema.FATES]
        rows = self.rows(
            f"SELECT _fetch, {', '.join(names)} FROM w._ingest.fetches WHERE loaded IS NOT NULL AND endpoint = ?",
            self.name,
        )
        return {row[0]: {n: v for n, v in zip(names, row[1:], strict=True) if v} for row in rows}


def text(record: Any) -> bytes:
    """A record as an API writes it."""
    return record if isinstance(record, bytes) else json.dumps(record).encode()


@pytest.fixture(scope="session")
def lab_at() -> Callable[[Path, Endpoint], Lab]:
    """Make the lab of an endpoint in a folder: for tests that need many."""
    return Lab


@pytest.fixture
def lab(tmp_path: Path) -> Callable[..., Lab]:
    """Make the lab of an endpoint, by default merged by `id` and not partitioned; `at` is another data folder."""

    def make(model: Endpoint | None = None, at: str = "data", **told: Any) -> Lab:
        names = {name: told.pop(name) for name in ("source", "name") if name in told}
        return Lab(tmp_path / at, model or endpoint(**told), **names)

    return make


@pytest.fixture(scope="session")
def daily() -> dict[str, Any]:
    """What makes an endpoint a window by day."""
    return DAILY


@pytest.fixture(scope="session")
def rebuilt() -> Callable[[Lab], Lab]:
    """The same snapshots in a fresh warehouse, with the same registry if it is said so."""
    return rebuild


@pytest.fixture(scope="session")
def built_again() -> Callable[[Lab], Lab]:
    """The same snapshots in the warehouse that takes the place of a lost one, fetch by fetch as they once came."""
    return build_again


def build_again(lab: Lab) -> Lab:
    """What `ingest rebuild` makes of all that a lab has stored and noted, beside the lab's own warehouse."""
    fresh = _beside(lab)
    noted = fresh.snapshots.notes.registry(lab.source, lab.name)
    line = lab.line(fresh.data)
    for partition in dict.fromkeys(s.manifest.partition for s in lab.snapshots.fetches(lab.source, lab.name)):
        with contextlib.suppress(ContractBroken):  # what was refused is so again
            list(line.catch_up(lab.name, partition))
    if noted is not None:
        lab.snapshots.notes.note_registry(lab.source, lab.name, noted)
    return fresh


def _beside(lab: Lab) -> Lab:
    """The same snapshots, and a warehouse of its own beside them."""
    fresh = Lab(lab.data / f"rebuilt{len(list(lab.data.glob('rebuilt*')))}", lab.model, lab.source, lab.name)
    fresh.raw = lab.raw
    return fresh


def rebuild(lab: Lab, *, with_registry: bool = False) -> Lab:
    """Load all snapshots of a lab into a fresh warehouse, which lies beside the lab's own.

    Without the registry that the lab's warehouse noted beside its snapshots, names and shapes are found anew.
    """
    fresh = _beside(lab)
    noted = fresh.snapshots.notes.registry(lab.source, lab.name)
    if not with_registry:
        for note in lab.raw.rglob(REGISTRY):
            note.unlink()
    for partition in dict.fromkeys(s.manifest.partition for s in lab.snapshots.fetches(lab.source, lab.name)):
        fresh.load(partition)
    if noted is not None:
        lab.snapshots.notes.note_registry(lab.source, lab.name, noted)
    return fresh
