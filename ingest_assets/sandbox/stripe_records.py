"""Customers, charges, invoices and events: what happens to them, and how they look at a moment.

A record's number is its day and its place in that day. It is written into its id, so that an id tells where
its record is, and it grows with `created`, so that it is the order of every list.
"""

import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from ingest_assets.sandbox.answers import encode
from ingest_assets.sandbox.world import (
    DAY,
    FIRST_DAY,
    Change,
    Laws,
    Person,
    Place,
    Profile,
    World,
    draws,
    people_of,
    pick,
    seconds_of_day,
    someone,
)
from ingest_assets.sandbox.world import (
    person as person_of,
)

VERSION = "2026-10-28.endive"
PLACES_A_DAY = 10_000_000
CHANGES_WITHIN_DAYS = 28
EVENTS_KEPT_DAYS = 30
PREFIXES = {"customer": "cus_R", "charge": "ch_3", "invoice": "in_1", "event": "evt_1", "line_item": "il_1"}

Json = dict[str, Any]


class Row(NamedTuple):
    """A record of a list: its number, its time, itself as JSON, and the values that a list can be filtered by."""

    number: int
    created: int
    body: bytes
    facets: Json


def identifier(laws: Laws, kind: str, number: int) -> str:
    """The id of a record.

    >>> number_of(Laws(), "charge", identifier(Laws(), "charge", 12345))
    12345
    """
    return f"{PREFIXES[kind]}{number:011x}{_check(laws, kind, number):08x}"


def number_of(laws: Laws, kind: str, id_: str) -> int | None:
    """The number in an id, or None if no record has that id."""
    digits = id_.removeprefix(PREFIXES[kind])[:11]
    if len(digits) < 11 or not set(digits) <= set("0123456789abcdef"):
        return None
    number = int(digits, 16)
    return number if identifier(laws, kind, number) == id_ else None


def _check(laws: Laws, kind: str, number: int) -> int:
    return zlib.crc32(b"%s/%d/%d" % (kind.encode(), laws.seed, number))


def customer_number(person: Person) -> int:
    """The number of a person's customer record."""
    return person.created // DAY * PLACES_A_DAY + person.number


@lru_cache(maxsize=65_536)
def customer_id(laws: Laws, number: int) -> str:
    """The id of the customer record of the person with this number."""
    return identifier(laws, "customer", customer_number(person_of(laws, number)))


def customer(laws: Laws, person: Person, as_of: int) -> Json:
    """A customer as it is at a moment."""
    profile = person.at(as_of)
    number = customer_number(person)
    tail = f"{_check(laws, 'customer', number):08X}"
    address = None if person.number % 9 == 4 else _address(profile.place, f"Domplein {person.number % 90 + 1}")
    shipping = {"address": address, "name": person.name, "phone": profile.phone} if person.number % 7 == 2 else None
    vat = {"vat": f"{profile.place.country}{person.number:09d}"} if person.company else {}
    return {
        "id": identifier(laws, "customer", number),
        "object": "customer",
        "address": address,
        "balance": -500 if person.number % 13 == 5 else 0,
        "created": person.created,
        "currency": profile.place.currency,
        "default_source": None,
        "delinquent": person.number % 17 == 3,
        "description": None,
        "discount": None,
        "email": profile.email,
        "invoice_prefix": tail,
        "invoice_settings": {
            "custom_fields": [{"name": "PO", "value": f"PO-{person.number}"}] if person.number % 11 == 1 else None,
            "default_payment_method": f"pm_1{tail}",
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {"crm_id": person.crm_id, "plan": profile.plan, **vat},
        "name": person.company or person.name,
        "next_invoice_sequence": 1,
        "phone": profile.phone,
        "preferred_locales": [profile.place.locale, "en-US"][: person.number % 3],
        "shipping": shipping,
        "tax_exempt": "none",
        "test_clock": None,
    }


def _address(place: Place, line: str) -> Json:
    return {
        "city": place.city,
        "country": place.country,
        "line1": line,
        "line2": None,
        "postal_code": f"{3500 + len(line)} JC",
        "state": place.region if place.country == "US" else None,
    }


class Refund(NamedTuple):
    """Money that goes back at a moment, in minor units."""

    time: int
    amount: int


class Charge(NamedTuple):
    """A charge with all that ever happens to it."""

    number: int
    created: int
    person: Person
    amount: int
    failure: str | None
    refunds: tuple[Refund, ...]
    disputed: int | None
    order: str | None


@lru_cache(maxsize=96)
def charges_made(laws: Laws, day: int) -> tuple[Charge, ...]:
    """The charges of a day, oldest first."""
    dice = draws(laws, "charge", day)
    count = int(laws.scale * (60 + 60 * dice.random()))
    made = []
    for place, created in enumerate(seconds_of_day(dice, day, count)):
        person = someone(laws, dice, created)
        amount = int(500 + 20_000 * dice.random() ** 3)
        fate, lag, order = dice.random(), dice.random(), dice.random()
        if person is None:
            continue
        made.append(
            Charge(
                number=day * PLACES_A_DAY + place,
                created=created,
                person=person,
                amount=amount,
                failure=pick(dice, ("card_declined", "expired_card")) if fate < 0.05 else None,
                refunds=_refunds(created, amount, fate, lag),
                disputed=_later(created, lag) if 0.14 < fate < 0.15 else None,
                order=f"o-{int(order * 1e6):06d}" if order < 0.5 else None,
            )
        )
    return tuple(made)


def _later(created: int, lag: float) -> int:
    # Within CHANGES_WITHIN_DAYS of the day, so that events of a day are found by looking that far back.
    return created + 600 + int(lag * (CHANGES_WITHIN_DAYS - 2) * DAY)


def _refunds(created: int, amount: int, fate: float, lag: float) -> tuple[Refund, ...]:
    if not 0.05 <= fate < 0.13:
        return ()
    first = _later(created, lag / 2)
    if fate < 0.10:
        return (Refund(first, amount),)
    part = amount // 3
    rest = (Refund(_later(created, lag / 2 + 0.5), amount - part),) if fate < 0.11 else ()
    return (Refund(first, part), *rest)


def charge(laws: Laws, made: Charge, as_of: int) -> Json:
    """A charge as it is at a moment."""
    refunded = sum(refund.amount for refund in made.refunds if refund.time < as_of)
    profile, tail = made.person.at(made.created), identifier(laws, "charge", made.number)[3:]
    failed = made.failure is not None
    level3: Json = {"level3": {"merchant_reference": made.order, "line_items": []}} if made.number % 23 == 7 else {}
    return {
        "id": f"ch_{tail}",
        "object": "charge",
        "amount": made.amount,
        "amount_captured": 0 if failed else made.amount,
        "amount_refunded": refunded,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None if failed else f"txn_{tail}",
        "billing_details": {
            "address": _address(profile.place, "") | {"line1": None, "city": None, "postal_code": None},
            "email": profile.email,
            "name": made.person.company or made.person.name,
            "phone": None,
            "tax_id": None,
        },
        "captured": not failed,
        "created": made.created,
        "currency": profile.place.currency,
        "customer": customer_id(laws, made.person.number),
        "description": "Subscription update" if made.order is None else f"Order {made.order}",
        "disputed": made.disputed is not None and made.disputed < as_of,
        "failure_balance_transaction": None,
        "failure_code": made.failure,
        "failure_message": "Your card was declined." if failed else None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {} if made.order is None else {"order": made.order},
        "on_behalf_of": None,
        "outcome": _outcome(made.failure),
        "paid": not failed,
        "payment_intent": f"pi_{tail}",
        "payment_method": f"pm_{tail}",
        "payment_method_details": _method(profile, made.number),
        "receipt_email": profile.email if made.number % 3 == 0 else None,
        "receipt_number": None,
        "receipt_url": None if failed else f"https://pay.example/r/{tail}",
        "refunded": refunded == made.amount,
        "review": None,
        "shipping": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if failed else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
        **level3,
    }


def _outcome(failure: str | None) -> Json:
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": "05" if failure else None,
        "network_status": "declined_by_network" if failure else "approved_by_network",
        "reason": failure,
        "risk_level": "normal",
        "seller_message": "The bank declined." if failure else "Payment complete.",
        "type": "issuer_declined" if failure else "authorized",
    }


def _method(profile: Profile, number: int) -> Json:
    if profile.place.currency == "eur" and number % 5 == 0:
        return {"sepa_debit": {"bank_code": "37040044", "country": "DE", "last4": "3000"}, "type": "sepa_debit"}
    return {
        "card": {
            "brand": ("visa", "mastercard", "amex")[number % 3],
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": profile.place.country,
            "exp_month": number % 12 + 1,
            "exp_year": 2029 + number % 4,
            "fingerprint": f"AOB{number % 997}",
            "funding": "debit" if number % 2 else "credit",
            "last4": f"{number % 10_000:04d}",
            "network": "visa",
            "wallet": {"type": "apple_pay", "dynamic_last4": None} if number % 8 == 0 else None,
        },
        "type": "card",
    }


class Item(NamedTuple):
    """One line of an invoice, in minor units."""

    amount: int
    quantity: int
    plan: str


class Invoice(NamedTuple):
    """An invoice with all that ever happens to it; `end` is when it is settled, and `fate` how."""

    number: int
    created: int
    person: Person
    items: tuple[Item, ...]
    finalized: int
    end: int
    fate: str


@lru_cache(maxsize=96)
def invoices_made(laws: Laws, day: int) -> tuple[Invoice, ...]:
    """The invoices of a day, oldest first."""
    dice = draws(laws, "invoice", day)
    count = int(laws.scale * (45 + 30 * dice.random()))
    made = []
    for place, created in enumerate(seconds_of_day(dice, day, count)):
        person = someone(laws, dice, created)
        lines = int(11 + 14 * dice.random()) if dice.random() < 0.03 else int(1 + 3 * dice.random())
        items = tuple(
            Item(int(900 + 9000 * dice.random()), int(1 + 4 * dice.random()), pick(dice, PLANS)) for _ in range(lines)
        )
        finalized = created + (3600 if dice.random() < 0.2 else 5)
        wait = dice.random()
        fate = pick(dice, FATES)
        if person is not None:
            end = finalized + 2 + (int(wait * 40 * DAY) - 20 * DAY if wait > 0.5 else 0)
            made.append(Invoice(day * PLACES_A_DAY + place, created, person, items, finalized, end, fate))
    return tuple(made)


PLANS = ("Starter", "Pro", "Gold")
FATES = ("paid",) * 17 + ("void", "uncollectible", "open")


@lru_cache(maxsize=4096)
def _first_lines(laws: Laws, made: Invoice) -> msgspec.Raw:
    """The lines that an invoice holds itself, as JSON: its events show the same ones again."""
    return msgspec.Raw(encode(invoice_lines(laws, made)[:10]))


def invoice_lines(laws: Laws, made: Invoice) -> list[msgspec.Raw]:
    """All lines of an invoice, each as JSON."""
    id_ = identifier(laws, "invoice", made.number)
    currency = made.person.at(made.created).place.currency
    return [_line(made, id_, place, item, currency) for place, item in enumerate(made.items)]


def line_id(invoice_id: str, place: int) -> str:
    """The id of a line of an invoice."""
    return f"il_1{invoice_id[4:]}{place:02d}"


def _line(made: Invoice, invoice_id: str, place: int, item: Item, currency: str) -> msgspec.Raw:
    total = item.amount * item.quantity
    price = f"{currency.upper()} {item.amount / 100:.2f}"
    values = {
        b"tail": f"{invoice_id[4:]}{place:02d}".encode(),
        b"invoice": invoice_id[4:].encode(),
        b"total": total,
        b"tax": _tax(total)["amount"],
        b"amount": item.amount,
        b"quantity": item.quantity,
        b"currency": currency.encode(),
        b"description": f"{item.quantity} x {item.plan} (at {price} / month)".encode(),
        b"proration": b"true" if place % 4 == 3 else b"false",
        b"start": made.created,
        b"end": made.created + 30 * DAY,
        b"plan": item.plan.upper().encode(),
    }
    return msgspec.Raw(LINE % values)


# A template, since there are more lines than anything else, and a page must not take longer than a real API's.
LINE = encode(
    {
        "id": "il_1%(tail)b",
        "object": "line_item",
        "amount": msgspec.Raw(b"%(total)d"),
        "currency": "%(currency)b",
        "description": "%(description)b",
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": "in_1%(invoice)b",
        "livemode": False,
        "metadata": {},
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": msgspec.Raw(b"%(proration)b"),
                "proration_details": {"credited_items": None},
                "subscription": "sub_%(invoice)b",
                "subscription_item": "si_%(tail)b",
            },
        },
        "period": {"start": msgspec.Raw(b"%(start)d"), "end": msgspec.Raw(b"%(end)d")},
        "pretax_credit_amounts": [],
        "pricing": {
            "type": "price_details",
            "price_details": {"price": "price_1%(plan)b", "product": "prod_R%(plan)b"},
            "unit_amount_decimal": "%(amount)d",
        },
        "quantity": msgspec.Raw(b"%(quantity)d"),
        "subtotal": msgspec.Raw(b"%(total)d"),
        "taxes": [
            {
                "amount": msgspec.Raw(b"%(tax)d"),
                "tax_behavior": "exclusive",
                "taxable_amount": msgspec.Raw(b"%(total)d"),
                "type": "tax_rate_details",
            }
        ],
    }
)


def _tax(amount: int) -> Json:
    tax = amount * 21 // 100
    return {"amount": tax, "tax_behavior": "exclusive", "taxable_amount": amount, "type": "tax_rate_details"}


def invoice(laws: Laws, made: Invoice, as_of: int) -> Json:
    """An invoice as it is at a moment, with its first ten lines."""
    profile, id_ = made.person.at(made.created), identifier(laws, "invoice", made.number)
    status = _status(made, as_of)
    ended = made.end if status == made.fate != "open" else None
    subtotal = sum(item.amount * item.quantity for item in made.items)
    tax = _tax(subtotal)
    total = subtotal + tax["amount"]
    paid = total if status == "paid" else 0
    finalized = None if status == "draft" else made.finalized
    subscription = {"metadata": {}, "subscription": f"sub_{id_[4:]}"}
    automatic_tax = {"enabled": False, "liability": None, "status": None, "disabled_reason": None, "provider": None}
    return {
        "id": id_,
        "object": "invoice",
        "account_country": "NL",
        "account_name": "Acme",
        "amount_due": total,
        "amount_paid": paid,
        "amount_remaining": total - paid,
        "amount_overpaid": 0,
        "attempt_count": 1 if paid else 0,
        "attempted": bool(paid),
        "auto_advance": status == "draft",
        "automatic_tax": automatic_tax,
        "billing_reason": "subscription_cycle" if made.number % 4 else "manual",
        "collection_method": "charge_automatically",
        "created": made.created,
        "currency": profile.place.currency,
        "customer": customer_id(laws, made.person.number),
        "customer_address": _address(profile.place, "Domplein 4") if made.number % 3 else None,
        "customer_email": profile.email,
        "customer_name": made.person.company or made.person.name,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [{"type": "eu_vat", "value": f"NL{made.person.number:09d}B01"}]
        if made.person.company
        else [],
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": finalized,
        "ending_balance": None if status == "draft" else 0,
        "footer": None,
        "hosted_invoice_url": None if status == "draft" else f"https://pay.example/i/{id_}",
        "invoice_pdf": None if status == "draft" else f"https://pay.example/i/{id_}.pdf",
        "last_finalization_error": None,
        "lines": {
            "object": "list",
            "data": _first_lines(laws, made),
            "has_more": len(made.items) > 10,
            "url": f"/v1/invoices/{id_}/lines",
        },
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "number": None if status == "draft" else f"7A1F03C2-{made.number % 10_000:04d}",
        "parent": {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": subscription,
        },
        "period_end": made.created,
        "period_start": made.created - 30 * DAY,
        "status": status,
        "status_transitions": {
            "finalized_at": finalized,
            "marked_uncollectible_at": ended if status == "uncollectible" else None,
            "paid_at": ended if status == "paid" else None,
            "voided_at": ended if status == "void" else None,
        },
        "subtotal": subtotal,
        "total": total,
        "total_discount_amounts": [],
        "total_taxes": [tax],
        "webhooks_delivered_at": finalized,
    }


def _status(made: Invoice, as_of: int) -> str:
    if made.finalized >= as_of:
        return "draft"
    return "open" if made.end >= as_of else made.fate


class Happening(NamedTuple):
    """What makes an event: `previous` holds the changed fields as they were."""

    time: int
    type: str
    subject: Person | Charge | Invoice
    previous: Json | None


def happenings(laws: Laws, day: int) -> list[Happening]:
    """All that happens on a day, in order."""
    found: list[Happening] = []
    for back in range(CHANGES_WITHIN_DAYS + 1):
        for made in charges_made(laws, day - back):
            if back == 0 or made.refunds or made.disputed:
                found.extend(_of_charge(made))
        for invoiced in invoices_made(laws, day - back):
            if back <= 1 or invoiced.end // DAY == day:  # all but its end happens within the hour
                found.extend(_of_invoice(invoiced))
    found.extend(_of_people(laws, day))
    today = [one for one in found if one.time // DAY == day]
    return sorted(today, key=lambda one: (one.time, one.type, one.subject.number))


def _of_charge(made: Charge) -> Iterator[Happening]:
    yield Happening(made.created, "charge.failed" if made.failure else "charge.succeeded", made, None)
    before = 0
    for refund in made.refunds:
        yield Happening(refund.time, "charge.refunded", made, {"amount_refunded": before})
        before += refund.amount
    if made.disputed:
        yield Happening(made.disputed, "charge.updated", made, {"disputed": False})


def _of_invoice(made: Invoice) -> Iterator[Happening]:
    yield Happening(made.created, "invoice.created", made, None)
    yield Happening(made.finalized, "invoice.finalized", made, {"status": "draft"})
    kinds = {"paid": "invoice.paid", "void": "invoice.voided", "uncollectible": "invoice.marked_uncollectible"}
    if made.fate in kinds:
        yield Happening(made.end, kinds[made.fate], made, {"status": "open"})


def _of_people(laws: Laws, day: int) -> list[Happening]:
    return _people_happenings(laws, day // 32).get(day, [])


@lru_cache(maxsize=8)
def _people_happenings(laws: Laws, span: int) -> dict[int, list[Happening]]:
    """What happens to people in 32 days, by day: one look at everybody serves them all."""
    by_day: dict[int, list[Happening]] = {}
    for day in range(FIRST_DAY, (span + 1) * 32):
        for person in people_of(laws, day):
            for one in _of_person(person):
                if one.time // DAY // 32 == span:
                    by_day.setdefault(one.time // DAY, []).append(one)
    return by_day


def _of_person(person: Person) -> Iterator[Happening]:
    yield Happening(person.created, "customer.created", person, None)
    for change in person.changes:
        yield Happening(change.time, "customer.updated", person, _previous(person, change))
    if person.deleted:
        yield Happening(person.deleted, "customer.deleted", person, None)


def _previous(person: Person, change: Change) -> Json:
    before = person.at(change.time)
    if change.field == "plan":
        return {"metadata": {"plan": before.plan}}
    if change.field == "place":
        return {"address": {"city": before.place.city, "country": before.place.country}}
    return {change.field: getattr(before, change.field)}


def event(laws: Laws, number: int, one: Happening) -> Json:
    """An event, its object as it was right after what happened."""
    after = one.time + 1
    subject = one.subject
    if isinstance(subject, Person):
        thing = customer(laws, subject, after)
    elif isinstance(subject, Charge):
        thing = charge(laws, subject, after)
    else:
        thing = invoice(laws, subject, after)
    previous = {} if one.previous is None else {"previous_attributes": one.previous}
    return {
        "id": identifier(laws, "event", number),
        "object": "event",
        "api_version": VERSION,
        "created": one.time,
        "data": {"object": thing, **previous},
        "livemode": False,
        "pending_webhooks": number % 2,
        "request": {"id": f"req_{number:011x}" if number % 3 else None, "idempotency_key": None},
        "type": one.type,
    }


@lru_cache(maxsize=1024)
def customers_on(world: World, day: int) -> tuple[Row, ...]:
    """The customers who came on a day and are still there, oldest first."""
    if not FIRST_DAY <= day < world.today:
        return ()
    rows = []
    for person in people_of(world.laws, day):
        if not person.gone(world.now):
            record = customer(world.laws, person, world.now)
            rows.append(Row(customer_number(person), person.created, encode(record), {"email": record["email"]}))
    return tuple(rows)


@lru_cache(maxsize=64)
def charges_on(world: World, day: int) -> tuple[Row, ...]:
    """The charges made on a day as they are now, oldest first."""
    if not world.first_day <= day < world.today:
        return ()
    rows = []
    for made in charges_made(world.laws, day):
        record = charge(world.laws, made, world.now)
        facets = {"customer": record["customer"], "payment_intent": record["payment_intent"]}
        rows.append(Row(made.number, made.created, encode(record), facets))
    return tuple(rows)


@lru_cache(maxsize=64)
def invoices_on(world: World, day: int) -> tuple[Row, ...]:
    """The invoices made on a day as they are now, oldest first."""
    if not world.first_day <= day < world.today:
        return ()
    rows = []
    for made in invoices_made(world.laws, day):
        record = invoice(world.laws, made, world.now)
        facets = {key: record[key] for key in ("customer", "status", "collection_method")}
        rows.append(Row(made.number, made.created, encode(record), facets))
    return tuple(rows)


@lru_cache(maxsize=64)
def events_on(world: World, day: int) -> tuple[Row, ...]:
    """The events of a day, oldest first; none where they are no longer kept."""
    if not max(world.first_day, world.today - EVENTS_KEPT_DAYS) <= day < world.today:
        return ()
    rows = []
    for place, one in enumerate(happenings(world.laws, day)):
        number = day * PLACES_A_DAY + place
        rows.append(Row(number, one.time, encode(event(world.laws, number, one)), {"type": one.type}))
    return tuple(rows)
