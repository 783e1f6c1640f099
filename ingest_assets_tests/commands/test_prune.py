"""Fetches that nothing needs any more: shown first, removed where somebody says so, and no table changes."""

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

SOURCE = """
base_url: {url}
endpoints:
  users: {{path: /, primary_key: id, sweep: {{most: 1}}}}
"""


@pytest.fixture
def shop(here: Any, ingest: Any, answering: Any) -> Any:
    """Four fetches of users: the second brought nothing new, the third deleted one, the fourth brought nothing new."""
    users = [[{"id": 1}, {"id": 2}], [{"id": 1}, {"id": 2}], [{"id": 1}], [{"id": 1}]]
    api = answering([json.dumps(told) for told in users])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))
    for _ in users:
        assert ingest(here, "run", "shop.users").returncode == 0
    return here


def fetches(here: Any) -> list[str]:
    """What is stored, and what is left of what was removed."""
    return sorted(folder.name for folder in partition(here).iterdir())


def partition(here: Any) -> Path:
    """The folder of all fetches."""
    (found,) = (here.data / "raw" / "shop" / "users").glob("[!.]*")
    return Path(found)


def test_what_nothing_needs_is_shown_and_then_removed(shop: Any, ingest: Any) -> None:
    before = shop.tables()

    shown = ingest(shop, "prune")
    kept = fetches(shop)
    more = ingest(shop, "prune", "--keep", "3", "--json")
    young = ingest(shop, "prune", "shop", "--older-than", "P1D", "--yes")
    removed = ingest(shop, "prune", "--yes", "--json")
    again = ingest(shop, "prune", "--yes")
    replayed = ingest(shop, "replay", "shop.users", "--all")

    assert (shown.returncode, kept) == (2, ["1", "2", "3", "4"])
    assert "1 fetch" in shown.stdout
    assert "Nothing is done yet" in shown.stderr
    assert json.loads(more.stdout)["fetches"] == 0
    assert "Nothing to remove" in young.stdout
    told = json.loads(removed.stdout)
    assert (told["fetches"], told["done"], told["bytes"] > 0) == (1, True, True)
    assert fetches(shop) == ["1", "3", "4"]
    assert "Nothing to remove" in again.stdout
    assert replayed.returncode == 0, replayed.stdout
    assert shop.tables() == before


def test_a_fetch_whose_manifest_is_damaged_stays_and_others_go(shop: Any, ingest: Any) -> None:
    (partition(shop) / "4" / "manifest.json").write_text("{")

    taken = ingest(shop, "du", "--json")
    shown = ingest(shop, "du")
    asked = ingest(shop, "prune")
    removed = ingest(shop, "prune", "--yes", "--json")

    assert (taken.returncode, shown.returncode, removed.returncode) == (0, 0, 0), shown.stderr + removed.stderr
    (told,) = json.loads(taken.stdout)["endpoints"]
    assert (told["fetches"], len(told["unneeded"]), len(told["damaged"])) == (4, 1, 1)
    assert "! damaged: " in shown.stdout
    assert "! Not removed, damaged: " in asked.stdout
    assert fetches(shop) == ["1", "3", "4"]


def test_what_somebody_died_while_removing_goes_with_the_next_prune(shop: Any, ingest: Any) -> None:
    partition(shop).joinpath("2").rename(partition(shop) / ".removed-2")

    shown = ingest(shop, "prune", "--json")
    removed = ingest(shop, "prune", "--yes")

    assert json.loads(shown.stdout)["fetches"] == 1
    assert removed.returncode == 0
    assert fetches(shop) == ["1", "3", "4"]


def test_a_table_of_before_is_refused_also_where_the_warehouse_was_rebuilt_since(shop: Any, ingest: Any) -> None:
    ((second,), (fourth,)) = shop.ask("SELECT ended FROM _ingest.fetches WHERE _fetch IN (2, 4) ORDER BY _fetch")
    assert ingest(shop, "prune", "--yes").returncode == 0
    shutil.rmtree(shop.data / "warehouse")
    assert ingest(shop, "rebuild").returncode == 0

    then = ingest(shop, "replay", "shop.users", "--as-of", second.isoformat())
    before = ingest(shop, "replay", "shop.users", "--as-of", (second - timedelta(microseconds=1)).isoformat())
    now = ingest(shop, "replay", "shop.users", "--as-of", fourth.isoformat())

    assert (then.returncode, before.returncode, now.returncode) == (1, 0, 1)
    assert "such as 2, are not stored any more" in " ".join(then.stderr.split())


def test_a_wrong_age_is_refused_with_what_was_expected(shop: Any, ingest: Any) -> None:
    told = ingest(shop, "prune", "--older-than", "90 days")

    assert told.returncode == 2
    assert "write P90D" in told.stderr
