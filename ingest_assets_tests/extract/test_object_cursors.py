"""Cursors that are lists or objects: they go back in a JSON body as they came."""

import pytest

from ingest_assets.errors import TransientFailure, WalkIncomplete

SEARCH = {"method": "POST", "body": {"size": 2, "sort": ["at", "id"]}, "primary_key": "_id"}
AFTER = {"type": "last_record", "param": "search_after", "field": "sort", "until": "empty_page"}
HITS = [{"_id": f"d{n}", "sort": [1_700_000_000_000 + n // 3, f"é{n}", None]} for n in range(5)]
NEXT = {"type": "cursor", "path": "next", "param": "page.after", "absent": "end"}


@pytest.fixture
def search(api, answer):
    """Elasticsearch's search: two hits after those that `search_after` names."""

    def told(asked):
        after = asked.get("search_after")
        first = 0 if after is None else 1 + [hit["sort"] for hit in HITS].index(after)
        return answer({"data": HITS[first : first + 2]})

    api.answer = told
    return api


def test_a_list_goes_back_as_it_came(lab, search):
    snapshot = lab.fetch(lab.walk({**SEARCH, "paginator": AFTER}))

    assert [record["_id"] for record in lab.records(snapshot)] == [hit["_id"] for hit in HITS]
    assert [asked.get("search_after") for asked in search.asked] == [None, *(HITS[n]["sort"] for n in (1, 3, 4))]


def test_a_walk_that_rests_goes_on_with_its_list(lab, search, answer):
    told, walk = search.answer, lab.walk({**SEARCH, "paginator": AFTER})
    search.answer = lambda asked: (
        answer({}, status=503) if asked.get("search_after") == HITS[3]["sort"] else told(asked)
    )
    with pytest.raises(TransientFailure):
        lab.fetch(walk, attempts=1)
    search.answer = told
    search.asked.clear()

    snapshot = lab.fetch(walk)

    assert [asked["search_after"] for asked in search.asked] == [HITS[3]["sort"], HITS[4]["sort"]]
    assert len(lab.records(snapshot)) == 5


def test_an_object_goes_back_as_it_came_and_the_same_again_is_a_circle(lab, api, answer):
    cursor = {"LastKey": {"id": {"S": "a"}}, "n": 0}
    api.in_turn(
        answer({"data": [{"id": 1}], "next": cursor}),
        answer({"data": [{"id": 2}], "next": {**cursor, "n": 1}}),
        answer({"data": [{"id": 3}], "next": cursor}),
    )

    with pytest.raises(WalkIncomplete, match="circles"):
        lab.fetch(lab.walk({"paginator": NEXT, "method": "POST", "body": {"page": {"size": 1}}}))

    assert [asked["page"] for asked in api.asked] == [
        {"size": 1},
        {"size": 1, "after": cursor},
        {"size": 1, "after": {**cursor, "n": 1}},
    ]


@pytest.mark.parametrize(
    "asked", [{}, {"method": "POST", "body": {"size": "1"}, "body_as": "form"}, {"param": {"header": "X-After"}}]
)
def test_where_it_cannot_go_back_that_is_said(lab, api, answer, asked):
    api.answer = lambda _: answer({"data": [{"id": 1}], "next": {"id": "a"}})
    paginator = NEXT | {"param": asked.pop("param", "after")}

    with pytest.raises(WalkIncomplete, match="found an object, which can stand in a JSON body only"):
        lab.fetch(lab.walk({"paginator": paginator, **asked}))


@pytest.mark.parametrize("nothing", [{}, []])
def test_one_that_is_empty_is_no_cursor_and_no_end_unless_the_file_says_so(lab, api, answer, nothing):
    api.answer = lambda _: answer({"data": [{"id": 1}], "next": nothing})
    walk = {"paginator": NEXT, "method": "POST", "body": {}}

    with pytest.raises(WalkIncomplete, match="more pages follow, but there is no cursor"):
        lab.fetch(lab.walk(walk))
    lab.fetch(lab.walk(walk | {"paginator": NEXT | {"end": [str(nothing)]}}))

    assert lab.verdicts() == ["failed", "complete"]
