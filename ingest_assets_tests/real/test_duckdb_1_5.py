"""The reader's copy, opened by the DuckDB that most tools still bring: every table and value is read."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest_assets_tests.loopback import Replying, serving

HERE = Path(__file__).parent
SOURCE = """
base_url: {url}
endpoints:
  things:
    path: /things
    write: replace
    primary_key: id
    columns:
      id: {{type: uuid, required: true}}
      price: {{type: "decimal(18,2)"}}
      day: {{type: date}}
      at: {{type: timestamptz}}
      local: {{type: timestamp}}
      clock: {{type: time}}
      raw: {{type: json}}
      huge: {{type: hugeint}}
"""
THINGS = [
    {
        "id": f"00000000-0000-4000-8000-{number:012}",
        "price": f"{number}.25",
        "day": "2026-02-28",
        "at": "2026-02-28T23:59:59.123456+02:00",
        "local": "2026-02-28 12:00:00",
        "clock": "23:59:59",
        "raw": {"a": [1, None, "ü"]},
        "huge": 2**100 + number,
        "share": number / 7,
        "exact": 12345678901234567890.5,
        "flag": bool(number % 2),
        "name": "☃" * (number % 50),
        "nothing": None,
        "mixed": number if number % 2 else str(number),
        "lines": [{"sku": f"s{number}", "tags": ["a", "b"]}] * (number % 3),
    }
    for number in range(2000)
]
READ = """
import json, sys
import duckdb

with duckdb.connect(sys.argv[1], read_only=True) as reader:
    reader.execute("SET TimeZone = 'UTC'")
    query = "SELECT schema_name, table_name FROM duckdb_tables() ORDER BY ALL"
    told = {}
    for schema, table in reader.execute(query).fetchall():
        rows = reader.execute(f'SELECT COLUMNS(*)::VARCHAR FROM "{schema}"."{table}" ORDER BY ALL').fetchall()
        types = reader.execute(f'DESCRIBE "{schema}"."{table}"').fetchall()
        told[f"{schema}.{table}"] = [[column[:2] for column in types], rows]
print(json.dumps([duckdb.__version__, told]))
"""


def installed() -> Path:
    """The Python of an environment with DuckDB 1.5, kept between runs; the test is skipped where it can't be had."""
    folder = HERE.parent.parent / ".cache" / f"duckdb-1.5-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "done").exists():
        lock = ("--require-hashes", "--no-deps", "-r", str(HERE / "duckdb_1_5.lock"))
        for step in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "-q", *lock],
        ):
            done = subprocess.run(step, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"DuckDB 1.5 cannot be installed here: {done.stderr.strip().splitlines()[-1:]}")
        (folder / "done").touch()
    return python


def read(python: Path | str, warehouse: Path) -> tuple[str, dict[str, Any]]:
    """The version of a Python's DuckDB, and each table's columns and rows as it reads them."""
    done = subprocess.run([str(python), "-c", READ, str(warehouse)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    version, tables = json.loads(done.stdout)
    return version, tables


@pytest.fixture
def things() -> Iterator[str]:
    """An API that tells of all things at once."""

    class Handler(Replying):
        def get(self) -> None:
            self.send(200, THINGS)

    with serving(Handler) as server:
        yield server.url


def test_duckdb_1_5_reads_every_table_and_value_of_the_readers_copy(here: Any, things: str) -> None:
    python = installed()
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=things))
    here.more.update({"INGEST_ONLY": "shop,zendesk", "NO_PROXY": "127.0.0.1"})
    for name in ("shop", "zendesk.users"):
        done = here.ingest("run", name)
        assert done.returncode == 0, done.stdout + done.stderr

    older, told = read(python, here.data / "warehouse.duckdb")

    newer, expected = read(sys.executable, here.data / "warehouse.duckdb")
    assert (older.startswith("1.5."), newer) == (True, duckdb.__version__)
    assert told == expected
    assert {"shop.things", "shop.things__lines", "shop.things__lines__tags", "_ingest.fetches"} < told.keys()
    columns, rows = told["shop.things"]
    assert len(rows) == len(THINGS)
    assert {kind for _, kind in columns} > {"UUID", "DECIMAL(18,2)", "DATE", "TIMESTAMP WITH TIME ZONE", "JSON", "TIME"}
    assert "zendesk.users" in told
