"""Where the next page is, and by what sign a walk ends."""

from decimal import Decimal

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import RequestFailed, WalkIncomplete
from ingest_assets.http.page import Page, PageRequest
from ingest_assets.http.paginators import Paginator

GET = PageRequest("https://x.example/v1/things?v=1", (("limit", "2"), ("start", "0")), headers=(("X-A", "1"),))
POST = PageRequest("https://x.example/q", method="POST", body={"query": "…", "variables": {"limit": 2}})
STRIPE = {"type": "last_record", "param": "after", "field": "id", "has_more": "has_more"}
RUNS = {"type": "last_record", "param": "variables.cursor", "field": "run.id", "page_size": 2}
ZENDESK = {"type": "cursor", "path": "after", "param": "cursor", "done": "end", "drop": ["start"]}
SLACK = {"type": "cursor", "path": "meta.next", "param": "cursor"}
LINKS = {"type": "next_url", "path": "next"}
ENGAGE = {"type": "session", "path": "session_id", "param": "session_id", "page_param": "page", "page_size": "size"}
MORE = {"hasNextPage": True, "endCursor": "c"}
GRAPHQL = {"type": "graphql", "path": "data.runs.pageInfo"}


def paginator(given):
    return TypeAdapter(Paginator).validate_python(given)


def page(envelope, records=2, last=None, request=GET):
    return Page(3, request, 200, envelope=envelope, records=records, last_record=last)


@pytest.mark.parametrize(
    ("given", "answered", "reason"),
    [
        ({"type": "none"}, page({}), "single_page"),
        (STRIPE, page({"has_more": False}), "has_more_false"),
        (STRIPE, page({"has_more": False}, records=0), "has_more_false"),
        (RUNS, page({}, records=1, request=POST), "short_page"),
        (RUNS, page({}, records=0, request=POST), "short_page"),
        (ZENDESK, page({"after": "abc", "end": True}), "done_true"),
        (SLACK, page({"meta": {"next": None}}), "no_next"),
        (SLACK, page({"meta": {"next": ""}}), "no_next"),
        ({**SLACK, "absent": "end"}, page({}), "no_next"),
        ({**SLACK, "has_more": "more"}, page({"more": False, "meta": {"next": "x"}}), "has_more_false"),
        (LINKS, page({"next": None}), "no_next"),
        ({**LINKS, "has_more": "more"}, page({"more": False, "next": "https://x.example/?p=2"}), "has_more_false"),
        ({**LINKS, "done": "end"}, page({"end": True}), "done_true"),
        (ENGAGE, page({"size": 3}), "short_page"),
        (GRAPHQL, page({"data": {"runs": {"pageInfo": {"hasNextPage": False}}}}, request=POST), "has_more_false"),
    ],
)
def test_a_walk_ends_by_a_stated_sign(given, answered, reason):
    assert paginator(given).finished(answered) == reason
    assert paginator(given).next(answered) is None


@pytest.mark.parametrize(
    ("given", "answered", "changed"),
    [
        (STRIPE, page({"has_more": True}, last={"id": 7}), {"params": (*GET.params, ("after", "7"))}),
        (
            RUNS,
            page({}, last={"run": {"id": "a"}}, request=POST),
            {"body": {"query": "…", "variables": {"limit": 2, "cursor": "a"}}},
        ),
        (ZENDESK, page({"after": "a=", "end": False}), {"params": (("limit", "2"), ("cursor", "a="))}),
        (ZENDESK, page({"after": "a=", "end": False}, records=0), {"params": (("limit", "2"), ("cursor", "a="))}),
        (SLACK, page({"meta": {"next": 0}}), {"params": (*GET.params, ("cursor", "0"))}),
        (SLACK, page({"meta": {"next": Decimal("1.50")}}), {"params": (*GET.params, ("cursor", "1.50"))}),
        (
            LINKS,
            page({"next": "https://X.example:443/b?a=%2F%20"}),
            {"url": "https://X.example:443/b?a=%2F%20", "params": ()},
        ),
        (LINKS, page({"next": "?p=2#top"}), {"url": "https://x.example/v1/things?p=2", "params": ()}),
        (
            {**LINKS, "keep": ["limit", "start"]},
            page({"next": "/b?start=5"}),
            {"url": "https://x.example/b?start=5", "params": (("limit", "2"),)},
        ),
        (
            ENGAGE,
            page({"size": 2, "session_id": "s"}, request=POST),
            {"body": {**POST.body, "session_id": "s", "page": 1}},
        ),
        (ENGAGE, page({"size": 2, "session_id": "s"}), {"params": (*GET.params, ("session_id", "s"), ("page", "1"))}),
        (
            GRAPHQL,
            page({"data": {"runs": {"pageInfo": MORE}}}, request=POST),
            {"body": {"query": "…", "variables": {"limit": 2, "after": "c"}}},
        ),
    ],
)
def test_the_next_request_differs_only_by_what_leads_on(given, answered, changed):
    following = paginator(given).next(answered)

    assert {name: value for name, value in vars(following).items() if value != vars(answered.request)[name]} == {
        name: value for name, value in changed.items() if value != vars(answered.request)[name]
    }


def test_a_cursor_takes_the_place_of_the_one_before():
    cursor = paginator(SLACK)

    second = cursor.next(page({"meta": {"next": "a"}}))
    third = cursor.next(page({"meta": {"next": "b"}}, request=second))

    assert third.params == (*GET.params, ("cursor", "b"))


def test_pages_of_a_session_count_up():
    engage = paginator(ENGAGE)
    envelope = {"size": 2, "session_id": "s"}

    third = engage.next(page(envelope, request=engage.next(page(envelope, request=POST))))

    assert third.body["page"] == 2


@pytest.mark.parametrize(
    ("given", "answered", "told"),
    [
        (STRIPE, page({}), "true or false at 'has_more'.*found nothing"),
        (STRIPE, page([]), "found nothing"),
        (STRIPE, page({"has_more": "true"}), "found a text"),
        (STRIPE, page({"has_more": None}), "found null"),
        (STRIPE, page({"has_more": 1}), "found a number"),
        (STRIPE, page({"has_more": True}, records=0), "there is no records"),
        (STRIPE, page({"has_more": True}, last={"key": 1}), "nothing in the last record"),
        (STRIPE, page({"has_more": True}, last={"id": True}), "a boolean in the last record"),
        (ZENDESK, page({"end": False}), "no cursor at 'after'.*found nothing"),
        (ZENDESK, page({"end": False, "after": None}), "found null"),
        (ZENDESK, page({"end": False, "after": ["a"]}), "found a list"),
        (SLACK, page({}), "nothing at 'meta.next'.*absent: end"),
        (SLACK, page({"meta": {"next": True}}), "found a boolean"),
        (LINKS, page({"next": 5}), "found a number"),
        ({**LINKS, "has_more": "more"}, page({"more": True}), "no URL at 'next'"),
        (ENGAGE, page({"session_id": "s"}), "page's size at 'size'.*found nothing"),
        (ENGAGE, page({"size": 0, "session_id": "s"}), "page's size"),
        (ENGAGE, page({"size": 2}), "no session at 'session_id'"),
        (GRAPHQL, page({"data": None}, request=POST), "found nothing"),
        (GRAPHQL, page({"data": {"runs": {"pageInfo": {"hasNextPage": True}}}}, request=POST), "no cursor"),
    ],
)
def test_a_way_that_is_lost_is_no_end(given, answered, told):
    with pytest.raises(WalkIncomplete, match=f"page 3: .*{told}"):
        paginator(given).next(answered)


@pytest.mark.parametrize(
    "found",
    [
        "https://evil.example/v1/things?p=2",
        "http://x.example/v1/things",
        "https://x.example:8443/",
        "//evil.example/",
        "https://x.example@evil.example/",
        "https://evil.example\\@x.example/",
        "https://jo:pw@x.example/",
        "https://x.example/\n",
        "file:///etc/passwd",
        "https://[::1/",
        "https://x.example:port/",
    ],
)
def test_a_next_url_elsewhere_is_refused(found):
    with pytest.raises(RequestFailed, match="next page's URL"):
        paginator(LINKS).next(page({"next": found}))


def test_the_refusal_names_both_origins():
    with pytest.raises(RequestFailed, match=r"expected https://x.example:443, found https://evil.example:443"):
        paginator(LINKS).next(page({"next": "https://evil.example/"}))


@pytest.mark.parametrize("given", [GRAPHQL, RUNS, {"type": "none"}])
def test_graphql_errors_inside_a_200_are_a_failure(given):
    answered = page({"data": None, "errors": [{"message": "no such field"}]}, records=0, request=POST)

    with pytest.raises(RequestFailed, match="errors inside HTTP 200: no such field"):
        paginator(given).next(answered)


def test_a_field_called_errors_means_nothing_outside_graphql():
    assert paginator({"type": "none"}).next(page({"errors": ["x"]})) is None


@pytest.mark.parametrize("more", [{}, {"has_more": "a", "page_size": 2}])
def test_the_sign_of_the_last_page_is_given_once(more):
    with pytest.raises(ValidationError, match="one of has_more and page_size"):
        paginator({"type": "last_record", "param": "a", "field": "id", **more})
