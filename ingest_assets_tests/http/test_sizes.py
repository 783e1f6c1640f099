"""Answers of ten gigabytes, and headers of ten megabytes: refused by the name of the limit, in flat memory.

The long form reads nine gigabytes before it refuses; the short one 64 MB.
"""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ingest_assets_tests.loopback import Replying, serving
from ingest_assets_tests.whole import state_in

LONG = "INGEST_LONG" in os.environ
MAX_MB = 9_000 if LONG else 64
MOST_GROWTH_MB = 48
BODY_BYTES = 10_000_000_000
PIECE = bytes(1 << 20)
PROGRAM = """
import json, re, sys
from pathlib import Path
from ingest_assets.errors import IngestError
from ingest_assets.line import Line, Pace
from ingest_assets.source import Source

def peak_mb():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024

source, folder, names = Source.model_validate_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
line = Line(source, folder, run="sizes", pace=Pace(retry_seconds=1, read_timeout_seconds=30))
for name in names:
    before = peak_mb()
    try:
        with line.partition(name, None):
            line.fetch(name, None)
        told = "taken"
    except IngestError as error:
        told = f"{type(error).__name__}: {error}"
    bodies = sum(file.stat().st_size for file in (folder / "raw").rglob("pages.zst"))
    print(json.dumps({"name": name, "told": told, "grown_mb": peak_mb() - before, "stored": bodies}))
"""


class _Endless(Replying):
    """Ten gigabytes in each way in which a body can come, and a header of ten megabytes."""

    protocol_version = "HTTP/1.1"

    def get(self) -> None:
        self.close_connection = True
        try:
            getattr(self, f"_{self.path.strip('/')}")()
        except ConnectionError:
            return

    def _warm(self) -> None:
        self._begin({"Content-Length": "2"})
        self.wfile.write(b"[]")

    def _announced(self) -> None:
        self._begin({"Content-Length": str(BODY_BYTES)})
        for _ in range(BODY_BYTES // len(PIECE)):
            self.wfile.write(PIECE)

    def _chunked(self) -> None:
        self._begin({"Transfer-Encoding": "chunked"})
        for _ in range(BODY_BYTES // len(PIECE)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(PIECE), PIECE))
        self.wfile.write(b"0\r\n\r\n")

    def _packed(self) -> None:
        """Members of a gzip file, one after another, are one file (RFC 1952 §2.2)."""
        self._begin({"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"})
        member = gzip.compress(bytes(len(PIECE)))
        for _ in range(BODY_BYTES // len(PIECE)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(member), member))
        self.wfile.write(b"0\r\n\r\n")

    def _header(self) -> None:
        self._begin({"Content-Length": "2", "X-Long": "x" * 10_000_000})
        self.wfile.write(b"[]")

    def _headers(self) -> None:
        self._begin({"Content-Length": "2", **{f"X-{number}": "y" * 1000 for number in range(10_000)}})
        self.wfile.write(b"[]")

    def _begin(self, headers: dict[str, str]) -> None:
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one process says of all of them, by name."""
    folder: Path = tmp_path_factory.mktemp("sizes")
    names = ["warm", "announced", "chunked", "packed", "ratio", "header", "headers"]
    endpoint = {"write": "replace", "answer": {"max_mb": MAX_MB, "max_ratio": 100_000}}
    told = {name: {**endpoint, "path": f"/{name}"} for name in names}
    told["ratio"] |= {"path": "/packed", "answer": {"max_mb": 20_000}}
    with state_in(folder), serving(_Endless) as server:
        source = json.dumps({"name": "shop", "base_url": server.url, "endpoints": told})
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, source, str(folder / "data"), *names],
            env=os.environ,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    print(done.stdout)
    return {line["name"]: line for line in lines}


TOO_LARGE = f"larger than {MAX_MB << 20:,} bytes, the most that is read: ask for less at once, or raise `max_mb`"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("announced", TOO_LARGE),
        ("chunked", TOO_LARGE),
        ("packed", TOO_LARGE),
        ("ratio", "more than 200 times as large as it came"),
        ("header", "its headers are larger than what is read of them"),
        ("headers", "its headers are larger than what is read of them"),
    ],
)
def test_it_is_refused_by_the_limits_name_in_flat_memory(found: Any, name: str, message: str) -> None:
    told = found[name]

    assert message in told["told"]
    assert told["grown_mb"] < MOST_GROWTH_MB
    assert told["stored"] < 1_000_000
