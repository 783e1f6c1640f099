"""What answers mean by the rules of a source file, through the whole line; the rules are those that docs/ show."""

from pathlib import Path
from typing import Any

import pytest

from ingest_assets_tests.shown import shown
from ingest_assets_tests.whole import Api, Asked, Reply, things

CURSOR = {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}
THREE = ({"data": things(1, 2), "next": "1"}, {"data": things(3), "next": "2"}, {"data": things(4), "next": None})


def once(api: Api, at: str, reply: Reply) -> None:
    """The three pages, of which one is answered otherwise the first time."""
    api.pages(*THREE)
    page, left = api.answer, [reply]

    def answer(asked: Asked) -> Any:
        return left.pop() if left and asked.query.get("cursor") == at else page(asked)

    api.answer = answer


def test_what_is_to_be_asked_again_is_in_the_end_all_there(api: Api, shop: Any) -> None:
    once(api, "1", Reply({"told": "index not ready"}, 409))
    here = shop({**CURSOR, "responses": [{**shown("retry"), "wait": "PT0.05S"}]})

    told = here.run()

    assert (told, here.values(), here.verdicts()) == ("", [1, 2, 3, 4], ["complete"])
    assert [asked.query.get("cursor") for asked in api.asked] == [None, "1", "1", "2"]


def test_a_good_answer_that_is_to_be_asked_again_is_no_page(api: Api, shop: Any) -> None:
    rule = shown("retry", "jmespath")
    once(api, "1", Reply({"data": [], "next": None, "meta": {"ready": False, "shards": [{"up": False}]}}))
    here = shop({**CURSOR, "responses": [{**rule, "wait": "PT0.05S"}]})

    told = here.run()

    assert (told, here.values(), here.verdicts()) == ("", [1, 2, 3, 4], ["complete"])


def test_what_fails_says_so_in_the_words_of_the_file_and_nothing_of_it_counts(api: Api, shop: Any) -> None:
    rule = shown("fail")
    once(api, "1", Reply({"error": {"code": "api_disabled"}}, 403))
    here = shop({**CURSOR, "responses": [rule]})

    told = here.run()

    assert told.endswith(rule["message"])
    assert "HTTP 403" in told
    assert (here.values(), here.verdicts()) == ([], ["failed"])
    assert rule["message"] in here.problems()["complete"]


@pytest.mark.parametrize("paginator", [{"type": "page", "until": 404}, CURSOR["paginator"]])
def test_a_failure_by_a_rule_is_neither_an_end_nor_a_cursor_that_is_over(api: Api, shop: Any, paginator: Any) -> None:
    full = {"data": things(1, 2), "next": "1"}
    api.answer = lambda asked: (
        full if asked.query.get("page", "1") == "1" and "cursor" not in asked.query else Reply({"off": True}, 404)
    )
    here = shop(
        {"paginator": paginator, "responses": [{"status": 404, "path": "off", "means": "fail", "message": "Off"}]}
    )

    told = here.run()

    assert told.endswith(": Off")
    assert (here.values(), here.verdicts()) == ([], ["failed"])


def test_a_credential_that_is_over_in_mid_walk_is_looked_up_again(api: Api, shop: Any, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("former-key")
    api.pages(*THREE)
    page = api.answer

    def answer(asked: Asked) -> Any:
        if "cursor" in asked.query and asked.headers["authorization"] == "Bearer former-key":
            key.write_text("newer-key")
            return Reply({"error": "token_expired"}, 403)
        return page(asked)

    api.answer = answer
    here = shop(
        {**CURSOR, "responses": [shown("new_credential")]}, auth={"type": "bearer", "token": {"file": str(key)}}
    )

    told = here.run()

    assert (told, here.values(), here.verdicts()) == ("", [1, 2, 3, 4], ["complete"])
    assert b"former-key" not in here.files()


def test_a_rule_of_the_endpoint_goes_before_one_of_the_source(api: Api, shop: Any) -> None:
    api.answer = lambda _: Reply({}, 403)
    own, general = ({"status": 403, "means": "fail", "message": text} for text in ("its own", "the source's"))
    here = shop({"responses": [own]}, responses=[general])

    assert here.run().endswith("its own")


@pytest.mark.parametrize(("means", "again"), [("retry", ["2"]), ("fail", [None, "1", "2"])])
def test_a_walk_goes_on_only_under_the_rules_that_it_began_with(api: Api, shop: Any, means: str, again: Any) -> None:
    api.pages(*THREE)
    message = {"message": "Mend it"} if means == "fail" else {}
    former = shop({**CURSOR, "responses": [{"status": 409, "means": "retry"}]})
    former.run(kill_after=1)
    api.asked.clear()

    shop({**CURSOR, "responses": [{"status": 409, "means": means, **message}]}).run()

    assert [asked.query.get("cursor") for asked in api.asked] == again
    assert former.values() == [1, 2, 3, 4]
