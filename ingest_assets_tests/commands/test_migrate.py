"""Another partitioning: refused everywhere with the command that gives up what is kept, and then fetched anew."""

import json
from typing import Any

DAYS = "  charges: {partitions: {every: day, start: '2026-11-01'}}\n"
WEEKS = "  charges: {partitions: {every: week, start: '2026-11-01'}}\n"
ROWS = "SELECT id, amount FROM stripe.charges ORDER BY id"


def partition(here: Any, text: str) -> None:
    """Say the partitions of charges in the place's file, in place of what it said."""
    file = here.folder / "sources" / "stripe.yaml"
    before = file.read_text().partition("endpoints:\n")[0]
    file.write_text(f"{before}endpoints:\n{text}")


def test_days_become_weeks_by_one_command_and_hold_the_same(here, ingest):
    partition(here, DAYS)
    assert ingest(here, "run", "stripe.charges", "--from", "2026-11-09", "--to", "2026-11-15").returncode == 0
    before = here.ask(ROWS)
    partition(here, WEEKS)

    refused = ingest(here, "run", "stripe.charges", "--partition", "2026-11-12")
    replayed = ingest(here, "replay", "stripe.charges", "--all")
    status = ingest(here, "status", "stripe.charges")
    shown = ingest(here, "migrate", "stripe.charges")
    kept = here.ask(ROWS)
    done = ingest(here, "migrate", "stripe.charges", "--yes", "--json")
    then = ingest(here, "run", "stripe.charges", "--from", "2026-11-09", "--to", "2026-11-15")
    again = ingest(here, "migrate", "stripe.charges")

    for told in (refused, replayed):
        assert told.returncode == 2
        assert "its file says partitions by week in UTC, and 7 kept fetches are of others" in told.stderr
        assert "ingest migrate stripe.charges" in told.stderr
    assert "partitions: its file says partitions by week in UTC" in status.stdout
    assert shown.returncode == 2
    assert "Nothing is done yet" in shown.stderr
    assert kept == before
    assert json.loads(done.stdout)["done"] is True
    assert len(list((here.data / "archive" / "stripe" / "charges").glob("*/2026-11-1?/*/manifest.json"))) == 6
    assert then.returncode == 0, then.stdout
    assert here.ask(ROWS) == before
    assert here.ask("SELECT partition FROM _ingest.fetches WHERE endpoint = 'charges'") == [("2026-11-09",)]
    assert "nothing to migrate" in again.stdout
