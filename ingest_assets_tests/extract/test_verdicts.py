"""Why a walk ends, and what counts as its end."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.extract.expected import refuse_unmarked
from ingest_assets.http.answer import Response

FLAGGED = {"paginator": {"type": "cursor", "path": "next", "param": "cursor", "has_more": "more"}}
ONE, TWO, THREE = ({"id": n} for n in (1, 2, 3))


def ended(lab):
    """The newest fetch's verdict, reason and records."""
    end = lab.stored()[-1].manifest.ended
    return end.verdict, end.reason, end.records


@pytest.mark.parametrize(
    ("endpoint", "pages", "reason"),
    [
        ({}, [{"data": [ONE], "next": "1"}, {"data": [TWO], "next": None}], "no_next"),
        (
            FLAGGED,
            [{"data": [ONE], "next": "1", "more": True}, {"data": [TWO], "next": "1", "more": False}],
            "has_more_false",
        ),
        (
            {"paginator": {"type": "last_record", "param": "cursor", "field": "id", "page_size": 2}},
            [{"data": [TWO, ONE]}, {"data": [THREE]}],
            "short_page",
        ),
        ({"paginator": None}, [{"data": [ONE]}], "single_page"),
    ],
)
def test_a_walk_that_ends_for_a_stated_reason_is_complete(lab, api, endpoint, pages, reason):
    api.pages(*pages)

    snapshot = lab.fetch(lab.walk(endpoint))

    records = [record for page in pages for record in page["data"]]
    assert ended(lab) == ("complete", reason, len(records))
    assert lab.records(snapshot) == records
    assert len(api.asked) == len(pages)


def test_no_records_at_all_is_complete_where_it_is_the_last_page(lab, api):
    api.pages({"data": [], "next": None})

    lab.fetch(lab.walk())

    assert ended(lab) == ("complete", "no_next", 0)


def test_reaching_the_total_is_told(lab, api):
    api.pages({"data": [ONE], "next": "1", "total": 2}, {"data": [TWO], "next": None})

    snapshot = lab.fetch(lab.walk({"total": "total"}))

    assert snapshot.manifest.ended.expected == 2


@pytest.mark.parametrize(
    ("endpoint", "pages", "message"),
    [
        ({"total": "total"}, [{"data": [ONE], "total": 3, "next": None}], "says 3 records, and 1 came"),
        ({"total": "total"}, [{"data": [ONE], "next": None}], "no number at 'total'"),
        ({}, [{"data": [ONE], "next": "1"}, {"data": [], "next": "2"}], "page 1 holds no records"),
        ({}, [{"data": [ONE]}], "next"),
        (FLAGGED, [{"data": [ONE], "next": None, "more": True}], "next"),
        (FLAGGED, [{"data": [ONE], "next": None}], "more"),
    ],
)
def test_a_walk_without_a_stated_end_has_failed(lab, api, endpoint, pages, message):
    api.pages(*pages)

    with pytest.raises(WalkIncomplete, match=message):
        lab.fetch(lab.walk(endpoint))

    assert ended(lab)[0] == "failed"
    assert message in ended(lab)[1]


def test_an_empty_page_in_the_middle_may_be_a_habit(lab, api):
    api.pages({"data": [ONE], "next": "1"}, {"data": [], "next": "2"}, {"data": [TWO], "next": None})

    snapshot = lab.fetch(lab.walk({"empty_page": "continue"}))

    assert ended(lab) == ("complete", "no_next", 2)
    assert lab.records(snapshot) == [ONE, TWO]


def test_empty_pages_without_end_are_a_failure_that_says_what_to_do(lab, api, answer):
    api.answer = lambda query: answer({"data": [], "next": str(int(query.get("cursor", 0)) + 1)})

    with pytest.raises(WalkIncomplete, match=r"3 pages in a row hold no records.*raise `max_empty_pages` \(now 3\)"):
        lab.fetch(lab.walk({"empty_page": "continue", "max_empty_pages": 3}))

    assert ended(lab)[0] == "failed"
    assert len(api.asked) == 3


def test_a_hundred_empty_pages_in_a_row_are_enough_where_the_file_says_no_number(lab, api, answer):
    api.answer = lambda query: answer({"data": [], "next": str(int(query.get("cursor", 0)) + 1)})

    with pytest.raises(WalkIncomplete, match="100 pages in a row"):
        lab.fetch(lab.walk({"empty_page": "continue"}))

    assert len(api.asked) == 100


def test_empty_pages_are_counted_in_a_row_and_the_last_one_does_not_count(lab, api):
    empty = [{"data": [], "next": str(place)} for place in range(1, 6)]
    full = [{"data": [ONE], "next": "3"}, {"data": [TWO], "next": "6"}]
    api.pages(empty[0], empty[1], full[0], empty[3], empty[4], full[1] | {"next": "6"}, {"data": [], "next": None})

    lab.fetch(lab.walk({"empty_page": "continue", "max_empty_pages": 3}))

    assert ended(lab) == ("complete", "no_next", 2)


def test_a_walk_that_goes_on_remembers_the_empty_pages_it_has_stored(lab, api, answer):
    api.pages({"data": [], "next": "1"}, {"data": [], "next": "2"}, answer({}, status=500))
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk({"empty_page": "continue", "max_empty_pages": 3}))
    api.answer = lambda query: answer({"data": [], "next": str(int(query["cursor"]) + 1)})
    asked = len(api.asked)

    with pytest.raises(WalkIncomplete, match="3 pages in a row"):
        lab.fetch(lab.walk({"empty_page": "continue", "max_empty_pages": 3}))

    assert len(api.asked) == asked + 1


@given(
    lead=st.integers(0, 8),
    cycle=st.integers(1, 12),
    sizes=st.lists(st.integers(0, 2), min_size=20, max_size=20),
    cursor_moves=st.booleans(),
)
@settings(
    max_examples=200 if os.environ.get("INGEST_LONG") else 12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_circle_of_any_length_after_any_way_ends_the_walk(lab_of, api, answer, lead, cycle, sizes, cursor_moves):
    """Either the cursors come again, whatever the pages hold, or the cursors are new and the pages come again."""
    if cursor_moves:
        sizes = [max(size, 1) for size in sizes]

    def told(query):
        step = int(query.get("cursor", 0))
        place = step if step < lead + cycle else lead + (step - lead) % cycle
        following = step + 1 if cursor_moves else place + 1 if place + 1 < lead + cycle else lead
        seen = place if cursor_moves else len(api.asked)
        return answer({"data": [{"id": [seen, n]} for n in range(sizes[place])], "next": str(following)})

    api.answer, api.asked = told, []

    with tempfile.TemporaryDirectory() as folder:
        lab = lab_of(api, Path(folder))
        with pytest.raises(WalkIncomplete, match="circles"):
            lab.fetch(lab.walk({"empty_page": "continue", "max_empty_pages": 1000}))

    assert len(api.asked) <= lead + cycle + 1


@pytest.mark.parametrize("cycle", [1, 2, 5])
def test_a_cursor_that_comes_again_ends_the_walk(lab, api, answer, cycle):
    def told(query):
        place = int(query.get("cursor", -1)) + 1
        return answer({"data": [{"id": len(api.asked)}], "next": str(place % cycle)})

    api.answer = told

    with pytest.raises(WalkIncomplete, match="circles"):
        lab.fetch(lab.walk())

    assert ended(lab)[0] == "failed"
    assert len(api.asked) == cycle + 1


@pytest.mark.parametrize("cycle", [1, 2, 5])
def test_records_that_come_again_under_new_cursors_end_the_walk(lab, api, answer, cycle):
    def told(query):
        place = int(query.get("cursor", -1)) + 1
        return answer({"data": [{"id": place % cycle}], "next": str(place)})

    api.answer = told

    with pytest.raises(WalkIncomplete, match="very records of page 0"):
        lab.fetch(lab.walk())

    assert ended(lab)[0] == "failed"
    assert len(api.asked) == cycle + 1


@pytest.mark.parametrize("body", [{"items": [ONE], "next": None}, {"data": None, "next": None}, {"data": {"id": 1}}])
def test_a_selector_that_matches_nothing_is_no_empty_page(lab, api, body):
    api.pages(body)

    with pytest.raises(RequestFailed, match="data"):
        lab.fetch(lab.walk())

    assert ended(lab)[0] == "failed"


@pytest.mark.parametrize("beside", [{"data": [ONE], "next": None}, {"data": None}, {}])
def test_an_error_inside_a_good_answer_is_a_failure_that_quotes_it(lab, api, beside):
    api.pages(beside | {"errors": [{"message": "quota exceeded"}]})

    with pytest.raises(RequestFailed, match="quota exceeded"):
        lab.fetch(lab.walk({"errors": "errors"}))

    assert ended(lab)[0] == "failed"


def test_no_errors_inside_a_good_answer_is_none(lab, api):
    api.pages({"data": [ONE], "next": None, "errors": []})

    lab.fetch(lab.walk({"errors": "errors"}))

    assert ended(lab)[0] == "complete"


@pytest.mark.parametrize(
    "bad",
    [{"cut": True}, {"status": 500}, {"status": 429, "headers": {"Retry-After": "0"}}, {"body": b'{"data": [{"id": 1'}],
)
def test_a_failure_that_passes_leaves_no_trace_in_the_records(lab, api, answer, bad):
    good = {"data": [ONE, TWO], "next": None}
    api.in_turn(answer(**{"body": good} | bad), good)

    snapshot = lab.fetch(lab.walk())

    assert ended(lab) == ("complete", "no_next", 2)
    assert lab.records(snapshot) == [ONE, TWO]
    assert snapshot.manifest.ended.traffic["retries"] == 1
    assert snapshot.verify() == []


def test_a_body_that_is_always_cut_leaves_the_walk_to_be_gone_on_with(lab, api, answer):
    page = {"data": [ONE], "next": "1"}
    last = {"data": [TWO], "next": None}
    api.pages(page, answer(last, cut=True))

    with pytest.raises(TransientFailure, match="3 attempts"):
        lab.fetch(lab.walk(), attempts=3)
    unended = lab.verdicts()
    api.pages(page, last)
    asked = len(api.asked)
    snapshot = lab.fetch(lab.walk())

    assert unended == [None]
    assert lab.records(snapshot) == [ONE, TWO]
    assert api.asked[asked:] == [{"cursor": "1"}]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_not_tried_again(lab, api, answer, status):
    api.pages(answer({"error": "no"}, status=status))

    with pytest.raises(RequestFailed, match=str(status)):
        lab.fetch(lab.walk())

    assert len(api.asked) == 1
    assert ended(lab)[0] == "failed"


def test_a_wait_longer_than_allowed_is_not_begun(lab, api, answer):
    api.pages(answer({}, status=429, headers={"Retry-After": "120"}))

    with pytest.raises(TransientFailure, match="429"):
        lab.fetch(lab.walk(), max_wait_seconds=60)

    assert len(api.asked) == 1
    assert lab.slept == []
    assert lab.verdicts() == [None]


@pytest.mark.parametrize("last", [{"data": [], "next": "2"}, {"data": [TWO]}])
def test_an_incomplete_walk_is_kept_with_a_warning_where_the_file_says_so(lab, api, last):
    api.pages({"data": [ONE], "next": "1"}, last)

    snapshot = lab.fetch(lab.walk({"incomplete": "warn"}))

    assert ended(lab)[0] == "incomplete"
    assert lab.records(snapshot)[0] == ONE


def test_a_refusal_is_a_failure_even_where_incomplete_walks_are_kept(lab, api, answer):
    api.pages({"data": [ONE], "next": "1"}, answer({}, status=403))

    with pytest.raises(RequestFailed):
        lab.fetch(lab.walk({"incomplete": "warn"}))

    assert ended(lab)[0] == "failed"


def test_an_ended_fetch_is_followed_by_a_new_one(lab, api):
    api.pages({"data": [ONE], "next": "1"}, {"data": [], "next": "2"})
    with pytest.raises(WalkIncomplete):
        lab.fetch(lab.walk())
    api.pages({"data": [ONE], "next": None})

    lab.fetch(lab.walk())

    assert lab.verdicts() == ["failed", "complete"]


NO_CONTENT = r"HTTP 204 No Content, .* `responses: \[\{status: 204, means: empty\}\]`"


def test_no_content_is_no_page_and_what_makes_it_one_is_told(lab, api, answer):
    api.answer = lambda _: answer(b"", 204)

    with pytest.raises(TransientFailure, match=NO_CONTENT):
        lab.fetch(lab.walk())


@pytest.mark.parametrize("decoder", ["csv", "jsonl"])
def test_no_content_needs_no_length_to_be_told_as_such(lab, decoder):
    walk = lab.walk({"decoder": {"type": decoder}, "records": None, "paginator": None})

    with pytest.raises(TransientFailure, match=NO_CONTENT):
        refuse_unmarked(walk, Response(204, {}, "", iter([])))
