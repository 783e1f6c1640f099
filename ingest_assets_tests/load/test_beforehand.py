"""What a merge comes to is the same, whether it was found out in the reader's copy or under the lock."""

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_assets.load.beforehand import found
from ingest_assets.load.copies import state
from ingest_assets.load.merging import Merge
from ingest_assets.load.plan import current
from ingest_assets.load.stage import stage
from ingest_assets.load.staged import ranked
from ingest_assets.load.tables import in_warehouse
from ingest_assets.load.warehouse import Warehouse
from ingest_assets_tests.load.conftest import endpoint

_EXAMPLES = int(os.environ.get("INGEST_EXAMPLES", "4"))
_PART = st.fixed_dictionaries({"sku": st.sampled_from("ab")})
_LINE = st.fixed_dictionaries({"n": st.integers(1, 3)}, optional={"parts": st.lists(_PART, max_size=2)})
_RECORD = st.fixed_dictionaries(
    {"id": st.integers(1, 6), "state": st.sampled_from(["open", "paid"])},
    optional={"lines": st.lists(_LINE, max_size=2), "note": st.sampled_from(["x", 1])},
)
_FETCHES = st.lists(st.lists(_RECORD, max_size=5), min_size=2, max_size=5)
_WHOLE = {"id": 1, "state": "open", "note": "x", "lines": [{"n": 1, "parts": [{"sku": "a"}]}]}


def _loaded(things: Any, fetches: list[list[Any]], from_rows: int) -> list[Any]:
    """The accounts of fetches that are loaded one after the other, each with a copy that is current."""
    accounts = []
    for number, records in enumerate(fetches, 1):
        things.store(number, None, records)
        accounts += [one.account for one in replace(things.loader(), from_rows=from_rows).load(None)]
        things.warehouse.publish()
    return accounts


def test_tables_and_accounts_are_those_of_a_merge_that_searches_under_the_lock(lab_at):
    @settings(max_examples=_EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_FETCHES)
    def holds(fetches):
        with tempfile.TemporaryDirectory() as folder:
            ahead, plain = (lab_at(Path(folder) / name, endpoint()) for name in ("ahead", "plain"))

            accounts = [_loaded(ahead, [[_WHOLE], *fetches], 1), _loaded(plain, [[_WHOLE], *fetches], 1_000_000)]

            assert accounts[0] == accounts[1]
            assert ahead.contents(lineage=True) == plain.contents(lineage=True)

    holds()


class _Busy(Warehouse):
    """A warehouse in which somebody commits just before the next one takes the lock for its second transaction."""

    meanwhile: Callable[[], Any] | None = None
    _taken = 0

    @contextlib.contextmanager
    def alone(self, what):
        self._taken += self.meanwhile is not None
        if self._taken == 2 and self.meanwhile is not None:
            self.meanwhile, meanwhile = None, self.meanwhile
            meanwhile()
        with super().alone(what):
            yield


@pytest.mark.parametrize("publishes", [False, True])
def test_what_was_committed_since_is_seen(lab, daily, publishes):
    things = lab(**daily, columns={"id": {"type": "bigint", "required": True}})
    days = ["2026-01-01", "2026-01-02", "2026-01-03"]
    things.store(1, days[0], [{"id": n, "lines": [{"n": 10 + n}]} for n in range(6)])
    things.load(days[0])
    things.warehouse.publish()
    other = replace(things.loader(), from_rows=1)
    things.store(2, days[1], [{"id": 2, "lines": [{"n": 20}]}, {"id": 7, "lines": [{"n": 70}]}])
    things.store(3, days[2], [{"id": 4, "lines": [{"n": 40}]}, {"id": 5, "lines": []}, {"id": 6}, {"id": 7}])
    busy = _Busy(things.data, reserve_bytes=0)

    def commit():
        other.load(days[1])
        if publishes:
            other.warehouse.publish()

    busy.meanwhile = commit
    (loaded,) = replace(things.loader(), warehouse=busy, from_rows=1).load(days[2])

    assert (loaded.account.updated, loaded.account.inserted, loaded.account.child_rows) == (3, 1, 1)
    assert things.values("id") == list(range(8))
    assert things.values("n", "things__lines") == [10, 11, 13, 20, 40, 70]


def _found(things: Any, fetch: int) -> Any:
    """What the reader's copy tells of a fetch that is stored and not loaded."""
    loader, warehouse = things.loader(), things.warehouse
    snapshot = next(s for s in things.snapshots.fetches("shop", "things") if s.fetch == fetch)
    with warehouse.connection() as connection, contextlib.ExitStack() as files:
        with warehouse.writing(connection, "looking"):
            known = current(connection, things.snapshots, loader.work)
        with warehouse.stage(connection):
            one, _ = stage(connection, loader.work, [snapshot], known.registry, warehouse.staging, files)
            (staged,) = ranked(connection, one, loader.work.contract, empty=False)
            at = Merge(connection, staged, loader.work.contract, in_warehouse("shop", "things"), warehouse.room)
            return found(warehouse, at, 3)


def _two_fetches(things: Any) -> None:
    things.store(1, None, [{"id": n, "lines": [{"n": n}]} for n in range(3)])
    things.load()
    things.store(2, None, [{"id": 0, "lines": [{"n": 0}]}, {"id": 1, "lines": []}, {"id": 3}])


def test_a_copy_that_is_current_tells_the_fates(lab):
    things = lab()
    _two_fetches(things)
    things.warehouse.publish()

    looked = _found(things, 2)

    assert looked.fates == {"unchanged": 1, "updated": 1, "inserted": 1}
    assert looked.state == state(things.warehouse.writer)


def test_a_copy_that_is_not_current_tells_nothing(lab):
    things = lab()
    _two_fetches(things)
    things.warehouse.publish()
    things.store(3, None, [{"id": 9}])
    things.load()

    assert _found(things, 2) is None


@pytest.mark.parametrize(
    "told",
    [
        {"newest_by": "at", "columns": {"at": {"type": "bigint"}}},
        {"deleted": {"path": "gone", "equals": True}, "columns": {"gone": {"type": "boolean"}}},
        {"write": "history"},
        {"write": "append"},
    ],
    ids=lambda told: next(iter(told.items()))[0],
)
def test_what_takes_more_than_fates_is_found_out_under_the_lock(lab, told):
    things = lab(**told)
    _two_fetches(things)
    things.warehouse.publish()

    assert _found(things, 2) is None


def test_few_rows_are_not_worth_the_search(lab):
    things = lab()
    things.store(1, None, [{"id": 1}, {"id": 2}])
    things.load()
    things.store(2, None, [{"id": 1, "n": 2}])
    things.warehouse.publish()

    assert _found(things, 2) is None


def test_a_file_that_was_written_has_another_state(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    before = state(things.warehouse.writer)
    assert before is not None
    things.store(2, None, [{"id": 2}])
    things.load()
    os.utime(things.warehouse.writer, ns=(before[0], before[0]))  # as within one tick of the clock

    assert state(things.warehouse.writer) not in (before, None)


def test_a_file_with_a_log_beside_it_has_no_state(lab):
    things = lab()
    things.store(1, None, [{"id": 1}])
    things.load()
    things.warehouse.log.touch()

    assert state(things.warehouse.writer) is None
