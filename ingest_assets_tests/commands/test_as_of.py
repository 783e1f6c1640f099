"""A table as it was at a time, in a file of its own; the present ones stay as they are."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pytest

SOURCE = """
base_url: {url}
endpoints:
  users: {{path: /, primary_key: id, sweep: {{most: 1}}}}
"""


@pytest.fixture
def shop(here: Any, ingest: Any, answering: Any) -> Any:
    """Two fetches of users, of which the second changed one, deleted one and added one."""
    users = [[{"id": 1, "v": "a", "l": [1]}, {"id": 2, "v": "b"}], [{"id": 1, "v": "c"}, {"id": 3, "v": "d"}]]
    api = answering([json.dumps(told) for told in users])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))
    for _ in users:
        assert ingest(here, "run", "shop.users").returncode == 0
    return here


def ended(here: Any, fetch: int) -> datetime:
    """When a fetch ended."""
    (at,) = here.ask(f"SELECT ended FROM _ingest.fetches WHERE _fetch = {fetch}")  # noqa: S608 -- a number
    return at[0].astimezone(UTC)


def test_the_table_of_a_time_is_built_beside_the_present_one(shop: Any, ingest: Any) -> None:
    before, at = shop.tables(), ended(shop, 1) + timedelta(microseconds=1)

    told = ingest(shop, "replay", "shop.users", "--as-of", at.isoformat(), "--json")
    again = ingest(shop, "replay", "shop.users", "--as-of", at.isoformat())

    assert (told.returncode, again.returncode) == (0, 0), told.stderr + again.stderr
    with duckdb.connect(json.loads(told.stdout)["file"], read_only=True) as then:
        assert then.execute("SELECT id, v FROM shop.users ORDER BY id").fetchall() == [(1, "a"), (2, "b")]
        assert then.execute("SELECT value FROM shop.users__l").fetchall() == [(1,)]
    assert shop.tables() == before
    assert ingest(shop, "status", "shop").returncode == 0


def test_a_time_before_all_fetches_and_one_that_was_pruned_are_refused(shop: Any, ingest: Any) -> None:
    early = ingest(shop, "replay", "shop.users", "--as-of", "2020-01-01")
    wrong = ingest(shop, "replay", "shop.users", "--as-of", "last month")
    (folder,) = (shop.data / "raw" / "shop" / "users").glob("[!.]*/1")
    folder.rename(shop.folder / "gone")
    gone = ingest(shop, "replay", "shop.users", "--as-of", ended(shop, 2).isoformat())

    assert (early.returncode, wrong.returncode, gone.returncode) == (2, 2, 1)
    assert "no fetch had ended by 2020-01-01 00:00:00 UTC" in early.stderr
    assert "expected such as 2026-01-31" in wrong.stderr
    assert "are not stored any more" in " ".join(gone.stderr.split())


def test_a_fetch_that_is_refused_for_what_it_would_delete_is_not_in_the_table(
    here: Any, ingest: Any, answering: Any
) -> None:
    api = answering([json.dumps([{"id": n} for n in ids]) for ids in (range(10), (0, 77))])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url).replace("{most: 1}", "true"))
    codes = [ingest(here, "run", "shop.users").returncode for _ in range(2)]
    at = max(json.loads(file.read_text())["ended"]["at"] for file in (here.data / "raw").rglob("manifest.json"))

    told = ingest(here, "replay", "shop.users", "--as-of", at, "--json")
    shown = ingest(here, "replay", "shop.users", "--as-of", at)

    assert (codes, told.returncode) == ([0, 1], 0), told.stderr
    assert json.loads(told.stdout)["fetches"] == 1
    assert "Fetch 2 is refused for what it would delete: nothing of it is in the table" in shown.stdout
    with duckdb.connect(json.loads(told.stdout)["file"], read_only=True) as then:
        assert then.execute("SELECT list(id ORDER BY id) FROM shop.users").fetchall() == [([*range(10)],)]
