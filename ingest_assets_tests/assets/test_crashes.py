"""Processes that die or stand still between the warehouse and Dagster: each load is reported exactly once."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DAYS = ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"]

# Materializes a range, and at one event of an asset and partition dies or waits, before or after Dagster stores it.
_RUN = """
import json, os, signal, sys
from pathlib import Path
import dagster as dg
from ingest_assets import catalog
from ingest_assets.assets.project import definitions
from ingest_assets.assets.resources import Api, Warehouse

told = json.loads(sys.argv[1])
folder = Path(told["folder"])

def stop():
    if told["dies"]:
        os.kill(os.getpid(), signal.SIGKILL)
    print("there", flush=True)
    sys.stdin.readline()

with dg.DagsterInstance.get() as instance:
    storage = instance.event_log_storage
    store = storage.store_event

    def stored(event):
        made = event.asset_materialization
        here = made is not None and [made.asset_key.path, made.partition] == told["at"]
        if here and told["when"] == "before":
            stop()
        store(event)
        if here and told["when"] == "after":
            stop()

    storage.store_event = stored
    source = catalog.load(folder / "shop.yaml", [folder])
    data = str(folder / "data")
    keys = [dg.AssetKey(key) for key in told["keys"]]
    known = definitions([source], Api(data=data), Warehouse(data=data))
    job = dg.define_asset_job("chosen", dg.AssetSelection.assets(*keys).without_checks())
    days = {"dagster/asset_partition_range_start": told["first"], "dagster/asset_partition_range_end": told["last"]}
    dg.Definitions.merge(known, dg.Definitions(jobs=[job])).resolve_job_def("chosen").execute_in_process(
        instance=instance, tags=days, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
"""


def start(lab, first, last, key, day, when, *, dies, keys=()):
    """A process that materializes a range, up to the event of an asset and a day."""
    assert lab.source  # writes the file
    chosen = list(keys) or [lab.raw(), lab.table()]
    told = {"folder": str(lab.folder), "first": first, "last": last, "at": [key.path, day], "when": when, "dies": dies}
    command = [sys.executable, "-c", _RUN, json.dumps(told | {"keys": [one.path for one in chosen]})]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())


def killed(lab, first, last, key, day, when):
    process = start(lab, first, last, key, day, when, dies=True)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def counts(lab, *days):
    """How many events Dagster has of each day: of raw, of the table."""
    return {day: (len(lab.events(lab.raw(), day)), len(lab.events(lab.table(), day))) for day in days}


def untold(lab):
    return lab.rows(
        "SELECT partition FROM _ingest.fetches AS f LEFT JOIN _ingest.reported AS r USING (_fetch) "
        "WHERE f.loaded IS NOT NULL AND r.loaded IS DISTINCT FROM f.loaded"
    )


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_loaded_before_a_kill_is_reported_by_the_next_start(kept_lab, when):
    lab = kept_lab
    killed(lab, DAYS[0], DAYS[1], lab.table(), DAYS[1], when)
    assert counts(lab, *DAYS[:2]) == {DAYS[0]: (1, 1), DAYS[1]: (1, 0 if when == "before" else 1)}

    lab.run(DAYS[2])
    lab.run(DAYS[3])

    assert counts(lab, *DAYS) == dict.fromkeys(DAYS, (1, 1))
    assert untold(lab) == []
    told = lab.told(lab.table(), DAYS[1])
    assert (told["fetch"], told["received"], told["dagster/row_count"]) == (2, 3, 5)
    assert lab.stale(lab.table(), DAYS[1]) == []
    assert lab.statuses(lab.table(), *DAYS) == dict.fromkeys(DAYS, "MATERIALIZED")


def test_what_was_loaded_before_a_kill_is_reported_once_by_a_run_that_goes_on(kept_lab, shop):
    lab = kept_lab
    killed(lab, DAYS[0], DAYS[1], lab.table(), DAYS[1], "before")
    (died,) = lab.instance.get_runs()
    lab.instance.report_run_failed(died)
    lab.chosen = [lab.raw(), lab.table()]

    lab.run_again(died)

    assert counts(lab, DAYS[1]) == {DAYS[1]: (2, 1)}
    assert shop.counted == dict.fromkeys(DAYS[:2], 1)
    assert untold(lab) == []


def test_what_was_fetched_before_a_kill_is_loaded_without_a_request(kept_lab, shop):
    lab = kept_lab
    killed(lab, DAYS[0], DAYS[0], lab.raw(), DAYS[0], "before")

    lab.run(DAYS[0])

    assert shop.counted == {DAYS[0]: 1}
    assert counts(lab, DAYS[0]) == {DAYS[0]: (1, 1)}


def test_a_table_that_is_loaded_alone_tells_of_the_fetch_that_a_kill_left_untold(kept_lab, shop):
    lab = kept_lab
    killed(lab, DAYS[0], DAYS[0], lab.raw(), DAYS[0], "before")

    lab.run(DAYS[0], keys=[lab.table()])

    assert counts(lab, DAYS[0]) == {DAYS[0]: (1, 1)}
    assert lab.stale(lab.table(), DAYS[0]) == []


def test_the_loads_of_a_process_that_lives_are_left_to_it(kept_lab):
    lab = kept_lab
    process = start(lab, DAYS[0], DAYS[1], lab.table(), DAYS[1], "before", dies=False)
    assert process.stdout.readline() == "there\n"

    lab.run(DAYS[2])
    assert counts(lab, *DAYS[:3]) == {DAYS[0]: (1, 1), DAYS[1]: (1, 0), DAYS[2]: (1, 1)}
    process.communicate("on\n")

    assert process.returncode == 0
    assert counts(lab, *DAYS[:3]) == dict.fromkeys(DAYS[:3], (1, 1))
    assert untold(lab) == []


def test_partitions_that_a_living_process_rebuilt_are_reported_once_by_either(kept_lab):
    lab = kept_lab
    lab.run(DAYS[0], DAYS[2])
    lab.text = lab.text.replace("      email: {", "      placed: {type: timestamptz}\n      email: {", 1)
    process = start(lab, DAYS[0], DAYS[0], lab.table(), DAYS[0], "before", dies=False, keys=[lab.table()])
    assert process.stdout.readline() == "there\n"

    lab.run(DAYS[3])
    process.communicate("on\n")

    assert process.returncode == 0
    assert counts(lab, *DAYS) == dict.fromkeys(DAYS[:3], (1, 2)) | {DAYS[3]: (1, 1)}
    assert [lab.stale(lab.table(), day) for day in DAYS] == [[], [], [], []]
