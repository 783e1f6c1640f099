"""Why a walk ends, and what counts as its end."""

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete

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


def test_an_error_inside_a_good_answer_is_a_failure_that_quotes_it(lab, api):
    api.pages({"data": [ONE], "next": None, "errors": [{"message": "quota exceeded"}]})

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
