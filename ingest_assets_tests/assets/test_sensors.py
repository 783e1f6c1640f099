"""Sensors, evaluated: what they ask for runs, and what they say where they ask for nothing."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from ingest_assets import catalog
from ingest_assets.assets.processes import named_process
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse
from ingest_assets.errors import NotBefore, RequestFailed
from ingest_assets.line import Line
from ingest_assets.load.warehouse import Warehouse as DuckDB

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
ENDS = [f"dagster/asset_partition_range_{end}" for end in ("start", "end")]


def day(back):
    return (datetime.now(UTC).date() - timedelta(days=back)).isoformat()  # of this moment: a long run sees midnight


@pytest.fixture
def young(lab):
    """The shop opened ten days ago."""
    lab.text = lab.text.replace('start: "2026-01-01"}\n    changes', f'start: "{day(10)}"}}\n    changes')
    return lab


def tick(lab):
    """What the sensor asks for now, or says."""
    known = lab.definitions()
    with dg.build_sensor_context(
        lab.instance,
        repository_def=known.get_repository_def(),
        resources={"api": Api(data=str(lab.data)), "warehouse": lab.warehouse},
    ) as context:
        told = known.resolve_sensor_def("shop_sensor").evaluate_tick(context)
    return told.run_requests or told.skip_message


def asked(requests):
    """Endpoints and days of each run."""
    return [
        (sorted({key.path[-1] for key in one.asset_selection}), *(one.tags.get(end) for end in ENDS))
        for one in requests
    ]


def run(lab, request):
    """As the daemon would launch it."""
    return (
        lab.definitions()
        .resolve_job_def(request.job_name)
        .execute_in_process(
            instance=lab.instance,
            asset_selection=request.asset_selection,
            tags=request.tags,
            run_config=QUIET,
            raise_on_error=False,
        )
    )


def test_each_source_has_a_sensor_that_is_stopped():
    sources = catalog.sources({})

    known = definitions(sources.values(), Api(), Warehouse()).get_repository_def().sensor_defs

    assert {sensor.name for sensor in known} == {f"{name}_sensor" for name in sources}
    assert {sensor.default_status.value for sensor in known} == {"STOPPED"}
    assert {sensor.minimum_interval_seconds for sensor in known} == {60}


def test_before_there_is_a_warehouse_all_is_asked_for_and_none_is_made(young):
    requests = tick(young)

    assert asked(requests) == [(["news", "people"], None, None), (["orders"], day(10), day(1))]
    assert {request.tags["dagster/priority"] for request in requests} == {"10"}
    assert not young.data.exists()


def test_what_is_asked_for_runs_and_then_nothing_is_due(young, shop):
    results = [run(young, request) for request in tick(young)]

    assert all(result.success for result in results)
    assert shop.counted == {day(back): 1 for back in range(1, 11)} | {"/people": 1, "/news": 1}
    assert tick(young) == "nothing is due: all partitions are complete"


def test_a_run_that_has_not_begun_is_not_asked_for_again(young):
    for request in tick(young):
        young.instance.create_run_for_job(
            young.definitions().resolve_job_def(request.job_name),
            asset_selection=frozenset(request.asset_selection),
            status=dg.DagsterRunStatus.NOT_STARTED,
            tags=request.tags,
        )

    assert tick(young) == (
        "orders: 10 partitions are asked for already, and not done yet; people: it is asked for already, and not done "
        "yet; news: it is asked for already, and not done yet"
    )


def test_what_two_ask_for_at_the_same_moment_is_fetched_once(young, shop):
    lab = young
    first, second = tick(lab), tick(lab)

    results = [run(lab, request) for request in [*first, *second]]

    assert all(result.success for result in results)
    assert set(shop.counted.values()) == {1}
    assert set(lab.statuses(lab.table(), day(10), day(1)).values()) == {"MATERIALIZED"}


def test_what_is_executed_again_by_a_person_is_fetched_again(young, shop):
    lab = young
    request = next(one for one in tick(lab) if lab.table("people") in one.asset_selection)
    lab.chosen = request.asset_selection
    good = run(lab, request)

    lab.run_again(good.dagster_run)

    assert shop.counted["/people"] == 2


def test_a_run_by_hand_of_one_day_is_not_asked_for_again(young):
    young.instance.create_run_for_job(
        young.definitions().resolve_implicit_global_asset_job_def(),
        asset_selection=frozenset([young.raw(), young.table()]),
        status=dg.DagsterRunStatus.STARTED,
        tags={"dagster/partition": day(1)},
    )

    assert asked(tick(young)) == [(["news", "people"], None, None)]


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_run_whose_process_died_holds_nothing_back(young, status):
    lock = young.data / "locks" / "processes" / "a-dead-one.lock"  # as a kill leaves it
    lock.parent.mkdir(parents=True)
    lock.touch()
    run_ = young.instance.create_run_for_job(
        young.definitions().resolve_job_def("shop_days"),
        status=status,
        tags={"ingest/process": "a-dead-one", **dict(zip(ENDS, [day(10), day(1)], strict=True))},
    )

    requests = tick(young)

    assert (["orders"], day(10), day(1)) in asked(requests)
    assert young.instance.get_run_by_id(run_.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_process_died_holds_nothing_back_where_the_locks_are_removed(young):
    with named_process(young.instance, young.data) as tags:
        pass  # its lock is gone then, as if somebody had removed it
    young.instance.create_run_for_job(
        young.definitions().resolve_job_def("shop_days"),
        status=dg.DagsterRunStatus.STARTED,
        tags=tags | dict(zip(ENDS, [day(10), day(1)], strict=True)),
    )

    requests = tick(young)

    assert (["orders"], day(10), day(1)) in asked(requests)


def test_a_run_of_dagster_that_executes_again_what_a_dead_process_left_is_left_to_it(young):
    job = young.definitions().resolve_job_def("shop_days")
    tags = {"ingest/process": "a-dead-one", **dict(zip(ENDS, [day(10), day(1)], strict=True))}
    former = young.instance.create_run_for_job(job, status=dg.DagsterRunStatus.FAILURE, tags=tags)
    again = young.instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.STARTED,
        tags=former.tags,
        parent_run_id=former.run_id,
        root_run_id=former.run_id,
    )

    requests = tick(young)

    assert young.instance.get_run_by_id(again.run_id).status is dg.DagsterRunStatus.STARTED
    assert asked(requests) == [(["news", "people"], None, None)]


def test_a_day_that_fails_is_held_back_with_its_tries_and_the_others_are_done(young, shop, holed):
    shop.instead[day(4)] = holed
    for request in tick(young):
        run(young, request)
    shop.asked.clear()

    told = tick(young)

    assert told.startswith(f"orders: held back: {day(4)} until {day(0)[:4]}")
    assert told.endswith("UTC (failed once)")
    assert shop.asked == []


def test_an_api_that_refuses_is_left_alone_with_its_words(young, shop, refused):
    shop.instead[day(10)] = refused
    for request in tick(young):
        run(young, request)

    told = tick(young)

    assert told.startswith("orders: left alone until ")
    assert "HTTP 403" in told


def test_an_api_that_refuses_is_left_alone_too_where_the_days_before_are_loaded_after_that(young, shop, refused):
    shop.instead[day(4)] = refused  # the third of four that go together
    for request in tick(young):
        run(young, request)

    told = tick(young)

    assert told.startswith("orders: left alone until ")
    assert set(young.statuses(young.table(), day(6), day(5)).values()) == {"MATERIALIZED"}


def test_a_key_that_is_missing_is_a_failure_that_is_waited_for_too(young, monkeypatch):
    monkeypatch.delenv("SHOP_TOKEN")
    for request in tick(young):
        assert not run(young, request).success

    told = tick(young)

    assert all(f"{name}: left alone until " in told for name in ("orders", "people", "news"))
    assert "SHOP_TOKEN" in told


@pytest.fixture
def ahead(young):
    """The line of a process whose clock is ahead by most of a year."""
    return Line(young.source, young.data, run="r", now=lambda: datetime.now(UTC) + timedelta(days=300))


def test_what_was_asked_for_by_a_clock_that_was_ahead_is_asked_for_once_more(young, ahead, shop):
    for name, partition in (("people", None), ("orders", day(3))):
        with ahead.partition(name, partition):
            ahead.fetch(name, partition)
            ahead.load(name, partition)
    ahead.publish()
    shop.asked.clear()

    late = young.check("people", "fresh")["fresh"]
    for request in tick(young):
        run(young, request)

    assert late.description.startswith("the last complete look was never")
    assert shop.counted == {day(back): 1 for back in range(1, 11)} | {"/people": 1, "/news": 1}
    assert tick(young) == "nothing is due: all partitions are complete"
    assert young.check("people", "fresh")["fresh"].passed


def test_what_failed_by_a_clock_that_was_ahead_is_not_left_alone_until_then(young, ahead):
    young.run(day(1))
    ahead.failed("orders", day(3), RequestFailed("HTTP 403"), stops=True)
    ahead.failed(
        "people", None, NotBefore("waits", until=ahead.now() + timedelta(hours=1), everywhere=True), stops=True
    )

    requests = tick(young)

    assert asked(requests) == [(["news", "people"], None, None), (["orders"], day(10), day(2))]


def test_a_warehouse_that_a_load_holds_skips_the_tick_and_names_its_holder(young):
    young.run(day(1))

    with DuckDB(young.data).alone("run 4711, loading shop.orders"):
        told = tick(young)

    assert told.startswith("nothing is asked for: writer.lock is held by process")
    assert "run 4711, loading shop.orders" in told


def test_a_source_file_that_is_broken_skips_the_tick_with_its_place(young):
    file = young.folder / "shop.yaml"
    known = young.definitions()
    file.write_text(young.text.replace("primary_key: id", "primary_kee: id", 1))
    with dg.build_sensor_context(
        young.instance,
        resources={"api": Api(data=str(young.data), sources=str(young.folder)), "warehouse": young.warehouse},
    ) as context:
        told = known.resolve_sensor_def("shop_sensor").evaluate_tick(context).skip_message

    assert "shop.yaml:" in told
    assert "primary_kee" in told


def test_a_dagster_that_knows_nothing_is_told_what_is_loaded(young, kept_home, shop):
    for request in tick(young):
        run(young, request)
    shop.asked.clear()
    young.instance = kept_home

    told = tick(young)

    assert told == (
        "orders: Dagster was told of 10 partitions that it did not know; people: Dagster was told of 1 partitions "
        "that it did not know; news: Dagster was told of 1 partitions that it did not know"
    )
    assert young.statuses(young.table(), day(1), day(10)) == dict.fromkeys([day(1), day(10)], "MATERIALIZED")
    assert shop.asked == []


@pytest.fixture
def kept_home(tmp_path, empty_home):
    """Another instance, on disk."""
    home = shutil.copytree(empty_home, tmp_path / "another")
    with dg.instance_for_test(temp_dir=str(home)) as instance:
        yield instance


def test_days_of_another_zone_are_not_taken_for_those_that_are_there(young):
    for request in tick(young):
        run(young, request)
    young.text = young.text.replace(
        "    changes: immutable\n", "    changes: immutable\n    time_zone: Asia/Tokyo\n", 1
    )

    told = tick(young)

    assert "orders: shop.orders: its file says partitions by day in Asia/Tokyo" in told
    assert "ingest migrate shop.orders" in told
