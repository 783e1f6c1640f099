"""Zendesk: exports by cursor, users as lists, errors in both shapes, the rate headers."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import ZENDESK_BEARER, ZENDESK_EMAIL, ZENDESK_TOKEN

Ask = Callable[..., requests.Response]
Walk = Callable[..., list[Any]]
NOW = 1_795_132_800


def _by_id(records: list[Any]) -> dict[int, Any]:
    return {record["id"]: record for record in records}


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(per_page=st.integers(17, 1500), start=st.sampled_from([0, NOW - 90 * 86_400, NOW - 86_400]))
def test_an_export_returns_every_tickets_newest_state_once(
    running: Sandbox, walk_export: Walk, per_page: int, start: int
) -> None:
    running.clear_faults()

    records = [one for page in walk_export(running, start_time=start, per_page=per_page) for one in page["tickets"]]

    truth = running.truth("zendesk", "tickets", start_time=start)
    assert len(records) == len(truth) > 5
    assert _by_id(records) == _by_id(truth)
    times = [(one["generated_timestamp"], one["id"]) for one in records]
    assert times == sorted(times)


def test_the_path_is_the_same_without_json(sandbox: Sandbox, ask_zendesk: Ask) -> None:
    plain = ask_zendesk(sandbox, "incremental/tickets/cursor", start_time=0, per_page=3).json()

    assert plain == ask_zendesk(sandbox, "incremental/tickets/cursor.json", start_time=0, per_page=3).json()
    assert len(plain["tickets"]) == 3
    assert (plain["before_cursor"], plain["before_url"], plain["end_of_stream"]) == (None, None, False)


def test_a_page_holds_at_most_1000(ask_zendesk: Ask) -> None:
    with Sandbox(factor=100) as sandbox:
        page = ask_zendesk(sandbox, "incremental/tickets/cursor", start_time=0, per_page=5000).json()

    assert len(page["tickets"]) == 1000
    assert page["end_of_stream"] is False


def test_without_deleted_tickets_a_page_can_be_empty_before_the_end(sandbox: Sandbox, walk_export: Walk) -> None:
    pages = walk_export(sandbox, start_time=0, per_page=1, exclude_deleted="true")

    records = [one for page in pages for one in page["tickets"]]
    truth = [one for one in sandbox.truth("zendesk", "tickets") if one["status"] != "deleted"]
    assert any(not page["tickets"] for page in pages[:-1])
    assert _by_id(records) == _by_id(truth)


def test_a_cursor_of_the_last_page_brings_what_changed_since(walk_export: Walk) -> None:
    with Sandbox("2026-11-20", scale=0.2, factor=100) as sandbox:
        before = walk_export(sandbox, start_time=0)
        again = walk_export(sandbox, cursor=before[-1]["after_cursor"])
        now = sandbox.advance(3)
        after = walk_export(sandbox, cursor=before[-1]["after_cursor"])
        truth = sandbox.truth("zendesk", "tickets")

    first = _by_id([one for page in before for one in page["tickets"]])
    changed = _by_id([one for page in after for one in page["tickets"]])
    assert now == "2026-11-23T00:00:00Z"
    assert [one for page in again for one in page["tickets"]] == []
    assert set(changed) & set(first)
    assert set(changed) - set(first)
    assert first | changed == _by_id(truth)


def test_users_are_a_list_by_cursor(sandbox: Sandbox, ask_zendesk: Ask) -> None:
    page = ask_zendesk(sandbox, "users.json", **{"page[size]": 20}).json()
    users = list(page["users"])
    while page["meta"]["has_more"]:
        by_cursor = ask_zendesk(sandbox, "users", **{"page[size]": 20, "page[after]": page["meta"]["after_cursor"]})
        page = ask_zendesk(sandbox, page["links"]["next"]).json()
        assert by_cursor.json() == page
        users += page["users"]

    assert users == sandbox.truth("zendesk", "users")
    assert page["links"]["next"] is None


def test_users_are_a_list_by_offset_too(sandbox: Sandbox, ask_zendesk: Ask) -> None:
    page = ask_zendesk(sandbox, "users.json", page=1, per_page=30).json()
    users = list(page["users"])
    while page["next_page"]:
        page = ask_zendesk(sandbox, page["next_page"]).json()
        users += page["users"]

    assert users == sandbox.truth("zendesk", "users")
    assert page["count"] == len(users)
    assert ask_zendesk(sandbox, "users.json", page=101, per_page=100).status_code == 400


def test_the_export_of_users_tells_of_deleted_ones(sandbox: Sandbox, walk_export: Walk) -> None:
    users = [one for page in walk_export(sandbox, "users", start_time=0, per_page=25) for one in page["users"]]

    assert _by_id(users) == _by_id(sandbox.truth("zendesk", "all_users"))
    assert any(not one["active"] for one in users)


def test_the_same_people_are_in_all_three(sandbox: Sandbox) -> None:
    users = {one["external_id"]: one["email"] for one in sandbox.truth("zendesk", "users") if one["external_id"]}
    customers = {one["metadata"]["crm_id"]: one["email"] for one in sandbox.truth("stripe", "customers")}
    profiles = {one["$properties"].get("$email") for one in sandbox.truth("mixpanel", "engage")} - {None}

    assert users == customers
    assert profiles == set(customers.values())


@pytest.mark.parametrize(
    ("path", "params", "status"),
    [
        ("tickets/1", {}, 404),
        ("nothing", {}, 404),
        ("incremental/tickets/cursor", {}, 400),
        ("incremental/tickets/cursor", {"start_time": "yesterday"}, 400),
        ("incremental/tickets/cursor", {"cursor": "nonsense"}, 400),
        ("incremental/tickets/cursor", {"cursor": "MTc2NzYzMTIxMS4wfHwzNTQzNnw=", "start_time": 5}, 400),
        ("incremental/tickets/cursor", {"start_time": NOW - 30}, 422),
        ("users", {"page[size]": 101}, 400),
    ],
)
def test_what_is_wrong_is_refused_in_one_of_two_shapes(
    sandbox: Sandbox, ask_zendesk: Ask, path: str, params: Any, status: int
) -> None:
    response = ask_zendesk(sandbox, path, **params)
    body = response.json()

    assert response.status_code == status
    if status == 400:
        assert set(body["error"]) == {"title", "message"}
    else:
        assert isinstance(body["error"], str)
        assert body["description"]
    assert ("details" in body) == (status == 422)


@pytest.mark.parametrize("auth", [None, (ZENDESK_EMAIL, ZENDESK_TOKEN), (f"{ZENDESK_EMAIL}/token", "wrong")])
def test_a_wrong_credential_never_reaches_data(sandbox: Sandbox, session: requests.Session, auth: Any) -> None:
    response = session.get(f"{sandbox.url}/zendesk/api/v2/users", auth=auth, timeout=20)

    assert (response.status_code, response.json()) == (401, {"error": "Couldn't authenticate you"})


def test_a_bearer_token_is_let_in(sandbox: Sandbox, session: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {ZENDESK_BEARER}"}

    assert session.get(f"{sandbox.url}/zendesk/api/v2/users", headers=headers, timeout=20).status_code == 200
    assert sandbox.seen()[-1]["credential"] == "zendesk-oauth"


def test_the_eleventh_export_within_a_minute_is_told_how_long_to_wait(ask_zendesk: Ask) -> None:
    with Sandbox(scale=0.05) as sandbox:
        answers = [ask_zendesk(sandbox, "incremental/tickets/cursor", start_time=0) for _ in range(11)]
        users = ask_zendesk(sandbox, "users")
        limits = sandbox.limits()

    assert [one.status_code for one in answers] == [200] * 10 + [429]
    assert [one.headers["ratelimit-remaining"] for one in answers[:3]] == ["9", "8", "7"]
    assert answers[0].headers["X-Rate-Limit"] == "700"
    assert 50 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert answers[-1].json()["error"] == "APIRateLimitExceeded"
    assert users.status_code == 200
    assert limits["zendesk.export"] | {"requests": 11} == {
        "bucket": "zendesk.export",
        "limit": 10,
        "window_seconds": 60.0,
        "requests": 11,
        "worst": 11,
        "refused": 1,
    }
