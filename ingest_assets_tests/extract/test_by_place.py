"""Pages asked for by number or offset: how such a walk ends, and how it goes on after a rest."""

import pytest

from ingest_assets.errors import RequestFailed, TransientFailure, WalkIncomplete
from ingest_assets.line import Line, Unwatched

NUMBERED = {"type": "page", "total": "total"}
UNTIL_404 = {"type": "page", "until": 404}


class Shelf:
    """Things in a list, two a page, by number; beyond the last page there is a 404. `down` are pages that fail."""

    def __init__(self, answer, count):
        self.answer, self.things, self.down, self.total = answer, [{"id": n} for n in range(count)], set(), None

    def __call__(self, query):
        page = int(query["page"])
        found = self.things[2 * page - 2 : 2 * page]
        if page in self.down:
            return self.answer({}, status=503, headers={"Retry-After": "0"})
        if not found and page > 1:
            return self.answer({"detail": "Invalid page."}, status=404)
        return self.answer({"data": found, "total": len(self.things) if self.total is None else self.total})


@pytest.fixture
def shelf(api, answer):
    api.answer = Shelf(answer, 6)
    return api.answer


def stopped(lab, shelf, walk, page):
    """The walk, stopped before this page."""
    shelf.down = {page}
    with pytest.raises(TransientFailure):
        lab.fetch(walk, attempts=1)
    shelf.down = set()
    lab.api.asked.clear()


def ended(lab):
    """The newest fetch's verdict, reason and records."""
    end = lab.stored()[-1].manifest.ended
    return end.verdict, end.reason, end.records


@pytest.mark.parametrize("count", [0, 1, 5, 6])
def test_a_404_after_page_one_is_the_end_where_the_file_says_so(lab, shelf, count):
    shelf.things = shelf.things[:count]

    snapshot = lab.fetch(lab.walk({"paginator": UNTIL_404}))

    assert ended(lab) == ("complete", "not_found", count)
    assert lab.records(snapshot) == shelf.things


def test_a_404_of_page_one_is_no_end(lab, api, answer):
    api.answer = lambda _: answer({}, status=404)

    with pytest.raises(RequestFailed, match="404"):
        lab.fetch(lab.walk({"paginator": UNTIL_404}))

    assert lab.verdicts() == ["failed"]


def test_a_404_of_page_one_is_no_end_after_a_rest_either(lab, shelf):
    walk = lab.walk({"paginator": UNTIL_404})
    stopped(lab, shelf, walk, 2)
    lab.api.answer = lambda _: shelf.answer({}, status=404)

    with pytest.raises(RequestFailed, match="404"):
        lab.fetch(walk)


@pytest.mark.parametrize("status", [403, 410])
def test_any_other_refusal_is_a_failure(lab, shelf, status):
    gone = shelf.answer({}, status=status)
    lab.api.answer = lambda query: gone if query["page"] == "3" else shelf(query)

    with pytest.raises(RequestFailed, match=str(status)):
        lab.fetch(lab.walk({"paginator": UNTIL_404}))


def test_a_404_after_page_one_is_a_failure_that_names_the_sign_where_another_was_given(lab, shelf):
    with pytest.raises(RequestFailed, match=r"404 Not Found.* give the paginator `until: 404`"):
        lab.fetch(lab.walk({"paginator": {"type": "page", "until": "short_page"}}))

    assert lab.verdicts() == ["failed"]


def test_a_404_before_the_total_is_reached_is_no_end(lab, shelf):
    shelf.total = 7

    with pytest.raises(WalkIncomplete, match="says 7 records, and 6 came"):
        lab.fetch(lab.walk({"paginator": UNTIL_404, "total": "total"}))


def test_an_empty_page_with_another_after_it_is_a_hole(lab, shelf):
    hole = shelf.answer({"data": []})
    lab.api.answer = lambda query: hole if query["page"] == "2" else shelf(query)

    with pytest.raises(WalkIncomplete, match="page 1 holds no records and is not the last"):
        lab.fetch(lab.walk({"paginator": UNTIL_404}))
    again = lab.fetch(lab.walk({"paginator": UNTIL_404, "empty_page": "continue"}))

    assert [entry.records for entry in again.pages] == [2, 0, 2]


def test_a_walk_that_misses_its_total_is_incomplete_and_loaded_only_where_the_file_says_so(lab, shelf):
    shelf.total = 7
    pages = [shelf({"page": page}) for page in "123"] + [shelf.answer({"data": [], "total": 7})]
    lab.api.answer = lambda query: pages[int(query["page"]) - 1]

    with pytest.raises(WalkIncomplete, match="says 7 in all, of which 6 came"):
        lab.fetch(lab.walk({"paginator": NUMBERED}))
    lab.fetch(lab.walk({"paginator": NUMBERED, "incomplete": "warn"}))

    assert lab.verdicts() == ["failed", "incomplete"]


def test_a_total_that_shrinks_on_the_way_is_told(lab, shelf):
    later = iter([6, 4])

    def shrinking(query):
        shelf.total = next(later)
        return shelf(query)

    lab.api.answer = shrinking

    with pytest.raises(WalkIncomplete, match="says 6 records, and 4 came"):
        lab.fetch(lab.walk({"paginator": NUMBERED}))


def test_pages_smaller_than_asked_for_are_no_end(lab, shelf):
    walk = lab.walk({"paginator": {"type": "page", "until": "short_page"}, "params": {"per_page": 500}})
    shelf.things = shelf.things[:5]

    snapshot = lab.fetch(walk)

    assert ended(lab) == ("complete", "short_page", 5)
    assert lab.records(snapshot) == shelf.things


def test_a_rested_walk_asks_for_its_last_page_once_again(lab, shelf):
    walk = lab.walk({"paginator": NUMBERED})
    stopped(lab, shelf, walk, 3)

    snapshot = lab.fetch(walk)

    assert [query["page"] for query in lab.api.asked] == ["2", "3"]
    assert [record["id"] for record in lab.records(snapshot)] == [0, 1, 2, 3, 2, 3, 4, 5]
    assert ended(lab)[0] == "complete"


def test_a_walk_may_rest_more_than_once(lab, shelf):
    walk = lab.walk({"paginator": NUMBERED})
    for _ in range(3):
        stopped(lab, shelf, walk, 3)

    snapshot = lab.fetch(walk)

    assert [entry.records for entry in snapshot.pages] == [2] * 6
    assert ended(lab)[0] == "complete"


def test_a_record_that_moved_to_the_page_before_during_a_rest_is_not_lost(lab, shelf):
    walk = lab.walk({"paginator": {"type": "page", "until": 404}})
    stopped(lab, shelf, walk, 3)
    del shelf.things[0]  # record 4 is on page 2 now

    snapshot = lab.fetch(walk)

    assert {record["id"] for record in lab.records(snapshot)} == {0, 1, 2, 3, 4, 5}


def test_a_page_that_became_shorter_during_a_rest_is_not_the_last(lab, shelf):
    walk = lab.walk({"paginator": {"type": "page", "until": "short_page"}})
    stopped(lab, shelf, walk, 2)
    told = {"1": [{"id": 0}], "2": [{"id": 2}], "3": []}  # record 1 is gone, and another page size begins
    lab.api.answer = lambda query: shelf.answer({"data": told[query["page"]]})

    snapshot = lab.fetch(walk)

    assert {record["id"] for record in lab.records(snapshot)} == {0, 1, 2}


def test_without_a_key_a_rested_walk_begins_anew(lab, shelf):
    walk = lab.walk({"paginator": NUMBERED, "primary_key": None, "write": "replace"})
    stopped(lab, shelf, walk, 3)

    snapshot = lab.fetch(walk)

    assert lab.verdicts() == ["given_up", "complete"]
    assert "without a primary_key" in lab.stored()[0].manifest.ended.reason
    assert lab.records(snapshot) == shelf.things


class Death(BaseException):
    """Ends a walk as a crash does."""


class Dying(Unwatched):
    """Dies after two pages."""

    def page(self, progress):
        if progress.pages == 2:
            raise Death


def test_what_came_twice_is_counted_as_duplicates(lab, shelf, monkeypatch):
    monkeypatch.setenv("INGEST_LIMITS", str(lab.folder / "limits"))
    source = lab.source({"paginator": NUMBERED})
    with pytest.raises(Death):
        Line(source, lab.folder, watcher=Dying()).fetch("things", None)
    line = Line(source, lab.folder)

    line.fetch("things", None)
    (loaded,) = line.load("things", None)

    assert (loaded.account.received, loaded.account.inserted, loaded.account.duplicates) == (8, 6, 2)
    assert loaded.account.adds_up


@pytest.mark.parametrize(
    "paginator",
    [{"type": "cursor", "header": "X-After", "param": "cursor"}, {"type": "link"}],
)
def test_headers_that_a_walk_goes_by_are_stored_so_that_it_goes_on(lab, api, answer, paginator):
    def page(query):
        number = int(query.get("cursor", 0))
        more = number < 3
        headers = {"X-After": str(number + 1) if more else "", "Link": '</things>; rel="first"'}
        if more:
            headers["Link"] += f", </things?cursor={number + 1}>; rel=next"
        return answer({"data": [{"id": number}]}, headers=headers)

    walk = lab.walk({"paginator": paginator})
    api.answer = lambda query: answer({}, status=503) if query.get("cursor") == "2" else page(query)
    with pytest.raises(TransientFailure):
        lab.fetch(walk, attempts=1)
    api.answer = page
    api.asked.clear()

    snapshot = lab.fetch(walk)

    assert [query["cursor"] for query in api.asked] == ["2", "3"]
    assert [record["id"] for record in lab.records(snapshot)] == [0, 1, 2, 3]


def test_a_total_in_a_header_is_read_from_the_stored_page(lab, api, answer):
    api.answer = lambda query: answer(
        {"data": [{"id": int(query["offset"])}]}, headers={"Content-Range": f"things {query['offset']}-0/3"}
    )

    snapshot = lab.fetch(lab.walk({"paginator": {"type": "offset", "total": {"header": "content-range"}}}))

    assert snapshot.manifest.ended.expected == 3
    assert [record["id"] for record in lab.records(snapshot)] == [0, 1, 2]


def test_several_lines_of_link_are_one_header(lab, api, answer):
    pages = {None: ["</things>; rel=first", '</things?cursor=1>; rel="prefetch next"'], "1": ["</things>; rel=first"]}
    api.answer = lambda query: answer(
        {"data": [{"id": int(query.get("cursor", 0))}]}, headers={"Link": pages[query.get("cursor")]}
    )

    snapshot = lab.fetch(lab.walk({"paginator": {"type": "link"}}))

    assert [record["id"] for record in lab.records(snapshot)] == [0, 1]
