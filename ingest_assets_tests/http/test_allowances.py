"""What answers of many APIs say is left, in headers as these APIs were seen to send them."""

import time
from datetime import UTC, datetime

import pytest

from ingest_assets.http.allowances import Allowance, allowances, of_body

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATE = {"date": "Thu, 01 Jan 2026 00:00:30 GMT"}
META = '{"238": [{"type": "ads_insights", "call_count": 28, "total_cputime": 97, "total_time": 3, "estimated_time_to_regain_access": 5}]}'  # noqa: E501 -- as it is sent


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            {
                "x-ratelimit-limit": "5000",
                "x-ratelimit-remaining": "4990",
                "x-ratelimit-used": "10",
                "x-ratelimit-reset": "1767226800",
                "x-ratelimit-resource": "search",
            },
            [Allowance("x-ratelimit search", 4990, 5000, resets=1200)],
        ),
        (
            {"x-rate-limit-limit": "600", "x-rate-limit-remaining": "1", "x-rate-limit-reset": "1767225660", **DATE},
            [Allowance("x-rate-limit", 1, 600, resets=30)],
        ),
        (
            {"x-ratelimit-remaining": "4.5", "x-ratelimit-used": "5", "x-ratelimit-reset": "40"},
            [Allowance("x-ratelimit", 4.5, None, resets=40)],
        ),
        (
            {
                "x-ratelimit-remaining": "4",
                "x-ratelimit-limit": "5",
                "x-ratelimit-reset-after": "1.25",
                "x-ratelimit-bucket": "a b\n<c>",
                "x-ratelimit-reset": "1767226800.5",
            },
            [Allowance("x-ratelimit abc", 4, 5, resets=1.25)],
        ),
        (
            {"x-ratelimit-remaining": "4", "x-ratelimit-reset": "2026-01-01T00:02:00Z"},
            [Allowance("x-ratelimit", 4, resets=120)],
        ),
        (
            {"x-ratelimit-remaining": "4", "x-ratelimit-reset": "1767225660000"},
            [Allowance("x-ratelimit", 4, resets=60)],
        ),
        ({"x-ratelimit-remaining": "4", "x-ratelimit-reset": "soon"}, []),
        ({"x-ratelimit-remaining": "-1", "x-ratelimit-reset": "5"}, []),
        ({"x-ratelimit-remaining": "many", "x-ratelimit-reset": "5"}, []),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-limit": "0", "x-ratelimit-reset": "5"}, []),
        ({"x-ratelimit-limit": "5000"}, []),
        (
            {"ratelimit": '"default";r=50;t=30', "ratelimit-policy": '"default";q=100;w=60, "day";q=1000;w=86400'},
            [Allowance("ratelimit default", 50, 100, resets=30)],
        ),
        (
            {"ratelimit": '"a";r=1, "b";r=9;t=5;pk=:dHJpYWw=:', "ratelimit-policy": '"a";q=10;w=60;qu="requests"'},
            [Allowance("ratelimit a", 1, 10, rolls=60), Allowance("ratelimit b", 9, resets=5)],
        ),
        ({"ratelimit": '"a";r=1;t=5', "ratelimit-policy": '"a";q=10;qu="content-bytes"'}, []),
        ({"ratelimit": "limit=100, remaining=50, reset=5"}, [Allowance("ratelimit", 50, 100, resets=5)]),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "20"},
            [Allowance("ratelimit", 7, 100, resets=20)],
        ),
        ({"ratelimit": ';;;"', "ratelimit-policy": ","}, []),
        ({"x-shopify-shop-api-call-limit": "32/40"}, [Allowance("shop api calls", 8, 40, refills=2)]),
        ({"x-shopify-shop-api-call-limit": "32"}, []),
        (
            {
                "x-hubspot-ratelimit-daily": "250000",
                "x-hubspot-ratelimit-daily-remaining": "249999",
                "x-hubspot-ratelimit-interval-milliseconds": "10000",
                "x-hubspot-ratelimit-max": "100",
                "x-hubspot-ratelimit-remaining": "99",
                "x-hubspot-ratelimit-secondly": "10",
                "x-hubspot-ratelimit-secondly-remaining": "9",
            },
            [
                Allowance("hubspot", 99, 100, rolls=10),
                Allowance("hubspot secondly", 9, 10, rolls=1),
                Allowance("hubspot daily", 249999, 250000, rolls=86400),
            ],
        ),
        (
            {
                "x-rate-limit": "700",
                "x-rate-limit-remaining": "699",
                "zendesk-ratelimit-tickets-index": "total=100; remaining=99; resets=41",
            },
            [Allowance("x-rate-limit", 699, 700, rolls=60), Allowance("zendesk tickets-index", 99, 100, resets=41)],
        ),
        (
            {"sforce-limit-info": "api-usage=10018/100000; per-app-api-usage=17/250(appName=x); api-bursts=1/750"},
            [
                Allowance("api-usage", 89982, 100000, rolls=86400),
                Allowance("per-app-api-usage", 233, 250, rolls=86400),
            ],
        ),
        (
            {"x-app-usage": '{"call_count": 28, "total_time": 25, "total_cputime": 30}'},
            [Allowance("x-app-usage", 70, 100, rolls=3600, cost=0)],
        ),
        (
            {"x-business-use-case-usage": META},
            [Allowance("x-business-use-case-usage", 3, 100, rolls=3600, cost=0, closed=300)],
        ),
        (
            {"x-fb-ads-insights-throttle": '{"app_id_util_pct": 100, "acc_id_util_pct": 10.5}'},
            [Allowance("x-fb-ads-insights-throttle", 0, 100, rolls=3600, cost=0)],
        ),
        ({"x-app-usage": "[]"}, []),
        ({"x-app-usage": "[" * 10_000}, []),
        ({"x-app-usage": '{"call_count": NaN, "total_time": true, "total_cputime": "x"}'}, []),
        ({"content-type": "application/json", "retry-after": "5"}, []),
    ],
)
def test_what_headers_tell(headers, told):
    assert allowances(headers, NOW) == told


@pytest.mark.parametrize(
    "envelope",
    [
        None,
        [],
        {"extensions": {"cost": {"throttleStatus": None}}},
        {
            "extensions": {
                "cost": {"throttleStatus": {"currentlyAvailable": 5, "maximumAvailable": 0, "restoreRate": 5}}
            }
        },
        {
            "extensions": {
                "cost": {"throttleStatus": {"currentlyAvailable": "x", "maximumAvailable": 9, "restoreRate": 5}}
            }
        },
    ],
)
def test_a_body_that_tells_no_cost_says_nothing(envelope):
    assert of_body(envelope) == []


@pytest.mark.parametrize("name", ["ratelimit", "ratelimit-policy", "sforce-limit-info"])
@pytest.mark.parametrize("text", ["a" + ";  " * 13 + '"', ";  " * 20_000 + '"', "a" * 60_000, ", " * 30_000 + '"'])
def test_a_header_that_is_no_list_is_not_tried_in_all_ways_to_read_it(name, text):
    began = time.process_time()

    assert allowances({"ratelimit": '"a";r=1'} | {name: text}, NOW) == (
        [] if name == "ratelimit" else [Allowance("ratelimit a", 1)]
    )
    assert time.process_time() - began < 1.0
