"""Partitions of a range that are dealt with at once: each has its own numbers, events and failure."""

import signal
import subprocess
import sys
import threading

import pytest

from ingest_assets.assets.groups import Size
from ingest_assets.assets.resources import Api

DAYS = [f"2026-01-{day:02}" for day in range(1, 13)]

_RUN = """
import sys
from pathlib import Path
from ingest_assets import catalog
from ingest_assets.assets.launch import materialize
from ingest_assets.assets.plan import Range
from ingest_assets.line import Unwatched
folder = Path(sys.argv[1])
source = catalog.load(folder / "shop.yaml", [folder])
materialize({"shop": source}, [Range((("shop", "orders"),), *sys.argv[2:])], folder / "data", Unwatched())
"""


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def sizes(*took):
    """How many partitions each group has where they took so long."""
    clock, found = Clock(), []
    size = Size(clock)
    for seconds in took:
        found.append(size.now)
        with size.measured():
            clock.now += seconds
    return [*found, size.now]


def test_partitions_go_by_themselves_at_first_then_more_at_a_time():
    assert sizes(*[0.1] * 8) == [1, 1, 2, 4, 8, 16, 32, 32, 32]


def test_one_goes_by_itself_where_one_takes_long():
    assert sizes(9, 9, 9) == [1, 1, 1, 1]
    assert sizes(0.1, 0.1, 0.1, 9, 9, 9) == [1, 1, 2, 4, 2, 1, 1]
    assert sizes(0.1, 0.1, 0.1, 3, 3) == [1, 1, 2, 4, 4, 4]


def test_what_is_fetched_does_not_wait_for_long():
    clock = Clock()
    size = Size(clock)

    with size.measured():
        before = size.is_used_up([])
        clock.now += 6
        after = size.is_used_up([])

    assert (before, after) == (False, True)


def numbers(lab):
    """What the warehouse has of each day: fetch, verdict, records."""
    rows = lab.rows("SELECT partition, _fetch, verdict, received FROM _ingest.fetches ORDER BY _fetch")
    return {day: tuple(rest) for day, *rest in rows}


def test_each_day_has_its_own_numbers_and_two_events(kept_lab, shop):
    lab = kept_lab

    lab.run(DAYS[0], DAYS[-1])

    assert numbers(lab) == {day: (n, "complete", len(shop.of(day))) for n, day in enumerate(DAYS, 1)}
    assert [(len(lab.events(lab.raw(), day)), len(lab.events(lab.table(), day))) for day in DAYS] == [(1, 1)] * 12
    assert [lab.told(lab.table(), day)["received"] for day in DAYS] == [len(shop.of(day)) for day in DAYS]
    assert [lab.stale(lab.table(), day) for day in DAYS] == [[]] * 12
    assert shop.counted == dict.fromkeys(DAYS, 1)


def test_a_day_that_fails_takes_no_other_with_it(kept_lab, shop, holed):
    lab = kept_lab
    shop.orders[DAYS[6]] = [{"key": n} for n in range(200)]  # the load refuses it
    shop.instead[DAYS[9]] = holed  # the walk does

    lab.run(DAYS[0], DAYS[-1], fails=True)

    statuses = lab.statuses(lab.table(), *DAYS)
    assert [day for day, status in statuses.items() if status != "MATERIALIZED"] == [DAYS[6], DAYS[9]]
    assert lab.statuses(lab.raw(), DAYS[6], DAYS[9]) == {DAYS[6]: "MATERIALIZED", DAYS[9]: "FAILED"}


def test_days_that_were_not_begun_leave_nothing_behind(kept_lab, shop, refused):
    lab = kept_lab
    shop.instead[DAYS[8]] = refused

    lab.run(DAYS[0], DAYS[-1], fails=True)
    known = numbers(lab)
    shop.reset()
    lab.run(DAYS[8], DAYS[-1])

    assert list(known) == DAYS[:9]
    assert known[DAYS[8]] == (9, "failed", None)
    assert shop.counted == dict.fromkeys(DAYS[8:], 1)
    assert set(lab.statuses(lab.table(), *DAYS).values()) == {"MATERIALIZED"}
    assert {day: verdict for day, (_, verdict, _) in numbers(lab).items()} == dict.fromkeys(DAYS, "complete")


def test_what_a_killed_process_has_fetched_is_loaded_by_the_next_without_a_request(kept_lab, shop):
    lab = kept_lab
    assert lab.source
    process = subprocess.Popen(
        [sys.executable, "-c", _RUN, str(lab.folder), DAYS[0], DAYS[-1]], stderr=subprocess.DEVNULL
    )
    shop.hooks[DAYS[5]] = process.kill  # the second of four that go together
    assert process.wait() == -signal.SIGKILL
    shop.hooks.clear()
    shop.asked.clear()
    line = Api(data=str(lab.data)).line(lab.source, "")
    waiting = set(line.unloaded("orders", line.fetches("orders")))

    lab.run(DAYS[0], DAYS[-1])

    assert waiting.isdisjoint(shop.counted)
    assert shop.counted[DAYS[5]] == 1
    assert {day: verdict for day, (_, verdict, _) in numbers(lab).items()} == dict.fromkeys(DAYS, "complete")
    assert lab.rows("SELECT partition FROM _ingest.fetches").count((DAYS[5],)) == 1  # it went on
    assert set(lab.statuses(lab.table(), *DAYS).values()) == {"MATERIALIZED"}
    assert lab.rows("SELECT count(*), count(DISTINCT id) FROM shop.orders") == [
        (sum(map(len, map(shop.of, DAYS))),) * 2
    ]


def test_a_day_that_another_process_holds_is_waited_for_when_no_lock_is_held(kept_lab, shop):
    lab = kept_lab
    held = [threading.Event(), threading.Event()]
    free = []

    def hold():
        with line.partition("orders", DAYS[6]):
            held[0].set()
            held[1].wait(60)
            # The days before it are loaded, and their locks are free.
            for day in DAYS[:6]:
                with line.partition("orders", day, wait_seconds=20):
                    free.append(day)

    line = Api(data=str(lab.data)).line(lab.source, "another")
    thread = threading.Thread(target=hold)
    thread.start()
    held[0].wait(60)
    shop.hooks[DAYS[5]] = held[1].set
    try:
        lab.run(DAYS[0], DAYS[-1])
    finally:
        held[1].set()
        thread.join()

    assert free == DAYS[:6]
    assert set(lab.statuses(lab.table(), *DAYS).values()) == {"MATERIALIZED"}


@pytest.mark.parametrize("selected", ["raw", "table"])
def test_assets_that_are_selected_alone_go_in_groups_too(kept_lab, shop, selected):
    lab = kept_lab
    lab.run(DAYS[0], DAYS[7])
    shop.asked.clear()

    lab.run(DAYS[0], DAYS[7], keys=[getattr(lab, selected)()])

    counts = {key: [len(lab.events(key, day)) for day in DAYS[:8]] for key in (lab.raw(), lab.table())}
    assert counts.pop(getattr(lab, selected)()) == [2] * 8
    assert list(counts.values()) == [[1] * 8]
    assert shop.counted == (dict.fromkeys(DAYS[:8], 1) if selected == "raw" else {})
