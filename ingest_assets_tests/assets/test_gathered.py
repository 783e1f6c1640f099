"""Events that are stored at once: what Dagster's files hold is what they hold of events stored one by one."""

import contextlib
import shutil
import sqlite3
import threading

import dagster as dg
import pytest
from dagster._core.events import AssetMaterializationPlannedData, DagsterEvent, EngineEventData, StepMaterializationData
from dagster._core.events.log import EventLogEntry

from ingest_assets.assets.gathered import MATERIALIZED, PLANNED, gathered

KEYS = [dg.AssetKey(["raw", "shop", "orders"]), dg.AssetKey(["shop", "orders"])]
DAYS = ["2026-01-01", "2026-01-02", "2026-01-03"]
RUN = "5b1a5e0c-6d43-4d0e-9d1c-9d0a4c1d6a11"
TABLES = ("event_logs", "asset_keys", "asset_event_tags")


def entry(event, seconds):
    return EventLogEntry(None, "debug", "", RUN, float(seconds), "step", "job", event)


def planned(key, day):
    return DagsterEvent.build_asset_materialization_planned_event(
        "job", "step", AssetMaterializationPlannedData(key, day)
    )


def made(key, day):
    tags = {"dagster/data_version": f"version-of-{day}", "mine": "kept"}
    told = StepMaterializationData(dg.AssetMaterialization(key, partition=day, metadata={"rows": 3}, tags=tags))
    return DagsterEvent("ASSET_MATERIALIZATION", "job", step_key="step", event_specific_data=told)


def began():
    return DagsterEvent("ENGINE_EVENT", "job", message="something else", event_specific_data=EngineEventData({}))


TOLD = [
    *(planned(key, day) for key in KEYS for day in DAYS),
    began(),
    *(made(key, day) for day in DAYS for key in KEYS),
    began(),
]


def contents(home):
    """All that the files of an event log hold, but for when they were written."""
    found = {}
    for file in sorted((home / "history" / "runs").glob("*.db")):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            for table in TABLES:
                cursor = connection.execute(f"SELECT * FROM {table} ORDER BY id")  # noqa: S608 -- names from above
                names = [column[0] for column in cursor.description]
                kept = [number for number, name in enumerate(names) if name != "create_timestamp"]
                found[file.name, table] = [tuple(row[number] for number in kept) for row in cursor]
    return found


@pytest.fixture
def instances(tmp_path, empty_home):
    """Two instances on disk that know nothing, with their homes."""
    with contextlib.ExitStack() as opened:
        homes = [shutil.copytree(empty_home, tmp_path / name) for name in ("one", "other")]
        yield [(opened.enter_context(dg.instance_for_test(temp_dir=str(home))), home) for home in homes]


def tell(instance):
    for seconds, event in enumerate(TOLD, 1_700_000_000):
        instance.handle_new_event(entry(event, seconds))


def test_files_hold_what_they_would_hold_of_events_stored_one_by_one(instances):
    (one, home), (other, other_home) = instances

    tell(one)
    with gathered(other, PLANNED), gathered(other, MATERIALIZED):
        tell(other)

    assert contents(home)["index.db", "event_logs"]
    assert contents(other_home) == contents(home)


def test_what_was_told_before_a_block_broke_is_stored(instances):
    ((instance, _), _) = instances

    def broken():
        with gathered(instance, MATERIALIZED):
            for day in DAYS[:2]:
                instance.handle_new_event(entry(made(KEYS[0], day), 1_700_000_000))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()

    assert instance.get_materialized_partitions(KEYS[0]) == set(DAYS[:2])


def test_events_of_another_kind_come_after_what_was_told_before_them(instances):
    ((instance, _), _) = instances

    with gathered(instance, PLANNED):
        for event in TOLD[:7]:
            instance.handle_new_event(entry(event, 1_700_000_000))
        known = [log.dagster_event.event_type_value for log in instance.all_logs(RUN)]

    assert known == ["ASSET_MATERIALIZATION_PLANNED"] * 6 + ["ENGINE_EVENT"]


def test_another_thread_does_not_wait_for_the_end_of_the_block(instances):
    ((instance, _), _) = instances

    with gathered(instance, MATERIALIZED):
        instance.handle_new_event(entry(made(KEYS[0], DAYS[0]), 1_700_000_000))
        thread = threading.Thread(target=instance.handle_new_event, args=[entry(made(KEYS[0], DAYS[1]), 1_700_000_000)])
        thread.start()
        thread.join()
        before = instance.get_materialized_partitions(KEYS[0])

    assert before == {DAYS[1]}
    assert instance.get_materialized_partitions(KEYS[0]) == set(DAYS[:2])


def test_storage_of_another_kind_gets_each_event_at_once(in_memory):
    in_memory.wipe()

    with gathered(in_memory, MATERIALIZED):
        in_memory.handle_new_event(entry(made(KEYS[0], DAYS[0]), 1_700_000_000))
        known = in_memory.get_materialized_partitions(KEYS[0])

    assert known == {DAYS[0]}


def test_after_the_block_all_is_as_before(instances):
    ((instance, _), _) = instances
    before = dict(vars(instance.event_log_storage))

    with gathered(instance, PLANNED), gathered(instance, MATERIALIZED):
        pass

    assert {name: vars(instance.event_log_storage)[name] for name in before} == before
    assert "store_event" not in vars(instance.event_log_storage)
