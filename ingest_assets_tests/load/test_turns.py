"""A load that others overtake again and again keeps those of its endpoint out until it is done, and nobody else."""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ingest_assets.errors import Locked
from ingest_assets.load.warehouse import Warehouse
from ingest_assets_tests.load.conftest import Lab

DAYS = [f"2026-01-{day:02}" for day in range(1, 10)]
TRIES = 5  # the first finds that it has to build all anew, and three are in vain


class Overtaken(Warehouse):
    """Whenever something is about to be staged, `meanwhile` happens first; it is told for which time."""

    staged = 0
    meanwhile: Callable[[int], object]

    @contextlib.contextmanager
    def stage(self, connection, needed_bytes=0):
        self.staged += 1
        self.meanwhile(self.staged)
        with super().stage(connection, needed_bytes):
            yield


@pytest.fixture
def things(lab, daily) -> Lab:
    """A table that the second day can only be brought into by building it anew; other days wait."""
    things = lab(**daily)
    for number in range(1, TRIES + 2):
        things.store(number, DAYS[number - 1], [{"id": number, "n": "text" if number == 2 else {"a": number}}])
    things.load(DAYS[0])
    return things


def _overtaken(things: Lab, at_last: Callable[[], object]) -> int:
    """Load the second day, overtaken each time but the last one, when `at_last` happens: how often it was staged."""
    one, other = (Lab(things.data, things.model) for _ in range(2))

    def meanwhile(time: int) -> None:
        at_last() if time == TRIES else other.load(DAYS[time + 1])

    one.warehouse = Overtaken(things.data, reserve_bytes=0)
    one.warehouse.meanwhile = meanwhile
    one.load(DAYS[1])
    return one.warehouse.staged


def _impatient(things: Lab, **names: Any) -> Lab:
    lab = Lab(things.data, things.model, **names)
    lab.warehouse = Warehouse(things.data, wait_seconds=0.1, reserve_bytes=0)
    return lab


def test_a_rebuild_that_was_overtaken_three_times_keeps_other_loads_of_its_endpoint_out(things, rebuilt):
    def refused() -> None:
        late = _impatient(things)
        late.store(20, DAYS[8], [{"id": 20, "n": 1}])
        with pytest.raises(Locked, match=r"loading shop\.things, since others committed each time"):
            late.load(DAYS[8])

    assert _overtaken(things, refused) == TRIES
    things.load(DAYS[8])
    assert things.contents() == rebuilt(things).contents()


def test_loads_of_other_endpoints_go_on_meanwhile(things):
    others = _impatient(things, name="others")
    others.store(30, DAYS[0], [{"id": 1}])

    assert _overtaken(things, lambda: others.load(DAYS[0])) == TRIES
    assert others.values("id") == [1]


def test_what_came_meanwhile_waits_and_is_loaded_on_top(things, rebuilt):
    late = Lab(things.data, things.model)
    late.store(20, DAYS[8], [{"id": 20, "n": 1}])
    waiting = threading.Thread(target=late.load, args=[DAYS[8]])

    staged = _overtaken(things, waiting.start)
    waiting.join()

    assert staged == TRIES
    assert things.values("id") == [*range(1, TRIES + 2), 20]
    assert things.contents() == rebuilt(things).contents()
