"""Real servers on loopback: one answers as a test says, one gives tokens and pages to those who have them."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from pydantic import TypeAdapter

from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.responses import ResponseRule
from ingest_assets_tests.loopback import Replying, serving

_RULES = TypeAdapter(tuple[ResponseRule, ...])


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Api:
    """Gives its answers in order, the last one again and again. An answer is a status, headers and body parts.

    A body part of None closes the connection at once. Without a Content-Length, a chunked body is sent.
    """

    answers: list[tuple] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, status=200, body=b"", headers=None, length=True, delay=0.0):
        self.answers.append((status, headers or {}, body if isinstance(body, list) else [body], length, delay))
        return self


class Handler(Replying):
    protocol_version = "HTTP/1.1"

    def get(self):
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        api = self.server.api
        with api.lock:
            api.asked.append(Asked(self.command, self.path, headers, body, time.monotonic()))
            index = min(len(api.asked), len(api.answers)) - 1
        with contextlib.suppress(ConnectionError):
            self.answer(*api.answers[index])

    post = get

    def answer(self, status, headers, parts, length, delay):
        time.sleep(delay)
        if parts == [None]:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if length:
            self.send_header("Content-Length", str(length if length is not True else sum(map(len, parts))))
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in parts:
            if part is None:
                self.close_connection = True
                return
            self.wfile.write(part if length else b"%x\r\n%s\r\n" % (len(part), part))
        if not length:
            self.wfile.write(b"0\r\n\r\n")
        elif length is not True:
            self.close_connection = True


@contextlib.contextmanager
def served(api: Api) -> Iterator[Api]:
    with serving(Handler, api=api) as server:
        api.url = server.url
        yield api


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """A proxy of the environment, if there is one, knows nothing of loopback."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def api():
    """The API that the client is for."""
    with served(Api()) as running:
        yield running


@pytest.fixture
def elsewhere():
    """A server at another origin."""
    with served(Api()) as running:
        yield running


class Clock:
    """A clock that only moves when told to, or by sleeping."""

    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def limiter(clock, tmp_path):
    return Limiter(tmp_path / "limits", "key", clock=clock, sleep=clock.sleep)


@pytest.fixture
def asking(api, clock, limiter):
    """Makes clients with some rules, which mean that it throttles where they do not say what they mean."""
    with contextlib.ExitStack() as ending:

        def made(*told, **options):
            rules = _RULES.validate_python([{"means": "throttled", **one} for one in told])
            client = Client(api.url, limiters=[limiter], responses=rules, sleep=clock.sleep, **options)
            return ending.enter_context(client)

        yield made


@dataclass
class Tokens:
    """What a token server and an API know together. `refused` are tokens that the API takes no longer.

    `meanwhile` happens before a token request is answered.
    """

    lifetime: float = 3600.0
    says: dict = field(default_factory=dict)
    meanwhile: Callable[[], object] = lambda: None
    answers: list = field(default_factory=list)
    delay: float = 0.0
    issued: dict = field(default_factory=dict)
    refused: set = field(default_factory=set)
    refuses_all: bool = False
    exchanges: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def token(self, headers, body):
        """The answer to a token request: the next of `answers`, else a new token."""
        self.meanwhile()
        with self.lock:
            self.exchanges.append((time.monotonic(), headers, {k: v[0] for k, v in parse_qs(body.decode()).items()}))
            if self.answers:
                return self.answers.pop(0)
            token = f"tok/{len(self.issued)}+{'x' * 20}=="
            self.issued[token] = time.monotonic()
        told = {"access_token": token, "token_type": "bearer", "expires_in": self.lifetime} | self.says
        return 200, {}, json.dumps({k: v for k, v in told.items() if v is not None}).encode()

    def page(self, headers, path):
        """The API's answer: 401 unless the token is one of its own and alive, by the server's clock."""
        token = headers.get("authorization", "").removeprefix("Bearer ")
        with self.lock:
            begun = self.issued.get(token)
            alive = begun is not None and time.monotonic() <= begun + self.lifetime
            good = alive and token not in self.refused and not self.refuses_all
            self.asked.append((time.monotonic(), token, 200 if good else 401))
        return (200, {}, self.told(path, token).encode()) if good else (401, {}, b'{"error": "who"}')

    def told(self, path, token):
        """A body that repeats the token, as a careless API does; after the second of three pages tokens are revoked."""
        if not path.startswith("/orders"):
            return json.dumps({"token": token})
        number = int(parse_qs(path.partition("?")[2]).get("after", ["0"])[0]) + 1
        if number == 2:
            self.refused |= set(self.issued)
        return json.dumps({"data": [{"id": number, "asked_with": token}], "more": number < 3})

    @property
    def statuses(self):
        return [status for _, _, status in self.asked]


class TokenHandler(Replying):
    protocol_version = "HTTP/1.1"

    def post(self):
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        world = self.server.world
        if self.path.startswith("/token"):
            time.sleep(world.delay)
            status, given, told = world.token(headers, body)
        else:
            status, given, told = world.page(headers, self.path)
        self.send(status, told, given)

    get = post


@pytest.fixture
def world():
    with serving(TokenHandler) as server:
        server.world = Tokens(url=server.url)
        yield server.world
