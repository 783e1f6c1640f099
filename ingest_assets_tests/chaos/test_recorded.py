"""Mistakes planted in a source file, found by what an API once answered."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from ingest_assets.chaos.recorded import findings
from ingest_assets.source import Source
from ingest_assets_tests.whole import Reply, Whole, api_of_its_own, state_in

DAYS = ("2026-01-01", "2026-01-02")
SIZE, COUNT = 3, 7
LIMITS = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59", "X-RateLimit-Reset": "60"}
CURSOR = {"type": "cursor", "path": "meta.next", "param": "cursor"}
ID = {"id": {"type": "varchar", "required": True}}
COLUMNS = {**ID, "created": {"type": "timestamptz", "format": "unix", "required": True}, "amount": {"type": "bigint"}}
GOOD = MappingProxyType(
    {
        "path": "/things",
        "params": {"limit": 3},
        "records": "data",
        "paginator": CURSOR,
        "total": "meta.total",
        "window": {"from": "from", "until": "until", "format": "unix"},
        "partitions": {"every": "day", "start": "2026-01-01"},
        "changes": "immutable",
        "primary_key": "id",
        "columns": COLUMNS,
    }
)
NO_WINDOW = {"window": None, "partitions": None, "changes": None}
LAST_RECORD = {"type": "last_record", "param": "cursor", "field": "uuid", "has_more": "meta.more"}
MISTAKES = {
    "records at another path": ("right", {"records": "items"}, "records"),
    "records that may be absent, at another path": ("right", {"records": {"path": "x", "absent": "empty"}}, "records"),
    "another decoder": ("right", {"records": "", "decoder": {"type": "csv"}}, "decoder"),
    "a key that no record has": ("right", {"primary_key": "uuid"}, "primary_key"),
    "a key that records share": ("right", {"primary_key": "kind"}, "primary_key"),
    "a cursor at another path": ("right", {"paginator": {**CURSOR, "path": "meta.cursor"}}, "paginator"),
    "a cursor that may be absent": ("right", {"paginator": {**CURSOR, "path": "x", "absent": "end"}}, "paginator"),
    "a cursor in another parameter": ("right", {"paginator": {**CURSOR, "param": "page_token"}}, "paginator"),
    "no paginator": ("right", {"paginator": {"type": "none"}}, "paginator"),
    "a flag at another path": ("right", {"paginator": {**CURSOR, "has_more": "more"}}, "paginator"),
    "a flag that means the opposite": ("right", {"paginator": {**CURSOR, "done": "meta.more"}}, "paginator"),
    "another paginator": ("right", {"paginator": {"type": "page", "has_more": "meta.more"}}, "paginator"),
    "a field of the last record that none has": ("right", {"paginator": LAST_RECORD}, "paginator"),
    "a total at another path": ("right", {"total": "total"}, "total"),
    "a total that is the page's": ("right", {"total": "meta.count"}, "total"),
    "a page size that the API does not give": ("right", {"params": {"limit": 500}}, "params.limit"),
    "a time in another format": ("right", {"columns": {**COLUMNS, "created": {"type": "timestamptz"}}}, "columns"),
    "a column of another type": ("right", {"columns": {**COLUMNS, "kind": {"type": "bigint"}}}, "columns"),
    "a required column that is null": (
        "right",
        {"columns": {**COLUMNS, "closed": {"type": "date", "required": True}}},
        "columns",
    ),
    "a column at another path": (
        "right",
        {"columns": {**COLUMNS, "sum": {"type": "bigint", "path": "amont"}}},
        "columns",
    ),
    "a version that no record tells": (
        "right",
        {"newest_by": "changed", "columns": {**COLUMNS, "changed": {"type": "timestamptz"}}},
        "newest_by",
    ),
    "a tombstone that no record has": ("right", {"deleted": {"path": "gone", "equals": True}}, "deleted"),
    "a feed by what is no time": (
        "right",
        {**NO_WINDOW, "feed": {"from": "from", "start": "2026-01-01", "position": "kind"}},
        "feed.position",
    ),
    "newest first that is oldest first": ("right", {"window": {"stop_at": "created"}}, "window.stop_at"),
    "bounds that the API does not know": ("bounds ignored", {}, "window"),
    "an upper bound that is part of the answer": ("bounds inclusive", {}, "window.inclusive"),
    "records that change, and nothing that says which is newer": ("changing", {}, "newest_by"),
    "a limit above the API's": ("right", {"rate_limit": {"requests": 600, "per": "PT1M"}}, "rate_limit"),
    "a token in a header": ("right", {"headers": {"X-Shop-Token": "abc123def456"}}, "headers.X-Shop-Token"),
    "a key in a parameter": ("right", {"params": {"limit": 3, "api_key": "k3y-of-the-shop"}}, "params.api_key"),
}


def things(habit, lower, upper):
    """The records between two moments, as an API of some habit gives them."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    step = timedelta(days=1) / (COUNT - 1)
    moments = [start + step * n for n in range(2 * COUNT)]
    within = [
        m
        for m in moments
        if habit == "bounds ignored" or lower <= m.timestamp() < upper + (habit == "bounds inclusive")
    ]
    found = [
        {"id": f"t{m:%d%H}", "kind": "ab"[m.hour % 2], "created": int(m.timestamp()), "amount": m.hour, "closed": None}
        for m in within
    ]
    if habit == "changing":
        found.append(
            {**found[0], "id": "t", "created": int(lower), "updated_at": datetime.fromtimestamp(lower, UTC).isoformat()}
        )
    return found


def answering(habit):
    """Pages by cursor, with totals, flags, and what is left of the limit."""

    def answer(asked):
        query = asked.query
        found = things(habit, int(query["from"]), int(query["until"]))
        at = int(query.get("cursor", "c0")[1:])
        page, more = found[at : at + SIZE], at + SIZE < len(found)
        meta = {"next": f"c{at + SIZE}" if more else None, "more": more, "total": len(found), "count": len(page)}
        return Reply({"data": page, "meta": meta}, headers=LIMITS)

    return answer


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What APIs of several habits answered on two days, by habit."""
    folders = {}
    for habit in ("right", "bounds ignored", "bounds inclusive", "changing"):
        folder = tmp_path_factory.mktemp("recorded")
        with state_in(folder), api_of_its_own() as api:
            api.answer = answering(habit)
            whole = Whole(folder, api.url, dict(GOOD))
            for day in DAYS:
                whole.run(day, load=False)
        folders[habit] = whole.data
    return folders


def shop(change):
    """The source with something changed; None takes a key away."""
    told = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    return Source.model_validate({"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": told}})


def test_nothing_is_found_in_a_file_that_is_right(recorded):
    pages, found = findings(shop({"rate_limit": {"requests": 60, "per": "PT1M"}}), "things", recorded["right"])

    assert (pages, found) == (4, [])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_found_by_what_the_api_once_answered(mistake, recorded):
    habit, change, field = MISTAKES[mistake]

    _, found = findings(shop(change), "things", recorded[habit])

    assert field in [one.field for one in found], found


def test_the_command_says_what_contradicts_the_file(recorded, tmp_path):
    text = {"base_url": "https://shop.example", "endpoints": {"things": {**GOOD, "paginator": {"type": "none"}}}}
    (tmp_path / "shop.yaml").write_text(json.dumps(text))
    words = ("--data", str(recorded["right"]), "test", str(tmp_path / "shop.yaml"), "--only", "recorded")
    command = (sys.executable, "-m", "ingest_assets.cli", *words)

    told = subprocess.run(command, capture_output=True, text=True, check=False)

    assert told.returncode == 1, told.stderr
    assert "✗ shop.things: paginator: the walk would end after page 1 of 2 (single_page)" in told.stdout
