"""At most N requests in any window, whoever asks and however long an answer takes."""

import contextlib
import multiprocessing
import os
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


def hammer(folder, url, until):
    limiter = Limiter(folder, "key", [limit(20, 1)])
    with requests.Session() as session:
        while time.monotonic() < until:
            with limiter.granted():
                session.get(url)


def test_four_processes_together_stay_within_the_limit_and_near_it(tmp_path, api):
    api.answer(200, b"ok", delay=0.005)
    until = time.monotonic() + 4.5
    workers = [FORKS.Process(target=hammer, args=(tmp_path, api.url, until)) for _ in range(4)]

    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    times = [asked.at for asked in api.asked]
    assert most_in_a_window(times, 1.0) <= 20
    assert len(times) / (times[-1] - times[0] + 1) > 0.6 * 20


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


def test_a_grant_takes_little_time(tmp_path):
    limiter = Limiter(tmp_path, "key", [limit(150, 3600)])
    for _ in range(100):
        with limiter.granted():
            pass
    times = []

    for _ in range(30):
        began = time.process_time()  # of the processor: what else the machine does is no matter
        with limiter.granted():
            times.append(time.process_time() - began)

    assert sorted(times)[15] < 0.002


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
