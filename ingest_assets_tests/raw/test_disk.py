"""A disk that is full, or nearly: nothing stored is lost, and the message says what to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw import disk
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]

# The system refuses to let any file grow beyond 300 kB: a real write fails, in the middle of a body that is not held.
TOO_LARGE = """
import random, resource, sys
from pathlib import Path
from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import Snapshots

snapshot = Snapshots(Path(sys.argv[1])).unfinished("stripe", "charges", "2026-01-01")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    with snapshot.append(PageRequest("https://api.example.com")) as page:
        for part in range(int(sys.argv[2])):
            page.write(random.Random(part).randbytes(100_000))
        print(page.commit(200, {}, 1))
except StorageFailed as error:
    print(error)
"""

# The same, but it is the page's line in the index that does not fit; then the walk is ended.
LINE_TOO_LARGE = """
import resource, sys
from pathlib import Path
from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import Snapshots

snapshot = Snapshots(Path(sys.argv[1])).unfinished("stripe", "charges", "2026-01-01")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    with snapshot.append(PageRequest("https://api.example.com")) as page:
        page.commit(200, {}, 1, {"last_record": "x" * 50_000})
except StorageFailed as error:
    snapshot.end("failed", str(error))
"""


def test_no_page_is_begun_on_a_disk_that_is_almost_full(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    add(snapshots.begin(manifest), b"kept")
    greedy = replace(snapshots, reserve_bytes=10**18).unfinished("stripe", "charges", "2026-01-01")
    assert greedy is not None

    with pytest.raises(
        StorageFailed, match=r"almost full: [\d,.]+ MB free, below the reserve of 1,.* MB; all earlier pages are kept"
    ):
        add(greedy, b"too much")

    assert bodies(greedy.end("failed", "disk full")) == [b"kept"]


def test_no_fetch_is_begun_on_a_disk_that_is_almost_full(snapshots: Snapshots, manifest: Manifest) -> None:
    with pytest.raises(StorageFailed, match="almost full"):
        replace(snapshots, reserve_bytes=10**18).begin(manifest)

    assert snapshots.fetches("stripe", "charges") == []


@pytest.mark.parametrize("parts", [10, 100])
def test_a_write_that_fails_amid_a_body_leaves_the_earlier_pages(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies, parts: int
) -> None:
    snapshot = snapshots.begin(manifest)
    first = add(snapshot, b"kept")

    told = subprocess.run(
        [sys.executable, "-c", TOO_LARGE, str(snapshots.folder), str(parts)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert "cannot be written: File too large; all earlier pages are kept and can be loaded" in told
    assert str(snapshot.folder) in told
    assert (snapshot.folder / "pages.zst").stat().st_size == first.length
    assert bodies(snapshots.find("stripe", "charges", "2026-01-01", 7)) == [b"kept"]


def test_a_line_that_could_not_be_written_is_left_out_of_the_index(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    add(snapshots.begin(manifest), b"kept")

    subprocess.run([sys.executable, "-c", LINE_TOO_LARGE, str(snapshots.folder)], check=True)

    stored = snapshots.find("stripe", "charges", "2026-01-01", 7)
    assert stored.manifest.ended is not None
    assert stored.manifest.ended.verdict == "failed"
    assert stored.verify() == []
    assert bodies(stored) == [b"kept"]


def test_a_long_body_stops_when_the_disk_becomes_almost_full(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    snapshot = snapshots.begin(manifest)
    add(snapshot, b"kept")
    written = 0

    with pytest.raises(StorageFailed, match="almost full"), snapshot.append(PageRequest("https://a.example")) as page:  # noqa: PT012 -- it fails amid its body
        page._place = replace(page._place, reserve_bytes=10**18)  # what others do to the disk meanwhile
        for _ in range(40):
            page.write(os.urandom(1_000_000))
            written += 1

    assert 10 < written < 20
    assert bodies(snapshots.find("stripe", "charges", "2026-01-01", 7)) == [b"kept"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_told_with_what_is_free(tmp_path: Path) -> None:
    with (
        disk.opened(Path("/dev/full"), os.O_WRONLY) as descriptor,
        pytest.raises(StorageFailed, match=r"the disk is full: [\d,.]+ MB free; all earlier pages.*Make room"),
        disk.writing(tmp_path),
    ):
        disk.write_at(descriptor, b"one byte too many", 0)


def test_errors_of_the_network_are_not_taken_for_those_of_the_disk(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with pytest.raises(TimeoutError), snapshot.append(PageRequest("https://api.example.com")):
        raise TimeoutError


def test_a_folder_that_cannot_be_made_is_named(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshots.folder.mkdir(parents=True)
    (snapshots.folder / "stripe").write_text("in the way")

    with pytest.raises(StorageFailed, match=r"raw: cannot be written: File exists"):
        snapshots.begin(manifest)
