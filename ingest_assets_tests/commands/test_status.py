"""What the screen of `ingest status` says of what came and what the API counts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest_assets.commands.output import Output
from ingest_assets.commands.status import status
from ingest_assets.errors import StorageFailed
from ingest_assets_tests.whole import Whole, api_of_its_own, state_in

COUNTED = {"count": {"path": "/count", "value": "count"}}


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Any]:
    """Makes the line of an endpoint of an API of three records that counts two."""
    with state_in(tmp_path), api_of_its_own() as api:
        api.answer = lambda asked: (
            {"count": 2}
            if asked.path == "/count"
            else {
                "data": [{"id": n} for n in range(3)],
                "none": [],
            }
        )
        yield lambda endpoint: Whole(tmp_path, api.url, endpoint)


def looked(here: Whole, *, as_json: bool = False) -> tuple[bool, str]:
    """Whether all is well, and the screen."""
    line = here.line()
    line.publish()
    console = Console(width=80, record=True, quiet=as_json)
    out = Output(console, console, as_json=as_json)
    return status({"shop": line.source}, [("shop", "things")], here.data, out), console.export_text()


def test_what_came_stands_beside_what_the_api_counts(shop: Any) -> None:
    here = shop(COUNTED)
    assert here.run() == ""

    well, screen = looked(here)

    assert not well
    assert "3 of 2" in screen
    assert "expected: it is larger than the API says" in " ".join(screen.split())


def test_an_estimate_is_shown_as_one(shop: Any) -> None:
    here = shop({"count": {"path": "/count", "value": {"path": "count", "tells": "about"}}})
    assert here.run() == ""

    well, screen = looked(here)

    assert well
    assert "3 of about 2" in screen


def test_without_a_count_there_is_no_such_column(shop: Any) -> None:
    here = shop({})
    assert here.run() == ""

    well, screen = looked(here)

    assert well
    assert "it brought" not in screen


def test_a_document_has_both_numbers(shop: Any, capsys: Any) -> None:
    here = shop(COUNTED)
    assert here.run() == ""

    looked(here, as_json=True)

    (told,) = json.loads(capsys.readouterr().out)["endpoints"]
    assert (told["received"], told["expected"]) == (3, 2)


@pytest.mark.parametrize("told", [{"write": "history"}, {"write": "append"}])
def test_a_table_that_holds_a_key_several_times_by_its_mode_is_well(shop: Any, told: Any) -> None:
    here = shop({**told, "columns": {"v": {"type": "bigint"}}})
    assert here.run() == ""
    assert here.run() == ""

    well, screen = looked(here)

    assert well, screen


def test_the_newest_partition_is_that_of_the_last_period(shop: Any) -> None:
    by = {"account": {"type": "varchar", "from_partition": "account"}}
    here = shop(
        {
            "window": {"from": "from", "until": "until"},
            "partitions": {"every": "day", "start": "2026-01-01", "by": {"account": ["eu", "us"]}},
            "primary_key": ["account", "id"],
            "columns": by,
            "changes": "immutable",
            "params": {"account": "{account}"},
        }
    )
    for partition in ("eu|2026-01-03", "us|2026-01-02"):
        assert here.run(partition) == ""

    _, screen = looked(here)

    assert "eu|2026-01-03" in screen


@pytest.mark.parametrize("content", [None, b"", b"no database"])
def test_a_copy_that_is_gone_or_damaged_is_told_with_what_to_do(shop: Any, content: bytes | None) -> None:
    here = shop({})
    assert here.run() == ""
    looked(here)
    line = here.line()
    line.warehouse.reader.unlink()
    if content is not None:
        line.warehouse.reader.write_bytes(content)
    console = Console(quiet=True)

    with pytest.raises(StorageFailed, match=r"reader's copy.* Next: .*ingest reader publish"):
        status({"shop": line.source}, [("shop", "things")], here.data, Output(console, console, as_json=False))


def test_an_endpoint_whose_key_never_came_is_well(shop: Any) -> None:
    here = shop({"records": "none"})
    assert here.run() == ""

    well, _ = looked(here)

    assert well


@pytest.mark.parametrize(
    "changed",
    [
        {"columns": {"created": {"type": "bigint", "required": True}}},
        {"primary_key": ["id", "created"]},
        {"columns": {"created": {"type": "bigint", "references": "things.id"}}},
        {"children": {"lines": {"columns": {"created": {"type": "bigint", "references": "things.id"}}}}},
        {"newest_by": "created", "columns": {"created": {"type": "timestamptz", "required": True}}},
    ],
)
def test_a_column_that_the_file_names_and_the_table_lacks_is_to_be_replayed(shop: Any, changed: Any) -> None:
    here = shop({})
    assert here.run() == ""
    here.endpoint = changed

    well, screen = looked(here)

    assert not well
    assert screen.count("shop.things: ") == 1
    assert "contract: it is loaded under another contract. Next: ingest replay shop.things" in " ".join(screen.split())
