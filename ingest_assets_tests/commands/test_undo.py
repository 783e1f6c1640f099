"""Back to the state before a fetch: in the tables, for feeds, in Dagster, and after a kill at any moment."""

import json
import os
import pty
import random
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from ingest_assets import catalog
from ingest_assets.assets.names import partitions_of, raw_key, table_key
from ingest_assets.commands.output import output
from ingest_assets.commands.undo import plan, undo
from ingest_assets.errors import Locked
from ingest_assets.line import Line

LONG = bool(os.environ.get("INGEST_LONG"))
KILLS = 60 if LONG else 3
FIRST, LAST = "2026-11-18", "2026-11-19"
FETCHES = "SELECT _fetch FROM _ingest.fetches WHERE loaded IS NOT NULL ORDER BY 1"


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: Any, places: Any, ingest: Any) -> Any:
    """Two days of charges, the last one fetched twice with another day in between: fetches 1, 2 and 3."""
    here = places(tmp_path_factory.mktemp("loaded") / "here")
    for day in (FIRST, LAST, LAST):
        ran = ingest(here, "run", "stripe.charges", "--partition", day, "--again")
        assert ran.returncode == 0, ran.stdout
    return here


@pytest.fixture
def here(loaded: Any, tmp_path: Any) -> Any:
    """The same in a folder of its own."""
    shutil.copytree(loaded.folder, tmp_path / "here")
    return replace(loaded, folder=tmp_path / "here")


def statuses(here: Any, *days: str) -> dict[str, list[str | None]]:
    """What Dagster shows of charges by day: of the raw asset, of the table."""
    source = catalog.load(here.folder / "sources" / "stripe.yaml", [catalog.SHIPPED])
    partitions = partitions_of("stripe", source.endpoints["charges"])
    with dg.DagsterInstance.from_config(str(here.data / "dagster")) as instance:
        shown = [
            instance.get_status_by_partition(key("stripe", "charges"), days, partitions) or {}
            for key in (raw_key, table_key)
        ]
    return {day: [one[day].name if one.get(day) else None for one in shown] for day in days}


def told_fetch(here: Any, day: str) -> list[str]:
    """The fetch that Dagster takes for the newest of a day: of the raw asset, of the table."""
    with dg.DagsterInstance.from_config(str(here.data / "dagster")) as instance:
        found = []
        for key in (raw_key, table_key):
            where = dg.AssetRecordsFilter(key("stripe", "charges"), asset_partitions=[day])
            newest = instance.fetch_materializations(where, limit=1).records[0].event_log_entry
            found.append((newest.tags or {})["ingest/fetch"])
    return found


def charges(here: Any) -> list[tuple[object, ...]]:
    """All rows but for `_fetch`; columns by name, for those that come back stand last."""
    names = [str(name) for (name,) in here.ask("SELECT column_name FROM (DESCRIBE stripe.charges) ORDER BY 1")]
    wanted = ", ".join(f'"{name}"' for name in names if name != "_fetch")
    return [tuple(names), *here.ask(f"SELECT {wanted} FROM stripe.charges ORDER BY id")]  # noqa: S608 -- our own names


def test_the_plan_is_shown_and_nothing_done_without_a_terminal_and_without_yes(loaded: Any, ingest: Any) -> None:
    before = loaded.tables()

    told = ingest(loaded, "undo", "stripe.charges")
    document = json.loads(ingest(loaded, "undo", "stripe.charges", "--json").stdout)

    assert told.returncode == 2
    assert "3" in told.stdout
    assert LAST in told.stdout
    assert "What was fetched before them counts again" in told.stdout
    assert "Say --yes" in told.stderr
    assert (document["ok"], document["done"], [one["fetch"] for one in document["fetches"]]) == (False, False, [3])
    assert loaded.tables() == before


@pytest.mark.parametrize(("answer", "code", "fetches"), [("n", 2, [(1,), (2,), (3,)]), ("y", 0, [(1,), (2,)])])
def test_who_sits_at_a_terminal_is_asked(here: Any, answer: str, code: int, fetches: list[tuple[int]]) -> None:
    mine, theirs = pty.openpty()
    os.write(mine, f"{answer}\n".encode())

    told = subprocess.run(
        [sys.executable, "-m", "ingest_assets.cli", "undo", "stripe.charges"],
        env=here.environment,
        stdin=theirs,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(mine)
    os.close(theirs)

    assert told.returncode == code, told.stderr
    assert "Go on?" in told.stdout
    assert here.ask(FETCHES) == fetches


def test_the_newest_fetch_is_undone_and_the_one_before_it_counts_again(here: Any, ingest: Any, box: Any) -> None:
    box.forget_seen()

    told = ingest(here, "undo", "stripe.charges", "--yes")

    assert told.returncode == 0, told.stderr
    assert "Undone: fetch 3" in told.stdout
    assert here.ask(FETCHES) == [(1,), (2,)]
    assert here.ask("SELECT DISTINCT _fetch FROM stripe.charges ORDER BY 1") == [(1,), (2,)]
    assert statuses(here, FIRST, LAST) == dict.fromkeys((FIRST, LAST), ["MATERIALIZED"] * 2)
    assert told_fetch(here, LAST) == ["2", "2"]
    assert box.seen() == []
    assert ingest(here, "verify").returncode == 0


def test_a_day_of_which_nothing_is_left_is_shown_as_failed_and_fetched_again(here: Any, ingest: Any) -> None:
    before = charges(here)

    told = ingest(here, "undo", "stripe.charges", "--partition", FIRST, "--yes")
    shown = statuses(here, FIRST, LAST)
    again = ingest(here, "run", "stripe.charges", "--from", FIRST, "--to", FIRST)

    assert f"Nothing else is kept of {FIRST}: the next run fetches it again" in told.stdout
    assert shown == {FIRST: ["FAILED", "FAILED"], LAST: ["MATERIALIZED", "MATERIALIZED"]}
    assert again.returncode == 0, again.stdout
    assert statuses(here, FIRST) == {FIRST: ["MATERIALIZED", "MATERIALIZED"]}
    assert charges(here) == before


def test_a_fetch_is_undone_once_however_often_it_is_asked_for(here: Any, ingest: Any) -> None:
    first = ingest(here, "undo", "stripe.charges", "--fetch", "3", "--yes")
    after = here.tables()

    second = ingest(here, "undo", "stripe.charges", "--fetch", "3", "--yes")

    assert (first.returncode, second.returncode) == (0, 0)
    assert "given up already" in second.stdout
    assert here.tables() == after


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--fetch", "99"), "there is no fetch 99 that could be undone; the newest are 3, 2, 1"),
        (("--partition", "2026-11-01"), "no fetch of 2026-11-01 is stored"),
    ],
)
def test_what_is_not_there_cannot_be_undone(
    loaded: Any, ingest: Any, arguments: tuple[str, ...], expected: str
) -> None:
    told = ingest(loaded, "undo", "stripe.charges", "--yes", *arguments)

    assert told.returncode == 2
    assert expected in told.stderr


def test_nothing_is_undone_where_the_others_could_not_be_loaded_again(here: Any, ingest: Any) -> None:
    shutil.rmtree(here.data / "raw" / "stripe" / "charges" / FIRST)
    before = here.tables()

    told = ingest(here, "undo", "stripe.charges", "--yes")

    assert told.returncode == 1
    assert "stored pages of fetch 1 are missing" in told.stderr
    assert here.tables() == before
    assert ingest(here, "verify").returncode == 0


def test_who_holds_the_partition_is_said(here: Any, monkeypatch: Any) -> None:
    source = catalog.load(here.folder / "sources" / "stripe.yaml", [catalog.SHIPPED])
    monkeypatch.setenv("DAGSTER_HOME", str(here.data / "dagster"))
    undoing = plan(source, ("stripe", "charges"), here.data, None, None)
    before = here.tables()

    with (
        Line(source, here.data, run="another").partition("charges", LAST),
        pytest.raises(Locked, match=r"is held by process .*run another"),
    ):
        undo(undoing, here.data, output(as_json=True), wait_seconds=0)

    assert here.tables() == before


def test_a_feed_goes_back_and_is_fetched_again_from_there(places: Any, tmp_path: Any, ingest: Any) -> None:
    here = places(tmp_path / "feed")
    for _ in range(2):
        assert ingest(here, "run", "zendesk.tickets").returncode == 0
    before = here.tables(lineage=False)

    told = ingest(here, "undo", "zendesk.tickets", "--fetch", "1", "--yes")
    empty = here.tables()
    again = ingest(here, "run", "zendesk.tickets")

    assert told.returncode == 0, told.stderr
    assert "Undone: fetch 1, 2" in told.stdout
    assert empty == {}
    assert again.returncode == 0, again.stdout
    assert here.tables(lineage=False) == before


def test_an_undo_that_died_before_dagster_was_told_is_finished_and_undoes_no_other(
    loaded: Any, ingest: Any, monkeypatch: Any
) -> None:
    source = catalog.load(loaded.folder / "sources" / "stripe.yaml", [catalog.SHIPPED])
    line = Line(source, loaded.data, run="died")
    newest = line.snapshots.fetches("stripe", "charges")[-1]
    with line.partition("charges", LAST):
        line.undo("charges", [newest], "undone by `ingest undo`")
    before = loaded.tables()

    told = ingest(loaded, "undo", "stripe.charges", "--yes")

    assert told.returncode == 0, told.stderr
    assert f"Undone: fetch {newest.fetch}." in told.stdout
    assert loaded.tables() == before
    assert told_fetch(loaded, LAST) == ["2", "2"]


def test_after_kills_at_random_moments_it_is_as_after_one_quiet_undo(loaded: Any, tmp_path: Any, ingest: Any) -> None:
    quiet = replace(loaded, folder=shutil.copytree(loaded.folder, tmp_path / "quiet"))
    began = time.monotonic()
    assert quiet.program("undo", "stripe.charges", "--fetch", "3", "--yes").returncode == 0
    seconds, chance, kills = time.monotonic() - began, random.Random(20261121), 0  # noqa: S311 -- moments, not secrets

    while kills < KILLS:
        here = replace(loaded, folder=shutil.copytree(loaded.folder, tmp_path / f"killed{kills}"))
        process = here.start("undo", "stripe.charges", "--fetch", "3", "--yes")
        time.sleep(chance.uniform(seconds * 0.4, seconds))
        process.kill()
        process.communicate()
        kills += 1
        assert here.tables() in (loaded.tables(), quiet.tables())
        assert ingest(here, "undo", "stripe.charges", "--fetch", "3", "--yes").returncode == 0
        assert here.tables() == quiet.tables()
        assert told_fetch(here, LAST) == ["2", "2"]
        shutil.rmtree(here.folder)


def test_what_an_earlier_fetch_would_delete_keeps_nobody_from_undoing_a_later_one(
    here: Any, ingest: Any, answering: Any
) -> None:
    ten = [{"id": n} for n in range(10)]
    api = answering([json.dumps(told) for told in (ten, ten[:1], [{**one, "wrong": True} for one in ten])])
    endpoints = {"users": {"path": "/", "primary_key": "id", "sweep": True}}
    told = {"base_url": api.url, "resume_within": "PT0S", "endpoints": endpoints}
    (here.folder / "sources" / "shop.yaml").write_text(json.dumps(told))
    here = replace(here, more={"INGEST_ONLY": "shop"})
    ran = [ingest(here, "run", "shop.users").returncode for _ in range(3)]

    undone = ingest(here, "undo", "shop.users", "--yes")

    assert (ran, undone.returncode) == ([0, 1, 0], 0), undone.stderr
    assert "shop.users has 10 rows" in undone.stdout
    assert here.ask("SELECT column_name FROM (DESCRIBE shop.users) WHERE column_name = 'wrong'") == []
    accepted = ingest(here, "accept", "shop.users", "--deletions", "5")
    assert "9 rows that it did not bring are deleted" in " ".join(accepted.stdout.split()), accepted.stderr
