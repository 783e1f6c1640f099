"""The machine fails while a walk goes on: what was not synced may be there in part, and the walk goes on before it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.raw.index import MOST_UNSYNCED, IndexEntry
from ingest_assets.raw.parts import PartEnd
from ingest_assets.raw.snapshots import Manifest, OpenSnapshot, Snapshot, Snapshots
from ingest_assets.raw.unsynced import Unsynced

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]
_BLOCK = 64  # of a disk it is larger; here there are many in few pages


def reopened(snapshots: Snapshots) -> OpenSnapshot:
    """The snapshot, as the next process finds it."""
    found = snapshots.unfinished("stripe", "charges", "2026-01-01")
    assert found is not None
    return found


def left_by_a_power_cut(file: Path, synced: int, length: int, lost: set[int]) -> None:
    """Let a file have what was synced of it; beyond that, some of its length, and of that some blocks only."""
    content = bytearray(file.read_bytes()[: max(synced, length)])
    for block in lost:
        start, end = max(synced, block * _BLOCK), (block + 1) * _BLOCK
        content[start:end] = bytes(len(content[start:end]))
    file.write_bytes(content)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=120, deadline=None)
@given(st.data())
def test_what_a_power_cut_leaves_is_cut_off_where_it_is_not_whole(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies, data: st.DataObject
) -> None:
    fetch = len(snapshots.fetches("stripe", "charges")) + 1
    opened = snapshots.begin(replace(manifest, fetch=fetch))
    written = data.draw(st.lists(st.binary(max_size=200), min_size=1, max_size=12))
    durable = data.draw(st.integers(0, len(written)))
    segment, index = opened.folder / "pages.zst", opened.folder / "index.jsonl"
    synced = (0, 0)
    for number, body in enumerate(written):
        add(opened, body)
        if number < durable:
            opened.sync()
            synced = (segment.stat().st_size, index.stat().st_size)

    for file, kept in zip((segment, index), synced, strict=True):
        size = file.stat().st_size
        blocks = st.sets(st.integers(0, size // _BLOCK))
        left_by_a_power_cut(file, kept, data.draw(st.integers(kept, size)), data.draw(blocks))
    again = reopened(snapshots)
    found = len(again.pages)
    add(again, b"again")
    ended = again.end("complete", "no next page")

    assert durable <= found <= len(written)
    assert bodies(ended) == [*written[:found], b"again"]
    assert ended.verify() == []


def test_a_line_that_never_came_to_the_disk_is_cut_off_with_those_after_it(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    opened = snapshots.begin(manifest)
    for number in range(5):
        add(opened, b"page %d" % number)
    index = opened.folder / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)

    index.write_bytes(lines[0] + bytes(len(lines[1]) + 40) + b"".join(lines[2:])[40:])

    assert len(reopened(snapshots).pages) == 1


def test_a_line_that_is_lost_before_more_pages_than_can_be_unsynced_is_damage(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    opened = snapshots.begin(manifest)
    for number in range(MOST_UNSYNCED + 2):
        add(opened, b"page %d" % number)
    index = opened.folder / "index.jsonl"
    lines = index.read_bytes().splitlines(keepends=True)

    index.write_bytes(lines[0] + bytes(len(lines[1]) - 1) + b"\n" + b"".join(lines[2:]))

    with pytest.raises(StorageFailed, match=r"damaged: .*index\.jsonl: line 2 is not the line that was written"):
        reopened(snapshots)


def test_a_body_that_never_came_to_the_disk_is_asked_for_again_with_all_after_it(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    opened = snapshots.begin(manifest)
    entries = [add(opened, b"page %d" % number) for number in range(MOST_UNSYNCED)]
    segment = opened.folder / "pages.zst"
    content = bytearray(segment.read_bytes())

    content[entries[1].offset : entries[2].offset] = bytes(entries[1].length)
    segment.write_bytes(content)
    again = reopened(snapshots)
    add(again, b"again")

    assert bodies(again.end("complete", "no next page")) == [b"page 0", b"again"]


def test_a_part_whose_pages_a_power_cut_took_has_not_ended(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    opened = snapshots.begin(manifest)
    for key in ("a", "b", "c"):
        add(opened, key.encode())
        opened.parts.add(PartEnd(key))
    index = opened.folder / "index.jsonl"

    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:2]))

    assert [end.key for end in reopened(snapshots).parts] == ["a", "b"]


def test_pages_that_cannot_be_synced_are_none(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    opened = snapshots.begin(manifest)
    segment = opened.folder / "pages.zst"
    opened._unsynced = Unsynced((segment, opened.folder / "index.jsonl"), lambda: 0.0)  # its moment never passes
    add(opened, b"synced")
    opened.sync()
    add(opened, b"not yet")

    segment.unlink()
    with pytest.raises(StorageFailed):
        opened.sync()

    assert len(opened.pages) == 1


def test_pages_are_synced_after_a_moment_a_number_or_a_size(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    opened, now = snapshots.begin(manifest), [100.0]
    page = add(opened, b"small")
    unsynced = Unsynced((opened.folder / "pages.zst",), lambda: now[0])

    many = [unsynced.is_due(page) for _ in range(MOST_UNSYNCED)]
    unsynced.sync()
    soon = unsynced.is_due(page)
    now[0] += 0.3
    later = unsynced.is_due(page)
    unsynced.sync()
    large = unsynced.is_due(replace(page, length=100_000_000))

    assert many == [False] * (MOST_UNSYNCED - 1) + [True]
    assert (soon, later, large) == (False, True, True)


def test_pages_are_synced_before_a_wait_that_is_long_beside_what_syncing_takes(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    opened, now = snapshots.begin(manifest), iter([0.0, 0.0, 10.0, 10.0, 10.0])
    page = add(opened, b"small")
    unsynced = Unsynced((opened.folder / "pages.zst",), lambda: next(now))

    without_a_page = unsynced.is_due_before(60.0)
    unsynced.sync()  # it takes ten seconds
    unsynced.is_due(page)

    assert not without_a_page
    assert (unsynced.is_due_before(30.0), unsynced.is_due_before(50.0)) == (False, True)


def test_each_page_is_synced_where_it_cannot_be_asked_for_again(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    opened = snapshots.begin(manifest)
    page = add(opened, b"small")
    unsynced = Unsynced((opened.folder / "pages.zst",), lambda: 100.0)

    unsynced.each = True

    assert unsynced.is_due(page)
