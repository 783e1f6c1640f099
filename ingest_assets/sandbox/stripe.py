"""Stripe as its sheet tells: lists newest first, records by id, the error envelope, 25 requests a second.

Two accounts, each with its key, its records and its limit.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import NamedTuple

from ingest_assets.sandbox.answers import Answer, Api, Asked, answered, basic, bearer
from ingest_assets.sandbox.credentials import STRIPE_EU_KEY, STRIPE_KEY
from ingest_assets.sandbox.stripe_records import (
    EVENTS_KEPT_DAYS,
    PLACES_A_DAY,
    VERSION,
    Row,
    charges_on,
    customers_on,
    events_on,
    invoice_lines,
    invoices_made,
    invoices_on,
    line_id,
    number_of,
)
from ingest_assets.sandbox.world import DAY, FIRST_DAY, World, people_before, person

COMMON = {"limit", "starting_after", "ending_before", "expand[]"}
BOUNDS = {"created", "created[gt]", "created[gte]", "created[lt]", "created[lte]"}


class Collection(NamedTuple):
    """One list of the API: what its records are called, where they come from, what it can be filtered by."""

    kind: str
    rows_on: Callable[[World, int], tuple[Row, ...]]
    filters: frozenset[str]


ACCOUNTS = {STRIPE_KEY: "stripe-key", STRIPE_EU_KEY: "stripe-eu-key"}
COLLECTIONS = {
    "customers": Collection("customer", customers_on, frozenset({"email"})),
    "charges": Collection("charge", charges_on, frozenset({"customer", "payment_intent"})),
    "invoices": Collection("invoice", invoices_on, frozenset({"customer", "status", "collection_method"})),
    "events": Collection("event", events_on, frozenset({"type", "types[]"})),
}


class BadRequest(Exception):
    """A parameter that the API refuses, in its own words."""

    def __init__(self, message: str, param: str, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


def credential(asked: Asked) -> str | Answer:
    """Whose key came with a request: bearer, or Basic with the key as user and no password."""
    user = basic(asked.headers)
    key = bearer(asked.headers) or (user[0] if user and not user[1] else None)
    if key in ACCOUNTS:
        return ACCOUNTS[key]
    if key is None:
        return unauthorized("You did not provide an API key.")
    return unauthorized(f"Invalid API Key provided: {key[:3]}****")


def second_account(world: World) -> World:
    """What the second key sees: an account with customers of its own, told by another seed."""
    return replace(world, laws=replace(world.laws, seed=world.laws.seed + 1))


def unauthorized(message: str = "Expired API Key provided: sk_****") -> Answer:
    """The answer to a key that is missing, wrong or expired."""
    answer = failed(401, message)
    return Answer(answer.body, 401, {**answer.headers, "WWW-Authenticate": 'Basic realm="Stripe"'})


def failed(status: int, message: str, code: str | None = None, param: str | None = None) -> Answer:
    """An error in the API's envelope."""
    kind = "api_error" if status >= 500 else "invalid_request_error"
    fields = {"code": code, "doc_url": code and f"https://docs.example/{code}", "message": message, "param": param}
    error = {name: value for name, value in fields.items() if value is not None} | {"type": kind}
    return answered({"error": error}, status, {"Stripe-Should-Retry": "true"} if status >= 500 else {})


def broken(_asked: Asked, status: int) -> Answer:
    """A passing failure of the API itself."""
    return failed(status, "An unknown error occurred")


def throttled(_asked: Asked, _bucket: str, wait: float | None) -> Answer:
    """A 429. The API promises no Retry-After: there is one only where a fault asks for it."""
    answer = failed(429, "Request rate limit exceeded.", "rate_limit")
    headers = {"Stripe-Should-Retry": "true", "Stripe-Rate-Limited-Reason": "endpoint-rate"}
    return Answer(answer.body, 429, headers if wait is None else {**headers, "Retry-After": f"{wait:.0f}"})


def headers(asked: Asked, number: int) -> dict[str, str]:
    """The headers that every answer carries."""
    return {"Request-Id": f"req_{number:014x}", "Stripe-Version": asked.headers.get("stripe-version", VERSION)}


def answer(asked: Asked) -> Answer:
    """What the API answers, by path."""
    name, _, rest = asked.path.strip("/").partition("/")
    id_, _, below = rest.partition("/")
    collection = COLLECTIONS.get(name)
    known = below == "" or (name == "invoices" and below == "lines")
    if collection is None or not known or asked.method != "GET":
        return failed(404, f"Unrecognized request URL ({asked.method}: /v1{asked.path}).")
    version = asked.headers.get("stripe-version", VERSION)
    if not re.fullmatch(r"\d{4}-\d\d-\d\d(\.\w+)?", version):
        return failed(400, f"Invalid Stripe API version: {version}")
    try:
        if below:
            return _lines(asked, id_)
        return _one(asked, collection, id_) if id_ else _list(asked, name, collection)
    except BadRequest as error:
        return failed(400, str(error), error.code, error.param)


def _one(asked: Asked, collection: Collection, id_: str) -> Answer:
    if collection.kind == "customer" and _is_deleted_customer(asked.world, id_):
        return answered({"id": id_, "object": "customer", "deleted": True})
    row = _find(asked.world, collection, id_)
    if row is None:
        return failed(404, f"No such {collection.kind}: '{id_}'", "resource_missing", "id")
    return Answer(row.body)


def _find(world: World, collection: Collection, id_: str) -> Row | None:
    number = number_of(world.laws, collection.kind, id_)
    rows = collection.rows_on(world, number // PLACES_A_DAY) if number is not None else ()
    return next((row for row in rows if row.number == number), None)


def _is_deleted_customer(world: World, id_: str) -> bool:
    number = number_of(world.laws, "customer", id_)
    if number is None or number % PLACES_A_DAY >= people_before(world.laws, world.today):
        return False
    return person(world.laws, number % PLACES_A_DAY).gone(world.now)


def _list(asked: Asked, name: str, collection: Collection) -> Answer:
    _refuse_unknown(asked, COMMON | BOUNDS | collection.filters)
    limit, after, before = _limit(asked), asked.one("starting_after"), asked.one("ending_before")
    lower, upper = _bounds(asked)
    wanted = _wanted(asked)
    if after and before:
        raise BadRequest("You may only provide one of starting_after or ending_before.", "starting_after")
    if asked.fault == "empty_page":
        return _page(f"/v1/{name}", [], has_more=True)
    if before:
        number = _cursor(asked.world, collection, before, "ending_before")
        rows = oldest_first(asked.world, collection, lower, upper, number)
        found = list(islice(filter(wanted, rows), limit + 1))
        return _page(f"/v1/{name}", found[:limit][::-1], has_more=len(found) > limit)
    top = _cursor(asked.world, collection, after, "starting_after") if after else None
    if asked.fault == "repeated_cursor" and top is not None:
        top += 1  # the page ends where it began: its last id is the one that was asked from
        limit = 1
    rows = newest_first(asked.world, collection, lower, upper, top)
    found = list(islice(filter(wanted, rows), limit + 1))
    return _page(f"/v1/{name}", found[:limit], has_more=len(found) > limit or asked.fault is not None)


def _page(url: str, rows: list[Row], *, has_more: bool) -> Answer:
    more = b"true" if has_more else b"false"
    data = b",".join([row.body for row in rows])
    return Answer(b'{"object":"list","url":"%s","has_more":%s,"data":[%s]}' % (url.encode(), more, data))


def newest_first(
    world: World, collection: Collection, lower: int, upper: int, below: int | None = None
) -> Iterator[Row]:
    """The records with lower <= created < upper whose number is under `below`, newest first."""
    last = min(upper - 1, world.now - 1) // DAY
    if below is not None:
        last = min(last, below // PLACES_A_DAY)
    for day in range(last, max(lower // DAY, oldest_day(world, collection)) - 1, -1):
        for row in reversed(collection.rows_on(world, day)):
            if lower <= row.created < upper and (below is None or row.number < below):
                yield row


def oldest_first(world: World, collection: Collection, lower: int, upper: int, above: int) -> Iterator[Row]:
    """The records with lower <= created < upper whose number is over `above`, oldest first."""
    first = max(lower // DAY, above // PLACES_A_DAY, oldest_day(world, collection))
    for day in range(first, min(upper - 1, world.now - 1) // DAY + 1):
        for row in collection.rows_on(world, day):
            if lower <= row.created < upper and row.number > above:
                yield row


def oldest_day(world: World, collection: Collection) -> int:
    """The first day that can hold records of a collection."""
    if collection.kind == "customer":
        return FIRST_DAY
    return max(world.first_day, world.today - EVENTS_KEPT_DAYS) if collection.kind == "event" else world.first_day


def _refuse_unknown(asked: Asked, known: set[str] | frozenset[str]) -> None:
    for name in asked.query:
        if name not in known:
            raise BadRequest(f"Received unknown parameter: {name}", name, "parameter_unknown")


def _integer(asked: Asked, name: str) -> int | None:
    value = asked.one(name)
    if value is None:
        return None
    if not re.fullmatch(r"-?\d{1,15}", value):
        raise BadRequest(f"Invalid integer: {value}", name, "parameter_invalid_integer")
    return int(value)


def _limit(asked: Asked) -> int:
    limit = _integer(asked, "limit")
    if limit is not None and not 1 <= limit <= 100:
        raise BadRequest("This value must be between 1 and 100.", "limit", "parameter_invalid_integer")
    return limit or 10


def _bounds(asked: Asked) -> tuple[int, int]:
    """The window as lower <= created < upper."""
    exact = _integer(asked, "created")
    lower = [0, *((exact,) if exact is not None else ())]
    upper = [asked.world.now, *((exact + 1,) if exact is not None else ())]
    for operator, bounds, shift in (("gte", lower, 0), ("gt", lower, 1), ("lt", upper, 0), ("lte", upper, 1)):
        value = _integer(asked, f"created[{operator}]")
        if value is not None:
            bounds.append(value + shift)
    return max(lower), min(upper)


def _wanted(asked: Asked) -> Callable[[Row], bool]:
    types = asked.query.get("types[]", [])
    if types and "type" in asked.query:
        raise BadRequest("You may only provide one of type or types.", "types")
    if len(types) > 20:
        raise BadRequest("You may provide at most 20 types.", "types")
    equal = {
        name: values[0]
        for name, values in asked.query.items()
        if name not in COMMON | BOUNDS and name not in {"types[]", "type"}
    }
    patterns = types or asked.query.get("type", [])

    def wanted(row: Row) -> bool:
        facets = row.facets
        return all(facets[name] == value for name, value in equal.items()) and (
            not patterns or any(_of_type(facets["type"], pattern) for pattern in patterns)
        )

    return wanted


def _of_type(type_: str, pattern: str) -> bool:
    return type_.startswith(pattern[:-1]) if pattern.endswith("*") else type_ == pattern


def _cursor(world: World, collection: Collection, id_: str, param: str) -> int:
    number = number_of(world.laws, collection.kind, id_)
    if number is None or _find(world, collection, id_) is None:
        raise BadRequest(f"No such {collection.kind}: '{id_}'", param, "resource_missing")
    return number


def _lines(asked: Asked, id_: str) -> Answer:
    _refuse_unknown(asked, COMMON)
    number = number_of(asked.world.laws, "invoice", id_)
    if number is None or _find(asked.world, COLLECTIONS["invoices"], id_) is None:
        return failed(404, f"No such invoice: '{id_}'", "resource_missing", "invoice")
    made = next(one for one in invoices_made(asked.world.laws, number // PLACES_A_DAY) if one.number == number)
    lines = invoice_lines(asked.world.laws, made)
    begin, limit, after = 0, _limit(asked), asked.one("starting_after")
    if after is not None:
        places = [place for place in range(len(lines)) if line_id(id_, place) == after]
        if not places:
            raise BadRequest(f"No such line_item: '{after}'", "starting_after", "resource_missing")
        begin = places[0] + 1
    rows = [Row(0, 0, bytes(line), {}) for line in lines[begin : begin + limit]]
    return _page(f"/v1/invoices/{id_}/lines", rows, has_more=begin + limit < len(lines))


API = Api(
    prefix="/stripe/v1",
    limits={"stripe": (25, 1.0), "stripe_eu": (25, 1.0)},
    buckets=lambda _path, who: ("stripe_eu" if who == "stripe-eu-key" else "stripe",),
    credential=credential,
    expired=unauthorized(),
    broken=broken,
    throttled=throttled,
    answer=answer,
    world_of=lambda world, who: second_account(world) if who == "stripe-eu-key" else world,
    headers=headers,
)
