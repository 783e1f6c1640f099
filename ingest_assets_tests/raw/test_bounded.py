"""Neither memory nor time a page grows with what is stored."""

import subprocess
import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter

from msgspec.structs import replace

from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshots

Add = Callable[[OpenSnapshot, bytes], IndexEntry]

PEAK = """
import resource, sys
from pathlib import Path

def peak():  # of this process; ru_maxrss would begin with the size of the one that started it
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
"""
LARGE = (
    PEAK
    + """
import random
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import Snapshots

chunk = b"".join(random.Random(n).randbytes(100) + bytes(900) for n in range(1000))
snapshot = Snapshots(Path(sys.argv[1])).unfinished("stripe", "charges", "2026-01-01")
before, seen = peak(), 0
with snapshot.append(PageRequest("https://api.example.com")) as page:
    for _ in range(300):
        page.write(chunk)
    with page.read() as body:
        while part := body.read(1_000_000):
            seen += len(part)
    entry = page.commit(200, {}, 1)
with snapshot.end("complete", "one page").body(entry) as body:
    for line in iter(lambda: body.read(64_000), b""):
        seen += len(line)
print(seen, peak() - before)
"""
)
MANY = (
    PEAK
    + """
from ingest_assets.raw.snapshots import Snapshots

before = peak()
pages = Snapshots(Path(sys.argv[1])).find("stripe", "charges", "2026-01-01", 7).pages
print(sum(page.records for page in pages), peak() - before)
"""
)


def measured(program: str, snapshots: Snapshots) -> tuple[int, int]:
    """The two numbers that a program prints: what it saw, and by how many bytes its memory grew at most."""
    run = subprocess.run(
        [sys.executable, "-c", program, str(snapshots.folder)], capture_output=True, text=True, check=True
    )
    seen, grown = run.stdout.split()
    return int(seen), int(grown)


def test_a_body_of_300_mb_passes_through_in_little_memory(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshots.begin(manifest)

    seen, grown = measured(LARGE, snapshots)

    assert seen == 600_000_000
    assert grown < 60_000_000


def test_pages_with_large_notes_are_listed_in_little_memory(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = replace(snapshots, reserve_bytes=0).begin(manifest)
    for _ in range(300):
        with snapshot.append(PageRequest("https://api.example.com")) as page:
            page.commit(200, {}, 1, {"last_record": ["x" * 20_000] * 10})

    seen, grown = measured(MANY, snapshots)

    assert seen == 300
    assert grown < 20_000_000


def test_the_last_of_many_pages_takes_no_longer_than_the_first(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    snapshot = snapshots.begin(manifest)
    seconds = []

    for _ in range(4_000):
        begun = perf_counter()
        add(snapshot, b'{"data": []}')
        seconds.append(perf_counter() - begun)

    assert median(seconds[-1000:]) < 5 * median(seconds[:1000])
    assert len(snapshots.find("stripe", "charges", "2026-01-01", 7).pages) == 4_000
