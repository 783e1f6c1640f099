"""The endpoints of no vendor: sizes, next links, GraphQL, and what gives secrets back."""

import json
from typing import Any

import pytest
import requests

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import ECHO_KEY, STRIPE_KEY

KEY = {"Authorization": f"Bearer {STRIPE_KEY}"}
QUERY = (
    "query($first: Int, $after: String) { items(first: $first, after: $after) { nodes { id } pageInfo { endCursor } } }"
)


def _get(sandbox: Sandbox, session: requests.Session, path: str, **params: Any) -> requests.Response:
    url = path if path.startswith("http") else f"{sandbox.url}{path}"
    return session.get(url, params=params, headers=KEY, timeout=20)


def test_flat_events_are_as_many_as_asked_for(sandbox: Sandbox, session: requests.Session) -> None:
    rows = [json.loads(line) for line in _get(sandbox, session, "/big/flat", rows=2345).content.splitlines()]

    assert [row["id"] for row in rows] == list(range(2345))
    assert len({frozenset(row) for row in rows}) == 1


@pytest.mark.parametrize(("size", "record"), [(3_000_000, 1000), (3_000_000, 700_000), (5_000_000, 5_000_000)])
def test_one_body_is_about_as_long_as_asked_for(
    sandbox: Sandbox, session: requests.Session, size: int, record: int
) -> None:
    body = _get(sandbox, session, "/big/array", bytes=size, record_bytes=record).content

    assert len(body) == pytest.approx(size, rel=0.35 if record == 700_000 else 0.02)
    assert [one["id"] for one in json.loads(body)["data"]] == list(range(size // record))


def test_big_bodies_want_a_key(sandbox: Sandbox, session: requests.Session) -> None:
    assert session.get(f"{sandbox.url}/big/flat?rows=5", timeout=20).status_code == 401


@pytest.mark.parametrize("relative", [None, "1"])
def test_next_links_lead_through_all_items(sandbox: Sandbox, session: requests.Session, relative: str | None) -> None:
    page = _get(sandbox, session, "/links/v1/items", size=20, relative=relative).json()
    items = list(page["items"])
    while page["next"]:
        assert page["next"].startswith("/links" if relative else f"{sandbox.url}/links")
        page = _get(sandbox, session, page["next"]).json()
        items += page["items"]

    assert items == sandbox.truth("links", "items")


def test_a_next_link_can_lead_to_another_origin(sandbox: Sandbox, session: requests.Session) -> None:
    page = _get(sandbox, session, "/links/v1/items", next_origin="http://127.0.0.1:9").json()

    assert page["next"].startswith("http://127.0.0.1:9/links/v1/items?")


def _graphql(sandbox: Sandbox, session: requests.Session, **variables: Any) -> Any:
    body = {"query": QUERY, "variables": variables}
    return session.post(f"{sandbox.url}/graphql", json=body, headers=KEY, timeout=20).json()


def test_graphql_pages_by_cursor(sandbox: Sandbox, session: requests.Session) -> None:
    nodes: list[Any] = []
    info = {"hasNextPage": True, "endCursor": None}
    while info["hasNextPage"]:
        items = _graphql(sandbox, session, first=20, after=info["endCursor"])["data"]["items"]
        nodes, info = nodes + items["nodes"], items["pageInfo"]

    assert nodes == sandbox.truth("graphql", "items")


def test_graphql_tells_errors_inside_200(sandbox: Sandbox, session: requests.Session) -> None:
    sandbox.fault("errors_in_200", path="/graphql", when={"after": "item-009"})

    first = _graphql(sandbox, session, first=10)
    second = _graphql(sandbox, session, first=10, after="item-009")

    assert "errors" not in first
    assert second["data"] is None
    assert second["errors"][0]["extensions"] == {"code": "THROTTLED"}


def test_graphql_repeats_its_cursor_by_fault(sandbox: Sandbox, session: requests.Session) -> None:
    sandbox.fault("repeated_cursor", path="/graphql")

    info = _graphql(sandbox, session, first=5, after="item-004")["data"]["items"]["pageInfo"]

    assert info == {"hasNextPage": True, "endCursor": "item-004"}


@pytest.mark.parametrize(
    "how", [{"params": {"api_key": ECHO_KEY}}, {"headers": {"X-Api-Key": ECHO_KEY}}, {"headers": KEY}]
)
def test_the_echo_gives_secrets_back(sandbox: Sandbox, session: requests.Session, how: dict[str, Any]) -> None:
    response = session.get(f"{sandbox.url}/echo/v1/items", timeout=20, **how)

    secret = STRIPE_KEY if how == {"headers": KEY} else ECHO_KEY
    body = response.json()
    assert f"api_key={secret}" in body["next"]
    assert secret in json.dumps(body["items"][0])
    assert session.get(f"{sandbox.url}/echo/v1/items", timeout=20).status_code == 401


def test_items_hold_lists_in_lists(sandbox: Sandbox) -> None:
    items = sandbox.truth("links", "items")

    assert any(part["notes"] for item in items for part in item["parts"])
    assert any(item["parts"] == [] for item in items)
