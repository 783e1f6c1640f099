"""Ends and empty pages by the rules of a source file, through the whole line: never a record lost without a word."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest_assets.errors import ConfigError
from ingest_assets.extract.peek import peek
from ingest_assets.extract.request import Walk
from ingest_assets.http.client import Client
from ingest_assets.source import Source
from ingest_assets_tests.shown import shown
from ingest_assets_tests.whole import Api, Asked, Reply, Whole, things

OUT_OF_RANGE, END_OF_FEED = shown("end", "text"), shown("end", "path")
NO_DATA, NO_CONTENT = shown("empty", "path"), {"status": 204, "means": "empty"}
CURSOR = {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}
BY_NUMBER = {"paginator": {"type": "page", "until": "empty_page"}}
REFUSED = Reply({"error": {"code": "no_data", "message": "Page out of range"}}, 404)


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Any:
    """Makes the line of an endpoint of the API."""
    columns = {"columns": {"id": {"type": "bigint"}}}
    return lambda endpoint, **source: Whole(tmp_path / "here", api.url, columns | endpoint, source)


def numbered(api: Api, *pages: Any) -> None:
    """Give these by number, from 1; after the last one a refusal that says so."""
    told = dict(enumerate(pages, 1))
    api.answer = lambda asked: told.get(int(asked.query.get("page", 1)), REFUSED)


def reason(here: Whole) -> str:
    """Why the newest fetch ended."""
    return str(here.ask("SELECT reason FROM w._ingest.fetches ORDER BY _fetch DESC LIMIT 1")[0][0])


def replayed(here: Whole) -> list[Any]:
    """The values once the table is made again from what is stored."""
    line = here.line()
    with line.partition("things", None):
        line.load("things", None, replay=True)
    return here.values()


def damaged(here: Whole) -> list[str]:
    """What is wrong with its stored pages."""
    return [problem for snapshot in here.line().snapshots.fetches("shop", "things") for problem in snapshot.verify()]


def test_a_refusal_that_means_the_end_ends_the_walk_and_the_verdict_names_the_rule(api: Api, shop: Any) -> None:
    numbered(api, {"data": things(1, 2)}, {"data": things(3)})
    here = shop({**BY_NUMBER, "responses": [OUT_OF_RANGE]})

    told = here.run()

    assert (told, here.values(), here.verdicts()) == ("", [1, 2, 3], ["complete"])
    assert reason(here) == "by a rule: HTTP 404, as its body holds 'page out of range'"
    assert here.problems() == {}
    assert replayed(here) == [1, 2, 3]


def test_a_good_answer_that_means_the_end_is_the_last_page_and_its_records_count(api: Api, shop: Any) -> None:
    last = {"data": things(3), "next": "2", "end_of_feed": True}
    api.pages({"data": things(1, 2), "next": "1"}, last, {"data": things(4), "next": None})
    here = shop({**CURSOR, "responses": [END_OF_FEED]})

    told = here.run()

    assert (told, here.values(), here.verdicts(), len(api.asked)) == ("", [1, 2, 3], ["complete"], 2)
    assert reason(here) == "by a rule: HTTP 200, as 'end_of_feed' is True"
    assert replayed(here) == [1, 2, 3]


def test_the_only_page_may_be_the_end_where_it_is_a_page(api: Api, shop: Any) -> None:
    api.answer = lambda _: {"data": [], "next": "1", "end_of_feed": True}
    here = shop({**CURSOR, "responses": [END_OF_FEED]})

    assert (here.run(), here.values(), here.verdicts()) == ("", [], ["complete"])


def test_an_end_that_is_no_page_where_one_was_due_is_a_failure(api: Api, shop: Any) -> None:
    api.pages({"data": things(1, 2), "next": "1"}, {"end_of_feed": True, "items": things(3)})
    here = shop({**CURSOR, "responses": [END_OF_FEED]})

    assert "'data'" in here.run()
    assert (here.values(), here.verdicts()) == ([], ["failed"])


def test_a_first_answer_that_is_refused_is_no_end(api: Api, shop: Any) -> None:
    api.answer = lambda _: REFUSED
    here = shop({**BY_NUMBER, "responses": [OUT_OF_RANGE]})

    told = here.run()

    assert "it is the first answer, so nothing has come" in told
    assert "`means: empty`" in told
    assert (here.values(), here.verdicts()) == ([], ["failed"])


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        ({"paginator": {"type": "page", "total": "total"}}, OUT_OF_RANGE),
        ({"paginator": {"type": "page", "until": "empty_page"}, "total": "total"}, NO_DATA),
        ({"paginator": {"type": "page", "total_pages": "pages"}, "at_once": 4}, OUT_OF_RANGE),
    ],
)
def test_an_end_or_nothing_before_the_total_is_reached_is_a_failure(
    api: Api, shop: Any, endpoint: dict[str, Any], rule: dict[str, Any]
) -> None:
    numbered(api, *({"data": things(2 * n, 2 * n + 1), "total": 9, "pages": 5} for n in range(3)))
    here = shop({**endpoint, "responses": [rule]})

    assert here.run() != ""
    assert (here.values(), here.verdicts()) == ([], ["failed"])


@pytest.mark.parametrize("rule", [OUT_OF_RANGE, END_OF_FEED])
def test_an_end_or_nothing_right_after_a_rest_begins_the_walk_anew(api: Api, shop: Any, rule: dict[str, Any]) -> None:
    pages = ({"data": things(1, 2), "next": "1"}, {"data": things(3), "next": "2"}, {"data": things(4), "next": None})
    api.pages(*pages)
    here = shop({**CURSOR, "responses": [rule]})
    here.run(kill_after=1)
    all_pages, gone = api.answer, ["2"]

    def answer(asked: Asked) -> Any:
        """The cursor of before the rest is no longer known."""
        if asked.query.get("cursor") in gone:
            gone.clear()
            return Reply({"data": [], "next": None, "end_of_feed": True}) if rule is END_OF_FEED else REFUSED
        return all_pages(asked)

    api.answer = answer

    told = here.run()

    assert (told, here.values(), here.verdicts()[-1]) == ("", [1, 2, 3, 4], "complete")
    assert not gone


def test_a_walk_that_died_after_its_end_was_stored_ends_without_a_request(api: Api, shop: Any) -> None:
    first, last = {"data": things(1, 2)}, {"data": things(3), "end_of_feed": True}
    api.answer = lambda asked: last if asked.query.get("page") == "2" else first
    here = shop({**BY_NUMBER, "responses": [END_OF_FEED]})
    here.run(kill_after=1)
    asked = len(api.asked)

    told = here.run()

    assert (told, here.values(), here.verdicts(), len(api.asked)) == ("", [1, 2, 3], ["complete"], asked)


@pytest.mark.parametrize("reply", [Reply(b"", 204), Reply(b"<h1>No data</h1>", 404)])
def test_a_first_answer_that_is_empty_by_a_rule_is_a_complete_fetch_of_nothing(
    api: Api, shop: Any, reply: Reply
) -> None:
    api.answer = lambda _: reply
    html = {"status": 404, "text": "no data", "means": "empty"}
    here = shop({**CURSOR, "total": "total", "responses": [NO_DATA, NO_CONTENT, html]})

    told = here.run()

    assert (told, here.values(), here.verdicts()) == ("", [], ["complete"])
    assert reason(here).startswith(f"by a rule: HTTP {reply.status}, as ")
    assert (replayed(here), damaged(here)) == ([], [])


def test_a_good_answer_without_records_may_say_where_the_walk_goes_on(api: Api, shop: Any) -> None:
    api.pages({"state": "none", "next": "1"}, {"data": things(1), "next": None})
    rule = {"path": "state", "equals": "none", "means": "empty"}
    here = shop({**CURSOR, "empty_page": "continue", "responses": [rule]})

    assert (here.run(), here.values(), here.verdicts()) == ("", [1], ["complete"])
    assert replayed(here) == [1]


def test_a_refusal_that_is_empty_in_mid_walk_cannot_say_that_more_follows(api: Api, shop: Any) -> None:
    api.answer = lambda asked: {"data": things(1), "more": True} if asked.query["page"] == "1" else REFUSED
    here = shop({"paginator": {"type": "page", "has_more": "more"}, "responses": [NO_DATA]})

    assert "'more'" in here.run()
    assert (here.values(), here.verdicts()) == ([], ["failed"])


def test_nothing_in_mid_walk_is_passed_over_where_the_file_says_so(api: Api, shop: Any) -> None:
    rule = {"path": "none", "equals": True, "means": "empty"}
    paginator = {"type": "page", "total_pages": "pages"}
    numbered(api, *({**page, "pages": 3} for page in ({"data": things(1, 2)}, {"none": True}, {"data": things(3)})))

    told = {"paginator": paginator, "responses": [rule]}
    failing, going_on = shop(told), shop({**told, "empty_page": "continue"})

    assert "page 1 holds no records and is not the last one" in failing.run()
    assert (going_on.run(), going_on.values()) == ("", [1, 2, 3])
    assert replayed(going_on) == [1, 2, 3]


def test_an_answer_that_is_empty_by_a_rule_and_holds_records_is_a_failure(api: Api, shop: Any) -> None:
    api.answer = lambda _: {"data": things(1, 2), "next": None, "state": "none"}
    here = shop({**CURSOR, "responses": [{"path": "state", "equals": "none", "means": "empty"}]})

    assert "is empty by a rule ('state' is 'none'), and holds 2 records" in here.run()
    assert (here.values(), here.verdicts()) == ([], ["failed"])


def test_a_cut_answer_is_asked_for_again_before_it_counts_as_empty(api: Api, shop: Any) -> None:
    replies = [Reply({"error": {"code": "no_data"}}, 404, cut=True), REFUSED]
    api.answer = lambda _: replies.pop(0)
    here = shop({**CURSOR, "responses": [{"status": 404, "means": "empty"}]})

    assert (here.run(), here.verdicts(), replies) == ("", ["complete"], [])


def test_pieces_of_a_window_may_be_empty_and_the_verdict_counts_them(api: Api, shop: Any) -> None:
    api.answer = lambda asked: REFUSED if asked.query["from"] < "2026-01-05T12" else {"data": things(1), "next": None}
    here = shop(
        {
            **CURSOR,
            "responses": [NO_DATA],
            "at_once": 4,
            "window": {"from": "from", "until": "until", "pieces": 4},
            "partitions": {"every": "day", "start": "2026-01-05"},
            "write": "replace_partition",
            "primary_key": None,
        }
    )

    told = here.run("2026-01-05")

    assert (told, here.values(), here.verdicts()) == ("", [1, 1], ["complete"])
    assert reason(here) == "all_parts_ended, 2 of them by a rule: HTTP 404, as 'error.code' is 'no_data'"


def test_a_count_is_not_answered_by_a_rule(api: Api, shop: Any) -> None:
    api.answer = lambda asked: REFUSED if asked.path == "/count" else {"data": things(1), "next": None}
    here = shop({**CURSOR, "count": {"path": "/count", "value": "n"}, "responses": [NO_DATA]})

    assert "count: the answer is no number, but empty" in here.run()


def test_check_tells_that_the_first_page_is_empty_by_a_rule(api: Api) -> None:
    things = {"path": "/things", "records": "data", "primary_key": "id", "responses": [NO_DATA], **CURSOR}
    source = Source.model_validate({"name": "shop", "base_url": api.url, "endpoints": {"things": things}})
    api.answer = lambda _: REFUSED

    with Client(api.url, responses=source.endpoints["things"].responses) as client:
        found = peek(client, Walk(source, "things"))

    assert found.records == 0
    assert found.oddities == (
        "the first page is the last, or empty, by a rule of `responses`: HTTP 404, as 'error.code' is 'no_data'",
    )


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"status": 403, "means": "empty"}, "may also mean that something is wrong"),
        ({"status": [404, 500], "means": "end"}, "a 500 may also mean"),
        ({"status": 422, "means": "empty"}, "a 422 may also mean"),
        ({"status": 200, "means": "end"}, "every page has such a status"),
        ({"status": 202, "path": "a", "means": "empty"}, "a 202 says nothing of records"),
        ({"status": 401, "text": "over", "means": "end"}, "a 401 says nothing of records"),
        ({"status": 429, "text": "over", "means": "end"}, "a 429 says nothing of records"),
        ({"status": 404, "means": "end", "message": "x"}, "message is what a failure says"),
        ({"status": 404, "means": "empty", "wait": "PT1S"}, "wait is for means"),
        ({"status": 404, "means": "empty"}, "with write: replace that would empty the table"),
    ],
)
def test_a_rule_that_could_lose_records_is_refused(shop: Any, rule: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        shop({**CURSOR, "write": "replace", "responses": [rule]}).line()


def test_an_end_of_one_page_and_an_end_of_a_whole_source_are_refused(shop: Any) -> None:
    with pytest.raises((ValidationError, ConfigError), match="say how the endpoint pages"):
        shop({"responses": [OUT_OF_RANGE]}).line()
    with pytest.raises((ValidationError, ConfigError), match="a matter of one endpoint"):
        shop(CURSOR, responses=[NO_DATA]).line()


def test_a_record_is_forgotten_beside_an_answer_that_is_empty_by_a_rule(api: Api, shop: Any) -> None:
    numbered(api, {"data": things(1, 2), "pages": 2}, {"none": True, "pages": 2})
    rule = {"path": "none", "equals": True, "means": "empty"}
    here = shop({"paginator": {"type": "page", "total_pages": "pages"}, "responses": [rule]})
    here.run()
    eraser = here.line().eraser("things")
    key = eraser.key(["1"])

    eraser.erase(key, eraser.look(key), here.line().now())

    assert (here.values(), replayed(here), damaged(here)) == ([2], [2], [])
