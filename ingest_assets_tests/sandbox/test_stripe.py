"""Stripe: lists, filters, records by id, errors, and what the vendor's own client makes of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import stripe
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest_assets.sandbox import Sandbox
from ingest_assets.sandbox.credentials import STRIPE_EU_KEY, STRIPE_KEY

Ask = Callable[..., requests.Response]
Walk = Callable[..., list[Any]]
NOW = 1_795_132_800
DAY = 86_400
ENDPOINTS = ("customers", "charges", "invoices", "events")


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[stripe.StripeClient]:
    """The vendor's client, pointed at the sandbox."""
    transport = stripe.RequestsClient()
    base: Any = {"api": f"{sandbox.url}/stripe"}
    yield stripe.StripeClient(STRIPE_KEY, base_addresses=base, http_client=transport, max_network_retries=0)
    transport.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_walk_returns_the_truth_newest_first(sandbox: Sandbox, walk_stripe: Walk, endpoint: str) -> None:
    bounds = {"created[gte]": NOW - 90 * DAY}

    records = walk_stripe(sandbox, endpoint, **bounds)

    assert len(records) > 5
    assert records == sandbox.truth("stripe", endpoint, **bounds)[::-1]


def test_a_walk_without_bounds_returns_everything(sandbox: Sandbox, walk_stripe: Walk) -> None:
    records = walk_stripe(sandbox, "charges")

    assert records == sandbox.truth("stripe", "charges")[::-1]
    assert len(records) > 5000


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lower=st.integers(NOW - 5 * DAY, NOW),
    length=st.integers(0, 3 * DAY),
    operators=st.sampled_from([("gte", "lt"), ("gt", "lte"), ("gt", "lt"), ("gte", "lte")]),
    endpoint=st.sampled_from(ENDPOINTS),
    limit=st.integers(3, 100),
)
def test_any_window_returns_its_truth(
    running: Sandbox,
    walk_stripe: Walk,
    lower: int,
    length: int,
    operators: tuple[str, str],
    endpoint: str,
    limit: int,
) -> None:
    running.clear_faults()
    bounds = {f"created[{operators[0]}]": lower, f"created[{operators[1]}]": lower + length}

    records = walk_stripe(running, endpoint, limit=limit, **bounds)

    assert records == running.truth("stripe", endpoint, **bounds)[::-1]


def test_bounds_on_the_very_second_of_a_record_are_exact(sandbox: Sandbox, walk_stripe: Walk) -> None:
    moment = sandbox.truth("stripe", "charges", **{"created[gte]": NOW - DAY})[3]["created"]
    found = {
        operator: len(walk_stripe(sandbox, "charges", **{f"created[{operator}]": moment}))
        for operator in ("gt", "gte", "lt", "lte")
    }
    exact = len(walk_stripe(sandbox, "charges", created=moment))

    assert exact == 1
    assert found["gte"] - found["gt"] == found["lte"] - found["lt"] == exact


def test_walking_backwards_returns_the_same(sandbox: Sandbox, ask_stripe: Ask, walk_stripe: Walk) -> None:
    bounds = {"created[gte]": NOW - 10 * DAY}
    forwards = walk_stripe(sandbox, "charges", **bounds)
    backwards = forwards[-1:]

    while True:
        page = ask_stripe(sandbox, "charges", limit=30, ending_before=backwards[0]["id"], **bounds).json()
        backwards = page["data"] + backwards
        if not page["has_more"]:
            break

    assert backwards == forwards


@pytest.mark.parametrize(
    ("filters", "kinds"),
    [
        ({"type": "charge.refunded"}, {"charge.refunded"}),
        ({"type": "customer.*"}, {"customer.created", "customer.updated", "customer.deleted"}),
        ({"types[]": ["invoice.paid", "charge.failed"]}, {"invoice.paid", "charge.failed"}),
    ],
)
def test_events_are_filtered_by_type(sandbox: Sandbox, walk_stripe: Walk, filters: Any, kinds: set[str]) -> None:
    events = walk_stripe(sandbox, "events", **filters)

    assert events
    assert {event["type"] for event in events} <= kinds
    assert len(events) == sum(event["type"] in kinds for event in sandbox.truth("stripe", "events"))


def test_events_are_kept_for_30_days(sandbox: Sandbox) -> None:
    events = sandbox.truth("stripe", "events")

    assert NOW - 30 * DAY <= events[0]["created"] < NOW - 28 * DAY


def test_lists_are_filtered_by_customer(sandbox: Sandbox, walk_stripe: Walk) -> None:
    charges = walk_stripe(sandbox, "charges")
    customer = charges[0]["customer"]

    assert walk_stripe(sandbox, "charges", customer=customer) == [one for one in charges if one["customer"] == customer]


def test_all_lines_of_an_invoice_are_a_list_of_their_own(sandbox: Sandbox, ask_stripe: Ask, walk_stripe: Walk) -> None:
    invoice = next(one for one in sandbox.truth("stripe", "invoices") if one["lines"]["has_more"])

    lines = walk_stripe(sandbox, f"invoices/{invoice['id']}/lines", limit=7)

    assert len(invoice["lines"]["data"]) == 10
    assert lines[:10] == invoice["lines"]["data"]
    assert len(lines) > 10
    assert sum(line["amount"] for line in lines) == invoice["subtotal"]
    assert len({line["id"] for line in lines}) == len(lines)
    assert ask_stripe(sandbox, "invoices/in_none/lines").status_code == 404


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_record_by_id_is_the_one_in_the_list(sandbox: Sandbox, ask_stripe: Ask, endpoint: str) -> None:
    record = ask_stripe(sandbox, endpoint, limit=3).json()["data"][2]

    assert ask_stripe(sandbox, f"{endpoint}/{record['id']}").json() == record


def test_a_deleted_customer_is_in_no_list_but_says_so_by_id(ask_stripe: Ask) -> None:
    with Sandbox(factor=100) as sandbox:
        event = sandbox.truth("stripe", "events", type="customer.deleted")[-1]
        id_ = event["data"]["object"]["id"]
        found = ask_stripe(sandbox, f"customers/{id_}").json()
        there = {one["id"] for one in sandbox.truth("stripe", "customers")}

    assert found == {"id": id_, "object": "customer", "deleted": True}
    assert len(there) > 200
    assert id_ not in there


@pytest.mark.parametrize(
    ("path", "params", "status", "code", "param"),
    [
        ("charges", {"limit": 101}, 400, "parameter_invalid_integer", "limit"),
        ("charges", {"limit": "many"}, 400, "parameter_invalid_integer", "limit"),
        ("charges", {"created[gte]": "2026-01-01"}, 400, "parameter_invalid_integer", "created[gte]"),
        ("charges", {"updated": 1}, 400, "parameter_unknown", "updated"),
        ("charges", {"starting_after": "ch_none"}, 400, "resource_missing", "starting_after"),
        ("events", {"types[]": ["a"] * 21}, 400, None, "types"),
        ("events", {"types[]": ["a"], "type": "a"}, 400, None, "types"),
        ("charges/ch_none", {}, 404, "resource_missing", "id"),
        ("refunds", {}, 404, None, None),
    ],
)
def test_what_is_wrong_is_refused_in_the_envelope(
    sandbox: Sandbox, ask_stripe: Ask, path: str, params: Any, status: int, code: str | None, param: str | None
) -> None:
    response = ask_stripe(sandbox, path, **params)
    error = response.json()["error"]

    assert response.status_code == status
    assert error["type"] == "invalid_request_error"
    assert (error.get("code"), error.get("param")) == (code, param)


@pytest.mark.parametrize("auth", [None, ("sk_test_other", ""), (STRIPE_KEY, "password")])
def test_a_wrong_key_never_reaches_data(sandbox: Sandbox, session: requests.Session, auth: Any) -> None:
    response = session.get(f"{sandbox.url}/stripe/v1/charges", auth=auth, timeout=20)

    assert response.status_code == 401
    assert "data" not in response.json()
    assert sandbox.seen()[-1]["credential"] is None


def test_basic_with_the_key_as_user_is_let_in(sandbox: Sandbox, session: requests.Session) -> None:
    response = session.get(f"{sandbox.url}/stripe/v1/charges", auth=(STRIPE_KEY, ""), timeout=20)

    assert response.status_code == 200
    assert response.headers["Request-Id"].startswith("req_")


def test_the_version_asked_for_is_answered(sandbox: Sandbox, session: requests.Session) -> None:
    headers = {"Authorization": f"Bearer {STRIPE_KEY}", "Stripe-Version": "2025-03-31.basil"}

    response = session.get(f"{sandbox.url}/stripe/v1/charges", headers=headers, timeout=20)

    assert response.headers["Stripe-Version"] == "2025-03-31.basil"


def test_the_vendors_client_pages_through_lists(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    since: Any = {"gte": NOW - 30 * DAY, "lt": NOW - 5 * DAY}

    charges = list(client.v1.charges.list({"limit": 50, "created": since}).auto_paging_iter())
    events = list(client.v1.events.list({"limit": 100, "types": ["charge.refunded"]}).auto_paging_iter())

    truth = sandbox.truth("stripe", "charges", **{"created[gte]": since["gte"], "created[lt]": since["lt"]})
    assert [one.to_dict() for one in charges] == truth[::-1]
    assert len(events) == len(sandbox.truth("stripe", "events", type="charge.refunded"))


def test_the_vendors_client_walks_backwards(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    truth = sandbox.truth("stripe", "charges", **{"created[gte]": NOW - 5 * DAY})
    since: Any = {"gte": NOW - 5 * DAY}
    page = client.v1.charges.list({"limit": 10, "created": since, "ending_before": truth[0]["id"]})

    assert [one.id for one in page.auto_paging_iter()] == [one["id"] for one in truth[1:]]


def test_the_vendors_client_retrieves_and_expects_its_objects(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    invoice = sandbox.truth("stripe", "invoices", **{"created[gte]": NOW - 5 * DAY})[0]

    found = client.v1.invoices.retrieve(invoice["id"])

    assert isinstance(found, stripe.Invoice)
    assert isinstance(found.lines.data[0], stripe.InvoiceLineItem)
    assert found.customer == invoice["customer"]
    assert [line.id for line in client.v1.invoices.line_items.list(invoice["id"]).auto_paging_iter()]


def test_the_vendors_client_maps_errors_to_its_classes(sandbox: Sandbox, client: stripe.StripeClient) -> None:
    other = stripe.StripeClient("sk_test_other", base_addresses={"api": f"{sandbox.url}/stripe"})

    with pytest.raises(stripe.InvalidRequestError, match="No such customer"):
        client.v1.customers.retrieve("cus_none")
    with pytest.raises(stripe.AuthenticationError):
        other.v1.customers.list()
    sandbox.fault("429_storm", path="/stripe/")
    with pytest.raises(stripe.RateLimitError):
        client.v1.customers.list()
    sandbox.fault("500", path="/stripe/")
    with pytest.raises(stripe.APIError):
        client.v1.customers.list()


def test_the_vendors_client_gets_over_a_429_and_a_500(sandbox: Sandbox) -> None:
    base: Any = {"api": f"{sandbox.url}/stripe"}
    client = stripe.StripeClient(STRIPE_KEY, base_addresses=base, max_network_retries=3)
    sandbox.fault("500", path="/stripe/")

    assert client.v1.customers.list().data
    assert [one["status"] for one in sandbox.seen()] == [500, 200]


def test_a_second_key_sees_an_account_of_its_own(
    sandbox: Sandbox, session: requests.Session, walk_stripe: Walk
) -> None:
    key = {"Authorization": f"Bearer {STRIPE_EU_KEY}"}
    bounds = {"created[gte]": NOW - DAY, "created[lt]": NOW}

    answer = session.get(f"{sandbox.url}/stripe/v1/charges", params={"limit": 100, **bounds}, headers=key, timeout=20)

    theirs = [one["id"] for one in answer.json()["data"]]
    assert theirs == [one["id"] for one in sandbox.truth("stripe_eu", "charges", **bounds)][::-1]
    assert not {one["id"] for one in walk_stripe(sandbox, "charges", **bounds)} & set(theirs)
    assert sandbox.seen()[0]["bucket"] == "stripe_eu"
