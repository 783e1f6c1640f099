"""A process dies while it appends: whatever it leaves, all committed pages are there, and the walk goes on."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]

APPENDING = """
import sys, random
from pathlib import Path
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import Snapshots

snapshot = Snapshots(Path(sys.argv[1])).unfinished("stripe", "charges", "2026-01-01")
while True:
    number = len(snapshot.pages)
    with snapshot.append(PageRequest("https://api.example.com")) as page:
        for part in range(number % 7):
            page.write(random.Random(number * 10 + part).randbytes(40_000))
        page.commit(200, {}, 1, {"text": "x" * (number % 5) * 5_000})
    print(number, flush=True)
"""


def body_of(number: int) -> bytes:
    """What the appending process writes as the body of this page."""
    parts = range(number % 7)
    return b"".join(random.Random(number * 10 + part).randbytes(40_000) for part in parts)  # noqa: S311 -- no secret


def reopened(snapshots: Snapshots) -> OpenSnapshot:
    """The snapshot, as the next process finds it."""
    found = snapshots.unfinished("stripe", "charges", "2026-01-01")
    assert found is not None
    return found


@pytest.fixture
def files(snapshots: Snapshots, manifest: Manifest, add: Add) -> tuple[Path, Path]:
    """Segment and index of a snapshot with three pages."""
    snapshot = snapshots.begin(manifest)
    for body in (b"first", b"second", b"third"):
        add(snapshot, body)
    return snapshot.folder / "pages.zst", snapshot.folder / "index.jsonl"


def test_a_last_line_cut_at_any_byte_is_a_page_that_never_was(
    snapshots: Snapshots, files: tuple[Path, Path], add: Add, bodies: Bodies
) -> None:
    segment, index = files
    whole_segment, whole_index = segment.read_bytes(), index.read_bytes()
    begin = whole_index.rindex(b"\n", 0, -1) + 1
    found = []

    for cut in range(begin, len(whole_index)):
        segment.write_bytes(whole_segment)
        index.write_bytes(whole_index[:cut])
        add(reopened(snapshots), b"again")
        found.append(bodies(snapshots.find("stripe", "charges", "2026-01-01", 7)))

    assert len(found) > 200
    assert all(stored == [b"first", b"second", b"again"] for stored in found)


def test_a_frame_cut_at_any_byte_is_a_page_that_never_was(
    snapshots: Snapshots, files: tuple[Path, Path], add: Add, bodies: Bodies
) -> None:
    segment, index = files
    whole_segment, two_lines = segment.read_bytes(), b"".join(index.read_bytes().splitlines(True)[:2])
    begin = reopened(snapshots).pages[2].offset
    found = []

    for cut in range(begin, len(whole_segment) + 1):
        segment.write_bytes(whole_segment[:cut])
        index.write_bytes(two_lines)
        add(reopened(snapshots), b"again")
        found.append(bodies(snapshots.find("stripe", "charges", "2026-01-01", 7)))

    assert len(found) > 10
    assert all(stored == [b"first", b"second", b"again"] for stored in found)


def test_pages_whose_frames_a_disk_has_lost_are_asked_for_again(
    snapshots: Snapshots, files: tuple[Path, Path], add: Add, bodies: Bodies
) -> None:
    segment, index = files
    whole_segment, whole_index = segment.read_bytes(), index.read_bytes()
    second, third = (entry.offset for entry in reopened(snapshots).pages[1:])
    found = []

    for cut in range(second, len(whole_segment)):
        segment.write_bytes(whole_segment[:cut])
        index.write_bytes(whole_index)
        add(reopened(snapshots), b"again")
        found.append(bodies(snapshots.find("stripe", "charges", "2026-01-01", 7)))

    assert found == [[b"first", b"again"]] * (third - second) + [[b"first", b"second", b"again"]] * (
        len(whole_segment) - third
    )


@pytest.mark.parametrize("tail", [b"\0" * 300, b"\0" * 300 + b"\n", b'{"number":3}\n', b"\xff\n"])
def test_a_last_line_of_something_else_is_cut_off(
    snapshots: Snapshots, files: tuple[Path, Path], add: Add, bodies: Bodies, tail: bytes
) -> None:
    index = files[1]
    index.write_bytes(index.read_bytes() + tail)

    add(reopened(snapshots), b"fourth")

    stored = snapshots.find("stripe", "charges", "2026-01-01", 7)
    assert bodies(stored) == [b"first", b"second", b"third", b"fourth"]


def test_a_damaged_line_in_the_middle_is_not_cut_off(snapshots: Snapshots, files: tuple[Path, Path]) -> None:
    index = files[1]
    whole = index.read_bytes()
    index.write_bytes(whole.replace(b'"number":1', b'"number":5'))

    with pytest.raises(StorageFailed, match=r"damaged: .*index\.jsonl: line 2 is not the line that was written"):
        snapshots.unfinished("stripe", "charges", "2026-01-01")


def test_a_kill_at_any_moment_loses_no_page_that_was_acknowledged(
    snapshots: Snapshots, manifest: Manifest, bodies: Bodies
) -> None:
    snapshots.begin(manifest)
    moments = random.Random(4)  # noqa: S311 -- no secret
    acknowledged: list[int] = []

    for _ in range(20):
        with subprocess.Popen(
            [sys.executable, "-c", APPENDING, str(snapshots.folder)], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            acknowledged += [int(process.stdout.readline()) for _ in range(moments.randrange(1, 30))]
            process.kill()
            acknowledged += [int(line) for line in process.stdout if line.endswith("\n")]

    found = bodies(reopened(snapshots).end("complete", "no next page"))
    assert len(acknowledged) > 100
    assert acknowledged == sorted(set(acknowledged))
    assert set(acknowledged) <= set(range(len(found)))
    assert found == [body_of(number) for number in range(len(found))]
    assert len(found) - len(acknowledged) <= 20
