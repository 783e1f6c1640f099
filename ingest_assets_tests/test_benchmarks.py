"""The benchmarks run, and check what each way loaded; their figures are in benchmarks/README.md."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LONG = bool(os.environ.get("INGEST_LONG"))
OTHERS = ["floor", "pandas", "dlt-tuned", "dlt"] if LONG else ["floor"]


@pytest.mark.parametrize("kind", ["orders", "events", "messy"] if LONG else ["orders"])
def test_each_way_loads_all_records_and_is_told_beside_ours(kind: str) -> None:
    against = ["ours, schema known", *OTHERS]

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", kind, "1200", "--runs", "1", "--against", *against],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = [line.split(" | ")[0].strip("| ") for line in done.stdout.splitlines() if line.startswith("| ")]
    assert told == ["way", "ours", *against]
