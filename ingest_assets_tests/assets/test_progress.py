"""What the log of a step tells while it works: enough to see that it moves, and no more."""

import pytest

from ingest_assets.assets.progress import LogWatcher
from ingest_assets.extract.progress import Progress
from ingest_assets.http.traffic import Wait


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines():
    return []


@pytest.fixture
def watcher(lines, clock):
    return LogWatcher(lines.append, clock)


def test_a_walk_of_seconds_adds_nothing(watcher, lines, clock):
    for page in range(9):
        clock.now += 1
        watcher.page(Progress("shop.orders", page, 100 * page, 0))

    assert lines == []


def test_a_long_walk_is_told_every_ten_seconds(watcher, lines, clock):
    for page in range(26):
        watcher.page(Progress("shop.orders", page, 1000 * page, 0))
        clock.now += 1

    assert lines == ["shop.orders: 10 pages, 10,000 records", "shop.orders: 20 pages, 20,000 records"]


def test_a_walk_that_goes_on_says_so(watcher, lines):
    watcher.page(Progress("shop.orders", 9001, 900_000, 0, resumed=True))

    assert lines == ["shop.orders: goes on after page 9000, 900,000 records are stored"]


def test_a_walk_that_begins_anew_is_told_with_its_reason(watcher, lines):
    watcher.page(Progress("shop.orders", 0, 0, 0, anew="HTTP 410 Gone"))

    assert lines == ["shop.orders: begins anew, the unfinished walk is given up: HTTP 410 Gone"]


@pytest.mark.parametrize(("wait", "told"), [(Wait("limit", 4.9, "busy"), 0), (Wait("limit", 5.0, "busy"), 1)])
def test_waits_for_the_limit_are_told_where_they_are_long(watcher, lines, wait, told):
    watcher.wait("shop.orders", wait)

    assert lines == ["shop.orders: waits 5.0 s: busy"][:told]


def test_every_retry_is_told_with_its_reason(watcher, lines):
    watcher.wait("shop.orders", Wait("retry", 0.2, "HTTP 503 Service Unavailable"))

    assert lines == ["shop.orders: waits 0.2 s: HTTP 503 Service Unavailable"]
