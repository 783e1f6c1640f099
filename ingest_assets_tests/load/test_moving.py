"""A table that is built anew comes into the warehouse some rows at a time, and in place as a whole or not at all."""

import contextlib
import os
import signal
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from ingest_assets.errors import StorageFailed
from ingest_assets.load.erase import Eraser
from ingest_assets.load.moving import Moving
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.load.work import Work
from ingest_assets_tests.load.victims import victims

_AT = {"at": {"type": "bigint"}}
_MOMENT = {"at": {"type": "timestamptz", "format": "unix", "required": True}}
_GONE = {"path": "gone", "equals": True}
_MODES: dict[str, dict[str, Any]] = {
    "merge": {},
    "tombstones": {"newest_by": "at", "columns": _AT, "deleted": _GONE},
    "soft": {"deletes": "soft", "deleted": _GONE},
    "history": {"write": "history", "deleted": _GONE},
    "history by newest_by": {"write": "history", "newest_by": "at", "columns": _MOMENT},
    "append": {"write": "append", "primary_key": []},
    "replace": {"write": "replace"},
}
_FETCHES = [
    [{"id": n, "at": 1, "v": n, "lines": [{"n": n, "subs": [1, 2]}, {"n": 0}]} for n in range(50)],
    [{"id": n, "at": 2, "v": "text", "lines": [{"n": 1}], "gone": n == 7 or None} for n in range(5, 60)],
]


def left(things: Any) -> list[str]:
    """The tables that are not in place, or were left by who died."""
    rows = things.rows("SELECT table_name FROM duckdb_tables() WHERE starts_with(table_name, '_new:') ORDER BY 1")
    return [name for (name,) in rows]


def stored(things: Any) -> None:
    for number, records in enumerate(_FETCHES, 1):
        things.store(number, None, records)
        things.load()


class _Watched(Warehouse):
    """Counts its transactions, and has something done before one of them."""

    def __init__(self, *told: Any, before: dict[int, Any] | None = None, **more: Any) -> None:
        super().__init__(*told, reserve_bytes=0, **more)
        self.before, self.taken = before or {}, 0

    @contextlib.contextmanager
    def alone(self, what):
        self.taken += 1
        self.before.get(self.taken, lambda: None)()
        with super().alone(what):
            yield


@pytest.mark.parametrize("mode", _MODES)
def test_the_tables_are_those_that_are_brought_at_once(lab, mode):
    things = lab(**_MODES[mode])
    stored(things)
    whole = things.loader().load(None, replay=True)
    expected = things.contents(lineage=True)
    watched = _Watched(things.data)

    in_pieces = replace(things.loader(), warehouse=watched, from_rows=1).load(None, replay=True)

    assert in_pieces == whole
    assert things.contents(lineage=True) == expected
    assert watched.taken > 7
    assert left(things) == []


def test_somebody_else_may_write_between_two_pieces(lab):
    things, other = lab(), lab(name="others")
    stored(things)
    other.store(3, None, [{"id": 1}])
    seen: list[Any] = []

    def between() -> None:
        other.load()
        seen.extend(left(things))

    replace(things.loader(), warehouse=_Watched(things.data, before={5: between}), from_rows=1).load(None, replay=True)

    assert seen == [f"_new:shop.things:{table}" for table in ("things", "things__lines", "things__lines__subs")]
    assert other.values("id") == [1]
    assert left(things) == []


def test_what_another_load_brought_meanwhile_is_there(lab, daily, rebuilt):
    things, days = lab(**daily, **_MODES["tombstones"]), ["2026-01-01", "2026-01-02"]
    for number, day in enumerate(days, 1):
        things.store(number, day, [{"id": n, "at": n, "lines": [{"n": n}]} for n in range(number, number + 8)])
    things.load(days[0])
    watched = _Watched(things.data, before={5: lambda: things.load(days[1])})

    replace(things.loader(), warehouse=watched, from_rows=1).load(days[0], replay=True)

    assert things.values("id") == [*range(1, 10)]
    assert things.contents() == rebuilt(things).contents()
    assert left(things) == []


def test_where_the_disk_fills_meanwhile_the_table_stays_and_nothing_is_left(lab):
    things = lab()
    stored(things)
    expected = things.contents(lineage=True)

    def full() -> None:
        raise StorageFailed("the disk is full")

    with pytest.raises(StorageFailed, match="the disk is full"):
        replace(things.loader(), warehouse=_Watched(things.data, before={5: full}), from_rows=1).load(None, replay=True)

    assert things.contents(lineage=True) == expected
    assert left(things) == []


def test_while_another_process_brings_such_tables_they_are_brought_at_once(lab):
    things = lab()
    stored(things)
    moving = Moving(things.warehouse, "shop", "things", "another one")
    watched = _Watched(things.data)
    expected = things.contents(lineage=True)

    with moving.none():
        replace(things.loader(), warehouse=watched, from_rows=1).load(None, replay=True)

    assert watched.taken == 2
    assert things.contents(lineage=True) == expected


def test_what_is_left_by_a_process_that_was_killed_goes_with_the_next_load(lab, tmp_path):
    things = lab(**_MODES["merge"])
    things.store(1, None, [{"id": n, "lines": [{"n": n}]} for n in range(30_000)])
    things.load()
    expected, mark = things.contents(lineage=True), things.data / "warehouse" / "shop.things.new"
    job = {"what": "replay", "partition": None, "endpoint": "things", "model": {"path": "/", "primary_key": "id"}}

    with victims(tmp_path) as starting:
        process = starting.start(job, things.data)
        until = time.monotonic() + 60
        while not (mark.exists() and left(things)):
            assert time.monotonic() < until
        os.kill(process, signal.SIGKILL)
        starting.end(process)
    there = left(things)
    after = things.contents(lineage=True)
    things.store(2, None, [])
    things.load()

    assert there == ["_new:shop.things:things", "_new:shop.things:things__lines"]
    assert {name: told for name, told in after.items() if not name.startswith("_new:")} == expected
    assert things.contents(lineage=True) == expected
    assert (left(things), mark.exists()) == ([], False)


def test_a_key_that_is_forgotten_is_not_in_what_a_killed_process_left(lab):
    things = lab()
    things.store(1, None, [{"id": 1, "who": "somebody's name"}, {"id": 2, "who": "another"}])
    things.load()
    with things.warehouse.session("as who died") as connection:
        connection.execute('CREATE TABLE w.shop."_new:shop.things:things" AS FROM w.shop.things')
    eraser = Eraser(
        things.warehouse,
        things.snapshots,
        Work("shop", "things", things.model),
        lambda _: contextlib.nullcontext(),
        things.data / "archive",
    )
    key, now = eraser.key(["id=1"]), datetime.now(UTC)

    eraser.erase(key, eraser.look(key), now)

    assert left(things) == []
    assert b"somebody's name" not in things.warehouse.writer.read_bytes()
