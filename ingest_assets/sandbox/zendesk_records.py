"""Tickets and users: what happens to them, and how they look at a moment."""

from functools import lru_cache
from typing import Any, NamedTuple

from ingest_assets.sandbox.world import (
    DAY,
    Laws,
    Person,
    World,
    count_before,
    day_of,
    draws,
    iso,
    people_before,
    person,
    pick,
    seconds_of_day,
    someone,
)

TICKETS_A_DAY = 8.2
FIRST_TICKET = 30_000
FIRST_USER = 20_978_392_000
FIRST_AGENT = 90_000_235_323
AGENTS = ("Lotte Prins", "Ben Adeyemi", "Kaja Novak", "Ruth Levi", "Paul Ito", "Eva Sund", "Ned Shaw", "Mia Roth")
SUBJECTS = ("Invoice not visible", "Cannot log in", "Export is slow", "Wrong amount charged", "How do I add a seat?")

Json = dict[str, Any]


class Step(NamedTuple):
    """A change of a ticket. A silent one, made by an automation, moves `generated_timestamp` only."""

    time: int
    status: str
    silent: bool


class Ticket(NamedTuple):
    """A ticket with all that ever happens to it."""

    number: int
    created: int
    requester: Person
    subject: str
    channel: str
    steps: tuple[Step, ...]


def ticket_id(ticket: Ticket) -> int:
    """The id of a ticket."""
    return FIRST_TICKET + ticket.number


def ticket_day(laws: Laws, id_: int) -> int:
    """The day on which the ticket with this id is made."""
    return day_of(TICKETS_A_DAY * laws.scale, id_ - FIRST_TICKET)


@lru_cache(maxsize=1024)
def tickets_made(laws: Laws, day: int) -> tuple[Ticket, ...]:
    """The tickets of a day, oldest first."""
    rate = TICKETS_A_DAY * laws.scale
    numbers = range(count_before(rate, day), count_before(rate, day + 1))
    dice = draws(laws, "ticket", day)
    made = []
    for number, created in zip(numbers, seconds_of_day(dice, day, len(numbers)), strict=True):
        requester = someone(laws, dice, created)
        if requester is not None:
            subject, channel = pick(dice, SUBJECTS), pick(dice, ("web", "email", "api"))
            steps = [Step(created, "new", silent=False)]
            for status, silent, days in _plan(dice.random(), dice.random()):
                time = steps[-1].time + 60 + int(days * DAY * dice.random())
                steps.append(Step(_not_late(time), status, silent))
            made.append(Ticket(number, created, requester, subject, channel, tuple(steps)))
    return tuple(made)


def _not_late(time: int) -> int:
    # An export holds back its last minute: a change in the last minute before a midnight would be invisible there.
    return min(time, (time // DAY + 1) * DAY - 90)


def _plan(reopened: float, deleted: float) -> list[tuple[str, bool, float]]:
    """What becomes of a ticket: status, whether silently, and within how many days of the step before."""
    plan = [("open", False, 0.4), ("pending", False, 2.0), ("open", False, 3.0), ("solved", False, 9.0)]
    if reopened < 0.15:
        plan += [("open", False, 20.0), ("solved", False, 4.0)]
    if reopened < 0.9:
        plan += [("closed", True, 5.0)]
    if deleted < 0.05:
        cut = 2 + int(deleted * 20 * (len(plan) - 2))
        plan = [*plan[:cut], ("deleted", False, 12.0)]
    return plan


def steps_before(ticket: Ticket, as_of: int) -> list[Step]:
    """The changes of a ticket before a moment."""
    return [step for step in ticket.steps if step.time < as_of]


def generated(ticket: Ticket, as_of: int) -> int:
    """When a ticket was last changed at all before a moment, in Unix seconds."""
    return steps_before(ticket, as_of)[-1].time


def ticket(made: Ticket, as_of: int) -> Json:
    """A ticket as it is at a moment; one that was deleted has a thinner shape."""
    steps = steps_before(made, as_of)
    newest = steps[-1]
    updated = max(step.time for step in steps if not step.silent)
    id_ = ticket_id(made)
    agent = FIRST_AGENT + made.number % len(AGENTS)
    head: Json = {
        "url": f"https://acme.zendesk.com/api/v2/tickets/{id_}.json",
        "id": id_,
        "external_id": made.requester.crm_id if made.number % 3 == 0 else None,
        "created_at": iso(made.created),
        "updated_at": iso(updated),
        "generated_timestamp": newest.time,
        "status": newest.status,
        "requester_id": FIRST_USER + made.requester.number,
    }
    if newest.status == "deleted":
        scrubbed: Json = {"subject": "SCRUBBED", "priority": None, "assignee_id": None, "tags": [], "custom_fields": []}
        return {**head, "external_id": None, **scrubbed}
    fields = [{"id": 27642, "value": f"{made.number % 900}"}, {"id": 27648, "value": _answer_to_27648(made.number)}]
    return {
        **head,
        "via": _via(made),
        "type": pick_of(made.number, ("incident", "question", "task", None)),
        "subject": made.subject,
        "raw_subject": made.subject,
        "description": f"{made.subject}: seen {made.number % 5} times.\nThanks, {made.requester.name}",
        "priority": pick_of(made.number // 2, ("high", "normal", None, "low", "urgent")),
        "recipient": "support@acme.example" if made.channel == "email" else None,
        "submitter_id": head["requester_id"],
        "assignee_id": None if newest.status == "new" else agent,
        "organization_id": 509_000 + made.requester.number if made.requester.company else None,
        "group_id": 98_738,
        "collaborator_ids": [agent] if made.number % 4 == 0 else [],
        "follower_ids": [FIRST_AGENT, agent] if made.number % 6 == 0 else [],
        "email_cc_ids": [],
        "forum_topic_id": None,
        "problem_id": None,
        "has_incidents": False,
        "is_public": made.number % 10 != 0,
        "due_at": iso(made.created + 3 * DAY) if made.number % 4 == 2 else None,
        "tags": [tag for place, tag in enumerate(("billing", "vip", "längst", "beta")) if made.number >> place & 1],
        "custom_fields": fields,
        "fields": fields,
        "satisfaction_rating": _satisfaction(made, newest.status),
        "sharing_agreement_ids": [],
        "custom_status_id": 11,
        "followup_ids": [],
        "ticket_form_id": 2,
        "brand_id": 123,
        "allow_channelback": False,
        "allow_attachments": True,
        "from_messaging_channel": False,
    }


def pick_of(number: int, options: tuple[str | None, ...]) -> str | None:
    """The option that a number falls on."""
    return options[number % len(options)]


def _answer_to_27648(number: int) -> str | bool | list[str] | None:
    return (None, "yes", True, ["a", "b"])[number % 4]


def _via(made: Ticket) -> Json:
    if made.channel != "email":
        return {"channel": made.channel, "source": {"from": {}, "to": {}, "rel": None}}
    sender = {"address": made.requester.at(made.created).email, "name": made.requester.name}
    receiver = {"address": "support@acme.example", "name": "Acme"}
    return {"channel": "email", "source": {"from": sender, "to": receiver, "rel": None}}


def _satisfaction(made: Ticket, status: str) -> Json:
    if status not in {"solved", "closed"} or made.number % 3:
        return {"score": "unoffered"}
    return {"score": "good", "id": 7_000_000 + made.number, "comment": "Quick!" if made.number % 2 else None}


@lru_cache(maxsize=4)
def ticket_index(world: World) -> tuple[tuple[int, int], ...]:
    """The order of the tickets export: (generated_timestamp, id) of each ticket's newest state."""
    visible = world.now - 60  # the newest minute is held back
    return tuple(
        sorted(
            (generated(ticket, visible), ticket_id(ticket))
            for day in range(world.first_day, world.today)
            for ticket in tickets_made(world.laws, day)
        )
    )


def ticket_by_id(world: World, id_: int) -> Ticket | None:
    """The ticket with this id, or None."""
    if id_ < FIRST_TICKET:
        return None
    day = ticket_day(world.laws, id_)
    if not world.first_day <= day < world.today:
        return None
    return next((one for one in tickets_made(world.laws, day) if ticket_id(one) == id_), None)


def user_ids(world: World) -> list[int]:
    """The ids of all users that a list shows, in order: people who were not deleted, then agents."""
    numbers = range(people_before(world.laws, world.today))
    there = [FIRST_USER + number for number in numbers if not person(world.laws, number).gone(world.now)]
    return there + [FIRST_AGENT + number for number in range(len(AGENTS))]


def user_by_id(world: World, id_: int) -> Json | None:
    """The user with this id, deleted ones too, or None."""
    if 0 <= id_ - FIRST_AGENT < len(AGENTS):
        return _agent(id_ - FIRST_AGENT)
    number = id_ - FIRST_USER
    if 0 <= number < people_before(world.laws, world.today):
        return user(person(world.laws, number), world.now)
    return None


@lru_cache(maxsize=4)
def user_index(world: World) -> tuple[tuple[int, int], ...]:
    """The order of the users export: (time of the last change, id), deleted users too."""
    people = (person(world.laws, number) for number in range(people_before(world.laws, world.today)))
    agents = [(AGENTS_SINCE, FIRST_AGENT + number) for number in range(len(AGENTS))]
    return tuple(sorted([(one.updated(world.now), FIRST_USER + one.number) for one in people] + agents))


AGENTS_SINCE = 1_704_096_000


def user(one: Person, as_of: int) -> Json:
    """A user as it is at a moment: `external_id` is the CRM's id of the person."""
    profile = one.at(as_of)
    fields = {"plan": profile.plan, "seats": one.number % 40} if one.number % 5 else {"plan": profile.plan}
    return _user(FIRST_USER + one.number, one.name, profile.email, one.created, one.updated(as_of)) | {
        "time_zone": profile.place.zone_name,
        "iana_time_zone": profile.place.zone,
        "phone": profile.phone,
        "shared_phone_number": None if profile.phone is None else False,
        "locale": profile.place.locale,
        "organization_id": 509_000 + one.number if one.company else None,
        "role": "end-user",
        "external_id": one.crm_id,
        "tags": ["vip"] if profile.plan == "gold" else [],
        "active": not one.gone(as_of),
        "last_login_at": iso(one.updated(as_of)) if one.number % 4 else None,
        "user_fields": fields,
    }


def _agent(number: int) -> Json:
    email = f"{AGENTS[number].split()[0].lower()}@acme.example"
    return _user(FIRST_AGENT + number, AGENTS[number], email, AGENTS_SINCE, AGENTS_SINCE) | {
        "role": "admin" if number == 0 else "agent",
        "alias": AGENTS[number].split()[0],
        "moderator": True,
        "restricted_agent": False,
        "ticket_restriction": None,
        "two_factor_auth_enabled": True,
        "default_group_id": 98_738,
        "role_type": 4,
        "signature": "Kind regards",
    }


def _user(id_: int, name: str, email: str, created: int, updated: int) -> Json:
    return {
        "id": id_,
        "url": f"https://acme.zendesk.com/api/v2/users/{id_}.json",
        "name": name,
        "email": email,
        "created_at": iso(created),
        "updated_at": iso(updated),
        "time_zone": "Amsterdam",
        "iana_time_zone": "Europe/Amsterdam",
        "phone": None,
        "shared_phone_number": None,
        "photo": None,
        "locale_id": 1,
        "locale": "en-US",
        "organization_id": None,
        "role": "end-user",
        "verified": True,
        "external_id": None,
        "tags": [],
        "alias": None,
        "active": True,
        "shared": False,
        "shared_agent": False,
        "last_login_at": None,
        "two_factor_auth_enabled": None,
        "signature": None,
        "details": None,
        "notes": None,
        "role_type": None,
        "custom_role_id": None,
        "moderator": False,
        "ticket_restriction": "requested",
        "only_private_comments": False,
        "restricted_agent": True,
        "suspended": False,
        "default_group_id": None,
        "report_csv": False,
        "user_fields": {},
    }
