"""An API that asks for a long pause: what is done stays done, nobody asks before its time, no run sits and waits."""

import re
import time

import pytest

from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range
from ingest_assets.errors import NotBefore
from ingest_assets.line import Unwatched
from ingest_assets_tests.assets.test_schedules import tags as schedule_tick
from ingest_assets_tests.assets.test_sensors import tick as sensor_tick

FIRST, THIRD, LAST = "2026-01-01", "2026-01-03", "2026-01-10"
ORDERS, PEOPLE = ("shop", "orders"), ("shop", "people")
SIX_HOURS = {"Retry-After": "21600"}


class Failures(Unwatched):
    def __init__(self):
        self.all = []

    def failed(self, label, error):
        self.all.append((label, error))


@pytest.fixture
def closed(shop, answer):
    """The shop asks to be left alone for six hours from the third day on."""
    shop.instead[THIRD] = answer(429, {"error": "quota used up"}, SIX_HOURS)
    return shop


def test_a_range_ends_with_what_is_done_reported_and_the_rest_failed_until_a_time(lab, closed, days):
    result = lab.run(FIRST, LAST, fails=True)

    (message,) = [event.step_failure_data.error.message for event in result.all_events if event.is_step_failure]
    assert re.search(r"quota used up': waits until 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC \(6 h\)", message)
    assert "those after it were not asked for; run again after 20" in message
    assert closed.counted == {FIRST: 1, "2026-01-02": 1, THIRD: 1}
    assert len(lab.events(lab.table())) == 2
    assert not any(event.is_step_up_for_retry for event in result.all_events)


def test_other_endpoints_of_the_same_run_ask_nothing_either(lab, closed):
    keys = [kind(name) for name in ("orders", "people", "news") for kind in (lab.raw, lab.table)]

    result = lab.run(THIRD, keys=keys, fails=True)

    failed = {event.step_key for event in result.all_events if event.is_step_failure}
    assert closed.asked[-1] == THIRD
    assert len(failed) + len(closed.asked) - 1 == 3
    assert "shop__orders" in failed


def test_a_sensor_asks_for_nothing_of_the_source_until_then(lab, closed):
    lab.run(THIRD, fails=True)
    closed.asked.clear()

    told = sensor_tick(lab)

    assert told.startswith("all endpoints are left alone: GET ")
    assert "waits until" in told
    assert closed.asked == []


def test_a_schedule_skips_its_tick_until_then(kept_lab, closed):
    kept_lab.run(THIRD, fails=True)

    told = schedule_tick(kept_lab, "shop_days_schedule", 2026, 1, 11, 2, 30)

    assert told.startswith("all endpoints are left alone: GET ")


def test_the_command_line_begins_no_further_run_of_the_source(kept_lab, closed):
    lab, failures, begun = kept_lab, Failures(), time.monotonic()
    holes = [Range((ORDERS,), day, day) for day in (FIRST, THIRD, "2026-01-05", "2026-01-07")]

    done = materialize({"shop": lab.source}, [*holes, Range((PEOPLE,))], lab.data, failures)

    assert (len(done.runs), done.succeeded, done.later) == (2, False, {"shop": 3})
    assert closed.counted == {FIRST: 1, THIRD: 1}
    ((label, error),) = failures.all
    assert (label, type(error)) == ("shop.orders[2026-01-03]", NotBefore)
    assert time.monotonic() - begun < 60


def test_the_walk_goes_on_where_it_stopped_once_it_may(lab, shop, answer):
    more = {"data": [{"id": 1, "email": "a@private.example"}], "more": True, "next": "b"}
    rest = {"data": [{"id": 2, "email": "b@private.example"}], "more": False, "next": None}
    shop.instead[THIRD] = [answer(200, more), answer(429, {}, {"Retry-After": "0.2"}), answer(200, rest)]

    lab.run(THIRD, fails=True)
    time.sleep(0.3)  # what the API asked for
    lab.run(THIRD)

    assert lab.rows("SELECT id FROM shop.orders ORDER BY 1") == [(1,), (2,)]
    assert shop.counted == {THIRD: 3}
