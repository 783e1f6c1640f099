"""What drifted is known for as long as the snapshots are there, also where the warehouse was lost."""

import pytest

from ingest_assets.line import Line
from ingest_assets.source import Source

_TOLD = "FROM w._ingest.drift ORDER BY ALL"


def drifted(things):
    """An endpoint whose fetches brought a column, a wider type, a list, and a text that is none of its column's."""
    things.store(1, None, [{"id": 1, "n": 1, "state": "a"}])
    things.load()
    things.store(2, None, [{"id": 2, "n": 1.5, "new": "x", "l": [1]}, {"id": 3, "state": "b"}])
    things.load()
    return things


def test_a_warehouse_that_is_built_again_knows_what_drifted_and_tells_nothing_anew(lab, rebuilt):
    things = drifted(lab(columns={"state": {"type": "varchar", "values": ["a"]}}))
    before = things.rows(_TOLD)

    fresh = rebuilt(things, with_registry=True)

    assert [row[5] for row in before] == ["new column", "new table", "new value", "wider type"]
    assert fresh.rows(_TOLD) == before


def test_what_drifts_after_that_is_told_beside_it_and_outlives_the_next_loss(lab, rebuilt):
    things = drifted(lab())
    fresh = rebuilt(things, with_registry=True)
    fresh.store(3, None, [{"id": 4, "newer": 1}])

    fresh.load()

    told = fresh.rows(_TOLD)
    assert told[:-1] == things.rows(_TOLD)
    assert (told[-1][2], told[-1][5], told[-1][7]) == (3, "new column", "newer")
    assert rebuilt(fresh, with_registry=True).rows(_TOLD) == told


def test_what_is_given_up_as_a_whole_takes_its_drift_along(lab):
    things = drifted(lab())
    shop = Source(name="shop", base_url="http://127.0.0.1:9", endpoints={"things": things.model})

    Line(shop, things.data).abandon("things")

    assert things.rows(_TOLD) == []
    assert things.snapshots.notes.drift("shop", "things") == []


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_an_object_whose_keys_turn_out_to_be_data_is_one_column_then_and_that_is_told(lab, daily, rebuilt, order):
    things = lab(**daily)
    for fetch in (1, 2):
        things.store(
            fetch, f"2026-01-0{fetch}", [{"id": n, "o": {f"k{n}": n}} for n in range(8 * fetch, 8 * fetch + 8)]
        )
    first, then = (f"2026-01-0{fetch}" for fetch in order)
    things.load(first)
    assert len(things.columns()) == 9

    things.load(then)

    assert things.columns() == {"id": "BIGINT", "o": "JSON"}
    assert sorted(things.values("o")) == sorted(f'{{"k{n}":{n}}}' for n in range(8, 24))
    assert things.contents() == rebuilt(things).contents()
    assert [row[5:10] for row in things.rows(_TOLD)] == [("new column", "things", "o", "object", "json")]
