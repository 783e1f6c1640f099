"""A lost warehouse is built again from what is stored and noted: its tables are those that were lost."""

from dataclasses import replace

import pytest

from ingest_assets.errors import ContractBroken


@pytest.mark.parametrize("write", ["replace", "replace_partition"])
def test_a_replaced_table_has_the_types_it_had_where_an_older_fetch_was_never_loaded(lab, daily, built_again, write):
    partition = "2026-01-01" if write == "replace_partition" else None
    things = lab(write=write, **(daily if partition else {}))
    things.store(1, partition, [{"id": 1, "n": "a text", "l": [{"only": 1}]}])
    things.store(2, partition, [{"id": 1, "n": 1, "l": []}])
    things.load(partition)

    again = built_again(things)

    assert again.contents() == things.contents()
    assert again.columns() == {"id": "BIGINT", "n": "BIGINT"}


def test_a_replaced_table_cites_the_fetches_it_cited_where_all_were_loaded(lab, built_again):
    things = lab(write="replace")
    for number, pages in enumerate([[{"id": 1, "n": 0.5}, {"id": 2}], [{"id": 1, "n": 0.5}]], 1):
        things.store(number, None, pages)
        things.load()

    again = built_again(things)

    assert again.contents(lineage=True) == things.contents(lineage=True)
    assert again.accounts() == things.accounts()


@pytest.mark.parametrize(
    "told",
    [
        {"contract": {"columns": "freeze"}},
        {"contract": {"columns": "freeze"}, "columns": {"id": {"type": "bigint", "path": "id"}}},
        {"columns": {"new": {"type": "varchar", "unfit": "freeze"}}},
    ],
    ids=["learned", "declared", "a value"],
)
def test_a_fetch_that_a_frozen_table_refused_is_refused_again_and_what_came_before_it_is_there(lab, built_again, told):
    things = lab(**told)
    things.store(1, None, [{"id": 1}])
    things.load()
    things.store(2, None, [{"id": 2, "new": 1}])
    with pytest.raises(ContractBroken):
        things.load()

    again = built_again(things)

    assert again.contents() == things.contents()
    with pytest.raises(ContractBroken, match="new"):
        again.load()


def test_what_drifted_is_told_once_where_a_fetch_waited_when_the_warehouse_was_lost(lab, built_again):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.store(2, None, [{"id": 2, "new": 1}])

    again = built_again(things)

    assert again.rows('SELECT kind, "column", _fetch FROM w._ingest.drift') == [("new column", "new", 2)]


def test_what_is_built_as_of_a_time_changes_nothing_that_is_noted(lab, tmp_path):
    things = lab(write="replace")
    things.store(1, None, [{"id": 1, "n": "a text"}])
    at = things.snapshots.now()
    things.store(2, None, [{"id": 1, "n": 1}])
    things.load()
    notes = {file: file.read_bytes() for file in things.raw.rglob(".*.json")}

    list(replace(things.line(tmp_path / "then"), as_of=at).catch_up("things", None))

    assert {file: file.read_bytes() for file in things.raw.rglob(".*.json")} == notes
    assert things.snapshots.notes.registry("shop", "things") is not None
