"""How long a range of daily partitions takes as Dagster runs: `ingest run`, from its start to its exit.

    python -m benchmarks.range_run          30 days of 3 endpoints
    python -m benchmarks.range_run 365

Each partition has ten records. All is included: the start of Python and Dagster, the requests, snapshots, tables, the
reader's copy, and the events that Dagster keeps. It is one run an endpoint, of a range of partitions.
"""

import json
import os
import sys
import tempfile
import threading
from datetime import date, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import duckdb

from benchmarks.measure import Cost, measured

_A_DAY = 10
_FIRST = date(2025, 1, 1)
_ENDPOINT = """
  {name}:
    path: /{name}
    records: data
    paginator: {{type: none}}
    window: {{from: from, until: until, format: date}}
    partitions: {{every: day, start: "{first}"}}
    changes: immutable
    primary_key: id
"""
_NAMES = ("orders", "returns", "visits")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 20

    def do_GET(self) -> None:
        day = date.fromisoformat(parse_qs(urlsplit(self.path).query)["from"][0])
        first = (day - _FIRST).days * _A_DAY
        told = [{"id": first + n, "day": day.isoformat(), "amount": n / 4, "tags": ["new"]} for n in range(_A_DAY)]
        body = json.dumps({"data": told}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def cost(days: int) -> Cost:
    """Of a run of so many days; raises ValueError where rows are missing."""
    api = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=api.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as made_here:
            return _cost(Path(made_here), days, api.server_port)
    finally:
        api.shutdown()
        api.server_close()


def _cost(folder: Path, days: int, port: int) -> Cost:
    endpoints = "".join(_ENDPOINT.format(name=name, first=_FIRST) for name in _NAMES)
    (folder / "sources").mkdir()
    (folder / "sources" / "shop.yaml").write_text(f"base_url: http://127.0.0.1:{port}\nendpoints:{endpoints}")
    environment = {
        "INGEST_SOURCES": str(folder / "sources"),
        "INGEST_DATA": str(folder / "data"),
        "INGEST_LIMITS": str(folder / "limits"),
        "NO_PROXY": "127.0.0.1",
    }
    last = _FIRST + timedelta(days=days - 1)
    command = [str(Path(sys.executable).with_name("ingest")), "run", "shop", "--from", str(_FIRST), "--to", str(last)]
    found = measured(command, environment, folder / "output")
    with duckdb.connect(str(folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
        for name in _NAMES:
            row = connection.execute(f"SELECT count(DISTINCT id), count(*) FROM shop.{name}").fetchone()
            if row != (days * _A_DAY, days * _A_DAY):
                raise ValueError(f"{name}: {row} rows, expected {days * _A_DAY:,}")
    return found


if __name__ == "__main__":
    days = int(sys.argv[1]) if sys.argv[1:] else 30
    one, all_days = cost(1), cost(days)
    for name, seconds in (("wall", "wall_seconds"), ("CPU", "cpu_seconds")):
        whole, start = getattr(all_days, seconds), getattr(one, seconds)
        each = whole / (days * len(_NAMES)) * 1000
        more = (whole - start) / ((days - 1) * len(_NAMES)) * 1000
        print(f"{name}: {whole:.1f} s, {each:.0f} ms a partition; of one day {start:.1f} s, {more:.0f} ms each more")
    print(f"load {os.getloadavg()[0]:.1f}, {all_days.peak_mb:.0f} MB")
