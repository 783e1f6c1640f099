"""Which days a command means, and as which runs."""

from datetime import UTC, datetime

import pytest

from ingest_assets.assets.plan import Range, Wanted, chosen, in_ranges, one, plan
from ingest_assets.errors import ConfigError
from ingest_assets.load.ledger import Fetch
from ingest_assets.source import Endpoint

DAILY = Endpoint(
    path="/x",
    primary_key="id",
    window={"from": "from", "until": "until"},
    partitions={"every": "day", "start": "2026-01-01"},
)
NOW = datetime(2026, 1, 11, 6, tzinfo=UTC)
ORDERS, PEOPLE, NEWS = ("shop", "orders"), ("shop", "people"), ("shop", "news")


@pytest.fixture
def shop_source(lab):
    return {"shop": lab.source}


def fetch(day, *, verdict="complete", started=NOW, loaded=NOW):
    bounds = DAILY.bounds(day)
    return Fetch(1, "shop", "orders", day, *bounds, started, "r", started, verdict, "", None, loaded, "r", "c")


def days_of(runs):
    return [(run.first, run.last) for run in runs if ORDERS in run.endpoints]


def planned(sources, fetches=(), wanted=None, names=(ORDERS,)):
    return plan(sources, names, wanted or Wanted(), lambda _: list(fetches), NOW)


def test_at_first_the_last_seven_closed_days_are_meant(shop_source):
    assert days_of(planned(shop_source)) == [("2026-01-04", "2026-01-10")]


def test_then_what_is_missing_since_the_first_day_that_is_loaded(shop_source):
    fetches = [fetch("2026-01-02"), fetch("2026-01-03"), fetch("2026-01-05"), fetch("2026-01-06", verdict="failed")]

    assert days_of(planned(shop_source, fetches)) == [("2026-01-04", "2026-01-04"), ("2026-01-06", "2026-01-10")]


def test_what_is_fetched_and_not_loaded_is_meant_too(shop_source):
    fetches = [fetch(f"2026-01-{day:02}") for day in range(4, 10)] + [fetch("2026-01-10", loaded=None)]

    assert days_of(planned(shop_source, fetches)) == [("2026-01-10", "2026-01-10")]


def test_days_that_may_have_changed_since_they_were_fetched_are_meant_again(lab):
    lab.text = lab.text.replace("changes: immutable", "changes: {lookback: P3D}")
    early = datetime(2026, 1, 9, 6, tzinfo=UTC)
    fetches = [fetch(f"2026-01-{day:02}", started=early) for day in range(1, 9)]

    runs = planned({"shop": lab.source}, [*fetches, fetch("2026-01-09"), fetch("2026-01-10")])

    assert days_of(runs) == [("2026-01-06", "2026-01-08")]


def test_named_days_that_are_complete_are_left_out(shop_source):
    wanted = Wanted("2026-01-03", "2026-01-05")

    assert days_of(planned(shop_source, [fetch("2026-01-04")], wanted)) == [
        ("2026-01-03", "2026-01-03"),
        ("2026-01-05", "2026-01-05"),
    ]


def test_named_days_are_all_meant_where_they_are_wanted_again(shop_source):
    wanted = Wanted("2026-01-03", "2026-01-05", again=True)

    assert days_of(planned(shop_source, [fetch("2026-01-04")], wanted)) == [("2026-01-03", "2026-01-05")]


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ("2025-12-31", None, "its partitions begin on 2026-01-01; 2025-12-31 is before that"),
        ("2026-01-05", "2026-01-11", "2026-01-11 is not over yet in UTC"),
        ("2026-01-12", None, "2026-01-12 is not over yet in UTC"),
        ("2026-01-05", "2026-01-04", "--to 2026-01-04 is before --from 2026-01-05"),
    ],
)
def test_days_that_cannot_be_fetched_are_refused(shop_source, first, last, told):
    with pytest.raises(ConfigError, match=told):
        planned(shop_source, wanted=Wanted(first, last))


def test_feeds_and_listings_are_one_run_after_the_days(shop_source):
    runs = planned(shop_source, names=(ORDERS, PEOPLE, NEWS))

    assert runs == [Range((ORDERS,), "2026-01-04", "2026-01-10"), Range((PEOPLE, NEWS))]


def test_days_in_a_row_that_need_the_same_endpoints_are_one_run():
    a, b = ("s", "a"), ("s", "b")

    runs = in_ranges(
        {a: ["2026-01-30", "2026-01-31", "2026-02-01"], b: ["2026-01-31", "2026-02-01", "2026-02-03"]}, DAILY
    )

    assert runs == [
        Range((a,), "2026-01-30", "2026-01-30"),
        Range((a, b), "2026-01-31", "2026-02-01"),
        Range((b,), "2026-02-03", "2026-02-03"),
    ]


def test_a_source_means_all_its_endpoints_once(shop_source):
    assert chosen(shop_source, ["shop.people", "shop"]) == [PEOPLE, ORDERS, NEWS]
    assert chosen(shop_source, []) == [ORDERS, PEOPLE, NEWS]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("shoe", "'shoe' is no source; did you mean 'shop'"),
        ("shop.order", "'shop' has no endpoint 'order'; did you mean 'orders'"),
    ],
)
def test_what_is_misspelt_is_told_with_what_there_is(shop_source, text, told):
    with pytest.raises(ConfigError, match=told):
        chosen(shop_source, [text])


def test_one_endpoint_has_to_be_named_where_one_is_wanted(shop_source):
    assert one(shop_source, "shop.news") == NEWS
    with pytest.raises(ConfigError, match=r"expected one endpoint, such as shop\.orders"):
        one(shop_source, "shop")
