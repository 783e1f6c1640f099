"""What the first records of an endpoint bring is nothing new, whatever was fetched before them."""

import pytest

from ingest_assets.errors import ContractBroken

BEFORE = {"nothing": [], "what is no record": [None, 3]}
FIRST, NEXT = {"id": 1, "n": 1, "l": [{"a": 1}]}, {"id": 2, "new": 1}


@pytest.fixture(params=BEFORE.values(), ids=BEFORE)
def before(request):
    return request.param


def drift(things):
    return things.rows('SELECT kind, "column", _fetch FROM w._ingest.drift')


def test_what_is_frozen_takes_the_first_records_and_no_new_column_after_them(lab, before):
    things = lab(contract="freeze")
    things.store(1, None, before)
    things.load()
    things.store(2, None, [FIRST])

    things.load()

    assert things.values("n") == [1]
    things.store(3, None, [NEXT])
    with pytest.raises(ContractBroken, match=r"new column things.new"):
        things.load()


def test_what_is_frozen_after_records_whose_columns_are_all_declared_takes_no_other(lab):
    things = lab(contract="freeze", columns={"id": {"type": "bigint"}})
    things.store(1, None, [{"id": 1}])
    things.load()
    things.store(2, None, [NEXT])

    with pytest.raises(ContractBroken, match=r"new column things.new"):
        things.load()


def test_the_first_records_are_no_drift_and_what_comes_after_them_is(lab, before):
    things = lab()
    for number, records in enumerate([before, [FIRST], [NEXT]], 1):
        things.store(number, None, records)
        things.load()

    assert drift(things) == [("new column", "new", 3)]


def test_a_warehouse_that_was_lost_before_the_first_records_came_tells_no_drift_either(lab, rebuilt, before):
    things = lab(contract="freeze")
    things.store(1, None, before)
    things.load()
    things.store(2, None, [FIRST])

    fresh = rebuilt(things, with_registry=True)

    assert fresh.values("n") == [1]
    assert drift(fresh) == []
