"""What is on disk while a walk rests, and before it asks on where nothing can be asked for again.

What the system was told to sync is noted at its door, `os.fsync`: by file, how much of it there was.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ingest_assets.extract.pull import Puller
from ingest_assets.extract.request import Walk
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.rates import RateLimit
from ingest_assets.http.traffic import Wait
from ingest_assets_tests.whole import Reply, Whole, things


@dataclass
class Disk:
    """How much of each file has been synced, and what of a fetch's pages has not."""

    folder: Path
    synced: dict[int, int] = field(default_factory=dict)

    def note(self, descriptor: int) -> None:
        told = os.fstat(descriptor)
        self.synced[told.st_ino] = told.st_size

    def pages(self) -> tuple[int, int]:
        """How many bytes of bodies and index there are, and how many of them a power cut could take."""
        files = [file for name in ("pages.zst", "index.jsonl") for file in self.folder.rglob(name)]
        there = sum(file.stat().st_size for file in files)
        return there, there - sum(self.synced.get(file.stat().st_ino, 0) for file in files)


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk, fsync = Disk(tmp_path), os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        disk.note(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return disk


def fetched_slowly(lab: Any, walk: Walk, look: Callable[[], None]) -> None:
    """One request a minute, of a clock that nobody waits for; `look` is called as each rest begins."""
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        time.sleep(0.01)  # while another thread's request is on its way, no wait brings this one nearer

    def client(_: Callable[[float], None], on_wait: Callable[[Wait], None]) -> Client:
        limits = [RateLimit(requests=1, per=timedelta(minutes=1))]
        clock = {"clock": lambda: now[0], "sleep": sleep}
        limiter = Limiter(lab.folder / "limits", "shop", limits, max_wait_seconds=1e9, **clock)
        return Client(lab.api.url, limiters=[limiter], on_wait=on_wait)

    with client(sleep, lambda _: look()) as own:
        Puller(own, lab.snapshots, lab._begin, "run-1", another=client, on_wait=lambda _: look()).fetch(walk)


@pytest.mark.parametrize(
    "endpoint", [{}, {"paginator": {"type": "page", "param": "cursor", "first": 0, "total": "total"}, "at_once": 2}]
)
def test_pages_are_on_disk_before_a_walk_rests_on_a_limit(endpoint: Any, api: Any, lab: Any, disk: Disk) -> None:
    api.pages(*({"data": things(n), "next": str(n + 1) if n < 5 else None, "total": 6} for n in range(6)))
    seen = list[tuple[int, int]]()

    fetched_slowly(lab, lab.walk(endpoint), lambda: seen.append(disk.pages()))

    assert any(there for there, _ in seen)
    assert [lost for _, lost in seen if lost] == []


def test_each_page_of_a_job_is_on_disk_before_the_next_one_is_asked_for(
    bulk: Any, whole: Callable[..., Whole], disk: Disk
) -> None:
    usual, seen = bulk.answer, list[tuple[int, int]]()

    def answer(asked: Any) -> Any:
        if "/results" in asked.path:
            seen.append(disk.pages())
        return usual(asked)

    bulk.api.answer = answer
    bulk.results = lambda asked: _of_many(int(asked.query.get("locator") or 0))

    assert whole().run() == ""
    assert [there > 0 for there, _ in seen] == [False] + [True] * 9
    assert [lost for _, lost in seen] == [0] * 10


def _of_many(page: int) -> Reply:
    """One of ten pages of a job's records."""
    following = str(page + 1) if page < 9 else "null"
    return Reply(b"Id,Name\n%d,a\n" % page, headers={"Sforce-Locator": following, "Content-Type": "text/csv"})
