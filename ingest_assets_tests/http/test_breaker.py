"""An API that is down: seen by one, known to all, left alone for a while, and then tried by one."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from ingest_assets.errors import NotBefore, RequestFailed, TransientFailure
from ingest_assets.http.breaker import Breaker, BreakerSettings
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.retry import RetryPolicy

NOW = 1_767_225_600.0  # 2026-01-01 00:00 UTC
ORIGIN = "https://shop.example:443"
AT_ONCE = {"lasting": timedelta(0)}
SETTINGS = BreakerSettings(failures=3, pause=timedelta(seconds=30), longest_pause=timedelta(seconds=100), **AT_ONCE)

_TRIES = """
import sys, time
from pathlib import Path
from ingest_assets.http.breaker import Breaker
with Breaker(Path(sys.argv[1]), "shop", sys.argv[2]).request():
    print("trying", flush=True)
    time.sleep(600)
"""
_WALKS = """
import sys
from pathlib import Path
from ingest_assets.errors import TransientFailure
from ingest_assets.http.breaker import Breaker, BreakerSettings
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from datetime import timedelta
url, folder = sys.argv[1], Path(sys.argv[2])
settings = BreakerSettings(failures=12, lasting=timedelta(0))
with Client(url, breaker=Breaker(folder, "shop", url, settings), sleep=lambda _: None) as client:
    for partition in range(100):
        try:
            client.fetch(PageRequest(f"{url}/{partition}"), lambda response: b"".join(response.chunks()))
        except TransientFailure as failure:
            print(type(failure).__name__)
"""


class Clock:
    def __init__(self):
        self.now = NOW

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def day():
    """The time of day, which stands still."""
    return Clock()


@pytest.fixture
def breaker(tmp_path, day):
    """Another one at each call, as other processes have it."""
    return lambda settings=SETTINGS: Breaker(tmp_path, "shop", ORIGIN, settings, now=day, sleep=day.sleep)


def fail(breaker, times=1, why="HTTP 503 Service Unavailable"):
    for _ in range(times):
        with breaker().request() as tell:
            tell(why)


def test_failures_in_a_row_of_all_processes_open_it_with_since_why_and_until(breaker, day):
    fail(breaker, 2, "no connection: Connection refused")
    breaker().check()
    day.now += 7
    fail(breaker)

    with pytest.raises(NotBefore) as refused:
        breaker().check()

    assert str(refused.value) == (
        "https://shop.example:443 is down since 2026-01-01 00:00:00 UTC: 3 requests in a row failed, the last: HTTP "
        "503 Service Unavailable; nothing is asked until 2026-01-01 00:00:37 UTC (30 s)"
    )
    assert refused.value.until == datetime.fromtimestamp(NOW + 37, UTC)
    assert refused.value.everywhere
    with pytest.raises(NotBefore), breaker().request():
        raise AssertionError("no request goes through")


def test_a_short_hiccup_of_many_requests_at_once_does_not_open_it(breaker, day):
    settings = SETTINGS.model_copy(update={"lasting": timedelta(seconds=5)})
    fail(lambda: breaker(settings), 50)
    day.now += 4.9
    fail(lambda: breaker(settings))
    breaker().check()
    day.now += 0.1

    fail(lambda: breaker(settings))

    with pytest.raises(NotBefore, match="52 requests in a row failed"):
        breaker().check()


def test_an_answer_between_them_begins_the_count_anew(breaker):
    for _ in range(5):
        fail(breaker, 2)
        with breaker().request() as tell:
            tell(None)

    assert breaker().state() is None


def test_what_says_nothing_of_the_api_changes_nothing(breaker):
    fail(breaker, 2)

    with pytest.raises(ValueError, match="not sent"), breaker().request():
        raise ValueError("not sent")

    assert breaker().state().failures == 2


def test_after_its_pause_one_request_goes_through_and_its_answer_closes_it(breaker, day):
    fail(breaker, 3)
    day.now += 30

    with breaker().request() as tell:
        tell(None)

    assert breaker().state() is None


def test_each_pause_is_twice_the_one_before_up_to_the_longest(breaker, day):
    fail(breaker, 3)
    pauses = []
    for _ in range(4):
        pauses.append(breaker().state().until - day.now)
        day.now = breaker().state().until
        fail(breaker)

    assert pauses == [30, 60, 100, 100]


def test_what_was_on_its_way_when_it_opened_makes_no_pause_longer(breaker, day):
    with contextlib.ExitStack() as on_their_way:
        late = [on_their_way.enter_context(breaker().request()) for _ in range(3)]
        fail(breaker, 3)
        for tell in late:
            tell("no answer within 60 s")

    assert (breaker().state().until, breaker().state().failures) == (day.now + 30, 6)


def test_while_one_tries_the_others_wait_for_what_comes_of_it(tmp_path):
    def made():
        return Breaker(
            tmp_path, "shop", ORIGIN, BreakerSettings(failures=1, pause=timedelta(microseconds=1), **AT_ONCE)
        )

    fail(made)
    came = []

    def ask():
        with made().request() as tell:
            came.append(made().state())
            tell(None)

    with made().request() as tell:
        others = [threading.Thread(target=ask) for _ in range(4)]
        for other in others:
            other.start()
        others[0].join(0.3)
        before = list(came)
        tell(None)
    for other in others:
        other.join(10)

    assert (before, came) == ([], [None] * 4)


def test_a_process_that_is_killed_while_it_tries_leaves_the_trial_to_the_next(tmp_path):
    settings = BreakerSettings(failures=1, pause=timedelta(microseconds=1), **AT_ONCE)
    breaker = Breaker(tmp_path, "shop", ORIGIN, settings)
    fail(lambda: breaker)
    command = [sys.executable, "-c", _TRIES, str(tmp_path), ORIGIN]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as trying:
        assert trying.stdout.readline() == "trying\n"
        process = breaker.state().process
        trying.send_signal(signal.SIGKILL)
        trying.wait()

    with breaker.request() as tell:
        tried_by = breaker.state().process
        tell(None)

    assert process.split(":")[0] == str(trying.pid)
    assert tried_by not in ("", process)
    assert breaker.state() is None


def test_a_process_that_hangs_while_it_tries_holds_the_others_back_for_minutes_only(breaker, day):
    fail(breaker, 3)
    day.now += 30

    with breaker().request(), breaker().request() as tell:
        tell(None)

    assert 600 <= day.now - NOW - 30 <= 601
    assert breaker().state() is None


def test_a_clock_that_is_put_back_does_not_leave_it_open(breaker, day):
    fail(breaker, 3)
    day.now -= 3600

    with breaker().request() as tell:
        tell(None)

    assert breaker().state() is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"failures": 1}', '{"strange": 1}', "null"])
def test_a_file_that_was_torn_is_found_out_anew(breaker, tmp_path, text):
    fail(breaker, 3)
    (file,) = tmp_path.glob("*.breaker.json")
    file.write_text(text)

    breaker().check()
    fail(breaker, 3)

    assert breaker().state().is_open


def test_a_longest_pause_that_is_shorter_than_the_first_is_refused():
    with pytest.raises(ValidationError, match="pause is 60 s, and longest_pause 30 s"):
        BreakerSettings(pause=timedelta(seconds=60), longest_pause=timedelta(seconds=30))


@pytest.fixture
def client_for(tmp_path, day, clock):
    clients = []

    def made(url, **options):
        breaker = Breaker(tmp_path, "shop", url, SETTINGS, now=day, sleep=day.sleep)
        clients.append(Client(url, breaker=breaker, sleep=clock.sleep, **options))
        return clients[-1]

    yield made
    for client in clients:
        client.close()


def whole(response):
    return b"".join(response.chunks())


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_a_5xx_opens_it_and_then_nothing_is_asked(api, client_for, status):
    api.answer(status)

    for _ in range(10):
        with pytest.raises((TransientFailure, RequestFailed)):
            client_for(api.url).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 3
    with pytest.raises(NotBefore, match=f"the last: HTTP {status} "):
        client_for(api.url).fetch(PageRequest(f"{api.url}/another"), whole)


def test_no_connection_and_no_answer_open_it_too(api, client_for):
    api.answer(200, [None])
    slow = client_for(api.url, retry=RetryPolicy(attempts=2), read_timeout_seconds=0.2)

    with pytest.raises(TransientFailure, match="Gave up after 2 attempts"):
        slow.fetch(PageRequest(api.url), whole)
    api.answers[:] = []
    api.answer(200, b"late", delay=2.0)
    with pytest.raises(NotBefore, match=r"the last: no answer within 0.2 s; nothing is asked until"):
        slow.fetch(PageRequest(api.url), whole)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 410, 422, 429])
def test_any_other_answer_shows_that_the_api_is_there(api, client_for, status):
    api.answer(status)

    for _ in range(5):
        with pytest.raises((TransientFailure, RequestFailed)):
            client_for(api.url, retry=RetryPolicy(attempts=1)).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 5


def test_a_5xx_that_a_rule_knows_as_throttling_is_an_answer(api, client_for):
    api.answer(503)
    rule = ResponseRule(status=503, means="throttled")

    with pytest.raises(TransientFailure, match="Gave up after 6 attempts"):
        client_for(api.url, responses=[rule]).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 6


def test_once_its_pause_is_over_a_fetch_goes_through_and_all_may_ask(api, client_for, day):
    for _ in range(3):
        api.answer(503)
    api.answer(200, b"fine")
    with pytest.raises(NotBefore):
        client_for(api.url).fetch(PageRequest(api.url), whole)
    day.now += 30

    assert [client_for(api.url).fetch(PageRequest(api.url), whole) for _ in range(3)] == [b"fine"] * 3


def test_another_origin_says_nothing_of_the_api(api, elsewhere, client_for):
    api.answer(302, headers={"Location": f"{elsewhere.url}/file"})
    elsewhere.answer(503)

    for _ in range(2):
        with pytest.raises(TransientFailure, match="Gave up after 6 attempts"):
            client_for(api.url).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 12


def test_four_processes_with_a_hundred_partitions_each_ask_a_dead_api_a_few_times_in_all(api, tmp_path):
    api.answer(503)
    command = [sys.executable, "-c", _WALKS, api.url, str(tmp_path)]

    walks = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    told = [walk.communicate(timeout=60)[0].splitlines() for walk in walks]

    assert [len(lines) for lines in told] == [100] * 4
    # Those that are on their way when it opens come on top.
    assert 12 <= len(api.asked) <= 12 + 3
    assert sum(line == "NotBefore" for lines in told for line in lines) >= 398
    (state,) = [json.loads(file.read_text()) for file in tmp_path.glob("*.breaker.json")]
    assert state["failures"] == len(api.asked)
