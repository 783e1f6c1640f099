"""Records that are added or removed while a walk by place goes on: those behind them move to other pages."""

import itertools
import os

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import IngestError, WalkIncomplete

LONG = "INGEST_LONG" in os.environ
OVERLAPPING = {"type": "offset", "overlap": "id"}
SIGNS = {
    "has_more": {"has_more": "more"},
    "total": {"total": "total"},
    "short_page": {"until": "short_page"},
    "empty_page": {"until": "empty_page"},
    "404": {"until": 404},
}
BEYOND = {"404": 404}


class Moving:
    """Things by offset, `size` a page; before the n-th request some are removed (their places), others are added."""

    def __init__(self, answer, count, size, changes=(), beyond=200):
        self.answer, self.size, self.asked, self.beyond = answer, size, 0, beyond
        self.there, self.next = [{"id": n} for n in range(count)], count
        self.changes = dict(changes)

    def __call__(self, query):
        for place in self.changes.pop(self.asked, ()):
            if place is None:
                self.there.append({"id": self.next})
                self.next += 1
            elif place < len(self.there):
                del self.there[place]
        self.asked += 1
        first = int(query["offset"])
        found = self.there[first : first + self.size]
        return self.answer(
            {"data": found, "more": first + self.size < len(self.there), "total": len(self.there)},
            status=self.beyond if first and not found else 200,
        )


def walked(lab, api, moving, paginator, at_once=1):
    """The ids that a complete walk brought."""
    api.answer = moving
    snapshot = lab.fetch(lab.walk({"paginator": paginator, "at_once": at_once}))
    assert snapshot.manifest.ended.verdict == "complete"
    return [record["id"] for record in lab.records(snapshot)]


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
def test_pages_that_overlap_have_each_record_and_one_of_each_page_twice(lab, api, answer, sign, count):
    found = walked(lab, api, Moving(answer, count, 3, beyond=BEYOND.get(sign, 200)), OVERLAPPING | SIGNS[sign])

    assert list(dict.fromkeys(found)) == list(range(count))
    assert all(one - other in (0, 1) for other, one in itertools.pairwise(found))


@pytest.mark.parametrize("sign", ["has_more", "short_page", "empty_page", "404"])
def test_a_record_that_is_removed_before_the_place_that_was_read_is_noticed(lab, api, answer, sign):
    with pytest.raises(WalkIncomplete, match="overlap: expected the last record of the page before it once again"):
        walked(lab, api, Moving(answer, 9, 3, {2: [1]}), OVERLAPPING | SIGNS[sign])


def test_without_an_overlap_a_record_is_lost_where_nothing_tells_a_total(lab, api, answer):
    found = walked(lab, api, Moving(answer, 9, 3, {2: [1]}), {"type": "offset", "has_more": "more"})

    assert 6 not in found


def test_one_that_is_removed_behind_the_place_that_was_read_is_no_matter(lab, api, answer):
    found = walked(lab, api, Moving(answer, 9, 3, {2: [7]}), OVERLAPPING | {"has_more": "more"})

    assert sorted({*found}) == [0, 1, 2, 3, 4, 5, 6, 8]


def test_pages_that_overlap_come_at_once(lab, api, answer):
    found = walked(lab, api, Moving(answer, 20, 3), OVERLAPPING | {"total": "total"}, at_once=4)

    assert list(dict.fromkeys(found)) == list(range(20))


def test_pages_of_one_record_cannot_overlap_and_that_is_said(lab, api, answer):
    with pytest.raises(WalkIncomplete, match="overlap: the page before it held one record"):
        walked(lab, api, Moving(answer, 3, 1), OVERLAPPING | {"has_more": "more"})


def test_a_record_that_does_not_tell_what_it_is_known_by_is_a_failure(lab, api, answer):
    with pytest.raises(WalkIncomplete, match="'number' has to tell, which it does not hold"):
        walked(lab, api, Moving(answer, 5, 3), {"type": "offset", "overlap": "number", "has_more": "more"})


def test_an_overlap_takes_a_key(lab):
    with pytest.raises(ValueError, match="asked for again comes twice: that takes a primary_key"):
        lab.walk({"paginator": OVERLAPPING | {"has_more": "more"}, "primary_key": None, "write": "replace"})


@pytest.mark.parametrize("paginator", [{"type": "offset", "total": "total"}])
def test_a_total_that_falls_on_the_way_is_noticed_though_as_many_came(lab, api, answer, paginator):
    # One is removed before the place that was read, and then another one added: nine, as the first page said.
    with pytest.raises(WalkIncomplete, match="page 2 says 11 records in all, and one before it 12"):
        walked(lab, api, Moving(answer, 12, 3, {2: [1], 3: [None]}), paginator)


@example(count=9, size=3, changes={2: [1, None]}, sign="has_more", rests=[])
@settings(
    max_examples=25 if not LONG else 1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    count=st.integers(0, 12),
    size=st.integers(2, 4),
    changes=st.dictionaries(st.integers(1, 6), st.lists(st.none() | st.integers(0, 11), max_size=2), max_size=4),
    sign=st.sampled_from(sorted(SIGNS)),
    rests=st.lists(st.integers(0, 6), max_size=2),
)
def test_whatever_moves_a_complete_walk_with_an_overlap_has_all_that_stayed(
    lab, api, answer, count, size, changes, sign, rests
):
    moving = Moving(answer, count, size, changes, BEYOND.get(sign, 200))
    down = set(rests)

    def stumbling(query):
        if moving.asked in down:
            down.discard(moving.asked)
            return answer({}, status=503, headers={"Retry-After": "0"})
        return moving(query)

    api.answer = stumbling
    walk = lab.walk({"paginator": OVERLAPPING | SIGNS[sign]})
    snapshot = None
    for _ in range(4):
        try:
            snapshot = lab.fetch(walk, attempts=1)
        except WalkIncomplete:
            break
        except IngestError:
            continue
        break

    stayed = {record["id"] for record in moving.there if record["id"] < count}
    assert snapshot is None or stayed <= {record["id"] for record in lab.records(snapshot)}
