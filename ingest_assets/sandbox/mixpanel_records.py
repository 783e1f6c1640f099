"""Product events and profiles: what happens, when it arrives, and how it looks at a moment."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from ingest_assets.sandbox.world import (
    DAY,
    Laws,
    Person,
    World,
    draws,
    local_iso,
    people_before,
    person,
    pick,
    seconds_of_day,
    sign_up_day,
    someone,
)

EVENTS_A_DAY = 800
ANONYMOUS_A_PERSON = 3
EVENTS = ("Page Viewed",) * 9 + ("Signed Up", "Search", "Search", "Purchase", "Invite Sent", "Export Run")

Json = dict[str, Any]


class Occurrence(NamedTuple):
    """An event as exported, and when it arrived in Unix milliseconds: it can be exported from then on."""

    name: str
    arrived: int
    record: Json


def distinct_id(one: Person) -> str:
    """The key of a person in Mixpanel."""
    return f"u-{1001 + one.number}"


@lru_cache(maxsize=16)
def occurrences(laws: Laws, day: int) -> tuple[Occurrence, ...]:
    """All that happens on a day, in order; few arrive days later, and few are exported twice."""
    dice = draws(laws, "occurrence", day)
    count = int(laws.scale * EVENTS_A_DAY * (0.85 + 0.3 * dice.random()))
    found = []
    for place, time in enumerate(seconds_of_day(dice, day, count)):
        one = someone(laws, dice, time)
        late = int((1 + 3 * dice.random()) * DAY * 1000) if dice.random() < 0.03 else int(4000 * dice.random())
        arrived = time * 1000 + late
        name = pick(dice, EVENTS)
        who = distinct_id(one) if one and place % 5 else f"$device:{place * 7919 % 4001:06x}"
        properties: Json = {
            "time": time,
            "distinct_id": who,
            "$insert_id": f"{day:05x}{place:07x}-{laws.seed:x}",
            **_details(name, place, one),
            "mp_processing_time_ms": arrived,
        }
        occurrence = Occurrence(name, arrived, {"event": name, "properties": properties})
        found.extend([occurrence] * (2 if place % 251 == 250 else 1))
    return tuple(found)


def _details(name: str, place: int, one: Person | None) -> Json:
    if name == "Purchase":
        coupon = "AUTUMN" if place % 3 == 0 else None
        amount = place % 97 + 0.5 if place % 2 else place % 97
        return {"$import": True, "amount": amount, "currency": "EUR", "coupon": coupon, "cart": _cart(place)}
    location = one.profile.place if one else None
    details: Json = {
        "$browser": ("Chrome", "Firefox", "Safari")[place % 3],
        "$browser_version": 120 + place % 24,
        "$city": location.city if location else None,
        "$current_url": f"https://app.example/{name.lower().replace(' ', '-')}?p={place % 40}",
        "$device_id": f"d-{place % 4001}",
        "$os": ("Mac OS X", "Windows", "Linux")[place % 3],
        "$screen_height": 1080,
        "mp_country_code": location.country if location else None,
        "mp_lib": "web",
    }
    if name == "Signed Up":
        details |= {"$initial_referrer": "$direct", "plan": one.profile.plan if one else None}
    if name == "Search":
        details |= {"query": f"größe {place % 31}", "results": place % 50, "filters": {"tag": "vip", "open": True}}
    if place % 4 == 0:
        details["experiments"] = ["a", "b", "c"][: place % 3 + 1]
    return details


def _cart(place: int) -> list[Json]:
    return [{"sku": f"A{place % 9 + item}", "qty": item + 1} for item in range(place % 4)]


def exported(world: World, day: int) -> Iterator[Occurrence]:
    """What an export of a day holds now."""
    if world.first_day <= day < world.today:
        for occurrence in occurrences(world.laws, day):
            if occurrence.arrived < world.now * 1000:
                yield occurrence


@lru_cache(maxsize=4)
def profiles(world: World) -> tuple[Json, ...]:
    """All profiles now, in the order of their keys: people who were not deleted, and anonymous devices."""
    found = []
    for number in range(people_before(world.laws, world.today)):
        one = person(world.laws, number)
        if not one.gone(world.now):
            found.append(_known(one, world.now))
        found.extend(_anonymous(world, number, device) for device in range(ANONYMOUS_A_PERSON))
    return tuple(sorted(found, key=lambda profile: str(profile["$distinct_id"])))


def _known(one: Person, as_of: int) -> Json:
    profile = one.at(as_of)
    properties: Json = {
        "$email": profile.email,
        "$name": one.name,
        "$last_seen": local_iso(_last_seen(one.number, one.created, as_of)),
        "$created": local_iso(one.created),
        "$city": profile.place.city,
        "$country_code": profile.place.country,
        "$timezone": profile.place.zone,
        "plan": profile.plan,
        "tags": ["vip"] if profile.plan == "gold" else [],
    }
    if one.number % 6 == 1:
        properties["City"] = profile.place.city.upper()
    if one.company:
        properties["company"] = {"name": one.company, "seats": one.number % 40}
    return {"$distinct_id": distinct_id(one), "$properties": properties}


def _anonymous(world: World, number: int, device: int) -> Json:
    born = sign_up_day(world.laws, number) * DAY + device * 3600
    seen = local_iso(_last_seen(number * 31 + device, born, world.now))
    properties: Json = {"$last_seen": seen, "$city": None, "$country_code": ("NL", "US", None)[device]}
    return {"$distinct_id": f"$device:{number:05x}{device}", "$properties": properties}


def _last_seen(number: int, born: int, as_of: int) -> int:
    """Everybody comes back each so many days, at the same hour."""
    period = number % 23 + 1
    day = (as_of // DAY - 1 - number % period) // period * period + number % period
    return max(born, day * DAY + number * 9973 % (DAY - 200))
