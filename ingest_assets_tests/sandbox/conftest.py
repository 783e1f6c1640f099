"""A running sandbox, and what asks its APIs with the right credentials."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import (
    MIXPANEL_PROJECT,
    MIXPANEL_SECRET,
    MIXPANEL_USER,
    STRIPE_KEY,
    ZENDESK_EMAIL,
    ZENDESK_TOKEN,
)

Ask = Callable[..., requests.Response]


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    """One small world for all tests that do not change it."""
    with Sandbox("2026-11-20", scale=0.2, factor=1000) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    """The running sandbox with nothing seen and no faults."""
    running.clear_faults()
    running.forget_seen()
    return running


@pytest.fixture(scope="session")
def session() -> Iterator[requests.Session]:
    """One pool of connections."""
    with requests.Session() as open_session:
        yield open_session


@pytest.fixture
def ask_stripe(session: requests.Session) -> Ask:
    """Asks Stripe: `ask_stripe(sandbox, "charges", limit=100)`."""

    def ask(sandbox: Sandbox, path: str, **params: Any) -> requests.Response:
        key = {"Authorization": f"Bearer {STRIPE_KEY}"}
        return session.get(f"{sandbox.url}/stripe/v1/{path}", params=params, headers=key, timeout=20)

    return ask


@pytest.fixture
def ask_zendesk(session: requests.Session) -> Ask:
    """Asks Zendesk, by path or by a whole URL that it gave out."""

    def ask(sandbox: Sandbox, path: str, **params: Any) -> requests.Response:
        url = path if path.startswith("http") else f"{sandbox.url}/zendesk/api/v2/{path}"
        return session.get(url, params=params, auth=(f"{ZENDESK_EMAIL}/token", ZENDESK_TOKEN), timeout=20)

    return ask


@pytest.fixture
def export(session: requests.Session) -> Ask:
    """Asks Mixpanel for the events of some days."""

    def ask(sandbox: Sandbox, first: str, last: str, **params: Any) -> requests.Response:
        params |= {"from_date": first, "to_date": last, "project_id": MIXPANEL_PROJECT}
        user = (MIXPANEL_USER, MIXPANEL_SECRET)
        return session.get(f"{sandbox.url}/mixpanel/api/2.0/export", params=params, auth=user, timeout=20)

    return ask


@pytest.fixture
def engage(session: requests.Session) -> Ask:
    """Asks Mixpanel for a page of profiles."""

    def ask(sandbox: Sandbox, **form: Any) -> requests.Response:
        url = f"{sandbox.url}/mixpanel/api/query/engage?project_id={MIXPANEL_PROJECT}"
        return session.post(url, data=form, auth=(MIXPANEL_USER, MIXPANEL_SECRET), timeout=20)

    return ask


@pytest.fixture
def walk_stripe(ask_stripe: Ask) -> Callable[..., list[Any]]:
    """All records of a list, page by page as the API's sheet says."""

    def walk(sandbox: Sandbox, path: str, **params: Any) -> list[Any]:
        records: list[Any] = []
        while True:
            after = {"starting_after": records[-1]["id"]} if records else {}
            page = ask_stripe(sandbox, path, **{"limit": 100, **params, **after}).json()
            records += page["data"]
            if not page["has_more"]:
                return records

    return walk


@pytest.fixture
def walk_export(ask_zendesk: Ask) -> Callable[..., list[Any]]:
    """All pages of an incremental export, from a start time or a cursor to the end of the stream."""

    def walk(sandbox: Sandbox, what: str = "tickets", **params: Any) -> list[Any]:
        pages = [ask_zendesk(sandbox, f"incremental/{what}/cursor.json", **params).json()]
        while not pages[-1]["end_of_stream"]:
            pages.append(ask_zendesk(sandbox, pages[-1]["after_url"]).json())
        return pages

    return walk
