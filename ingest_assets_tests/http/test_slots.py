"""The file of a limit: whole after any kill, small for ever, and never free too early."""

import bisect
import contextlib
import math
import multiprocessing
import os
import random
import signal
import time
import zlib

import msgspec
import pytest

from ingest_assets.http import slots
from ingest_assets.http.limits import Limiter
from ingest_assets.http.rates import FlightLimit, RateLimit
from ingest_assets.http.slots import _MOST_RECORDS, _STATE_BYTES, opened


def opened_at(file, now, window=60.0):
    return opened(file, window, lambda: now, lambda: now)


def counted(file, now, points=1):
    """One request that is granted and answered at a moment."""
    with opened_at(file, now) as here:
        ask = here.add(None, points)
        ask.granted = here.now
        here.end(ask)
        here.remove(ask)


def test_what_was_written_is_there_for_the_next(tmp_path):
    file = tmp_path / "key.slots"

    with opened_at(file, 5.0) as here:
        here.add(None, 3).granted = 5.0
    with opened_at(file, 6.0) as here:
        (ask,) = here.state.asks

    assert (ask.number, ask.points, ask.granted, ask.ended) == (1, 3, 5.0, None)


def test_who_only_looks_writes_nothing(tmp_path):
    file = tmp_path / "key.slots"
    counted(file, 1.0)
    before = file.read_bytes()

    with opened(file, 60.0, lambda: 2.0, lambda: 2.0, changes=False) as here:
        here.add(None, 1)

    assert file.read_bytes() == before


def test_what_was_learned_is_kept_to_the_digit_also_where_it_has_no_end(tmp_path):
    file = tmp_path / "key.slots"
    learned = ["x-app-usage", 0.1 + 0.2, 1e300, 1.0, 123456.789012345, -math.inf, None, None, 3600.0, math.inf]

    with opened_at(file, 5.0) as here:
        here.pace.left["x-app-usage"] = list(learned)
        here.pace.took["events"] = [0.001, 0.002, 3, 4.0, 5.0]
        here.pace.costs["events"] = 10**18 - 1
    with opened_at(file, 6.0) as here:
        pace = here.pace

    assert pace.left == {"x-app-usage": learned}
    assert pace.took == {"events": [0.001, 0.002, 3, 4.0, 5.0]}
    assert pace.costs == {"events": 10**18 - 1}


@pytest.mark.parametrize("told", [{"moment": 1.0, "wall": 1.0, "unknown": 1}, {"moment": 1.0}, "text", [1.0, 1.0]])
def test_a_state_of_another_version_lets_a_window_pass(tmp_path, told):
    file = tmp_path / "key.slots"
    text = msgspec.msgpack.encode(told)
    file.write_bytes(slots._HEAD.pack(zlib.crc32(text), len(text), 1) + text)

    with opened_at(file, 100.0, window=60.0) as here:
        assert here.state.held_back_until == 160.0


def test_what_fails_inside_changes_nothing(tmp_path):
    file = tmp_path / "key.slots"
    counted(file, 1.0)

    def fail():
        with opened_at(file, 2.0) as here:
            here.add(None, 1)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    with opened_at(file, 3.0) as here:
        assert here.state.asks == []
        assert here.state.sums == [1, 1]


def test_a_state_that_was_half_written_leaves_the_one_before(tmp_path):
    file = tmp_path / "key.slots"
    for now in (1.0, 2.0, 3.0):
        counted(file, now)
    newest = max((0, _STATE_BYTES), key=lambda place: slots._HEAD.unpack_from(file.read_bytes(), place)[2])
    with file.open("r+b") as stream:
        stream.seek(newest + 40)
        stream.write(b"\0" * 20)

    with opened_at(file, 4.0) as here:
        assert here.state.sums == [2, 2]
        assert here.state.held_back_until < here.now


def test_a_file_of_which_nothing_is_whole_lets_a_window_pass(tmp_path):
    file = tmp_path / "key.slots"
    file.write_bytes(os.urandom(2000))

    with opened_at(file, 100.0, window=60.0) as here:
        assert here.state.held_back_until == 160.0


@pytest.mark.parametrize("seed", range(5))
def test_ever_so_many_requests_fit_and_none_comes_free_too_early(tmp_path, seed):
    """Against a list of all: what the log says has ended is never earlier, and the newest are told exactly."""
    chance = random.Random(seed)  # noqa: S311 -- makes test data
    file, ended, sums = tmp_path / "key.slots", [], []
    with opened_at(file, 0.0, window=1e9) as here:
        for _ in range(3 * _MOST_RECORDS):
            here.now += chance.random()
            points = chance.randint(1, 5)
            here._log(1, points)
            ended.append(here.now)
            sums.append((sums[-1] if sums else 0) + points)

        for most in (0, 1, 10, 900, 5000, 20_000, 30_000):
            exact = bisect.bisect_left(sums, sums[-1] - most)
            told = here.ended_beyond("points", most)
            assert told is None if sums[-1] <= most else told >= ended[exact]
            if most < 1000:
                assert told == ended[exact]
    assert file.stat().st_size < 1 << 20


def test_what_no_window_reaches_is_dropped(tmp_path):
    file = tmp_path / "key.slots"

    for now in range(0, 3 * _MOST_RECORDS, 6):
        with opened_at(file, float(now), window=60.0) as here:
            for _ in range(6):
                here._log(1, 1)

    with opened_at(file, float(now)) as here:
        assert here.state.records <= _MOST_RECORDS
        assert here.ended_beyond("requests", 59) == now - 9 * 6
        assert here.ended_beyond("requests", _MOST_RECORDS + 6) is None


def test_a_request_that_does_not_look_again_in_time_no_longer_holds_up_others(tmp_path):
    file = tmp_path / "key.slots"
    with opened_at(file, 0.0) as here:
        here.add(None, 1).looks = 10.0

    with opened_at(file, 14.0) as here:
        assert not here.bury()
    with opened_at(file, 16.0) as here:
        assert here.bury()
        assert here.state.asks == []


def grant_for_ever(folder, started):
    """Many requests at once, so that the state is larger than what is written as one."""
    limiter = Limiter(folder, "key", [RateLimit(requests=10**6, per="PT1H"), FlightLimit(in_flight=10**6)])
    with contextlib.ExitStack() as flying:
        for _ in range(60):
            flying.enter_context(limiter.granted())
        started.set()
        while True:
            with limiter.granted():
                pass


def test_a_kill_at_any_moment_leaves_a_file_that_is_whole(tmp_path):
    spawn, limiter = multiprocessing.get_context("spawn"), Limiter(tmp_path, "key", max_wait_seconds=0)
    counted = 0
    for number in range(40 if "INGEST_LONG" in os.environ else 4):
        started = spawn.Event()
        worker = spawn.Process(target=grant_for_ever, args=(tmp_path, started))
        worker.start()
        assert started.wait(60)
        time.sleep(0.05 + 0.007 * number)
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()

        with limiter._slots() as here:
            assert here.state.held_back_until < here.now
            assert here.state.sums[0] > counted
            counted = here.state.sums[0]
