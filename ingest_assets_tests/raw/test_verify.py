"""Nothing that a snapshot says can change unseen."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest_assets.errors import StorageFailed
from ingest_assets.raw.sealed import sealed
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]


@pytest.fixture
def stored(snapshots: Snapshots, manifest: Manifest, add: Add) -> Snapshot:
    """An ended snapshot of three pages."""
    snapshot = snapshots.begin(manifest)
    for number in range(3):
        add(snapshot, random.Random(number).randbytes(200))  # noqa: S311 -- bytes that do not compress
    return snapshot.end("complete", "no next page")


def test_nothing_is_wrong_with_what_was_written(stored: Snapshot) -> None:
    assert stored.verify() == []


@pytest.mark.parametrize("name", ["manifest.json", "index.jsonl"])
def test_every_changed_byte_of_what_is_told_is_found(stored: Snapshot, name: str) -> None:
    file = stored.folder / name
    whole = file.read_bytes()
    unseen = []

    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        if not any(name in problem for problem in stored.verify()):
            unseen.append(at)

    assert len(whole) > 200
    assert unseen == []


def test_a_changed_byte_of_a_body_is_found_or_changes_nothing(stored: Snapshot, bodies: Bodies) -> None:
    segment, sound = stored.folder / "pages.zst", bodies(stored)
    whole = segment.read_bytes()
    found, false = 0, []

    for at in range(len(whole)):  # a few bits of a frame's head say nothing about its body
        segment.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        if stored.verify():
            found += 1
        elif bodies(stored) != sound:
            false.append(at)

    assert found > 0.95 * len(whole)
    assert false == []


@pytest.mark.parametrize("name", ["manifest.json", "index.jsonl", "pages.zst"])
def test_every_length_but_the_right_one_is_found(stored: Snapshot, name: str) -> None:
    file = stored.folder / name
    whole = file.read_bytes()
    unseen = []

    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        if not stored.verify():
            unseen.append(length)
    file.write_bytes(whole + b"\n")

    assert unseen == []
    assert any(name in problem for problem in stored.verify())


@pytest.mark.parametrize("name", ["manifest.json", "index.jsonl", "pages.zst"])
def test_a_missing_file_is_named(stored: Snapshot, name: str) -> None:
    (stored.folder / name).unlink()

    assert any(f"{name}: the file is missing" in problem for problem in stored.verify())


def test_an_unknown_format_is_told(stored: Snapshot) -> None:
    (stored.folder / "manifest.json").write_bytes(sealed({"format": 12, "other": "things"}))

    (problem,) = stored.verify()
    assert "of format 12; this version of ingest-assets knows formats 1 to 2" in problem


def test_each_damaged_page_is_named(stored: Snapshot) -> None:
    segment = stored.folder / "pages.zst"
    whole = bytearray(segment.read_bytes())
    for page in (0, 2):
        whole[stored.pages[page].offset + 100] ^= 1
    segment.write_bytes(whole)

    problems = stored.verify()

    assert [problem.partition("pages.zst: ")[2][:6] for problem in problems] == ["page 0", "page 2"]
    assert all("ingest run stripe.charges --partition 2026-01-01 --again" in problem for problem in problems)


def test_a_damaged_body_fails_where_it_is_read(stored: Snapshot) -> None:
    segment = stored.folder / "pages.zst"
    whole = bytearray(segment.read_bytes())
    whole[stored.pages[1].offset + 100] ^= 1
    segment.write_bytes(whole)

    with (
        stored.body(stored.pages[1]) as body,
        pytest.raises(StorageFailed, match=r"damaged: .*pages\.zst: page 1, bytes from \d+ on: its sha256 is not that"),
    ):
        body.read()


def test_a_decoder_that_stops_at_the_last_byte_still_sees_the_damage(stored: Snapshot) -> None:
    segment = stored.folder / "pages.zst"
    whole = bytearray(segment.read_bytes())
    whole[stored.pages[1].offset + 100] ^= 1
    segment.write_bytes(whole)

    with stored.body(stored.pages[1]) as body, pytest.raises(StorageFailed, match="sha256"):
        body.read(stored.pages[1].bytes)


def test_a_line_that_is_gone_whole_stops_the_reader(stored: Snapshot) -> None:
    index = stored.folder / "index.jsonl"
    index.write_bytes(b"".join(index.read_bytes().splitlines(True)[:2]))

    with pytest.raises(StorageFailed, match="it has 2 pages where the fetch ended with 3"):
        Snapshot(stored.folder).pages  # noqa: B018 -- asking is the act


def test_lines_in_another_order_stop_the_reader(stored: Snapshot) -> None:
    index = stored.folder / "index.jsonl"
    first, second, third = index.read_bytes().splitlines(True)
    index.write_bytes(first + third + second)

    with pytest.raises(StorageFailed, match="line 2 is of page 2: lines are missing, or in another order"):
        Snapshot(stored.folder).pages  # noqa: B018 -- asking is the act


def test_a_page_that_is_being_written_is_no_damage(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    snapshot = snapshots.begin(manifest)
    add(snapshot, b"whole")
    segment: Path = snapshot.folder / "pages.zst"
    segment.write_bytes(segment.read_bytes() + b"half a frame")

    assert snapshots.find("stripe", "charges", "2026-01-01", 7).verify() == []
