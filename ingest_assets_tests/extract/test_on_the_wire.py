"""What an API told to be sent back arrives there as it was, byte by byte, wherever it goes."""

import json
import os
import tempfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, unquote_to_bytes, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, WalkIncomplete

ODD = ["0", "&=+%/", "a%2Fb%3D", "?#;:@", "é€😀", " ", '"\\', "..x", "=", "%", "+ +", "null", "{page}"]
NAMED = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8) | st.sampled_from(ODD)
FAST = settings(
    max_examples=200 if "INGEST_LONG" in os.environ else 8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def by_query(target, headers, body):
    return parse_qs(urlsplit(target).query, strict_parsing=True)["cursor"]


def by_path(target, headers, body):
    return [unquote(urlsplit(target).path.split("/")[2])]


def by_header(target, headers, body):
    return [headers["X-Cursor"].encode("latin-1").decode()]


def by_json(target, headers, body):
    return [json.loads(body)["page"]["cursor"]]


def by_form(target, headers, body):
    return parse_qs(body.decode(), strict_parsing=True)["page.cursor"]


POST = {"method": "POST", "body": {"a": 1}}
WAYS = {
    "query": ({"param": "cursor"}, {}, by_query),
    "query of a POST": ({"param": {"query": "cursor"}}, POST, by_query),
    "body": ({"param": "page.cursor"}, POST, by_json),
    "form": ({"param": "page.cursor"}, POST | {"body_as": "form"}, by_form),
    "path": ({"param": {"path": "cursor"}, "first": "-"}, {"path": "/things/{cursor}"}, by_path),
}


@pytest.mark.parametrize(
    "paginator",
    [{"type": "next_url", "path": "next"}, {"type": "link"}, {"type": "link", "rel": "more"}],
)
def test_a_relative_next_url_is_relative_to_where_a_redirect_led(lab, api, answer, paginator):
    following = ['<page/2>; rel="next"', f'<page/2>; rel="more"; anchor="{api.url}/things/all/"']

    def told(asked):
        if "/" not in asked:
            return answer({}, status=307, headers={"Location": "/things/all/"})
        is_first = asked["/"] == "all/"
        headers = {"Link": following if is_first else '<./>; rel="first"'}
        return answer({"data": [{"id": asked["/"]}], "next": "page/2" if is_first else None}, headers=headers)

    api.answer = told

    lab.fetch(lab.walk({"path": "/things", "paginator": paginator}))

    assert [target for target, _, _ in api.sent] == ["/things", "/things/all/", "/things/all/page/2"]


@pytest.mark.parametrize("way", sorted(WAYS))
@FAST
@given(cursor=NAMED)
def test_a_cursor_of_the_body_comes_back_as_it_was(lab_of, api, way, cursor):
    param, endpoint, received = WAYS[way]
    if way == "path" and cursor in ("-", ".", ".."):
        return
    api.sent.clear()
    api.in_turn({"data": [{"id": 1}], "next": cursor}, {"data": [{"id": 2}], "next": None})

    with tempfile.TemporaryDirectory() as folder:
        lab = lab_of(api, Path(folder))
        lab.fetch(lab.walk({"paginator": {"type": "cursor", "path": "next", **param}, **endpoint}))

    assert received(*api.sent[1]) == [cursor]


@pytest.mark.parametrize("cursor", ["&=+%/", "a%2Fb", "é€😀", "0", "x y"])
def test_a_cursor_that_goes_into_a_header_comes_back_as_it_was(lab, api, cursor):
    api.in_turn({"data": [{"id": 1}], "next": cursor}, {"data": [{"id": 2}], "next": None})

    lab.fetch(lab.walk({"paginator": {"type": "cursor", "path": "next", "param": {"header": "X-Cursor"}}}))

    assert by_header(*api.sent[1]) == [cursor]


@pytest.mark.parametrize("cursor", ["é€😀", "&=+%/", "a%2Fb"])
def test_a_cursor_of_a_header_comes_back_as_the_bytes_it_was(lab, api, answer, cursor):
    told = {"X-Next": cursor.encode().decode("latin-1")}
    api.in_turn(answer({"data": [{"id": 1}]}, headers=told), answer({"data": [{"id": 2}]}, headers={"X-Next": ""}))

    lab.fetch(lab.walk({"paginator": {"type": "cursor", "header": "X-Next", "param": "cursor"}}))

    assert unquote_to_bytes(urlsplit(api.sent[1][0]).query.partition("=")[2]) == cursor.encode()


@pytest.mark.parametrize(("told", "sent"), [(0, 0), ("0", "0"), (2**63, 2**63), ("1.50", "1.50")])
def test_a_number_in_a_json_body_stays_one(lab, api, told, sent):
    api.in_turn({"data": [{"id": 1}], "next": told}, {"data": [{"id": 2}], "next": None})

    lab.fetch(lab.walk({"paginator": {"type": "cursor", "path": "next", "param": "cursor"}, **POST}))

    assert api.asked[1] == {"a": 1, "cursor": sent}


def test_a_cursor_that_no_url_can_carry_ends_the_walk_and_says_why(lab, api):
    api.in_turn({"data": [{"id": 1}], "next": "\ud800"})

    with pytest.raises(WalkIncomplete, match="page 0: 'cursor': it holds half a character"):
        lab.fetch(lab.walk())

    assert lab.verdicts() == ["failed"]


@pytest.mark.parametrize(
    ("told", "target"),
    [
        ("/other/path?page=2", "/other/path?page=2"),
        ("?page=2", "/things?page=2"),
        ("next?page=2", "/next?page=2"),
        ("?a=%2F%3D%26%25&b=1+2&c=%E2%82%AC", "/things?a=%2F%3D%26%25&b=1+2&c=%E2%82%AC"),
        ("/a%2Fb/%7Ex;v=1?x=1;y=2", "/a%2Fb/%7Ex;v=1?x=1;y=2"),
        ("?limit=9&limit=8&page=2", "/things?limit=9&limit=8&page=2"),
        ("?page=2#top", "/things?page=2"),
        ("?q=é", "/things?q=%C3%A9"),
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_next_url_is_asked_for_as_it_is_written(lab, api, told, target, absolute):
    told = f"{api.url}{'/things' if told.startswith('?') else ''}{told}" if absolute and told[0] in "?/" else told
    api.in_turn({"data": [{"id": 1}], "next": told}, {"data": [{"id": 2}], "next": None})

    lab.fetch(lab.walk({"paginator": {"type": "next_url", "path": "next"}, "params": {"limit": 9}}))

    assert api.sent[1][0] == target


def test_a_parameter_that_is_kept_is_not_sent_twice(lab, api):
    api.in_turn({"data": [{"id": 1}], "next": "?li%6Dit=5&page=2"}, {"data": [{"id": 2}], "next": None})
    paginator = {"type": "next_url", "path": "next", "keep": ["limit", "v"]}

    lab.fetch(lab.walk({"paginator": paginator, "params": {"limit": 9, "v": 3}}))

    assert api.sent[1][0] == "/things?li%6Dit=5&page=2&v=3"


def test_another_port_is_another_origin_and_gets_nothing(lab, api):
    port = int(api.url.rpartition(":")[2]) + 1
    api.in_turn({"data": [{"id": 1}], "next": f"http://127.0.0.1:{port}/things?page=2"})

    with pytest.raises(RequestFailed, match=rf"another origin: expected {api.url}, found http://127.0.0.1:{port}"):
        lab.fetch(lab.walk({"paginator": {"type": "next_url", "path": "next"}}))

    assert len(api.sent) == 1


def test_the_path_and_query_of_another_origin_are_asked_of_the_own_where_the_file_says_so(lab, api):
    api.in_turn({"data": [{"id": 1}], "next": "https://inside:8443/things?page=2"}, {"data": [{"id": 2}], "next": ""})

    lab.fetch(lab.walk({"paginator": {"type": "next_url", "path": "next", "elsewhere": "here"}}))

    assert api.sent[1][0] == "/things?page=2"


@pytest.mark.parametrize("kind", ["cursor", "last_record", "page", "session", "graphql"])
def test_what_only_the_first_request_may_carry_goes_after_it(lab, api, kind):
    kinds = {
        "cursor": {"path": "next", "param": "after"},
        "last_record": {"field": "id", "param": "after", "has_more": "more"},
        "page": {"has_more": "more"},
        "session": {"path": "next", "param": "session", "page_param": "page", "page_size": "size"},
        "graphql": {"path": "info"},
    }
    body = {"method": "POST", "body": {"query": "…", "since": "2026", "v": 1}} if kind == "graphql" else {}
    info = {"hasNextPage": True, "endCursor": "c"}
    first = {"data": [{"id": 1}], "next": "c", "more": True, "size": 1, "info": info}
    api.in_turn(first, {"data": [], "next": None, "more": False, "size": 1, "info": {"hasNextPage": False}})
    paginator = {"type": kind, "drop": ["since"], **kinds[kind]}

    lab.fetch(lab.walk({"paginator": paginator, **(body or {"params": {"since": "2026", "v": 1}})}))

    assert [("since" in asked, "v" in asked) for asked in api.asked] == [(True, True), (False, True)]
