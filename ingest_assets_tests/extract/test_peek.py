"""What `ingest check` says of a first page before anything is stored."""

import pytest

from ingest_assets.errors import RequestFailed
from ingest_assets.extract.peek import peek
from ingest_assets.http.client import Client


@pytest.mark.parametrize(
    ("paginator", "headers", "body", "told"),
    [
        ({"type": "link"}, {}, {}, "no header 'link', by which the walk would go on"),
        ({"type": "cursor", "header": "X-Next", "param": "after"}, {}, {}, "no header 'x-next'"),
        ({"type": "page", "total": {"header": "X-Total"}}, {}, {}, "no header 'x-total'"),
        ({"type": "page", "total": "count"}, {}, {"count": 2}, "is it the count of that page alone"),
    ],
)
def test_what_may_be_the_wrong_name_is_told(lab, api, answer, paginator, headers, body, told):
    api.answer = lambda _: answer({"data": [{"id": 1}, {"id": 2}], **body}, headers=headers)

    with Client(api.url) as client:
        found = peek(client, lab.walk({"paginator": paginator}))

    assert any(told in oddity for oddity in found.oddities)


@pytest.mark.parametrize(
    ("paginator", "headers", "body"),
    [
        ({"type": "link"}, {"Link": "</things?page=2>; rel=next"}, {}),
        ({"type": "page", "total": {"header": "X-Total"}}, {"X-Total": "50"}, {}),
        ({"type": "page", "total": "count"}, {}, {"count": "50"}),
    ],
)
def test_of_what_is_there_nothing_is_told(lab, api, answer, paginator, headers, body):
    api.answer = lambda _: answer({"data": [{"id": 1}, {"id": 2}], **body}, headers=headers)

    with Client(api.url) as client:
        found = peek(client, lab.walk({"paginator": paginator}))

    assert found.oddities == ()


@pytest.mark.parametrize(
    ("field", "endpoint", "is_told"), [("at", {}, True), ("id", {}, False), ("at", {"total": "count"}, False)]
)
def test_records_that_share_what_the_next_page_is_asked_for_by_are_told(lab, api, answer, field, endpoint, is_told):
    records = [{"id": 1, "at": 5}, {"id": 2, "at": 5}, {"id": 3}]
    api.answer = lambda _: answer({"data": records, "count": 4, "more": True})
    paginator = {"type": "last_record", "param": "after", "field": field, "has_more": "more"}

    with Client(api.url) as client:
        found = peek(client, lab.walk({"paginator": paginator, **endpoint}))

    assert any(f"records share the value of {field!r}" in oddity for oddity in found.oddities) == is_told


def test_errors_beside_records_are_why_a_walk_would_stop(lab, api, answer):
    api.answer = lambda _: answer({"data": [{"id": 1}], "next": None, "error": "quota exceeded"})

    with Client(api.url) as client:
        found = peek(client, lab.walk({"errors": "error"}))

    assert found.stops == (
        "shop.things: the first page is of status 200, and tells an error at 'error': 'quota exceeded'"
    )


def test_errors_in_place_of_records_are_told(lab, api, answer):
    api.answer = lambda _: answer({"ok": False, "error": "invalid_auth"})

    with Client(api.url) as client, pytest.raises(RequestFailed, match="tells an error at 'error': 'invalid_auth'"):
        peek(client, lab.walk({"errors": "error"}))
