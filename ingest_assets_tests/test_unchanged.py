"""Requests on condition, through the whole line: what has not changed is a fetch as good as any other."""

import shutil
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest_assets.raw.snapshots import Snapshot
from ingest_assets_tests.whole import Api, Asked, Reply, Whole

OFF = {"paginator": None, "only_if_changed": True, "columns": {"id": {"type": "bigint"}}}


class Page:
    """One page with a validator, which answers 304 to who knows it already."""

    def __init__(self, api: Api, *numbers: int) -> None:
        self.numbers, self.etag = numbers, '"v1"'
        self.modified: datetime | None = None
        self.asked: list[dict[str, str]] = []
        api.answer = self.answer

    @property
    def headers(self) -> dict[str, str]:
        """What the API knows the page by."""
        if self.modified is not None:
            return {"Last-Modified": format_datetime(self.modified, usegmt=True)}
        return {"ETag": self.etag}

    def answer(self, asked: Asked) -> Any:
        found = {name: value for name, value in asked.headers.items() if name.startswith("if-")}
        self.asked.append(found)
        known = {"if-none-match": self.etag, "if-modified-since": self.headers.get("Last-Modified")}
        if any(known[name] == value for name, value in found.items()):
            return Reply(b"", 304, self.headers)
        return Reply({"data": [{"id": n} for n in self.numbers]}, headers=self.headers)

    def changed(self, etag: str, *numbers: int) -> None:
        """The page is another one from now on."""
        self.etag, self.numbers = etag, numbers


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", "s3cr3t-0f-th3-sh0p")


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Any:
    """Makes the line of an endpoint of the API."""
    return lambda more=(), **source: Whole(tmp_path / "here", api.url, {**OFF, **dict(more)}, source)


def reasons(here: Whole) -> list[str]:
    """Why its fetches ended."""
    return [row[0] for row in here.ask("SELECT reason FROM w._ingest.fetches ORDER BY _fetch")]


def stored(here: Whole) -> list[Snapshot]:
    """Its snapshots."""
    return here.line().snapshots.fetches("shop", "things")


def replayed(here: Whole) -> list[Any]:
    """The values once the table is made again from what is stored."""
    line = here.line()
    with line.partition("things", None):
        line.load("things", None, replay=True)
    return here.values()


def test_what_has_not_changed_is_a_complete_fetch_that_changes_no_row(api: Api, shop: Any) -> None:
    page = Page(api, 1, 2)
    here = shop()

    told = [here.run() for _ in range(3)]

    assert told == ["", "", ""]
    assert page.asked == [{}, {"if-none-match": '"v1"'}, {"if-none-match": '"v1"'}]
    assert (here.values(), here.verdicts()) == ([1, 2], ["complete"] * 3)
    assert reasons(here) == ["single_page", *["single_page, unchanged since fetch 1"] * 2]
    accounts = here.ask("SELECT received, unchanged, pages FROM w._ingest.fetches ORDER BY _fetch")
    assert accounts[1:] == [(2, 2, 1)] * 2
    assert here.problems() == {}


def test_what_has_changed_is_a_page_like_any_other(api: Api, shop: Any) -> None:
    page = Page(api, 1, 2)
    here = shop({"write": "replace"})
    here.run()
    page.changed('"v2"', 2, 3)

    told = [here.run(), here.run()]

    assert (told, here.values()) == (["", ""], [2, 3])
    assert page.asked[1:] == [{"if-none-match": '"v1"'}, {"if-none-match": '"v2"'}]
    assert reasons(here) == ["single_page", "single_page", "single_page, unchanged since fetch 2"]


def test_a_time_is_asked_by_where_no_etag_is(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    page.modified = datetime.now(UTC) - timedelta(days=1)
    here = shop()

    told = [here.run(), here.run()]

    assert (told, here.values()) == (["", ""], [1])
    assert page.asked[1] == {"if-modified-since": page.headers["Last-Modified"]}


def test_it_is_off_where_the_file_does_not_say_so(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    here = shop({"only_if_changed": False})

    here.run()
    here.run()

    assert page.asked == [{}, {}]


def test_not_modified_that_nobody_asked_about_is_a_failure(api: Api, shop: Any) -> None:
    api.answer = lambda _: Reply(b"", 304, {"ETag": '"v1"'})
    here = shop()

    told = here.run()

    assert "HTTP 304" in told
    assert "it was not asked whether the page has changed" in told
    assert here.verdicts() == ["failed"]


def test_not_modified_of_another_page_is_asked_for_again_without_condition(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    here = shop({"write": "replace"})
    here.run()
    api.answer = lambda asked: (
        Reply(b"", 304, {"ETag": '"other"'}) if "if-none-match" in asked.headers else {"data": [{"id": 7}]}
    )

    assert (here.run(), here.values()) == ("", [7])
    assert len(page.asked) == 1


def test_a_fetch_that_is_not_loaded_is_not_leaned_on(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    here = shop()
    here.run(load=False)

    here.run()

    assert page.asked == [{}, {}]
    assert here.values() == [1]


def test_a_fetch_that_is_not_whole_on_disk_is_not_leaned_on(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    here = shop()
    here.run()
    (snapshot,) = stored(here)
    file = snapshot.folder / snapshot.segment
    file.write_bytes(file.read_bytes()[:-3] + b"???")

    here.run()

    assert page.asked == [{}, {}]


def test_a_fetch_that_was_undone_is_not_leaned_on_and_one_after_it_stands_alone(api: Api, shop: Any) -> None:
    page = Page(api, 1, 2)
    here = shop({"write": "replace"})
    here.run()
    here.run()
    first, second = stored(here)
    line = here.line()

    with line.partition("things", None):
        line.undo("things", [first], "wrong")

    assert here.values() == replayed(here) == [1, 2]
    with line.partition("things", None):
        line.undo("things", [second], "wrong")
    here.run()
    assert page.asked[-1] == {}
    assert here.values() == [1, 2]


def test_a_replay_needs_nothing_of_the_fetch_before(api: Api, shop: Any) -> None:
    Page(api, 1, 2)
    here = shop({"write": "replace"})
    here.run()
    here.run()
    first, second = stored(here)

    shutil.rmtree(first.folder)

    assert replayed(here) == [1, 2]
    assert second.verify() == []


def test_what_was_forgotten_stays_out_and_its_page_is_asked_for_without_condition(api: Api, shop: Any) -> None:
    page = Page(api, 1, 2)
    here = shop()
    here.run()
    eraser = here.line().eraser("things")
    key = eraser.key(["1"])
    eraser.erase(key, eraser.look(key), datetime.now(UTC))

    told = [here.run(), here.run()]

    assert told == ["", ""]
    assert page.asked[1:] == [{}, {}]
    assert here.values() == replayed(here) == [2]


def test_another_request_or_reading_is_asked_without_condition(api: Api, shop: Any) -> None:
    page = Page(api, 1)
    shop().run()

    shop({"params": {"all": "yes"}}).run()
    shop({"params": {"all": "yes"}, "records": {"path": "data", "absent": "empty"}}).run()

    assert page.asked == [{}, {}, {}]


def test_an_open_period_is_asked_for_without_condition_until_it_was_complete(api: Api, shop: Any) -> None:
    page, today = Page(api, 1), datetime.now(UTC).date()
    here = shop(
        {
            "window": {"from": "from", "until": "until"},
            "partitions": {"every": "day", "start": str(today - timedelta(days=2)), "open": True},
            "write": "replace_partition",
        }
    )
    yesterday = str(today - timedelta(days=1))

    for day in (str(today), str(today), yesterday, yesterday):
        assert here.run(day) == ""

    assert page.asked == [{}, {}, {}, {"if-none-match": '"v1"'}]


def test_a_secret_in_a_page_is_stored_nowhere_also_when_the_page_is_stored_again(api: Api, shop: Any) -> None:
    api.answer = lambda asked: (
        Reply(b"", 304, {"ETag": '"v1"'})
        if "if-none-match" in asked.headers
        else Reply({"data": [{"id": 1, "told": asked.headers["authorization"]}]}, headers={"ETag": '"v1"'})
    )
    here = shop(auth={"type": "bearer", "token": {"env": "SHOP_KEY"}})

    told = [here.run(), here.run()]

    assert (told, here.values()) == (["", ""], [1])
    assert b"s3cr3t-0f-th3-sh0p" not in here.files()
    first, second = (snapshot.pages[0].sha256 for snapshot in stored(here))
    assert first == second


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"paginator": {"type": "cursor", "path": "next", "param": "c"}}, "says nothing of those after it"),
        ({"method": "POST", "body": {}}, "it is for GET"),
        ({"feed": {"from": "since", "position": "at", "start": "2026-01-01"}}, "a feed asks for something else"),
        (
            {
                "window": {"from": "a", "until": "b", "pieces": 2},
                "partitions": {"every": "day", "start": "2026-01-01"},
            },
            "has several pages",
        ),
        ({"headers": {"If-None-Match": "x"}}, "say `only_if_changed: true`"),
    ],
)
def test_where_one_answer_is_not_all_of_a_partition_it_is_refused(shop: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        shop(more).line()
