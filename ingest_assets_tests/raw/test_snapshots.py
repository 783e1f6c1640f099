"""Snapshots as a whole: begun, gone on with, ended, found."""

import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.http.page import PageRequest
from ingest_assets.http.total import Expected
from ingest_assets.raw.snapshots import Bounds, IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots
from ingest_assets.raw.stored import mark_given_up

Add = Callable[[OpenSnapshot, bytes], IndexEntry]
Bodies = Callable[[Snapshot], list[bytes]]
KEYS = ("2026-01-01", "2026-01-01T00:00:00+00:00|EU", "eu/a", "EU/a", "..", "_", "", "é" * 300, None)


def test_a_walk_goes_on_where_it_stopped(snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies) -> None:
    add(snapshots.begin(manifest), b"first")

    again = snapshots.unfinished("stripe", "charges", "2026-01-01")
    assert again is not None
    add(again, b"second")

    assert again.manifest == manifest
    assert bodies(again.end("complete", "no next page")) == [b"first", b"second"]


def test_an_end_is_written_down_with_the_counts_of_the_pages(
    snapshots: Snapshots, manifest: Manifest, add: Add
) -> None:
    told = replace(manifest, bounds=Bounds(manifest.started, None), run="r1")
    snapshot = snapshots.begin(told)
    add(snapshot, b"first")
    add(snapshot, b"second")

    snapshot.end(
        "incomplete", "total not reached", position={"at": 5}, traffic={"requests": 3}, expected=Expected(9, "at_least")
    )

    found = snapshots.find("stripe", "charges", "2026-01-01", 7).manifest
    end = found.ended
    assert end is not None
    assert replace(found, ended=None) == told
    assert (end.verdict, end.reason, end.position, end.expected) == ("incomplete", "total not reached", {"at": 5}, 9)
    assert end.expected_is == "at_least"
    assert (end.pages, end.records, end.bytes, end.traffic) == (2, 6, 11, {"requests": 3})
    assert end.at > told.started


def test_counts_hold_across_a_resumption(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    add(snapshots.begin(manifest), b"first")
    again = snapshots.unfinished("stripe", "charges", "2026-01-01")
    assert again is not None
    add(again, b"second")

    end = again.end("complete", "no next page").manifest.ended

    assert end is not None
    assert (end.pages, end.records, end.bytes) == (2, 6, 11)


def test_an_ended_snapshot_never_changes(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    snapshot = snapshots.begin(manifest)
    snapshot.end("complete", "no next page")

    with pytest.raises(StorageFailed, match="has ended"):
        add(snapshot, b"late")
    with pytest.raises(StorageFailed, match="has ended"):
        snapshot.end("failed", "again")


def test_an_ended_fetch_is_not_gone_on_with(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshots.begin(manifest).end("given_up", "another fetch began")

    assert snapshots.unfinished("stripe", "charges", "2026-01-01") is None
    assert snapshots.unfinished("stripe", "charges", "2026-01-02") is None
    assert snapshots.unfinished("stripe", "invoices", None) is None


def test_an_unfinished_fetch_stays_behind_once_a_newer_has_ended(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshots.begin(manifest)
    snapshots.begin(replace(manifest, fetch=8)).end("complete", "no next page")

    assert snapshots.unfinished("stripe", "charges", "2026-01-01") is None


def test_fetches_are_told_in_order_of_their_numbers(snapshots: Snapshots, manifest: Manifest) -> None:
    for fetch, partition in ((10, "b"), (9, "a"), (100, "a"), (2, "b")):
        snapshots.begin(replace(manifest, fetch=fetch, partition=partition))

    assert [s.manifest.fetch for s in snapshots.fetches("stripe", "charges")] == [2, 9, 10, 100]
    assert [s.manifest.fetch for s in snapshots.fetches("stripe", "charges", "a")] == [9, 100]
    assert snapshots.fetches("stripe", "charges", None) == []


def test_what_is_stored_of_a_partition_is_told_by_number(snapshots: Snapshots, manifest: Manifest) -> None:
    for fetch in (10, 9, 100):
        snapshots.begin(replace(manifest, fetch=fetch, partition="a"))

    here, nowhere = snapshots.of("stripe", "charges", "a"), snapshots.of("stripe", "charges", "b")

    assert here.newest == here.snapshot(100) == snapshots.find("stripe", "charges", "a", 100)
    assert [s.fetch for s in here.newest_first()] == [100, 10, 9]
    assert [s.fetch for s in here.since(10)] == [100, 10]
    assert [s.fetch for s in here.besides({10})] == [9, 100]
    assert (nowhere.newest, nowhere.numbers, nowhere.given_up) == (None, [], [])


def test_fetches_that_are_given_up_after_their_end_are_found_again(snapshots: Snapshots, manifest: Manifest) -> None:
    for fetch in (7, 8, 9):
        snapshots.begin(replace(manifest, fetch=fetch)).end("complete", "no next page")
    here = snapshots.of("stripe", "charges", "2026-01-01")
    for snapshot in (here.snapshot(9), here.snapshot(7)):
        snapshots.give_up(Snapshot(snapshot.folder), "by the test")

    found = snapshots.of("stripe", "charges", "2026-01-01")

    assert [s.fetch for s in found.given_up] == [7, 9]
    assert found.numbers == [7, 8, 9]


def test_a_mark_of_who_died_before_the_fetch_was_given_up_gives_nothing_up(
    snapshots: Snapshots, manifest: Manifest
) -> None:
    snapshots.begin(manifest).end("complete", "no next page")
    fetch = snapshots.find("stripe", "charges", "2026-01-01", 7)
    mark_given_up(fetch)

    assert snapshots.of("stripe", "charges", "2026-01-01").given_up == []
    snapshots.give_up(fetch, "by the test")
    assert [s.fetch for s in snapshots.of("stripe", "charges", "2026-01-01").given_up] == [7]


def test_the_mark_of_a_fetch_goes_with_it(snapshots: Snapshots, manifest: Manifest) -> None:
    snapshots.begin(manifest).end("complete", "no next page")
    fetch = snapshots.find("stripe", "charges", "2026-01-01", 7)
    snapshots.give_up(fetch, "by the test")

    snapshots.remove(fetch)

    assert [*fetch.folder.parent.iterdir()] == []


def test_partitions_of_any_name_stay_apart(snapshots: Snapshots, manifest: Manifest) -> None:
    for fetch, key in enumerate(KEYS):
        snapshots.begin(replace(manifest, fetch=fetch, partition=key))

    found = [[(s.fetch, s.manifest.partition) for s in snapshots.fetches("stripe", "charges", key)] for key in KEYS]

    assert found == [[(fetch, key)] for fetch, key in enumerate(KEYS)]
    assert list(snapshots.endpoints()) == [("stripe", "charges")]


def test_a_fetch_that_is_stored_already_is_not_begun_again(snapshots: Snapshots, manifest: Manifest, add: Add) -> None:
    first = snapshots.begin(manifest)
    add(first, b"kept")

    with pytest.raises(StorageFailed, match="fetch 7 is stored already"):
        snapshots.begin(manifest)

    assert len(snapshots.find("stripe", "charges", "2026-01-01", 7).pages) == 1


def test_what_a_begin_left_that_died_is_not_a_fetch(snapshots: Snapshots, manifest: Manifest) -> None:
    folder = snapshots.begin(manifest).folder
    folder.rename(folder.with_name(".new"))

    assert snapshots.fetches("stripe", "charges") == []
    assert list(snapshots.begin(manifest).pages) == []


def test_a_fetch_that_is_not_stored_is_named(snapshots: Snapshots) -> None:
    with pytest.raises(StorageFailed, match="the stored pages of fetch 7 are missing"):
        snapshots.find("stripe", "charges", None, 7)


def test_only_the_user_can_read_what_is_stored(
    snapshots: Snapshots, manifest: Manifest, add: Add, tmp_path: Path
) -> None:
    snapshot = snapshots.begin(manifest)
    add(snapshot, b"private")
    snapshot.end("complete", "no next page")

    below = [snapshots.folder, *snapshots.folder.rglob("*")]

    assert {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in below if path.is_file()} == {0o600}
    assert len(below) == 8


def test_a_reader_sees_the_pages_that_are_whole_while_a_walk_appends(
    snapshots: Snapshots, manifest: Manifest, add: Add, bodies: Bodies
) -> None:
    snapshot = snapshots.begin(manifest)
    add(snapshot, b"whole")

    with snapshot.append(PageRequest("https://api.example.com")) as page:
        page.write(b"x" * 3_000_000)
        found = bodies(snapshots.find("stripe", "charges", "2026-01-01", 7))

    assert found == [b"whole"]


def test_an_archived_endpoint_is_gone_from_here_but_for_who_was_forgotten(
    snapshots: Snapshots, manifest: Manifest, tmp_path: Path
) -> None:
    for number, partition in ((1, "2026-01-01"), (2, "2026-01-02")):
        snapshots.begin(replace(manifest, fetch=number, partition=partition)).end("complete", "last page")
    endpoint = snapshots.fetches("stripe", "charges")[0].folder.parent.parent
    (endpoint / ".forgotten.json").write_text("{}")

    archived = snapshots.archive("stripe", "charges", tmp_path / "archive")

    assert snapshots.fetches("stripe", "charges") == []
    assert (endpoint / ".forgotten.json").exists()
    assert archived is not None
    assert sorted(folder.name for folder in archived.iterdir()) == ["2026-01-01", "2026-01-02"]
    assert snapshots.archive("stripe", "charges", tmp_path / "archive") is None


def test_what_was_pruned_of_an_archived_endpoint_is_told_of_the_next_one_no_more(
    snapshots: Snapshots, manifest: Manifest, tmp_path: Path
) -> None:
    snapshots.begin(manifest).end("complete", "last page")
    snapshots.notes.note_pruned("stripe", "charges", {1: manifest.started})
    snapshots.notes.note_sweeps("stripe", "charges", {2: True})

    archived = snapshots.archive("stripe", "charges", tmp_path / "archive")

    assert snapshots.notes.pruned("stripe", "charges") == snapshots.notes.sweeps("stripe", "charges") == {}
    assert archived is not None
    assert {one.name for one in archived.glob(".*.json")} == {".pruned.json", ".sweeps.json"}
