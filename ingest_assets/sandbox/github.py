"""GitHub's REST API as its sheet tells, for the issues of one public repository, asked without a token."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from ingest_assets.sandbox.answers import Answer, Api, Asked, Room, answered, encode
from ingest_assets.sandbox.github_records import NAME, OWNER, REPOSITORY_ID, closed, issues, record, updated
from ingest_assets.sandbox.world import World

PREFIX = "/github"
DOCS = "https://docs.github.com/rest"
KNOWN = {"state", "since", "sort", "direction", "per_page", "page", "labels", "assignee", "creator", "milestone"}


def credential(asked: Asked) -> str | Answer:
    """Anyone, by address; a user agent has to be said."""
    if not asked.headers.get("user-agent"):
        return failed(403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent")
    return "anyone"


def failed(status: int, message: str) -> Answer:
    """An error in the API's envelope."""
    return answered({"message": message, "documentation_url": DOCS, "status": str(status)}, status)


def answer(asked: Asked) -> Answer:
    """What the API answers, by path."""
    found = re.fullmatch(rf"/(?:repos/{OWNER}/{NAME}|repositories/{REPOSITORY_ID})/issues", asked.path)
    if asked.path.startswith(f"/repos/{OWNER}/lights/"):  # its name before it was renamed
        location = f"{asked.base}{PREFIX}/repositories/{REPOSITORY_ID}/issues?{_query(asked)}"
        moved = failed(301, "Moved Permanently")
        return Answer(moved.body, 301, {"Location": location})
    if found is None or asked.method != "GET":
        return failed(404, "Not Found")
    for name, allowed in (
        ("state", "open closed all"),
        ("sort", "created updated comments"),
        ("direction", "asc desc"),
    ):
        if (value := asked.one(name)) is not None and value not in allowed.split():
            return failed(422, f"Validation Failed: {name}")
    return _issues(asked)


def _issues(asked: Asked) -> Answer:
    size = min(100, _number(asked, "per_page", 30))
    page = _number(asked, "page", 1)
    if asked.fault == "empty_page":
        return Answer(b"[]", headers={"Link": _link(asked, page + 1, "next")})
    found = select(asked.world, asked.query)
    shown = found[(page - 1) * size : page * size]
    last = max(1, -(-len(found) // size))
    links = []
    if page > 1:
        links += [_link(asked, page - 1, "prev"), _link(asked, 1, "first")]
    if page < last:
        upcoming = page if asked.fault == "repeated_cursor" else page + 1
        links += [_link(asked, upcoming, "next"), _link(asked, last, "last")]
    return Answer(encode(shown), headers={"Link": ", ".join(links)} if links else {})


def select(world: World, query: Mapping[str, list[str]]) -> list[dict[str, object]]:
    """The issues that a query asks for, in its order."""
    state, since = query.get("state", ["open"])[0], query.get("since", [""])[0]
    if since.startswith("1970-01-01"):
        return []  # the API's own oddity
    lower = int(datetime.fromisoformat(since).replace(tzinfo=UTC).timestamp()) if since else 0
    chosen = [
        issue
        for issue in issues(world)
        if updated(issue, world.now) >= lower
        and (state == "all" or (closed(issue, world.now) is None) == (state == "open"))
    ]
    if query.get("sort", ["created"])[0] == "updated":
        chosen.sort(key=lambda issue: (updated(issue, world.now), issue.number))
    if query.get("direction", ["desc"])[0] == "desc":
        chosen.reverse()
    return [record(issue, world.now) for issue in chosen]


def _number(asked: Asked, name: str, usual: int) -> int:
    value = asked.one(name) or ""
    return max(1, int(value)) if value.isdigit() else usual


def _query(asked: Asked, **over: object) -> str:
    return urlencode({**{name: values[0] for name, values in asked.query.items()}, **over})


def _link(asked: Asked, page: int, rel: str) -> str:
    """One link of RFC 8288; as the API does, by the repository's number and not its name."""
    url = f"{asked.base}{PREFIX}/repositories/{REPOSITORY_ID}/issues?{_query(asked, page=page)}"
    return f'<{url}>; rel="{rel}"'


def throttled(_asked: Asked, _bucket: str, wait: float | None) -> Answer:
    """The allowance is used up: a 403, which says when it is renewed; a Retry-After only where a fault asks for it."""
    told = failed(403, "API rate limit exceeded for 127.0.0.1.")
    if wait is not None:
        return Answer(told.body, 403, {"Retry-After": f"{wait:.0f}"})
    return Answer(told.body, 403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 2)})


def rate_headers(rooms: Mapping[str, Room]) -> dict[str, str]:
    """What is left of the hour's allowance."""
    room = rooms["github"]
    return {
        "x-ratelimit-limit": str(room.limit),
        "x-ratelimit-remaining": str(room.remaining),
        "x-ratelimit-used": str(room.limit - room.remaining),
        "x-ratelimit-reset": str(int(time.time() + room.reset)),
        "x-ratelimit-resource": "core",
    }


API = Api(
    prefix=PREFIX,
    limits={"github": (60, 3600.0)},
    buckets=lambda _path, _who: ("github",),
    credential=credential,
    expired=failed(401, "Bad credentials"),
    broken=lambda _asked, status: failed(status, "Server Error"),
    throttled=throttled,
    answer=answer,
    rate_headers=rate_headers,
)
