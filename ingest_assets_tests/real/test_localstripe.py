"""A Stripe that other people wrote, filled by the vendor's own client: every row, value and change arrives."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import duckdb
import pytest
import stripe

TIMES = 2 if os.environ.get("INGEST_LONG") else 1
CUSTOMERS, SUBSCRIBED, CHARGES = 800 * TIMES, 200 * TIMES, 600 * TIMES
KEY = "sk_test_localstripe_12345"
# On loopback only, and without writing all that it holds to disk at each request.
SERVE = """
import sys
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda store: None
web.run_app(server.app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
"""
SOURCE = """
like: stripe
base_url: "{url}/v1"
rate_limit: {{requests: 2500, per: PT1S}}
endpoints:
  charges: {{window: null, partitions: null, changes: null, write: replace}}
  invoices: {{window: null, partitions: null, changes: null, write: replace}}
"""
LISTED = ("customers", "charges", "invoices")


@dataclass(frozen=True)
class Shop:
    """A running localstripe, and the vendor's client on it."""

    url: str
    client: stripe.StripeClient

    def all(self, name: str) -> dict[str, Any]:
        """What the client gives of a collection, by id."""
        found = getattr(self.client.v1, name).list(params={"limit": 100}).auto_paging_iter()
        return {one.id: json.loads(json.dumps(one.to_dict(), default=dict)) for one in found}


@pytest.fixture(scope="module")
def shop(installed: Any, running: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A filled one."""
    command = [str(installed("localstripe")), "-c", SERVE, "{port}"]
    with running(command, {}, tmp_path_factory.mktemp("localstripe") / "log") as url:
        shop = Shop(url, stripe.StripeClient(KEY, base_addresses={"api": url}))
        fill(shop.client)
        yield shop


def fill(client: stripe.StripeClient) -> None:
    """Customers; some with a card, a subscription and so an invoice; and charges."""
    plan = client.v1.plans.create(
        params={"amount": 1999, "currency": "eur", "interval": "month", "product": {"name": "Plan"}}
    )
    ids = []
    for number in range(CUSTOMERS):
        customer = client.v1.customers.create(
            params={"email": f"p{number}@shop.example", "name": f"Person {number} ü", "metadata": {"n": str(number)}}
        )
        ids.append(customer.id)
    for number, customer_id in enumerate(ids[:SUBSCRIBED]):
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2030, "cvc": "123"}
        method = client.v1.payment_methods.create(params={"type": "card", "card": card})
        client.v1.payment_methods.attach(method.id, params={"customer": customer_id})
        client.v1.customers.update(customer_id, params={"invoice_settings": {"default_payment_method": method.id}})
        client.v1.subscriptions.create(
            params={"customer": customer_id, "items": [{"plan": plan.id, "quantity": 1 + number % 3}]}
        )
    for number in range(CHARGES):
        client.v1.charges.create(
            params={
                "amount": 100 + number,
                "currency": "usd",
                "customer": ids[number % SUBSCRIBED],
                "metadata": {"n": str(number)},
            }
        )


@pytest.fixture
def led(here: Any, shop: Shop) -> Any:
    """A place whose `stripe` leads to localstripe."""
    (here.folder / "sources" / "stripe.yaml").write_text(SOURCE.format(url=shop.url))
    here.more.update({"INGEST_ONLY": "stripe", "STRIPE_API_KEY": KEY})
    return here


def rows(place: Any, table: str) -> dict[str, dict[str, Any]]:
    """The rows of a table by id."""
    with duckdb.connect(str(place.data / "warehouse.duckdb"), read_only=True) as reader:
        found = reader.execute(f"FROM stripe.{table}")
        names = [column[0] for column in found.description or ()]
        return {row[names.index("id")]: dict(zip(names, row, strict=True)) for row in found.fetchall()}


def values(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Each value of a record that is no object and no list, by the name of its column."""
    for key, value in record.items():
        name = f"{before}{key}".lower()
        if isinstance(value, dict):
            yield name, value
            yield from values(value, f"{name}__")
        elif not isinstance(value, list):
            yield name, value


def assert_same(row: Mapping[str, Any], record: Mapping[str, Any]) -> int:
    """Every value is in its column, or in the json column around it; how many were compared."""
    compared = 0
    as_json = {name for name, value in values(record) if isinstance(value, dict) and row.get(name) is not None}
    for name, value in values(record):
        if any(name.startswith(f"{around}__") for around in as_json) or (
            isinstance(value, dict) and name not in as_json
        ):
            continue
        found = row.get(name)
        if isinstance(found, datetime):
            found = int(found.timestamp())
        assert (json.loads(found) if name in as_json else found) == value, name
        compared += 1
    return compared


def assert_all_arrived(place: Any, shop: Shop) -> None:
    """Tables and client say the same, invoice lines included."""
    for name in LISTED:
        records, table = shop.all(name), rows(place, name)
        assert table.keys() == records.keys()
        assert sum(assert_same(table[key], record) for key, record in records.items()) > 5 * len(records)
    expected = sorted(
        (invoice["id"], line["id"], line["amount"])
        for invoice in shop.all("invoices").values()
        for line in invoice["lines"]["data"]
    )
    told = place.ask(
        "SELECT i.id, l.id, l.amount FROM stripe.invoices AS i "
        "JOIN stripe.invoices__lines__data AS l ON l._parent = i._id ORDER BY ALL"
    )
    assert told == expected


def test_every_row_and_value_arrives_and_so_does_every_change(led: Any, shop: Shop) -> None:
    first = led.ingest("run", "stripe")
    assert first.returncode == 0, first.stdout + first.stderr
    assert_all_arrived(led, shop)
    before = rows(led, "customers")

    changed, gone, *_ = before
    shop.client.v1.customers.update(changed, params={"email": "moved@shop.example"})
    shop.client.v1.customers.delete(gone)
    new = shop.client.v1.customers.create(params={"email": "new@shop.example"})
    second = led.ingest("run", "stripe")

    assert second.returncode == 0, second.stdout + second.stderr
    after = rows(led, "customers")
    assert_all_arrived(led, shop)
    assert after[changed]["email"] == "moved@shop.example"
    assert gone not in after
    assert new.id in after
    still = after.keys() & before.keys() - {changed}
    assert [key for key in still if after[key]["_fetch"] != before[key]["_fetch"]] == []


def test_events_come_as_a_feed_and_none_is_lost_between_two_looks(led: Any, shop: Shop) -> None:
    led.ingest("run", "stripe.events")
    shop.client.v1.customers.create(params={"email": "later@shop.example"})

    second = led.ingest("run", "stripe.events")

    assert second.returncode == 0, second.stdout + second.stderr
    assert rows(led, "events").keys() == shop.all("events").keys()
