"""Killed at any moment and started again until it is done: everything is there, once, and Dagster shows it."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import dagster as dg

from ingest_assets.raw.snapshots import Snapshots
from ingest_assets.sandbox import Sandbox

LONG = bool(os.environ.get("INGEST_LONG"))
KILLS = 100 if LONG else 6
RUN = ("run", "stripe.charges", "stripe.invoices", "mixpanel.events", "--from", "2026-11-15", "--to", "2026-11-19")
COMMANDS = (RUN, ("run", "zendesk", "stripe.customers"))


def killed(process: "subprocess.Popen[str]", after_seconds: float | None) -> bool:
    """Whether the process was killed, with all that it started; False where it was done before, and well.

    None where it is left alone.
    """
    try:
        process.wait(after_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
    told = process.communicate()
    assert process.returncode in (0, -signal.SIGKILL), told
    return process.returncode != 0


def quiet_seconds(place: Any) -> float:
    """How long a command takes undisturbed; the kills are spread over this."""
    began = time.monotonic()
    for command in COMMANDS:
        done = place.program(*command)
        assert done.returncode == 0, done.stderr + done.stdout
    return (time.monotonic() - began) / len(COMMANDS)


def test_after_kills_at_random_moments_all_is_as_after_one_quiet_run(
    tmp_path: Path, elsewhere: Any, box: Sandbox, places: Any
) -> None:
    seconds = quiet_seconds(elsewhere)
    chance = random.Random(20261121)  # noqa: S311 -- moments, not secrets
    kills = rounds = 0

    while kills < KILLS:
        rounds += 1
        here, before = places(tmp_path / f"round{rounds}"), kills
        box.forget_seen()
        for command in COMMANDS:
            # Kills end with the last one: a machine that became slower would never let a command be done.
            while killed(here.start(*command), chance.uniform(0.3, seconds) if kills < KILLS else None):
                kills += 1
        assert here.tables(lineage=False) == elsewhere.tables(lineage=False)
        assert_all_is_well(here, box, kills - before)

    print(f"{kills} kills in {rounds} rounds")


def assert_all_is_well(here: Any, box: Sandbox, kills: int) -> None:
    """The account adds up, no stored page was asked for again, Dagster shows it, and nothing is left over."""
    wrong = here.ask(
        "FROM _ingest.fetches WHERE loaded IS NOT NULL AND received <> "
        "inserted + updated + unchanged + outdated + deleted + quarantined + duplicates + filtered"
    )
    assert wrong == []
    assert here.ingest("verify").returncode == 0
    assert_no_stored_page_was_asked_again(here, box.seen(), kills)
    assert_dagster_shows_what_is_loaded(here)
    assert list((here.data / "staging").iterdir()) == []
    assert list(here.data.rglob("*.new")) == []


def assert_no_stored_page_was_asked_again(here: Any, seen: list[Any], kills: int) -> None:
    """A walk that goes on begins after its last stored page."""
    snapshots = Snapshots(here.data / "raw")
    stored = [
        entry
        for source, endpoint in snapshots.endpoints()
        for snapshot in snapshots.fetches(source, endpoint)
        for entry in snapshot.pages
    ]
    lost = len([one for one in seen if one["status"] == 200]) - len(stored)
    # Each kill loses at most the one page that was on its way, or stored by nobody yet.
    assert 0 <= lost <= kills, f"{lost} answered requests are not stored"


def assert_dagster_shows_what_is_loaded(here: Any) -> None:
    """Each loaded partition has the event of its newest load, and no run is left as if it were going on."""
    loaded = here.ask(
        "SELECT source, endpoint, partition, max(_fetch) FROM _ingest.fetches WHERE loaded IS NOT NULL GROUP BY ALL"
    )
    instance = dg.DagsterInstance.from_config(str(here.data / "dagster"))
    with instance:
        for source, endpoint, partition, fetch in loaded:
            where = dg.AssetRecordsFilter(
                dg.AssetKey([source, endpoint]), asset_partitions=[partition] if partition else None
            )
            newest = instance.fetch_materializations(where, limit=1).records
            assert newest, f"{source}.{endpoint} {partition}: Dagster was not told"
            tags = newest[0].event_log_entry.tags or {}
            assert tags["ingest/fetch"] == str(fetch), f"{source}.{endpoint} {partition}: {json.dumps(dict(tags))}"
        going = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING])
        assert instance.get_runs(going) == []


def test_ctrl_c_says_what_is_kept_and_the_next_run_goes_on(here: Any) -> None:
    with here.midway(*RUN) as process:
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "stays" in told
    assert "Traceback" not in told
    assert here.ingest(*RUN).returncode == 0
