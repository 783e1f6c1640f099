"""Who goes first where several wait for the same limit: live runs before backfills, and who died is forgotten."""

import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

from ingest_assets.errors import NotBefore
from ingest_assets.http.limits import Limiter
from ingest_assets.http.rates import RateLimit

LIVE, BACKFILL = 10, 0

_WAITS = """
import sys
from datetime import timedelta
from pathlib import Path
from ingest_assets.http.limits import Limiter
from ingest_assets.http.rates import RateLimit
limiter = Limiter(Path(sys.argv[1]), "key", [RateLimit(requests=1, per=timedelta(seconds=5))], priority=10)
with limiter.granted(lambda _seconds, _why: print("waiting", flush=True)):
    pass
"""


def limit(requests, seconds):
    return [RateLimit(requests=requests, per=timedelta(seconds=seconds))]


def take(limiter, order=None, name="", waits=None):
    with limiter.granted(lambda _seconds, _why: waits and waits.set()):
        if order is not None:
            order.append(name)


@pytest.fixture
def limiter(tmp_path, clock):
    """A process's limiter: one request in ten seconds, by a clock that moves as somebody sleeps."""

    def made(priority, *, sleep=clock.sleep, **options):
        return Limiter(tmp_path, "key", limit(1, 10), priority=priority, clock=clock, sleep=sleep, **options)

    return made


@pytest.fixture
def other(limiter):
    """Another one that waits in a thread of its own, and moves no clock."""
    threads = []

    def began(priority, order, name):
        waits = threading.Event()
        own = limiter(priority, sleep=lambda _seconds: time.sleep(0.002), max_wait_seconds=1e9)
        threads.append(threading.Thread(target=take, args=(own, order, name, waits)))
        threads[-1].start()
        assert waits.wait(10)
        return threads[-1]

    yield began
    for thread in threads:
        thread.join(10)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (BACKFILL, LIVE, ["second", "first"]),
        (LIVE, BACKFILL, ["first", "second"]),
        (LIVE, LIVE, ["first", "second"]),
        (-10, BACKFILL, ["second", "first"]),
    ],
)
def test_the_higher_priority_goes_first_and_of_equals_who_asked_first(limiter, other, clock, first, second, expected):
    take(limiter(BACKFILL))
    order = []
    waiting = {"first": other(first, order, "first"), "second": other(second, order, "second")}

    for name in expected:
        clock.now += 10.01
        waiting[name].join(10)

    assert order == expected


def test_what_a_backfill_waits_for_live_runs_does_not_count_against_its_longest_wait(limiter, other, clock):
    take(limiter(BACKFILL))
    order = []
    live = [other(LIVE, order, "live")]

    def sleep(seconds):
        clock.sleep(seconds)
        live[-1].join(10)
        if len(live) < 6:  # another one waits before the backfill looks again
            live.append(other(LIVE, order, "live"))

    take(limiter(BACKFILL, sleep=sleep, max_wait_seconds=25), order, "backfill")

    assert order == [*["live"] * 6, "backfill"]
    assert clock.now - 1000 > 60


def test_the_limit_itself_is_not_waited_for_longer_than_allowed_behind_live_runs_either(limiter, other):
    take(limiter(BACKFILL))
    order = []
    other(LIVE, order, "live")

    with pytest.raises(NotBefore):
        take(limiter(BACKFILL, max_wait_seconds=5))

    limiter(BACKFILL)._clock.now += 10.01


def test_a_live_process_that_is_killed_while_it_waits_is_forgotten(tmp_path):
    backfill = Limiter(tmp_path, "key", limit(1, 5), priority=BACKFILL)
    take(backfill)
    taken = time.monotonic()
    command = [sys.executable, "-c", _WAITS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout.readline() == "waiting\n"
        waiting.send_signal(signal.SIGKILL)
        waiting.wait()

    take(backfill)

    assert 5 <= time.monotonic() - taken < 8


def test_a_live_walk_gets_more_than_its_turn_among_backfills(tmp_path):
    order, over = [], threading.Event()

    def backfill():
        limiter = Limiter(tmp_path, "key", limit(5, 0.5), priority=BACKFILL)
        while not over.is_set():
            take(limiter, order, "backfill")

    threads = [threading.Thread(target=backfill) for _ in range(3)]
    for thread in threads:
        thread.start()
    live = Limiter(tmp_path, "key", limit(5, 0.5), priority=LIVE)
    begun = len(order)
    for _ in range(12):
        take(live, order, "live")
    others = order[begun:].count("backfill")
    over.set()
    for thread in threads:
        thread.join()

    # In the order of asking there are three of the backfill for each live one.
    assert others <= 2 * 12


def test_what_a_backfills_share_leaves_of_a_long_window_is_there_for_a_live_run(tmp_path, clock):
    def made(share):
        return Limiter(
            tmp_path, "hourly", limit(10, 3600), share=share, clock=clock, sleep=clock.sleep, max_wait_seconds=60
        )

    backfill, live, order = made(0.9), made(1.0), []
    for _ in range(9):
        take(backfill, order, "backfill")
    with pytest.raises(NotBefore):
        take(backfill)

    take(live, order, "live")

    assert order == [*["backfill"] * 9, "live"]
    assert clock.slept == []
