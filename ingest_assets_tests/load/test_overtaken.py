"""What another process commits while a load stages: names and types are joined, and nothing is staged again."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.errors import ContractBroken
from ingest_assets.load.warehouse import Warehouse
from ingest_assets.source import Endpoint
from ingest_assets_tests.load import rules
from ingest_assets_tests.load.conftest import Lab, rebuild

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "1"))
ONE, OTHER, THIRD, FOURTH = (f"2026-01-0{day}" for day in range(1, 5))
DAILY = [mode for mode in rules.MODES if None not in rules.partitions(mode)]


class Overtaken(Warehouse):
    """When it comes for the lock for the second time, which is to commit, `meanwhile` has happened."""

    times = 0
    meanwhile: Callable[[], object]

    @contextlib.contextmanager
    def alone(self, what):
        self.times += 1
        if self.times == 2:
            self.meanwhile()
        with super().alone(what):
            yield


def overtaken(
    things: Lab, load: Callable[[Lab], object], others: list[str], *, undo: Callable[[], object] = lambda: None
) -> int:
    """Load by one process while another one may `undo` and loads other days: how often the first had the lock."""
    one, other = (Lab(things.data, things.model) for _ in range(2))
    warehouse = Overtaken(things.data, reserve_bytes=0)
    warehouse.meanwhile = lambda: (undo(), [other.load(day) for day in others])
    one.warehouse = warehouse
    load(one)
    return warehouse.times


def together(days: list[str]) -> Callable[[Lab], None]:
    def load(things: Lab) -> None:
        for _, found in things.loader().load_together(dict.fromkeys(days, False)):
            assert isinstance(found, list), found

    return load


CASES = [
    ({"new": 1}, {"newer": 2}),
    ({"n": 1}, {"n": 0.5}),
    ({"n": 0.5}, {"n": 2**70}),
    ({"n": "text"}, {"n": 2**70}),
    ({"m": 'a "text"'}, {"m": 1.5}),
    ({"n": [1]}, {"n": "text", "x": None}),
    ({"lines": [{"a": 'a "text"'}]}, {"tags": ["x"], "lines": [{"a": True, "b": [1]}]}),
    ({"id": 4, "gone": True, "at": 9}, {"lines": [{"deep": [1]}]}),
]


@pytest.mark.parametrize(
    ("mode", "mine", "theirs"),
    [("by newest_by", mine, theirs) for mine, theirs in CASES] + [(mode, *CASES[6]) for mode in DAILY],
)
def test_what_another_load_brought_meanwhile_is_joined(lab, rebuilt, mode, mine, theirs):
    things = lab(Endpoint(path="/things", **rules.MODES[mode]))
    things.store(1, ONE, [{"id": 1, "n": 5, "at": 1}])
    things.load(ONE)
    things.store(2, OTHER, [{"id": 2, "at": 2} | mine, {"id": 3, "at": 2}])
    things.store(3, THIRD, [{"id": 4, "at": 3} | theirs])

    times = overtaken(things, lambda one: one.load(OTHER), [THIRD])

    assert things.contents() == rebuilt(things).contents()
    assert times == 2


@pytest.mark.parametrize("mode", DAILY)
def test_whatever_came_meanwhile_the_tables_are_those_of_a_rebuild_and_of_the_rules(mode):
    @given(data=st.data())
    @settings(max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    def holds(data):
        fetches = [
            (number, day, data.draw(rules.pages(mode, day)), "complete")
            for number, day in enumerate([ONE, OTHER] * 2, 1)
        ]
        with tempfile.TemporaryDirectory() as folder:
            things = Lab(Path(folder) / "data", Endpoint(path="/things", **rules.MODES[mode]))
            for number, day, pages, _ in fetches:
                things.store(number, day, *pages)
                if number == 1:
                    things.load(day)

            overtaken(things, lambda one: one.load(OTHER), [ONE])

            rules.check_rules(things, mode, fetches)
            assert things.contents() == rebuild(things, with_registry=True).contents()
            for account in things.accounts().values():
                assert account.pop("received", 0) == sum(account.values())

    holds()


_VALUES = st.recursive(
    st.sampled_from([None, True, 1, -7, 0.5, 2**53 + 1, 2**70, "N/A", 'a "b"\n']),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.sampled_from("nmX"), _VALUES, max_size=3), min_size=5, max_size=5))
@settings(max_examples=3 * _EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
def test_partitions_loaded_together_are_overtaken_in_the_same_way(found):
    first, mine, more, theirs, last = ({"id": number} | record for number, record in enumerate(found))
    with tempfile.TemporaryDirectory() as folder:
        things = Lab(Path(folder) / "data", Endpoint(path="/things", **rules.MODES["without tombstones"]))
        things.store(1, ONE, [first])
        things.load(ONE)
        for number, (day, records) in enumerate([(OTHER, [mine, more]), (THIRD, [theirs]), (FOURTH, [last])], 2):
            things.store(number, day, records)

        overtaken(things, together([OTHER, FOURTH]), [THIRD])

        assert things.contents() == rebuild(things).contents()


def test_partitions_loaded_together_stay_in_one_transaction_where_another_load_came_between(lab, daily, rebuilt):
    things = lab(**daily)
    for number, day in enumerate([ONE, OTHER, THIRD, FOURTH], 1):
        things.store(number, day, [{"id": number, f"own{number}": number}])
    things.load(ONE)

    times = overtaken(things, together([OTHER, FOURTH]), [THIRD])

    assert times == 2
    assert things.contents() == rebuilt(things).contents()


def test_a_name_that_went_to_another_path_meanwhile_is_settled_before_anything_is_written(lab, daily, rebuilt):
    things = lab(**daily)
    for number, (day, key) in enumerate([(ONE, "v"), (OTHER, "Own"), (THIRD, "own")], 1):
        things.store(number, day, [{"id": number, key: number}])
    things.load(ONE)

    overtaken(things, lambda one: one.load(OTHER), [THIRD])

    assert things.columns().keys() == {"id", "v", "own", "own_2"}
    assert things.values("own") == [3, None, None]
    assert things.contents() == rebuilt(things, with_registry=True).contents()


def test_what_only_a_fetch_taught_that_was_undone_meanwhile_is_not_brought_back(lab, daily, rebuilt):
    things = lab(**daily)
    for number, (day, value) in enumerate([(ONE, 1), (THIRD, "N/A"), (OTHER, 2)], 1):
        things.store(number, day, [{"id": number, "v": value, f"own{number}": True}])
        if day != OTHER:
            things.load(day)
    undone = things.snapshots.fetches("shop", "things", THIRD)[0]

    overtaken(
        things, lambda one: one.load(OTHER), [THIRD], undo=lambda: things.snapshots.give_up(undone, "by a person")
    )

    assert things.columns() == {"id": "BIGINT", "v": "BIGINT", "own1": "BOOLEAN", "own3": "BOOLEAN"}
    assert things.contents() == rebuilt(things).contents()


@pytest.mark.parametrize("mode", DAILY)
@pytest.mark.parametrize("loaded", [[], [{"id": None, "at": 1}]], ids=["first", "after a loaded one"])
def test_a_key_that_another_load_saw_first_is_known_to_one_without_a_row(lab, rebuilt, mode, loaded):
    things = lab(Endpoint(path="/things", **rules.MODES[mode]))
    if loaded:
        things.store(1, ONE, loaded)
        things.load(ONE)
    things.store(2, ONE, [{"id": None, "at": 1}])
    things.store(3, OTHER, [{"id": 1, "at": 1}])

    times = overtaken(things, lambda one: one.load(ONE), [OTHER])

    assert times == 2
    assert things.contents() == rebuilt(things).contents()


def test_a_key_whose_type_widened_meanwhile_is_still_one_key(lab, rebuilt):
    things = lab(Endpoint(path="/things", **rules.MODES["by newest_by"]))
    for number, (day, key) in enumerate([(ONE, 7), (OTHER, 1), (THIRD, 0.5), (FOURTH, 1.0)], 1):
        things.store(number, day, [{"id": key, "at": number}])
    things.load(ONE)

    overtaken(things, lambda one: one.load(OTHER), [THIRD, FOURTH])

    assert things.values("id") == [0.5, 1.0, 7.0]
    assert things.contents() == rebuilt(things, with_registry=True).contents()


def test_what_the_contract_freezes_is_refused_also_by_what_came_meanwhile(lab, daily):
    frozen = Endpoint(path="/things", primary_key="id", **daily, contract={"types": "freeze"})
    things = lab(Endpoint(path="/things", primary_key="id", **daily))
    things.store(1, ONE, [{"id": 1, "v": 1}])
    things.load(ONE)
    things.store(2, OTHER, [{"id": 2, "w": 2**60}])
    things.store(3, THIRD, [{"id": 3, "w": 0.5}])

    with pytest.raises(ContractBroken, match=r"wider type things\.w from double to decimal"):
        overtaken(things, lambda one: one.loader(frozen).load(OTHER), [THIRD])

    assert things.columns()["w"] == "DOUBLE"
    assert sorted(things.values("id")) == [1, 3]
