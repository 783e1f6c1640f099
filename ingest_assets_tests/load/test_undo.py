"""A fetch that is given up is as if it had never come: the tables are those of a rebuild from the others."""

import pytest

from ingest_assets.errors import ContractBroken, StorageFailed
from ingest_assets.load import ledger, reported

AT = {"at": {"type": "bigint"}}


def give_up(things, fetch):
    """Let a fetch count no more, as `ingest undo` does before anything else."""
    (found,) = [s for s in things.snapshots.fetches(things.source, things.name) if s.fetch == fetch]
    things.snapshots.give_up(found, "by the test")


def undo(things, fetch, partition="2026-01-01"):
    give_up(things, fetch)
    return things.load(partition)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"write": "replace_partition"},
        {"write": "replace_partition", "primary_key": []},
        {"newest_by": "at", "columns": AT},
        {"newest_by": "at", "columns": AT, "deleted": {"path": "gone", "equals": True}},
        {"deleted": {"path": "gone", "equals": True}},
    ],
    ids=["merge", "replaced", "no key", "newest_by", "newest_by and deleted", "deleted"],
)
@pytest.mark.parametrize("fetch", [1, 2, 3])
def test_the_tables_are_those_of_a_rebuild_from_the_kept_fetches(lab, daily, rebuilt, told, fetch):
    things = lab(**daily, **told)
    things.store(1, "2026-01-01", [{"id": 1, "at": 1, "v": 1, "l": [1]}, {"id": 2, "at": 1, "v": 1}])
    things.store(
        2, "2026-01-01", [{"id": 1, "at": 2, "v": "a", "new": 1, "l": ["x"]}, {"id": 3, "at": 2, "gone": True}]
    )
    things.store(3, "2026-01-02", [{"id": 4, "at": 3, "v": 1.5, "gone": False, "m": [{"n": 1}]}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)

    undo(things, fetch, "2026-01-02" if fetch == 3 else "2026-01-01")

    assert things.contents(lineage=True) == rebuilt(things).contents(lineage=True)
    assert things.load("2026-01-01") == things.load("2026-01-02") == []


def test_a_column_that_a_wrong_fetch_widened_has_its_type_again(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "v": 1}])
    things.load()
    things.store(2, None, [{"id": 1, "v": "not a number", "odd": True}])
    things.load()
    wrong = things.columns()

    undo(things, 2, None)

    assert wrong == {"id": "BIGINT", "odd": "BOOLEAN", "v": "JSON"}
    assert things.columns() == {"id": "BIGINT", "v": "BIGINT"}
    assert things.values("v") == [1]


def test_a_fetch_that_was_refused_before_the_undone_one_is_so_again_and_keeps_no_undone_row(lab, rebuilt):
    ten = [{"id": n} for n in range(10)]
    things = lab(sweep=True)
    things.store(1, None, ten)
    things.load()
    things.store(2, None, [{"id": 0, "few": True}])
    with pytest.raises(ContractBroken):
        things.load()
    things.store(3, None, [{**one, "wrong": True} for one in ten])
    things.load()

    for _ in range(2):
        with pytest.raises(ContractBroken, match="did not come again in fetch 2"):
            undo(things, 3, None)
    columns, loaded = things.columns(), list(things.accounts())
    things.store(4, None, ten)
    things.load()

    assert (columns, loaded) == ({"id": "BIGINT"}, [1])
    assert things.contents() == rebuilt(things).contents()


def test_an_endpoint_whose_only_fetch_is_undone_has_no_tables_and_begins_anew(lab):
    things = lab(newest_by="at", columns=AT)
    things.store(1, None, [{"id": 1, "at": 1, "l": [1]}])
    things.load()

    undo(things, 1, None)
    gone = things.tables()
    things.store(2, None, [{"id": "x", "at": 1}])
    things.load()

    assert gone == []
    assert things.tables() == ["things"]
    assert things.values("id") == ["x"]


def test_an_undone_fetch_has_no_account_and_no_quarantine_and_what_it_closed_is_open_again(lab):
    things = lab(columns={"n": {"type": "bigint"}})
    things.store(1, None, [{"id": 1, "n": "bad"}])
    things.load()
    things.store(2, None, [{"id": 1, "n": 1}, {"id": 2, "n": "bad"}])
    things.load()

    undo(things, 2, None)

    assert [(fetch, closed) for fetch, _, _, _, closed in things.quarantined()] == [(1, None)]
    assert things.accounts() == {1: {"received": 1, "quarantined": 1}}
    (row,) = things.rows("SELECT verdict, loaded, position, reason FROM w._ingest.fetches WHERE _fetch = 2")
    assert row[:3] == ("given_up", None, None)
    assert row[3].startswith("undone 20")


def test_what_dagster_was_told_is_remembered_until_it_is_told_of_the_undoing(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    with things.warehouse.session("reporting") as connection:
        loads = {fetch.fetch: fetch.loaded for fetch in ledger.fetches(connection, "shop", "things")}
        reported.report(connection, loads, "here")

    undo(things, 1, None)

    with things.warehouse.session("looking") as connection:
        assert [f.fetch for f in reported.untold_undone(connection, "shop", "things", "here")] == [1]
        assert reported.untold_undone(connection, "shop", "things", "elsewhere") == []
        reported.told_undone(connection, [1], "here")
        assert reported.untold_undone(connection, "shop", "things", "here") == []


def test_a_fetch_given_up_by_somebody_who_died_is_left_out_by_the_next_load(lab, rebuilt):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.store(2, None, [{"id": 2}])
    things.load()
    give_up(things, 2)
    things.store(3, None, [{"id": 3}])

    things.load()

    assert things.values("id") == [1, 3]
    assert things.contents() == rebuilt(things).contents()


def test_rows_of_a_fetch_that_is_not_stored_any_more_are_refused_not_lost(lab, daily):
    import shutil

    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1}])
    things.store(2, "2026-01-02", [{"id": 2}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)
    shutil.rmtree(things.snapshots.fetches(things.source, things.name)[0].folder)
    before = things.contents(lineage=True)

    with pytest.raises(StorageFailed, match="stored pages of fetch 1 are missing"):
        undo(things, 2, "2026-01-02")

    assert things.contents(lineage=True) == before
