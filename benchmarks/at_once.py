"""How long 100 pages take that come after 50 ms each: asked for one by one, and at once.

    python benchmarks/at_once.py                100 pages of 100 orders (1.5 KB), 1, 8 and 16 at once
    python benchmarks/at_once.py 20 10 1 4      20 pages, 10 ms, 1 and 4 at once

What is measured, in a process that is up: `Line.fetch`, from the first request to the stored and ended snapshot, and
`Line.load`, from there to tables and child tables. The API is another process of this machine, which answers from
memory.
"""

import json
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ingest_assets.line import Line
from ingest_assets.source import Source

A_PAGE = 100
TAGS = ["new", "gift", "wholesale"]


def order(number: int) -> dict[str, object]:
    """An order of about 1.5 KB, with nested lists."""
    lines = [
        {
            "sku": f"SKU-{number % 97}-{line}",
            "title": f"Article {line} of order {number}, " + "x" * 60,
            "quantity": line,
        }
        | {"price": f"{(number * 7 + line) % 900}.95", "taxes": [{"rate": 0.21, "title": "VAT"}]}
        for line in range(1, 6)
    ]
    who = {"name": f"Customer {number % 512}", "email": f"c{number % 512}@example.com", "address": "y" * 120}
    return {"id": number, "created_at": "2026-01-06T08:00:00Z", "customer": who, "tags": TAGS, "lines": lines}


def serve(pages: int, seconds: float, told: Connection) -> None:
    """Answer `?page=N`, each after so long; tells the port."""
    bodies = [
        json.dumps(
            {"data": [order(n) for n in range(page * A_PAGE, (page + 1) * A_PAGE)], "total": pages * A_PAGE}
        ).encode()
        for page in range(pages)
    ]

    class Api(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            time.sleep(seconds)
            body = bodies[int(parse_qs(urlsplit(self.path).query)["page"][0]) - 1]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    told.send(server.server_port)
    server.serve_forever()


@dataclass(frozen=True)
class Took:
    """Seconds."""

    fetch: float
    load: float


def measured(pages: int, milliseconds: float, at_once: list[int]) -> dict[int, Took]:
    """How long it took, by how many requests were on their way at once; raises where an order is missing."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=serve, args=(pages, milliseconds / 1000, there), daemon=True
    )
    process.start()
    try:
        port = here.recv()
        return {size: _seconds(f"http://127.0.0.1:{port}", pages, size) for size in at_once}
    finally:
        process.kill()
        process.join()
        here.close()
        there.close()


def _seconds(url: str, pages: int, at_once: int) -> Took:
    orders = {
        "path": "/orders",
        "records": "data",
        "primary_key": "id",
        "paginator": {"type": "page", "total": "total"},
    }
    source = Source.model_validate(
        {"name": "bench", "base_url": url, "at_once": at_once, "endpoints": {"orders": orders}}
    )
    with tempfile.TemporaryDirectory() as folder:
        line = Line(source, Path(folder))
        line.fetches("orders")  # the warehouse is made once, before anything is fetched
        began = time.monotonic()
        line.fetch("orders", None)
        fetched = time.monotonic()
        (loaded,) = line.load("orders", None)
        took = Took(fetched - began, time.monotonic() - fetched)
    if loaded.account.inserted != pages * A_PAGE:
        raise AssertionError(f"{loaded.account.inserted:,} orders came, expected {pages * A_PAGE:,}")
    return took


if __name__ == "__main__":
    os.environ.setdefault("NO_PROXY", "127.0.0.1")
    given = [float(text) for text in sys.argv[1:]]
    pages, milliseconds = (int(given[0]), given[1]) if given else (100, 50.0)
    for size, took in measured(pages, milliseconds, [int(n) for n in given[2:]] or [1, 8, 16]).items():
        print(f"{size:3d} at once: fetch {took.fetch:.2f} s, load {took.load:.2f} s")
