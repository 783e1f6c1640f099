"""Rows that many fetches change again and again, loaded in one transaction: as if they had been loaded one by one."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from ingest_assets_tests.load.conftest import build_again

KEYS, FETCHES, CHANGED = 1000, 36, 100
MODES: dict[str, dict[str, Any]] = {
    "the last one": {},
    "the newest one, some deleted": {
        "newest_by": "n",
        "columns": {"n": {"type": "bigint"}},
        "deleted": {"path": "gone", "equals": True},
    },
    "each version": {"write": "history"},
    "what is listed": {"sweep": {"most": 1}, "deletes": "soft"},
    "each time": {"write": "append"},
}


def record(key: int, number: int, chance: random.Random) -> dict[str, Any]:
    lines = [{"sku": f"s{chance.randrange(50)}", "n": number} for _ in range(chance.randrange(3))]
    gone = chance.random() < 0.1
    return {"id": key, "n": number, "name": f"name {chance.random()}", "gone": gone, "lines": lines}


def store(things: Any, seed: int) -> dict[int, int]:
    """Store fetches of which each changes some of the keys; which of them each key came last in."""
    chance, last = random.Random(seed), {}  # noqa: S311 -- no secret
    for number in range(1, FETCHES + 1):
        keys = range(KEYS) if number == 1 else chance.sample(range(KEYS), CHANGED)
        things.store(number, None, [record(key, number, chance) for key in keys])
        last |= dict.fromkeys(keys, number)
        if number == 1:
            things.load()
    return last


@pytest.mark.parametrize("seed", [1, 2])
def test_each_key_has_the_record_that_came_last(lab: Callable[..., Any], seed: int) -> None:
    things = lab()
    last = store(things, seed)

    loads = things.load()

    rows = things.rows("SELECT id, n, _fetch FROM w.shop.things ORDER BY id")
    assert rows == [(key, last[key], last[key]) for key in range(KEYS)]
    assert [load.account.updated for load in loads] == [CHANGED] * (FETCHES - 1)
    assert things.rows(
        "SELECT count(*) FROM w.shop.things__lines AS l ANTI JOIN w.shop.things AS t ON l._parent = t._id"
    ) == [(0,)]


@pytest.mark.parametrize("mode", MODES.values(), ids=MODES)
def test_what_is_loaded_at_once_is_what_is_loaded_one_by_one(lab: Callable[..., Any], mode: dict[str, Any]) -> None:
    at_once, by_one = lab(at="at_once", **mode), lab(at="by_one", **mode)
    for things in (at_once, by_one):
        store(things, 4)
    at_once.load()
    for number in range(2, FETCHES + 1):
        held = frozenset(range(number + 1, FETCHES + 1))
        list(by_one.line().loader("things", held).load(None))

    assert at_once.contents() == by_one.contents()
    assert at_once.accounts() == by_one.accounts()


def test_a_warehouse_that_is_built_again_of_many_fetches_is_the_one_that_was(lab: Callable[..., Any]) -> None:
    things = lab()
    store(things, 5)
    things.load()

    assert build_again(things).contents(lineage=True) == things.contents(lineage=True)
