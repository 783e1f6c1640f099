"""Parents that a rule of the source file skips, through the whole line: one alone, named and counted, never quietly."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from ingest_assets_tests.shown import shown
from ingest_assets_tests.whole import Api, Asked, Reply, Whole

SKIP = shown("skip_parent")
THINGS = {
    "path": "/customers/{customers.id}/things",
    "records": "data",
    "primary_key": "id",
    "paginator": {"type": "cursor", "path": "next", "param": "cursor"},
    "responses": [SKIP],
}
CUSTOMERS = {"path": "/customers", "records": "data", "primary_key": "id"}


class Customers:
    """Some customers with two pages of one thing each; `closed` are answered otherwise, each from a page on."""

    def __init__(self, api: Api, count: int) -> None:
        self.ids = [f"c{n}" for n in range(count)]
        self.closed: dict[str, int] = {}
        self.reply = Reply({"error": "closed for legal reasons"}, 451)
        api.answer = self.answer

    def answer(self, asked: Asked) -> Any:
        if asked.path == "/customers":
            return {"data": [{"id": one} for one in self.ids]}
        customer, page = asked.path.split("/")[2], int(asked.query.get("cursor", 0))
        if customer in self.closed and page >= self.closed[customer]:
            return self.reply
        return {"data": [{"id": f"{customer}-{page}"}], "next": None if page else "1"}

    def things(self, *left_out: str) -> list[str]:
        """The ids of all things, but for these customers'."""
        return [f"{one}-{page}" for one in self.ids if one not in left_out for page in (0, 1)]


@pytest.fixture
def shop(api: Api, tmp_path: Path) -> Any:
    """Makes the line of the things of customers, who are loaded."""

    def made(**more: Any) -> Whole:
        endpoints = {"customers": CUSTOMERS, "things": {**THINGS, **more}}
        here = Whole(tmp_path / "here", api.url, {}, {"endpoints": endpoints})
        line = here.line()
        with line.partition("customers", None):
            line.fetch("customers", None)
            line.load("customers", None)
        return here

    return made


def reason(here: Whole) -> str:
    """Why the newest fetch of the things ended."""
    query = "SELECT reason FROM w._ingest.fetches WHERE endpoint = 'things' ORDER BY _fetch DESC LIMIT 1"
    return str(here.ask(query)[0][0])


def verdicts(here: Whole) -> list[str]:
    query = "SELECT verdict FROM w._ingest.fetches WHERE endpoint = 'things' ORDER BY _fetch"
    return [row[0] for row in here.ask(query)]


def test_a_parent_is_skipped_alone_and_named_by_verdict_and_check(api: Api, shop: Any) -> None:
    customers = Customers(api, 4)
    customers.closed = {"c1": 0}
    here = shop(at_once=3)

    told = here.run()

    assert (told, here.values(), verdicts(here)) == ("", customers.things("c1"), ["complete"])
    skipped = "1 of 4 parents skipped by a rule: c1 (HTTP 451, as its status says so)"
    assert reason(here) == f"all_parts_ended, {skipped}"
    assert here.problems() == {"skipped": f"it is without some parents: all_parts_ended, {skipped}"}


def test_the_warning_goes_once_the_parent_is_there_again(api: Api, shop: Any) -> None:
    customers = Customers(api, 2)
    customers.closed = {"c1": 0}
    here = shop()
    here.run()
    customers.closed = {}

    told = here.run()

    assert (told, here.values(), here.problems()) == ("", customers.things(), {})


def test_what_came_of_a_parent_before_it_was_skipped_is_kept(api: Api, shop: Any) -> None:
    customers = Customers(api, 3)
    customers.closed, customers.reply = {"c0": 1}, Reply({"state": "closed"})
    here = shop(responses=[{"path": "state", "equals": "closed", "means": "skip_parent"}])

    told = here.run()

    assert (told, here.values()) == ("", ["c0-0", *customers.things("c0")])
    assert "c0 (HTTP 200, as 'state' is 'closed')" in reason(here)


def test_parents_that_fail_are_told_apart_from_those_that_are_skipped(api: Api, shop: Any) -> None:
    customers = Customers(api, 4)
    here = shop(responses=[{"status": 451, "text": "legal", "means": "skip_parent"}])
    answer = customers.answer
    api.answer = lambda asked: Reply({}, 451) if asked.path.startswith("/customers/c2") else answer(asked)
    customers.closed = {"c1": 0}

    told = here.run()

    assert (told, here.values(), verdicts(here)) == ("", customers.things("c1", "c2"), ["incomplete"])
    assert "1 of 4 requests for parents failed" in reason(here)
    skipped = "1 of 4 parents skipped by a rule: c1 (HTTP 451, as its body holds 'legal')"
    assert skipped in reason(here)
    api.answer = customers.answer
    here.run()  # asks for the one that failed, and for no other
    assert (here.values(), verdicts(here)) == (customers.things("c1"), ["incomplete", "complete"])
    assert skipped in here.problems()["skipped"]


def test_all_parents_skipped_is_a_failure(api: Api, shop: Any) -> None:
    customers = Customers(api, 3)
    here = shop(responses=[{"status": 403, "means": "skip_parent"}], write="replace")
    here.run()
    before = here.values()
    customers.closed, customers.reply = dict.fromkeys(customers.ids, 0), Reply({}, 403)

    told = here.run()

    assert "that is all of them, so it is no matter of one parent" in told
    assert here.values() == before == customers.things()
    assert verdicts(here) == ["complete", "failed"]


def test_a_walk_that_goes_on_names_those_that_were_skipped_before(api: Api, shop: Any) -> None:
    customers = Customers(api, 5)
    customers.closed = {"c0": 0}
    here = shop()
    here.run(kill_after=3)
    api.asked.clear()

    told = here.run()

    assert (told, here.values()) == ("", customers.things("c0"))
    assert "1 of 5 parents skipped by a rule: c0" in reason(here)


def test_a_cursor_that_is_over_after_a_rest_skips_nobody(api: Api, shop: Any) -> None:
    customers = Customers(api, 2)
    here = shop(responses=[{"status": 404, "means": "skip_parent"}])
    here.run(kill_after=0)
    gone, answer = ["1"], customers.answer
    api.answer = lambda asked: Reply({}, 404) if "cursor" in asked.query and gone and gone.pop() else answer(asked)

    told = here.run()

    assert (told, here.values(), gone) == ("", customers.things(), [])
    assert verdicts(here)[-1] == "complete"
    assert "skipped" not in reason(here)


def test_a_parent_that_is_skipped_keeps_the_position_of_its_feed(api: Api, shop: Any) -> None:
    customers, position = Customers(api, 2), {"at": "2026-01-02T00:00:00Z"}

    def answer(asked: Asked) -> Any:
        if asked.path == "/customers":
            return customers.answer(asked)
        customer = asked.path.split("/")[2]
        if customer in customers.closed:
            return customers.reply
        return {"data": [{"id": f"{customer}-{asked.query['since']}", "at": position["at"]}], "next": None}

    api.answer = answer
    here = shop(feed={"from": "since", "position": "at", "start": "2026-01-01"})
    here.run()
    customers.closed, position["at"] = {"c1": 0}, "2026-01-05T00:00:00Z"
    here.run()
    customers.closed = {}
    api.asked.clear()

    here.run()

    since = {asked.path.split("/")[2]: asked.query["since"] for asked in api.asked}
    assert since == {"c0": "2026-01-05T00:00:00Z", "c1": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"path": "/things"}, "it has no parents to skip"),
        ({"path": "/things?ids={customers.id}", "parents": {"batch": 5}}, "cannot skip one: say batch: 1"),
        ({"responses": [{"status": 500, "means": "skip_parent"}]}, "a 500 may also mean that something is wrong"),
        ({"responses": [{"status": 401, "text": "x", "means": "skip_parent"}]}, "a 401 says nothing of records"),
    ],
)
def test_a_rule_that_could_skip_too_much_is_refused(api: Api, shop: Any, more: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        shop(**more)


def test_a_look_at_a_first_parent_that_is_skipped_says_so(api: Api, shop: Any) -> None:
    customers = Customers(api, 2)
    customers.closed = {"c0": 0}
    here = shop()

    peeked = here.line().peek("things", None)

    assert (peeked.records, peeked.stops) == (0, None)
    assert peeked.oddities == (
        "the first parent, c0, is skipped by a rule of `responses`: HTTP 451, as its status says so",
    )


def test_a_rule_of_the_source_skips_no_parents(api: Api, tmp_path: Path) -> None:
    endpoints = {"customers": CUSTOMERS, "things": THINGS}

    with pytest.raises(ValidationError, match="skip_parent is a matter of one endpoint"):
        Whole(tmp_path, api.url, {}, {"endpoints": endpoints, "responses": [SKIP]}).line()
