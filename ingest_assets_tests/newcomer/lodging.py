"""A made-up booking system's API, written as such products are: the newcomer's tests ingest it by a file of their own.

    GET /v2/properties                       an array, pages by a Link header
    GET /v2/properties/{id}/rooms            the same, of one property
    GET /v2/bookings?updated_from&updated_to&page&per_page      {"data": {"bookings": [...]}, "meta": {...}}

Requests carry `X-Api-Key`. Bounds need an offset; `updated_to` is exclusive. Every 7th request is put off with 429.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

KEY = "lk_live_5f0c2e9ab7"
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
DAYS = 4
EVERY_SO_MANY_PUT_OFF = 7
CHANNELS = ("web", "phone", "partner")

PROPERTIES = [
    {"id": f"prop_{n}", "name": name, "address": {"street": street, "city": city, "country": "NL", "geo": geo}}
    for n, (name, street, city, geo) in enumerate(
        [
            ("Het Oude Postkantoor", "Singel 250", "Amsterdam", {"lat": "52.3731", "lng": "4.8897"}),
            ("De Graanschuur", "Oudegracht 12", "Utrecht", {"lat": "52.0907", "lng": "5.1214"}),
            ("Zeezicht", "Boulevard 3", "Zandvoort", None),
        ],
        start=1,
    )
]
ROOMS = {
    home["id"]: [
        {"number": n, "beds": 1 + n % 3, "rate": f"{79 + 5 * n}.50", "amenities": ["wifi", "desk"][: n % 3]}
        for n in range(1, 3 + 2 * len(str(home["name"])) % 5)
    ]
    for home in PROPERTIES
}


def booking(number: int, first: datetime) -> dict[str, Any]:
    """The nth booking: three an hour, each in its own offset, every ninth of them gone."""
    updated = first + timedelta(minutes=20 * number, microseconds=1000 * number)
    local = updated.astimezone(timezone(timedelta(hours=number % 3)))
    return {
        "id": f"bk_{number:05}",
        "property_id": f"prop_{1 + number % 3}",
        "updated_at": local.isoformat(timespec="milliseconds"),
        "check_in": (updated + timedelta(days=14)).strftime("%d-%m-%Y"),
        "total": {"amount": f"{120 + number}.{number % 100:02}", "currency": "EUR"},
        "channel": CHANNELS[number % 3],
        "guests": [
            {"name": f"Guest {number}.{place}", "adult": place < 2, "tags": ["vip"] if number % 10 == 0 else []}
            for place in range(1 + number % 3)
        ],
        "note": "late arrival" if number % 4 == 0 else None,
        "is_deleted": number % 9 == 8,
    }


class Refused(Exception):
    """An answer other than 200: its status and what it says."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, {"error": {"code": code, "message": message}})


def bound(asked: dict[str, str], name: str) -> datetime:
    """The bound of this name; 422 where it is missing or no time with an offset."""
    try:
        found = datetime.fromisoformat(asked[name])
    except (KeyError, ValueError):
        raise Refused(422, "invalid_parameter", f"{name} must be an ISO 8601 time") from None
    if found.tzinfo is None:
        raise Refused(422, "invalid_parameter", f"{name} needs an offset")
    return found


def number(asked: dict[str, str], name: str, default: int) -> int:
    """A parameter that is a number from 1; 422 where it is none."""
    text = asked.get(name, str(default))
    if not text.isdigit() or int(text) < 1:
        raise Refused(422, "invalid_parameter", f"{name} must be a number from 1")
    return int(text)


class Api(BaseHTTPRequestHandler):
    """One request to the booking system."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_GET(self) -> None:
        """Answers, or says why not."""
        headers: dict[str, str] = {}
        try:
            status, body = 200, self.answer(headers)
        except Refused as refused:
            status, body = refused.args
            if status == 429:
                headers["Retry-After"] = "0"
        sent = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(sent)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    def answer(self, headers: dict[str, str]) -> Any:
        """The body of this request; headers are added to the given ones."""
        url = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        self.server.count(self.path)
        if self.headers.get("X-Api-Key") != KEY:
            raise Refused(401, "unauthorized", "unknown API key")
        if url.path == "/v2/bookings":
            return self.bookings(asked)
        if url.path == "/v2/properties":
            return self.linked(PROPERTIES, url.path, asked, headers)
        if (of_home := re.fullmatch(r"/v2/properties/([^/]+)/rooms", url.path)) and of_home[1] in ROOMS:
            return self.linked(ROOMS[of_home[1]], url.path, asked, headers)
        raise Refused(404, "not_found", "no such resource")

    def bookings(self, asked: dict[str, str]) -> Any:
        """Those updated from and before, a page of them."""
        since, until = bound(asked, "updated_from"), bound(asked, "updated_to")
        found = [one for one in self.server.bookings if since <= datetime.fromisoformat(one["updated_at"]) < until]
        page, size = number(asked, "page", 1), min(number(asked, "per_page", 20), 50)
        meta = {"page": page, "per_page": size, "total_pages": -(-len(found) // size), "total_count": len(found)}
        return {"data": {"bookings": found[(page - 1) * size : page * size]}, "meta": meta}

    def linked(self, all_: list[Any], path: str, asked: dict[str, str], headers: dict[str, str]) -> list[Any]:
        """A page of a listing, and the header that leads to the next."""
        page, size = number(asked, "page", 1), number(asked, "per_page", 2)
        if page * size < len(all_):
            query = urlencode({"page": page + 1, "per_page": size})
            headers["Link"] = f'<{self.server.url}{path}?{query}>; rel="next"'
        return all_[(page - 1) * size : page * size]

    def log_message(self, *_: object) -> None:
        """Tells nothing; the server keeps the paths."""


class Server(ThreadingHTTPServer):
    """The API, and what it was asked for."""

    daemon_threads = True

    def __init__(self, first: datetime, port: int) -> None:
        super().__init__(("127.0.0.1", port), Api)
        self.bookings = [booking(number, first) for number in range(72 * DAYS)]
        self.paths: list[str] = []
        self.lock = Lock()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away in the middle is no error of the server's."""

    def count(self, path: str) -> None:
        """Keeps the path; each so many are put off."""
        with self.lock:
            self.paths.append(path)
            if len(self.paths) % EVERY_SO_MANY_PUT_OFF == 0:
                raise Refused(429, "too_many_requests", "slow down")


@contextmanager
def serving(first: datetime = FIRST, port: int = 0) -> Iterator[Server]:
    """The API on a port of loopback, until the block ends; its bookings begin at this midnight, and last DAYS."""
    with Server(first, port) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield server
        server.shutdown()
