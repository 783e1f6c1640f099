"""Memory does not grow with what an API sends: a process of its own fetches, loads and tells its peak."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MOST_MB = 500
LONG = bool(os.environ.get("INGEST_LONG"))
ROWS = 1_000_000
TEXTS = 14_000_000 if LONG else 100_000  # of some 75 bytes each
BODY_BYTES = 1_000_000_000 if LONG else 200_000_000
_SOURCE = """
base_url: "{url}/big"
auth: {{type: bearer, token: {{env: STRIPE_API_KEY}}}}
endpoints:
  flat:
    path: /flat
    params: {{rows: {rows}}}
    decoder: {{type: jsonl}}
    write: replace
  csv:
    path: /csv
    params: {{rows: {texts}}}
    decoder: {{type: csv}}
    write: replace
    columns:
      id: {{type: bigint, required: true}}
      time: {{type: timestamptz, format: unix}}
      ok: {{type: boolean}}
  xml:
    path: /xml
    params: {{rows: {texts}}}
    decoder: {{type: xml}}
    records: events.event
    write: replace
    columns:
      id: {{type: bigint, required: true, path: "@id"}}
      time: {{type: timestamptz, format: unix}}
      ok: {{type: boolean}}
  array:
    path: /array
    params: {{bytes: {bytes}, record_bytes: 2000}}
    records: data
    write: replace
"""
_PROGRAM = """
import json, re, resource, sys, time
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.line import Line

def peak_mb():
    if sys.platform == "linux":  # where ru_maxrss begins at the peak of the process that started this one
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** 2

folder, endpoint = Path(sys.argv[1]), sys.argv[2]
line = Line(catalog.load(folder / "sources" / "big.yaml"), folder / "data", run="bounded")
began = time.monotonic()
with line.partition(endpoint, None):
    fetched = line.fetch(endpoint, None)
    seconds = time.monotonic() - began
    loaded = line.load(endpoint, None)
print(json.dumps({
    "peak_mb": peak_mb(),
    "bytes": fetched.manifest.ended.bytes,
    "inserted": loaded[0].account.inserted,
    "fetch_seconds": seconds,
    "seconds": time.monotonic() - began,
}))
"""


@pytest.mark.parametrize("endpoint", ["flat", "array", "csv", "xml"])
def test_a_million_events_and_a_body_of_a_gigabyte_stay_below_500_mb(here: Any, endpoint: str) -> None:
    file: Path = here.folder / "sources" / "big.yaml"
    file.write_text(_SOURCE.format(url=here.url, rows=ROWS, bytes=BODY_BYTES, texts=TEXTS))

    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, str(here.folder), endpoint],
        env=here.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(endpoint, told)
    assert told["peak_mb"] < MOST_MB
    if endpoint == "flat":
        assert told["inserted"] == ROWS
    elif endpoint in ("csv", "xml"):
        assert told["inserted"] == TEXTS
        assert told["bytes"] >= TEXTS * 70
    else:
        assert told["bytes"] >= BODY_BYTES * 0.99
        assert told["inserted"] > 0
