"""Each fault does what it says, to whom it says, as often as it says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import STRIPE_KEY
from ingest_assets.sandbox.faults import Faults

Ask = Callable[..., requests.Response]
Walk = Callable[..., list[Any]]
KEY = {"Authorization": f"Bearer {STRIPE_KEY}"}


def test_a_429_storm_strikes_so_many_requests_of_its_path(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("429_storm", path="/stripe/v1/charges", times=2, retry_after=7)

    other = ask_stripe(sandbox, "customers")
    answers = [ask_stripe(sandbox, "charges") for _ in range(3)]

    assert other.status_code == 200
    assert [one.status_code for one in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7"
    assert answers[0].headers["Stripe-Should-Retry"] == "true"
    assert answers[0].json()["error"]["code"] == "rate_limit"
    assert [(one["matched"], one["struck"]) for one in sandbox.faults()] == [(3, 2)]
    assert [one["fault"] for one in sandbox.seen()] == [None, "429_storm", "429_storm", None]


def test_stripe_says_nothing_of_a_wait_and_zendesk_does(sandbox: Sandbox, ask_stripe: Ask, ask_zendesk: Ask) -> None:
    sandbox.fault("429_storm", times=2)

    assert "Retry-After" not in ask_stripe(sandbox, "charges").headers
    assert ask_zendesk(sandbox, "users").headers["Retry-After"] == "1"


@pytest.mark.parametrize(
    ("fault", "status", "kind"), [("500", 500, "json"), ("502", 502, "html"), ("outage", 503, "json")]
)
def test_a_failure_has_its_status(sandbox: Sandbox, ask_zendesk: Ask, fault: str, status: int, kind: str) -> None:
    sandbox.fault(fault)

    response = ask_zendesk(sandbox, "users")

    assert response.status_code == status
    assert kind in response.headers["content-type"]


def test_an_outage_lasts_until_it_is_cleared(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("outage", path="/stripe", retry_after=3)

    during = [ask_stripe(sandbox, "charges") for _ in range(4)]
    sandbox.clear_faults()

    assert [one.status_code for one in during] == [503] * 4
    assert during[0].headers["Retry-After"] == "3"
    assert ask_stripe(sandbox, "charges").status_code == 200


def test_an_expired_token_is_refused_though_it_is_right(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("expired_token")

    response = ask_stripe(sandbox, "charges")

    assert response.status_code == 401
    assert "Expired" in response.json()["error"]["message"]


def test_a_fault_strikes_only_requests_with_its_values(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("500", when={"created[gte]": "1794000000"}, times=None)

    days = [ask_stripe(sandbox, "charges", **{"created[gte]": day}) for day in (1793913600, 1794000000, 1794086400)]

    assert [one.status_code for one in days] == [200, 500, 200]


def test_a_fault_strikes_each_nth_request(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("500", every=3)

    statuses = [ask_stripe(sandbox, "charges").status_code for _ in range(7)]

    assert statuses == [200, 200, 500, 200, 200, 500, 200]


def test_a_form_is_matched_too(sandbox: Sandbox, engage: Ask) -> None:
    sandbox.fault("500", when={"page": "0"})
    first = engage(sandbox).json()

    assert engage(sandbox, session_id=first["session_id"], page=0).status_code == 500


def test_a_cut_body_is_shorter_than_it_promised(sandbox: Sandbox, session: requests.Session) -> None:
    whole = session.get(f"{sandbox.url}/stripe/v1/charges", headers=KEY, timeout=20).content
    sandbox.fault("cut_body")

    with requests.get(f"{sandbox.url}/stripe/v1/charges", headers=KEY, stream=True, timeout=20) as response:
        promised = int(response.headers["content-length"])
        with pytest.raises(requests.exceptions.ChunkedEncodingError):
            list(response.iter_content(65_536))

    assert response.status_code == 200
    assert promised > len(whole) // 2


def test_a_cut_chunked_body_ends_cleanly_in_mid_json(sandbox: Sandbox, ask_stripe: Ask, export: Ask) -> None:
    whole, days = ask_stripe(sandbox, "charges").content, export(sandbox, "2026-11-01", "2026-11-01").content
    sandbox.fault("cut_body_chunked", times=2)

    cut, cut_days = ask_stripe(sandbox, "charges"), export(sandbox, "2026-11-01", "2026-11-01")

    assert (cut.status_code, cut_days.status_code) == (200, 200)
    assert whole.startswith(cut.content)
    assert days.startswith(cut_days.content)
    for body in (cut.content, cut_days.content.splitlines()[-1]):
        with pytest.raises(json.JSONDecodeError):
            json.loads(body)


def test_an_export_that_is_terminated_early_says_so_in_its_last_line(sandbox: Sandbox, export: Ask) -> None:
    whole = export(sandbox, "2026-11-01", "2026-11-01").content
    sandbox.fault("terminated_early")

    early = export(sandbox, "2026-11-01", "2026-11-01").content

    assert early.splitlines()[-1] == b"terminated early"
    assert whole.startswith(early[: early.rindex(b"terminated")])
    assert len(early) < len(whole)


def test_a_slow_body_comes_whole_but_in_time(sandbox: Sandbox, ask_stripe: Ask, export: Ask) -> None:
    whole, days = ask_stripe(sandbox, "charges").content, export(sandbox, "2026-11-01", "2026-11-01").content
    sandbox.fault("slow_body", times=2, seconds=0.05)

    slow, slow_days = ask_stripe(sandbox, "charges"), export(sandbox, "2026-11-01", "2026-11-01")

    assert (slow.content, slow_days.content) == (whole, days)
    assert [one["fault"] for one in sandbox.seen()][-2:] == ["slow_body"] * 2


def test_an_empty_page_of_stripe_says_that_there_is_more(sandbox: Sandbox, ask_stripe: Ask) -> None:
    sandbox.fault("empty_page", path="/stripe/v1/charges")

    page = ask_stripe(sandbox, "charges").json()

    assert (page["data"], page["has_more"]) == ([], True)


def test_an_empty_page_of_an_export_leads_on_to_the_rest(sandbox: Sandbox, walk_export: Walk) -> None:
    sandbox.fault("empty_page", path="/zendesk", every=2, times=2)

    pages = walk_export(sandbox, start_time=0, per_page=150)

    sizes = [len(page["tickets"]) for page in pages]
    assert sizes[1] == sizes[3] == 0
    assert len({page["after_cursor"] for page in pages}) == len(pages)
    assert sum(sizes) == len(sandbox.truth("zendesk", "tickets"))


@pytest.mark.parametrize("path", ["customers", "charges", "invoices", "events"])
def test_a_repeated_cursor_of_stripe_is_the_one_that_was_asked_from(
    sandbox: Sandbox, ask_stripe: Ask, path: str
) -> None:
    sandbox.fault("repeated_cursor", path="/stripe")
    first = ask_stripe(sandbox, path, limit=5).json()
    cursor = first["data"][-1]["id"]

    second = ask_stripe(sandbox, path, limit=5, starting_after=cursor).json()

    assert (second["data"][-1]["id"], second["has_more"]) == (cursor, True)


def test_a_repeated_cursor_of_zendesk_is_the_one_that_was_asked_from(sandbox: Sandbox, ask_zendesk: Ask) -> None:
    sandbox.fault("repeated_cursor", path="/zendesk", times=2)
    export = ask_zendesk(sandbox, "incremental/tickets/cursor", start_time=0, per_page=50).json()
    users = ask_zendesk(sandbox, "users", **{"page[size]": 10}).json()

    repeated = ask_zendesk(sandbox, export["after_url"]).json()
    repeated_users = ask_zendesk(sandbox, users["links"]["next"]).json()

    assert repeated["after_cursor"] == export["after_cursor"]
    assert repeated["end_of_stream"] is False
    assert repeated_users["meta"] == users["meta"]


@pytest.mark.parametrize("path", ["/stripe/v1/charges", "/links/v1/items"])
def test_an_error_in_200_has_no_records(sandbox: Sandbox, session: requests.Session, path: str) -> None:
    sandbox.fault("errors_in_200")

    response = session.get(f"{sandbox.url}{path}", headers=KEY, timeout=20)

    assert response.status_code == 200
    assert set(response.json()) == {"error"}


def test_all_faults_strike_a_tenth_by_a_schedule_that_repeats(sandbox: Sandbox, session: requests.Session) -> None:
    def faults() -> list[str | None]:
        sandbox.clear_faults()
        sandbox.forget_seen()
        sandbox.fault("all_faults", seconds=0.001)
        for _ in range(120):
            with requests.get(f"{sandbox.url}/stripe/v1/charges?limit=1", headers=KEY, stream=True, timeout=20):
                pass  # closed unread: a cut body is none of this test's business
        return [one["fault"] for one in sandbox.seen()]

    first, second = faults(), faults()

    assert first == second
    assert 10 <= sum(fault is not None for fault in first) <= 14
    assert {*first} == {None, "429_storm", "500", "502", "cut_body", "slow_body"}


def test_a_walk_that_tries_again_gets_the_truth_through_all_faults(sandbox: Sandbox) -> None:
    sandbox.fault("all_faults")
    records: list[Any] = []
    more = True
    with requests.Session() as session:
        while more:
            after = {"starting_after": records[-1]["id"]} if records else {}
            params: dict[str, str] = {"limit": "100", "created[gte]": "1790000000", **after}
            try:
                response = session.get(f"{sandbox.url}/stripe/v1/charges", params=params, headers=KEY, timeout=20)
                page = response.json() if response.status_code == 200 else None
            except requests.exceptions.RequestException:
                page = None
            if page is not None:
                records, more = records + page["data"], page["has_more"]

    assert records == sandbox.truth("stripe", "charges", **{"created[gte]": 1790000000})[::-1]


@pytest.mark.parametrize("told", [{"fault": "flood"}, {"fault": "500", "path_prefix": "/x"}, {}])
def test_an_unknown_fault_is_refused_with_what_is_known(told: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="known are"):
        Faults().switch_on(told)
