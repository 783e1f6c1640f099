"""A walk slows before it is stopped: what is left is spread, by all processes together, and it always goes on."""

import heapq
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest_assets.errors import NotBefore
from ingest_assets.http.auth.static import Bearer
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.pace import Pace
from ingest_assets.http.page import PageRequest
from ingest_assets.http.place import Place
from ingest_assets.http.rates import PointLimit, RateLimit
from ingest_assets.http.secrets import Secret, Secrets
from ingest_assets_tests.http.conftest import Clock


class FixedWindow:
    """A server that counts so many in each full window, as GitHub does by the hour."""

    def __init__(self, most, window):
        self.most, self.window, self.counts, self.refused = most, window, {}, 0

    def answer(self, now):
        which = int(now // self.window)
        self.counts[which] = self.counts.get(which, 0) + 1
        left = self.most - self.counts[which]
        self.refused += left < 0
        reset = (which + 1) * self.window - now
        return {
            "x-ratelimit-limit": str(self.most),
            "x-ratelimit-remaining": str(max(0, left)),
            "x-ratelimit-reset": f"{reset:.3f}",
        }


class Leaking:
    """A server with a bucket, as Shopify's: full it refuses, and it empties all the time."""

    def __init__(self, most):
        self.most, self.used, self.at, self.refused = most, 0.0, 0.0, 0

    def answer(self, now):
        self.used, self.at = max(0.0, self.used - (now - self.at) * self.most / 20), now
        self.refused += self.used + 1 > self.most
        self.used = min(self.most, self.used + 1)
        return {"x-shopify-shop-api-call-limit": f"{-int(-self.used // 1)}/{self.most}"}


class Rolling:
    """A server that counts the last so many seconds, as HubSpot does."""

    def __init__(self, most, window):
        self.most, self.window, self.counted, self.refused = most, window, [], 0

    def answer(self, now):
        self.counted = [moment for moment in self.counted if moment > now - self.window]
        self.refused += len(self.counted) >= self.most
        self.counted.append(now)
        return {
            "x-hubspot-ratelimit-max": str(self.most),
            "x-hubspot-ratelimit-remaining": str(max(0, self.most - len(self.counted))),
            "x-hubspot-ratelimit-interval-milliseconds": str(int(self.window * 1000)),
        }


def learning(folder, clock, limits=(), endpoint="orders", **more):
    more = {"max_wait_seconds": 1e6, "learns": True, **more}
    return Limiter(folder, "key", limits, endpoint=endpoint, clock=clock, wall=clock, sleep=clock.sleep, **more)


def ask(limiter, clock, server, latency):
    with limiter.granted() as grant:
        clock.now += latency
        return grant.answered(server.answer(clock.now), latency)


SERVERS = st.one_of(
    st.builds(FixedWindow, st.integers(2, 60), st.sampled_from([10.0, 60.0])),
    st.builds(Leaking, st.integers(20, 80)),
    st.builds(Rolling, st.integers(10, 110), st.just(10.0)),
)


@settings(max_examples=300 if "INGEST_LONG" in os.environ else 25, deadline=None)
@given(server=SERVERS, latency=st.sampled_from([0.01, 0.1]), walkers=st.integers(1, 3))
def test_a_walk_that_goes_as_fast_as_it_may_is_never_refused(tmp_path_factory, server, latency, walkers):
    clock, folder = Clock(), tmp_path_factory.mktemp("limits")
    limiters = [learning(folder, clock) for _ in range(walkers)]

    ask(limiters[0], clock, server, latency)  # the first cannot know anything
    server.refused = 0
    for number in range(3 * server.most):
        ask(limiters[number % walkers], clock, server, latency)

    assert server.refused == 0


@pytest.mark.parametrize(
    ("server", "least"), [(FixedWindow(60, 60.0), 0.9), (Leaking(40), 0.9), (Rolling(100, 10.0), 0.7)]
)
def test_and_uses_nearly_all_that_it_may(tmp_path, clock, server, least):
    limiter, began = learning(tmp_path, clock), clock.now
    allowed, seconds = {FixedWindow: (1.0, 600), Leaking: (2.0, 300), Rolling: (10.0, 100)}[type(server)]

    count = 0
    while clock.now < began + seconds:
        ask(limiter, clock, server, 0.01)
        count += 1

    assert count >= least * allowed * seconds


def test_while_much_is_left_nothing_waits(tmp_path, clock):
    limiter, server = learning(tmp_path, clock), FixedWindow(60, 3600.0)

    for _ in range(46):
        ask(limiter, clock, server, 0.01)

    assert clock.slept == []


def test_what_is_left_is_spread_over_the_time_that_is_left(tmp_path, clock):
    clock.now = 3600.0
    limiter, server, told = learning(tmp_path, clock), FixedWindow(60, 600.0), []

    for _ in range(60):
        with limiter.granted(lambda *wait: told.append(wait[1])) as grant:
            grant.answered(server.answer(clock.now))

    assert 3600 + 300 < clock.now < 3600 + 600
    assert max(clock.slept) < 200
    assert told[0] == "14 of 60 left (x-ratelimit)"


def test_what_one_process_learned_slows_another(tmp_path, clock):
    server = FixedWindow(10, 60.0)
    for _ in range(9):
        ask(learning(tmp_path, clock), clock, server, 0)
    clock.slept.clear()

    ask(learning(tmp_path, clock), clock, server, 0)

    assert clock.slept


def test_another_resource_is_asked_meanwhile(tmp_path, clock):
    search, core = learning(tmp_path, clock, endpoint="search"), learning(tmp_path, clock, endpoint="issues")
    told = {"x-ratelimit-limit": "30", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}
    with search.granted() as grant:
        grant.answered(told | {"x-ratelimit-resource": "search"})
    with core.granted() as grant:
        grant.answered(told | {"x-ratelimit-resource": "core", "x-ratelimit-remaining": "29"})

    with core.granted():
        assert clock.slept == []
    with search.granted():
        assert 60 <= sum(clock.slept) < 61


def test_who_waits_for_one_resource_holds_up_nobody_else(tmp_path, clock):
    limits = [RateLimit(requests=1, per="PT1S")]
    search = learning(tmp_path, clock, limits, endpoint="search")
    with search.granted() as grant:
        grant.answered({"x-ratelimit-limit": "30", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"})
    went = []

    def sleep(seconds):
        if not went:
            with learning(tmp_path, clock, limits, endpoint="issues").granted():
                went.append(clock.now)
        clock.sleep(seconds)

    waiting = Limiter(tmp_path, "key", limits, endpoint="search", learns=True, clock=clock, wall=clock, sleep=sleep)
    with waiting.granted():
        assert clock.now >= 1060

    assert went[0] < 1002


def test_the_file_says_how_fast_at_most(tmp_path, clock):
    limiter = learning(tmp_path, clock, [RateLimit(requests=1, per="PT1S")])

    for _ in range(3):
        with limiter.granted() as grant:
            grant.answered({"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "4990", "x-ratelimit-reset": "9"})

    assert 2 < sum(clock.slept) < 2.1


def test_where_nothing_is_to_be_learned_nothing_is(tmp_path, clock):
    limiter = learning(tmp_path, clock, learns=False)
    for seconds in (0.1,) * 9 + (5.0,) * 9:
        with limiter.granted() as grant:
            left = grant.answered({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"}, seconds)

    assert left is None
    assert clock.slept == []


def test_as_long_as_something_is_left_no_wait_ends_a_run(tmp_path, clock):
    limiter = learning(tmp_path, clock, max_wait_seconds=3)
    told = {"x-ratelimit-limit": "60", "x-ratelimit-remaining": "1", "x-ratelimit-reset": "3000"}
    for _ in range(2):
        with limiter.granted() as grant:
            grant.answered(told)

    assert 2.9 < sum(clock.slept) < 3.1


def test_nothing_left_is_a_wait_until_there_is_and_a_long_one_ends_the_run(tmp_path, clock):
    limiter = learning(tmp_path, clock, max_wait_seconds=3)
    with limiter.granted() as grant:
        grant.answered({"x-ratelimit-limit": "60", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "3000"})

    with pytest.raises(NotBefore, match=r"0 of 60 left \(x-ratelimit\): waits until") as failed, limiter.granted():
        pass

    assert 2999 < failed.value.wait_seconds <= 3000
    clock.now += 3001
    with limiter.granted():
        assert clock.slept == []


@pytest.mark.parametrize(("percent", "waits"), [(70, (0, 0)), (80, (0.1, 5)), (95, (10, 25)), (120, (29, 31))])
def test_percents_slow_down_and_never_stop(tmp_path, clock, percent, waits):
    limiter = learning(tmp_path, clock)
    with limiter.granted() as grant:
        grant.answered({"x-app-usage": json.dumps({"call_count": percent})})

    with limiter.granted():
        assert waits[0] <= sum(clock.slept) <= waits[1]


def test_an_account_that_is_shut_out_is_let_alone_for_as_long_as_is_told(tmp_path, clock):
    limiter = learning(tmp_path, clock)
    with limiter.granted() as grant:
        told = {"a": [{"call_count": 100, "estimated_time_to_regain_access": 7}]}
        grant.answered({"x-business-use-case-usage": json.dumps(told)})

    with limiter.granted():
        assert 420 <= sum(clock.slept) < 421


def test_a_query_waits_until_the_bucket_holds_what_it_needs(tmp_path, clock):
    limiter = learning(tmp_path, clock)
    status = {"maximumAvailable": 2000.0, "currentlyAvailable": 102, "restoreRate": 100.0}
    with limiter.granted() as grant:
        grant.answered({}, 0.1)
        grant.read({"extensions": {"cost": {"requestedQueryCost": 502, "throttleStatus": status}}})

    with limiter.granted() as grant:
        assert 4 <= sum(clock.slept) < 4.1
        grant.answered({}, 0.1)
    with limiter.granted():
        assert 9 <= sum(clock.slept) < 9.2


def answered(walkers, workers, service, seconds=60.0, trouble=None):
    """When a server of so many workers answered those who ask again at once; `trouble` times as long from 60 s on."""
    pace, now, free, flying, times = Pace(), 0.0, [0.0] * workers, 0, []
    ahead = [(0.0, walker, "ask", 0.0) for walker in range(walkers)]
    while ahead and ahead[0][0] < seconds:
        now, walker, what, begun = heapq.heappop(ahead)
        if what == "answer":
            flying -= 1
            times.append(now)
            pace.answered("x", [], now, flying, now - begun)
        wait = pace.wait("x", now, flying).seconds
        if wait > 0:
            heapq.heappush(ahead, (now + wait + 0.001, walker, "ask", 0.0))
            continue
        pace.granted("x", now)
        flying += 1
        takes = service * (trouble if trouble is not None and now >= 60 else 1)
        done = max(now, free[0]) + takes
        heapq.heapreplace(free, done)
        heapq.heappush(ahead, (done, walker, "answer", now))
    return times


@pytest.mark.parametrize(
    ("walkers", "workers", "service"),
    [(16, 1, 0.05), (16, 2, 0.2), (8, 8, 0.05), (16, 4, 0.1), (64, 4, 0.1), (1, 1, 0.3), (4, 1, 0.5), (16, 1, 0.5)],
)
def test_a_server_that_has_a_queue_gives_as_many_answers_as_it_can(walkers, workers, service):
    times = answered(walkers, workers, service)

    assert len(times) / 60 > 0.8 * min(walkers, workers) / service


@pytest.mark.parametrize(("walkers", "service", "trouble"), [(8, 0.1, 20), (16, 0.05, 40)])
def test_of_an_api_that_takes_longer_than_usual_less_is_asked_and_something_always(walkers, service, trouble):
    times = answered(walkers, walkers, service, seconds=100.0, trouble=trouble)

    before = sum(moment < 60 for moment in times) / 60
    during = sum(70 < moment < 100 for moment in times) / 30
    unheeded, of_one = walkers / (service * trouble), 1 / (service * trouble)
    assert before > 0.95 * walkers / service
    assert of_one <= during < unheeded / 2


def test_what_is_always_slow_becomes_usual(tmp_path, clock):
    limiter, waited = learning(tmp_path, clock), []

    for seconds in (0.1,) * 20 + (3.0,) * 250:
        before = sum(clock.slept)
        with limiter.granted() as grant:
            clock.now += 0.01
            grant.answered({}, seconds)
        waited.append(sum(clock.slept) - before)

    assert max(waited[20:100]) > 1
    assert max(waited[200:]) == 0


def test_a_client_learns_from_headers_and_shows_what_is_left(api, tmp_path, clock):
    told = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "90"}
    api.answer(200, b"{}", told | {"X-RateLimit-Resource": "s3cret-value"}).answer(200, b"{}")
    asked, waits = [], []
    limiter, secrets = learning(tmp_path, clock), Secrets({"KEY": "s3cret-value"})
    auth = Bearer(type="bearer", token=Secret(env="KEY"))

    with Client(api.url, auth, secrets, [limiter], on_asked=asked.append, on_wait=waits.append) as client:
        for _ in range(2):
            client.fetch(PageRequest(api.url), lambda response: b"".join(response.chunks()))

    assert asked[0].left.startswith("0 of 60 (x-ratelimit")
    assert "s3cret" not in asked[0].left + waits[0].why
    assert 90 <= sum(clock.slept) < 91
    assert asked[1].wait_seconds >= 90


def test_a_cost_that_only_the_answer_tells_counts_as_told(api, tmp_path, clock):
    api.answer(200, b'{"cost": "70"}').answer(200, b'{"cost": 20}').answer(200, b"{}")
    limits = [PointLimit(points=100, per="PT1M")]
    limiter = learning(tmp_path, clock, limits, points=5, corrected=True, learns=False)
    waited = []

    def receive(response):
        waited.append(sum(clock.slept))
        response.learn(json.loads(b"".join(response.chunks())))

    with Client(api.url, limiters=[limiter], cost=Place(path="cost")) as client:
        for _ in range(3):
            client.fetch(PageRequest(api.url), receive)

    # 5 by guess, then 70 by the first answer: beside 70 that does not fit. 20 and the 20 of the next do.
    assert waited[0] == 0
    assert 60 < waited[1] < 60.2
    assert waited[2] == waited[1]
