"""Promise 1: whatever the order, overlap, repetition or kill of loads, the tables equal a rebuild.

Beside that, they equal what the rules of the design say, told again here in a few lines of plain Python.
"""

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.load.unneeded import unneeded
from ingest_assets.load.usage import needs
from ingest_assets.source import Endpoint
from ingest_assets_tests.load import rules
from ingest_assets_tests.load.rules import AT, MODES, check_lineage, check_rules

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "3"))


@st.composite
def _histories(draw: st.DrawFn, mode: str) -> tuple[list[tuple[int, str | None, list[list[Any]], str]], list[Any]]:
    """Fetches in their order, and steps: which partition's next fetch is stored, and what is done after it."""
    fetches = []
    for number in range(1, draw(st.integers(2, 5)) + 1):
        partition = draw(st.sampled_from(rules.partitions(mode)))
        pages = draw(rules.pages(mode, partition))
        verdict = draw(st.sampled_from(rules.VERDICTS))
        fetches.append((number, partition, pages, verdict))
    order = draw(st.permutations([partition for _, partition, _, _ in fetches]))
    steps = [(p, draw(st.sampled_from(["load", "load", "leave", "crash", "twice", "replay"]))) for p in order]
    return fetches, steps


class _Interrupted(Exception):
    pass


def _interrupted() -> datetime:
    raise _Interrupted


def _live(things: Any, fetches: list[Any], steps: list[Any]) -> None:
    waiting = {p: [f for f in fetches if f[1] == p] for p in {f[1] for f in fetches}}
    for partition, then in steps:
        number, _, pages, verdict = waiting[partition].pop(0)
        things.store(number, partition, *pages, verdict=verdict)
        if then == "crash" and things.loader().kept(partition):
            with contextlib.suppress(_Interrupted):  # where nothing is pending, nothing is interrupted
                things.loader(now=_interrupted).load(partition)
        if then in ("load", "twice", "replay"):
            for _ in range(2 if then == "twice" else 1):
                things.load(partition, replay=then == "replay")
    for partition in waiting:
        things.load(partition)


@pytest.mark.parametrize("mode", MODES)
def test_any_order_of_loads_ends_in_the_tables_of_a_rebuild(mode: str, lab_at, rebuilt):
    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_histories(mode))
    def holds(history):
        with tempfile.TemporaryDirectory() as folder:
            things = lab_at(Path(folder), Endpoint(path="/things", **MODES[mode]))
            _live(things, *history)

            merged = MODES[mode].get("write") not in ("replace", "replace_partition")
            loadable = bool(things.accounts())
            fresh = rebuilt(things, with_registry=not merged and loadable)
            assert things.contents() == fresh.contents()
            check_rules(things, mode, history[0])
            check_lineage(things, history[0])
            if merged:
                assert things.quarantined() == fresh.quarantined()
            for account in things.accounts().values():
                assert account.pop("received", 0) == sum(account.values())

    holds()


_PRUNED = [
    *("by newest_by", "by their order", "without tombstones", "history by their order"),
    *("swept", "swept softly", "swept history"),
]


@pytest.mark.parametrize("mode", _PRUNED)
def test_what_nothing_needs_can_go_and_a_rebuild_gives_the_same(mode: str, lab_at, rebuilt):
    @settings(max_examples=max(2, _EXAMPLES // 2), deadline=None, suppress_health_check=list(HealthCheck))
    @given(_histories(mode))
    def holds(history):
        with tempfile.TemporaryDirectory() as folder:
            things = lab_at(Path(folder), Endpoint(path="/things", **MODES[mode]))
            _live(things, *history)
            before = things.contents()

            _prune(things)

            assert rebuilt(things, with_registry=bool(things.accounts())).contents() == before

    holds()


def _prune(things: Any) -> list[int]:
    """Remove what nothing needs."""
    with things.warehouse.looking("pruning") as connection:
        spare = unneeded(things.snapshots.fetches("shop", "things"), needs(connection, "shop", "things"))
    for snapshot in spare:
        things.snapshots.remove(snapshot)
    return [snapshot.fetch for snapshot in spare]


@pytest.mark.parametrize("emptied", [[{"id": 1, "l": []}], [{"id": 1, "l": []}, {"id": 1, "v": 1}]])
def test_a_list_that_was_emptied_stays_empty_where_all_that_nothing_needs_is_gone(lab, emptied):
    things = lab()
    things.store(1, None, [{"id": 1, "l": [1]}, {"id": 2}])
    things.store(2, None, emptied)
    things.store(3, None, [{"id": 1, "l": [], "v": 2}])
    things.store(4, None, [{"id": 1, "v": 3}])
    things.load()

    pruned = _prune(things)
    things.load(replay=True)

    assert pruned == [3]
    assert things.values("value", "things__l") == []


def test_the_clock_of_loads_decides_nothing(lab):
    things = lab(newest_by="at", columns=AT)
    things.store(1, None, [{"id": 1, "at": 2}])
    things.loader(now=lambda: datetime(2030, 1, 1, tzinfo=UTC)).load(None)
    things.store(2, None, [{"id": 1, "at": 3}])

    things.loader(now=lambda: datetime(2020, 1, 1, tzinfo=UTC)).load(None)

    assert things.values("at") == [3]


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_record_that_came_in_two_partitions_is_of_the_one_that_brought_it_last(lab, rebuilt, order):
    things = lab(
        partitions={"by": {"account": ["1", "2"]}},
        newest_by="at",
        columns={"at": {"type": "bigint"}, "account": {"type": "varchar", "from_partition": "account"}},
    )
    for number in order:
        things.store(number, str(number), [{"id": 1, "at": 1}])
        things.load(str(number))

    assert things.values("account") == ["2"]
    assert things.contents(lineage=True) == rebuilt(things).contents(lineage=True)
