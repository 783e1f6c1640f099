"""Large fetches that are stored, whose rows two processes make."""

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_assets.load import meanwhile, stage
from ingest_assets.load.helper import Helper
from ingest_assets.normalize.registry import Registry
from ingest_assets.source import Endpoint
from ingest_assets_tests.load import rules
from ingest_assets_tests.load.conftest import Lab, rebuild

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "2"))
_DAYS = ["2026-01-01", "2026-01-02"]

PAGES = [
    [{"id": n, "name": f"number {n}", "tags": [{"name": "a"}] * (n % 3)} for n in range(k, k + 40)]
    for k in range(0, 320, 40)
]
ASIDE = [{"id": None, "name": "aside"}, 5, {"id": 600, "name": "a", "tags": [{"name": "b"}, {"name": "c"}]}]
NEWER = [[{"id": n, "name": "newer", "tags": [{"name": "b"}]} for n in range(30, 200)], *PAGES[6:], ASIDE]
WIDER = [*PAGES[:2], [{"id": 700, "name": 7}], *PAGES[2:]]


@pytest.fixture
def of_use(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """However small a fetch is, two processes share its pages, each of which is a share; whether that was of use."""
    told = list[bool]()

    class Watched(meanwhile.Meanwhile):
        def taken(self, *given: Any) -> Any:
            told.append(False)
            found = super().taken(*given)
            told[-1] = found is not None
            return found

    monkeypatch.setattr(meanwhile, "Meanwhile", Watched)
    monkeypatch.setattr(meanwhile, "_WORTH_BYTES", 0)
    monkeypatch.setattr(meanwhile, "_WORTH_BEGINNING_BYTES", 0)
    monkeypatch.setattr(meanwhile, "_SHARE_BYTES", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    return told


@contextlib.contextmanager
def unhelped() -> Iterator[None]:
    """Nothing is large enough inside."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meanwhile, "_WORTH_BEGINNING_BYTES", 1 << 60)
        yield


def same(one: Any, other: Any) -> None:
    assert one.contents(lineage=True) == other.contents(lineage=True)
    assert one.quarantined() == other.quarantined()
    assert one.accounts() == other.accounts()
    known = [Registry.from_json(lab.snapshots.notes.registry(lab.source, lab.name)) for lab in (one, other)]
    assert known[0].tables(one.name, one.model.contract) == known[1].tables(one.name, one.model.contract)


@pytest.mark.parametrize("in_files", [True, False], ids=["in files", "in tables"])
def test_a_replay_by_both_processes_ends_in_the_tables_of_one(
    lab: Callable[..., Any], of_use: list[bool], monkeypatch: pytest.MonkeyPatch, in_files: bool
) -> None:
    alone, helped = lab(at="alone"), lab(at="helped")
    for things in (alone, helped):
        with unhelped():
            things.store(1, None, *PAGES)
            things.store(2, None, *NEWER)
            things.load()
    with unhelped():
        alone.load(replay=True)
    if not in_files:
        monkeypatch.setattr(stage, "_MOST_FILES", 0)

    helped.load(replay=True)

    assert of_use == [True, True]
    same(helped, alone)


@pytest.mark.parametrize("partition", [None, "2026-01-01"])
def test_what_is_pending_is_made_by_both_where_names_are_known(
    lab: Callable[..., Any], daily: dict[str, Any], of_use: list[bool], partition: str | None
) -> None:
    alone, helped = (lab(at=at, **(daily if partition else {})) for at in ("alone", "helped"))
    for things in (alone, helped):
        things.store(1, partition, *PAGES)
        things.load(partition)
        things.store(2, partition, *NEWER)
    assert of_use == []  # nothing was known at first

    helped.load(partition)
    with unhelped():
        alone.load(partition)

    assert of_use == [True]
    same(helped, alone)


def test_a_type_that_has_to_change_on_the_way_begins_all_anew(lab: Callable[..., Any], of_use: list[bool]) -> None:
    alone, helped = lab(at="alone"), lab(at="helped")
    for things in (alone, helped):
        things.store(1, None, *PAGES)
        things.load()
        things.store(2, None, *WIDER)

    helped.load()
    with unhelped():
        alone.load()

    # Where this process came too late to any page, the second one began all anew, and is of use.
    assert len(of_use) == 1
    same(helped, alone)


@pytest.mark.parametrize("mode", rules.MODES)
@pytest.mark.usefixtures("of_use")
def test_whatever_they_make_the_tables_are_those_of_a_rebuild_and_of_the_rules(mode: str) -> None:
    days = [day for day in (None, *_DAYS) if day in rules.partitions(mode)]

    @given(data=st.data())
    @settings(max_examples=_EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
    def holds(data: st.DataObject) -> None:
        order = data.draw(st.lists(st.sampled_from(days), min_size=3, max_size=6))
        fetches = [(number, day, data.draw(rules.pages(mode, day)), "complete") for number, day in enumerate(order, 1)]
        known = data.draw(st.integers(1, 2))
        with tempfile.TemporaryDirectory() as folder:
            things = Lab(Path(folder) / "data", Endpoint(path="/things", **rules.MODES[mode]))
            for number, day, pages, _ in fetches:
                things.store(number, day, *pages)
                if number <= known:
                    things.load(day)

            for day in dict.fromkeys(order):
                things.load(day)
            if data.draw(st.booleans()):
                things.load(order[0], replay=True)

            rules.check_rules(things, mode, fetches)
            with unhelped():
                assert things.contents() == rebuild(things, with_registry=True).contents()
            for account in things.accounts().values():
                assert account.pop("received", 0) == sum(account.values())

    holds()


def test_where_the_process_dies_the_load_makes_the_rows(
    lab: Callable[..., Any], of_use: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    things, asked = lab(), Helper.ask

    def killed(helper: Helper, *given: Any) -> None:
        asked(helper, *given)
        os.kill(helper.pid, signal.SIGKILL)

    with unhelped():
        things.store(1, None, *PAGES)
        things.store(2, None, *NEWER)
        things.load()
    before = things.contents(lineage=True)
    monkeypatch.setattr(Helper, "ask", killed)

    things.load(replay=True)

    assert of_use == [False]  # and nobody tries again in this load
    assert things.contents(lineage=True) == before


def test_none_begins_for_what_was_walked_with_one_of_its_own(lab: Callable[..., Any], of_use: list[bool]) -> None:
    things = lab()
    things.store(1, None, *PAGES)
    things.load()
    things.store(2, None, *NEWER)
    known = Registry.from_json(things.snapshots.notes.registry(things.source, things.name))
    locks, loader, walked = things.warehouse.locks, things.loader(), things.snapshots.fetches("shop", "things")[-1]

    with (
        contextlib.closing(Helper(locks, "things", places=1)) as helper,
        contextlib.closing(
            meanwhile.Meanwhile(helper, walked, loader.work, known, things.warehouse.staging, waits=True)
        ) as walking,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(meanwhile, "Helper", lambda *_: pytest.fail("another process began"))
        replace(loader, meanwhile=walking).load(None)

    assert of_use == [True]


def test_no_process_stays_after_the_load(lab: Callable[..., Any], of_use: list[bool]) -> None:
    things, helpers = lab(), list[int]()
    things.store(1, None, *PAGES)
    things.load()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(meanwhile, "Helper", lambda *given: helpers.append((made := Helper(*given)).pid) or made)
        things.load(replay=True)

    assert (of_use, len(helpers)) == ([True], 1)
    with pytest.raises(ProcessLookupError):
        os.kill(helpers[0], 0)
    assert list(things.warehouse.staging.iterdir()) == []
