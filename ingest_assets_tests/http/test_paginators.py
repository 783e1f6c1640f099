"""Where the next page is, and by what sign a walk ends."""

from decimal import Decimal

import pytest
from msgspec.structs import asdict
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
GITLAB = {"type": "cursor", "header": "X-Next-Page", "param": "page"}
GITHUB = {"type": "link"}
NUMBERED = {"type": "page"}
OFFSET = {"type": "offset"}
THIRD = PageRequest("https://x.example/v1/things", (("page", "3"), ("offset", "300")))
THIRD_POST = PageRequest("https://x.example/v1/things", method="POST", body={"paging": {"page": 3, "offset": 300}})


def paginator(given):
    return TypeAdapter(Paginator).validate_python(given)


def page(envelope=None, records=2, last=None, request=GET, headers=None, before=0, fullest=0):
    return Page(3, request, 200, headers or {}, envelope, records, last, before, fullest)


def third(envelope=None, records=100, headers=None, before=200, fullest=100, request=THIRD):
    """The third page of a hundred records, by number or by offset."""
    return page(envelope, records, None, request, headers, before, fullest)


def linked(*lines):
    """A page whose answer held these lines of Link, which arrive joined."""
    return page(headers={"link": ", ".join(lines)})


@pytest.mark.parametrize(
    ("given", "answered", "reason"),
    [
        ({"type": "none"}, page({}), "single_page"),
        (STRIPE, page({"has_more": False}), "has_more_false"),
        (STRIPE, page({"has_more": False}, records=0), "has_more_false"),
        (RUNS, page({}, records=1, request=POST, before=2, fullest=2), "short_page"),
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
        (GITLAB, page(headers={"x-next-page": ""}), "no_next"),
        ({**GITLAB, "absent": "end"}, page(), "no_next"),
        (GITHUB, page(), "no_next"),
        (GITHUB, linked("<?page=1>; rel=prev", '<?page=9>; rel="last"'), "no_next"),
        ({**NUMBERED, "total_pages": "pages"}, third({"pages": 3}), "total_reached"),
        ({**NUMBERED, "total_pages": "pages"}, third({"pages": "3"}, records=0), "total_reached"),
        ({**NUMBERED, "total_pages": "pages", "first": 0}, third({"pages": Decimal("4.0")}), "total_reached"),
        ({**NUMBERED, "total_pages": {"header": "X-Pages"}}, third(headers={"x-pages": " 3 "}), "total_reached"),
        ({**NUMBERED, "total_pages": "pages"}, page({"pages": 0}, records=0), "total_reached"),
        ({**NUMBERED, "total": "meta.count"}, third({"meta": {"count": 300}}), "total_reached"),
        ({**NUMBERED, "total": "count"}, page({"count": "0"}, records=0), "total_reached"),
        (
            {**OFFSET, "total": {"header": "Content-Range"}},
            third(headers={"content-range": "300-399/300"}),
            "total_reached",
        ),
        ({**OFFSET, "total": "count"}, third({"count": 300}, request=THIRD_POST), "total_reached"),
        ({**NUMBERED, "has_more": "more"}, third({"more": False}), "has_more_false"),
        ({**OFFSET, "done": "end"}, third({"end": True}), "done_true"),
        ({**NUMBERED, "until": "short_page"}, third(records=99), "short_page"),
        ({**NUMBERED, "until": "short_page"}, page(records=0), "short_page"),
        ({**OFFSET, "until": "empty_page"}, third(records=0), "empty_page"),
        ({**OFFSET, "until": 404}, page(records=0), "empty_page"),
        (STRIPE, page({"has_more": "N"}), "has_more_false"),
        (STRIPE, page({"has_more": 0}), "has_more_false"),
        ({**STRIPE, "has_more": {"header": "X-More"}}, page(headers={"x-more": "False"}), "has_more_false"),
        ({**STRIPE, "absent": "end"}, page({}), "has_more_false"),
        ({**NUMBERED, "has_more": "more", "absent": "end"}, third({}), "has_more_false"),
        ({"type": "last_record", "param": "a", "field": "id", "until": "empty_page"}, page(records=0), "empty_page"),
        ({**SLACK, "has_more": "more", "absent": "end"}, page({"meta": {"next": None}}), "no_next"),
        ({**SLACK, "end": ["0", "-1"]}, page({"meta": {"next": 0}}), "no_next"),
        ({**SLACK, "end": ["false"]}, page({"meta": {"next": False}}), "no_next"),
        ({**GITLAB, "end": ["null"]}, page(headers={"x-next-page": "null"}), "no_next"),
        ({**SLACK, "until": "empty_page"}, page({"meta": {"next": "x"}}, records=0), "empty_page"),
        (
            {**SLACK, "until": "same_cursor"},
            page({"meta": {"next": "x"}}, request=PageRequest("https://x.example", (("cursor", "x"),))),
            "same_cursor",
        ),
        ({"type": "next_url", "header": "X-Next"}, page(headers={"x-next": ""}), "no_next"),
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
        (
            {**GRAPHQL, "variable": "page.after"},
            page({"data": {"runs": {"pageInfo": MORE}}}, request=POST),
            {"body": {"query": "…", "variables": {"limit": 2, "page": {"after": "c"}}}},
        ),
        (GITLAB, page(headers={"x-next-page": "0"}), {"params": (*GET.params, ("page", "0"))}),
        (GITHUB, linked("<?p=2>; rel=next"), {"url": "https://x.example/v1/things?p=2", "params": ()}),
        (STRIPE, page({"has_more": "true"}, last={"id": "é&="}), {"params": (*GET.params, ("after", "é&="))}),
        (STRIPE, page({"has_more": 12}, last={"id": 0}), {"params": (*GET.params, ("after", "0"))}),
        ({**SLACK, "param": {"header": "X-a"}}, page({"meta": {"next": "b"}}), {"headers": (("X-a", "b"),)}),
        (
            {**SLACK, "param": {"query": "c"}},
            page({"meta": {"next": "b"}}, request=POST),
            {"params": (("c", "b"),), "body": POST.body},
        ),
        (
            {**SLACK, "param": "cursor"},
            page({"meta": {"next": 7}}, request=POST),
            {"body": {**POST.body, "cursor": 7}},
        ),
        (
            {**SLACK, "param": {"path": "c"}, "next_path": "/v2/more/{c}", "drop": ["limit", "start"]},
            page({"meta": {"next": "a/b"}}),
            {"url": "https://x.example/v2/more/{c}", "params": (), "path": (("c", "a/b"),)},
        ),
        ({**NUMBERED, "total": "n", "drop": ["offset"]}, third({"n": 301}), {"params": (("page", "4"),)}),
        (
            {"type": "next_url", "header": "X-Next"},
            page(headers={"x-next": "/b?c=%2f"}),
            {"url": "https://x.example/b?c=%2f", "params": ()},
        ),
        (
            {"type": "next_url", "path": "link[rel=next].href"},
            page({"link": [{"rel": "self", "href": "/a"}, {"rel": "next", "href": "/b"}]}),
            {"url": "https://x.example/b", "params": ()},
        ),
        (
            {"type": "next_url", "path": "@odata.nextLink", "absent": "end"},
            page({"@odata.context": "/m", "@odata.nextLink": "/b?$skiptoken=X%27"}),
            {"url": "https://x.example/b?$skiptoken=X%27", "params": ()},
        ),
        (
            {**LINKS, "elsewhere": "here"},
            page({"next": "http://internal:8080/b?p=2"}),
            {"url": "https://x.example/b?p=2", "params": ()},
        ),
        (
            {**GITHUB, "keep": ["limit"], "rel": "More"},
            linked("</b?a=%2F>; rel=more"),
            {"url": "https://x.example/b?a=%2F", "params": (("limit", "2"),)},
        ),
        ({**NUMBERED, "total_pages": "n"}, third({"n": 4}), {"params": (("offset", "300"), ("page", "4"))}),
        ({**NUMBERED, "total_pages": "n", "first": 0}, third({"n": 5}), {"params": (("offset", "300"), ("page", "4"))}),
        ({**NUMBERED, "total": "n"}, third({"n": 301}), {"params": (("offset", "300"), ("page", "4"))}),
        ({**NUMBERED, "until": 404}, third(records=0), {"params": (("offset", "300"), ("page", "4"))}),
        ({**NUMBERED, "until": "short_page"}, third(), {"params": (("offset", "300"), ("page", "4"))}),
        ({**NUMBERED, "until": "short_page"}, page(), {"params": (*GET.params, ("page", "2"))}),
        ({**OFFSET, "total": "n"}, third({"n": 999}, records=40), {"params": (("page", "3"), ("offset", "340"))}),
        ({**OFFSET, "until": "short_page", "first": 1}, page(), {"params": (*GET.params, ("offset", "3"))}),
        (
            {**OFFSET, "param": "paging.offset", "total": "n"},
            third({"n": 999}, request=THIRD_POST),
            {"body": {"paging": {"page": 3, "offset": 400}}},
        ),
    ],
)
def test_the_next_request_differs_only_by_what_leads_on(given, answered, changed):
    following = paginator(given).next(answered)

    assert {name: value for name, value in asdict(following).items() if value != asdict(answered.request)[name]} == {
        name: value for name, value in changed.items() if value != asdict(answered.request)[name]
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
        (STRIPE, page({"has_more": "maybe"}), "found a text"),
        (STRIPE, page({"has_more": ""}), "found a text"),
        (STRIPE, page({"has_more": None}), "found null"),
        (STRIPE, page({"has_more": [True]}), "found a list"),
        (STRIPE, page({"has_more": -1}), "found a number"),
        (STRIPE, page({"has_more": Decimal("0.5")}), "found a number"),
        ({**SLACK, "has_more": "more", "absent": "end"}, page({"meta": {"next": "x"}}), "nothing at 'more'.*a text at"),
        ({**SLACK, "until": "empty_page"}, page({"meta": {"next": None}}), "found null"),
        ({**SLACK, "end": ["0"]}, page({"meta": {"next": False}}), "found a boolean"),
        ({**SLACK, "param": {"path": "c"}, "first": "1"}, page({"meta": {"next": ".."}}), "cannot be a part of a path"),
        (SLACK, page({"meta": {"next": "\ud800"}}), "half a character"),
        ({**SLACK, "param": {"header": "X-Next"}}, page({"meta": {"next": "b\nX: 1"}}), "holds a line break"),
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
        (GITLAB, page(), "nothing in header 'X-Next-Page'.*absent: end"),
        (GITHUB, linked('<?p=2>; rel="next'), "Link header cannot be read to its end: expected ; or , at character 12"),
        (GITHUB, linked("?p=2; rel=next"), "expected < at character 0"),
        (GITHUB, linked('<?p=2>; rel=next; anchor="http://["'), "Link header cannot be read to its end: Invalid"),
        (GITHUB, linked("<?p=2>; rel=next", "<?p=3>; rel=next"), "names 2 pages as 'next'"),
        ({**NUMBERED, "total_pages": "n"}, third({"n": "many"}), "expected a whole number at 'n'.*found a text"),
        ({**NUMBERED, "total_pages": "n"}, third({}), "found nothing"),
        ({**NUMBERED, "total_pages": "n"}, third({"n": Decimal("2.5")}), "found a number"),
        ({**NUMBERED, "total": {"header": "X-Total"}}, third(), "in header 'X-Total'.*found nothing"),
        ({**NUMBERED, "total": {"header": "Content-Range"}}, third(headers={"content-range": "0-9/*"}), "found a text"),
        ({**NUMBERED, "total": "n"}, third({"n": 400}, records=0), "says 400 in all, of which 200 came"),
        ({**OFFSET, "has_more": "more"}, third({"more": True}, records=0), "no offset leads on"),
        ({**NUMBERED, "until": 404}, page(request=PageRequest("https://x.example", (("page", "x"),))), "is no number"),
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


@pytest.mark.parametrize("more", [{}, {"total": "a", "until": 404}, {"has_more": "a", "done": "b"}])
@pytest.mark.parametrize("kind", [NUMBERED, OFFSET])
def test_a_numbered_walk_has_one_sign_of_its_end(kind, more):
    with pytest.raises(ValidationError, match=r"give one of total, .*until: the walk has to know its last page"):
        paginator({**kind, **more})


@pytest.mark.parametrize("size", ["page_size", "limit", "per_page"])
def test_where_the_size_of_a_page_goes_is_told(size):
    with pytest.raises(ValidationError, match=f"{size}: how many records .* under `params:`"):
        paginator({**NUMBERED, "until": 404, size: 100})


def test_a_status_may_be_written_as_text():
    assert paginator({**NUMBERED, "until": "404"}) == paginator({**NUMBERED, "until": 404})


def test_the_own_origin_is_asked_for_nothing_but_paths_of_the_web():
    with pytest.raises(RequestFailed, match="another origin"):
        paginator({**LINKS, "elsewhere": "here"}).next(page({"next": "file:///etc/passwd"}))


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"until": "empty_page", "done": "end"}, "leave has_more, done, end, absent out"),
        ({"param": {"path": "c"}}, "the first request needs something for {c}: say first, or next_path"),
        ({"param": {"path": "c", "header": "X"}}, "expected a name, or one of {query"),
        ({"param": {"segment": "c"}}, "segment"),
    ],
)
def test_a_cursor_that_cannot_work_is_refused(more, told):
    with pytest.raises(ValidationError, match=told):
        paginator({**SLACK, **more})


@pytest.mark.parametrize("more", [{}, {"path": "a", "header": "b"}])
def test_a_cursor_is_in_one_place(more):
    with pytest.raises(ValidationError, match=r"one of path .* and header"):
        paginator({"type": "cursor", "param": "cursor", **more})


@pytest.mark.parametrize(
    ("given", "status", "ends"),
    [(404, 404, True), (404, 410, False), (404, None, False), ("short_page", 404, False), ("empty_page", 404, False)],
)
def test_a_refusal_ends_a_walk_only_where_that_is_said_and_only_a_404(given, status, ends):
    assert paginator({**NUMBERED, "until": given}).ends_at(status) is ends


@pytest.mark.parametrize(
    ("given", "params"),
    [
        ({**NUMBERED, "until": 404}, (*GET.params, ("page", "1"))),
        ({**NUMBERED, "until": 404, "first": 0, "param": "p"}, (*GET.params, ("p", "0"))),
        ({**OFFSET, "until": 404}, (*GET.params, ("offset", "0"))),
        (GITHUB, GET.params),
    ],
)
def test_the_first_request_says_which_page_is_the_first(given, params):
    assert paginator(given).begun(GET).params == params


def test_in_a_form_a_dot_is_a_part_of_a_name():
    form = PageRequest("https://x.example/q", method="POST", body={"page.number": "3", "a": 1}, body_as="form")

    numbered = paginator({"type": "page", "param": "page.number", "has_more": "more"})
    following = numbered.next(third({"more": True}, request=form))

    assert following.body == {"page.number": 4, "a": 1}


def test_what_only_the_first_request_may_carry_may_stand_deeper_in_a_body():
    first = PageRequest("https://x.example/q", method="POST", body={"variables": {"first": True, "limit": 2}})
    cursor = {"type": "cursor", "path": "next", "param": "variables.cursor", "drop": ["variables.first"]}

    following = paginator(cursor).next(page({"next": "c"}, request=first))

    assert following.body == {"variables": {"limit": 2, "cursor": "c"}}
