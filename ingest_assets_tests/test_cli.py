"""The `ingest` command as a person at a terminal meets it: what it says, real exit codes, and that it is a program."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb
import pytest

from ingest_assets.assets.plan import Range, Wanted, plan
from ingest_assets.catalog import SHIPPED, load

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
COMMANDS = (
    "accept",
    "backup",
    "check",
    "demo",
    "auth",
    "forget",
    "forget",
    "preview",
    "prune",
    "quarantine",
    "rebuild",
    "replay",
    "report",
    "run",
    "sandbox",
    "sources",
    "status",
    "test",
    "ui",
    "undo",
    "verify",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(here: Any, command: str) -> None:
    told = here.program(command, "--help")

    assert told.returncode == 0
    assert "ingest " in told.stdout.replace(f"Usage: ingest {command}", "").replace("Usage: python -m", "")


def test_a_run_loads_and_a_second_one_has_nothing_to_do(here: Any) -> None:
    first = here.program("run", "stripe.charges", "--from", "2026-11-18", "--to", "2026-11-19")
    before = here.tables()
    second = here.program("run", "stripe.charges", "--from", "2026-11-18", "--to", "2026-11-19")

    assert first.returncode == 0, first.stderr
    assert "stripe.charges" in first.stdout
    assert "complete" in first.stdout
    assert second.returncode == 0
    assert "Nothing is due" in second.stdout
    assert here.tables() == before


def test_again_fetches_complete_days_and_changes_no_table(here: Any, box: Any) -> None:
    here.ingest("run", "mixpanel.events", "--partition", "2026-11-18")
    before = here.tables()
    box.forget_seen()

    again = here.ingest("run", "mixpanel.events", "--partition", "2026-11-18", "--again")

    assert again.returncode == 0, again.stderr
    assert len(box.seen()) == 1
    assert here.tables() == before


def test_a_replay_sends_no_request(here: Any, box: Any) -> None:
    here.ingest("run", "stripe.customers")
    before = here.tables()
    box.forget_seen()

    told = here.ingest("replay", "stripe.customers", "--all")

    assert told.returncode == 0, told.stderr
    assert box.seen() == []
    assert here.tables() == before


def test_a_replay_of_what_is_current_has_nothing_to_do(here: Any) -> None:
    here.ingest("run", "stripe.customers")

    told = here.ingest("replay", "stripe.customers")

    assert told.returncode == 0
    assert "Nothing is out of date" in told.stdout


def test_status_before_the_first_load_says_what_to_do(here: Any) -> None:
    told = here.ingest("status")

    assert told.returncode == 1
    assert "ingest run" in told.stdout


def test_status_names_what_is_not_loaded_yet(here: Any) -> None:
    here.ingest("run", "stripe.customers")

    told = here.ingest("status", "stripe")

    assert told.returncode == 1
    assert "stripe.charges: nothing is loaded. Next: ingest run stripe.charges" in told.stdout
    assert "! stripe.customers" not in told.stdout


def test_verify_names_a_damaged_file(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    good = here.ingest("verify")
    segment = next((here.data / "raw").rglob("pages.zst"))
    segment.write_bytes(b"\0" + segment.read_bytes()[1:])

    bad = here.ingest("verify", "stripe")

    assert good.returncode == 0
    assert "1 fetches of 1 endpoints, 0 damaged" in good.stdout
    assert bad.returncode == 1
    assert str(segment) in bad.stdout
    assert "ingest run stripe.customers --again" in bad.stdout


def test_check_and_trace_show_what_the_api_says_is_left(here: Any) -> None:
    check = here.ingest("check", "zendesk")
    here.ingest("run", "zendesk.users")
    trace = here.ingest("trace", "zendesk.users")
    document = json.loads(here.ingest("trace", "zendesk.users", "--json").stdout)

    assert re.search(r"✓ users: .* bytes\), \d+ of \d+ left \((x-)?rate-?limit", " ".join(check.stdout.split()))
    assert re.search(r"\d+ of \d+ +/", trace.stdout)
    assert all(re.fullmatch(r"\d+ of \d+ \(.*rate-?limit\)", asked["left"]) for asked in document["requests"])


def test_check_asks_for_one_page_an_endpoint_and_writes_nothing(here: Any, box: Any) -> None:
    box.forget_seen()

    told = here.ingest("check", "stripe")

    assert told.returncode == 0, told.stdout
    assert len(box.seen()) == 4
    assert not here.data.exists()
    assert "STRIPE_API_KEY" in told.stdout


def test_check_says_that_a_secret_is_missing(here: Any) -> None:
    here.more["STRIPE_API_KEY"] = ""

    told = here.ingest("check", "stripe")

    assert told.returncode == 1
    assert "environment variable STRIPE_API_KEY is empty" in told.stdout


def test_preview_shows_rows_and_proposes_types_but_no_sensitive_value(here: Any, box: Any) -> None:
    told = here.ingest("preview", "zendesk.users", "--rows", "2")

    assert told.returncode == 0, told.stderr
    assert "zendesk.users" in told.stdout
    assert "(sensitive)" in told.stdout
    emails = [user["email"] for user in box.truth("zendesk", "users") if user.get("email")]
    assert not [email for email in emails if email in told.stdout]
    assert not here.data.exists()


def test_preview_hides_what_is_sensitive_in_lists_and_json_and_nothing_else(here: Any, answering: Any) -> None:
    note = {"type": "varchar", "sensitive": True}
    lines = [{"sku": "S1", "note": "N1", "deep": [{"sku": "S2", "note": "N2"}]}]
    api = answering([json.dumps([{"id": 1, "note": "open", "who": {"mail": "N3", "more": "N4"}, "lines": lines}])])
    told = {
        "path": "/",
        "primary_key": "id",
        "columns": {"who": {"type": "json"}, "mail": {**note, "path": "who.mail"}},
        "children": {"lines": {"columns": {"note": note}}, "lines.deep": {"columns": {"note": note}}},
    }
    (here.folder / "sources" / "shop.yaml").write_text(json.dumps({"base_url": api.url, "endpoints": {"orders": told}}))

    shown = replace(here, more={"INGEST_ONLY": "shop"}).ingest("preview", "shop.orders", "--json")

    assert shown.returncode == 0, shown.stderr + shown.stdout
    values = {c["column"]: c["values"] for table in json.loads(shown.stdout)["tables"] for c in table["columns"]}
    assert values == {"id": [1], "note": None, "who": None, "mail": None, "sku": ["S2"]}
    assert not [text for text in ("N1", "N2", "N3", "N4") if text in shown.stdout]


def test_preview_prints_nothing_of_a_text_that_a_terminal_obeys(here: Any, answering: Any) -> None:
    api = answering([json.dumps([{"id": 1, "note": "a\x1b[2Jb\x9bc"}])])
    told = {"base_url": api.url, "endpoints": {"orders": {"path": "/", "primary_key": "id"}}}
    (here.folder / "sources" / "shop.yaml").write_text(json.dumps(told))

    shown = replace(here, more={"INGEST_ONLY": "shop"}).ingest("preview", "shop.orders")

    assert "a\\u001b[2Jb\\u009bc" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "strip"], "'strip' is no source; did you mean 'stripe'?"),
        (["run", "stripe.charge"], "'stripe' has no endpoint 'charge'; did you mean 'charges'?"),
        (["run", "stripe.charges", "--partition", "2019-01-01"], "its partitions begin on 2024-01-01"),
        (["run", "stripe.charges", "--from", "2026-02-01", "--to", "2026-01-31"], "is before --from"),
        (["run", "stripe.charges", "--from", "2999-01-01"], "is not over yet"),
        (["run", "stripe.charges", "--partition", "2999-01-01"], "is not over yet"),
        (["run", "stripe.charges", "--partition", "yesterday"], "is no time: expected such as 2026-01, 2026-01-31"),
        (["run", "stripe.customers", "--partition", "2026-01-01"], "stripe.customers: it has no days to name one of"),
        (["run", "stripe.charges", "--partition", ""], "'' is no time: expected such as 2026-01, 2026-01-31"),
        (["run", "--partition", "2026-01-01", "--to", "2026-01-02"], "say one of them"),
        (["run", "zendesk.tickets", "--since", "garbage"], "'garbage' is no time; expected such as 2026-01-31"),
        (["replay", "stripe.charges", "--as-of", "0001-01-01T00:00+05:00"], "is no time; expected such as 2026-01-31"),
        (["preview", "stripe.charges", "--partition", ""], "'' is no partition; expected such as 2026-01-31"),
        (["replay", "stripe.charges", "--partition", ""], "'' is no partition; expected such as 2026-01-31"),
        (["undo", "stripe.charges", "--partition", " "], "' ' is no partition; expected such as 2026-01-31"),
        (["preview", "stripe.customers", "--partition", "2026-01-31"], "stripe.customers: it has no partitions"),
        (["ui", "--host", ""], "'' is no host; expected such as 127.0.0.1"),
        (["backup", ""], "'' is no folder; expected a path, or . for this one"),
        (["demo", "--folder", ""], "'' is no folder; expected a path, or . for this one"),
        (["why", "stripe.charges", "\udcff"], "is not UTF-8 text"),
        (["run", "stripe.charges", "--from", "9999-12-31"], "'9999-12-31' is no time"),
        (["run", "stripe.charges", "--partition", "9999-12"], "'9999-12' is no time"),
        (["why", "stripe.charges", "ch_1", "--rows", "-1"], "-1 is not in the range"),
        (["why", "stripe.charges", "ch_1", "--rows", "9" * 30], "is not in the range"),
        (["quarantine", "show", "stripe.charges", "--most", "0"], "0 is not in the range"),
        (["trace", "stripe", "--last", "-1"], "-1 is not in the range"),
        (["preview", "stripe.charges", "--rows", "0"], "0 is not in the range"),
        (["prune", "--older-than", "P9999999D"], "is no age; expected one of up to 1000 years"),
        (["ui", "--port", "70000"], "70000 is not in the range"),
        (["ui", "--host", "203.0.113.1", "--port", "3000"], "expected an address of this machine"),
        (["demo", "--port", "0"], "0 is not in the range"),
        (["sandbox", "--port", "70000"], "70000 is not in the range"),
        (["sandbox", "--scale", "nan"], "'nan' is no factor; expected a number above 0"),
        (["sandbox", "--factor", "0"], "'0' is no factor; expected a number above 0"),
        (["sandbox", "--now", "0001-01-01"], "is none of the days from 1970-01-01 to 2999-12-31"),
        (["preview", "stripe"], "expected one endpoint, such as stripe.customers"),
        (["check", "nothing"], "'nothing' is no source"),
        (["replay", "stripe.charges", "--partition", "2026-11-18"], "nothing is stored of 2026-11-18"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_what_was_expected(
    here: Any, arguments: list[str], expected: str
) -> None:
    told = here.ingest(*arguments)

    assert told.returncode == 2, told.stdout + told.stderr
    assert expected in told.stderr
    assert "Traceback" not in told.stderr


def test_a_sandbox_refuses_a_port_that_is_taken_as_one_document(here: Any, box: Any) -> None:
    port = str(urlsplit(box.url).port)

    told = here.program("sandbox", "--port", port, "--json")

    assert told.returncode == 75
    assert f"port {port} on 127.0.0.1 is taken" in json.loads(told.stdout)["error"]["message"]
    assert "Traceback" not in told.stderr


def test_a_sandbox_tells_the_port_that_it_took_as_one_document(here: Any) -> None:
    with here.start("sandbox", "--port", "0", "--json") as process:
        told = json.loads(process.stdout.readline())
        process.terminate()
        rest, _ = process.communicate(timeout=30)

    assert told["ok"]
    assert urlsplit(told["url"]).port
    assert rest == ""


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("a: [b", "dagster.yaml: Dagster cannot read its settings: while parsing a flow sequence"),
        ("nonsense: 1", "dagster.yaml: Dagster cannot read its settings: DagsterInvalidConfigError"),
    ],
)
def test_settings_that_dagster_cannot_read_are_told_with_the_file(here: Any, settings: str, expected: str) -> None:
    home = here.data / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(settings)

    told = here.ingest("run", "stripe.customers")

    assert told.returncode == 2
    assert expected in told.stderr


@pytest.mark.parametrize("name", ["history/runs.db", "history/runs/index.db", "schedules/schedules.db"])
def test_a_damaged_database_of_dagster_is_told_with_what_to_do(here: Any, name: str) -> None:
    here.ingest("run", "stripe.customers")
    (here.data / "dagster" / name).write_text("no database " * 100)

    told = here.program("run", "stripe.customers")

    assert told.returncode == 1
    assert "Dagster's database cannot be used: file is not a database" in told.stderr
    assert "Traceback" not in told.stderr


@pytest.mark.parametrize("command", [["sources"], ["sources", "--json"], ["--help"]])
def test_output_that_cannot_be_written_is_told_in_a_line(here: Any, command: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        told = subprocess.run(
            [sys.executable, "-m", "ingest_assets.cli", *command],
            env=here.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    assert told.returncode == 1
    assert told.stderr.startswith("✗ standard output: No space left on device.")
    assert told.stderr.count("\n") == 1


@pytest.mark.parametrize("command", [["check", "stripe"], ["check", "stripe", "--json"], ["check", "ü", "--json"]])
def test_a_terminal_of_ascii_is_told_the_same(here: Any, command: list[str]) -> None:
    environment = {**here.environment, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    environment.pop("PYTHONIOENCODING", None)
    program = [sys.executable, "-m", "ingest_assets.cli", *command]
    wide, narrow = (
        subprocess.run(program, env=env, capture_output=True, check=False)
        for env in ({**here.environment, "PYTHONUTF8": "1"}, environment)
    )

    told = narrow.stdout.decode("ascii")

    assert narrow.returncode == wide.returncode
    if "--json" in command:
        assert json.loads(told).keys() == json.loads(wide.stdout).keys()
    else:
        assert len(told.splitlines()) == len(wide.stdout.decode().splitlines())
        assert not wide.stdout.isascii()


@pytest.mark.parametrize("command", ["sources", "sources --json", "run stripe.customers"])
def test_without_standard_output_a_command_does_the_same(here: Any, command: str) -> None:
    program = f"{sys.executable} -m ingest_assets.cli"

    told = subprocess.run(
        ["sh", "-c", f"{program} {command} >&-"],
        env=here.environment,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )

    assert (told.returncode, told.stderr) == (0, "")


def test_a_folder_that_is_no_source_is_passed_over(here: Any) -> None:
    (here.data / "raw" / "%ff" / "things").mkdir(parents=True)

    told = here.ingest("verify")

    assert (told.returncode, told.stdout) == (0, "\n0 fetches of 0 endpoints, 0 damaged\n")


def test_a_wrong_source_file_is_told_with_its_line(here: Any) -> None:
    file = here.folder / "sources" / "stripe.yaml"
    file.write_text(file.read_text() + "endpoints: {charges: {pathh: /x}}\n")

    told = here.program("run", "stripe")

    assert told.returncode == 2
    assert f"{file}:5" in told.stderr
    assert "'pathh'" in told.stderr


def test_a_refused_key_fails_with_1_and_names_the_secret_without_its_value(here: Any) -> None:
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"

    told = here.program("run", "stripe.customers")

    assert told.returncode == 1, told.stdout + told.stderr
    assert "HTTP 401" in told.stdout
    assert "STRIPE_API_KEY" in told.stdout
    assert "sk_test_wrong" not in told.stdout + told.stderr


def test_a_run_that_failed_before_it_asked_says_why(here: Any) -> None:
    (here.folder / "limits").write_text("a file where a folder is expected")

    told = here.ingest("run", "stripe.customers", "--json")

    (failure,) = json.loads(told.stdout)["failures"]
    assert told.returncode == 1
    assert "stripe.customers: " in failure["message"]
    assert str(here.folder / "limits") in failure["message"]


def test_an_api_that_is_down_ends_with_75_and_the_next_run_goes_on(here: Any, box: Any) -> None:
    source = here.folder / "sources" / "stripe.yaml"
    source.write_text(source.read_text() + "max_wait: PT0.1S\n")
    source.write_text(source.read_text().replace(box.url, "http://127.0.0.1:9"))

    down = here.program("run", "stripe.customers")
    source.write_text(source.read_text().replace("http://127.0.0.1:9", box.url))
    up = here.program("run", "stripe.customers")

    assert down.returncode == 75, down.stdout + down.stderr
    assert up.returncode == 0, up.stdout + up.stderr


def test_rows_of_another_account_are_refused_until_they_are_accepted(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    source = here.folder / "sources" / "stripe.yaml"
    source.write_text(source.read_text() + "account: acme-europe\n")

    refused = here.ingest("run", "stripe.customers")
    accepted = here.ingest("accept", "stripe")
    then = here.ingest("run", "stripe.customers")

    assert refused.returncode == 2
    assert "this warehouse holds rows of" in refused.stdout
    assert accepted.returncode == 0
    assert then.returncode == 0, then.stdout


def test_days_that_need_the_same_endpoints_become_one_range() -> None:
    sources = {"stripe": load(SHIPPED / "stripe.yaml")}
    names = [("stripe", "charges"), ("stripe", "invoices"), ("stripe", "customers")]

    runs = plan(sources, names, Wanted(), lambda _: [], NOW)

    assert runs == [
        Range((("stripe", "charges"), ("stripe", "invoices")), "2026-11-13", "2026-11-19"),
        Range((("stripe", "customers"),)),
    ]


def test_named_days_leave_out_what_has_no_days() -> None:
    sources = {"stripe": load(SHIPPED / "stripe.yaml")}
    last = str((NOW - timedelta(days=1)).date())

    runs = plan(sources, [("stripe", "customers"), ("stripe", "charges")], Wanted(last, last), lambda _: [], NOW)

    assert runs == [Range((("stripe", "charges"),), "2026-11-19", "2026-11-19")]


def demo(folder: Path) -> "subprocess.CompletedProcess[str]":
    """The demo without its UI, started by a user with a key and a warehouse of their own."""
    return subprocess.run(
        [sys.executable, "-m", "ingest_assets.cli", "demo", "--no-ui", "--folder", str(folder / "demo")],
        env=os.environ | {"STRIPE_API_KEY": "sk_live_of_the_user", "INGEST_DATA": str(folder / "real")},
        cwd=folder,
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )


def contents(folder: Path) -> list[tuple[object, ...]]:
    """A hash of each table of the demo's warehouse, all columns."""
    with duckdb.connect(str(folder / "demo" / "warehouse.duckdb"), read_only=True) as reader:
        names = reader.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE schema_name <> '_ingest' ORDER BY ALL"
        ).fetchall()
        query = 'SELECT count(*), sum(hash(t)::HUGEINT) FROM "{}"."{}" AS t'
        return [(*name, *reader.execute(query.format(*name)).fetchall()[0]) for name in names]


def test_the_demo_is_apart_from_the_users_data_and_changes_no_table_when_repeated(tmp_path: Path) -> None:
    first = demo(tmp_path)
    before = contents(tmp_path)
    second = demo(tmp_path)

    assert (first.returncode, second.returncode) == (0, 0), first.stdout + first.stderr
    assert "Traceback" not in first.stderr + second.stderr
    assert first.stdout.count("complete") == 8
    assert not (tmp_path / "real").exists()
    assert len(before) > 8
    assert contents(tmp_path) == before
