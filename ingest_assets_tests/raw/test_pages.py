"""Pages: written, read back before they count, committed or left out."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]
POST = PageRequest(
    "https://api.example.com/q", (("a", "1"), ("a", "é")), "POST", (("accept", "x"),), {"q": [1, None, {}]}, "form"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=300), max_size=4), max_size=5))
def test_bodies_come_back_as_they_were_written(
    snapshots: Snapshots, manifest: Manifest, bodies: Bodies, pages: list[list[bytes]]
) -> None:
    fetch = len(snapshots.fetches("stripe", "charges")) + 1
    snapshot = snapshots.begin(replace(manifest, fetch=fetch))

    for chunks in pages:
        with snapshot.append(POST) as page:
            for chunk in chunks:
                page.write(chunk)
            page.commit(200, {}, 0)

    assert bodies(snapshot.end("complete", "no next page")) == [b"".join(chunks) for chunks in pages]


def test_a_page_keeps_all_that_is_known_of_it(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with snapshot.append(POST) as page:
        page.write(b"[1, 2]")
        page.commit(201, {"etag": '"é"'}, 2, {"envelope": {"next": "\ud800"}, "last_record": 2.5})

    (entry,) = snapshots.find("stripe", "charges", "2026-01-01", 7).pages
    assert (entry.number, entry.offset, entry.bytes, entry.status, entry.records) == (0, 0, 6, 201, 2)
    assert entry.request == POST
    assert entry.headers == {"etag": '"é"'}
    assert entry.note == {"envelope": {"next": "\ud800"}, "last_record": 2.5}
    assert entry.received == datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


def test_a_body_can_be_read_before_it_is_committed_and_again(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with snapshot.append(POST) as page:
        page.write(b"line 1\nline 2\n")
        with page.read() as body:
            lines = list(body)
        with page.read() as body:
            whole = body.read()
        seen = len(snapshot.pages)

    assert lines == [b"line 1\n", b"line 2\n"]
    assert whole == b"line 1\nline 2\n"
    assert seen == 0


def test_a_page_that_fails_leaves_nothing_and_the_next_takes_its_number(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    snapshot = snapshots.begin(manifest)
    first = add(snapshot, b"first")
    segment = snapshot.folder / "pages.zst"

    with pytest.raises(ConnectionResetError), snapshot.append(POST) as page:  # noqa: PT012 -- it fails amid its body
        page.write(b"half a body" * 100_000)
        page.read().close()
        raise ConnectionResetError
    left = segment.stat().st_size
    second = add(snapshot, b"second")

    assert left == first.length
    assert second.number == 1
    assert bodies(snapshot.end("complete", "no next page")) == [b"first", b"second"]


def test_a_page_left_without_commit_does_not_exist(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with snapshot.append(POST) as page:
        page.write(b"not wanted")

    assert list(snapshot.pages) == []
    assert (snapshot.folder / "pages.zst").stat().st_size == 0


def test_a_committed_page_stays_whatever_follows_in_its_block(
    snapshots: Snapshots, manifest: Manifest, bodies: Bodies
) -> None:
    snapshot = snapshots.begin(manifest)

    with pytest.raises(KeyError), snapshot.append(POST) as page:  # noqa: PT012 -- what follows the commit fails
        page.write(b"kept")
        page.commit(200, {}, 1)
        raise KeyError

    assert bodies(snapshot.end("failed", "KeyError")) == [b"kept"]


def test_a_note_that_is_not_json_leaves_the_page_out(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    snapshot = snapshots.begin(manifest)

    with pytest.raises(TypeError), snapshot.append(POST) as page:
        page.commit(200, {}, 1, {"last_record": object()})

    assert add(snapshot, b"next").number == 0


def test_a_page_is_committed_once(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with snapshot.append(POST) as page:
        page.commit(200, {}, 1)
        with pytest.raises(StorageFailed, match="a page is committed once"):
            page.commit(200, {}, 1)

    assert len(snapshot.pages) == 1


def test_a_body_is_compressed_the_same_whatever_was_compressed_before_it(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    texts = [b"begun ", b"whole " * 100_000, b"small", b"whole " * 100_000]
    opened = snapshots.begin(manifest)
    with opened.append(PageRequest("https://x.example")) as given_up:
        given_up.write(texts[0])

    _, once, _, again = (add(opened, text) for text in texts)

    assert (once.length, once.sha256) == (again.length, again.sha256)
    ended = opened.end("complete", "no next page")
    segment = (ended.folder / "pages.zst").read_bytes()
    first, second = (segment[page.offset : page.offset + page.length] for page in (once, again))
    assert first == second
    assert ended.verify() == []


def test_a_page_cannot_grow_once_it_was_read(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshot = snapshots.begin(manifest)

    with snapshot.append(POST) as page:
        page.read().close()
        with pytest.raises(StorageFailed, match="cannot grow"):
            page.write(b"more")


def test_pages_are_a_sequence(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    snapshot = snapshots.begin(manifest)
    for size in range(4):
        add(snapshot, b"x" * size)

    pages = snapshot.pages

    assert [len(pages), pages[-1].bytes, pages[1].bytes] == [4, 3, 1]
    assert [page.number for page in pages[1:3]] == [1, 2]
    with pytest.raises(IndexError):
        pages[4]
