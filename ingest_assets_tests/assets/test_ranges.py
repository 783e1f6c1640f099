"""Ranges that break: what is done stays done and is shown, and the rest is done by the next run."""

import contextlib
import os
import signal
import threading

import pytest

from ingest_assets.assets.resources import Api
from ingest_assets_tests.assets.conftest import Answer

FIRST, LAST = "2026-01-01", "2026-01-06"
DONE, REST = ["2026-01-01", "2026-01-02", "2026-01-03"], ["2026-01-04", "2026-01-05", "2026-01-06"]
LONG = os.environ.get("INGEST_LONG") == "1"


def loaded(lab):
    return [row[0] for row in lab.rows("SELECT partition FROM _ingest.fetches WHERE loaded IS NOT NULL ORDER BY ALL")]


def test_an_api_that_dies_on_day_4_leaves_days_1_to_3_with_their_own_numbers(kept_lab, shop, down, days):
    lab = kept_lab
    for day in REST:
        shop.instead[day] = down

    lab.run(FIRST, LAST, fails=True)

    for key in (lab.raw(), lab.table()):
        assert lab.statuses(key, *DONE, *REST) == dict.fromkeys(DONE, "MATERIALIZED") | dict.fromkeys(REST, "FAILED")
    told = {day: (lab.told(lab.table(), day)["received"], lab.told(lab.table(), day)["fetch"]) for day in DONE}
    assert told == {day: (len(shop.of(day)), number) for number, day in enumerate(DONE, 1)}
    assert loaded(lab) == DONE
    assert shop.counted.keys() == {*DONE, "2026-01-04"}


def test_executing_the_run_again_does_the_rest_only(lab, shop, down):
    shop.instead["2026-01-04"] = down
    failed = lab.run(FIRST, LAST, fails=True)
    shop.reset()

    lab.run_again(failed.dagster_run)

    assert shop.counted == dict.fromkeys(REST, 1)
    assert loaded(lab) == [*DONE, *REST]
    assert set(lab.statuses(lab.table(), *DONE, *REST).values()) == {"MATERIALIZED"}


def test_executing_a_good_run_again_fetches_again(lab, shop):
    good = lab.run(keys=[lab.raw("people"), lab.table("people")])

    lab.run_again(good.dagster_run)

    assert shop.counted == {"/people": 2}


def test_a_day_whose_walk_is_incomplete_does_not_stop_the_others(lab, shop, holed):
    shop.instead["2026-01-02"] = holed

    result = lab.run(FIRST, "2026-01-04", fails=True)

    assert loaded(lab) == ["2026-01-01", "2026-01-03", "2026-01-04"]
    statuses = lab.statuses(lab.table(), "2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04")
    assert list(statuses.values()) == ["MATERIALIZED", "FAILED", "MATERIALIZED", "MATERIALIZED"]
    failure = failed(result).error.message
    assert "shop.orders[2026-01-02]: page 0 holds no records and is not the last one" in failure
    assert "the other partitions are done; run again for the rest" in failure


REFUSALS = {
    "no such day": Answer(404, {"error": "no such day"}),
    "too old a day": Answer(422, {"error": "before the account was opened"}),
    "no list": Answer(200, {"data": 5}),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_day_that_is_refused_does_not_stop_the_others(kept_lab, shop, refusal):
    lab = kept_lab
    shop.instead["2026-01-02"] = refusal

    result = lab.run(FIRST, "2026-01-04", fails=True)

    statuses = lab.statuses(lab.table(), FIRST, "2026-01-02", "2026-01-03", "2026-01-04")
    assert list(statuses.values()) == ["MATERIALIZED", "FAILED", "MATERIALIZED", "MATERIALIZED"]
    failure = failed(result).error.message
    assert "2026-01-02" in failure
    assert "the other partitions are done; run again for the rest" in failure


def test_three_days_in_a_row_that_are_refused_stop_the_range(lab, shop):
    for day in REST:
        shop.instead[day] = REFUSALS["no such day"]

    result = lab.run(FIRST, "2026-01-08", fails=True)

    assert shop.asked == [*DONE, *REST]
    assert loaded(lab) == DONE
    assert failed(result).error.message.count("no such day") == 3


def test_refused_days_between_good_ones_are_not_in_a_row(lab, shop):
    for day in (FIRST, "2026-01-02", "2026-01-04", "2026-01-05"):
        shop.instead[day] = REFUSALS["no such day"]

    lab.run(FIRST, LAST, fails=True)

    assert loaded(lab) == ["2026-01-03", "2026-01-06"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_refused_stops_the_range_at_once(lab, shop, answer, status):
    shop.instead["2026-01-02"] = answer(status, {"error": "not for you"})

    lab.run(FIRST, LAST, fails=True)

    assert set(shop.asked) == {FIRST, "2026-01-02"}


def test_a_day_that_another_process_holds_is_fetched_after_the_others(lab, shop):
    with contextlib.ExitStack() as held:
        held.enter_context(Api(data=str(lab.data)).line(lab.source, "another").partition("orders", "2026-01-02"))
        shop.hooks["2026-01-04"] = held.close

        lab.run(FIRST, "2026-01-04")

    assert shop.asked == [FIRST, "2026-01-03", "2026-01-04", "2026-01-02"]


def test_a_failure_that_stops_a_range_tells_of_the_days_that_another_process_held(lab, shop, refused):
    shop.instead["2026-01-03"] = refused
    with Api(data=str(lab.data)).line(lab.source, "another").partition("orders", FIRST):
        result = lab.run(FIRST, "2026-01-04", fails=True)

    message = failed(result).error.message
    assert f"is held by process {os.getpid()} (run another, shop.orders[{FIRST}])" in message
    assert "HTTP 403 Forbidden" in message


@pytest.mark.skipif(not LONG, reason="waits 30 s for a lock: INGEST_LONG=1 runs it")
def test_days_that_another_process_goes_on_to_hold_fail_by_themselves(kept_lab, shop):
    lab = kept_lab
    line = Api(data=str(lab.data)).line(lab.source, "another")
    with line.partition("orders", FIRST), line.partition("orders", "2026-01-03"):
        result = lab.run(FIRST, "2026-01-04", fails=True)

    assert loaded(lab) == ["2026-01-02", "2026-01-04"]
    statuses = lab.statuses(lab.table(), FIRST, "2026-01-02", "2026-01-03", "2026-01-04")
    assert list(statuses.values()) == ["FAILED", "MATERIALIZED", "FAILED", "MATERIALIZED"]
    failure = failed(result).error.message
    for day in (FIRST, "2026-01-03"):
        assert f"is held by process {os.getpid()} (run another, shop.orders[{day}])" in failure
    assert "the other partitions are done; run again for the rest" in failure
    with line.warehouse.session("looking") as connection:
        noted = connection.execute("SELECT partition, stops FROM w._ingest.failures ORDER BY partition").fetchall()
    assert noted == [(FIRST, False), ("2026-01-03", False)]  # so that no sensor asks for them at its next tick


def test_a_failure_says_what_happened_where_and_what_stands(lab, shop, refused):
    shop.instead["2026-01-02"] = refused

    result = lab.run(FIRST, LAST, fails=True)

    message = failed(result).error.message
    assert "HTTP 403 Forbidden" in message
    assert "from=2026-01-02" in message
    assert "partitions before it are done; run again for the rest" in message


def test_an_api_that_asks_to_wait_again_and_again_is_given_up_with_its_words(lab, shop, answer):
    shop.instead["2026-01-02"] = answer(429, {"error": "slowly"}, {"Retry-After": "0.01"})

    result = lab.run(FIRST, LAST, fails=True)

    assert "HTTP 429 Too Many Requests: 'slowly'" in failed(result).error.to_string()
    assert shop.counted == {FIRST: 1, "2026-01-02": 4 * 6}


def test_one_bad_endpoint_leaves_the_steps_of_the_others_running(lab, shop, refused):
    shop.instead[FIRST] = refused
    shop.instead["/people"] = refused
    keys = [kind(name) for name in ("orders", "people", "news") for kind in (lab.raw, lab.table)]

    result = lab.run(FIRST, keys=keys, fails=True)

    assert {event.step_key for event in result.all_events if event.is_step_failure} == {"shop__orders", "shop__people"}
    assert {event.step_key for event in result.all_events if event.is_step_success} == {"shop__news"}
    assert lab.rows("SELECT id FROM shop.news") == [(1,)]


def test_a_run_over_days_may_hold_feeds_and_listings_too(lab, shop):
    keys = [kind(name) for name in ("orders", "people", "news") for kind in (lab.raw, lab.table)]

    lab.run(FIRST, "2026-01-02", keys=keys)

    assert shop.counted == {FIRST: 1, "2026-01-02": 1, "/people": 1, "/news": 1}
    assert len(lab.events(lab.table("people"))) == 1
    assert lab.events(lab.table("people"))[0].partition is None


def test_executing_again_what_failed_again_goes_on_from_all_of_it(lab, shop, down):
    shop.instead["2026-01-02"] = down
    first = lab.run(FIRST, "2026-01-03", fails=True)
    shop.reset()
    shop.instead["2026-01-03"] = down
    second = lab.run_again(first.dagster_run)
    shop.reset()

    lab.run_again(second.dagster_run)

    assert shop.counted == {"2026-01-03": 1}


def test_ctrl_c_leaves_a_state_that_the_next_run_goes_on_from(lab, shop):
    shop.hooks["2026-01-03"] = lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    result = lab.run(FIRST, "2026-01-04", fails=True)
    assert loaded(lab) == ["2026-01-01", "2026-01-02"]
    statuses = lab.statuses(lab.table(), "2026-01-01", "2026-01-02", "2026-01-03")
    assert list(statuses.values()) == ["MATERIALIZED", "MATERIALIZED", "FAILED"]
    shop.reset()
    lab.run_again(result.dagster_run)

    assert shop.counted == {"2026-01-03": 1, "2026-01-04": 1}
    assert loaded(lab) == ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]


def failed(result):
    """The failure of the one step that failed."""
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return event.event_specific_data
