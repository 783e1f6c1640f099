"""Live runs before backfills: in Dagster's queue, as its own coordinator empties it, and in the budget of an API."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon

import ingest_assets
from ingest_assets.assets.jobs import HISTORY, NEWEST, jobs_of, newest_first, priority_of, request
from ingest_assets.assets.plan import Range
from ingest_assets.http.slots import opened

ORDERS = ("shop", "orders")
LONG = bool(os.environ.get("INGEST_LONG"))
_BACKFILL = """
import sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range
from ingest_assets.line import Unwatched
folder = Path(sys.argv[1])
source = catalog.load(folder / "shop.yaml", [folder])
materialize({"shop": source}, [Range((("shop", "orders"),), "2026-01-01", "2026-02-28")], folder / "data", Unwatched())
"""


@pytest.fixture
def delivered(tmp_path):
    """An instance with the settings that the project delivers."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(Path(ingest_assets.__file__).with_name("dagster.yaml"), home)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@pytest.fixture
def job(lab):
    return lab.definitions().resolve_job_def("shop_days")


def queued(instance, job, tags):
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("ingest_assets"), "__repository__")
    run = instance.create_run_for_job(
        job,
        status=dg.DagsterRunStatus.QUEUED,
        tags=tags,
        remote_job_origin=RemoteJobOrigin(repository, "shop_days"),
    )
    return run.run_id


def to_start(instance):
    """What Dagster's coordinator starts next."""
    with QueuedRunCoordinatorDaemon(interval_seconds=1) as daemon:
        settings = instance.get_concurrency_config()
        return [run.run_id for run in daemon._get_runs_to_dequeue(instance, settings, None)]


def test_what_is_newest_leaves_the_queue_before_backfills_and_those_before_history(lab, job, delivered):
    jobs = jobs_of(lab.source)
    day = Range((ORDERS,), "2026-01-01", "2026-01-01")
    history = queued(delivered, job, request(jobs, day, HISTORY).tags)
    backfill = queued(delivered, job, {"dagster/backfill": "abc"})
    live = queued(delivered, job, request(jobs, day, NEWEST).tags)

    assert to_start(delivered) == [live, backfill, history]


@pytest.mark.parametrize("tags", [{"dagster/backfill": "abc"}, {"ingest/history": "true", "dagster/priority": "-10"}])
def test_backfills_and_history_leave_a_slot_for_what_is_newest(job, delivered, tags):
    for _ in range(4):
        queued(delivered, job, tags)
    live = queued(delivered, job, newest_first())

    started = to_start(delivered)

    assert (len(started), started[0]) == (4, live)


@pytest.mark.parametrize(("tags", "priority"), [(newest_first(), NEWEST), ({}, 0)])
def test_a_run_asks_for_its_budget_with_the_priority_of_its_tag(lab, shop, tags, priority):
    lab.text = lab.text.replace("max_wait: PT0.1S", "rate_limit: {requests: 9, per: PT1S}")
    seen = []

    def look():
        (file,) = (lab.folder / "limits").glob("*.slots")
        with opened(file, 1.0, time.monotonic, time.time) as slots:
            seen.extend(ask.priority for ask in slots.state.asks)

    shop.hooks["2026-01-01"] = look
    lab.run("2026-01-01", tags=tags)

    assert seen == [priority]


@pytest.mark.skipif(not LONG, reason="two processes wait for a slow limit: the long form")
def test_a_live_run_goes_before_a_backfill_of_another_process_in_the_budget(kept_lab, shop):
    lab = kept_lab
    lab.text = lab.text.replace("max_wait: PT0.1S", "max_wait: PT1M\nrate_limit: {requests: 1, per: PT1.5S}")
    assert lab.source  # writes the file
    command = [sys.executable, "-c", _BACKFILL, str(lab.folder)]
    with subprocess.Popen(command) as backfill:
        while not shop.asked:
            assert backfill.poll() is None
            time.sleep(0.01)
        lab.run("2026-03-01", "2026-03-04", tags=newest_first())
        asked = list(shop.asked)
        backfill.kill()

    live = [place for place, day in enumerate(asked) if day.startswith("2026-03")]
    between = asked[live[0] : live[-1]]
    assert len(live) == 4
    # In the order of asking it would be one of the backfill after each of them.
    assert sum(not day.startswith("2026-03") for day in between) <= 1


def test_the_priority_of_a_run_is_that_of_its_tag(lab):
    assert priority_of(newest_first()) == NEWEST > priority_of({"dagster/backfill": "abc"}) > HISTORY
