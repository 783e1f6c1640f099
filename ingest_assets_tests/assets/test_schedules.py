"""Schedules: how many there are, what they are called, and which days they ask for."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from ingest_assets import catalog
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse

ENDS = [f"dagster/asset_partition_range_{end}" for end in ("start", "end")]
VISITS = """\
  visits:
    path: /visits
    records: data
    window: {from: from, until: until, format: date}
    partitions: {every: day, start: "2026-01-01"}
    changes: {lookback: P2D}
    primary_key: id
"""


def requested(lab, name, *moment):
    """What a schedule asks for at a moment, in UTC, or says."""
    known = lab.definitions().resolve_schedule_def(name)
    # Closed at once: it enters an instance, and leaving it later would bring back that of another test.
    with dg.build_schedule_context(
        lab.instance,
        scheduled_execution_time=datetime(*moment, tzinfo=UTC),
        resources={"api": Api(data=str(lab.data)), "warehouse": lab.warehouse},
        repository_def=lab.definitions().get_repository_def(),
    ) as context:
        tick = known.evaluate_tick(context)
    return tick.run_requests or tick.skip_message


def tags(lab, name, *moment):
    """The tags of what it asks for."""
    told = requested(lab, name, *moment)
    return told if isinstance(told, str) else [request.tags for request in told]


def days(told):
    return [told[end] for end in ENDS]


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


def test_endpoints_of_the_same_partitions_share_a_schedule_whatever_their_look_back(lab):
    lab.text += VISITS

    assert schedules(lab.definitions()).keys() == {"shop_days_schedule", "shop_listings_and_feeds_schedule"}


def test_where_nothing_is_loaded_the_last_seven_closed_days_are_asked_for_in_one_run(kept_lab):
    lab = kept_lab
    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert days(told) == ["2026-03-03", "2026-03-09"]
    assert told["dagster/priority"] == "10"


def test_then_the_days_that_are_over_since_and_what_is_missing_between(kept_lab):
    lab = kept_lab
    lab.run("2026-03-05", "2026-03-06")
    lab.run("2026-03-08")

    told = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert [days(one) for one in told] == [["2026-03-07", "2026-03-07"], ["2026-03-09", "2026-03-09"]]


def test_a_daemon_that_died_after_the_first_run_of_a_tick_asks_for_the_others_by_the_keys_they_had(kept_lab):
    lab = kept_lab
    lab.run("2026-03-05", "2026-03-06")
    lab.run("2026-03-08")
    first, second = requested(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)
    lab.instance.create_run_for_job(
        lab.definitions().resolve_job_def("shop_days"), status=dg.DagsterRunStatus.NOT_STARTED, tags=first.tags
    )

    (again,) = requested(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert (again.run_key, days(again.tags)) == (second.run_key, days(second.tags))
    assert again.run_key != first.run_key


def test_where_all_is_loaded_the_tick_is_skipped(kept_lab):
    lab = kept_lab
    lab.run("2026-03-08", "2026-03-09")

    assert tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30) == "nothing of orders is due, or it is asked for already"


def test_days_that_a_run_is_at_work_on_are_left_to_it(kept_lab):
    lab = kept_lab
    known = lab.definitions()
    lab.instance.create_run_for_job(
        known.resolve_job_def("shop_days"),
        status=dg.DagsterRunStatus.NOT_STARTED,
        tags=dict(zip(ENDS, ["2026-03-03", "2026-03-08"], strict=True)),
    )

    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, 2, 30)

    assert days(told) == ["2026-03-09", "2026-03-09"]


@pytest.mark.parametrize(("hour", "newest"), [(22, "2026-03-09"), (23, "2026-03-10")])
def test_a_day_is_closed_when_it_is_over_where_the_endpoint_is(kept_lab, hour, newest):
    lab = kept_lab
    lab.text = lab.text.replace("changes: immutable", "changes: immutable\n    time_zone: Europe/Amsterdam")

    (told,) = tags(lab, "shop_days_schedule", 2026, 3, 10, hour, 30)

    assert days(told)[1] == newest


def test_before_the_first_day_is_over_nothing_is_asked_for(kept_lab):
    lab = kept_lab
    told = tags(lab, "shop_days_schedule", 2026, 1, 1, 2, 30)

    assert told == "nothing of orders is due, or it is asked for already"


def test_feeds_and_listings_are_asked_for_without_days(kept_lab):
    lab = kept_lab
    (told,) = tags(lab, "shop_listings_and_feeds_schedule", 2026, 3, 10, 2, 30)

    assert told.keys() == {"dagster/priority", "dagster/schedule_name", "ingest/asked"}


def test_what_a_schedule_asks_for_runs(kept_lab, shop):
    lab = kept_lab
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
    assert shop.counted == {f"2026-03-0{day}": 1 for day in range(3, 10)}
