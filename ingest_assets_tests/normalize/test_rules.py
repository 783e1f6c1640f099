"""What a declared column asks beyond its type: bounds, patterns, spellings, defaults and money."""

from decimal import Decimal

import pytest

from ingest_assets.column import Column, Money


def test_a_value_outside_of_its_bounds_is_set_aside_with_the_bound(normalized):
    columns = {"v": Column(type="bigint", min=1, max=10)}

    batch, _ = normalized({"v": 0}, {"v": 1}, {"v": 10}, {"v": 11}, {"v": None}, columns=columns)

    assert batch.tables["things"].column("v").to_pylist() == [1, 10, None]
    assert [(q.position, q.column, q.value) for q in batch.quarantined] == [(0, "v", "0"), (3, "v", "11")]
    assert batch.quarantined[0].reason == "column 'v': an integer that does not fit bigint; min 1; max 10"


@pytest.mark.parametrize(
    ("kind", "bound", "fits", "not_"),
    [
        ("timestamptz", "2026-01-01T00:00", '"2026-01-01T00:00:00+00:00"', '"2026-01-01T00:00:00+00:01"'),
        ("date", "2026-01-01", '"2026-01-01"', '"2025-12-31"'),
        ("time", "10:00", '"10:00"', '"09:59:59"'),
        ("decimal(9,2)", "0.10", "0.1", "0.09"),
        ("double", 0.5, "0.5", "0.4999999999999999"),
        ("hugeint", 10, "10", "9"),
        ("hugeint", -(10**30), "-1" + "0" * 30, "-1" + "0" * 29 + "1"),
        ("decimal(38,2)", "9" * 36, '"' + "9" * 36 + '.00"', '"' + "9" * 35 + '8.99"'),
    ],
)
def test_bounds_hold_for_every_type_of_number_and_time(column, kind, bound, fits, not_):
    _, values = column(fits, not_, columns={"v": Column(type=kind, min=bound)})

    assert len(values) == 1


def test_a_bound_without_an_offset_is_one_of_the_endpoints_time_zone(column):
    columns = {"v": Column(type="timestamptz", min="2026-01-01")}

    _, values = column('"2025-12-31T23:00:00Z"', '"2025-12-31T22:59:59Z"', columns=columns, time_zone="Europe/Zurich")

    assert len(values) == 1


@pytest.mark.parametrize(
    ("bound", "zone"), [({"max": "9999-12-31T23:59:59"}, "America/New_York"), ({"min": "0001-01-01"}, "Asia/Tokyo")]
)
def test_a_bound_that_utc_does_not_have_is_the_nearest_one_that_it_has(column, bound, zone):
    times = ['"0001-01-01T00:00:00Z"', '"2026-01-01T00:00:00Z"', '"9999-12-31T23:59:59Z"']

    _, values = column(*times, columns={"v": Column(type="timestamptz", **bound)}, time_zone=zone)

    assert len(values) == 3


def test_all_of_a_text_has_to_match_the_pattern(column):
    _, values = column('"AB"', '"ABC"', '"a"', '"AB\\n"', columns={"v": Column(type="varchar", pattern="[A-Z]{2}")})

    assert values == ["AB"]


def test_a_spelling_with_a_point_takes_the_number_and_the_text(column):
    rates = {"one": [1.0], "half": [0.5], "tiny": [1e-7]}

    _, values = column(
        "1.0",
        "1",
        '"1.0"',
        "0.5",
        '"0.5"',
        "0.50",
        "1e-7",
        '"1.5"',
        columns={"v": Column(type="varchar", values=rates)},
    )

    assert values == ["one"] * 3 + ["half"] * 3 + ["tiny"]


def test_spellings_become_one_name_and_others_are_set_aside(column):
    states = {"active": ["ACTIVE", 1], "yes": [True]}

    _, values = column(
        '"ACTIVE"', '"active"', "1", '"1"', "1.0", "true", '"true"', "2", '"Active"', "[1]",
        columns={"v": Column(type="varchar", values=states)},
    )  # fmt: skip

    assert values == ["active"] * 5 + ["yes"] * 2


@pytest.mark.parametrize(
    ("kind", "default", "held"),
    [
        ("varchar", "x", "x"),
        ("boolean", False, False),
        ("decimal(9,2)", 0.1, Decimal("0.10")),
        ("json", "x", '"x"'),
    ],
)
def test_a_default_is_held_where_a_record_has_no_value(normalized, kind, default, held):
    columns = {"v": Column(type=kind, default=default)}

    batch, _ = normalized({"v": None}, {}, {"a": 1}, columns=columns)

    assert batch.tables["things"].column("v").to_pylist() == [held] * 3


def test_money_is_the_amount_in_its_own_currency(normalized):
    columns = {
        "v": Column(type="decimal(18,3)", money=Money(currency_from="code", decimals={"UGX": 2})),
        "code": Column(type="varchar"),
    }
    sent = [(1999, "EUR"), (1999, "jpy"), (1999, "KWD"), ("500", "UGX"), (None, None), (-5, "USD")]

    batch, _ = normalized(*[{"v": amount, "code": code} for amount, code in sent], columns=columns)

    wanted = ["19.990", "1999.000", "1.999", "5.000", None, "-0.050"]
    assert [v and str(v) for v in batch.tables["things"].column("v").to_pylist()] == wanted
    assert not batch.quarantined


@pytest.mark.parametrize(
    ("record", "reason", "value"),
    [
        ({"v": 5}, "column 'v': an amount, and no currency in column 'code'", None),
        ({"v": 5, "code": "XXQ"}, "column 'v': an amount, and no currency of ISO 4217 in column 'code'", "XXQ"),
        ({"v": 1.5, "code": "EUR"}, "column 'v': a number that does not fit decimal(9,2), sent in minor units", "1.5"),
        ({"v": 1999, "code": "KWD"}, "column 'v': an integer that does not fit decimal(9,2), sent in minor", "1999"),
    ],
)
def test_an_amount_that_is_no_money_sets_its_record_aside(normalized, record, reason, value):
    columns = {
        "v": Column(type="decimal(9,2)", money=Money(currency_from="code")),
        "code": Column(type="varchar"),
    }

    batch, _ = normalized({"v": 5, "code": "EUR"}, record, columns=columns)

    assert batch.tables["things"].column("v").to_pylist() == [Decimal("0.05")]
    assert batch.quarantined[0].reason.startswith(reason)
    assert batch.quarantined[0].value == value


@pytest.mark.parametrize("told", ["ugx", "UGX"])
@pytest.mark.parametrize("sent", ["ugx", "UGX", "Ugx"])
def test_digits_of_a_currency_are_told_in_capitals_or_not(normalized, told, sent):
    money = Money(currency_from="code", decimals={told: 2})
    columns = {"v": Column(type="decimal(9,2)", money=money), "code": Column(type="varchar")}

    batch, _ = normalized({"v": 1999, "code": sent}, columns=columns)

    assert batch.tables["things"].column("v").to_pylist() == [Decimal("19.99")]


def test_amounts_that_are_sent_as_they_are_stay_so(column):
    money = Money(currency="EUR", unit="major")

    _, values = column("19.99", '"5"', columns={"v": Column(type="decimal(9,2)", money=money)})

    assert values == [Decimal("19.99"), Decimal("5.00")]


def test_columns_with_rules_go_the_quick_way(normalized):
    columns = {
        "v": Column(type="decimal(9,2)", money=Money(currency_from="c"), min=0),
        "c": Column(type="varchar", values={"EUR": ["euro"]}, default="EUR"),
    }
    _, first = normalized({"v": 1, "c": "euro"}, columns=columns)

    assert first.fast is not None
    texts = [b'{"v":199,"c":"euro"}', b'{"v":1,"c":null}']
    fitted = first.fast.columns(first.fast.decoded(b"[%s]" % b",".join(texts), lines=False), texts)
    assert fitted.tables[()].arrays["v"].to_pylist() == [Decimal("1.99"), Decimal("0.01")]
