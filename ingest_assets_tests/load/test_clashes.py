"""Records that differ and share a key within one fetch: noticed where nothing says which of them is newer."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest_assets_tests.whole import Api, Whole, state_in

CURSOR = {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Callable[..., str]:
    """Makes the line of an endpoint that gives these pages, runs it, and gives what its check of shared keys says."""

    def told(endpoint: dict[str, Any], *pages: list[dict[str, Any]]) -> str:
        last = len(pages) - 1
        api.pages(*({"data": page, "next": str(n + 1) if n < last else None} for n, page in enumerate(pages)))
        here = Whole(tmp_path / "here", api.url, {**CURSOR, **endpoint})
        assert here.run() == ""
        return here.problems().get("shared_keys", "")

    return told


def test_a_key_that_does_not_tell_records_apart_is_named_with_an_example(shop: Any) -> None:
    """Quietly counted as duplicates, three of four orders would be missing."""
    orders = [{"customer": 7, "id": n} for n in range(3)] + [{"customer": 8, "id": 9}]

    told = shop({"primary_key": "customer"}, orders)

    assert told.startswith("it is in doubt: 2 records have the key of a different one")
    assert "Such as customer=7: page 0 record 0 and page 0 record 2" in told
    assert "primary_key [customer] does not tell records apart: name all columns that do, then ingest replay" in told


def test_a_record_that_changed_while_it_was_read_is_told_otherwise(shop: Any) -> None:
    told = shop({}, [{"id": 1, "v": 1}, {"id": 2, "v": 1}], [{"id": 2, "v": 2}])

    assert "1 record has the key of a different one" in told
    assert "the API changed one while it was read" in told
    assert "ingest run shop.things" in told


def test_two_on_one_page_are_the_example_before_two_of_different_pages(shop: Any) -> None:
    told = shop({}, [{"id": 1, "v": 1}], [{"id": 1, "v": 2}, {"id": 2, "v": 1}, {"id": 2, "v": 2}])

    assert "2 records" in told
    assert "Such as id=2: page 1 record 1 and page 1 record 2" in told


@pytest.mark.parametrize(
    ("endpoint", "pages"),
    [
        ({}, [[{"id": 1, "v": 1}, {"id": 2, "v": 1}], [{"id": 1, "v": 1}]]),
        (
            {"newest_by": "at", "columns": {"at": {"type": "bigint"}}},
            [[{"id": 1, "at": 1, "v": 1}, {"id": 1, "at": 2, "v": 2}]],
        ),
        (
            {"feed": {"from": "since", "start": "2026-01-01", "cursor": {"path": "at", "param": "cursor"}}},
            [[{"id": 1, "v": 1}, {"id": 1, "v": 2}]],
        ),
        ({"primary_key": None, "write": "replace"}, [[{"id": 1, "v": 1}, {"id": 1, "v": 2}]]),
    ],
)
def test_what_came_twice_or_in_an_order_is_no_clash(
    api: Api, tmp_path: Path, endpoint: dict[str, Any], pages: list[list[dict[str, Any]]]
) -> None:
    last = len(pages) - 1
    told = [{"data": page, "next": str(n + 1) if n < last else None, "at": "end"} for n, page in enumerate(pages)]
    api.pages(*told)

    with state_in(tmp_path):
        here = Whole(tmp_path / "here", api.url, {**CURSOR, **endpoint})

        assert here.run() == ""
        assert "shared_keys" not in here.problems()


def test_versions_of_the_same_moment_are_not_ordered_by_it(shop: Any) -> None:
    newest = {"newest_by": "at", "columns": {"at": {"type": "bigint"}}}

    told = shop(newest, [{"id": 1, "at": 2, "v": 1}, {"id": 1, "at": 2, "v": 2}, {"id": 1, "at": 1, "v": 3}])

    assert "1 record has" in told


@pytest.mark.parametrize(("times", "clashes"), [(("2026-02-01", "2026-02-02"), False), (("2026-02-01",) * 2, True)])
def test_a_feed_by_time_orders_versions_by_that(shop: Any, times: tuple[str, str], clashes: bool) -> None:
    feed = {"feed": {"from": "since", "start": "2026-01-01", "position": "at"}}

    told = shop(feed, [{"id": 1, "at": times[0], "v": 1}, {"id": 1, "at": times[1], "v": 2}])

    assert ("has the key of a different one" in told) == clashes


def test_a_sensitive_key_is_not_shown(shop: Any) -> None:
    told = shop(
        {"primary_key": "mail", "columns": {"mail": {"type": "varchar", "sensitive": True}}},
        [{"mail": "ann@example.com", "v": n} for n in range(2)],
    )

    assert "Such as a key: page 0 record 0 and page 0 record 1" in told
    assert "ann" not in told


@pytest.mark.parametrize("key", ["mail", "v"])
def test_a_key_that_was_noted_is_shown_no_more_once_it_is_sensitive(api: Api, tmp_path: Path, key: str) -> None:
    api.answer = lambda _: {"data": [{"mail": "ann@example.com", "v": n} for n in range(2)], "next": None}
    with state_in(tmp_path):
        here = Whole(tmp_path / "here", api.url, CURSOR | {"primary_key": "mail"})
        assert here.run() == ""
        assert "Such as mail=ann@example.com:" in here.problems()["shared_keys"]
        columns = {"mail": {"type": "varchar", "sensitive": True}}

        hidden = Whole(tmp_path / "here", api.url, CURSOR | {"primary_key": key, "columns": columns})

        assert "Such as a key: page 0 record 0 and page 0 record 1" in hidden.problems()["shared_keys"]


def test_a_child_of_two_parents_clashes_where_the_key_leaves_the_parent_out(api: Api, tmp_path: Path) -> None:
    api.answer = lambda asked: {"data": [{"id": "a"}, {"id": "b"}] if asked.path == "/groups" else [{"id": 1}]}
    member = {"path": "/groups/{groups.id}/things", "columns": {"of": {"type": "varchar", "from_parent": "id"}}}
    same = {"records": "data", "primary_key": "id"}
    with state_in(tmp_path):
        here = Whole(
            tmp_path / "here",
            api.url,
            {},
            {"endpoints": {"groups": same | {"path": "/groups"}, "things": same | member}},
        )
        line = here.line()
        for name in ("groups", "things"):
            line.fetch(name, None)
            line.load(name, None)

        told = here.problems()["shared_keys"]

    assert "Such as id=1: page 0 record 0 and page 1 record 0" in told


def test_a_key_that_was_put_right_has_no_clash_after_a_replay(api: Api, tmp_path: Path) -> None:
    api.answer = lambda _: {"data": [{"customer": 7, "id": n} for n in range(2)], "next": None}
    with state_in(tmp_path):
        here = Whole(tmp_path / "here", api.url, CURSOR | {"primary_key": "customer"})
        assert here.run() == ""
        mended = Whole(tmp_path / "here", api.url, CURSOR | {"primary_key": ["customer", "id"]})

        mended.line().load("things", None, replay=True)

        assert mended.values() == [0, 1]
        assert "shared_keys" not in mended.problems()
