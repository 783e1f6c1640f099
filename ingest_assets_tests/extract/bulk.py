"""An API on loopback whose records come of jobs, as Salesforce's Bulk API 2.0 has them, and endpoints of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from ingest_assets_tests.whole import Api, Asked, Reply, Whole, api_of_its_own, state_in

BULK = {
    "path": "/jobs/{job.id}/results",
    "params": {"maxRecords": 2},
    "records": "",
    "decoder": {"type": "csv"},
    "paginator": {"type": "cursor", "header": "Sforce-Locator", "param": "locator", "end": ["null"]},
    "primary_key": "Id",
    "job": {
        "create": {"path": "/jobs", "body": {"query": "SELECT Id FROM Account"}},
        "id": "id",
        "status": {"path": "/jobs/{job.id}"},
        "state": "state",
        "running": ["UploadComplete", "InProgress"],
        "done": "JobComplete",
        "failed": ["Failed", "Aborted"],
        "message": "errorMessage",
        "every": "PT0.01S",
    },
}


class Bulk:
    """An API of jobs: `states` are what each look at one finds, the last of them from then on."""

    def __init__(self, api: Api) -> None:
        self.api, self.created, self.cancelled = api, list[Asked](), list[str]()
        self.states = ["UploadComplete", "InProgress", "JobComplete"]
        self.looks: dict[str, int] = {}
        self.gone: set[str] = set()
        self.listed: list[Any] = []
        self.knows_keys = False
        api.answer = self.answer

    def answer(self, asked: Asked) -> Any:
        """What Salesforce's Bulk API 2.0 answers, as far as it matters here."""
        if asked.path == "/list":
            return {"jobs": self.listed}
        if asked.path == "/jobs":
            known = [one.headers["idempotency-key"] for one in self.created] if self.knows_keys else []
            if not known or asked.headers["idempotency-key"] not in known:
                self.created.append(asked)
            return {"id": f"750{len(self.created)}", "state": "UploadComplete"}
        number = asked.path.split("/")[2]
        if number in self.gone:
            return Reply([{"errorCode": "NOT_FOUND"}], 404)
        if asked.path.endswith("/cancel"):
            self.cancelled.append(number)
            return {}
        if "/results" in asked.path:
            return self.results(asked)
        looks = self.looks[number] = self.looks.get(number, -1) + 1
        return {"id": number, "state": self.states[min(looks, len(self.states) - 1)], "errorMessage": "too hot"}

    def results(self, asked: Asked) -> Reply:
        """Three records, in pages of two at most."""
        first = "MTA" not in (asked.query.get("locator"), asked.path.rpartition("/")[2])
        text = b"Id,Name\n1,a\n2,b\n" if first else b"Id,Name\n3,c\n"
        return Reply(text, headers={"Sforce-Locator": "MTA" if first else "null", "Content-Type": "text/csv"})

    def paths(self) -> list[str]:
        """What was asked for, in order."""
        return [asked.path for asked in self.api.asked]


@pytest.fixture
def bulk(tmp_path: Any) -> Iterator[Bulk]:
    with state_in(tmp_path), api_of_its_own() as api:
        yield Bulk(api)


@pytest.fixture
def whole(bulk: Bulk, tmp_path: Any) -> Any:
    """The endpoint with changes to what is said of its job."""

    def made(job: Any = None, *, source: Any = None, **endpoint: Any) -> Whole:
        told = {**BULK, "job": {**BULK["job"], **(job or {})}, **endpoint}
        told["job"] = {name: value for name, value in told["job"].items() if value is not None}
        return Whole(tmp_path, bulk.api.url, told, source or {})

    return made
