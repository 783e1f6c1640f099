"""Endpoints of no vendor: for sizes, for next links, for GraphQL, and one that gives secrets back.

/big/flat?rows=N                       JSONL of flat events
/big/csv?rows=N, /big/xml?rows=N       the same events as CSV and as XML
/big/array?bytes=N&record_bytes=M      one JSON body of about N bytes
/links/v1/items?page=2[&relative=1][&next_origin=http://…]
/graphql                               items(first, after) { nodes { … } pageInfo { … } }
/echo/v1/items                         records and a next link that hold the caller's secrets
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any
from urllib.parse import urlencode

from ingest_assets.sandbox import stripe
from ingest_assets.sandbox.answers import Answer, Api, Asked, answered, bearer
from ingest_assets.sandbox.credentials import ECHO_KEY, STRIPE_KEY

PREFIXES = ("/big/", "/links/", "/graphql", "/echo/")
CHUNK_BYTES = 256 * 1024
_CSV_ROW = '{n},"event, or {n}",u-{who},{time},true,"a note of two lines:\r\nNA"\r\n'
_XML_ROW = '<event id="{n}"><name>event, or {n}</name><user id="u-{who}"/><time>{time}</time><ok>true</ok></event>'
ITEMS: tuple[dict[str, Any], ...] = tuple(
    {
        "id": f"item-{number:03d}",
        "name": f"Thing {number}",
        "price": number * 1.25,
        "owner": {"id": number % 5, "name": ("Ann", "Bo", "Cas", "Dee", None)[number % 5]},
        "tags": ["even"] if number % 2 == 0 else ["odd", "prime?"],
        "parts": [{"sku": f"s{number}-{part}", "qty": part + 1, "notes": ["ok"] * part} for part in range(number % 4)],
    }
    for number in range(57)
)
"""What the next links, GraphQL and the echo share: few records, with lists in lists."""


def credential(asked: Asked) -> str | Answer:
    """Whose key came with a request: as Stripe's; the echo takes its own, as bearer, in a header or in the query."""
    if not asked.path.startswith("/echo/"):
        return stripe.credential(asked)
    given = (bearer(asked.headers), asked.headers.get("x-api-key"), asked.one("api_key"))
    return "echo-key" if {ECHO_KEY, STRIPE_KEY} & set(given) else stripe.unauthorized("No API key, or a wrong one")


def answer(asked: Asked) -> Answer:
    """What these endpoints answer, by path."""
    pages = {
        "/big/flat": _flat,
        "/big/csv": _csv,
        "/big/xml": _xml,
        "/big/array": _array,
        "/links/v1/items": _links,
        "/graphql": _graphql,
        "/echo/v1/items": _echo,
    }
    page = pages.get(asked.path.rstrip("/"))
    return page(asked) if page else answered({"error": {"message": "Not found"}}, 404)


def _number(asked: Asked, name: str, default: int) -> int:
    value = asked.one(name) or ""
    return int(value) if value.isdigit() else default


def _flat(asked: Asked) -> Answer:
    return Answer(flat_rows(_number(asked, "rows", 1000)), media="application/x-ndjson")


def flat_rows(rows: int) -> Iterator[bytes]:
    """So many flat events as JSONL, in pieces."""
    for begin in range(0, rows, 1000):
        yield "".join(
            [
                f'{{"id":{n},"name":"event {n % 17}","user_id":"u-{n % 9973}","time":{1_760_000_000 + n},'
                f'"amount":{n % 1000}.{n % 100:02d},"ok":{"true" if n % 3 else "false"},"country":"NL",'
                f'"ref":{n * 7 if n % 5 else "null"},"path":"/p/{n % 301}"}}\n'
                for n in range(begin, min(begin + 1000, rows))
            ]
        ).encode()


def _csv(asked: Asked) -> Answer:
    rows = _number(asked, "rows", 1000)
    return Answer(chain([b"id,name,user_id,time,ok,note\r\n"], _written(rows, _CSV_ROW)), media="text/csv")


def _xml(asked: Asked) -> Answer:
    rows = _number(asked, "rows", 1000)
    return Answer(chain([b"<events>"], _written(rows, _XML_ROW), [b"</events>"]), media="application/xml")


def _written(rows: int, form: str) -> Iterator[bytes]:
    for begin in range(0, rows, 1000):
        numbers = range(begin, min(begin + 1000, rows))
        yield "".join([form.format(n=n, who=n % 9973, time=1_760_000_000 + n) for n in numbers]).encode()


def _array(asked: Asked) -> Answer:
    return Answer(array_body(_number(asked, "bytes", 1_000_000), max(64, _number(asked, "record_bytes", 1000))))


def array_body(total_bytes: int, record_bytes: int) -> Iterator[bytes]:
    """One JSON body of about so many bytes, in pieces; a record that is longer than a piece is cut into pieces."""
    yield b'{"data":['
    padding = "x" * (record_bytes - 40)
    for begin, end in _spans(max(1, total_bytes // record_bytes), max(1, CHUNK_BYTES // record_bytes)):
        comma = "," if begin else ""
        records = ",".join([f'{{"id":{n},"payload":"{padding}"}}' for n in range(begin, end)])
        piece = (comma + records).encode()
        for cut in range(0, len(piece), 1024 * 1024):
            yield piece[cut : cut + 1024 * 1024]
    yield b'],"has_more":false}'


def _spans(total: int, size: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, total, size):
        yield begin, min(begin + size, total)


def _links(asked: Asked) -> Answer:
    page, size = _number(asked, "page", 1), max(1, _number(asked, "size", 10))
    begin = (page - 1) * size
    items = [] if asked.fault == "empty_page" else list(ITEMS[begin : begin + size])
    more = begin + size < len(ITEMS) or asked.fault is not None
    following = page if asked.fault == "repeated_cursor" else page + 1
    kept = {name: value for name in ("size", "relative", "next_origin") if (value := asked.one(name)) is not None}
    path = f"/links/v1/items?{urlencode({**kept, 'page': following})}"
    origin = asked.one("next_origin") or ("" if asked.one("relative") else asked.base)
    return answered({"items": items, "total": len(ITEMS), "next": f"{origin}{path}" if more else None})


def _graphql(asked: Asked) -> Answer:
    if asked.method != "POST" or "items" not in (asked.one("query") or ""):
        return answered({"errors": [{"message": "Must provide a query that asks for items."}]}, 400)
    first, after = _number(asked, "first", 10), asked.one("after")
    places = [place for place, item in enumerate(ITEMS) if item["id"] == after]
    if after is not None and not places:
        return answered({"errors": [{"message": f"Unknown cursor: {after}", "path": ["items"]}], "data": None})
    begin = places[0] + 1 if places else 0
    nodes = [] if asked.fault == "empty_page" else list(ITEMS[begin : begin + first])
    end = after if asked.fault == "repeated_cursor" or not nodes else nodes[-1]["id"]
    more = begin + first < len(ITEMS) or asked.fault is not None
    return answered({"data": {"items": {"nodes": nodes, "pageInfo": {"hasNextPage": more, "endCursor": end}}}})


def _echo(asked: Asked) -> Answer:
    page = _number(asked, "page", 1)
    key = asked.one("api_key") or asked.headers.get("x-api-key") or bearer(asked.headers) or ""
    seen = {
        "authorization": asked.headers.get("authorization"),
        "x_api_key": asked.headers.get("x-api-key"),
        "key": key,
    }
    items = [{**item, "seen": seen} for item in ITEMS[(page - 1) * 10 : page * 10]]
    following = f"{asked.base}/echo/v1/items?{urlencode({'page': page + 1, 'api_key': key})}"
    more = page * 10 < len(ITEMS)
    body = {"items": items, "next": following if more else None, "message": f"called with {key}"}
    return answered(body, headers={"X-Seen-Authorization": asked.headers.get("authorization", "")})


API = Api(
    prefix="",
    limits={},
    buckets=lambda _path, _who: (),
    credential=credential,
    expired=stripe.unauthorized(),
    broken=stripe.broken,
    throttled=stripe.throttled,
    answer=answer,
)
