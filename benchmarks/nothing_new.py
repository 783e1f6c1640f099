"""How long a run takes that finds nothing new: the whole process, from its start to its exit.

    python -m benchmarks.nothing_new                5 runs, after 10,000 orders were loaded
    python -m benchmarks.nothing_new 20 100000      20 runs, after 100,000
    python -m benchmarks.nothing_new 5 10000 2000   5 runs, after 2,000 others that found nothing new either

A feed goes on by time, and the API answers with an empty page: one request, a stored page, a fetch with its account.
That it is one request, and that no row is written, is counted. The script begins and ends its process as commands do
(`ingest_assets.process`).
"""

import hashlib
import json
import statistics
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb

from benchmarks.measure import Cost, measured
from benchmarks.records import records

_SOURCE = """
base_url: {url}
endpoints:
  orders:
    path: /orders
    records: data
    paginator: {{type: none}}
    feed: {{from: since, start: "2020-01-01T00:00:00Z", position: created_at}}
    primary_key: id
"""
_RUN = """
from ingest_assets.process import Process
process = Process()
import sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.line import Line
folder = Path(sys.argv[1])
line = Line(catalog.load(folder / "shop.yaml"), folder / "data", run="benchmark")
for _ in range(int(sys.argv[2])):
    with line.partition("orders", None):
        line.fetch("orders", None)
        line.load("orders", None)
line.publish()
process.end(0)
"""


class _Api(ThreadingHTTPServer):
    """Answers with all orders that are created after `since`; counts what it is asked."""

    daemon_threads = True

    def __init__(self, count: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = 0
        self.body = json.dumps({"data": list(records("orders", count))}).encode()


class _Handler(BaseHTTPRequestHandler):
    server: _Api
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20

    def do_GET(self) -> None:
        self.server.asked += 1
        since = parse_qs(urlsplit(self.path).query)["since"][0]
        body = self.server.body if since.startswith("2020") else b'{"data":[]}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def runs(count: int, orders: int, former: int = 0) -> list[Cost]:
    """The cost of so many runs that find nothing new, after `former` others.

    Raises ValueError where one asks twice, or a row changes.
    """
    api = _Api(orders)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
            folder = Path(made_here)
            (folder / "shop.yaml").write_text(_SOURCE.format(url=f"http://127.0.0.1:{api.server_port}"))
            _run(folder, 1 + former)
            before, costs = _rows(folder, orders), []
            for _ in range(count):
                api.asked = 0
                costs.append(_run(folder))
                if api.asked != 1 or _rows(folder, orders) != before:
                    raise ValueError(f"{api.asked} requests, expected one; or rows that changed")
            return costs
    finally:
        api.shutdown()
        api.server_close()


def _run(folder: Path, times: int = 1) -> Cost:
    # A package that is installed has its compiled modules beside it, which an environment for builds may forbid.
    environment = {"INGEST_LIMITS": str(folder / "limits"), "NO_PROXY": "127.0.0.1", "PYTHONDONTWRITEBYTECODE": ""}
    return measured([sys.executable, "-c", _RUN, str(folder), str(times)], environment, folder / "output")


def _rows(folder: Path, orders: int) -> str:
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
        found = connection.execute("SELECT id, _fetch, _page, _position, _hash FROM shop.orders ORDER BY id").fetchall()
    if len(found) != orders:
        raise ValueError(f"{len(found):,} orders, expected {orders:,}")
    return hashlib.sha256(repr(found).encode()).hexdigest()


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    costs = runs(*given, *(5, 10_000, 0)[len(given) :])
    for name in ("wall_seconds", "cpu_seconds", "peak_mb", "load"):
        told = [getattr(cost, name) for cost in costs]
        print(f"{name:13} {statistics.median(told):6.2f}   ({min(told):.2f}-{max(told):.2f})")
