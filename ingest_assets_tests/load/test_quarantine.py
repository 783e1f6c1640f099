"""Records that did not fit: kept with reason and place, closed, and replayed."""

import pytest

AMOUNT = {"amount": {"type": "bigint"}}


def test_a_record_that_does_not_fit_is_kept_with_reason_place_and_text(lab, daily):
    things = lab(**daily, columns=AMOUNT)
    things.store(7, "2026-01-01", [{"id": 1, "amount": 1}], [{"id": 2, "amount": 2}, {"id": 3, "amount": "much"}])

    things.load("2026-01-01")

    assert things.rows(
        'SELECT _fetch, _page, _position, source, endpoint, "partition", reason, "column", "value", '
        "decode(record), closed_by FROM w._ingest.quarantine"
    ) == [
        (
            7, 1, 1, "shop", "things", "2026-01-01", "column 'amount': a string that does not fit bigint", "amount",
            '"much"', '{"id": 3, "amount": "much"}', None,
        )
    ]  # fmt: skip
    assert things.values("id") == [1, 2]


def test_values_of_sensitive_columns_are_not_shown(lab):
    things = lab(columns={"amount": {"type": "bigint", "sensitive": True}})
    things.store(1, None, [{"id": 3, "amount": "much"}])

    things.load()

    assert things.rows('SELECT "value" FROM w._ingest.quarantine') == [(None,)]


@pytest.mark.parametrize(
    ("told", "verdict", "closed"),
    [
        ({"columns": AMOUNT}, "complete", 2),
        ({"columns": AMOUNT}, "incomplete", None),
        ({"columns": AMOUNT, "write": "replace"}, "complete", 2),
        ({"columns": AMOUNT, "feed": {"from": "f", "start": "2026-01-01", "position": "t"}}, "complete", None),
    ],
    ids=["listing", "incomplete listing", "replaced", "feed"],
)
def test_a_fetch_that_told_all_records_anew_closes_former_quarantine(lab, told, verdict, closed):
    things = lab(**told)
    things.store(1, None, [{"id": 1, "amount": "much"}])
    things.load()
    things.store(2, None, [{"id": 1, "amount": 5}], verdict=verdict)

    things.load()

    assert [row[4] for row in things.quarantined()] == [closed]


def test_quarantine_of_other_partitions_stays_open(lab, daily):
    things = lab(**daily, columns=AMOUNT)
    things.store(1, "2026-01-01", [{"id": 1, "amount": "much"}])
    things.store(2, "2026-01-02", [{"id": 2, "amount": 1}])
    for day in ("2026-01-01", "2026-01-02"):
        things.load(day)

    assert [row[4] for row in things.quarantined()] == [None]


def test_a_mended_contract_brings_quarantined_records_in(lab, daily):
    things = lab(**daily, columns=AMOUNT)
    things.store(1, "2026-01-01", [{"id": 1, "amount": "much"}, {"id": 2, "amount": 2}])
    things.load("2026-01-01")
    things.model = type(things.model)(path="/things", primary_key="id", **daily, columns={"amount": {"type": "json"}})

    loaded = things.load("2026-01-01")

    assert (loaded[0].account.inserted, loaded[0].account.quarantined) == (2, 0)
    assert things.quarantined() == []
    assert things.values("amount") == ['"much"', "2"]


def test_records_without_a_key_or_that_are_no_json_are_quarantined_one_by_one(lab):
    things = lab()
    things.store(1, None, [{"id": 1}, {"v": 1}, {"id": None}, b'{"id": 1, "id": 2}', b"7", {"id": {"a": 1}}])

    loaded = things.load()

    assert (loaded[0].account.inserted, loaded[0].account.quarantined) == (1, 5)
    assert [row[2] for row in things.quarantined()] == [1, 2, 3, 4, 5]
