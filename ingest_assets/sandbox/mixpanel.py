"""Mixpanel as its sheet tells: the export of whole days as JSONL, profiles by session and page, the limits."""

import math
import zlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import msgspec

from ingest_assets.sandbox.answers import Answer, Api, Asked, answered, basic, encode
from ingest_assets.sandbox.credentials import MIXPANEL_PROJECT, MIXPANEL_SECRET, MIXPANEL_USER
from ingest_assets.sandbox.mixpanel_records import exported, profiles
from ingest_assets.sandbox.world import DAY, World, midnight

PAGE_SIZE = 1000
LIMIT_MAX = 100_000


def credential(asked: Asked) -> str | Answer:
    """Whose service account came with a request, together with its project."""
    if basic(asked.headers) != (MIXPANEL_USER, MIXPANEL_SECRET):
        return unauthorized()
    project = asked.one("project_id")
    if project is None:
        return failed(asked.path, 400, "Unable to authenticate request: project_id is a required parameter")
    if project != MIXPANEL_PROJECT:
        return failed(asked.path, 403, "User is not a member of this project")
    return "mixpanel-service-account"


def failed(path: str, status: int, message: str) -> Answer:
    """An error in the API's own words."""
    return answered({"error": message, "request": path, "status": "error"}, status)


def unauthorized(message: str = "Invalid service account credentials") -> Answer:
    """The answer to a credential that is missing, wrong or expired."""
    return failed("", 401, message)


def broken(asked: Asked, status: int) -> Answer:
    """A passing failure of the API itself."""
    return failed(asked.path, status, "Internal server error")


def throttled(asked: Asked, bucket: str, wait: float | None) -> Answer:
    """A 429; the limit of a second tells no time to wait."""
    answer = failed(asked.path, 429, "Query rate limit exceeded")
    told = wait is not None and (bucket != "mixpanel.export.second" or wait > 1)
    return replace(answer, headers={"Retry-After": f"{math.ceil(wait or 0)}"} if told else {})


def buckets(path: str, _who: str) -> tuple[str, ...]:
    """The limits that a path counts in."""
    return ("mixpanel.export.hour", "mixpanel.export.second") if path.endswith("/export") else ("mixpanel.query",)


def answer(asked: Asked) -> Answer:
    """What the API answers, by path."""
    if asked.path == "/api/2.0/export":
        return _export(asked) if asked.method == "GET" else failed(asked.path, 405, "Method not allowed")
    if asked.path in {"/api/query/engage", "/api/2.0/engage"}:
        return _engage(asked) if asked.method == "POST" else failed(asked.path, 405, "Method not allowed")
    return failed(asked.path, 404, "Not found")


def _export(asked: Asked) -> Answer:
    first, last = _day(asked, "from_date"), _day(asked, "to_date")
    if first is None or last is None:
        return failed(asked.path, 400, "from_date and to_date are required, as YYYY-MM-DD")
    if first > last:
        return failed(asked.path, 400, "from_date cannot be later than to_date")
    if last > asked.world.today:
        return failed(asked.path, 400, "to_date cannot be later than today")
    if "where" in asked.query:
        return failed(asked.path, 400, "where is not understood by this sandbox")
    names, limit = _names(asked), asked.one("limit")
    if names == () or (limit is not None and not (limit.isdigit() and 0 < int(limit) <= LIMIT_MAX)):
        return failed(asked.path, 400, "event must be a JSON list of names, limit an integer up to 100000")
    if asked.fault == "empty_page":
        return Answer(b"", media="text/plain", gzip=True)
    chunks = _chunks(asked, range(max(first, asked.world.first_day), last + 1), names, int(limit) if limit else None)
    return Answer(chunks, media="text/plain", gzip=True)


def terminated(body: bytes) -> bytes:
    r"""The first half of an export's lines, and the line that ends one which was given up.

    >>> terminated(b'{"event":"A"}\n{"event":"B"}\n')
    b'{"event":"A"}\nterminated early\n'
    """
    lines = body.splitlines(keepends=True)
    return b"".join([*lines[: len(lines) // 2], b"terminated early\n"])


def _day(asked: Asked, name: str) -> int | None:
    try:
        return midnight(date.fromisoformat(asked.one(name) or "")) // DAY
    except ValueError:
        return None


def _names(asked: Asked) -> tuple[str, ...] | None:
    """The events asked for: None for all, and nothing where the parameter is no list of names."""
    text = asked.one("event")
    if text is None:
        return None
    try:
        return tuple(msgspec.json.decode(text, type=list[str]))
    except msgspec.DecodeError:
        return ()


def _chunks(asked: Asked, days: range, names: tuple[str, ...] | None, limit: int | None) -> Iterator[bytes]:
    left = limit
    for day in days:
        records = [one.record for one in exported(asked.world, day) if names is None or one.name in names]
        if asked.one("time_in_ms") == "true":
            records = [
                {**one, "properties": {**one["properties"], "time": one["properties"]["time"] * 1000}}
                for one in records
            ]
        records = records[:left]
        if left is not None:
            left -= len(records)
        for begin in range(0, len(records), 500):
            yield b"".join([encode(record) + b"\n" for record in records[begin : begin + 500]])


def _engage(asked: Asked) -> Answer:
    if "where" in asked.query:
        return failed(asked.path, 400, "where is not understood by this sandbox")
    page, session = asked.one("page"), asked.one("session_id")
    if (page is None) != (session is None):
        return failed(asked.path, 400, "session_id and page belong together")
    then = _world_of(asked.world, session) if session else asked.world
    if then is None or (page is not None and not page.isdigit()):
        return failed(asked.path, 400, "invalid session_id or page")
    number = int(page or 0)
    found = profiles(then)
    begin = PAGE_SIZE * (max(0, number - 1) if asked.fault == "repeated_cursor" else number)
    results = [] if asked.fault == "empty_page" else found[begin : begin + PAGE_SIZE]
    body = {
        "page": number,
        "page_size": PAGE_SIZE,
        "session_id": session or _session(then),
        "status": "ok",
        **({"total": len(found)} if page is None else {}),
        "results": results,
    }
    return answered(body)


def _session(world: World) -> str:
    """A session: the moment whose profiles it goes through, so that its pages fit together for ever."""
    return f"{world.now}-{zlib.crc32(b'%d/%d' % (world.laws.seed, world.now)):08x}"


def _world_of(world: World, session: str) -> World | None:
    moment = session.partition("-")[0]
    if not moment.isdigit() or int(moment) > world.now:
        return None
    then = replace(world, now=int(moment))
    return then if _session(then) == session else None


API = Api(
    prefix="/mixpanel",
    limits={
        "mixpanel.export.hour": (60, 3600.0),
        "mixpanel.export.second": (3, 1.0),
        "mixpanel.query": (60, 3600.0),
    },
    buckets=buckets,
    credential=credential,
    expired=unauthorized(),
    broken=broken,
    throttled=throttled,
    answer=answer,
    tells_wait=True,
)
