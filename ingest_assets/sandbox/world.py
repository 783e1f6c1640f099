"""One seeded world: its days, its people and how they change. All APIs tell of this same world.

What happens on a day follows from the *laws* (seed and scale) and that day alone, never from `now`: so the
world of an earlier `now` is a prefix of the world of a later one, and nothing has to be made before it is asked
for. Things that appear at a steady rate are numbered in order, so that a number tells its day and back.

    laws ──► people, charges, tickets, … with all their changes, whenever those come
    now  ──► how much of that has come already: a change at t is there if t < now
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple, TypeVar

DAY = 86_400
FIRST_DAY = date(2024, 3, 1).toordinal() - date(1970, 1, 1).toordinal()
"""The day of the first sign-up, counted from 1970-01-01 as all days are here."""

USUAL_START = date(2025, 11, 1)
PEOPLE_A_DAY = 0.4

T = TypeVar("T")


@dataclass(frozen=True)
class Laws:
    """What decides everything that ever happens: a seed, and a factor on how much of everything there is."""

    seed: int = 7
    scale: float = 1.0


@dataclass(frozen=True)
class World:
    """What can be seen at `now`. Both bounds are Unix seconds at a UTC midnight; `start` is the oldest day with
    charges, invoices, tickets and events. People are older than that."""

    laws: Laws
    start: int
    now: int

    @property
    def first_day(self) -> int:
        """The day of `start`."""
        return self.start // DAY

    @property
    def today(self) -> int:
        """The day that begins at `now`: the first of which nothing is known yet."""
        return self.now // DAY

    def advanced(self, days: int) -> "World":
        """The same world, so many days later."""
        return World(self.laws, self.start, self.now + days * DAY)


def world(now: date, seed: int = 7, scale: float = 1.0, start: date | None = None) -> World:
    """The world at a UTC midnight, with at least a year behind it.

    Without `start` it begins on 2025-11-01, or a year before `now` where that is earlier: worlds of the same seed
    and scale at different times from November 2026 on are prefixes of each other.

    >>> at = world(date(2026, 11, 20))
    >>> at.advanced(2) == world(date(2026, 11, 22))
    True
    """
    begin = start or min(USUAL_START, now - timedelta(days=365))
    return World(Laws(seed, scale), midnight(begin), midnight(now))


def midnight(day: date) -> int:
    """The Unix second at which a day begins, in UTC."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def iso(seconds: int) -> str:
    """A Unix second as ISO 8601 in UTC.

    >>> iso(1767603600)
    '2026-01-05T09:00:00Z'
    """
    return f"{local_iso(seconds)}Z"


def local_iso(seconds: int) -> str:
    """The same without a zone, as Mixpanel writes profile times."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def draws(laws: Laws, kind: str, number: int) -> random.Random:
    """The dice of one kind of thing on one day (or of one person): the same on every machine and version."""
    return random.Random(f"{laws.seed}/{kind}/{number}")  # noqa: S311  a made-up world wants repeatable dice


def pick(dice: random.Random, options: Sequence[T]) -> T:
    """One of the options."""
    return options[int(dice.random() * len(options))]


def seconds_of_day(dice: random.Random, day: int, count: int) -> list[int]:
    """So many moments of a day in order, none in its last two minutes."""
    return sorted(day * DAY + int(dice.random() * (DAY - 120)) for _ in range(count))


def count_before(rate: float, day: int) -> int:
    """How many things that appear at `rate` a day have appeared before a day begins.

    >>> count_before(0.4, FIRST_DAY), count_before(0.4, FIRST_DAY + 10)
    (0, 4)
    """
    return max(0, int((day - FIRST_DAY) * rate))


def day_of(rate: float, number: int) -> int:
    """The day on which the thing with this number appears: the inverse of `count_before`.

    >>> [day_of(0.4, number) - FIRST_DAY for number in (0, 1, 3, 4)]
    [2, 4, 9, 12]
    """
    day = FIRST_DAY + int((number + 1) / rate)
    while count_before(rate, day) > number:
        day -= 1
    while count_before(rate, day + 1) <= number:
        day += 1
    return day


class Place(NamedTuple):
    """Where people live, and what follows from that."""

    city: str
    region: str
    country: str
    currency: str
    zone: str
    zone_name: str
    locale: str


PLACES = (
    Place("Utrecht", "Utrecht", "NL", "eur", "Europe/Amsterdam", "Amsterdam", "nl-NL"),
    Place("Köln", "Nordrhein-Westfalen", "DE", "eur", "Europe/Berlin", "Berlin", "de-DE"),
    Place("Leeds", "West Yorkshire", "GB", "gbp", "Europe/London", "London", "en-GB"),
    Place("Austin", "Texas", "US", "usd", "America/Chicago", "Central Time (US & Canada)", "en-US"),
    Place("大阪", "Osaka", "JP", "jpy", "Asia/Tokyo", "Osaka", "ja-JP"),
)
FIRST_NAMES = ("Joke", "Zoë", "Amir", "Ines", "Bram", "Yuki", "Chidi", "Márta", "Olu", "Sven", "Priya", "Tom")
LAST_NAMES = ("Maas", "Müller", "Okafor", "Veldhuis", "佐藤", "O'Neill", "de Wit", "Nagy", "Haddad", "Lindqvist")
TRADES = ("Bakery", "Labs", "Logistics", "Studio", "Farm", "Clinic", "Books")
PLANS = ("free", "pro", "gold")


class Profile(NamedTuple):
    """What can change about a person."""

    email: str
    phone: str | None
    place: Place
    plan: str


class Change(NamedTuple):
    """One field of a profile gets a new value at a moment."""

    time: int
    field: str
    value: str | Place


class Person(NamedTuple):
    """Somebody who signs up, with all that ever changes. `deleted` is when, or None for never."""

    number: int
    created: int
    crm_id: str
    name: str
    company: str | None
    profile: Profile
    changes: tuple[Change, ...]
    deleted: int | None

    def at(self, as_of: int) -> Profile:
        """The profile with every change before `as_of`."""
        if not self.changes or self.changes[0].time >= as_of:
            return self.profile
        seen = {change.field: change.value for change in self.changes if change.time < as_of}
        return self.profile._replace(**seen)  # type: ignore[arg-type]

    def updated(self, as_of: int) -> int:
        """When the profile was last touched before `as_of`, its deletion included."""
        moments = [change.time for change in self.changes] + ([self.deleted] if self.deleted else [])
        return max((time for time in moments if time < as_of), default=self.created)

    def gone(self, as_of: int) -> bool:
        """Whether the person had themselves deleted before `as_of`."""
        return self.deleted is not None and self.deleted < as_of


def people_before(laws: Laws, day: int) -> int:
    """How many people have signed up before a day begins."""
    return count_before(PEOPLE_A_DAY * laws.scale, day)


def people_of(laws: Laws, day: int) -> list[Person]:
    """Who signs up on a day, in order."""
    numbers = range(people_before(laws, day), people_before(laws, day + 1))
    return [person(laws, number) for number in numbers]


def sign_up_day(laws: Laws, number: int) -> int:
    """The day on which a person signs up."""
    return day_of(PEOPLE_A_DAY * laws.scale, number)


@lru_cache(maxsize=65_536)
def person(laws: Laws, number: int) -> Person:
    """The person with this number."""
    dice = draws(laws, "person", number)
    day = sign_up_day(laws, number)
    order = number - people_before(laws, day)
    step = (DAY - 120) / max(1, people_before(laws, day + 1) - people_before(laws, day))
    created = day * DAY + int((order + dice.random()) * step)
    first, last = pick(dice, FIRST_NAMES), pick(dice, LAST_NAMES)
    profile = Profile(
        email=f"p{number}.{first.lower()}@customers.example",
        phone=f"+31 30 {int(dice.random() * 9e6 + 1e6)}" if dice.random() < 0.4 else None,
        place=pick(dice, PLACES),
        plan=pick(dice, PLANS),
    )
    deleted = created + int((20 + 500 * dice.random()) * DAY) if dice.random() < 0.25 else None
    return Person(
        number=number,
        created=created,
        crm_id=f"0015i{number:06d}{int(dice.random() * 9000 + 1000)}",
        name=f"{first} {last}",
        company=f"{last} {pick(dice, TRADES)}" if dice.random() < 0.6 else None,
        profile=profile,
        changes=_changes(dice, number, created, deleted),
        deleted=_not_late_at_night(deleted) if deleted else None,
    )


def _changes(dice: random.Random, number: int, created: int, deleted: int | None) -> tuple[Change, ...]:
    changes: list[Change] = []
    time = created + int((8 + 150 * dice.random()) * DAY)
    while len(changes) < 12 and not (deleted and time >= deleted - DAY):
        field = pick(dice, ("email", "phone", "place", "plan", "plan"))
        changes.append(Change(_not_late_at_night(time), field, _new_value(dice, field, f"{number}.{len(changes)}")))
        time += int((8 + 150 * dice.random()) * DAY)
    return tuple(changes)


def _new_value(dice: random.Random, field: str, name: str) -> str | Place:
    if field == "email":
        return f"p{name}@moved.example"
    if field == "phone":
        return f"+44 113 {int(dice.random() * 9e6 + 1e6)}"
    return pick(dice, PLACES) if field == "place" else pick(dice, PLANS)


def _not_late_at_night(time: int) -> int:
    # An export holds back its last minute: a change in the last minute before a midnight would be invisible there.
    return min(time, (time // DAY + 1) * DAY - 121)


def someone(laws: Laws, dice: random.Random, time: int) -> Person | None:
    """A person who signed up before the day of `time` and is still there; None where nobody is."""
    count = people_before(laws, time // DAY)
    begin = int(dice.random() * count)
    candidates = (person(laws, (begin + step) % count) for step in range(count))
    return next((one for one in candidates if not one.gone(time + DAY)), None)
