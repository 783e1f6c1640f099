"""Throttling in every guise: known by the source file's rules, waited for by all processes, and never a page."""

import json
import time
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.responses import MOST_BYTES, ResponseRule
from ingest_assets.http.waits import Told, WaitUntil

SHOPIFY = {
    "errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}],
    "extensions": {
        "cost": {"requestedQueryCost": 502, "throttleStatus": {"currentlyAvailable": 102, "restoreRate": 100}}
    },
}
COST = {
    "needed": "extensions.cost.requestedQueryCost",
    "available": "extensions.cost.throttleStatus.currentlyAvailable",
    "per_second": "extensions.cost.throttleStatus.restoreRate",
}
GITHUB = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
GOOGLE = {
    "error": {
        "details": [
            {
                "errors": [
                    {
                        "errorCode": {"quotaError": "RESOURCE_TEMPORARILY_EXHAUSTED"},
                        "details": {"quotaErrorDetails": {"retryDelay": "30s"}},
                    }
                ]
            }
        ]
    }
}
META_CODES = [4, 17, 32, 613, 80000, 80004]


def rules(*told):
    return TypeAdapter(tuple[ResponseRule, ...]).validate_python([{"means": "throttled", **one} for one in told])


def whole(response):
    return b"".join(response.chunks())


KNOWN = {
    "github, secondary": (403, {}, GITHUB, {"status": [403, 429], "text": "secondary rate limit", "wait": "PT1M"}, 60),
    "github, with retry-after": (
        403,
        {"Retry-After": "9"},
        GITHUB,
        {"status": [403, 429], "text": "Secondary Rate Limit", "wait": "PT1M"},
        9,
    ),
    "shopify, graphql cost": (
        200,
        {},
        SHOPIFY,
        {"path": "errors.extensions.code", "equals": "THROTTLED", "wait": COST},
        4,
    ),
    "slack, inside 200": (
        200,
        {"Retry-After": "30"},
        {"ok": False, "error": "ratelimited"},
        {"path": "error", "equals": ["ratelimited", "rate_limited"]},
        30,
    ),
    "meta, by code in a 400": (
        400,
        {},
        {"error": {"code": 80004, "message": "There have been too many calls"}},
        {"status": 400, "path": "error.code", "equals": META_CODES, "wait": "PT5M"},
        300,
    ),
    "salesforce, a list in a 403": (
        403,
        {},
        [{"message": "ConcurrentRequests limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
        {"path": "errorCode", "equals": "REQUEST_LIMIT_EXCEEDED", "wait": "PT30S"},
        30,
    ),
    "google ads, a place before a fixed time": (
        429,
        {},
        GOOGLE,
        {
            "status": 429,
            "wait": [{"path": "error.details.errors.details.quotaErrorDetails.retryDelay"}, "PT45S"],
        },
        30,
    ),
    "google ads, where nothing is told": (
        429,
        {},
        {"error": {"details": []}},
        {
            "status": 429,
            "wait": [{"path": "error.details.errors.details.quotaErrorDetails.retryDelay"}, "PT45S"],
        },
        45,
    ),
    "a status of its own": (430, {}, {}, {"status": 430, "wait": "PT2S"}, 2),
    "a header that says why": (
        403,
        {"X-Reason": "quota"},
        {},
        {"header": "x-reason", "equals": "quota", "wait": {"header": "X-Wait", "as": "milliseconds"}},
        None,
    ),
    "milliseconds in a header": (
        503,
        {"X-Wait": "2500"},
        {},
        {"status": 503, "wait": {"header": "X-Wait", "as": "milliseconds"}},
        2.5,
    ),
    "milliseconds in the body": (
        400,
        {},
        {"retry_in": 1500.0},
        {"path": "retry_in", "wait": {"path": "retry_in", "as": "milliseconds"}},
        1.5,
    ),
    "minutes in the body": (
        400,
        {},
        {"wait": "2"},
        {"path": "wait", "wait": {"path": "wait", "as": "minutes"}},
        120,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_throttling_is_known_and_waited_for_in_each_guise(api, asking, clock, name):
    status, headers, body, rule, seconds = KNOWN[name]
    api.answer(status, json.dumps(body).encode(), headers).answer(200, b'{"data": []}')

    assert asking(rule).fetch(PageRequest(api.url), whole) == b'{"data": []}'

    assert len(api.asked) == 2
    # What nothing tells is drawn as for any other retry.
    assert sum(clock.slept) == pytest.approx(seconds) if seconds is not None else sum(clock.slept) <= 0.6


MOMENTS = {
    "unix in a header": ({"header": "X-Reset", "as": "unix"}, str),
    "unix, in milliseconds": ({"header": "X-Reset", "as": "unix_ms"}, lambda at: str(at * 1000)),
    "an HTTP date": (
        {"header": "X-Reset", "as": "date"},
        lambda at: format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True),
    ),
    "an ISO date with an offset": (
        {"header": "X-Reset", "as": "date"},
        lambda at: datetime.fromtimestamp(at, UTC).isoformat(),
    ),
    "unix in the body": ({"path": "error.reset", "as": "unix"}, lambda at: at),
    "unix with a fraction, as text": ({"path": "error.reset", "as": "unix"}, lambda at: f"{at}.25"),
    "an ISO date in the body": (
        {"path": "error.reset", "as": "date"},
        lambda at: datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
    ),
}


@pytest.mark.parametrize("name", MOMENTS)
def test_a_moment_is_waited_for_by_the_servers_clock(api, asking, clock, name):
    wait, written = MOMENTS[name]
    told = written(int(time.time()) + 20)  # the server's Date shows whole seconds
    in_header = "header" in wait
    headers, body = ({"X-Reset": told}, {}) if in_header else ({}, {"error": {"reset": told}})
    api.answer(429, json.dumps(body).encode(), headers).answer(200, b"{}")

    asking({"status": 429, "wait": wait}).fetch(PageRequest(api.url), whole)

    assert 19 <= sum(clock.slept) <= 21


@pytest.mark.parametrize("told", ["soon", "-5", "0", "nan", "9" * 30, None, True, [], {}, 10**400, 1e308, "12:30"])
def test_what_cannot_be_a_wait_is_passed_over(api, asking, clock, told):
    api.answer(400, json.dumps({"slow": 1, "wait": told}).encode()).answer(200, b"{}")

    asking({"path": "slow", "wait": [{"path": "wait"}, "PT8S"]}).fetch(PageRequest(api.url), whole)

    assert clock.slept == [8.0]


@pytest.mark.parametrize(
    ("until", "zone", "now", "seconds"),
    [
        ("minute", "UTC", "2026-03-01T10:59:59.500+00:00", 0.5),
        ("hour", "Asia/Kolkata", "2026-03-01T10:00:00+00:00", 1800),
        ("day", "UTC", "2026-03-01T23:00:00+00:00", 3600),
        ("day", "Europe/Amsterdam", "2026-03-28T23:00:00+00:00", 23 * 3600),
        ("day", "Europe/Amsterdam", "2026-10-24T22:00:00+00:00", 25 * 3600),
        ("hour", "UTC", "2026-03-01T11:00:00+00:00", 3600),
    ],
)
def test_a_fixed_window_ends_at_the_next_full_one_of_its_zone(until, zone, now, seconds):
    told = Told(429, {}, now=datetime.fromisoformat(now))

    assert WaitUntil(until=until, time_zone=zone).seconds(told) == pytest.approx(seconds)


def test_throttling_inside_200_holds_back_every_process_and_is_never_received(api, asking, clock, tmp_path):
    api.answer(200, json.dumps(SHOPIFY).encode()).answer(200, b"fine")
    other, held_back, received = Limiter(tmp_path / "limits", "key", clock=clock, max_wait_seconds=0), [], []

    def look(_):
        with pytest.raises(TransientFailure, match="held back") as refused:
            other.granted().__enter__()
        held_back.append(refused.value.wait_seconds)

    client = asking({"path": "errors.extensions.code", "equals": "THROTTLED", "wait": COST}, on_wait=look)
    client.fetch(PageRequest(api.url), lambda response: received.append(whole(response)))

    assert (held_back, received) == ([4.0], [b"fine"])


def test_the_failure_names_the_rule_that_knew_it(api, asking):
    api.answer(200, b'{"ok": false, "error": "ratelimited"}')

    with pytest.raises(TransientFailure) as failed:
        asking({"path": "error", "equals": "ratelimited", "wait": "PT20M"}).fetch(PageRequest(api.url), whole)

    assert "HTTP 200: throttled, as 'error' is 'ratelimited'" in str(failed.value)


def test_an_answer_that_no_rule_fits_is_a_page_byte_by_byte(api, asking):
    body = json.dumps({"data": [{"error": "ratelimited"}], "error": None}).encode()
    api.answer(200, [body[:7], body[7:]], length=False)

    assert asking({"path": "error", "equals": "ratelimited"}).fetch(PageRequest(api.url), whole) == body


def test_a_large_page_is_passed_on_unread(api, asking):
    body = json.dumps({"data": ["x" * 1000] * (MOST_BYTES // 900), "error": "ratelimited"}).encode()
    api.answer(200, body)
    sizes = []

    def receive(response):
        chunks = list(response.chunks())
        sizes.extend(map(len, chunks))
        return b"".join(chunks)

    assert asking({"path": "error", "equals": "ratelimited"}).fetch(PageRequest(api.url), receive) == body
    assert max(sizes) <= 2 * MOST_BYTES


def test_a_refusal_that_no_rule_fits_stays_one(api, asking):
    api.answer(403, json.dumps({"message": "Resource not accessible by integration"}).encode())

    with pytest.raises(RequestFailed, match="the credential may lack a permission"):
        asking({"status": 403, "text": "secondary rate limit"}).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 1


def test_the_first_rule_that_fits_counts(api, asking, clock):
    api.answer(429, b'{"policyName": "SECONDLY"}').answer(429, b'{"policyName": "DAILY"}').answer(200, b"{}")

    asking(
        {"status": 429, "path": "policyName", "equals": "DAILY", "wait": "PT14M"},
        {"status": 429, "wait": "PT1S"},
    ).fetch(PageRequest(api.url), whole)

    assert clock.slept == [1.0, 840.0]


@pytest.mark.parametrize(
    ("equals", "found", "fits"),
    [
        (4, 4, True),
        (4, "4", True),
        ("4", 4, True),
        (4, 4.0, True),
        (1, True, False),
        (True, True, True),
        ("x", None, False),
    ],
)
def test_numbers_may_be_written_as_texts_and_truth_values_may_not(equals, found, fits):
    (rule,) = rules({"path": "code", "equals": equals})

    assert rule.fits(Told(200, {}, body={"code": found})) is fits


@pytest.mark.parametrize(
    "wait", ["PT1M", {"path": "a", "as": "unix"}, {"header": "a"}, {"until": "hour"}, COST, [{"path": "a"}, "PT1S"]]
)
def test_rules_are_the_same_once_settings_are_in_place(wait):
    (rule,) = rules({"status": 429, "wait": wait})

    assert ResponseRule.model_validate(rule.model_dump(by_alias=True)) == rule


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({}, "which answers are meant"),
        ({"status": 200}, "every page has such a status"),
        ({"status": [429, 204]}, "every page has such a status"),
        ({"text": "slow down"}, "needs status beside it"),
        ({"status": 403, "equals": "x"}, "equals needs path or header"),
        ({"path": "a", "header": "b"}, "make two rules"),
        ({"path": "a", "equals": "b", "text": "c"}, "leave one of them out"),
        ({"status": 403, "wait": {"until": "week"}}, "minute"),
        ({"status": 403, "wait": {"path": "a", "header": "b"}}, "either header or path"),
        ({"status": 403, "wait": "PT0S"}, "greater than 0"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule, told):
    with pytest.raises(ValidationError, match=told):
        rules(rule)
