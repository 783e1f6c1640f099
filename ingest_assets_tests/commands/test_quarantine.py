"""What did not fit is listed, shown without what is sensitive, and loaded once the columns are mended."""

import json
import shutil
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ingest_assets.commands.output import Output
from ingest_assets.commands.quarantine import show
from ingest_assets.normalize.masked import MASK
from ingest_assets_tests.whole import Reply, Whole, api_of_its_own, state_in

DAYS = ("--from", "2026-11-18", "--to", "2026-11-19")
MENDED = "endpoints: {charges: {columns: {currency: {type: varchar}, status: {type: varchar, sensitive: true}}}}\n"
WRONG = MENDED.replace("currency: {type: varchar", "currency: {type: varchar, values: [florin]")


def contract(here: Any, text: str) -> None:
    """Stripe's charges with other columns."""
    file = here.folder / "sources" / "stripe.yaml"
    file.write_text(file.read_text().partition("endpoints:")[0] + text)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory: Any, places: Any, ingest: Any) -> Any:
    """Two days of charges, of which none fits: its currency is none that is allowed."""
    here = places(tmp_path_factory.mktemp("looked_at") / "here")
    contract(here, WRONG)
    ran = ingest(here, "run", "stripe.charges", *DAYS)
    assert ran.returncode == 0, ran.stdout
    return here


@pytest.fixture
def unfit(looked_at: Any, tmp_path: Any) -> Any:
    """The same in a folder of its own, to be mended."""
    shutil.copytree(looked_at.folder, tmp_path / "unfit")
    return replace(looked_at, folder=tmp_path / "unfit")


def document(told: Any) -> Any:
    """The JSON document that a command printed."""
    return json.loads(told.stdout)


def test_the_list_is_by_endpoint_and_reason_with_counts_and_a_place(looked_at: Any, ingest: Any) -> None:
    (count,) = looked_at.ask("SELECT count(*) FROM _ingest.quarantine")[0]

    told = ingest(looked_at, "quarantine", "list")
    (kind,) = document(ingest(looked_at, "quarantine", "list", "stripe", "--json"))["quarantine"]

    assert told.returncode == 0, told.stderr
    assert kind["endpoint"] == "stripe.charges"
    assert (kind["records"], kind["column"]) == (count, "currency")
    assert f"ingest quarantine show stripe.charges {kind['place']}" in told.stdout
    assert kind["reason"] in told.stdout


def test_a_record_is_shown_with_place_reason_and_what_was_expected(looked_at: Any, ingest: Any, box: Any) -> None:
    (kind,) = document(ingest(looked_at, "quarantine", "list", "--json"))["quarantine"]

    told = ingest(looked_at, "quarantine", "show", "stripe.charges", kind["place"])
    (record,) = document(ingest(looked_at, "quarantine", "show", "stripe.charges", kind["place"], "--json"))["records"]

    assert told.returncode == 0, told.stderr
    assert kind["place"] in told.stdout
    assert "of 2026-11-19" in told.stdout
    assert "expected  varchar; one of florin" in told.stdout
    charge = next(c for c in box.truth("stripe", "charges") if c["id"] == record["record"]["id"])
    assert record["found"] == json.dumps(charge["currency"])
    assert {name: record["record"][name] for name in ("amount", "currency", "status")} == {
        "amount": charge["amount"],
        "currency": charge["currency"],
        "status": "(sensitive)",
    }


def test_sensitive_values_are_masked(looked_at: Any, ingest: Any) -> None:
    told = ingest(looked_at, "quarantine", "show", "stripe.charges", "--most", "1")

    assert '"status": "(sensitive)"' in told.stdout
    assert "more are open: --most" in told.stdout


@pytest.fixture
def shown(tmp_path: Path, capsys: Any) -> Any:
    """How a record is shown that did not fit what a file said when it came, by what the file says since.

    Its `text` is what people read.
    """

    def show_it(record: Any, then: Any, since: Any) -> Any:
        with state_in(tmp_path), api_of_its_own() as api:
            api.answer = lambda _: record if isinstance(record, Reply) else {"data": [record]}
            things = Whole(tmp_path, api.url, then)
            assert things.run() == ""
            things.endpoint = since
            line = things.line()
            line.publish()
            people = Console(file=StringIO(), width=1000, highlight=False, markup=False)
            show(line.source, ("shop", "things"), things.data, None, 1, Output(people, people, as_json=True))
        (told,) = json.loads(capsys.readouterr().out)["records"]
        return {**told, "text": people.file.getvalue()}

    return show_it


def test_a_column_of_a_list_is_told_by_its_own_declaration(shown: Any) -> None:
    state = {"type": "varchar", "values": ["a"]}
    then = {"children": {"lines": {"columns": {"state": state}}}}
    lists = {"lines": {"columns": {"state": {**state, "sensitive": True}}}}

    record = shown(
        {"id": 1, "lines": [{"state": "b"}]}, then, {"columns": {"state": {"type": "bigint"}}, "children": lists}
    )

    assert (record["column"], record["expected"], record["found"]) == ("lines.state", "varchar; one of a", MASK)


@pytest.mark.parametrize(
    ("then", "since"),
    [
        (
            {"columns": {"who": {"type": "varchar"}}},
            {"mail": {"type": "varchar", "path": "who.mail", "sensitive": True}},
        ),
        ({"columns": {"who": {"type": "varchar"}}}, {"who": {"type": "json", "sensitive": True}}),
        (
            {"columns": {"id": {"type": "bigint"}}, "contract": "quarantine"},
            {"mail": {"type": "varchar", "path": "who.mail", "sensitive": True}},
        ),
        ({"children": {"who": {}}}, {"mail": {"type": "varchar", "path": "who.mail", "sensitive": True}}),
    ],
    ids=["inside", "itself", "not declared", "no list"],
)
def test_a_value_is_masked_that_has_inside_what_is_sensitive_since(shown: Any, then: Any, since: Any) -> None:
    record = shown(
        {"id": 1, "who": {"mail": "ann@example.com"}}, then, {**then, "columns": {**then.get("columns", {}), **since}}
    )

    assert "ann@example.com" not in json.dumps(record)
    assert record["found"] in (MASK, None)


def test_a_value_beside_what_is_sensitive_is_shown(shown: Any) -> None:
    secret = {"type": "varchar", "sensitive": True}
    then = {"columns": {"n": {"type": "bigint"}, "mail": secret}}

    record = shown({"id": 1, "n": "many", "mail": "ann@example.com"}, then, then)

    assert (record["found"], record["record"]["mail"]) == ('"many"', MASK)


def test_numbers_are_shown_digit_by_digit_and_nothing_that_a_terminal_obeys(shown: Any) -> None:
    record = Reply(b'{"data":[{"id":1,"n":0.12345678901234567891,"m":1e400,"t":"\\u001b[2J\\u009b"}]}')
    then = {"columns": {"n": {"type": "decimal(9,2)"}}}

    text = shown(record, then, then)["text"]

    for told in ('"n": 0.12345678901234567891', '"m": 1e400', '"t": "\\u001b[2J\\u009b"'):
        assert told in text


def test_a_replay_says_how_many_fit_now_and_sends_no_request(unfit: Any, ingest: Any, box: Any) -> None:
    (count,) = unfit.ask("SELECT count(*) FROM _ingest.quarantine")[0]
    contract(unfit, MENDED)
    box.forget_seen()

    told = ingest(unfit, "quarantine", "replay", "stripe.charges")
    again = ingest(unfit, "quarantine", "replay")

    assert told.returncode == 0, told.stdout + told.stderr
    assert f"stripe.charges: {count:,} of {count:,} records now fit" in told.stdout
    assert unfit.ask("SELECT count(*) FROM stripe.charges") == [(count,)]
    assert box.seen() == []
    assert "Nothing is in quarantine" in again.stdout


def test_only_partitions_with_open_records_under_former_columns_are_loaded_again(unfit: Any, ingest: Any) -> None:
    contract(unfit, MENDED)
    ingest(unfit, "replay", "stripe.charges", "--partition", "2026-11-18")
    loads = "SELECT partition, loaded FROM _ingest.fetches ORDER BY ALL"
    before = unfit.ask(loads)

    told = ingest(unfit, "quarantine", "replay")

    after = unfit.ask(loads)
    assert told.returncode == 0
    assert [row for row in after if row in before] == before[:1]


def test_records_that_still_do_not_fit_are_not_loaded_in_vain(unfit: Any, ingest: Any) -> None:
    (count,) = unfit.ask("SELECT count(*) FROM _ingest.quarantine")[0]

    told = ingest(unfit, "quarantine", "replay")
    document = json.loads(ingest(unfit, "quarantine", "replay", "--json").stdout)

    assert told.returncode == 1
    assert "Nothing was loaded again" in told.stdout
    assert f"0 of {count:,} records now fit" in told.stdout
    assert document["quarantine"] == [
        {"endpoint": "stripe.charges", "records": count, "fit": 0, "still": count, "others": 0}
    ]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", "stripe.charges", "here"), "'here' is no place; expected FETCH/PAGE/POSITION such as 12/0/3"),
        (("show", "stripe.charges", "999/0/0"), "no open record of quarantine is at 999/0/0"),
        (("show", "stripe"), "expected one endpoint, such as"),
        (("list", "strip"), "'strip' is no source; did you mean 'stripe'"),
    ],
)
def test_a_wrong_command_line_is_said_in_a_line(
    looked_at: Any, ingest: Any, arguments: tuple[str, ...], expected: str
) -> None:
    told = ingest(looked_at, "quarantine", *arguments)

    assert told.returncode == 2
    assert expected in told.stderr
    assert "Traceback" not in told.stderr


def test_before_the_first_load_there_is_nothing_to_list(here: Any, ingest: Any) -> None:
    told = ingest(here, "quarantine", "list")

    assert told.returncode == 1
    assert "there is no warehouse yet" in told.stderr
