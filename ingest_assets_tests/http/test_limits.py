"""At most N requests in any window, whoever asks and however long an answer takes."""

import contextlib
import fcntl
import json
import multiprocessing
import os
import random
import signal
import stat
import threading
import time
from datetime import timedelta
from itertools import pairwise

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import TransientFailure
from ingest_assets.http.limits import Limiter
from ingest_assets.http.rates import RateLimit
from ingest_assets_tests.loopback import Replying, serving

FORKS = multiprocessing.get_context("spawn")


def limit(requests_allowed, seconds):
    return RateLimit(requests=requests_allowed, per=timedelta(seconds=seconds))


def most_in_a_window(times, seconds):
    ordered = sorted(times)
    return max(sum(1 for other in ordered if start <= other <= start + seconds) for start in ordered)


@settings(max_examples=60, deadline=None)
@given(
    most=st.integers(1, 4),
    window=st.sampled_from([1.0, 2.5]),
    steps=st.lists(
        st.tuples(st.integers(0, 2), st.floats(0, 3), st.floats(0, 1), st.floats(0, 3)), min_size=1, max_size=15
    ),
)
def test_no_window_at_the_server_holds_more_than_allowed(tmp_path_factory, most, window, steps):
    """Requests overlap and take any time; the server counts each at some moment while it is in flight."""
    now = 50.0
    folder = tmp_path_factory.mktemp("limits")

    def clock():
        return now

    def sleep(seconds):
        nonlocal now
        until = now + seconds
        while flying and flying[0][0] <= until:
            end()
        now = max(now, until)

    def end():
        nonlocal now
        moment, grant = flying.pop(0)
        now = max(now, moment)
        grant.close()

    limiters = [Limiter(folder, "key", [limit(most, window)], clock=clock, sleep=sleep) for _ in range(3)]
    flying, counted = [], []
    for who, latency, when, pause in steps:
        grant = contextlib.ExitStack()
        grant.enter_context(limiters[who].granted())
        counted.append(now + when * latency)
        flying.append((now + latency, grant))
        flying.sort(key=lambda each: each[0])
        sleep(pause)
    while flying:
        end()

    assert most_in_a_window(counted, window) <= most


def hammer(folder, url, all_there, seconds, told):
    limiter, granted = Limiter(folder, "key", [limit(50, 1)]), []
    with requests.Session() as session:
        all_there.wait(60)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with limiter.granted():
                granted.append(time.monotonic())
                session.get(url)
    told.put(granted)


class Careless(Replying):
    """Counts a request at any moment between its arrival and the answer, 5 to 20 ms later."""

    protocol_version = "HTTP/1.1"

    def get(self):
        latency = random.uniform(0.005, 0.02)  # noqa: S311 -- makes test data
        until = random.uniform(0, latency)  # noqa: S311 -- makes test data
        time.sleep(until)
        self.server.counted.append(time.monotonic())
        time.sleep(latency - until)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


@pytest.fixture
def careless():
    with serving(Careless, counted=[]) as server:
        yield server.url, server.counted


def test_four_processes_at_fifty_a_second_keep_the_limit_and_its_speed(tmp_path, careless):
    """At most 50 grants in any second, at most 50 that the server counts, and at least 45 a second."""
    url, counted = careless
    seconds, stretch = (30, 25) if "INGEST_LONG" in os.environ else (5, 2)
    told, all_there = FORKS.Queue(), FORKS.Barrier(4)
    workers = [FORKS.Process(target=hammer, args=(tmp_path, url, all_there, seconds, told)) for _ in range(4)]

    for worker in workers:
        worker.start()
    granted = [moment for _ in workers for moment in told.get(timeout=120)]
    for worker in workers:
        worker.join()

    assert len(granted) == len(counted)
    assert most_in_a_window(granted, 1.0) <= 50
    assert most_in_a_window(counted, 1.0) <= 50
    # The best stretch: what else this machine does is no matter, but no stretch can hold more than the limit.
    assert most_in_a_window(counted, stretch) >= 45 * stretch


def hold(folder, started):
    with Limiter(folder, "key", [limit(1, 5)]).granted():
        started.set()
        time.sleep(60)


def test_the_grant_of_a_process_that_died_counts_from_when_that_was_noticed(tmp_path, clock):
    started = FORKS.Event()
    worker = FORKS.Process(target=hold, args=(tmp_path, started))
    worker.start()
    started.wait()
    os.kill(worker.pid, signal.SIGKILL)
    worker.join()
    begin = time.monotonic()
    clock.now = begin + 3

    with Limiter(tmp_path, "key", [limit(1, 5)], clock=clock, sleep=clock.sleep).granted():
        waited = clock.now - begin

    assert 8 <= waited < 8.1


def test_a_request_in_flight_keeps_its_slot_until_a_window_after_its_response(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [limit(1, 5)], clock=clock, sleep=clock.sleep)

    with limiter.granted():
        clock.now += 20
    with limiter.granted():
        pass

    assert 5 < sum(clock.slept) < 5.1


def test_all_limits_of_a_list_hold(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [limit(2, 1), limit(3, 60)], clock=clock, sleep=clock.sleep)
    at = []

    for _ in range(4):
        with limiter.granted():
            at.append(clock.now)

    gaps = [after - before for before, after in pairwise(at)]
    assert gaps[0] == 0
    assert 1 < gaps[1] < 1.1
    assert 58 < gaps[2] < 60


@pytest.mark.parametrize(("share", "granted"), [(1.0, 10), (0.55, 5), (0.01, 1)])
def test_a_share_uses_at_most_that_part_of_the_limit(tmp_path, clock, share, granted):
    limiter = Limiter(tmp_path, "key", [limit(10, 60)], share=share, clock=clock, sleep=clock.sleep)

    for _ in range(granted):
        with limiter.granted():
            pass
    assert clock.slept == []
    with limiter.granted():
        assert clock.slept


def test_keys_do_not_hold_each_other_back(tmp_path, clock):
    for key in ("one", "other"):
        with Limiter(tmp_path, key, [limit(1, 60)], clock=clock, sleep=clock.sleep).granted():
            pass

    assert clock.slept == []


def test_a_push_back_holds_back_everyone_also_where_no_limit_is_stated(tmp_path, clock):
    one = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep)
    other = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep)
    told = []

    one.push_back(20)
    one.push_back(5)
    with other.granted(lambda seconds, why: told.append((round(seconds), why))):
        pass

    assert 20 <= sum(clock.slept) < 20.1
    assert told == [(20, "held back by the API")]


def test_a_longer_wait_than_allowed_is_told_and_not_waited(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [limit(1, 3600)], max_wait_seconds=60, clock=clock, sleep=clock.sleep)
    with limiter.granted():
        pass

    with pytest.raises(TransientFailure, match=r"limit of 1 requests in 3600 s: .* longer than the 60 s") as failed:
        limiter.granted().__enter__()

    assert 3599 < failed.value.wait_seconds <= 3601
    assert clock.slept == []


def test_a_failed_request_counts_too(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [limit(1, 5)], clock=clock, sleep=clock.sleep)

    with pytest.raises(ValueError, match="lost"), limiter.granted():
        raise ValueError("lost")
    with limiter.granted():
        assert sum(clock.slept) > 5


def test_after_a_restart_of_the_machine_ages_are_what_they_were(tmp_path, clock):
    wall = 5000.0
    limiter = Limiter(tmp_path, "key", [limit(1, 60)], clock=clock, wall=lambda: wall, sleep=clock.sleep)
    with limiter.granted():
        pass
    clock.now, wall = 7.0, 5025.0

    with limiter.granted():
        pass

    assert 35 <= sum(clock.slept) < 35.1


def test_a_torn_file_lets_a_window_pass(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [limit(1, 60)], clock=clock, sleep=clock.sleep)
    with limiter.granted():
        pass
    (file,) = tmp_path.glob("*.slots")
    file.write_bytes(file.read_bytes()[:10])

    with limiter.granted():
        pass

    assert 60 <= sum(clock.slept) < 60.1


def test_the_folder_is_for_its_user_alone_and_names_no_key(tmp_path):
    folder = tmp_path / "state" / "limits"

    with Limiter(folder, "https://x.example:443 0123", [limit(1, 1)]).granted():
        pass

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not [file for file in folder.iterdir() if "example" in file.name + file.read_bytes().decode("latin-1")]


def same_files(folder):
    """What any grant has to do: look into a file and write to it, under a lock, once before and once after."""
    for _ in range(2):
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.pwrite(lock, b" " * 200, 0)
        file = os.open(folder / "file", os.O_RDWR | os.O_CREAT, 0o600)
        os.pread(file, 1 << 12, 0)
        os.pwrite(file, json.dumps(json.dumps(SOME)).encode(), 0)
        os.close(file)
        os.close(lock)


SOME = {"moment": 34844.448994383, "wall": 1795258303.006801, "sums": [4000, 4000], "asks": [[1, "4711:815", 1, 3.5]]}


def test_a_grant_takes_little_time_however_many_count(tmp_path):
    limiter, times, baseline, processor = Limiter(tmp_path, "key", [limit(5000, 3600)]), [], [], []
    with limiter._slots() as here:
        for _ in range(4000):
            here._log(1, 1)

    for _ in range(100):
        began = time.perf_counter()
        same_files(tmp_path)
        between, busy = time.perf_counter(), time.process_time()
        with limiter.granted():
            pass
        baseline.append(between - began)
        times.append(time.perf_counter() - between)
        processor.append(time.process_time() - busy)

    assert sorted(processor)[50] < 0.001
    assert sorted(times)[50] < 8 * sorted(baseline)[50]


def test_threads_of_one_process_share_the_limit(tmp_path):
    limiter, times = Limiter(tmp_path, "key", [limit(3, 0.3)]), []

    def work():
        for _ in range(3):
            with limiter.granted():
                times.append(time.monotonic())

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(times) == 9
    assert most_in_a_window(times, 0.3) <= 3


def test_a_limit_is_written_with_an_iso_duration():
    assert TypeAdapter(RateLimit).validate_python({"requests": 60, "per": "PT1H"}) == limit(60, 3600)
    with pytest.raises(ValidationError):
        RateLimit(requests=0, per=timedelta(seconds=1))
    with pytest.raises(ValidationError):
        RateLimit(requests=1, per=timedelta(0))
