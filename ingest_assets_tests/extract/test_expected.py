"""How many records there should be, asked beside the pages or told on them, and what a walk makes of it."""

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.extract.peek import peek
from ingest_assets.http.client import Client

RECORDS = [{"id": n} for n in range(3)]
DAILY = {"window": {"from": "from", "until": "until"}, "partitions": {"every": "day", "start": "2026-03-01"}}
COUNT = {"path": "/things/count", "value": "count"}


def kept(lab):
    """What is kept of the newest fetch: its verdict, the number that was expected, how that was meant, what came."""
    end = lab.stored()[-1].manifest.ended
    return end.verdict, end.expected, end.expected_is, end.records


@pytest.mark.parametrize(
    ("total", "told", "verdict"),
    [
        ("total", {"total": 3}, ("complete", 3, "exactly")),
        ("total", {"total": "2+"}, ("complete", 2, "at_least")),
        ("total", {"total": "2,000+"}, ("failed", 2000, "at_least")),
        ({"path": "total", "tells": "at_least"}, {"total": 2}, ("complete", 2, "at_least")),
        ({"path": "total", "tells": "at_least"}, {"total": 4}, ("failed", 4, "at_least")),
        ({"path": "total", "tells": "about"}, {"total": 400}, ("complete", 400, "about")),
        ({"path": "total", "tells": "about"}, {"total": None}, ("complete", None, "exactly")),
        ({"path": "total", "tells": "about"}, {"total": "400+"}, ("complete", 400, "about")),
        ({"path": "hits.n", "relation": "hits.is"}, {"hits": {"n": 1, "is": "gte"}}, ("complete", 1, "at_least")),
        ({"path": "hits.n", "relation": "hits.is"}, {"hits": {"n": 9, "is": "gte"}}, ("failed", 9, "at_least")),
        ({"path": "hits.n", "relation": "hits.is"}, {"hits": {"n": 9, "is": "eq"}}, ("failed", 9, "exactly")),
        ({"path": "n", "relation": "exact"}, {"n": 9, "exact": False}, ("complete", 9, "about")),
        ({"path": "n", "relation": "exact"}, {"n": 9, "exact": True}, ("failed", 9, "exactly")),
        ({"path": "n", "relation": "exact"}, {"n": 3, "exact": "nearly"}, ("failed", None, "exactly")),
    ],
)
def test_a_total_counts_as_much_as_the_api_says_it_is_worth(lab, api, total, told, verdict):
    api.pages({"data": RECORDS, "next": None, **told})

    if verdict[0] == "failed":
        with pytest.raises(WalkIncomplete):
            lab.fetch(lab.walk({"total": total}))
    else:
        lab.fetch(lab.walk({"total": total}))

    assert kept(lab) == (*verdict, 3)


def test_what_is_missing_of_a_lower_bound_is_told_as_such(lab, api):
    api.pages({"data": RECORDS, "next": None, "total": "10000+"})

    with pytest.raises(WalkIncomplete, match="the API says at least 10,000 records, and 3 came"):
        lab.fetch(lab.walk({"total": "total"}))


def test_records_that_were_added_on_the_way_are_expected_where_the_last_page_counts_them(lab, api):
    api.pages({"data": RECORDS, "next": "1", "total": 3}, {"data": [{"id": 3}], "next": None, "total": 4})

    lab.fetch(lab.walk({"total": "total"}))

    assert kept(lab) == ("complete", 4, "exactly", 4)


def test_a_last_page_that_counts_less_does_not_make_up_for_what_is_missing(lab, api):
    api.pages({"data": RECORDS, "next": "1", "total": 5}, {"data": [{"id": 3}], "next": None, "total": 4})

    with pytest.raises(WalkIncomplete, match="says 5 records, and 4 came"):
        lab.fetch(lab.walk({"total": "total"}))


class Counting:
    """An API that counts when it is asked for a count: told by a parameter, since `api` sees no paths."""

    def __init__(self, answer, *counts, pages=({"data": RECORDS, "next": None},)):
        self.answer, self.counts, self.pages = answer, list(counts), pages

    def __call__(self, query):
        if "count" not in query:
            page = self.pages[int(query.get("cursor", 0))]
        else:
            page = self.counts.pop(0) if len(self.counts) > 1 else self.counts[0]
        return page if isinstance(page, self.answer) else self.answer(page)


def counting(**more):
    return {"count": {**COUNT, "params": {"count": True}, **more}}


def test_a_count_is_asked_before_the_pages_with_the_bounds_of_the_window_alone(lab, api, answer):
    api.answer = Counting(answer, {"count": 3})

    lab.fetch(lab.walk({**counting(), **DAILY, "params": {"limit": 100}}, partition="2026-03-05"))

    bounds = {"from": "2026-03-05T00:00:00Z", "until": "2026-03-06T00:00:00Z"}
    assert api.asked == [{"/": "count", "count": "true", **bounds}, {"limit": "100", **bounds}]
    assert kept(lab) == ("complete", 3, "exactly", 3)


def test_fewer_records_than_were_counted_are_never_complete(lab, api, answer):
    api.answer = Counting(answer, {"count": 4})

    with pytest.raises(WalkIncomplete, match="says 4 records, and 3 came"):
        lab.fetch(lab.walk(counting()))

    assert kept(lab) == ("failed", 4, "exactly", 3)


def test_more_records_than_were_counted_are_complete_and_both_numbers_are_kept(lab, api, answer):
    api.answer = Counting(answer, {"count": 2})

    lab.fetch(lab.walk(counting()))

    assert kept(lab) == ("complete", 2, "exactly", 3)


@pytest.mark.parametrize(
    ("value", "body"),
    [
        (None, b"3"),
        (None, b"\xef\xbb\xbf 3\n"),
        (None, b'"3"'),
        ("@odata.count", {"@odata": {"count": 3}}),
        ({"path": "n", "tells": "at_least"}, {"n": 3}),
    ],
)
def test_a_count_may_be_the_body_or_stand_in_it(lab, api, answer, value, body):
    api.answer = Counting(answer, body)

    lab.fetch(lab.walk(counting(value=value)))

    assert kept(lab)[:2] == ("complete", 3)


def test_a_count_may_stand_in_a_header_of_a_body_that_is_no_json(lab, api, answer):
    api.answer = Counting(answer, answer(b"<html>", headers={"X-Total": "3"}))

    snapshot = lab.fetch(lab.walk(counting(value={"header": "X-Total"})))

    assert kept(lab)[:2] == ("complete", 3)
    assert snapshot.manifest.counted.headers == {"x-total": "3"}


def test_the_answer_is_kept_with_the_fetch_as_it_came(lab, api, answer):
    api.answer = Counting(answer, {"count": 3, "of": "things"})

    counted = lab.fetch(lab.walk(counting())).manifest.counted

    assert (counted.records, counted.tells, counted.at, counted.status) == (3, "exactly", lab.now, 200)
    assert counted.url.endswith("/things/count?count=true")
    assert counted.body == '{"count": 3, "of": "things"}'


@pytest.mark.parametrize(
    ("value", "told", "message"),
    [
        ("count", {"cuont": 3}, r"count: the answer holds no number at 'count'; the keys there are: cuont"),
        ("count", {"count": "many"}, "count: the answer holds no number at 'count'"),
        (None, {"count": 3}, "count: the answer holds more than a number; name `value:`"),
        ("count", b" " * 70_000, "count: the answer is longer than 65,536 bytes"),
    ],
)
def test_a_count_that_tells_no_number_is_a_failure_before_anything_else_is_asked(
    lab, api, answer, value, told, message
):
    api.answer = Counting(answer, told)

    with pytest.raises(RequestFailed, match=message):
        lab.fetch(lab.walk(counting(value=value) | {"incomplete": "warn"}))

    assert lab.verdicts() == ["failed"]
    assert len(api.asked) == 1


def test_an_error_inside_a_count_is_a_failure(lab, api, answer):
    api.answer = Counting(answer, {"count": 0, "errors": ["down"]})

    with pytest.raises(RequestFailed, match="count: the answer tells an error at 'errors'"):
        lab.fetch(lab.walk(counting() | {"errors": "errors"}))


def test_a_count_is_asked_again_like_any_other_request(lab, api, answer):
    cut = answer({"count": 3}, cut=True)
    throttled = answer({}, status=429, headers={"Retry-After": "0.2"})
    api.answer = Counting(answer, cut, throttled, b'{"count"', {"count": 3})

    snapshot = lab.fetch(lab.walk(counting()), attempts=4)

    assert kept(lab)[:2] == ("complete", 3)
    assert 0.2 in lab.slept
    assert snapshot.manifest.ended.traffic["requests"] == 5


def test_a_walk_that_goes_on_does_not_count_again(lab, api, answer):
    pages = [{"data": RECORDS[:2], "next": "1"}, answer({}, status=500)]
    api.answer = Counting(answer, {"count": 3}, {"count": 99}, pages=pages)
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk(counting()))
    pages[1] = {"data": RECORDS[2:], "next": None}

    lab.fetch(lab.walk(counting()))

    assert len(lab.stored()) == 1
    assert kept(lab) == ("complete", 3, "exactly", 3)
    assert sum("count" in query for query in api.asked) == 1


def test_a_walk_begins_anew_where_the_count_asks_for_something_else_since(lab, api, answer):
    pages = [{"data": RECORDS[:2], "next": "1"}, answer({}, status=500)]
    api.answer = Counting(answer, {"count": 3}, pages=pages)
    with pytest.raises(TransientFailure):
        lab.fetch(lab.walk(counting()))
    pages[1] = {"data": RECORDS[2:], "next": None}

    lab.fetch(lab.walk(counting(params={"count": True, "status": "any"})))

    assert lab.verdicts() == ["given_up", "complete"]


def test_a_look_at_the_first_page_looks_at_the_count_too(lab, api, answer):
    api.answer = Counting(answer, {"cuont": 3})
    walk = lab.walk(counting())

    with Client(walk.source.base_url) as client:
        found = peek(client, walk)

    assert "count: the answer holds no number at 'count'" in found.stops
