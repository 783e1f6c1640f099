"""What other tools do quietly, measured: each situation ends here in a failure, a verdict or the right rows.

Each test goes the whole way, from a real server to rows in DuckDB. Its docstring says what others did.
"""

import gzip
import itertools
from pathlib import Path
from typing import Any

import pytest

from ingest_assets_tests.whole import Api, Asked, Handler, Reply, Whole, api_of_its_own, state_in, things

CURSOR = {"paginator": {"type": "cursor", "path": "next", "param": "cursor"}}
SECRET = "s3cr3t-0f-th3-sh0p"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_KEY", SECRET)


def nothing_counts(shop: Whole) -> bool:
    """Whether nothing is loaded, the fetch has failed, and the check of completeness says so."""
    return shop.values() == [] and shop.verdicts() == ["failed"] and "is failed" in shop.problems()["complete"]


@pytest.mark.parametrize("sign", [{"total": "total"}, {"total_pages": "pages"}, {"has_more": "more"}])
def test_page_3_of_5_answers_404(api: Api, shop: Any, sign: dict[str, str]) -> None:
    """Others, told to ignore a 404: 10 of 20 rows, success."""
    more = {"total": 20, "pages": 5, "more": True}
    here = shop({"paginator": {"type": "page", **sign}, "primary_key": None, "write": "replace"})
    api.answer = page_404(more)

    told = here.run()

    assert "HTTP 404" in told
    assert nothing_counts(here)


def page_404(more: dict[str, Any]) -> Any:
    """Pages of four by their number, and no third one."""

    def answer(asked: Asked) -> Any:
        number = int(asked.query["page"])
        return Reply({}, 404) if number == 3 else {"data": things(*range(4 * number, 4 * number + 4)), **more}

    return answer


def test_page_3_of_5_answers_404_where_a_404_is_the_sign_of_the_end_and_a_total_is_known(api: Api, shop: Any) -> None:
    api.answer = page_404({"total": 20})
    here = shop({"paginator": {"type": "page", "until": 404}, "total": "total"})

    told = here.run()

    assert "the API says 20 records, and 8 came" in told
    assert nothing_counts(here)


HOLED = ({"data": things(1), "next": "1"}, {"data": [], "next": "2"}, {"data": things(2, 3), "next": None})


def test_page_2_is_empty_and_more_follow(api: Api, shop: Any) -> None:
    """Others: 1 of 3 rows, success."""
    api.pages(*HOLED)
    here = shop(CURSOR)

    told = here.run()

    assert "page 1 holds no records and is not the last one" in told
    assert nothing_counts(here)


def test_page_2_is_empty_and_more_follow_and_the_file_says_that_this_is_so(api: Api, shop: Any) -> None:
    api.pages(*HOLED)
    here = shop({**CURSOR, "empty_page": "continue"})

    told = here.run()

    assert (told, here.values()) == ("", [1, 2, 3])


@pytest.mark.parametrize("records", ["dat", "data.items", "Data", ""])
def test_the_selector_is_misspelt(api: Api, shop: Any, records: str) -> None:
    """All others: 0 rows, success."""
    api.pages({"data": things(1, 2), "next": None})
    here = shop({**CURSOR, "records": records})

    told = here.run()

    assert told.startswith("RequestFailed")
    assert nothing_counts(here)


@pytest.mark.parametrize("data", [None, {"things": {"nodes": [], "pageInfo": {"hasNextPage": False}}}])
def test_graphql_tells_errors_inside_http_200(api: Api, shop: Any, data: Any) -> None:
    """All others: 0 rows, success."""
    api.answer = lambda _: {"data": data, "errors": [{"message": "field `things` is gone"}]}
    asked = {"method": "POST", "body": {"query": "{ things { id } }", "variables": {}}, "records": "data.things.nodes"}
    here = shop({**asked, "paginator": {"type": "graphql", "path": "data.things.pageInfo"}})

    told = here.run()

    assert told.startswith("RequestFailed")
    assert nothing_counts(here)


@pytest.mark.parametrize("cursors", ["A", "AB", "ABCDE", "0AB"])
def test_the_same_cursor_comes_again_or_others_between(api: Api, shop: Any, cursors: str) -> None:
    """Others went on until the server stopped; one saw A→A, and not A→B→A."""
    numbers, following = itertools.count(), itertools.cycle(cursors)
    api.answer = lambda _: {"data": things(next(numbers)), "next": next(following)}
    here = shop(CURSOR)

    told = here.run()

    assert "circles" in told
    assert len(api.asked) == len(cursors) + 1
    assert nothing_counts(here)


@pytest.mark.parametrize("way", ["next_url", "link"])
def test_the_next_link_leads_to_another_host(api: Api, shop: Any, way: str) -> None:
    """Others sent the bearer token there."""
    with api_of_its_own() as elsewhere:
        link = {"Link": f'<{elsewhere.url}/things?cursor=1>; rel="next"'}
        api.answer = lambda _: Reply({"data": things(1), "next": f"{elsewhere.url}/things"}, headers=link)
        paginator = {"type": "link"} if way == "link" else {"type": "next_url", "path": "next"}
        here = shop({"paginator": paginator}, auth={"type": "bearer", "token": {"env": "SHOP_KEY"}})

        told = here.run()

        assert elsewhere.asked == []
    assert api.asked[0].headers["authorization"] == f"Bearer {SECRET}"
    assert told.startswith("RequestFailed")
    assert nothing_counts(here)


def test_http_400_with_the_key_in_the_query_and_rules_for_responses(api: Api, shop: Any, caplog: Any) -> None:
    """Others printed the key."""
    api.answer = lambda asked: Reply({"error": f"bad request: key {asked.query['key']}"}, 400)
    here = shop(
        {**CURSOR, "responses": [{"status": 400, "path": "error", "text": "too many", "means": "throttled"}]},
        auth={"type": "api_key", "name": "key", "value": {"env": "SHOP_KEY"}, "place": "query"},
        error_message=["error"],
    )
    caplog.set_level("DEBUG")

    told = here.run()

    assert api.asked[0].query["key"] == SECRET
    assert "HTTP 400" in told
    assert SECRET not in told + caplog.text
    assert SECRET.encode() not in here.files()
    assert nothing_counts(here)


def test_retry_after_is_waited_for(api: Api, shop: Any) -> None:
    """Others ignored it where nothing was said, or cut it to their own maximum."""
    throttled = iter([Reply({}, 429, {"Retry-After": "1"})])
    api.answer = lambda _: next(throttled, None) or {"data": things(1), "next": None}
    here = shop(CURSOR)

    told = here.run()

    first, second = api.asked
    assert second.at - first.at >= 1
    assert (told, here.values()) == ("", [1])


def test_retry_after_is_longer_than_the_longest_wait(api: Api, shop: Any) -> None:
    api.answer = lambda _: Reply({}, 429, {"Retry-After": "7200"})
    here = shop(CURSOR)

    told = here.run()

    assert "waits until" in told
    assert len(api.asked) == 1
    assert here.values() == []


def test_the_token_is_revoked_on_page_2(api: Api, shop: Any) -> None:
    """Others: the run fails, no new token."""
    tokens = (f"token-{n}" for n in itertools.count())
    good = set[str]()

    def answer(asked: Asked) -> Any:
        if asked.path == "/token":
            good.clear()
            good.add(token := next(tokens))
            return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in good:
            return Reply({"error": "expired"}, 401, {"WWW-Authenticate": "Bearer"})
        page = int(asked.query.get("cursor", 0))
        if page == 0:
            good.clear()
        return {"data": things(page), "next": str(page + 1) if page < 3 else None}

    api.answer = answer
    auth = {"type": "oauth2_client_credentials", "token_url": f"{api.url}/token", "client_id": "shop"}
    here = shop(CURSOR, auth={**auth, "client_secret": {"env": "SHOP_KEY"}})

    told = here.run()

    assert (told, here.values()) == ("", [0, 1, 2, 3])
    assert sum(asked.path == "/token" for asked in api.asked) == 2


def test_one_integer_is_above_int64(api: Api, shop: Any) -> None:
    """Others: the run fails, and the next run fails again without asking the API."""
    records = [{"id": 1, "n": 1}, {"id": 2, "n": 2**63 + 1}, {"id": 3, "n": -5}]
    api.answer = lambda _: {"data": records, "next": None}
    here = shop(CURSOR)

    told = [here.run(), here.run()]

    assert told == ["", ""]
    assert here.values("n") == [-5, 1, 2**63 + 1]


def test_keys_ab_in_large_and_small_letters(api: Api, shop: Any) -> None:
    """Others: one value lost."""
    api.answer = lambda _: {"data": [{"id": 1, "Ab": "large", "ab": "small"}], "next": None}
    here = shop(CURSOR)

    told = here.run()

    columns = here.ask("SELECT * EXCLUDE (_id, _fetch, _page, _position, _hash) FROM w.shop.things")
    assert told == ""
    assert sorted(columns[0], key=str) == [1, "large", "small"]


def test_an_int_comes_first_and_then_a_float(api: Api, shop: Any) -> None:
    """Others: two columns."""
    api.pages({"data": [{"id": 1, "n": 1}], "next": "1"}, {"data": [{"id": 2, "n": 1.5}], "next": None})
    here = shop(CURSOR)

    told = here.run()

    names = here.ask("SELECT column_name FROM duckdb_columns() WHERE table_name = 'things' AND column_name ^@ 'n'")
    assert (told, here.values("n"), names) == ("", [1, 1.5], [("n",)])


def test_a_cursor_a_parent_and_a_parent_gains_older_rows(api: Api, shop: Any) -> None:
    """Others: 15 of 17 rows."""
    day = "2026-01-{:02}T00:00:00Z"
    rows = {
        "old": [{"id": n, "at": day.format(n + 1)} for n in range(5)],
        "new": [{"id": 100 + n, "at": day.format(20 + n)} for n in range(10)],
    }
    api.answer = lambda asked: {
        "data": [row for row in rows[asked.path.rpartition("/")[2]] if row["at"] >= asked.query["since"]],
        "next": None,
    }
    feed = {"feed": {"from": "since", "start": "2026-01-01", "position": "at"}, "path": "/things/{parent}"}
    here = shop({**CURSOR, **feed, "partitions": {"by": {"parent": ["old", "new"]}}, "newest_by": "at"} | AT)
    told = [here.run("old"), here.run("new")]
    rows["old"] += [{"id": 50, "at": day.format(8)}, {"id": 51, "at": day.format(9)}]

    told += [here.run("new"), here.run("old")]

    assert told == [""] * 4
    assert len(here.values()) == 17


AT = {"columns": {"at": {"type": "timestamptz"}}}


def test_the_walk_fails_on_page_8_of_10(api: Api, shop: Any) -> None:
    """Others: page 1 again."""
    down = [True]

    def answer(asked: Asked) -> Any:
        page = int(asked.query.get("cursor", 0))
        if page == 7 and down[0]:
            return Reply({}, 503, {"Retry-After": "0"})
        return {"data": things(page), "next": str(page + 1) if page < 9 else None}

    api.answer = answer
    here = shop(CURSOR)
    assert "503" in here.run()
    asked, down[0] = len(api.asked), False

    told = here.run()

    assert (told, here.values()) == ("", list(range(10)))
    assert [one.query["cursor"] for one in api.asked[asked:]] == ["7", "8", "9"]


@pytest.mark.parametrize("paginator", [CURSOR["paginator"], {"type": "page", "until": "short_page", "first": 0}])
def test_a_full_page_whose_records_are_all_left_out(api: Api, shop: Any, paginator: dict[str, Any]) -> None:
    """One other ended there once."""
    days = ["2026-01-01T12:00:00Z", "2026-01-02T00:00:00Z", "2026-01-01T23:59:59Z", "2026-01-01T01:00:00Z"]
    pages = [[{"id": 2 * n + m, "at": at} for m in range(2)] for n, at in enumerate(days)]
    pages[-1].pop()

    def answer(asked: Asked) -> Any:
        page = int(asked.query.get("cursor", asked.query.get("page", 0)))
        return {"data": pages[page], "next": str(page + 1) if page + 1 < len(pages) else None}

    api.answer = answer
    window = {"window": {"from": "from", "until": "until", "inclusive": True, "position": "at"}}
    daily = {"partitions": {"every": "day", "start": "2026-01-01"}, "changes": "immutable"}
    here = shop({"paginator": paginator, **window, **daily, **AT})

    told = here.run("2026-01-01")

    assert (told, here.values()) == ("", [0, 1, 4, 5, 6])
    assert here.ask("SELECT received, inserted, filtered FROM w._ingest.fetches") == [(7, 5, 2)]


@pytest.mark.parametrize("token", ["0", 0, "&=+%/ ", "ключ", "null", "-1", "false"])
def test_the_token_is_0_or_as_odd(api: Api, shop: Any, token: str | int) -> None:
    """One other took 0 for nothing, and ended."""
    last, first = {"data": things(2), "next": None}, {"data": things(1), "next": token}
    api.answer = lambda asked: last if asked.query.get("cursor") == str(token) else first
    here = shop(CURSOR)

    told = here.run()

    assert (told, here.values()) == ("", [1, 2])


DAILY = {
    "window": {"from": "from", "until": "until", "format": "date"},
    "partitions": {"every": "day", "start": "2026-01-01"},
    "changes": "immutable",
}
NUMBERED = {"columns": {"id": {"type": "bigint"}}}


def test_a_202_says_that_the_answer_is_still_being_made(api: Api, shop: Any) -> None:
    """Taken for a page, its empty list would be all there is."""
    waits = iter([Reply({"data": [], "next": None}, 202, {"Retry-After": "0"})] * 2)
    api.answer = lambda _: next(waits, None) or {"data": things(1, 2), "next": None}
    here = shop({**CURSOR, **NUMBERED})

    told = here.run()

    assert (told, here.values()) == ("", [1, 2])
    assert len(api.asked) == 3


def test_an_answer_that_is_never_made_is_none(api: Api, shop: Any) -> None:
    api.answer = lambda _: Reply({"data": [], "next": None}, 202, {"Retry-After": "0"})
    here = shop({**CURSOR, **NUMBERED})

    told = here.run()

    assert "HTTP 202 Accepted: the answer is still being made" in told
    assert here.values() == []


@pytest.mark.parametrize("location", ["/things/", "/things/?until=2026-01-02", "/things?other=1"])
def test_a_redirect_leaves_out_the_parameters_of_the_window(api: Api, shop: Any, location: str) -> None:
    """Followed, it brings all days, and stores them as one."""

    def answer(asked: Asked) -> Any:
        asks = asked.path == "/things" and "from" in asked.query
        return Reply(b"", 301, {"Location": location}) if asks else {"data": things(*range(9)), "next": None}

    api.answer = answer
    here = shop({**CURSOR, **DAILY, **NUMBERED})

    told = here.run("2026-01-01")

    assert "without parameter 'from', so the answer would be of something else" in told
    assert len(api.asked) == 1
    assert nothing_counts(here)


def test_a_redirect_that_keeps_the_parameters_is_followed(api: Api, shop: Any) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/things":
            return Reply(b"", 301, {"Location": "/things/?from={from}&until={until}".format(**asked.query)})
        return {"data": things(1), "next": None}

    api.answer = answer
    here = shop({**CURSOR, **DAILY})

    told = here.run("2026-01-01")

    assert (told, here.values()) == ("", [1])


@pytest.mark.parametrize(("status", "is_lost"), [(301, True), (302, True), (307, False)])
def test_a_redirect_leaves_out_the_body_that_says_what_is_asked(
    api: Api, shop: Any, status: int, is_lost: bool
) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/things":
            return Reply(b"", status, {"Location": "/things/"})
        return {"data": things(*range(1 if asked.body else 9)), "next": None}

    api.answer = answer
    here = shop({**CURSOR, "method": "POST", "body": {"only": "mine"}})

    told = here.run()

    if is_lost:
        assert "without its body, so the answer would be of something else" in told
        assert nothing_counts(here)
    else:
        assert (told, here.values()) == ("", [0])


def test_the_number_of_pages_falls_on_the_way(api: Api, shop: Any) -> None:
    """Ended by what the last page says, three of five pages are missing."""
    api.answer = lambda asked: {"data": things(int(asked.query["page"])), "pages": {"1": 5}.get(asked.query["page"], 2)}
    here = shop({"paginator": {"type": "page", "total_pages": "pages"}})

    told = here.run()

    assert "the first page tells of 5 pages, and the walk ended with page 2" in told
    assert nothing_counts(here)


@pytest.mark.parametrize("order", [("2026-01-01", "2026-01-02"), ("2026-01-02", "2026-01-01")])
def test_the_api_does_not_know_the_parameters_of_the_window(api: Api, shop: Any, order: tuple[str, str]) -> None:
    """Each day would hold all days' records."""
    api.answer = lambda _: {"data": things(*range(9)), "next": None}
    here = shop({**CURSOR, **DAILY})

    first, second = here.run(order[0]), here.run(order[1])

    assert first == ""
    assert f"holds the very records of partition {order[0]}. Does the API know the parameters 'from' and" in second
    assert here.verdicts() == ["complete", "failed"]


@pytest.mark.parametrize(
    "so",
    [
        {"write": "replace_partition", "primary_key": None},
        {"changes": "window", "newest_by": "at", **AT},
        {"primary_key": ["day", "id"], "columns": {"day": {"type": "date", "from_partition": "day"}}},
    ],
)
def test_two_days_may_hold_the_same_where_a_key_is_not_of_one_day(api: Api, shop: Any, so: dict[str, Any]) -> None:
    api.answer = lambda _: {"data": [{"id": n, "at": "2026-01-01T00:00:00Z"} for n in range(9)], "next": None}
    here = shop({**CURSOR, **DAILY, **so})

    told = [here.run("2026-01-01"), here.run("2026-01-02"), here.run("2026-01-02")]

    assert told == ["", "", ""]


def test_days_without_records_are_no_copies_of_each_other(api: Api, shop: Any) -> None:
    api.answer = lambda _: {"data": [], "next": None}
    here = shop({**CURSOR, **DAILY, **NUMBERED})

    assert [here.run("2026-01-01"), here.run("2026-01-02")] == ["", ""]


class _UntilClosed(Handler):
    """A server of HTTP/1.0: a body ends where the connection does, wherever that is."""

    protocol_version = "HTTP/1.0"

    def send_header(self, keyword: str, value: str) -> None:
        """No length is told."""
        if keyword != "Content-Length":
            super().send_header(keyword, value)


LINES = {"jsonl": b'{"id":1}\n{"id":2}\n', "csv": b"id\n1\n2\n"}


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
@pytest.mark.parametrize(
    ("so", "is_fine"),
    [
        ({}, False),
        ({"decoder": {"unmarked_end": "accept"}}, True),
        ({"count": {"path": "/count", "value": "count"}}, True),
    ],
)
def test_lines_of_a_body_whose_end_is_marked_nowhere(
    tmp_path: Path, kind: str, so: dict[str, Any], is_fine: bool
) -> None:
    """Cut between two lines, it looks whole."""
    with state_in(tmp_path), api_of_its_own(_UntilClosed) as api:
        api.answer = lambda asked: {"count": 2} if asked.path == "/count" else Reply(LINES[kind])
        decoder = {"type": kind} | so.get("decoder", {})
        here = Whole(tmp_path / "here", api.url, {"records": None, **NUMBERED, **so, "decoder": decoder})

        told = here.run()

    if is_fine:
        assert (told, here.values()) == ("", [1, 2])
    else:
        assert "the answer says nowhere where it ends" in told
        assert nothing_counts(here)


@pytest.mark.parametrize("arrived", [0, 1, 10, -1])
def test_gzip_lines_of_which_no_more_arrives_are_asked_for_again(tmp_path: Path, arrived: int) -> None:
    """Of gzip the end is marked, but not where nothing of it came: that looks like a page without records."""
    packed = gzip.compress(LINES["jsonl"])
    bodies = iter([packed[:arrived], packed])

    with state_in(tmp_path), api_of_its_own(_UntilClosed) as api:
        api.answer = lambda _: Reply(next(bodies), 200, {"Content-Encoding": "gzip"})
        here = Whole(tmp_path / "here", api.url, {"records": None, **NUMBERED, "decoder": {"type": "jsonl"}})

        told = here.run()

    assert (told, here.values()) == ("", [1, 2])


@pytest.mark.parametrize("length", ["abc", "-5", "400;", "4e2", "0x190", ""])
def test_a_length_that_is_no_number_announces_none(tmp_path: Path, length: str) -> None:
    class Odd(Handler):
        protocol_version = "HTTP/1.0"

        def send_header(self, keyword: str, value: str) -> None:
            super().send_header(keyword, length if keyword == "Content-Length" else value)

    with state_in(tmp_path), api_of_its_own(Odd) as api:
        api.answer = lambda _: Reply(LINES["jsonl"])
        here = Whole(tmp_path / "here", api.url, {"records": None, **NUMBERED, "decoder": {"type": "jsonl"}})

        told = here.run()

    assert "the answer says nowhere where it ends" in told
    assert nothing_counts(here)


@pytest.mark.parametrize(
    ("accepted", "amounts"), [({}, ["1234.5", "98765.4"]), ({"unmarked_end": "accept"}, ["1234.5", "98"])]
)
def test_a_last_value_that_may_be_cut_is_asked_for_again_unless_that_is_accepted(
    tmp_path: Path, accepted: dict[str, Any], amounts: list[str]
) -> None:
    """It looks whole, and the number of records is right."""
    whole, asked_for = b"id,amount\n1,1234.5\n2,98765.4\n", []

    def answer(asked: Asked) -> Any:
        if asked.path == "/count":
            return {"count": 2}
        asked_for.append(asked)
        return Reply(whole[: -len("765.4\n")] if len(asked_for) == 1 else whole)

    told = {"decoder": {"type": "csv", **accepted}, "count": {"path": "/count", "value": "count"}}
    with state_in(tmp_path), api_of_its_own(_UntilClosed) as api:
        api.answer = answer
        here = Whole(tmp_path / "here", api.url, {"records": None, **NUMBERED, **told})

        assert here.run() == ""

    assert [amount for (amount,) in here.ask("SELECT amount FROM w.shop.things ORDER BY id")] == amounts


def test_a_total_is_less_than_what_its_own_page_holds(api: Api, shop: Any) -> None:
    """A total of 0 may mean that the API does not know it: the walk would end with the first page."""
    api.answer = lambda asked: {"data": things(*range(2 * int(asked.query["page"]))), "total": 0}
    here = shop({"paginator": {"type": "page", "total": "total"}})

    told = here.run()

    assert "page 0: it holds 2 records, and the API says 0 in all" in told
    assert nothing_counts(here)


BOTH_WAYS = "<?at={0}>; rel=next, <?at=1>; rel=first, <?at={1}>; rel=prev"
LINKED = {
    "to a last page": ["<?at=2>; rel=next, <?at=4>; rel=last", "<?at=3>; rel=next, <?at=4>; rel=last", ""],
    "both ways": [BOTH_WAYS.format(2, 0), BOTH_WAYS.format(3, 1), ""],
    "on only": ["<?at=2>; rel=next", "<?at=3>; rel=next", ""],
    "to a last page, and back": ["<?at=2>; rel=next, <?at=4>; rel=last", BOTH_WAYS.format(3, 1), "<?at=1>; rel=first"],
}


def linked(links: list[str], held: list[int]) -> Any:
    """Pages of so many records with these Link headers; the last of them again for all that follow."""

    def answer(asked: Asked) -> Reply:
        page = int(asked.query.get("at", asked.query.get("page", 1))) - 1
        records = things(*range(10 * page, 10 * page + held[page]))
        return Reply({"data": records}, headers={"Link": links[page]} if links[page] else {})

    return answer


@pytest.mark.parametrize("links", LINKED)
def test_the_link_header_vanishes_in_mid_walk(api: Api, shop: Any, links: str) -> None:
    """A page without a link passes for the last one: 6 of 8 rows, success."""
    api.answer = linked(LINKED[links], [2, 2, 2])
    here = shop({"paginator": {"type": "link"}})

    told = here.run()

    assert "Link header" in told or "the first page names at=4 as 'last', and the walk ended with at=3" in told
    assert nothing_counts(here)


@pytest.mark.parametrize(
    ("links", "held", "paginator"),
    [
        (["<?at=2>; rel=next", "<?at=3>; rel=next", ""], [2, 2, 1], {}),
        (["<?at=2>; rel=next", "<?at=3>; rel=next", ""], [2, 2, 2], {"absent": "end"}),
        (["<?at=2>; rel=next, <?at=2>; rel=last", ""], [2, 2], {}),
        (["<?n=2&page=2>; rel=next, <?n=2&page=2>; rel=last", ""], [2, 2], {}),
        (["<?at=2>; rel=next, <?at=3>; rel=last", BOTH_WAYS.format(3, 1), "<?at=1>; rel=first"], [2, 2, 2], {}),
        (["<?at=2>; rel=next, <?at=2>; rel=last", BOTH_WAYS.format(3, 1), "<?at=2>; rel=prev"], [2, 2, 2], {}),
        (["<?at=2>; rel=next, <?at=x9>; rel=last", "<?at=1>; rel=prev"], [2, 2], {}),
        (["<?at=1>; rel=first, <?at=1>; rel=last"], [2], {}),
        ([""], [2], {}),
    ],
)
def test_the_last_page_by_links_is_known_from_one_that_lost_them(
    api: Api, shop: Any, links: list[str], held: list[int], paginator: dict[str, str]
) -> None:
    api.answer = linked(links, held)
    here = shop({"paginator": {"type": "link", **paginator}})

    told = here.run()

    assert (told, len(here.values())) == ("", sum(held))
