"""The examples of docs/jobs.md, run against APIs that answer as those that they are for."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from ingest_assets.line import Line, Pace
from ingest_assets.source import Source
from ingest_assets_tests.whole import Api, Asked, Reply, api_of_its_own, state_in

PAGE = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
EXAMPLES = {
    text.split(".yaml", 1)[0].removeprefix("# "): text for text in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
}


@contextlib.contextmanager
def apis(tmp_path: Path) -> Iterator[tuple[Api, Api]]:
    """Two origins."""
    with state_in(tmp_path), api_of_its_own() as one, api_of_its_own() as other:
        yield one, other


def rows(tmp_path: Path, name: str, partition: str | None, columns: str, **urls: str) -> list[Any]:
    """The table that the example gives, its hosts replaced."""
    text = EXAMPLES[name]
    for host, url in urls.items():
        text = re.sub(rf"https://{host.replace('_', '.')}[^\s/]*", url, text)
    told = yaml.safe_load(text)
    (endpoint,) = told["endpoints"]
    told["endpoints"][endpoint]["job"]["every"] = "PT0.01S"
    line = Line(Source.model_validate({"name": name, **told}), tmp_path / "data", run="1", pace=Pace(retry_seconds=1))
    with line.partition(endpoint, partition):
        line.fetch(endpoint, partition)
        line.load(endpoint, partition)
    with line.warehouse.session("looking") as connection:
        query = f"FROM w.{name}.{endpoint} SELECT {columns} ORDER BY ALL"
        return connection.execute(query).fetchall()


def salesforce(asked: Asked) -> Any:
    path = asked.path.removeprefix("/services/data/v66.0/jobs/query")
    if not path:
        wanted = "WHERE SystemModstamp >= 2026-01-02T00:00:00Z AND SystemModstamp < 2026-01-03T00:00:00Z"
        assert wanted in json.loads(asked.body)["query"]
        return {"id": "750x", "state": "UploadComplete"}
    if path == "/750x":
        return {"id": "750x", "state": "JobComplete"}
    first = "locator" not in asked.query
    text = b'"Id","Name","SystemModstamp"\n"001%d","Veldhuis","2026-01-02T10:00:00.000Z"\n' % first
    return Reply(text, headers={"Sforce-Locator": "MTA" if first else "null", "Content-Type": "text/csv"})


def test_salesforces_bulk_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SALESFORCE_TOKEN", "00Dx!secret")
    with apis(tmp_path) as (api, _):
        api.answer = salesforce

        found = rows(tmp_path, "salesforce", "2026-01-02", "Id", acme=api.url)

    assert found == [("0010",), ("0011",)]


def shopify(url: str) -> Callable[[Asked], Any]:
    looks = iter(["CREATED", "RUNNING", "COMPLETED"])

    def answer(asked: Asked) -> Any:
        assert asked.headers["x-shopify-access-token"] == "shpat_secret"
        told = json.loads(asked.body)
        if "mutation" in told["query"]:
            made = {"id": "gid://shopify/BulkOperation/7", "status": "CREATED"}
            return {"data": {"bulkOperationRunQuery": {"bulkOperation": made, "userErrors": []}}}
        assert told["variables"] == {"id": "gid://shopify/BulkOperation/7"}
        status = next(looks)
        there = f"{url}/bulk.jsonl?Signature=letmein" if status == "COMPLETED" else None
        return {"data": {"bulkOperation": {"status": status, "errorCode": None, "url": there}}}

    return answer


def test_shopifys_bulk_operation_whose_file_is_asked_for_without_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOPIFY_TOKEN", "shpat_secret")
    with apis(tmp_path) as (api, storage):
        api.answer = shopify(storage.url)
        storage.answer = lambda _: Reply(b'{"id": "gid://shopify/Order/1", "name": "#1"}\n{"id": "2", "name": "#2"}\n')

        found = rows(tmp_path, "shopify", None, "id, name", acme=api.url)

        (asked,) = storage.asked
    assert found == [("2", "#2"), ("gid://shopify/Order/1", "#1")]
    assert asked.query == {"Signature": "letmein"}
    assert "shpat_secret" not in str(asked)
    kept = b"".join(file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())
    assert b"letmein" not in kept
    assert b"bulk.jsonl" in kept


def test_an_operation_without_a_file_has_no_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOPIFY_TOKEN", "shpat_secret")
    with apis(tmp_path) as (api, _):
        usual = shopify("")

        def answer(asked: Asked) -> Any:
            told = usual(asked)
            if told["data"].get("bulkOperation", {}).get("url"):
                told["data"]["bulkOperation"]["url"] = None
            return told

        api.answer = answer

        assert rows(tmp_path, "shopify", None, "_id", acme=api.url) == []


def test_a_stripe_report_whose_file_is_at_a_host_that_takes_the_same_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_API_KEY", "sk_live_secret")
    with apis(tmp_path) as (api, files):

        def answer(asked: Asked) -> Any:
            if asked.path == "/v1/reporting/report_runs":
                told = parse_qs(asked.body.decode())
                assert told["parameters[interval_end]"] == ["1767398400"]
                assert asked.headers["idempotency-key"]
                return {"id": "frr_1", "status": "pending", "result": None}
            return {"id": "frr_1", "status": "succeeded", "result": {"id": "file_9", "url": "…"}}

        api.answer = answer
        files.answer = lambda _: Reply(
            b"balance_transaction_id,gross\ntxn_1,49.00\n", headers={"Content-Type": "text/csv"}
        )

        found = rows(
            tmp_path,
            "stripe_reports",
            "2026-01-02",
            "balance_transaction_id, gross",
            api_stripe_com=api.url,
            files_stripe_com=files.url,
        )

        (asked,) = files.asked
    assert found == [("txn_1", "49.00")]
    assert asked.path == "/v1/files/file_9/contents"
    assert asked.headers["authorization"] == "Bearer sk_live_secret"
