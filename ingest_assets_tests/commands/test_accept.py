"""A fetch that would delete much: refused with a command, and accepted by it."""

import json
from dataclasses import replace
from typing import Any

SOURCE = """
base_url: {url}
endpoints:
  users: {{path: /, primary_key: id, sweep: true}}
"""


def test_a_fetch_that_would_delete_much_is_accepted_by_the_command_that_it_tells(
    here: Any, ingest: Any, answering: Any
):
    api = answering([json.dumps([{"id": n} for n in range(10)]), json.dumps([{"id": n} for n in range(3)])])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))
    assert ingest(here, "run", "shop.users").returncode == 0

    refused = ingest(here, "run", "shop.users")
    status = ingest(here, "status", "shop.users")
    kept = here.ask("SELECT count(*) FROM shop.users")
    wrong = ingest(here, "accept", "shop.users", "--deletions", "77")
    accepted = ingest(here, "accept", "shop.users", "--deletions", "2")

    told = " ".join(refused.stdout.split())
    assert refused.returncode == 1
    assert "7 of 10 rows did not come again in fetch 2, such as id=3" in told
    assert "ingest accept shop.users --deletions 2" in told
    assert "loaded: it is stored and not loaded: shop.users: 7 of 10 rows" in " ".join(status.stdout.split())
    assert wrong.returncode == 2
    assert "no complete fetch 77 is stored" in wrong.stderr
    assert (kept, accepted.returncode) == ([(10,)], 0)
    assert "fetch 2 is loaded; 7 rows that it did not bring are deleted" in " ".join(accepted.stdout.split())
    assert here.ask("SELECT id FROM shop.users ORDER BY id") == [(0,), (1,), (2,)]


def test_a_fetch_that_would_delete_much_is_given_up_and_fetched_again_by_the_commands_that_it_tells(
    here: Any, ingest: Any, answering: Any
) -> None:
    listings = ([{"id": n} for n in range(count)] for count in (10, 3, 10))
    api = answering([json.dumps(told) for told in listings])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))
    assert ingest(here, "run", "shop.users").returncode == 0

    refused = ingest(here, "run", "shop.users")
    undone = ingest(here, "undo", "shop.users", "--fetch", "2", "--yes")
    again = ingest(here, "run", "shop.users")

    told = "where not: ingest undo shop.users --fetch 2, then ingest run shop.users"
    assert told in " ".join(refused.stdout.split())
    assert (undone.returncode, again.returncode) == (0, 0), undone.stderr + again.stdout
    assert here.ask("SELECT count(*) FROM shop.users") == [(10,)]
