"""The five rules of two assets that one step makes, each of which a Dagster release or a change here could break."""

import dagster as dg
import pytest

from ingest_assets.assets.step import NO_EVENTS

FIRST, LAST = "2026-01-01", "2026-01-03"


def test_each_asset_and_partition_has_one_event_with_its_own_numbers(lab, shop, days):
    lab.run(FIRST, LAST)

    told = {}
    for day in days(FIRST, LAST):
        (raw,), (table,) = lab.events(lab.raw(), day), lab.events(lab.table(), day)
        told[day] = (raw.metadata["records"].value, table.metadata["received"].value, table.metadata["fetch"].value)
    assert told == {day: (len(shop.of(day)), len(shop.of(day)), n) for n, day in enumerate(days(FIRST, LAST), 1)}
    assert [numbers[0] for numbers in told.values()] == [2, 3, 4]


def test_what_depends_on_the_table_runs_in_the_same_run(lab):
    ran = []

    spec = dg.AssetSpec("below", deps=[lab.table()], partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))

    @dg.multi_asset(specs=[spec], backfill_policy=dg.BackfillPolicy.single_run())
    def below(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        ran.append(context.partition_key)
        return dg.MaterializeResult()

    lab.more = [below]

    lab.run(keys=[lab.raw(), lab.table(), below.key], partition_key=FIRST)

    assert ran == [FIRST]
    assert len(lab.events(lab.table(), FIRST)) == 1


def test_dagster_still_counts_an_output_of_this_metadata_as_produced_without_an_event():
    """NO_EVENTS is an internal name of Dagster's. Where this fails, each partition would have two events, the second
    without numbers: `Step.outputs` has to take the other way, `context.add_asset_metadata` and one MaterializeResult an
    asset at the end, with `log_event` only where the step fails.
    """
    ran = []

    @dg.multi_asset(specs=[dg.AssetSpec("up", skippable=True)])
    def up(context: dg.AssetExecutionContext):
        context.log_event(dg.AssetMaterialization("up", metadata={"rows": 3}))
        yield dg.Output(None, output_name="up", metadata=NO_EVENTS)

    @dg.asset(deps=["up"])
    def down():
        ran.append("down")

    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([up, down], instance=instance)
        events = instance.fetch_materializations(dg.AssetKey("up"), limit=10).records

    assert ran == ["down"]
    assert [event.asset_materialization.metadata["rows"].value for event in events] == [3]


def test_the_raw_asset_comes_before_the_table(lab):
    result = lab.run(FIRST)

    told = [event.asset_key for event in result.all_events if event.is_step_materialization]
    assert told == [lab.raw(), lab.table()]
    produced = [event.step_output_data.output_name for event in result.all_events if event.is_successful_output]
    assert produced == ["raw__shop__orders", "shop__orders"]


def test_what_was_just_loaded_is_fresh(lab):
    lab.run(FIRST)

    assert lab.stale(lab.raw(), FIRST) == []
    assert lab.stale(lab.table(), FIRST) == []


def test_the_tags_name_code_data_and_what_the_table_was_made_from(lab):
    lab.run(FIRST)

    (raw,), (table,) = lab.events(lab.raw(), FIRST), lab.events(lab.table(), FIRST)
    record = lab.instance.get_latest_data_version_record(lab.raw(), False, FIRST)
    of_dagster = {name: value for name, value in table.tags.items() if name.startswith("dagster/")}
    assert {"dagster/code_version", "dagster/data_version"} <= raw.tags.keys()
    assert of_dagster.keys() >= {"dagster/code_version", "dagster/data_version"}
    assert of_dagster["dagster/input_data_version/raw/shop/orders"] == raw.tags["dagster/data_version"]
    assert of_dagster["dagster/input_event_pointer/raw/shop/orders"] == str(record.storage_id)


def test_a_changed_contract_makes_the_table_stale_and_not_the_raw_asset(lab):
    lab.run(FIRST)

    lab.text = lab.text.replace("email: {type: varchar,", "email: {type: varchar, required: true,", 1)

    assert lab.stale(lab.raw(), FIRST) == []
    assert lab.stale(lab.table(), FIRST) == ["has a new code version"]


def test_a_description_or_a_check_in_the_file_makes_nothing_stale(lab):
    lab.run(FIRST)

    lab.text = lab.text.replace("    path: /orders\n", "    path: /orders\n    description: All orders\n")
    lab.text = lab.text.replace("fresh_within: PT26H", "fresh_within: PT30H")

    assert lab.stale(lab.raw(), FIRST) == lab.stale(lab.table(), FIRST) == []


def test_what_is_asked_of_the_api_makes_the_raw_asset_stale(lab):
    lab.run(FIRST)

    lab.text = lab.text.replace("    path: /orders\n", "    path: /orders\n    params: {state: paid}\n")

    assert lab.stale(lab.raw(), FIRST) == ["has a new code version"]


def test_a_refetch_that_tells_something_else_makes_the_table_stale(lab, shop):
    lab.run(FIRST)
    shop.of(FIRST)[0]["state"] = "paid"

    lab.run(FIRST, keys=[lab.raw()])

    assert lab.stale(lab.table(), FIRST) == ["has a new dependency data version"]


def test_a_refetch_that_tells_the_same_leaves_the_table_fresh(lab):
    lab.run(FIRST)

    lab.run(FIRST, keys=[lab.raw()])

    assert len(lab.events(lab.raw(), FIRST)) == 2
    assert lab.stale(lab.table(), FIRST) == []


def test_the_freshness_policy_is_on_the_raw_asset_only(lab):
    specs = {spec.key: spec for spec in lab.definitions().resolve_all_asset_specs()}

    assert specs[lab.raw()].freshness_policy.fail_window.to_timedelta().total_seconds() == 26 * 3600
    assert specs[lab.table()].freshness_policy is None
    assert specs[lab.raw("news")].freshness_policy is None


def test_a_step_that_waits_for_the_api_fetches_nothing_twice_and_reports_once(lab, shop, answer, days):
    shop.instead["2026-01-03"] = [answer(429, {"error": "slowly"}, {"Retry-After": "0.05"})] * 6

    result = lab.run(FIRST, "2026-01-04")

    assert sum(event.is_step_up_for_retry for event in result.all_events) == 1
    assert shop.counted == {"2026-01-01": 1, "2026-01-02": 1, "2026-01-03": 7, "2026-01-04": 1}
    for day in days(FIRST, "2026-01-04"):
        assert len(lab.events(lab.raw(), day)) == len(lab.events(lab.table(), day)) == 1


def test_a_step_under_a_retry_policy_fetches_nothing_twice_and_reports_once(lab, shop, down, days):
    shop.instead["2026-01-03"] = [down] * 6

    lab.run(FIRST, "2026-01-04", retries=dg.RetryPolicy(max_retries=1))

    assert shop.counted == {"2026-01-01": 1, "2026-01-02": 1, "2026-01-03": 7, "2026-01-04": 1}
    for day in days(FIRST, "2026-01-04"):
        assert len(lab.events(lab.raw(), day)) == len(lab.events(lab.table(), day)) == 1


@pytest.mark.parametrize("retried", [True, False])
def test_only_what_may_pass_by_itself_is_retried_by_a_policy(lab, shop, down, refused, retried):
    shop.instead[FIRST] = down if retried else refused

    lab.run(FIRST, retries=dg.RetryPolicy(max_retries=1), fails=True)

    assert shop.counted[FIRST] == (12 if retried else 1)
