"""An API that is down: runs of many partitions end soon, say why, and begin again by themselves once it is well."""

import json
import re
import time

import pytest
from click.testing import CliRunner

from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range
from ingest_assets.cli import main
from ingest_assets.line import Unwatched
from ingest_assets_tests.assets.test_sensors import tick as sensor_tick

FIRST, LAST = "2026-01-01", "2026-04-10"
ORDERS, PEOPLE, NEWS = (("shop", name) for name in ("orders", "people", "news"))


@pytest.fixture
def broken(shop, down, days):
    """All of the shop is down."""
    shop.instead = dict.fromkeys([*days(FIRST, LAST), "/people", "/news"], down)
    return shop


@pytest.fixture
def opened(lab, broken):
    """The shop's breaker is open."""
    lab.text += "breaker: {failures: 6, lasting: PT0S, pause: PT5M, longest_pause: PT5M}\n"
    lab.run(FIRST, LAST, fails=True)
    broken.asked.clear()
    return lab


def test_a_hundred_runs_ask_an_api_that_is_down_fifteen_times_in_all(kept_lab, broken, days):
    lab, begun = kept_lab, time.monotonic()
    lab.text += "breaker: {lasting: PT0S}\n"
    ranges = [Range((ORDERS,), day, day) for day in days(FIRST, LAST)]

    done = materialize({"shop": lab.source}, ranges, lab.data, Unwatched())

    assert (len(broken.asked), len(ranges)) == (15, 100)
    assert (len(done.runs), done.later) == (3, {"shop": 97})
    assert time.monotonic() - begun < 100


def test_a_run_of_an_api_that_is_down_fails_at_once_and_says_since_when_why_and_until_when(opened, broken):
    result = opened.run(FIRST, LAST, fails=True)

    (message,) = [event.step_failure_data.error.message for event in result.all_events if event.is_step_failure]
    assert re.search(
        r"is down since 20\d\d-.* UTC: 6 requests in a row failed, the last: HTTP 503 Service Unavailable; "
        r"nothing is asked until 20\d\d-.* UTC \(",
        message,
    )
    assert broken.asked == []


def test_a_sensor_leaves_the_whole_source_alone_until_then(opened, broken):
    opened.run(FIRST, LAST, fails=True)

    told = sensor_tick(opened)

    assert told.startswith("all endpoints are left alone: http://127.0.0.1:")
    assert "is down since" in told
    assert broken.asked == []


def test_once_it_answers_the_pause_is_over_for_all(lab, broken):
    lab.text += "breaker: {failures: 6, lasting: PT0S, pause: PT0.1S}\n"
    lab.run(FIRST, fails=True)
    broken.instead = {}
    time.sleep(0.2)  # its pause

    lab.run(FIRST, keys=[lab.raw("people"), lab.table("people")])
    lab.run(FIRST)

    assert broken.counted[FIRST] == 6 + 1


@pytest.mark.parametrize("command", ["status", "trace"])
def test_the_command_line_shows_it(opened, command, monkeypatch):
    monkeypatch.setenv("INGEST_SOURCES", str(opened.folder))

    words = ["--data", str(opened.data), command, "shop"]

    shown, told = CliRunner().invoke(main, words), CliRunner().invoke(main, [*words, "--json"])

    document = json.loads(told.stdout)
    (line,) = document["down"] if command == "trace" else document["down"]["shop"]
    assert "is down since" in line
    assert "shop: http://127.0.0.1" in " ".join(shown.stdout.split())
    assert {shown.exit_code, told.exit_code} == {1 if command == "status" else 0}
