"""Partitions loaded in one transaction: the same tables and accounts as one by one, and each its own failure."""

import pytest

from ingest_assets.errors import ContractBroken, StorageFailed
from ingest_assets.load.warehouse import Warehouse

DAYS = [f"2026-01-0{day}" for day in range(1, 7)]
ORDERED = {"columns": {"id": {"type": "bigint", "required": True}}}
WRITES = [
    {},
    {"write": "replace_partition"},
    {"write": "history"},
    {"newest_by": "at", "columns": {"at": {"type": "timestamptz"}}},
]


class Counting(Warehouse):
    """A warehouse that counts its transactions."""

    transactions = 0

    def transaction(self, connection):
        self.transactions += 1
        return super().transaction(connection)


def fill(things, days=DAYS):
    """A fetch a day: each with lists, one with a record that does not fit, one with a new column, two of one day."""
    for number, day in enumerate(days):
        records = [
            {"id": 10 * number + n, "at": f"{day}T00:00:00Z", "n": n, "lines": [{"sku": "a"}, {"sku": "b"}][:n]}
            for n in range(3)
        ]
        records += [records[0]] + ([{"id": "none"}] if number == 1 else [])
        records += [{"id": 10 * number + 9, "at": f"{day}T01:00:00Z", "extra": 1}] if number == 3 else []
        things.store(number + 1, day, records)
    things.store(len(days) + 1, days[-1], [{"id": 10 * len(days) - 8, "at": f"{days[-1]}T02:00:00Z", "n": 7}])


def together(things, days=DAYS, *, replay=False):
    return dict(things.loader().load_together(dict.fromkeys(days, replay)))


def told(things):
    """What `_ingest.fetches` says of each fetch, but for when and how long."""
    return things.rows(
        "SELECT * EXCLUDE (ended, loaded, load_seconds) FROM w._ingest.fetches WHERE loaded IS NOT NULL ORDER BY _fetch"
    )


@pytest.mark.parametrize("how", WRITES, ids=lambda how: how.get("write") or ",".join(how) or "merge")
def test_tables_and_accounts_are_those_of_loads_one_by_one(lab, daily, how):
    columns = {**ORDERED["columns"], **how.get("columns", {})}
    one, other = (lab(at=name, **daily, **(how | {"columns": columns})) for name in ("one", "other"))
    fill(one)
    fill(other)
    # The first day settles names, as in a run.
    one.load(DAYS[0])
    other.load(DAYS[0])

    expected = [load for day in DAYS[1:] for load in one.load(day)]
    found = together(other, DAYS[1:])

    assert [load for day in DAYS[1:] for load in found[day]] == expected
    assert other.contents(lineage=True) == one.contents(lineage=True)
    assert told(other) == told(one)
    assert other.quarantined() == one.quarantined() != []
    drift = 'SELECT _fetch, kind, "table", "column", sample FROM w._ingest.drift ORDER BY ALL'
    assert other.rows(drift) == one.rows(drift) != []


def test_they_take_two_transactions_together_one_to_read_and_one_to_write(lab, daily):
    things = lab(**daily, **ORDERED)
    fill(things)
    things.load(DAYS[0])
    things.warehouse = counting = Counting(things.data, reserve_bytes=0)

    together(things, DAYS[1:])

    assert counting.transactions == 2


def test_a_replay_of_several_gives_the_same_tables(lab, daily):
    things = lab(**daily, **ORDERED)
    fill(things)
    together(things)
    before = things.contents(lineage=True)

    found = together(things, replay=True)

    assert things.contents(lineage=True) == before
    assert {day: [load.account.inserted for load in loads] for day, loads in found.items()} == {
        **{day: [3] for day in DAYS},
        DAYS[3]: [4],
        DAYS[5]: [3, 0],
    }


def test_one_that_breaks_the_contract_is_named_and_takes_no_other_with_it(lab, daily):
    things = lab(**daily, **ORDERED)
    fill(things, DAYS[:3])
    things.store(9, DAYS[4], [{"key": n} for n in range(200)])
    things.store(10, DAYS[5], [{"id": 900}])

    found = together(things, [*DAYS[:3], DAYS[4], DAYS[5]])

    assert [day for day, one in found.items() if isinstance(one, ContractBroken)] == [DAYS[4]]
    assert "fetch 9" in str(found[DAYS[4]])
    loaded = things.rows("SELECT partition FROM w._ingest.fetches WHERE loaded IS NOT NULL ORDER BY _fetch")
    assert [day for (day,) in loaded] == [*DAYS[:3], DAYS[2], DAYS[5]]


def test_one_whose_pages_are_damaged_is_named_and_takes_no_other_with_it(lab, daily):
    things = lab(**daily, **ORDERED)
    fill(things)
    (snapshot,) = things.snapshots.fetches("shop", "things", DAYS[2])
    segment = snapshot.folder / snapshot.segment
    segment.write_bytes(segment.read_bytes()[:-3] + b"???")

    found = together(things)

    assert [day for day, one in found.items() if isinstance(one, StorageFailed)] == [DAYS[2]]
    assert len(things.values("id")) == 3 * 5 + 1


def test_a_type_that_takes_a_rebuild_is_changed_for_all(lab, daily, rebuilt):
    things = lab(**daily, **ORDERED)
    for number, day in enumerate(DAYS, 1):
        things.store(number, day, [{"id": number, "n": "many" if day == DAYS[3] else {"a": number}}])
    things.load(DAYS[0])

    found = together(things, DAYS[1:])

    assert [day for day, one in found.items() if isinstance(one, Exception)] == []
    assert things.contents() == rebuilt(things, with_registry=True).contents()
    assert things.columns()["n"] == "JSON"
