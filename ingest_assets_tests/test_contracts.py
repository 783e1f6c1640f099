"""Contracts, the whole way: what a file promises is what the table holds, and the rest is accounted for."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_assets import catalog
from ingest_assets.commands.output import output
from ingest_assets.commands.rebuild import rebuild
from ingest_assets.errors import ConfigError
from ingest_assets.load.asked import CODE
from ingest_assets.source import Source
from ingest_assets_tests.whole import Api, Whole

PAGE = Path(__file__).parent.parent / "docs" / "contracts.md"


@pytest.fixture
def shop(tmp_path: Path, api: Api) -> Callable[..., Whole]:
    """Make the endpoint `things` with what is said of it, and give these records from then on."""

    def make(*records: Any, **told: Any) -> Whole:
        api.answer = lambda _: {"data": list(records)}
        return Whole(tmp_path, api.url, told)

    return make


def shown(kind: str) -> list[str]:
    """The blocks of the page on contracts that are written so."""
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_records_of_the_page_on_contracts_become_the_rows_that_it_shows(shop):
    table = [line.strip("|").split("|") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    start = next(n for n, cells in enumerate(table) if cells[0].strip() == "id")
    names, *rows = [[cell.strip() for cell in cells] for cells in table[start : start + 4]]
    things = shop(*json.loads(shown("json")[0]), columns=yaml.safe_load(shown("yaml")[0]))

    problem = things.run()

    columns = ", ".join(f"coalesce(CAST({name} AS VARCHAR), '')" for name in names)
    assert not problem
    assert [list(row) for row in things.ask(f"SELECT {columns} FROM w.shop.things ORDER BY id")] == rows  # noqa: S608 -- ours
    (reason,) = things.ask("SELECT reason FROM w._ingest.quarantine")[0]
    assert reason in " ".join(PAGE.read_text().split())


@pytest.fixture
def mistake(tmp_path: Path) -> Callable[[str], str]:
    """What `ingest check` says of a file with a column that is declared so, from the field on."""

    def told(column: str, more: str = "") -> str:
        file = tmp_path / "shop.yaml"
        endpoint = f"  things:\n    path: /things\n    primary_key: id\n{more}    columns:\n      a: {column}\n"
        file.write_text(f"base_url: https://shop.example\nendpoints:\n{endpoint}")
        with pytest.raises(ConfigError) as refused:
            catalog.load(file, [tmp_path])
        return str(refused.value).split("shop.yaml:", 1)[1]

    return told


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("{type: varchar, min: 1}", "min is for numbers and times, and this is varchar"),
        ('{type: timestamptz, format: "%Y-%m-%d %H:%M %Z"}', "%Z is the name of a zone, and names are ambiguous"),
        ('{type: timestamp, format: "%Y-%m-%d %I:%M"}', "%I is an hour of 12, before noon or after it: expected %p"),
        ('{type: date, format: "%Y-W%W"}', "a week (%W, %U) is read with %Y and a weekday (%w) only"),
        ('{type: date, format: "%d.%m."}', "format '%d.%m.' has no year, and a date is of one"),
        ('{type: time, format: "%d. %H:%M"}', "format '%d. %H:%M' has no year, and a day (%d) is read with one only"),
        ("{type: bigint, min: 1.5}", "min: expected a value of type bigint, found 1.5"),
        ("{type: bigint, min: 3, max: 2}", "min 3 is greater than max 2: nothing would fit"),
        ("{type: date, max: 5}", "max: expected a time as ISO 8601 writes it, such as 2026-01-31, found 5"),
        ("{type: bigint, pattern: x}", "pattern is for varchar columns, and this is bigint"),
        ('{type: varchar, pattern: "("}', "pattern is no regular expression: missing )"),
        ("{type: varchar, values: {a: [x], b: x}}", "'x' is a spelling of both 'a' and 'b'"),
        ("{type: varchar, values: {a: [null]}}", "expected a text, a number, true or false, found None"),
        ("{type: varchar, values: {a: [[1]]}}", "expected a text, a number, true or false, found [1]"),
        ("{type: varchar, values: {a: 1e400}}", "expected a text, a number, true or false, found inf"),
        ("{type: varchar, values: [a], default: b}", "default 'b' is not one of the values a"),
        ('{type: "decimal(5,2)", default: 0.005}', "default: expected a value of type decimal(5,2), found 0.005"),
        ("{type: bigint, default: 99999999999999999999}", "default: expected a value of type bigint, found 9999999"),
        ('{type: double, default: "1e400"}', "default: expected a value of type double, found '1e400'"),
        ("{type: json, default: 1e400}", "default: expected a value of type json, found inf"),
        ('{type: timestamptz, default: "0001-01-01T00:00+05:00"}', "is before year 1 or after 9999 in UTC"),
        ('{type: timestamptz, min: "2020-01-02", max: "2020-01-01"}', "min 2020-01-02 is greater than max 2020-01-01"),
        ("{type: bigint, default: 1, required: true}", "a column with a default is never without a value"),
        ("{type: bigint, money: {currency: EUR}}", 'money is for decimal columns such as "decimal(18,3)"'),
        ('{type: "decimal(5,2)", money: {}}', "money has a currency: say `currency: EUR`"),
        ('{type: "decimal(5,2)", money: {currency: EURO}}', "'EURO' is no currency of ISO 4217"),
        ('{type: "decimal(5,2)", money: {currency_from: code}}', "'code' is not a column of type varchar"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_with_its_line(mistake, column, said):
    told = mistake(column)

    assert told.startswith("7: endpoints.things.columns.a")
    assert said in told


def test_times_of_a_rule_without_an_offset_are_of_the_time_zone(mistake):
    told = mistake(
        '{type: timestamptz, min: "2020-01-01T00:00Z", default: "2020-01-01"}', "    time_zone: Asia/Tokyo\n"
    )

    assert "default '2020-01-01' is outside of min and max" in told


def drift(things: Whole) -> list[tuple[Any, ...]]:
    """What `_ingest.drift` says of it, in order."""
    return things.ask('SELECT kind, "table", "column", former, now, sample, _fetch FROM w._ingest.drift ORDER BY ALL')


def test_every_contract_of_the_page_loads() -> None:
    for line in shown("yaml")[1].splitlines():
        assert Source.model_validate(
            {"name": "shop", "base_url": "https://shop.example"}
            | {"endpoints": {"things": {"path": "/", "primary_key": "id", "columns": {"id": {"type": "bigint"}}}
            | yaml.safe_load(line)}}
        )  # fmt: skip


def test_what_is_dropped_is_counted_and_kept_exactly(shop):
    columns = {"id": {"type": "bigint"}, "n": {"type": "bigint"}, "place": {"type": "varchar", "path": "a.b"}}
    things = shop(
        {"id": 1, "n": 5, "a": {"b": "x", "c": 123456789012345678901234567890}, "l": [{"k": 1}], "none": None},
        {"id": 2, "n": "N/A", "a": {"b": "y"}},
        {"id": 3, "n": 7},
        columns=columns,
        contract="drop",
    )

    problem = things.run()

    assert not problem
    assert things.ask("SELECT id, n, place, CAST(_rest AS VARCHAR) FROM w.shop.things ORDER BY id") == [
        (1, 5, "x", '{"a":{"c":123456789012345678901234567890},"l":[{"k":1}]}'),
        (2, None, "y", '{"n":"N/A"}'),
        (3, 7, None, None),
    ]
    assert things.ask("SELECT received, inserted, quarantined, dropped FROM w._ingest.fetches") == [(3, 3, 0, 3)]


def test_what_is_not_declared_sets_its_record_aside(shop):
    things = shop(
        {"id": 1, "n": None},
        {"id": 2, "n": 5},
        {"id": 3, "l": []},
        columns={"id": {"type": "bigint"}},
        contract="quarantine",
    )

    problem = things.run()

    assert not problem
    assert things.values() == [1]
    assert [reason for (reason,) in things.ask("SELECT reason FROM w._ingest.quarantine ORDER BY ALL")] == [
        "'l': a list that is not declared, and the contract says quarantine",
        "'n': a key that is not declared, and the contract says quarantine",
    ]


@pytest.mark.parametrize(
    ("brought", "said"),
    [
        ({"n": 1, "new": "x"}, "new column things.new (varchar), such as x"),
        ({"n": "N/A"}, 'wider type things.n from bigint to json, such as "N/A"'),
        ({"n": 1, "l": [1]}, "new table things__l"),
        ({"n": 1, "day": "soon"}, "column 'day': a string that does not fit date, format iso, such as \"soon\""),
    ],
)
def test_a_frozen_contract_loads_nothing_of_what_breaks_it_until_the_file_is_changed(shop, api, brought, said):
    told = {"columns": {"day": {"type": "date"}}, "paginator": {"type": "none"}}
    things = shop({"id": 1, "n": 1}, contract="freeze", **told)
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 2, "n": 2}, {"id": 3, **brought}]}

    problem = things.run()

    assert problem.startswith("ContractBroken: shop.things: ")
    assert said in problem
    assert things.values() == [1]
    asked, things.endpoint = len(api.asked), {**told, "contract": "evolve"}
    line = things.line()
    with line.partition("things", None):
        line.load("things", None)
    assert things.values() == ([1, 2] if "day" in brought else [1, 2, 3])
    assert len(api.asked) == asked


def test_a_required_column_that_vanishes_fails_the_load(shop, api):
    things = shop({"id": 1, "n": 1}, columns={"n": {"type": "bigint", "required": True}})
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 1, "N_": 1}, {"id": 2}]}

    problem = things.run()

    assert "none of its 2 records has column 'n', which has to be there" in problem
    assert things.ask("SELECT id, n FROM w.shop.things") == [(1, 1)]
    assert things.ask("SELECT count(*) FROM w._ingest.quarantine") == [(0,)]


def test_a_key_that_is_not_declared_and_vanishes_fails_the_load(shop, api):
    things = shop({"id": 1})
    assert not things.run()
    api.answer = lambda _: {"data": [{"number": 1}, {"number": 2}]}

    problem = things.run()

    assert "none of its 2 records has column 'id', which has to be there" in problem
    assert things.values() == [1]


def test_a_required_column_has_vanished_also_where_a_record_has_another_fault(shop, api):
    columns = {"m": {"type": "bigint"}, "n": {"type": "bigint", "required": True}}
    things = shop({"id": 1, "m": 1, "n": 1}, columns=columns)
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 1, "m": 1}, {"id": 2, "m": "x"}]}

    problem = things.run()

    assert "none of its 2 records has column 'n', which has to be there" in problem


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ([[{"m": 1}], [{"m": 1}, {}]], "none of its 2 records has column 'lines.n', which has to be there"),
        ([[{"n": 1}, {"m": 1}], [{"m": 1}]], ""),
        ([[], [{"m": 1}]], ""),
    ],
)
def test_a_required_column_of_a_list_has_vanished_where_all_records_have_elements_and_none_has_it(shop, elements, said):
    lines = {"lines": {"columns": {"n": {"type": "bigint", "required": True}}}}
    things = shop(*({"id": n, "lines": told} for n, told in enumerate(elements)), children=lines)

    problem = things.run()

    assert said in problem
    assert bool(said) == bool(problem)


def test_one_record_without_a_required_value_stops_no_other(shop):
    things = shop({"id": 1, "n": 1}, {"id": 2}, columns={"n": {"type": "bigint", "required": True}})

    problem = things.run()

    assert not problem
    assert things.values() == [1]


def test_another_contract_rebuilds_from_what_is_kept(shop):
    columns = {"id": {"type": "bigint"}}
    things = shop({"id": 1, "n": 5, "l": [{"k": 1}]}, columns=columns, contract="drop")
    assert not things.run()
    dropped = things.ask("SELECT CAST(_rest AS VARCHAR) FROM w.shop.things")

    told = []
    for mode in ("evolve", "quarantine", "drop"):
        things.endpoint = {"columns": columns, "contract": mode}
        line = things.line()
        with line.partition("things", None):
            line.load("things", None)
        told.append(things.ask("SELECT column_name FROM duckdb_columns() WHERE schema_name = 'shop' "
                    "AND NOT starts_with(column_name, '_') ORDER BY ALL"))  # fmt: skip

    assert told == [[("id",), ("k",), ("n",)], [("id",)], [("id",)]]
    assert dropped == [('{"n":5,"l":[{"k":1}]}',)]
    assert things.ask("SELECT CAST(_rest AS VARCHAR) FROM w.shop.things") == dropped


def test_an_older_fetch_that_breaks_the_contract_keeps_no_replaced_table_from_being_built_again(
    shop, api, tmp_path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    things = shop({"id": 1}, write="replace", columns={"n": {"type": "bigint", "required": True}})
    assert things.run().startswith("ContractBroken")
    api.answer = lambda _: {"data": [{"id": 2, "n": 5}]}
    assert not things.run()
    source = things.line().source
    shutil.rmtree(things.data / "warehouse")
    (things.data / "warehouse.duckdb").unlink(missing_ok=True)

    done = rebuild({"shop": source}, things.data, output())

    assert done
    assert things.values() == [2]


def test_drift_is_an_event_with_its_fetch_and_a_sample(shop, api):
    columns = {"state": {"type": "varchar", "values": ["a"]}, "secret": {"type": "json", "sensitive": True}}
    things = shop({"id": 1, "n": 1, "state": "a"}, columns=columns)
    assert not things.run()
    assert drift(things) == []
    api.answer = lambda _: {
        "data": [{"id": 2, "n": 1.5, "new": "x", "l": [1]}, {"id": 3, "state": "b"}, {"id": 4, "secret": {"k": 1}}]
    }

    assert not things.run()
    assert not things.run()

    assert drift(things) == [
        ("new column", "things", "new", None, "varchar", "x", 2),
        ("new table", "things__l", None, None, None, None, 2),
        ("new value", "things", "state", None, None, '"b"', 2),
        ("wider type", "things", "n", "bigint", "double", "1.5", 2),
    ]


@pytest.mark.parametrize(("was", "held"), [({"b": 1}, "object"), ([1], "list"), ([{"b": 1}], "list")])
def test_what_becomes_a_text_is_told_with_the_fetch_that_brought_it(shop, api, was, held):
    things = shop({"id": 1, "a": was})
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 2, "a": was}, {"id": 3, "a": "x"}]}

    assert not things.run()

    assert drift(things) == [("new column", "things", "a", held, "json", '"x"', 2)]


def test_what_is_new_in_a_fetch_that_comes_is_not_blamed_on_one_that_is_loaded(shop, api):
    things = shop({"id": 1, "a": {}}, contract="freeze")
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 2, "a": "x"}]}

    problem = things.run()

    assert "since fetch 2 there is something new: new column things.a (json), such as" in problem


STATE = {"type": "varchar", "values": ["a"]}


@pytest.mark.parametrize(
    ("columns", "lines", "told"),
    [
        ({}, {"state": STATE}, [("things__lines", "state")]),
        ({"state": STATE}, {"state": {"type": "bigint"}}, []),
        ({"state": STATE}, {"state": {**STATE, "sensitive": True}}, []),
        ({}, {"state": {**STATE, "unfit": "drop"}}, [("things__lines", "state")]),
        ({}, {"state": {**STATE, "unfit": "drop", "sensitive": True}}, []),
        ({}, {"state": STATE, "hushed": {"type": "varchar", "path": "state.name", "sensitive": True}}, []),
    ],
)
def test_a_new_value_is_told_of_the_table_whose_column_it_is(shop, columns, lines, told):
    things = shop({"id": 1, "lines": [{"state": "b"}]}, columns=columns, children={"lines": {"columns": lines}})

    assert not things.run()

    found = [row for row in drift(things) if row[0] == "new value"]
    assert found == [("new value", table, column, None, None, '"b"', 1) for table, column in told]


def test_a_new_value_is_told_also_where_it_is_dropped(shop):
    columns = {"state": {**STATE, "unfit": "drop", "path": 'a.the "state"/~1'}}
    things = shop({"id": 1, "a": {'the "state"/~1': "b"}}, {"id": 2, "a": {}}, columns=columns)

    assert not things.run()

    assert drift(things) == [("new value", "things", "state", None, None, '"b"', 1)]


def test_a_column_whose_values_are_all_dropped_has_not_vanished(shop, api):
    columns = {"n": {"type": "bigint", "unfit": "drop"}, "m": {"type": "bigint", "unfit": "drop"}}
    things = shop(*({"id": n, "n": n, "m": n} for n in range(25)), columns=columns)
    for _ in range(3):
        assert not things.run()
    api.answer = lambda _: {"data": [{"id": n, "n": "N/A"} for n in range(25)]}

    assert not things.run()

    assert [row[:3] for row in drift(things)] == [("vanished", "things", "m")]


def test_a_column_that_was_always_there_and_is_gone_is_told(shop, api):
    many = [{"id": n, "n": n, "sparse": 1 if n == 3 else None} for n in range(25)]
    things = shop(*many)
    for _ in range(3):
        assert not things.run()
    api.answer = lambda _: {"data": [{"id": record["id"], "m": 1} for record in many]}

    assert not things.run()
    assert not things.run()

    assert [row[:3] for row in drift(things)] == [
        ("new column", "things", "m"),
        ("vanished", "things", "n"),
        ("vanished", "things", "sparse"),
    ]


@pytest.fixture
def two(shop, api) -> Whole:
    """Things that refer to customers."""
    told = {"records": "data", "primary_key": "id"}
    reference = {"type": "bigint", "references": "customers.id"}
    lines = {"lines": {"columns": {"customer": reference}}}
    things = {**told, "path": "/things", "columns": {"customer": reference}, "children": lines}
    made: Whole = shop()
    made.source = {"endpoints": {"things": things, "customers": {**told, "path": "/customers"}}}
    rows = [{"id": n, "customer": c, "lines": [{"customer": c}]} for n, c in enumerate([1, 2, 7, 7, None])]
    api.answer = lambda asked: {"data": rows if asked.path == "/things" else [{"id": 1}, {"id": 2}]}
    return made


def fetched(whole: Whole, endpoint: str) -> None:
    """Fetch and load another endpoint."""
    line = whole.line()
    with line.partition(endpoint, None):
        line.fetch(endpoint, None)
        line.load(endpoint, None)


def test_rows_that_refer_to_nothing_stay_and_are_told_of(two):
    assert not two.run()
    before = two.problems()["references"]
    fetched(two, "customers")

    told = two.problems()["references"]

    assert "things.customer: shop.customers.id is not there yet" in before
    assert "things.customer: 2 rows refer to no row of shop.customers.id, such as 7" in told
    assert "things__lines.customer: 2 rows refer to no row" in told
    assert two.values() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("customers", [[], [{"id": 1}], [{"id": 1, "number": None}]])
def test_a_column_that_never_held_a_value_is_none_that_can_be_referred_to_yet(two, api, customers):
    two.source["endpoints"]["things"]["columns"] = {"customer": {"type": "bigint", "references": "customers.number"}}
    api.answer = lambda asked: {"data": [{"id": 1, "customer": 1}] if asked.path == "/things" else customers}
    assert not two.run()
    fetched(two, "customers")

    told = two.problems()["references"]

    assert "things.customer: shop.customers.number is not there yet" in told


CAPITALS = "6F9619FF-8B86-D011-B42D-00C04FC964FF"


@pytest.mark.parametrize(
    ("kind", "value", "theirs", "held"),
    [
        ("double", 1.0, "bigint", 1),
        ("double", 2.0**53, "bigint", 2**53),
        ("bigint", 1, "double", 1.0),
        ("decimal(10,2)", 1, "bigint", 1),
        ("double", 0.1, "decimal(10,2)", 0.1),
        ("varchar", "1", "double", 1.0),
        ("varchar", "1.0", "double", 1.0),
        ("decimal(10,2)", 1.5, "varchar", "1.5"),
        ("uuid", CAPITALS, "varchar", CAPITALS),
        ("varchar", CAPITALS, "uuid", CAPITALS),
        ("varchar", "a", "json", "a"),
        ("json", "a", "varchar", "a"),
        ("bigint", 1, "json", 1),
        ("uuid", CAPITALS, "json", CAPITALS),
    ],
)
def test_what_is_the_same_in_another_type_is_found(two, api, kind, value, theirs, held):
    assert referring(two, api, kind, value, theirs, held) is None


@pytest.mark.parametrize(
    ("kind", "value", "theirs", "held"),
    [
        ("bigint", 2, "double", 1.5),
        ("double", 2.0**53, "bigint", 2**53 + 1),
        ("bigint", 2, "varchar", "1.5"),
        ("bigint", 1, "varchar", "01"),
        ("double", 1.2, "varchar", "1.2.0"),
        ("bigint", 1, "boolean", True),
        ("varchar", "a", "bigint", 1),
        ("varchar", "a", "uuid", CAPITALS),
        ("varchar", '"a"', "json", "a"),
    ],
)
def test_what_is_another_value_in_another_type_is_missing(two, api, kind, value, theirs, held):
    assert "1 rows refer to no row" in referring(two, api, kind, value, theirs, held)


def referring(two: Whole, api: Api, kind: str, value: Any, theirs: str, held: Any) -> str | None:
    """What is found where a value of one type refers to a column of another one that holds this."""
    ends = two.source["endpoints"]
    ends["things"]["columns"] = {"customer": {"type": kind, "references": "customers.number"}}
    ends["customers"]["columns"] = {"number": {"type": theirs}}
    things, customers = [{"id": 1, "customer": value}], [{"id": 1, "number": held}]
    api.answer = lambda asked: {"data": things if asked.path == "/things" else customers}
    assert not two.run()
    fetched(two, "customers")
    return two.problems().get("references")


def test_a_reference_to_what_is_no_endpoint_is_refused(mistake):
    told = mistake("{type: bigint, references: customers.id}")

    assert told.startswith("7: endpoints.things.columns.a.references: 'customers' is not an endpoint of this source")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path of imports, with the module that the page on contracts shows."""
    package = tmp_path / "warehouse_models"
    package.mkdir()
    (package / "orders.py").write_text(shown("python")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.partition(".")[0] == "warehouse_models"]:
        del sys.modules[name]


@pytest.mark.usefixtures("models")
def test_a_pydantic_model_says_what_columns_there_are(shop):
    good = {"id": 1, "state": "open", "placedAt": "2026-01-05T10:00:00Z", "total": "5.50", "customer": {"id": 7}}
    good |= {"lines": [{"sku": "a", "quantity": 2}], "extra": True}
    told = yaml.safe_load(shown("yaml")[-1])
    bad = [{"state": "lost"}, {"lines": [{"sku": "a", "quantity": 0}]}, {"placedAt": "2019-01-01T00:00:00Z"}]
    things = shop(good, *[{**good, "id": n, **wrong} for n, wrong in enumerate(bad, 2)], **told | {"path": "/things"})

    problem = things.run()

    assert not problem
    assert things.ask(
        "SELECT id, state, CAST(placed_at AS VARCHAR), total, customer__id, customer__city, extra FROM w.shop.things"
    ) == [(1, "open", "2026-01-05 10:00:00+00", Decimal("5.50"), 7, None, True)]
    assert things.ask("SELECT sku, quantity FROM w.shop.things__lines") == [("a", 2)]
    assert [c for (c,) in things.ask('SELECT "column" FROM w._ingest.quarantine ORDER BY _position')] == [
        "state", "lines.quantity", "placed_at",
    ]  # fmt: skip
    contract = things.line().source.endpoints["things"].contract
    assert contract.columns["id"].description == "never given again"


def test_check_names_what_a_model_asks_and_no_column_can(here, answering, models):
    (models / "parcels.py").write_text(
        "from pydantic import BaseModel, Field\n\n\n"
        "class Parcel(BaseModel):\n    id: int\n    grams: int = Field(multiple_of=5)\n"
    )
    url = answering(['{"data": [{"id": 1, "grams": 7}]}']).url
    told = "{path: /, records: data, primary_key: id, contract: 'warehouse_models.parcels:Parcel'}"
    (here.folder / "sources" / "post.yaml").write_text(f"base_url: {url}\nendpoints:\n  parcels: {told}\n")

    found = here.ingest("check", "sources/post.yaml")

    assert "no record is set aside for it: Parcel.grams: multiple_of" in " ".join(found.stdout.split())


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("warehouse_models.nothing:Order", "there is no module 'warehouse_models.nothing'"),
        ("warehouse_models.orders:Nothing", "warehouse_models.orders has no pydantic model 'Nothing'"),
        ("warehouse_models.orders:Decimal", "warehouse_models.orders has no pydantic model 'Decimal'"),
        ("warehouse_models.broken:Order", "importing warehouse_models.broken fails: ZeroDivisionError"),
    ],
)
def test_a_model_that_cannot_be_had_is_told_of_with_its_line(mistake, models, named, said):
    (models / "broken.py").write_text("1 / 0\n")

    told = mistake("{type: bigint}", f"    contract: {named}\n")

    assert told.startswith("6: endpoints.things.contract: ")
    assert said in told


def test_every_row_is_one_query_away_from_its_request(shop):
    (query,) = re.findall(r"```sql\n(SELECT t.id.*?)```", (PAGE.parent / "tables.md").read_text(), re.DOTALL)
    things = shop({"id": 1}, {"id": 2})
    assert not things.run()

    rows = things.ask(query.replace("lodging.bookings", "w.shop.things").replace("_ingest.", "w._ingest."))

    version = things.line().source.endpoints["things"].contract.version
    assert [row[:2] + row[3:] for row in rows] == [
        (n, f"{things.url}/things", "run-1", "complete", version, CODE) for n in (1, 2)
    ]
    assert all(row[2] is not None for row in rows)


def test_a_row_whose_newer_version_is_in_quarantine_is_told_of(shop, api):
    things = shop({"id": 1, "n": 1}, {"id": 2, "n": 1}, columns={"n": {"type": "bigint"}})
    assert not things.run()
    api.answer = lambda _: {"data": [{"id": 1, "n": "N/A"}, {"id": 2, "n": 2}, {"id": 3, "n": "N/A"}]}

    assert not things.run()

    assert things.ask("SELECT id, n, _fetch FROM w.shop.things ORDER BY id") == [(1, 1, 1), (2, 2, 2)]
    assert "; 1 rows of their keys are there, and may be older than they" in things.problems()["quarantine"]
