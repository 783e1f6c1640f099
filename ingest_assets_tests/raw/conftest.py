"""A folder of snapshots, a fetch to begin in it, and pages to append."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

from ingest_assets.http.page import PageRequest
from ingest_assets.raw.snapshots import IndexEntry, Manifest, OpenSnapshot, Snapshot, Snapshots

START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


@pytest.fixture
def clock() -> Callable[[], datetime]:
    """A clock that goes on by a second whenever it is read."""
    seconds = count()
    return lambda: START + timedelta(seconds=next(seconds))


@pytest.fixture
def snapshots(tmp_path: Path, clock: Callable[[], datetime]) -> Snapshots:
    """An empty folder of snapshots."""
    return Snapshots(tmp_path / "data" / "raw", now=clock)


@pytest.fixture
def manifest() -> Manifest:
    """A fetch of one day."""
    return Manifest("stripe", "charges", "2026-01-01", 7, START, "f1")


@pytest.fixture
def add() -> Callable[[OpenSnapshot, bytes], IndexEntry]:
    """Append one committed page with this body."""

    def append(snapshot: OpenSnapshot, body: bytes) -> IndexEntry:
        with snapshot.append(PageRequest("https://api.example.com/charges")) as page:
            page.write(body)
            return page.commit(200, {"x-request-id": "r1"}, 3, {"last_record": {"id": len(body)}})

    return append


@pytest.fixture
def bodies() -> Callable[[Snapshot], list[bytes]]:
    """The bodies of all pages."""

    def read(snapshot: Snapshot) -> list[bytes]:
        found = []
        for entry in snapshot.pages:
            with snapshot.body(entry) as body:
                found.append(body.read())
        return found

    return read
