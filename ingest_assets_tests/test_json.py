"""`--json`: one document on stdout whatever happens, and what people read on stderr."""

import json
from typing import Any

import pytest

from ingest_assets.cli.main import guarded


def document(told: Any) -> dict[str, Any]:
    """The one JSON document that a command printed."""
    found: dict[str, Any] = json.loads(told.stdout)
    assert told.stdout.count("\n") == 1
    assert found["ok"] == (told.returncode == 0)
    return found


def test_a_run_tells_what_became_of_each_endpoint(here: Any) -> None:
    told = document(here.ingest("run", "stripe.customers", "--json"))

    [one] = told["endpoints"]
    assert one["endpoint"] == "stripe.customers"
    assert one["verdict"] == "complete"
    assert one["records"] == one["rows"] == here.ask("SELECT count(*) FROM stripe.customers")[0][0]
    assert (len(told["runs"]), told["failures"]) == (1, [])


def test_a_run_with_nothing_to_do_has_the_same_keys(here: Any) -> None:
    days = ("--from", "2026-11-19", "--to", "2026-11-19")
    first = document(here.ingest("run", "stripe.charges", *days, "--json"))

    second = document(here.ingest("run", "stripe.charges", *days, "--json"))

    assert second.keys() == first.keys()
    assert second["runs"] == []


def test_a_failure_of_a_run_is_told_with_its_kind(here: Any) -> None:
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"

    told = document(here.ingest("run", "stripe.customers", "--json"))

    assert [failure["kind"] for failure in told["failures"]] == ["RequestFailed"]


def test_looks_tell_all_that_their_tables_show(here: Any) -> None:
    here.ingest("run", "stripe.customers")

    status = document(here.ingest("status", "stripe", "--json"))
    verify = document(here.ingest("verify", "--json"))
    sources = document(here.ingest("sources", "--json"))
    check = document(here.ingest("check", "stripe", "--json"))
    preview = document(here.ingest("preview", "zendesk.users", "--rows", "2", "--json"))

    by_name = {one["endpoint"]: one for one in status["endpoints"]}
    assert by_name["stripe.customers"]["problems"] == []
    assert by_name["stripe.customers"]["last_look"].endswith("Z")
    assert by_name["stripe.charges"]["last_look"] is None
    assert (verify["fetches"], verify["endpoints"], verify["damaged"]) == (1, 1, [])
    assert {"endpoint", "changes_come_as", "write", "primary_key", "file"} == set(sources["endpoints"][0])
    assert check["secrets"] == ["environment variable STRIPE_API_KEY"]
    assert [one["error"] for one in check["endpoints"]] == [None] * 4
    email = next(c for c in preview["tables"][0]["columns"] if c["column"] == "email")
    assert email["values"] is None


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["run", "strip", "--json"], "ConfigError", 2),
        (["run", "--jsn", "--json"], "UsageError", 2),
        (["status", "--json", "stripe.charge"], "ConfigError", 2),
    ],
)
def test_an_error_is_a_document_too(here: Any, arguments: list[str], kind: str, code: int) -> None:
    ended = here.ingest(*arguments)

    told = document(ended)
    assert (told["error"]["kind"], told["error"]["exit_code"], ended.returncode) == (kind, code, code)
    assert told["error"]["message"].split(";")[0] in ended.stderr


def test_a_rebuild_that_dagster_cannot_be_told_of_is_one_document(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    for file in (here.data / "dagster" / "history").rglob("*.db"):
        file.write_text("no database")
    here.more["DAGSTER_HOME"] = str(here.data / "dagster")

    told = document(here.ingest("rebuild", "--json"))

    assert told["error"]["kind"] == "StorageFailed"


def test_a_failure_that_nobody_foresaw_is_a_document_too(here: Any, capsys: Any) -> None:
    def command() -> None:
        raise LookupError("unforeseen")

    with pytest.raises(LookupError):
        guarded(command, as_json=True)

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["error"]["kind"], told["error"]["exit_code"]) == (False, "LookupError", 1)


def test_a_report_tells_how_many_partitions_another_dagster_was_told_of(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    here.more["DAGSTER_HOME"] = str(here.data / "another")

    first = document(here.ingest("report", "stripe.customers", "--json"))
    second = document(here.ingest("report", "stripe.customers", "--json"))

    assert first["endpoints"] == [{"endpoint": "stripe.customers", "partitions": 1}]
    assert second["endpoints"] == [{"endpoint": "stripe.customers", "partitions": 0}]


def test_a_trace_tells_the_requests_of_runs_and_of_nothing_else(here: Any) -> None:
    here.ingest("run", "stripe.customers")
    here.ingest("check", "stripe")
    here.more["STRIPE_API_KEY"] = "sk_test_wrong_and_long_enough"
    here.ingest("run", "stripe.customers")

    every = document(here.ingest("trace", "stripe", "--json"))["requests"]
    failed = document(here.ingest("trace", "stripe.customers", "--failed", "--json"))["requests"]
    none = here.ingest("trace", "stripe.charges")

    assert [asked["status"] for asked in every] == [200, 401]
    assert failed == every[1:]
    assert every[0]["url"] == f"{here.url}/stripe/v1/customers?limit=100"
    assert "no such request is kept" in none.stdout
    assert "sk_test" not in (here.data / "trace" / "stripe.jsonl").read_text()
