"""Who goes next: in the order of asking, at most so many at once, and whoever died gives its place back."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from datetime import timedelta

import pytest

from ingest_assets.errors import TransientFailure
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.rates import FlightLimit, PointLimit, RateLimit
from ingest_assets_tests.loopback import Replying, serving

SPAWN = multiprocessing.get_context("spawn")


def requests_in(most, seconds):
    return RateLimit(requests=most, per=timedelta(seconds=seconds))


def points_in(most, seconds):
    return PointLimit(points=most, per=timedelta(seconds=seconds))


def at_once(most):
    return FlightLimit(in_flight=most)


def test_a_request_counts_its_points(tmp_path, clock):
    dear, cheap = (
        Limiter(tmp_path, "key", [points_in(10, 60)], points=points, clock=clock, sleep=clock.sleep)
        for points in (6, 1)
    )

    with dear.granted():
        pass
    for _ in range(4):
        with cheap.granted():
            pass
    assert clock.slept == []
    with dear.granted():
        assert 60 < sum(clock.slept) < 60.1


def test_a_request_that_counts_more_than_a_share_of_the_limit_still_goes_alone(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [points_in(10, 60)], points=8, share=0.5, clock=clock, sleep=clock.sleep)

    with limiter.granted():
        pass
    with limiter.granted():
        assert 60 < sum(clock.slept) < 60.1


def test_points_and_requests_are_counted_apart(tmp_path, clock):
    limits = [requests_in(3, 1), points_in(20, 60)]
    limiter = Limiter(tmp_path, "key", limits, points=5, clock=clock, sleep=clock.sleep)
    at = []

    for _ in range(5):
        with limiter.granted():
            at.append(clock.now - 1000)

    assert [round(moment) for moment in at] == [0, 0, 0, 1, 60]


def test_so_many_are_in_flight_at_once(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [at_once(2)], clock=clock, sleep=clock.sleep)
    with contextlib.ExitStack() as flying:
        first = flying.enter_context(limiter.granted())
        flying.enter_context(limiter.granted())

        def free(seconds):
            clock.sleep(seconds)
            if clock.now > 1003:
                first.over()

        waiting = Limiter(tmp_path, "key", [at_once(2)], clock=clock, sleep=free)
        with waiting.granted():
            waited = clock.now - 1000

    assert 3 < waited < 3.5


def test_a_request_is_in_flight_until_its_answer_was_received(api, tmp_path):
    api.answer(200, b"body")
    limiter, seen = Limiter(tmp_path, "key", [at_once(1)], max_wait_seconds=0), []

    def receive(response):
        with pytest.raises(TransientFailure, match="limit of 1 in flight"), limiter.granted():
            seen.append("went beside it")
        return b"".join(response.chunks())

    with Client(api.url, limiters=[limiter]) as client:
        client.fetch(PageRequest(api.url), receive)
        client.fetch(PageRequest(api.url), lambda response: b"".join(response.chunks()))

    assert seen == []


def test_a_wait_for_a_place_ends_as_any_other(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [at_once(1)], max_wait_seconds=7, clock=clock, sleep=clock.sleep)

    with limiter.granted(), pytest.raises(TransientFailure) as failed, limiter.granted():
        pass

    assert failed.value.wait_seconds > 7
    assert sum(clock.slept) <= 7.1


def hold(folder, started):
    with Limiter(folder, "key", [at_once(2)]).granted():
        started.set()
        time.sleep(60)


def test_a_killed_process_gives_its_places_back(tmp_path):
    workers, limiter = [], Limiter(tmp_path, "key", [at_once(2)], max_wait_seconds=20)
    for _ in range(2):
        started = SPAWN.Event()
        workers.append(SPAWN.Process(target=hold, args=(tmp_path, started)))
        workers[-1].start()
        assert started.wait(60)
    with pytest.raises(TransientFailure), Limiter(tmp_path, "key", [at_once(2)], max_wait_seconds=0).granted():
        pass

    os.kill(workers[0].pid, signal.SIGKILL)  # not waited for: a process that nobody buries is dead all the same
    began = time.monotonic()
    with limiter.granted():
        waited = time.monotonic() - began
        with pytest.raises(TransientFailure), Limiter(tmp_path, "key", [at_once(2)], max_wait_seconds=0).granted():
            pass

    assert waited < 5
    for worker in workers:
        worker.kill()
        worker.join()


def ask_in_turn(folder, url, all_there, told):
    all_there.wait(60)
    with Client(url, limiters=[Limiter(folder, "key", [at_once(2)])]) as client:
        told.put([int(client.fetch(PageRequest(url), lambda answer: b"".join(answer.chunks()))) for _ in range(15)])


def test_four_processes_together_have_so_many_in_flight(tmp_path, crowd):
    told, all_there = SPAWN.Queue(), SPAWN.Barrier(4)
    workers = [SPAWN.Process(target=ask_in_turn, args=(tmp_path, crowd, all_there, told)) for _ in range(4)]

    for worker in workers:
        worker.start()
    counts = [count for _ in workers for count in told.get(timeout=60)]
    for worker in workers:
        worker.join()

    assert len(counts) == 60
    assert max(counts) == 2


def test_threads_take_turns(tmp_path):
    """None is ahead of another by more than a few, whether they share a limiter or have one each."""
    limits, order, all_there = [requests_in(1, 0.02)], [], threading.Barrier(4)
    shared = Limiter(tmp_path, "key", limits)

    def work(number):
        limiter = shared if number < 2 else Limiter(tmp_path, "key", limits)
        all_there.wait(10)
        for _ in range(15):
            with limiter.granted():
                order.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    counts = [[order[:length].count(number) for number in range(4)] for length in range(len(order))]
    ahead = [max(each) - min(each) for each in counts if max(each) < 15]
    assert len(order) == 60
    assert max(ahead) <= 3


def test_who_asked_first_goes_first(tmp_path):
    """One process that asks again at once does not pass those that wait."""
    limiter, order, waiting = Limiter(tmp_path, "key", [requests_in(1, 0.1)]), [], threading.Event()

    def wait_once():
        with limiter.granted(lambda *_: waiting.set()):
            order.append("waited")

    with limiter.granted():
        pass
    thread = threading.Thread(target=wait_once)
    thread.start()
    assert waiting.wait(10)
    for _ in range(3):
        with limiter.granted():
            order.append("came later")
    thread.join()

    assert order == ["waited", "came later", "came later", "came later"]


def test_a_wait_that_is_broken_off_leaves_the_queue(tmp_path, clock):
    def interrupted(_seconds):
        raise KeyboardInterrupt

    Limiter(tmp_path, "key", [requests_in(1, 10)]).push_back(0)
    with Limiter(tmp_path, "key", [requests_in(1, 10)], clock=clock, sleep=clock.sleep).granted():
        pass
    with (
        pytest.raises(KeyboardInterrupt),
        Limiter(tmp_path, "key", [requests_in(1, 10)], clock=clock, sleep=interrupted).granted(),
    ):
        pass
    with Limiter(tmp_path, "key", [requests_in(1, 10)], clock=clock, sleep=clock.sleep).granted():
        assert 10 < sum(clock.slept) < 10.1


def test_a_place_given_back_does_not_count(tmp_path, clock):
    limiter = Limiter(tmp_path, "key", [requests_in(1, 60), at_once(1)], clock=clock, sleep=clock.sleep)

    with limiter.granted() as grant:
        grant.give_back()
    with limiter.granted():
        pass

    assert clock.slept == []


class Crowd(Replying):
    """Answers how many requests the server has at once, a little later."""

    protocol_version = "HTTP/1.1"

    def get(self):
        with self.server.lock:
            self.server.inside += 1
            now = self.server.inside
        time.sleep(0.03)
        with self.server.lock:
            self.server.inside -= 1
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%d" % (len(str(now)), now))


@pytest.fixture
def crowd():
    with serving(Crowd, lock=threading.Lock(), inside=0) as server:
        yield server.url
