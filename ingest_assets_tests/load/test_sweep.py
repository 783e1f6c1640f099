"""What a complete fetch did not bring any more is deleted, unless that is suspiciously much."""

from datetime import UTC, datetime
from typing import Any

import pytest

from ingest_assets.commands.output import output
from ingest_assets.commands.prune import plan, prune
from ingest_assets.errors import ConfigError, ContractBroken, TooManyGone

_TEN = [{"id": n, "l": [{"m": [n]}]} for n in range(10)]


def test_what_a_complete_listing_does_not_bring_is_deleted_with_its_lists(lab):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.store(2, None, _TEN[1:])

    loaded = things.load()

    assert things.values("id") == things.values("value", "things__l__m") == list(range(1, 10))
    assert (loaded[1].account.removed, loaded[1].account.unchanged) == (1, 9)


@pytest.mark.parametrize("verdict", ["incomplete", "open"])
def test_a_fetch_that_is_not_complete_deletes_nothing(lab, verdict):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.store(2, None, _TEN[1:], verdict=verdict)

    things.load()

    assert things.values("id") == list(range(10))


def test_a_fetch_with_a_record_in_quarantine_deletes_nothing(lab):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.store(2, None, [*_TEN[1:], {"id": None}])

    things.load()

    assert things.values("id") == list(range(10))


def test_a_partition_deletes_its_own_rows_only(lab, daily):
    things = lab(**daily, sweep={"most": 1})
    things.store(1, "2026-01-01", [{"id": 1}, {"id": 2}])
    things.store(2, "2026-01-02", [{"id": 3}])
    things.store(3, "2026-01-01", [{"id": 2}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)

    assert things.values("id") == [2, 3]


def test_a_fetch_that_would_delete_too_much_is_refused_until_it_is_accepted(lab, rebuilt):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.load()
    things.store(2, None, _TEN[3:])
    told = (
        r"shop\.things: 3 of 10 rows did not come again in fetch 2, such as id=0: more than 20% are not deleted unasked"
        r".*ingest accept shop\.things --deletions 2"
    )

    with pytest.raises(ContractBroken, match=told):
        things.load()
    kept = things.values("id")
    things.snapshots.notes.accept("shop", "things", 2)
    things.load()

    assert (kept, things.values("id")) == (list(range(10)), list(range(3, 10)))
    assert things.contents() == rebuilt(things).contents()


def test_deletions_are_not_accepted_of_a_fetch_in_whose_place_a_newer_one_told_what_is_gone(lab, built_again):
    things = lab(sweep=True, write="history")
    for number, ids in enumerate((_TEN, _TEN[3:]), start=1):
        things.store(number, None, ids)
    with pytest.raises(TooManyGone):
        things.load()
    things.store(3, None, _TEN)
    things.load()

    with pytest.raises(ConfigError, match="fetch 2 deletes nothing any more: fetch 3 is newer and complete"):
        things.line().accept("things", 2)

    assert built_again(things).contents() == things.contents()


def test_deletions_that_were_accepted_are_so_again_after_a_newer_fetch(lab, built_again):
    things = lab(sweep=True, write="history")
    things.store(1, None, _TEN)
    things.load()
    things.store(2, None, _TEN[3:])
    things.line().accept("things", 2)
    things.store(3, None, _TEN)

    things.line().accept("things", 2)

    assert things.rows("SELECT count(*) FROM w.shop.things WHERE NOT current") == [(3,)]
    assert built_again(things).contents() == things.contents()


@pytest.fixture
def swept(lab: Any) -> Any:
    """Three fetches: five rows, ten, and eight of them; what else a test stores leaves nothing of the first two."""
    things = lab(sweep=True)
    for number, ids in enumerate((range(5), range(10), range(2, 10)), start=1):
        things.store(number, None, [{"id": n} for n in ids])
        things.load()
    return things


def _prune(things: Any) -> None:
    """Remove what nothing needs."""
    prune(plan(things.data, ["shop.things"], 1, None), output(as_json=True))


def test_what_was_deleted_stays_so_where_a_prune_left_fewer_rows_to_take_the_share_of(swept, rebuilt):
    swept.store(4, None, [{"id": n, "v": 1} for n in range(5, 10)], verdict="open")
    swept.load()
    swept.store(5, None, [*({"id": n} for n in range(2, 5)), *({"id": n, "v": 1} for n in range(5, 10)), {"id": None}])
    swept.load()
    _prune(swept)

    swept.load(replay=True)

    assert [s.fetch for s in swept.snapshots.fetches("shop", "things")] == [1, 3, 4, 5]
    assert swept.values("id") == list(range(2, 10))
    assert rebuilt(swept, with_registry=True).contents() == swept.contents()


def test_what_was_spared_stays_where_a_prune_left_fewer_rows_that_are_not_listed(lab, rebuilt):
    others, nine = [{"id": n} for n in range(9, 20)], [{"id": n, "v": 1} for n in range(9)]
    things = lab(sweep=True)
    things.store(1, None, [{"id": n} for n in range(9)], verdict="open")
    things.store(2, None, others[:-1])
    things.store(3, None, [{"id": 0, "l": [1]}], verdict="open")
    things.store(4, None, others)
    things.store(5, None, [*nine, *others])
    things.load()
    before = things.contents()
    _prune(things)

    things.load(replay=True)

    assert [s.fetch for s in things.snapshots.fetches("shop", "things")] == [2, 3, 4, 5]
    assert things.contents() == before
    assert rebuilt(things, with_registry=True).contents() == before


def test_exactly_the_share_that_may_go_is_deleted_unasked(lab):
    things = lab(sweep={"most": 0.29})
    things.store(1, None, [{"id": n} for n in range(100)])
    things.store(2, None, [{"id": n} for n in range(29, 100)])

    things.load()

    assert things.values("id") == list(range(29, 100))


def test_a_refused_fetch_holds_nothing_up_once_a_newer_one_tells_otherwise(lab, rebuilt):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.load()
    things.store(2, None, [{"id": 99}])
    with pytest.raises(ContractBroken):
        things.load()
    things.store(3, None, [*_TEN[1:], {"id": 99}])

    things.load()

    assert things.values("id") == [*range(1, 10), 99]
    assert things.contents() == rebuilt(things).contents()


def test_what_came_before_a_refused_fetch_is_loaded(lab):
    things = lab(sweep=True)
    things.store(1, None, _TEN)
    things.store(2, None, [{"id": 99}])
    things.store(3, None, [{"id": 100}], verdict="open")

    with pytest.raises(ContractBroken, match="did not come again in fetch 2"):
        things.load()

    assert things.values("id") == list(range(10))


def test_a_replay_that_is_refused_leaves_the_table_as_it_is(lab):
    things = lab()
    things.store(1, None, _TEN)
    things.store(2, None, [{"id": 99}])
    things.load()
    sweeping = lab(sweep=True)

    with pytest.raises(ContractBroken, match="did not come again in fetch 2"):
        sweeping.load(replay=True)

    assert things.values("id") == [*range(10), 99]


def test_a_sensitive_key_is_not_told_as_an_example(lab):
    things = lab(sweep=True, columns={"id": {"type": "bigint", "sensitive": True}})
    things.store(1, None, [{"id": 4711}, {"id": 4712}])
    things.store(2, None, [])

    with pytest.raises(ContractBroken) as refused:
        things.load()

    assert "2 of 2 rows" in str(refused.value)
    assert "471" not in str(refused.value)


def test_a_row_that_is_deleted_softly_says_since_when_and_comes_back(lab):
    things = lab(sweep={"most": 1}, deletes="soft")
    things.store(1, None, [{"id": 1, "l": [1]}, {"id": 2, "l": [2]}])
    things.store(2, None, [{"id": 2, "l": [2]}])
    things.store(3, None, [{"id": 2, "l": [2]}])
    things.load()
    deleted = things.rows("SELECT id, _deleted FROM w.shop.things ORDER BY id")
    lists = things.values("value", "things__l")
    things.store(4, None, [{"id": 1, "l": [1]}, {"id": 2, "l": [2]}])
    things.load()

    assert deleted == [(1, datetime(2026, 1, 1, 2, tzinfo=UTC)), (2, None)]
    assert lists == things.values("value", "things__l") == [1, 2]
    assert things.values("_deleted") == [None, None]


def test_a_tombstone_deletes_softly_too(lab):
    things = lab(deleted={"path": "gone", "equals": True}, deletes="soft")
    things.store(1, None, [{"id": 1, "v": "a", "l": [1]}])
    things.store(2, None, [{"id": 1, "gone": True}, {"id": 2, "gone": True, "l": [5]}])

    things.load()

    assert things.rows("SELECT id, v, _deleted IS NOT NULL FROM w.shop.things") == [(1, "a", True)]
    assert things.values("value", "things__l") == [1]
    assert things.accounts()[2] == {"received": 2, "deleted": 2}


def test_in_a_history_what_is_not_listed_any_more_has_ended(lab):
    things = lab(write="history", sweep={"most": 1})
    things.store(1, None, [{"id": 1, "l": [1]}, {"id": 2, "l": [2]}])
    things.store(2, None, [{"id": 2, "l": [2]}])
    things.store(3, None, [{"id": 1, "l": [1]}, {"id": 2, "l": [2]}])
    things.load()

    found = things.rows("SELECT id, hour(valid_from), hour(valid_until), current FROM w.shop.things ORDER BY 1, 2")
    assert found == [(1, 1, 2, False), (1, 3, None, True), (2, 1, None, True)]
    assert things.values("value", "things__l") == [1, 1, 2]
