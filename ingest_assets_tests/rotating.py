"""An API whose key is replaced in the middle of a walk, and the walk that has to come through."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb

from ingest_assets import catalog
from ingest_assets.line import Line
from ingest_assets_tests.loopback import Replying

PAGES, PAGE_SIZE = 8, 5
FILE = """
base_url: "{url}"
auth: {{type: bearer, token: {secret}}}
endpoints:
  orders:
    path: /orders
    records: data
    paginator: {{type: page, total_pages: pages}}
    primary_key: id
"""


@dataclass
class Keys:
    """The key that the API takes, and what is to happen before it answers a page."""

    key: str
    before: dict[int, Callable[[], None]] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)


class Handler(Replying):
    """Gives orders to those who have the key of now."""

    def get(self) -> None:
        """A page, or 401."""
        keys: Keys = self.server.keys  # type: ignore[attr-defined]
        page = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
        keys.before.pop(page, lambda: None)()
        good = self.headers["Authorization"] == f"Bearer {keys.key}"
        rows = [{"id": page * PAGE_SIZE + n, "told": self.headers["Authorization"]} for n in range(PAGE_SIZE)]
        keys.statuses.append(200 if good else 401)
        self.send(keys.statuses[-1], {"data": rows, "pages": PAGES} if good else {"error": "bad key"})


def walked(folder: Path, url: str, secret: str) -> list[int]:
    """The ids in the table once a source with this secret has been walked and loaded."""
    (folder / "shop.yaml").write_text(FILE.format(url=url, secret=secret))
    line = Line(catalog.load(folder / "shop.yaml", [folder]), folder / "data", run="test")
    with line.partition("orders", None):
        line.fetch("orders", None)
        line.load("orders", None)
    line.publish()
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as reader:
        return [row[0] for row in reader.execute("SELECT id FROM shop.orders ORDER BY id").fetchall()]


ALL = list(range(PAGE_SIZE, PAGE_SIZE * (PAGES + 1)))
