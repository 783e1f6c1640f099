"""Django REST framework's own generic views: each of its paginations, by token and by session, every row and value."""

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets import catalog
from ingest_assets.errors import RequestFailed
from ingest_assets.line import Line

ORDERS = 307
PASSWORD = "pass/w:rd+ü%1"
COMMON = """
base_url: "{url}"
endpoints:
"""
ENDPOINT = """
  {name}:
    path: {path}
    params: {params}
    records: {records}
    paginator: {paginator}
    primary_key: id
    write: replace
    columns:
      amount: {{type: "decimal(12,2)"}}
      created: {{type: timestamptz}}
"""
# More is asked for than the service gives: its pages hold 60, 70 and 35.
PAGED = {
    "by_total": ("pages/", "{page_size: 500}", "{type: page, total: count}"),
    "by_404": ("pages/", "{page_size: 500}", "{type: page, until: 404}"),
    "by_short_page": ("pages/", "{page_size: 500}", "{type: page, until: short_page}"),
    "by_next_url": ("pages/", "{page_size: 500}", "{type: next_url, path: next}"),
    "by_offset": ("offsets/", "{limit: 500}", "{type: offset, total: count}"),
    "by_offset_short": ("offsets/", "{limit: 500}", "{type: offset, until: short_page}"),
    "by_offset_empty": ("offsets/", "{limit: 500}", "{type: offset, until: empty_page}"),
    "by_cursor": ("cursors/", "{}", "{type: next_url, path: next}"),
}
TOKEN = """
auth:
  type: login
  login_url: "{url}/token/"
  user: jo
  password: {{env: SHOP_PASSWORD}}
  token: token
  prefix: "Token "
"""
SESSION = """
auth:
  type: login
  login_url: "{url}/login/"
  user: jo
  password: {{env: SHOP_PASSWORD}}
  cookie: sessionid
  csrf_cookie: csrftoken
"""
SEARCH = """
  search:
    path: mine/search/
    method: POST
    body: {at_least: 100}
    primary_key: id
    write: replace
    columns:
      amount: {type: "decimal(12,2)"}
      created: {type: timestamptz}
"""


@dataclass(frozen=True)
class Shop:
    """A running service, its file, and a folder for data."""

    url: str
    file: Path
    folder: Path

    def line(self, name: str, auth: str, endpoints: str) -> Line:
        """A line that leads to it, by a source file of this name."""
        file = self.folder / f"{name}.yaml"
        file.write_text((auth + COMMON).format(url=self.url) + endpoints)
        return Line(catalog.load(file), self.folder / "data", run="run-1")

    def by_token(self) -> Line:
        """All endpoints that take a token."""
        told = {name: dict(zip(("path", "params", "paginator"), parts, strict=True)) for name, parts in PAGED.items()}
        return self.line(
            "by_token", TOKEN, "".join(ENDPOINT.format(name=n, records="results", **t) for n, t in told.items())
        )

    def by_session(self) -> Line:
        """Those that take a session."""
        path, params, paginator = PAGED["by_total"]
        listed = ENDPOINT.format(
            name="by_total", path=f"mine/{path}", params=params, paginator=paginator, records="results"
        )
        return self.line("by_session", SESSION, listed + SEARCH)

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        """A statement on the service's own database."""
        with contextlib.closing(sqlite3.connect(self.file, timeout=30)) as connection, connection:
            return connection.execute(statement).fetchall()

    def orders(self, where: str = "true") -> dict[int, Any]:
        """The orders that it holds, as rows are compared here."""
        names = "id, number, amount, weight, paid, note, created"
        found = self.run(f"SELECT {names} FROM orders WHERE {where}")  # noqa: S608 -- ours
        lines = self.run("SELECT order_id, id, sku, quantity FROM lines ORDER BY id")
        return {
            row[0]: (
                row[1],
                Decimal(str(row[2])).quantize(Decimal("0.01")),
                row[3],
                bool(row[4]),
                row[5],
                datetime.fromisoformat(row[6]).replace(tzinfo=UTC),
                [line[1:] for line in lines if line[0] == row[0]],
            )
            for row in found
        }


def ingest(line: Line, endpoint: str) -> None:
    """Fetch and load it."""
    with line.partition(endpoint, None):
        line.fetch(endpoint, None)
        line.load(endpoint, None)


def rows(line: Line, endpoint: str) -> dict[int, Any]:
    """The table's rows, with their child rows."""
    line.publish()
    table = f"{line.source.name}.{endpoint}"
    with duckdb.connect(str(line.data / "warehouse.duckdb"), read_only=True) as reader:
        names = "id, number, amount, weight, paid, note, created, _id"
        found = reader.execute(f"SELECT {names} FROM {table}").fetchall()  # noqa: S608 -- ours
        children = f"SELECT _parent, id, sku, quantity FROM {table}__lines ORDER BY _parent, _position"  # noqa: S608 -- ours
        lines = reader.execute(children).fetchall()
    below: dict[Any, list[Any]] = {}
    for parent, *rest in lines:
        below.setdefault(parent, []).append(tuple(rest))
    return {row[0]: (*row[1:6], row[6].astimezone(UTC), below.get(row[7], [])) for row in found}


def _filled(file: Path) -> None:
    """Orders with exact amounts, numbers beyond 2^53, many of the same second, with none to three lines."""
    chosen = random.Random(2)  # noqa: S311 -- made-up data
    begin = datetime(2026, 1, 1)  # noqa: DTZ001 -- as Django keeps them: UTC, unsaid
    orders = [
        (
            n,
            2**53 + 2 * n + 1,
            f"{chosen.randint(0, 10**9)}.{n % 100:02}" if n % 3 else f"{n}.10",
            None if n % 5 == 0 else n / 7,
            n % 2,
            f"nöte {n}" if n % 4 else "",
            str(begin + timedelta(hours=n // 90, microseconds=0 if n % 2 else n)),
        )
        for n in range(1, ORDERS + 1)
    ]
    lines = [(n % ORDERS + 1, f"sku/{n}", n % 7) for n in range(ORDERS * 2) if n % ORDERS % 4]
    with contextlib.closing(sqlite3.connect(file, timeout=30)) as connection, connection:
        connection.executemany(
            "INSERT INTO orders (id, number, amount, weight, paid, note, created) VALUES (?, ?, ?, ?, ?, ?, ?)", orders
        )
        connection.executemany("INSERT INTO lines (order_id, sku, quantity) VALUES (?, ?, ?)", lines)


@pytest.fixture(scope="module")
def served(installed: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The URL of the service, and its file."""
    folder = tmp_path_factory.mktemp("rest_framework")
    (folder / "password").write_text(PASSWORD)
    service = Path(__file__).with_name("rest_service.py")
    command = [str(installed("rest_framework")), str(service), str(folder), "{port}"]
    with running(command, {"PYTHONWARNINGS": "ignore"}, folder / "log") as url:
        _filled(folder / "shop.db")
        yield url, folder / "shop.db"


@pytest.fixture
def shop(served: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """The service, and an empty folder."""
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    monkeypatch.setenv("INGEST_TOKENS", str(tmp_path / "tokens"))
    monkeypatch.setenv("SHOP_PASSWORD", PASSWORD)
    return Shop(*served, tmp_path)


@pytest.mark.parametrize("endpoint", PAGED)
def test_every_row_and_value_arrives_by_each_pagination(shop: Shop, endpoint: str) -> None:
    line = shop.by_token()

    ingest(line, endpoint)

    told = rows(line, endpoint)
    assert told == shop.orders()
    assert len(told) == ORDERS


def test_a_session_reads_pages_and_posts(shop: Shop) -> None:
    line = shop.by_session()

    ingest(line, "by_total")
    ingest(line, "search")

    assert rows(line, "by_total") == shop.orders()
    assert rows(line, "search") == shop.orders("amount >= 100")
    assert 0 < len(rows(line, "search")) < ORDERS


@pytest.mark.parametrize(("kind", "table"), [("by_token", "authtoken_token"), ("by_session", "django_session")])
def test_what_ended_meanwhile_is_renewed_once(shop: Shop, kind: str, table: str) -> None:
    line = getattr(shop, kind)()
    shop.run(f"DELETE FROM {table}")  # noqa: S608 -- ours
    ingest(line, "by_total")
    shop.run(f"DELETE FROM {table}")  # noqa: S608 -- ours

    ingest(line, "by_total")

    assert rows(line, "by_total") == shop.orders()
    assert shop.run(f"SELECT count(*) FROM {table}") == [(1,)]  # noqa: S608 -- ours


@pytest.mark.parametrize("kind", ["by_token", "by_session"])
def test_a_wrong_password_is_told_and_nothing_of_a_login_is_stored(
    shop: Shop, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = getattr(shop, kind)()
    ingest(line, "by_total")
    secrets = [
        told[0] for told in shop.run("SELECT key FROM authtoken_token UNION SELECT session_key FROM django_session")
    ]
    monkeypatch.setenv("SHOP_PASSWORD", "another-password")
    refused = getattr(shop, kind)()

    with pytest.raises(RequestFailed, match=r"login at http.*: HTTP (200|400): .*Check environment variable SHOP_PASS"):
        ingest(refused, "by_total")

    stored = [file.read_bytes() for file in line.data.rglob("*") if file.is_file()]
    assert secrets
    for secret in [*secrets, PASSWORD, "another-password"]:
        assert not any(secret.encode() in text for text in stored)
