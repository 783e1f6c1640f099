"""Tables to which each fetch adds its records."""

import shutil

import pytest

from ingest_assets.errors import StorageFailed


def test_each_fetch_adds_its_records_and_their_lists(lab):
    things = lab(write="append", primary_key=[])
    things.store(1, None, [{"id": 1, "l": [1]}, {"id": 1, "l": [1]}])
    things.store(2, None, [{"id": 1, "l": [1]}])

    things.load()

    assert things.values("id") == [1, 1, 1]
    assert things.values("value", "things__l") == [1, 1, 1]
    assert things.accounts() == {1: {"received": 2, "inserted": 2}, 2: {"received": 1, "inserted": 1}}


def test_a_fetch_that_is_loaded_again_adds_nothing(lab, rebuilt):
    things = lab(write="append", primary_key=[])
    things.store(1, None, [{"id": 1, "l": [1]}])
    things.load()
    before = things.contents(lineage=True)

    things.load()
    things.load(replay=True)

    assert things.contents(lineage=True) == before == rebuilt(things).contents(lineage=True)


def test_of_a_key_that_comes_twice_in_one_fetch_the_last_record_is_added(lab):
    things = lab(write="append")
    things.store(1, None, [{"id": 1, "v": "a"}], [{"id": 1, "v": "b"}])
    things.store(2, None, [{"id": 1, "v": "c"}])

    things.load()

    assert things.values("v") == ["b", "c"]
    assert things.accounts()[1] == {"received": 2, "inserted": 1, "duplicates": 1}


def test_the_rows_of_a_fetch_that_is_given_up_go_with_their_lists(lab):
    things = lab(write="append", primary_key=[])
    things.store(1, None, [{"v": "a", "l": [1]}])
    things.store(2, None, [{"v": "b", "l": [2]}])
    things.load()
    things.snapshots.give_up(things.snapshots.fetches("shop", "things")[0], "as the test says")

    things.load()

    assert (things.values("v"), things.values("value", "things__l")) == (["b"], [2])


def test_rows_whose_stored_pages_are_gone_are_not_given_up_by_a_replay(lab):
    things = lab(write="append", primary_key=[])
    things.store(1, None, [{"v": 1}])
    things.store(2, None, [{"v": 1}])
    things.load()
    shutil.rmtree(things.snapshots.fetches("shop", "things")[0].folder)

    with pytest.raises(StorageFailed, match="the stored pages of fetch 1 are missing"):
        things.load(replay=True)

    assert things.values("v") == [1, 1]


def test_a_table_whose_mode_changes_is_built_anew_from_all_that_is_kept(lab):
    things = lab(write="replace")
    for fetch in (1, 2):
        things.store(fetch, None, [{"id": 1, "v": fetch}])
        things.load()
    things.model = things.model.model_copy(update={"write": "append"})

    things.load()

    assert things.values("v") == [1, 2]
