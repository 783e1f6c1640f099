"""Ranges that the command line materializes through the Dagster instance, in this process."""

import signal
import subprocess
import sys

import dagster as dg
import pytest

from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range, in_ranges
from ingest_assets.line import Unwatched

ORDERS, PEOPLE = ("shop", "orders"), ("shop", "people")

_INGEST = """
import sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range
from ingest_assets.line import Unwatched
folder = Path(sys.argv[1])
source = catalog.load(folder / "shop.yaml", [folder])
materialize({"shop": source}, [Range((("shop", "orders"),), "2026-01-01", "2026-01-03")], folder / "data", Unwatched())
"""


class Watcher:
    """Writes down what it is told."""

    def __init__(self):
        self.told = []

    def page(self, progress):
        self.told.append(("page", progress.label, progress.records))

    def wait(self, label, wait):
        self.told.append(("wait", label, wait.kind))

    def loaded(self, label):
        self.told.append(("loaded", label))

    def failed(self, label, error):
        self.told.append(("failed", label, type(error).__name__))


@pytest.fixture
def watcher():
    return Watcher()


def test_each_range_is_a_run_that_dagster_shows(kept_lab, watcher):
    lab = kept_lab

    done = materialize(
        {"shop": lab.source}, [Range((ORDERS,), "2026-01-01", "2026-01-02"), Range((PEOPLE,))], lab.data, watcher
    )

    assert done.succeeded
    assert [run.run_id for run in lab.instance.get_runs()][::-1] == list(done.runs)
    assert len(lab.events(lab.table())) == 2
    assert len(lab.events(lab.table("people"))) == 1


def test_the_watcher_is_told_of_pages_waits_loads_and_failures(kept_lab, shop, watcher, answer, refused):
    lab = kept_lab
    shop.instead["2026-01-01"] = [answer(503, {}, {"Retry-After": "0"})]
    shop.instead["2026-01-02"] = refused

    done = materialize({"shop": lab.source}, [Range((ORDERS,), "2026-01-01", "2026-01-03")], lab.data, watcher)

    assert not done.succeeded
    assert watcher.told == [
        ("page", "shop.orders[2026-01-01]", 0),
        ("wait", "shop.orders[2026-01-01]", "retry"),
        ("page", "shop.orders[2026-01-01]", 2),
        ("loaded", "shop.orders[2026-01-01]"),
        ("page", "shop.orders[2026-01-02]", 0),
        ("failed", "shop.orders[2026-01-02]", "RequestFailed"),
    ]


def test_a_range_that_fails_leaves_the_next_one_to_run(kept_lab, shop, watcher, refused):
    lab = kept_lab
    shop.instead["2026-01-01"] = refused

    done = materialize(
        {"shop": lab.source}, [Range((ORDERS,), "2026-01-01", "2026-01-01"), Range((PEOPLE,))], lab.data, watcher
    )

    assert not done.succeeded
    assert len(lab.events(lab.table("people"))) == 1


def test_an_interruption_is_no_failure_of_what_it_interrupted(kept_lab, watcher, monkeypatch, tmp_path):
    lab = kept_lab
    (tmp_path / "limits").write_text("a file where a folder is expected")
    monkeypatch.setenv("INGEST_LIMITS", str(tmp_path / "limits"))
    looks = iter([False, True])

    def stop():
        if next(looks):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        materialize({"shop": lab.source}, [Range((PEOPLE,))], lab.data, watcher, stop)

    assert watcher.told == []


def test_tables_only_replays_without_a_request(kept_lab, shop, watcher):
    lab = kept_lab
    days = [Range((ORDERS,), "2026-01-01", "2026-01-02")]
    materialize({"shop": lab.source}, days, lab.data, watcher)
    shop.asked.clear()

    done = materialize({"shop": lab.source}, days, lab.data, watcher, tables_only=True)

    assert done.succeeded
    assert shop.asked == []
    assert len(lab.events(lab.table())) == 4


def test_the_run_of_a_process_that_was_killed_is_shown_as_failed_by_the_next_start(kept_lab, shop, watcher):
    lab = kept_lab
    assert lab.source
    process = subprocess.Popen([sys.executable, "-c", _INGEST, str(lab.folder)], stderr=subprocess.DEVNULL)
    shop.hooks["2026-01-02"] = process.kill
    assert process.wait() == -signal.SIGKILL
    (killed,) = lab.instance.get_runs()
    assert killed.status is dg.DagsterRunStatus.STARTED
    shop.hooks.clear()

    materialize({"shop": lab.source}, [Range((PEOPLE,))], lab.data, watcher)

    assert lab.instance.get_run_by_id(killed.run_id).status is dg.DagsterRunStatus.FAILURE
    assert lab.statuses(lab.table(), "2026-01-01", "2026-01-02") == {
        "2026-01-01": "MATERIALIZED",
        "2026-01-02": "FAILED",
    }
    assert not list((lab.data / "locks" / "processes").iterdir())


def test_the_run_of_a_process_that_lives_is_left_alone(kept_lab, shop, watcher):
    lab = kept_lab
    assert lab.source
    process = subprocess.Popen([sys.executable, "-c", _INGEST, str(lab.folder)], stderr=subprocess.DEVNULL)
    going = []

    def look():
        materialize({"shop": lab.source}, [Range((PEOPLE,))], lab.data, watcher)
        going.extend(run.status for run in lab.instance.get_runs() if run.tags.get("dagster/asset_partition_range_end"))

    shop.hooks["2026-01-02"] = look

    assert process.wait() == 0
    assert going == [dg.DagsterRunStatus.STARTED]


def test_the_run_of_a_process_that_works_in_another_data_folder_is_left_alone(kept_lab, shop, watcher):
    lab = kept_lab
    assert lab.source
    process = subprocess.Popen([sys.executable, "-c", _INGEST, str(lab.folder)], stderr=subprocess.DEVNULL)
    going = []

    def look():
        materialize({"shop": lab.source}, [Range((PEOPLE,))], lab.folder / "other", watcher)
        going.extend(run.status for run in lab.instance.get_runs() if run.tags.get("dagster/asset_partition_range_end"))

    shop.hooks["2026-01-02"] = look

    assert process.wait() == 0
    assert going == [dg.DagsterRunStatus.STARTED]


def test_days_before_a_start_that_was_moved_are_replayed_without_dagster(kept_lab, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(kept_lab.folder / "dagster"))
    kept_lab.run("2026-01-01", "2026-01-03")
    kept_lab.text = kept_lab.text.replace('start: "2026-01-01"}\n    changes', 'start: "2026-01-03"}\n    changes')
    kept_lab.text = kept_lab.text.replace(
        "id: {type: bigint, required: true}", "id: {type: hugeint, required: true}", 1
    )
    endpoint = kept_lab.source.endpoints["orders"]
    runs = in_ranges({ORDERS: [f"2026-01-0{day}" for day in (1, 2, 3)]}, endpoint)

    done = materialize({"shop": kept_lab.source}, runs, kept_lab.data, Unwatched(), tables_only=True)

    assert [(run.first, run.last) for run in runs] == [("2026-01-01", "2026-01-02"), ("2026-01-03", "2026-01-03")]
    assert done.succeeded
    contracts = kept_lab.rows("SELECT contract FROM _ingest.fetches WHERE endpoint = 'orders'")
    assert contracts == [(endpoint.contract.version,)] * 3
