"""A datasette that other people wrote, over a SQLite file: by a source file alone, every row and value arrives."""

import contextlib
import os
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets import catalog
from ingest_assets.errors import RequestFailed
from ingest_assets.line import Line

TIMES = 20 if os.environ.get("INGEST_LONG") else 1
TOKEN = "dstok_9f1b7c0e"
DAYS = ("2026-01-01", "2026-01-02", "2026-01-03")
METADATA = """
databases:
  shop:
    tables:
      private: {allow: {bot: ingest}}
plugins:
  datasette-auth-tokens:
    tokens: [{token: {$env: THE_TOKEN}, actor: {bot: ingest}}]
"""
SOURCE = """
base_url: "{url}/shop"
auth: {{type: bearer, token: {{env: DATASETTE_TOKEN}}}}
endpoints:
  by_next_url:
    path: /things.json
    params: {{_shape: objects, _size: 40}}
    records: rows
    paginator: {{type: next_url, path: next_url}}
    total: filtered_table_rows_count
    primary_key: id
    write: replace
  by_link:
    path: /things.json
    params: {{_shape: array, _size: 40}}
    paginator: {{type: link}}
    primary_key: id
    write: replace
  by_link_as_lines:
    path: /things.json
    params: {{_shape: array, _nl: "on", _size: 40}}
    decoder: {{type: jsonl}}
    paginator: {{type: link}}
    primary_key: id
    write: replace
  private:
    path: /private.json
    params: {{_shape: objects}}
    records: rows
    paginator: {{type: next_url, path: next_url}}
    primary_key: id
    write: replace
  events:
    path: /events.json
    params: {{_shape: objects, _size: 30, _sort: created}}
    records: rows
    paginator: {{type: next_url, path: next_url}}
    total: filtered_table_rows_count
    window: {{from: created__gte, until: created__lt, format: iso}}
    partitions: {{every: day, start: "2026-01-01"}}
    changes: immutable
    primary_key: id
    columns: {{created: {{type: timestamptz}}}}
  changes:
    path: /events.json
    params: {{_shape: objects, _size: 30, _sort: created}}
    records: rows
    paginator: {{type: next_url, path: next_url}}
    feed: {{from: created__gte, start: "2026-01-01", position: created}}
    primary_key: id
    columns: {{created: {{type: timestamptz}}}}
"""
NASTY = ("/", "%", "?", "&", "~", "a/b", "a%2Fb", "q?x=1&y=2", "t~1", "~7E", "a,b", "a b", "+", "#x", "ü", "'", '"', "")
TABLES = """
CREATE TABLE things (id TEXT PRIMARY KEY, "select" TEXT, "has space" INTEGER, big INTEGER, price REAL, note TEXT);
CREATE TABLE private (id INTEGER PRIMARY KEY, told TEXT);
CREATE TABLE events (id INTEGER PRIMARY KEY, created TEXT);
"""
# What a column is called in the warehouse, where that is another name.
RENAMED = {"select_": "select", "has_space": "has space"}


@dataclass(frozen=True)
class Site:
    """A running datasette, the file that it serves, and a line that leads to it."""

    url: str
    file: Path
    line: Line

    def ingest(self, endpoint: str, partition: str | None = None) -> int:
        """Fetch and load a partition; how many rows were inserted."""
        with self.line.partition(endpoint, partition):
            self.line.fetch(endpoint, partition)
            (loaded,) = self.line.load(endpoint, partition)
        assert loaded.account.adds_up
        return loaded.account.inserted

    def rows(self, endpoint: str) -> list[dict[str, Any]]:
        """The rows of an endpoint's table by the names of the API, lineage left out, in order of their keys."""
        self.line.publish()
        with duckdb.connect(str(self.line.data / "warehouse.duckdb"), read_only=True) as reader:
            found = reader.execute(f"SELECT * FROM site.{endpoint}")  # noqa: S608 -- ours
            names = [column[0] for column in found.description or ()]
            kept = [(place, RENAMED.get(name, name)) for place, name in enumerate(names) if name[0] != "_"]
            return sorted(({name: row[place] for place, name in kept} for row in found.fetchall()), key=_by_id)

    def held(self, table: str, where: str = "true") -> list[dict[str, Any]]:
        """The rows of a table of the SQLite file."""
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute(f"SELECT * FROM {table} WHERE {where}").fetchall()  # noqa: S608 -- ours
        return sorted(map(dict, found), key=_by_id)

    def add_events(self, times: list[str]) -> None:
        """More events."""
        with contextlib.closing(sqlite3.connect(self.file)) as connection, connection:
            connection.executemany("INSERT INTO events (created) VALUES (?)", [(told,) for told in times])


def _by_id(row: dict[str, Any]) -> Any:
    return row["id"]


def _filled(file: Path) -> None:
    """Things with what is hard to page by and hard to keep; events of three days, many of them at midnight."""
    chosen = random.Random(1)  # noqa: S311 -- made-up data
    bigs = [2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1, 0, None]
    things = [
        (f"{NASTY[n % len(NASTY)]}{n // len(NASTY) or ''}", f"wörd {n}", n, bigs[n % len(bigs)], n / 7, None)
        for n in range(500 * TIMES)
    ]
    edges = [f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3, 4)]
    times = edges * 70 + [f"2026-01-0{chosen.randint(1, 3)}T{chosen.randint(0, 23):02}:59:59Z" for _ in range(200)]
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        connection.executescript(TABLES)
        connection.executemany("INSERT INTO things VALUES (?, ?, ?, ?, ?, ?)", things)
        connection.executemany("INSERT INTO private VALUES (?, ?)", [(n, f"told {n}") for n in range(150)])
        connection.executemany("INSERT INTO events (created) VALUES (?)", [(told,) for told in times])


@pytest.fixture(scope="module")
def served(installed: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of a datasette, and its file."""
    folder = tmp_path_factory.mktemp("datasette")
    _filled(folder / "shop.db")
    (folder / "metadata.yaml").write_text(METADATA)
    command = [str(installed("datasette").parent / "datasette"), "serve", str(folder / "shop.db"), "--port", "{port}"]
    with running([*command, "-m", str(folder / "metadata.yaml")], {"THE_TOKEN": TOKEN}, folder / "log") as url:
        yield url, folder / "shop.db"


@pytest.fixture
def site(served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A datasette, and an empty data folder."""
    url, file = served
    (tmp_path / "site.yaml").write_text(SOURCE.format(url=url))
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("DATASETTE_TOKEN", TOKEN)
    return Site(url, file, Line(catalog.load(tmp_path / "site.yaml"), tmp_path / "data", run="run-1"))


@pytest.mark.parametrize("endpoint", ["by_next_url", "by_link", "by_link_as_lines"])
def test_every_row_and_value_arrives_whichever_way_it_is_paged(site: Site, endpoint: str) -> None:
    site.ingest(endpoint)

    rows, held = site.rows(endpoint), site.held("things")
    assert rows == [{name: value for name, value in row.items() if name != "note"} for row in held]  # all of it is null
    assert len(rows) == 500 * TIMES
    assert [type(row["big"]) for row in rows] == [type(row["big"]) for row in held]


def test_a_table_that_needs_a_token_arrives_and_the_token_stays_out_of_all_files(site: Site) -> None:
    site.ingest("private")

    assert site.rows("private") == site.held("private")
    files = [file for file in site.line.data.rglob("*") if file.is_file()]
    assert [file for file in files if TOKEN.encode() in file.read_bytes()] == []


def test_another_token_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASETTE_TOKEN", "dstok_of_another")

    with pytest.raises(RequestFailed, match="HTTP 403"):
        site.ingest("private")


def test_ties_at_the_edges_of_days_are_in_one_day_each_and_none_is_lost(site: Site) -> None:
    inserted = {day: site.ingest("events", day) for day in reversed(DAYS)}

    told = {row["id"]: row["created"] for row in site.rows("events")}
    held = {row["id"]: datetime.fromisoformat(row["created"]) for row in site.held("events", "created < '2026-01-04'")}
    assert {key: created.astimezone(UTC) for key, created in told.items()} == held
    for day in DAYS:
        start = datetime.fromisoformat(f"{day}T00:00:00Z")
        assert inserted[day] == sum(start <= created < start + timedelta(days=1) for created in held.values()) >= 70


def test_a_feed_brings_what_came_at_the_very_time_where_it_stopped(site: Site) -> None:
    site.ingest("changes")
    before = len(site.rows("changes"))

    site.add_events(["2026-01-04T00:00:00Z"] * 40 + ["2026-01-05T00:00:00Z"] * 40)
    site.ingest("changes")

    rows = site.rows("changes")
    assert [row["id"] for row in rows] == [row["id"] for row in site.held("events")]
    assert len(rows) == before + 80
