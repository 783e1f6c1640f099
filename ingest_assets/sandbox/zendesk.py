"""Zendesk as its sheet tells: the incremental exports by cursor, users as a cursor or offset list, the limits."""

import base64
import binascii
import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from ingest_assets.sandbox.answers import Answer, Api, Asked, Room, answered, basic, bearer
from ingest_assets.sandbox.credentials import ZENDESK_BEARER, ZENDESK_EMAIL, ZENDESK_TOKEN
from ingest_assets.sandbox.world import World
from ingest_assets.sandbox.zendesk_records import (
    ticket,
    ticket_by_id,
    ticket_index,
    user_by_id,
    user_ids,
    user_index,
)

PREFIX = "/zendesk/api/v2"
EXPORT_PAGE = 1000
OFFSET_CAP = 10_000


class Place(NamedTuple):
    """Where an export stands: after the record of this time and id; `turn` tells apart cursors of one place."""

    time: int
    id: int
    turn: int = 0


def credential(asked: Asked) -> str | Answer:
    """Whose credential came with a request: Basic with email/token, or bearer."""
    if basic(asked.headers) == (f"{ZENDESK_EMAIL}/token", ZENDESK_TOKEN):
        return "zendesk-token"
    if bearer(asked.headers) == ZENDESK_BEARER:
        return "zendesk-oauth"
    return unauthorized()


def unauthorized(message: str = "Couldn't authenticate you") -> Answer:
    """The answer to a credential that is missing, wrong or expired."""
    return answered({"error": message}, 401, {"WWW-Authenticate": 'Basic realm="Web Password"'})


def broken(_asked: Asked, status: int) -> Answer:
    """A passing failure of the API itself."""
    return answered({"error": "InternalError", "description": "Something went wrong"}, status)


def throttled(_asked: Asked, _bucket: str, wait: float | None) -> Answer:
    """A 429 with the seconds to wait."""
    body = {"error": "APIRateLimitExceeded", "description": "Number of allowed API requests per minute exceeded"}
    return answered(body, 429, {"Retry-After": f"{max(0, math.ceil(1 if wait is None else wait))}"})


def buckets(path: str, _who: str) -> tuple[str, ...]:
    """The limits that a path counts in."""
    return ("zendesk.account", "zendesk.export") if path.startswith("/incremental/") else ("zendesk.account",)


def rate_headers(rooms: Mapping[str, Room]) -> dict[str, str]:
    """What the API tells of its limits: the account's, and the tightest of those that a request counts in."""
    account, tightest = rooms["zendesk.account"], min(rooms.values(), key=lambda room: room.remaining)
    return {
        "X-Rate-Limit": f"{account.limit}",
        "X-Rate-Limit-Remaining": f"{account.remaining}",
        "ratelimit-limit": f"{tightest.limit}",
        "ratelimit-remaining": f"{tightest.remaining}",
        "ratelimit-reset": f"{math.ceil(tightest.reset)}",
    }


def headers(_asked: Asked, number: int) -> dict[str, str]:
    """The headers that every answer carries."""
    return {"X-Request-Id": f"{number:032x}", "X-Zendesk-Api-Version": "v2"}


def answer(asked: Asked) -> Answer:
    """What the API answers, by path; a `.json` at its end changes nothing."""
    path = asked.path.strip("/").removesuffix(".json")
    if asked.method != "GET":
        return missing()
    if path in {"incremental/tickets/cursor", "incremental/users/cursor"}:
        return _export(asked, path.split("/")[1])
    if path == "users":
        offset = "page" in asked.query or "per_page" in asked.query
        return _users_by_offset(asked) if offset else _users_by_cursor(asked)
    collection, _, id_ = path.partition("/")
    if collection in {"users", "tickets"} and id_.isdigit():
        return _one(asked.world, collection, int(id_))
    return missing()


def missing() -> Answer:
    """A 404 in the API's words."""
    return answered({"error": "RecordNotFound", "description": "Not found"}, 404)


def invalid(name: str, why: str) -> Answer:
    """A 400, in the second of the API's two error shapes."""
    message = f"You passed an invalid value for the {name} attribute. {why}"
    return answered({"error": {"title": "Invalid attribute", "message": message}}, 400)


def unprocessable(field: str, description: str) -> Answer:
    """A 422 with details by field."""
    details = {field: [{"type": "invalid", "description": description, "error": "InvalidValue"}]}
    return answered({"error": "RecordInvalid", "description": description, "details": details}, 422)


def _one(world: World, collection: str, id_: int) -> Answer:
    if collection == "users":
        found = user_by_id(world, id_)
    else:
        made = ticket_by_id(world, id_)
        found = ticket(made, world.now) if made else None
        found = None if found and found["status"] == "deleted" else found
    return answered({collection[:-1]: found}) if found else missing()


def _export(asked: Asked, what: str) -> Answer:
    place = _begin(asked)
    if isinstance(place, Answer):
        return place
    size = _positive(asked, "per_page", EXPORT_PAGE)
    if size is None:
        return invalid("per_page", "It must be a positive integer.")
    index = ticket_index(asked.world) if what == "tickets" else user_index(asked.world)
    begin = bisect_right(index, (place.time, place.id))
    entries = [] if asked.fault == "empty_page" else list(index[begin : begin + min(size, EXPORT_PAGE)])
    after = Place(*entries[-1]) if entries else place._replace(turn=place.turn + (asked.fault == "empty_page"))
    if asked.fault == "repeated_cursor":
        after = place
    end = begin + len(entries) >= len(index) and asked.fault is None
    return answered(_envelope(asked, what, _records(asked, what, entries), cursor_of(after), end=end))


def _records(asked: Asked, what: str, entries: list[tuple[int, int]]) -> list[dict[str, Any]]:
    if what == "users":
        return [found for _, id_ in entries if (found := user_by_id(asked.world, id_))]
    visible = asked.world.now - 60
    records = [ticket(made, visible) for _, id_ in entries if (made := ticket_by_id(asked.world, id_))]
    # Deleted rows leave a page after it is cut: this is how an empty page comes before the end.
    keep_deleted = asked.one("exclude_deleted") != "true"
    return [record for record in records if keep_deleted or record["status"] != "deleted"]


def _envelope(asked: Asked, what: str, records: list[dict[str, Any]], after: str, *, end: bool) -> dict[str, Any]:
    kept = {name: value for name in ("per_page", "exclude_deleted") if (value := asked.one(name)) is not None}
    query = urlencode({"cursor": after, **kept})
    return {
        what: records,
        "after_url": f"{asked.base}{PREFIX}/incremental/{what}/cursor.json?{query}",
        "after_cursor": after,
        "before_url": None,
        "before_cursor": None,
        "end_of_stream": end,
    }


def _begin(asked: Asked) -> Place | Answer:
    cursor, start = asked.one("cursor"), asked.one("start_time")
    if cursor is not None and start is not None:
        return invalid("start_time", "Only the first request carries it, a later one carries cursor.")
    if cursor is not None:
        return place_of(cursor) or invalid("cursor", "It is not a cursor of this export.")
    if start is None or not start.isdigit():
        return invalid("start_time", "Invalid parameter: start_time must be an integer of Unix seconds.")
    if int(start) > asked.world.now - 60:
        return unprocessable("start_time", "Too recent start_time. Use a start_time older than 60 seconds")
    return Place(int(start) - 1, 1 << 62)


def cursor_of(place: Place) -> str:
    """A place as the opaque text that the API gives out.

    >>> place_of(cursor_of(Place(1767631211, 35436)))
    Place(time=1767631211, id=35436, turn=0)
    """
    return base64.b64encode(f"{place.time}.{place.turn}||{place.id}|".encode()).decode()


def place_of(cursor: str) -> Place | None:
    """The place that a cursor stands for, or None where it is none."""
    try:
        moment, _, id_ = base64.b64decode(cursor, validate=True).decode().rstrip("|").partition("||")
        time, _, turn = moment.partition(".")
        return Place(int(time), int(id_), int(turn))
    except (binascii.Error, ValueError):
        return None


def _positive(asked: Asked, name: str, default: int) -> int | None:
    value = asked.one(name)
    if value is None:
        return default
    return int(value) if value.isdigit() and int(value) > 0 else None


def _users_by_cursor(asked: Asked) -> Answer:
    size, after = _positive(asked, "page[size]", 100), asked.one("page[after]")
    if size is None or size > 100:
        return invalid("page[size]", "It must be an integer from 1 to 100.")
    place = place_of(after) if after else Place(0, 0)
    if place is None:
        return invalid("page[after]", "It is not a cursor of this list.")
    ids = user_ids(asked.world)
    begin = bisect_right(ids, place.id)
    page = [] if asked.fault == "empty_page" else ids[begin : begin + size]
    last = Place(0, page[-1]) if page else place._replace(turn=place.turn + 1)
    cursor = cursor_of(place if asked.fault == "repeated_cursor" else last)
    more = begin + size < len(ids) or asked.fault is not None
    url = f"{asked.base}{PREFIX}/users.json?page%5Bsize%5D={size}"
    body = {
        "users": [user_by_id(asked.world, id_) for id_ in page],
        "meta": {"has_more": more, "after_cursor": cursor if more else None, "before_cursor": None},
        "links": {"prev": None, "next": f"{url}&page%5Bafter%5D={quote(cursor, safe='')}" if more else None},
    }
    return answered(body)


def _users_by_offset(asked: Asked) -> Answer:
    page, size = _positive(asked, "page", 1), _positive(asked, "per_page", 100)
    if page is None or size is None:
        return invalid("page", "It must be a positive integer.")
    size = min(size, 100)
    if (page - 1) * size >= OFFSET_CAP:
        return invalid("page", "Limit of 10,000 records reached. Use cursor pagination.")
    ids = user_ids(asked.world)
    begin = (page - 1) * size
    url = f"{asked.base}{PREFIX}/users.json?per_page={size}&page="
    body = {
        "users": [user_by_id(asked.world, id_) for id_ in ids[begin : begin + size]],
        "next_page": f"{url}{page + 1}" if begin + size < len(ids) else None,
        "previous_page": f"{url}{page - 1}" if page > 1 else None,
        "count": len(ids),
    }
    return answered(body)


API = Api(
    prefix=PREFIX,
    limits={"zendesk.account": (700, 60.0), "zendesk.export": (10, 60.0)},
    buckets=buckets,
    credential=credential,
    expired=unauthorized(),
    broken=broken,
    throttled=throttled,
    answer=answer,
    tells_wait=True,
    rate_headers=rate_headers,
    headers=headers,
)
