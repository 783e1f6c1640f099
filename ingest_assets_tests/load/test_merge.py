"""What becomes of each record, and of the rows below it."""

import pytest


def test_each_record_has_one_fate_and_the_account_adds_up(lab, daily):
    things = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}}, deleted={"path": "gone", "equals": True})
    things.store(1, "2026-01-01", [{"id": 1, "at": 5}, {"id": 2, "at": 5}, {"id": 3, "at": 5}, {"id": 4, "at": 9}])
    things.store(
        2,
        "2026-01-01",
        [
            {"id": 1, "at": 5},
            {"id": 2, "at": 6},
            {"id": 3, "at": 6, "gone": True},
            {"id": 4, "at": 8},
            {"id": 5, "at": 1},
            {"id": 5, "at": 2},
            {"id": 6, "at": "late"},
        ],
    )

    loaded = things.load("2026-01-01")

    assert all(one.account.adds_up for one in loaded)
    assert things.accounts() == {
        1: {"received": 4, "inserted": 4},
        2: {
            "received": 7, "inserted": 1, "updated": 1, "unchanged": 1, "outdated": 1, "deleted": 1, "quarantined": 1,
            "duplicates": 1,
        },
    }  # fmt: skip
    assert things.rows('SELECT id, "at" FROM w.shop.things ORDER BY id') == [(1, 5), (2, 6), (4, 9), (5, 2)]


def test_an_absent_list_leaves_child_rows_and_an_empty_one_removes_them(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "l": [1, 2]}, {"id": 2, "l": [3]}, {"id": 3, "l": [4]}])
    things.store(2, None, [{"id": 1, "v": 1}, {"id": 2, "v": 1, "l": []}, {"id": 3, "v": 1, "l": None}])

    things.load()

    assert things.values("value", "things__l") == [1, 2, 4]


def test_a_version_that_comes_again_has_its_list_once(lab):
    things = lab()
    first = {"id": 1, "l": [{"m": [1, 2]}]}
    for fetch, record in enumerate([first, {"id": 1, "v": 1}, first, first], start=1):
        things.store(fetch, None, [record])
        (loaded,) = things.load()

    assert (loaded.account.unchanged, loaded.account.child_rows) == (1, 0)
    assert things.values("value", "things__l__m") == [1, 2]
    assert things.rows("SELECT count(*) FROM w.shop.things__l") == [(1,)]


@pytest.mark.parametrize("told", [{}, {"newest_by": "at", "columns": {"at": {"type": "bigint"}}}])
def test_a_version_without_a_list_leaves_that_of_an_older_one_in_the_same_fetch(lab, told):
    things = lab(**told)
    things.store(1, None, [{"id": 1, "at": 1, "l": [1]}, {"id": 1, "at": 2}, {"id": 2, "at": 1, "l": [2]}])

    things.load()

    assert things.values("value", "things__l") == [1, 2]


def test_a_tombstone_removes_a_row_and_all_rows_below_it(lab):
    things = lab(deleted={"path": "gone", "equals": True})
    things.store(1, None, [{"id": 1, "l": [{"m": [1, 2]}, {"m": [3]}]}, {"id": 2, "l": [{"m": [4]}]}])
    things.store(2, None, [{"id": 1, "gone": True}])

    things.load()

    assert things.values("id") == [2]
    assert things.values("value", "things__l__m") == [4]
    assert len(things.values("_id", "things__l")) == 1


def test_a_tombstone_empties_lists_that_were_first_seen_after_it(lab, daily, rebuilt):
    things = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}}, deleted={"path": "gone", "equals": True})
    things.store(2, "2026-01-02", [{"id": 1, "at": 2, "gone": True}])
    things.load("2026-01-02")
    things.store(3, "2026-01-02", [{"id": 1, "at": 3}])
    things.load("2026-01-02")
    things.store(1, "2026-01-01", [{"id": 1, "at": 1, "l": [1]}, {"id": 2, "at": 1, "l": [2]}])
    things.load("2026-01-01")

    assert things.values("value", "things__l") == [2]
    assert things.contents() == rebuilt(things).contents()


def test_a_late_older_version_revives_nothing(lab, daily):
    things = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}}, deleted={"path": "gone", "equals": True})
    things.store(2, "2026-01-02", [{"id": 1, "at": 2, "gone": True}])
    things.load("2026-01-02")
    things.store(1, "2026-01-01", [{"id": 1, "at": 1}])

    things.load("2026-01-01")

    assert things.values("id") == []
    assert things.accounts()[1] == {"received": 1, "outdated": 1}


def test_of_ties_the_last_place_wins(lab):
    things = lab(newest_by="at", columns={"at": {"type": "bigint"}})
    things.store(1, None, [{"id": 1, "at": 1, "v": "a"}, {"id": 1, "at": 1, "v": "b"}], [{"id": 1, "at": 1, "v": "c"}])

    things.load()

    assert things.rows("SELECT v, _page, _position FROM w.shop.things") == [("c", 1, 0)]


def test_a_version_without_newest_by_is_older_than_any_with_one(lab):
    things = lab(newest_by="at", columns={"at": {"type": "bigint"}})
    things.store(1, None, [{"id": 1, "at": -5}])
    things.store(2, None, [{"id": 1, "at": None}])

    things.load()

    assert things.values("at") == [-5]


def test_the_first_version_of_a_key_is_inserted_also_without_newest_by(lab):
    things = lab(newest_by="at", columns={"at": {"type": "bigint"}})
    things.store(1, None, [{"id": 1, "at": None}])

    things.load()

    assert things.accounts() == {1: {"received": 1, "inserted": 1}}


def test_a_key_of_several_columns_has_no_false_twins(lab):
    things = lab(primary_key=["a", "b"])
    things.store(1, None, [{"a": "1", "b": "2:3"}, {"a": "1:2", "b": "3"}, {"a": "12", "b": "3"}])

    things.load()

    assert len(things.values("a")) == 3


def test_what_vanished_from_a_replaced_table_is_removed_with_its_children(lab):
    things = lab(write="replace")
    things.store(1, None, [{"id": 1, "l": [{"m": [1]}]}, {"id": 2, "l": [{"m": [2]}]}])
    things.load()
    things.store(2, None, [{"id": 2, "l": [{"m": [2]}]}])

    loaded = things.load()

    assert (loaded[0].account.removed, loaded[0].account.unchanged) == (1, 1)
    assert (things.values("id"), things.values("value", "things__l__m")) == ([2], [2])


def test_an_empty_complete_fetch_empties_a_replaced_table(lab):
    things = lab(write="replace")
    things.store(1, None, [{"id": 1, "l": [1]}])
    things.load()
    things.store(2, None, [])

    things.load()

    assert (things.values("id"), things.values("value", "things__l")) == ([], [])


def test_rows_without_a_key_are_kept_as_often_as_they_came(lab):
    things = lab(write="replace", primary_key=[])
    things.store(1, None, [{"v": 1}, {"v": 1}, {"v": 2}])
    things.load()
    things.store(2, None, [{"v": 1}, {"v": 1}, {"v": 1}])

    things.load()

    assert things.values("v") == [1, 1, 1]
    assert things.accounts()[2] == {"received": 3, "inserted": 1, "unchanged": 2}


def test_partitions_that_are_replaced_leave_each_others_rows(lab, daily):
    things = lab(**daily, write="replace_partition", primary_key=["id"])
    things.store(1, "2026-01-01", [{"id": 1, "v": "first"}])
    things.store(2, "2026-01-02", [{"id": 1, "v": "second"}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)
    things.store(3, "2026-01-01", [])

    things.load("2026-01-01")

    assert things.values("v") == ["second"]


def test_a_record_that_is_the_same_is_not_written_again(lab, daily):
    things = lab(**daily, newest_by="at", columns={"at": {"type": "bigint"}})
    records = [{"id": n, "at": n, "l": [{"m": [n, n]}], "k": [], "o": {"p": n}} for n in range(20)]
    things.store(1, "2026-01-01", records)
    things.load("2026-01-01")
    before = things.contents(lineage=True)
    things.store(2, "2026-01-01", records)

    loaded = things.load("2026-01-01")

    assert loaded[0].account.unchanged == 20
    assert loaded[0].account.child_rows == 0
    assert things.contents(lineage=True) == before


def test_only_complete_fetches_replace(lab, daily):
    things = lab(**daily, write="replace_partition")
    things.store(1, "2026-01-01", [{"id": 1}])
    things.store(2, "2026-01-01", [{"id": 2}], verdict="incomplete")

    things.load("2026-01-01")

    assert things.values("id") == [1]
