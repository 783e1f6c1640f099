"""Schedules: how many there are, what they are called, and which days they ask for."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from ingest_assets import catalog
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse

VISITS = """\
  visits:
    path: /visits
    records: data
    window: {from: from, until: until, format: date}
    partitions: {every: day, start: "2026-01-01"}
    changes: {lookback: P2D}
    primary_key: id
"""


def tags(lab, name, *moment):
    """The tags of what a schedule asks for at a moment, in UTC."""
    known = lab.definitions().resolve_schedule_def(name)
    context = dg.build_schedule_context(lab.instance, scheduled_execution_time=datetime(*moment, tzinfo=UTC))
    tick = known.evaluate_tick(context)
    return [request.tags for request in tick.run_requests] or tick.skip_message


def days(told):
    return [told[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")]


def schedules(known):
    return {schedule.name: schedule for schedule in known.get_repository_def().schedule_defs}


def test_each_source_has_a_stopped_schedule_a_partitions_definition():
    sources = [catalog.load(catalog.SHIPPED / f"{name}.yaml") for name in ("mixpanel", "stripe", "zendesk")]

    known = schedules(definitions(sources, Api(), Warehouse()))

    assert known.keys() == {
        "mixpanel_days_schedule",
        "mixpanel_listings_and_feeds_schedule",
        "stripe_days_schedule",
        "stripe_listings_and_feeds_schedule",
        "zendesk_listings_and_feeds_schedule",
    }
    assert {schedule.default_status.value for schedule in known.values()} == {"STOPPED"}
    assert {schedule.cron_schedule for schedule in known.values()} == {"30 2 * * *"}


def test_each_endpoint_is_in_one_schedule():
    source = catalog.load(catalog.SHIPPED / "stripe.yaml")
    known = definitions([source], Api(), Warehouse())

    jobs = [known.resolve_job_def(schedule.job_name) for schedule in schedules(known).values()]

    keys = [key.to_user_string() for job in jobs for key in job.asset_layer.executable_asset_keys]
    wanted = [
        f"{kind}stripe/{name}" for name in ("customers", "charges", "invoices", "events") for kind in ("raw/", "")
    ]
    assert sorted(keys) == sorted(wanted)


def test_a_look_back_of_its_own_has_a_schedule_of_its_own(lab):
    lab.text += VISITS

    assert schedules(lab.definitions()).keys() == {
        "shop_days_orders_schedule",
        "shop_days_visits_schedule",
        "shop_listings_and_feeds_schedule",
    }


def test_without_looking_back_the_newest_closed_day_is_asked_for(lab):
    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert days(told) == ["2026-03-09", "2026-03-09"]
    assert told["dagster/priority"] == "10"


@pytest.mark.parametrize(
    ("lookback", "first"),
    [("P2D", "2026-03-07"), ("PT36H", "2026-03-07"), ("P28D", "2026-02-09"), ("P90D", "2026-01-01")],
)
def test_looking_back_asks_for_the_days_that_may_have_changed_since_they_were_fetched(lab, lookback, first):
    lab.text = lab.text.replace("changes: immutable", f"changes: {{lookback: {lookback}}}")

    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert days(told) == [first, "2026-03-09"]


@pytest.mark.parametrize(("hour", "newest"), [(22, "2026-03-09"), (23, "2026-03-10")])
def test_a_day_is_closed_when_it_is_over_where_the_endpoint_is(lab, hour, newest):
    lab.text = lab.text.replace("changes: immutable", "changes: immutable\n    time_zone: Europe/Amsterdam")

    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, hour, 30)

    assert days(told) == [newest, newest]


def test_before_the_first_day_is_over_nothing_is_asked_for(lab):
    told = tags(lab, "shop_days_schedule", 2026, 1, 1, 2, 30)

    assert told == "no day of shop_days is over yet"


def test_feeds_and_listings_are_asked_for_without_days(lab):
    (told,) = tags(lab, "shop_listings_and_feeds_schedule", 2026, 3, 10, 2, 30)

    assert told.keys() == {"dagster/priority", "dagster/schedule_name"}


def test_what_a_schedule_asks_for_runs(lab, shop):
    lab.text = lab.text.replace("changes: immutable", "changes: {lookback: P2D}")
    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    result = (
        lab.definitions()
        .resolve_job_def("shop_days")
        .execute_in_process(
            instance=lab.instance,
            tags=told,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
    )

    assert result.success
    assert shop.counted == {"2026-03-07": 1, "2026-03-08": 1, "2026-03-09": 1}
