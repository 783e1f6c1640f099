"""A changed contract gives the tables of a rebuild, from what is stored, or refuses."""

import shutil
from typing import Any

import pytest

from ingest_assets.errors import ConfigError, StorageFailed

RECORDS = [
    {"id": 1, "at": 3, "n": 1, "t": "2026-01-02", "gone": False, "s": "a", "l": [{"m": 1}]},
    {"id": 2, "at": 2, "n": 2, "t": "2026-02-01", "gone": True, "s": None, "l": []},
    {"id": 1, "at": 4, "n": 3, "t": "2026-03-04", "gone": False, "s": "b"},
]
AT = {"at": {"type": "bigint"}}
BASE: dict[str, Any] = {"columns": AT}


@pytest.mark.parametrize(
    "changed",
    [
        {"columns": {"at": {"type": "double"}}},
        {"columns": {**AT, "n": {"type": "hugeint"}}},
        {"columns": {**AT, "renamed": {"type": "varchar", "path": "s"}}},
        {"columns": {**AT, "s": {"type": "varchar", "required": True}}},
        {"columns": {**AT, "s": {"type": "varchar", "values": ["b"]}}},
        {"columns": {**AT, "t": {"type": "date", "format": "%Y-%d-%m"}}},
        {"columns": AT, "children": {"l": {"columns": {"m": {"type": "double"}}}}},
        {"columns": AT, "contract": {"types": "drop"}},
        {"columns": {**AT, "id": {"type": "bigint"}}, "contract": {"columns": "drop", "tables": "drop"}},
        {"columns": {"at": {"type": "bigint", "unfit": "drop"}}},
        {"columns": AT, "children": {"l": {"columns": {"m": {"type": "bigint", "unfit": "drop"}}}}},
        {"columns": AT, "primary_key": "n"},
        {"columns": AT, "primary_key": ["id", "n"]},
        {"columns": AT, "newest_by": "at"},
        {"columns": AT, "newest_by": "at", "deleted": {"path": "gone", "equals": True}},
        {"columns": AT, "deleted": {"path": "gone", "equals": True}},
        {"columns": AT, "write": "replace_partition"},
        {"columns": AT, "write": "replace_partition", "primary_key": []},
    ],
)
def test_a_changed_contract_gives_the_tables_of_a_rebuild(lab, daily, rebuilt, changed):
    things = lab(**daily, **BASE)
    for number, record in enumerate(RECORDS, 1):
        things.store(number, "2026-01-01", [record, {**record, "id": 9}])
        things.load("2026-01-01")
    things.store(4, "2026-01-02", [{**RECORDS[0], "id": 5}])
    things.load("2026-01-02")
    things.model = type(things.model)(**{"path": "/things", "primary_key": "id", **daily, **changed})

    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)

    assert things.contents() == rebuilt(things, with_registry=True).contents()
    assert things.load("2026-01-01") == []


def test_a_new_layout_loads_all_partitions_at_once(lab, daily):
    things = lab(**daily)
    for number in (1, 2, 3):
        things.store(number, f"2026-01-0{number}", [{"id": number, "n": 1}])
        things.load(f"2026-01-0{number}")
    things.model = type(things.model)(path="/things", primary_key="id", **daily, columns={"n": {"type": "double"}})

    loaded = things.load("2026-01-02")

    assert [one.fetch for one in loaded] == [1, 2, 3]
    assert things.columns() == {"id": "BIGINT", "n": "DOUBLE"}


def test_a_new_format_reaches_rows_that_come_again_unchanged(lab):
    record = {"id": 1, "t": "2026-02-01"}
    things = lab(write="replace", columns={"t": {"type": "date"}})
    things.store(1, None, [record])
    things.load()
    things.store(2, None, [record])
    things.model = type(things.model)(
        path="/things", primary_key="id", write="replace", columns={"t": {"type": "date", "format": "%Y-%d-%m"}}
    )

    things.load()

    assert [str(day) for day in things.values("t")] == ["2026-01-02"]
    assert things.load() == []


def test_a_replay_of_one_partition_leaves_the_others(lab, daily):
    things = lab(**daily)
    for number in (1, 2):
        things.store(number, f"2026-01-0{number}", [{"id": number, "l": [number]}])
        things.load(f"2026-01-0{number}")
    before = things.contents(lineage=True)

    loaded = things.load("2026-01-01", replay=True)

    assert [one.fetch for one in loaded] == [1]
    assert things.contents(lineage=True) == before


def test_a_fetch_that_turns_up_late_takes_its_place_in_the_order(lab, daily, rebuilt):
    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1, "v": "a"}])
    things.load("2026-01-01")
    things.store(3, "2026-01-01", [{"id": 1, "v": "a"}])
    things.load("2026-01-01")
    things.store(2, "2026-01-01", [{"id": 1, "v": "b"}])

    things.load("2026-01-01")

    assert things.values("v") == ["a"]
    assert things.contents() == rebuilt(things).contents()


def test_a_fetch_older_than_the_loaded_one_replaces_nothing(lab):
    things = lab(write="replace")
    things.store(2, None, [{"id": 2}])
    things.load()
    shutil.move(things.raw, things.data / "elsewhere")
    things.store(1, None, [{"id": 1}])

    loaded = things.load()

    assert (loaded, things.values("id")) == ([], [2])


def _lose(things: Any, fetch: int) -> None:
    (lost,) = [s for s in things.snapshots.fetches(things.source, things.name) if s.fetch == fetch]
    shutil.rmtree(lost.folder)


@pytest.mark.parametrize(
    "told",
    [{}, {"newest_by": "at", "columns": AT}, {"write": "replace_partition"}],
    ids=["merge", "newest_by", "replaced"],
)
@pytest.mark.parametrize("how", ["replay", "type"])
def test_rows_whose_stored_pages_are_gone_are_refused_not_lost(lab, daily, told, how):
    things = lab(**daily, **told)
    things.store(1, "2026-01-01", [{"id": 1, "at": 1}])
    things.store(2, "2026-01-02", [{"id": 2, "at": 2}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)
    before = things.contents(lineage=True)
    _lose(things, 1)
    if how == "type":
        things.model = type(things.model)(
            **{"path": "/things", "primary_key": "id", **daily, **told, "columns": {"at": {"type": "double"}}}
        )

    with pytest.raises(StorageFailed, match=r"shop\.things: the stored pages of fetch 1 are missing"):
        things.load("2026-01-01", replay=how == "replay")

    assert things.contents(lineage=True) == before


def test_a_lost_tombstone_is_refused_too(lab, daily):
    things = lab(**daily, deleted={"path": "gone", "equals": True})
    things.store(1, "2026-01-01", [{"id": 1}])
    things.store(2, "2026-01-01", [{"id": 1, "gone": True}])
    things.load("2026-01-01")
    _lose(things, 2)

    with pytest.raises(StorageFailed, match="fetch 2 are missing"):
        things.load("2026-01-01", replay=True)


def test_a_lost_end_of_a_history_is_refused_too(lab, daily):
    things = lab(**daily, deleted={"path": "gone", "equals": True}, write="history")
    things.store(1, "2026-01-01", [{"id": 1, "l": [1]}])
    things.store(2, "2026-01-01", [{"id": 1, "gone": True}])
    things.load("2026-01-01")
    _lose(things, 2)

    with pytest.raises(StorageFailed, match="fetch 2 are missing"):
        things.load("2026-01-01", replay=True)


@pytest.mark.parametrize("told", [{}, {"newest_by": "at", "columns": AT}], ids=["merge", "newest_by"])
def test_a_list_that_came_again_of_another_key_only_is_refused_too(lab, daily, told):
    things = lab(**daily, **told)
    things.store(1, "2026-01-01", [{"id": 1, "l": [1]}])
    things.store(2, "2026-01-01", [{"id": 1, "v": 2}, {"id": 2, "l": [1]}])
    things.load("2026-01-01")
    _lose(things, 1)

    with pytest.raises(StorageFailed, match="fetch 1 are missing"):
        things.load("2026-01-01", replay=True)


@pytest.mark.parametrize("deletes", ["soft", "hard"])
def test_rows_that_were_deleted_and_came_again_are_the_same_after_a_replay(lab, deletes):
    things = lab(deleted={"path": "gone", "equals": True}, deletes=deletes)
    for number in range(1, 8):
        told = [{"id": id_, "v": number, "lines": [{"n": number}]} for id_ in range(3)]
        told[number % 3]["gone"] = True
        things.store(number, None, told)
    things.load()
    before = things.contents(lineage=True), things.accounts()

    things.load(replay=True)

    assert (things.contents(lineage=True), things.accounts()) == before


def test_a_lost_fetch_does_not_matter_when_a_later_one_brought_the_same(lab, daily):
    things = lab(**daily)
    things.store(1, "2026-01-01", [{"id": 1, "l": [1]}])
    things.load("2026-01-01")
    things.store(2, "2026-01-01", [{"id": 1, "l": [1]}])
    things.load("2026-01-01")
    before = things.contents()
    _lose(things, 1)

    things.load("2026-01-01", replay=True)

    assert things.contents() == before


def test_a_lost_fetch_does_not_matter_when_its_list_came_again_with_another_record(lab, daily):
    things = lab(**daily)
    for number in (1, 2):
        things.store(number, "2026-01-01", [{"id": 1, "v": number, "l": [{"n": 1, "m": [2]}]}])
        things.load("2026-01-01")
    before = things.contents()
    _lose(things, 1)

    things.load("2026-01-01", replay=True)

    assert things.contents() == before
    assert things.values("_fetch", "things__l__m") == [2]


def test_a_list_that_only_a_lost_fetch_brought_is_refused_too(lab, daily):
    things = lab(**daily)
    for number, more in enumerate([{"l": [{"n": 1, "m": [2]}]}, {}], 1):
        things.store(number, "2026-01-01", [{"id": 1, "v": number, **more}])
        things.load("2026-01-01")
    _lose(things, 1)

    with pytest.raises(StorageFailed, match="fetch 1 are missing"):
        things.load("2026-01-01", replay=True)


def test_a_version_that_came_back_is_not_given_up_for_the_one_between(lab, daily):
    things = lab(**daily)
    for number, value in enumerate("aba", 1):
        things.store(number, "2026-01-01", [{"id": 1, "v": value}])
        things.load("2026-01-01")
    _lose(things, 3)

    with pytest.raises(StorageFailed, match="fetch 3 are missing"):
        things.load("2026-01-01", replay=True)

    assert things.values("v") == ["a"]


def test_a_table_of_another_endpoint_is_not_taken(lab):
    lines = lab(name="things__l")
    lines.store(1, None, [{"id": 1, "v": "theirs"}])
    lines.load()
    things = lab()
    things.store(2, None, [{"id": 1, "l": [1]}])

    with pytest.raises(ConfigError, match=r"table shop\.things__l is there already"):
        things.load()

    assert lines.values("v") == ["theirs"]


def test_a_rebuild_leaves_tables_whose_names_only_begin_alike(lab):
    things, other = lab(), lab(name="things__more")
    things.store(1, None, [{"id": 1}])
    other.store(2, None, [{"id": 2}])
    things.load()
    other.load()

    things.load(replay=True)

    assert other.values("id") == [2]
    assert things.load() == []
