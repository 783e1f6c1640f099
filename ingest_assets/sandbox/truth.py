"""What a complete walk of an endpoint returns now: straight from the world, with no paging in between."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta
from itertools import islice

from ingest_assets.sandbox.answers import encode
from ingest_assets.sandbox.ecb import DAYS_90, rates
from ingest_assets.sandbox.github import select
from ingest_assets.sandbox.mixpanel_records import exported, profiles
from ingest_assets.sandbox.open_meteo import days, hours
from ingest_assets.sandbox.stripe import second_account
from ingest_assets.sandbox.stripe_records import (
    EVENTS_KEPT_DAYS,
    PLACES_A_DAY,
    charge,
    charges_made,
    customer,
    event,
    happenings,
    invoice,
    invoice_lines,
    invoices_made,
)
from ingest_assets.sandbox.synthetic import ITEMS
from ingest_assets.sandbox.world import DAY, World, midnight, people_before, person
from ingest_assets.sandbox.zendesk_records import AGENTS, FIRST_AGENT, ticket, tickets_made, user, user_by_id

Bounds = Mapping[str, list[str]]


def truth(world: World, source: str, endpoint: str, bounds: Bounds) -> Iterator[bytes] | None:
    """The records as lines of JSON in pieces, oldest first where they have a time; None for an unknown endpoint."""
    if source == "stripe_eu":
        world, source = second_account(world), "stripe"
    tell = TELLERS.get(f"{source}/{endpoint}")
    return None if tell is None else _pieces(tell(world, bounds))


def _pieces(records: Iterator[object]) -> Iterator[bytes]:
    while lines := [encode(record) + b"\n" for record in islice(records, 200)]:
        yield b"".join(lines)


def _within(bounds: Bounds, created: int) -> bool:
    tests: Mapping[str, Callable[[int], bool]] = {
        "created": lambda bound: created == bound,
        "created[gt]": lambda bound: created > bound,
        "created[gte]": lambda bound: created >= bound,
        "created[lt]": lambda bound: created < bound,
        "created[lte]": lambda bound: created <= bound,
    }
    return all(test(int(bounds[name][0])) for name, test in tests.items() if name in bounds)


def _days(world: World, bounds: Bounds) -> range:
    """The days that can hold records within bounds."""
    lower = [int(bounds[name][0]) // DAY for name in ("created[gt]", "created[gte]") if name in bounds]
    upper = [int(bounds[name][0]) // DAY for name in ("created[lt]", "created[lte]") if name in bounds]
    return range(max([world.first_day, *lower]), min([world.today - 1, *upper]) + 1)


def _customers(world: World, bounds: Bounds) -> Iterator[object]:
    for number in range(people_before(world.laws, world.today)):
        one = person(world.laws, number)
        if not one.gone(world.now) and _within(bounds, one.created):
            yield customer(world.laws, one, world.now)


def _charges(world: World, bounds: Bounds) -> Iterator[object]:
    for day in _days(world, bounds):
        for made in charges_made(world.laws, day):
            if _within(bounds, made.created):
                yield charge(world.laws, made, world.now)


def _invoices(world: World, bounds: Bounds) -> Iterator[object]:
    for day in _days(world, bounds):
        for made in invoices_made(world.laws, day):
            if _within(bounds, made.created):
                yield invoice(world.laws, made, world.now)


def _invoice_lines(world: World, bounds: Bounds) -> Iterator[object]:
    for day in _days(world, bounds):
        for made in invoices_made(world.laws, day):
            if _within(bounds, made.created):
                yield from invoice_lines(world.laws, made)


def _events(world: World, bounds: Bounds) -> Iterator[object]:
    types = {*bounds.get("types[]", []), *bounds.get("type", [])}
    for day in _days(world, bounds):
        if day < world.today - EVENTS_KEPT_DAYS:
            continue
        for place, one in enumerate(happenings(world.laws, day)):
            if _within(bounds, one.time) and (not types or one.type in types):
                yield event(world.laws, day * PLACES_A_DAY + place, one)


def _tickets(world: World, bounds: Bounds) -> Iterator[object]:
    since = int(bounds.get("start_time", ["0"])[0])
    for day in range(world.first_day, world.today):
        for made in tickets_made(world.laws, day):
            record = ticket(made, world.now)
            if record["generated_timestamp"] >= since:
                yield record


def _users(world: World, _bounds: Bounds) -> Iterator[object]:
    for number in range(people_before(world.laws, world.today)):
        one = person(world.laws, number)
        if not one.gone(world.now):
            yield user(one, world.now)
    for number in range(len(AGENTS)):
        yield user_by_id(world, FIRST_AGENT + number)


def _all_users(world: World, _bounds: Bounds) -> Iterator[object]:
    for number in range(people_before(world.laws, world.today)):
        yield user(person(world.laws, number), world.now)
    for number in range(len(AGENTS)):
        yield user_by_id(world, FIRST_AGENT + number)


def _export(world: World, bounds: Bounds) -> Iterator[object]:
    day, last = (date.fromisoformat(bounds[name][0]) if name in bounds else None for name in ("from_date", "to_date"))
    day = day or date.fromordinal(date(1970, 1, 1).toordinal() + world.first_day)
    while midnight(day) < world.now and (last is None or day <= last):
        for occurrence in exported(world, midnight(day) // DAY):
            yield occurrence.record
        day += timedelta(days=1)


def _engage(world: World, _bounds: Bounds) -> Iterator[object]:
    yield from profiles(world)


def _items(_world: World, _bounds: Bounds) -> Iterator[object]:
    yield from ITEMS


def _github(world: World, bounds: Bounds) -> Iterator[object]:
    yield from select(world, {"state": ["all"], "direction": ["asc"], **bounds})


def _weather(
    tell: Callable[..., Iterator[object]], *, lag: bool, ahead: int = 0
) -> Callable[[World, Bounds], Iterator[object]]:
    """The hours or days within bounds, for the place that the shipped source asks for unless they say another."""

    def told(world: World, bounds: Bounds) -> Iterator[object]:
        today = date.fromordinal(date(1970, 1, 1).toordinal() + world.today)
        first = date.fromisoformat(bounds.get("start_date", [str(today)])[0])
        last = date.fromisoformat(bounds.get("end_date", [str(today + timedelta(days=ahead))])[0])
        place = float(bounds.get("latitude", ["52.37"])[0]), float(bounds.get("longitude", ["4.90"])[0])
        yield from tell(world, place, first, last, lag=lag)

    return told


TELLERS: Mapping[str, Callable[[World, Bounds], Iterator[object]]] = {
    "stripe/customers": _customers,
    "stripe/charges": _charges,
    "stripe/invoices": _invoices,
    "stripe/invoice_lines": _invoice_lines,
    "stripe/events": _events,
    "zendesk/tickets": _tickets,
    "zendesk/users": _users,
    "zendesk/all_users": _all_users,
    "mixpanel/export": _export,
    "mixpanel/events": _export,
    "mixpanel/engage": _engage,
    "mixpanel/profiles": _engage,
    "github/issues": _github,
    "open_meteo/hourly": _weather(hours, lag=True),
    "open_meteo/daily": _weather(days, lag=True),
    "open_meteo/forecast": _weather(hours, lag=False, ahead=6),
    "ecb/rates": lambda world, _bounds: rates(world, DAYS_90),
    "ecb/history": lambda world, _bounds: rates(world),
    "links/items": _items,
    "graphql/items": _items,
}
