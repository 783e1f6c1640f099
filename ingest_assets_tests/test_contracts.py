"""Contracts, the whole way: what a file promises is what the table holds, and the rest is accounted for."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest_assets import catalog
from ingest_assets.errors import ConfigError
from ingest_assets_tests.whole import Api, Whole, api_of_its_own, state_in

PAGE = Path(__file__).parent.parent / "docs" / "contracts.md"


@pytest.fixture
def api() -> Iterator[Api]:
    with api_of_its_own() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, api: Api) -> Iterator[Callable[..., Whole]]:
    """Make the endpoint `things` with what is said of it, and give these records from then on."""
    with state_in(tmp_path):

        def make(*records: Any, **told: Any) -> Whole:
            api.answer = lambda _: {"data": list(records)}
            return Whole(tmp_path, api.url, told)

        yield make


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
        ("{type: bigint, min: 1.5}", "min: expected a value of type bigint, found 1.5"),
        ("{type: bigint, min: 3, max: 2}", "min 3 is greater than max 2: nothing would fit"),
        ("{type: date, max: 5}", "max: expected a time as ISO 8601 writes it, such as 2026-01-31, found 5"),
        ("{type: bigint, pattern: x}", "pattern is for varchar columns, and this is bigint"),
        ('{type: varchar, pattern: "("}', "pattern is no regular expression: missing )"),
        ("{type: varchar, values: {a: [x], b: x}}", "'x' is a spelling of both 'a' and 'b'"),
        ("{type: varchar, values: [a], default: b}", "default 'b' is not one of the values a"),
        ('{type: "decimal(5,2)", default: 0.005}', "default: expected a value of type decimal(5,2), found 0.005"),
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
