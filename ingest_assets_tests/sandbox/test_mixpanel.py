"""Mixpanel: whole days as JSONL, profiles by session and page."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import MIXPANEL_PROJECT, MIXPANEL_SECRET, MIXPANEL_USER

Ask = Callable[..., requests.Response]


def _records(response: requests.Response) -> list[Any]:
    return [json.loads(line) for line in response.content.splitlines()]


@pytest.mark.parametrize(("first", "last"), [("2026-11-03", "2026-11-03"), ("2026-10-30", "2026-11-04")])
def test_an_export_returns_the_truth_of_its_days_both_included(
    sandbox: Sandbox, export: Ask, first: str, last: str
) -> None:
    response = export(sandbox, first, last)

    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["content-encoding"] == "gzip"
    assert _records(response) == sandbox.truth("mixpanel", "export", from_date=first, to_date=last)
    assert len(_records(response)) > 100


def test_days_add_up_to_their_window(sandbox: Sandbox, export: Ask) -> None:
    days = [_records(export(sandbox, day, day)) for day in ("2026-11-01", "2026-11-02")]

    assert days[0] + days[1] == _records(export(sandbox, "2026-11-01", "2026-11-02"))


def test_a_caller_that_takes_no_gzip_gets_none(sandbox: Sandbox, session: requests.Session) -> None:
    params = {"from_date": "2026-11-01", "to_date": "2026-11-01", "project_id": MIXPANEL_PROJECT}
    url, user = f"{sandbox.url}/mixpanel/api/2.0/export", (MIXPANEL_USER, MIXPANEL_SECRET)

    plain = session.get(url, params=params, auth=user, headers={"Accept-Encoding": "identity"}, timeout=20)

    assert "content-encoding" not in plain.headers
    assert _records(plain) == sandbox.truth("mixpanel", "export", from_date="2026-11-01", to_date="2026-11-01")


def test_an_export_can_ask_for_some_events_fewer_of_them_and_milliseconds(sandbox: Sandbox, export: Ask) -> None:
    response = export(sandbox, "2026-11-01", "2026-11-02", event='["Purchase"]', limit=5, time_in_ms="true")

    records = _records(response)
    assert [one["event"] for one in records] == ["Purchase"] * 5
    assert all(one["properties"]["time"] > 1e12 for one in records)


def test_late_events_land_on_old_days_and_some_come_twice(export: Ask) -> None:
    with Sandbox("2026-11-20", factor=100) as sandbox:
        before = _records(export(sandbox, "2026-11-19", "2026-11-19"))
        sandbox.advance(5)
        after = _records(export(sandbox, "2026-11-19", "2026-11-19"))

    keys = [json.dumps(one["properties"]["$insert_id"]) for one in after]
    assert len(before) < len(after) < len(before) * 1.1
    assert [one for one in after if one in before] == before
    assert len(set(keys)) < len(keys)


@pytest.mark.parametrize(
    ("first", "last", "status", "message"),
    [
        ("2026-11-02", "2026-11-01", 400, "from_date cannot be later"),
        ("2026-11-02", "2026-11-21", 400, "to_date cannot be later than today"),
        ("yesterday", "2026-11-01", 400, "required"),
    ],
)
def test_wrong_dates_are_refused(
    sandbox: Sandbox, export: Ask, first: str, last: str, status: int, message: str
) -> None:
    response = export(sandbox, first, last)

    assert response.status_code == status
    assert message in response.json()["error"]


def test_today_is_a_day_without_events(sandbox: Sandbox, export: Ask) -> None:
    response = export(sandbox, "2026-11-20", "2026-11-20")

    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(
    ("auth", "project", "status"),
    [
        ((MIXPANEL_USER, "wrong"), MIXPANEL_PROJECT, 401),
        (None, MIXPANEL_PROJECT, 401),
        ((MIXPANEL_USER, MIXPANEL_SECRET), None, 400),
        ((MIXPANEL_USER, MIXPANEL_SECRET), "1", 403),
    ],
)
def test_a_wrong_account_never_reaches_data(
    sandbox: Sandbox, session: requests.Session, auth: Any, project: str | None, status: int
) -> None:
    params = {"from_date": "2026-11-01", "to_date": "2026-11-01", "project_id": project}

    response = session.get(f"{sandbox.url}/mixpanel/api/2.0/export", params=params, auth=auth, timeout=20)

    assert response.status_code == status
    assert response.json()["status"] == "error"


def test_profiles_come_by_session_and_page_until_a_short_one(engage: Ask) -> None:
    with Sandbox(factor=100) as sandbox:
        pages = [engage(sandbox).json()]
        while len(pages[-1]["results"]) == 1000:
            pages.append(engage(sandbox, session_id=pages[0]["session_id"], page=len(pages)).json())
        truth = sandbox.truth("mixpanel", "engage")
        sandbox.advance(30)
        later = engage(sandbox, session_id=pages[0]["session_id"], page=1).json()

    assert [one for page in pages for one in page["results"]] == truth
    assert len(pages) > 1
    assert pages[0]["total"] == len(truth)
    assert all("total" not in page for page in pages[1:])
    assert later == pages[1]


@pytest.mark.parametrize("form", [{"page": 1}, {"session_id": "1-2", "page": 1}, {"where": "x"}])
def test_a_page_without_its_session_is_refused(sandbox: Sandbox, engage: Ask, form: Any) -> None:
    assert engage(sandbox, **form).status_code == 400


def test_the_fourth_export_within_a_second_is_refused(export: Ask) -> None:
    with Sandbox(scale=0.01) as sandbox:
        answers = [export(sandbox, "2026-11-01", "2026-11-01") for _ in range(4)]
        limits = sandbox.limits()

    assert [one.status_code for one in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["error"] == "Query rate limit exceeded"
    assert "Retry-After" not in answers[-1].headers
    assert limits["mixpanel.export.second"]["refused"] == 1
    assert limits["mixpanel.export.hour"]["worst"] == 4
