"""`publish:` says how often the reader's copy is brought up to date."""

import json
from dataclasses import replace
from typing import Any

SOURCE = """
base_url: {url}
publish: PT1H
endpoints:
  users: {{path: /, primary_key: id}}
"""


def test_a_copy_that_cannot_be_written_fails_the_run_that_loaded_the_tables(here: Any, ingest: Any) -> None:
    (here.data / "warehouse.duckdb").mkdir(parents=True)

    told = ingest(here, "run", "stripe.customers", "zendesk.users", "--json")

    document = json.loads(told.stdout)
    (failure,) = document["failures"]
    assert (told.returncode, document["ok"], failure["kind"]) == (1, False, "StorageFailed")
    assert "the reader's copy could not be written" in failure["message"]


def test_runs_within_the_pace_leave_the_readers_copy_and_status_says_so(here: Any, ingest: Any, answering: Any) -> None:
    api = answering([json.dumps([{"id": 1}]), json.dumps([{"id": 1}, {"id": 2}])])
    here = replace(here, more={"INGEST_ONLY": "shop"})
    (here.folder / "sources" / "shop.yaml").write_text(SOURCE.format(url=api.url))
    ingest(here, "run", "shop.users")
    before, current = here.ask("SELECT id FROM shop.users"), ingest(here, "status", "--json")

    ran = ingest(here, "run", "shop.users")
    kept, status = here.ask("SELECT id FROM shop.users"), ingest(here, "status")
    ingest(here, "reader", "publish")

    assert ran.returncode == 0, ran.stdout
    assert json.loads(current.stdout)["reader"]["is_current"] is True
    assert before == kept == [(1,)]
    assert "published" in status.stdout
    assert "more is loaded since. Bring it up to date: ingest reader publish" in " ".join(status.stdout.split())
    assert here.ask("SELECT id FROM shop.users ORDER BY id") == [(1,), (2,)]
