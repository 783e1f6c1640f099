"""Logging in against a real server: for a token or a session's cookie, renewed once it is refused."""

import json
import logging
import re
import threading
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import ConfigError, RequestFailed, TransientFailure
from ingest_assets.http.auth import Auth
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import Secrets
from ingest_assets_tests.loopback import Replying, serving

USER, PASSWORD = "jo@shop.example", "pass/w:rd+%1"
VALUES = {"USER": USER, "PASSWORD": PASSWORD}
TOKEN = {"token": "data.key", "prefix": "Token "}
SESSION = {"cookie": "sid", "csrf_cookie": "csrf", "user_param": "login"}


@dataclass
class World:
    """A site where one logs in. `ended` is how it tells a client whose token or session is unknown to log in."""

    ended: tuple = (401, {})
    holds_records: bool = True
    login: tuple | None = None
    cookie: str = "{}; Path=/; HttpOnly; Partitioned; SameSite=Lax"
    known: list = field(default_factory=list)
    logins: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def form(self):
        """The login's page, which sets a token against forgery."""
        return 200, {"Set-Cookie": "csrf=forgery-1; Max-Age=31449600"}, b"<form>"

    def log_in(self, headers, body):
        """A new token or session for the right user and password."""
        as_json = headers["content-type"] == "application/json"
        told = json.loads(body) if as_json else {k: v[0] for k, v in parse_qs(body.decode()).items()}
        with self.lock:
            self.logins.append((told, headers))
            if self.login is not None:
                return self.login
            if told["password"] != PASSWORD:
                return 400, {}, json.dumps({"error": f"wrong {told['password']}"}).encode()
            given = f"given/{len(self.logins)}+secret=="
            self.known.append(given)
        if as_json:
            return 200, {}, json.dumps({"data": {"key": given, "seconds": "90"}}).encode()
        if told.get("csrf_form") != "forgery-1" or "csrf=forgery-1" not in headers.get("cookie", ""):
            return 403, {}, b"forgery"
        return 302, {"Location": "/", "Set-Cookie": [self.cookie.format(f"sid={given}"), "csrf=forgery-2"]}, b""

    def page(self, method, headers):
        """What the API answers: its own credential back, or how it tells to log in."""
        with self.lock:
            self.asked.append((method, headers))
            given = self.known[-1] if self.known else "nothing"
        token = headers.get("authorization") == f"Token {given}"
        session = headers.get("cookie") == f"sid={given}; csrf=forgery-2"
        if not (token or session) or (method == "POST" and headers.get("x-csrftoken") != "forgery-2"):
            return *self.ended, b" []" if self.ended[0] == 200 else b'{"error": "who"}'
        return 200, {}, json.dumps({"told": given}).encode() if self.holds_records else b"[]"


class Handler(Replying):
    protocol_version = "HTTP/1.1"

    def post(self):
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        world = self.server.world
        if urlsplit(self.path).path != "/login":
            status, given, told = world.page(self.command, headers)
        else:
            status, given, told = world.log_in(headers, body) if self.command == "POST" else world.form()
        self.send(status, told, given)

    get = post


@pytest.fixture
def world():
    with serving(Handler) as server:
        server.world = World(url=server.url)
        yield server.world


def auth(url, **more):
    given = {"user": {"env": "USER"}, "password": {"env": "PASSWORD"}, "login_url": f"{url}/login"}
    if "csrf_cookie" in more:
        more = {"csrf_param": "csrf_form", **more}
    return TypeAdapter(Auth).validate_python({"type": "login", **given, **more})


@pytest.fixture
def client_for(world, clock, tmp_path):
    clients = []

    def made(values=None, responses=(), **more):
        made_secrets = Secrets(VALUES if values is None else values, {})
        kind = auth(world.url, **more)
        client = Client(
            world.url,
            kind,
            made_secrets,
            sleep=clock.sleep,
            tokens=tmp_path / "tokens",
            retry=RetryPolicy(attempts=2, first_wait_seconds=0.0),
            responses=TypeAdapter(tuple[ResponseRule, ...]).validate_python(responses),
        )
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


def page(client, method="GET"):
    request = PageRequest(f"{client.origin}/items", method=method, body={} if method == "POST" else None)
    return client.fetch(request, lambda response: b"".join(response.chunks()))


def failed(client):
    with pytest.raises(RequestFailed) as caught:
        page(client)
    return str(caught.value)


@pytest.mark.parametrize("kind", [TOKEN, SESSION])
def test_one_login_serves_many_requests_and_clients(world, client_for, kind):
    one, other = client_for(**kind), client_for(**kind)

    pages = [page(one), page(one), page(other)]

    assert len(pages) == 3
    assert len(world.logins) == 1


def test_a_token_is_asked_for_as_json_and_sent_as_the_file_says(world, client_for):
    page(client_for(**TOKEN, params={"tenant": "eu"}))

    told, headers = world.logins[0]
    assert told == {"tenant": "eu", "username": USER, "password": PASSWORD}
    assert "cookie" not in headers
    assert world.asked[0][1]["authorization"] == "Token given/1+secret=="


def test_a_session_is_asked_for_as_a_form_with_its_token_against_forgery(world, client_for):
    page(client_for(**SESSION))

    told, headers = world.logins[0]
    assert told == {"login": USER, "password": PASSWORD, "csrf_form": "forgery-1"}
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["referer"] == f"{world.url}/login"
    assert world.asked[0][1]["cookie"] == "sid=given/1+secret==; csrf=forgery-2"


def test_a_post_in_a_session_carries_its_token_against_forgery(world, client_for):
    page(client_for(**SESSION), "POST")

    assert [(method, "x-csrftoken" in headers) for method, headers in world.asked] == [("POST", True)]


@pytest.mark.parametrize(
    ("kind", "ended"),
    [
        (TOKEN, (401, {})),
        (SESSION, (401, {})),
        (SESSION, (403, {})),
        (SESSION, (302, {"Location": "/login?next=/items"})),
    ],
)
def test_what_is_refused_later_is_renewed_once_and_the_request_made_again(world, client_for, kind, ended):
    client = client_for(**kind)
    page(client)
    world.known.append("another")
    world.ended = ended

    page(client)

    assert len(world.logins) == 2
    assert len(world.asked) == 3


def test_a_403_says_nothing_of_a_token(world, client_for):
    client = client_for(**TOKEN)
    page(client)
    world.known.append("another")
    world.ended = (403, {})

    assert "HTTP 403" in failed(client)
    assert len(world.logins) == 1


def test_a_403_that_is_a_limit_says_nothing_of_a_session_either(world, client_for):
    client = client_for(**SESSION)
    page(client)
    world.known.append("another")
    world.ended = (403, {"Retry-After": "1"})

    with pytest.raises(TransientFailure, match="HTTP 403"):
        page(client)

    assert len(world.logins) == 1


OFF = {"status": 403, "text": "who", "means": "fail", "message": "Turn it on"}


@pytest.mark.parametrize(
    ("rule", "told", "logins"),
    [
        (OFF, "Turn it on", 1),
        ({"status": 403, "path": "error", "means": "throttled", "wait": "PT1S"}, "throttled", 1),
        ({**OFF, "text": "something else"}, "", 2),
        ({**OFF, "text": "who", "means": "new_credential", "message": None}, "", 2),
        ({**OFF, "status": 404}, "", 2),
    ],
)
def test_rules_look_at_a_403_before_it_says_that_a_session_is_over(world, client_for, rule, told, logins):
    client = client_for(**SESSION, responses=[{name: value for name, value in rule.items() if value is not None}])
    page(client)
    world.known.append("another")
    world.ended = (403, {})

    if told:
        with pytest.raises((RequestFailed, TransientFailure), match=told):
            page(client)
    else:
        page(client)

    assert len(world.logins) == logins


def test_a_403_of_a_new_session_is_refused_for_good_though_a_rule_speaks_of_others(world, client_for):
    client = client_for(**SESSION, responses=[{**OFF, "text": "something else"}])
    page(client)
    world.ended, world.cookie = (403, {}), "{}; Path=/"
    world.page = lambda *_: (403, {}, b"{}")

    assert "HTTP 403" in failed(client)
    assert len(world.logins) == 2


@pytest.mark.parametrize("responses", [[], [{**OFF, "text": "something else"}]])
def test_pages_that_a_user_may_not_see_are_no_reason_to_log_in_for_each_of_them(world, client_for, responses):
    client = client_for(**SESSION, responses=responses)
    page(client)
    world.page = lambda *_: (403, {}, b"{}")

    told = [failed(client) for _ in range(3)]

    assert all("HTTP 403" in one for one in told)
    assert len(world.logins) == 2


def test_a_session_that_ends_long_after_such_a_page_is_renewed(world, client_for, tmp_path):
    client = client_for(**SESSION)
    page(client)
    world.page = lambda *_: (403, {}, b"{}")
    failed(client)
    (file,) = (tmp_path / "tokens").glob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"monotonic": kept["monotonic"] - 61, "wall": kept["wall"] - 61}))

    failed(client)

    assert len(world.logins) == 3


@pytest.mark.parametrize("kind", [TOKEN, SESSION])
def test_where_a_new_one_is_refused_too_the_fetch_ends_after_one_renewal(world, client_for, kind):
    world.ended = (401, {})
    client = client_for(**kind | ({"prefix": "Wrong "} if kind is TOKEN else {"csrf_cookie": None}))
    if kind is SESSION:
        world.login = (200, {"Set-Cookie": "sid=not-a-known-one"}, b"")

    told = failed(client)

    assert "just now is refused: look at what the user may do" in told
    assert len(world.logins) == 2


def test_the_page_of_the_login_is_no_answer_where_a_new_session_is_led_there_too(world, client_for):
    world.ended = (302, {"Location": "/login?next=/items"})
    world.login = (200, {"Set-Cookie": "sid=not-a-known-one"}, b"")

    told = failed(client_for(cookie="sid"))

    assert re.search("/items: HTTP 302: it leads to the login. The cookie 'sid' .* just now is refused: look at", told)
    assert (len(world.logins), len(world.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("kind", "login", "told"),
    [
        (
            TOKEN,
            (400, {}, b'{"error": "no"}'),
            "HTTP 400: Check environment variable USER and",
        ),
        (
            TOKEN,
            (200, {}, b'{"token": "abcdefgh"}'),
            "no token of .* at 'data.key'.*keys are token",
        ),
        (TOKEN, (200, {}, b'{"data": {"key": "abc"}}'), "holds no token of at least 6 characters"),
        (TOKEN, (200, {}, b"<html>"), "it is no JSON object"),
        (TOKEN, (302, {"Location": "/x"}, b""), "HTTP 302"),
        (
            SESSION,
            (200, {}, b"<form>wrong</form>"),
            "sets no cookie 'sid'. Check.*'login' and 'password' as form",
        ),
        (SESSION, (200, {"Set-Cookie": "sid=gone-by-now; Max-Age=0"}, b""), "sets no cookie 'sid'"),
        (SESSION, (403, {"Set-Cookie": "sid=abcdefgh"}, b""), "HTTP 403"),
    ],
)
def test_a_login_that_is_refused_says_what_to_look_at(world, client_for, kind, login, told):
    world.login = login

    message = failed(client_for(**kind))

    assert message.startswith(f"login at {world.url}/login: HTTP ")
    assert re.search(told, message)
    assert world.asked == []


def test_a_form_without_its_cookie_is_told(world, client_for):
    assert "a GET of it sets no cookie 'xsrf'" in failed(client_for(**SESSION | {"csrf_cookie": "xsrf"}))


@pytest.mark.parametrize(
    ("kind", "cookie", "seconds"),
    [
        (TOKEN, None, None),
        ({**TOKEN, "expires_in": "data.seconds"}, None, 90.0),
        ({**TOKEN, "lifetime": "PT5M"}, None, 300.0),
        (SESSION, "{}; max-age=70", 70.0),
        ({**SESSION, "lifetime": "PT5M"}, "{}; max-age=70", 70.0),
        ({**SESSION, "lifetime": "PT5M"}, "{}", 300.0),
    ],
)
def test_a_life_is_stated_by_answer_cookie_or_file(world, client_for, tmp_path, kind, cookie, seconds):
    world.cookie = cookie or world.cookie

    page(client_for(**kind))

    (file,) = (tmp_path / "tokens").glob("*.json")
    assert json.loads(file.read_text())["lifetime_seconds"] == seconds


@pytest.mark.parametrize("kind", [TOKEN, SESSION])
def test_no_log_answer_or_message_holds_a_secret(world, client_for, caplog, kind):
    caplog.set_level(logging.DEBUG)
    client = client_for(**kind)

    body = page(client)
    world.known.append("another")
    world.login = (400, {}, f"wrong {PASSWORD}".encode())
    message = failed(client)

    for secret in (PASSWORD, "given/1", "secret==", "forgery-1", "forgery-2"):
        assert secret not in body.decode() + caplog.text + message


def test_a_password_that_is_not_set_is_named_before_anything_is_sent(world, clock, tmp_path):
    with pytest.raises(ConfigError, match="PASSWORD is not set"):
        Client(world.url, auth(world.url, **TOKEN), Secrets({"USER": USER}, {}), tokens=tmp_path)

    assert world.logins == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "one of token .* and cookie"),
        ({"token": "a", "cookie": "b"}, "one of token .* and cookie"),
        ({"token": "a", "csrf_cookie": "b"}, "csrf_cookie goes with cookie only"),
        ({"cookie": "a", "prefix": "b"}, "prefix goes with token only"),
        ({"token": "a", "params": {"password": "x"}}, "'password' is set by user or password"),
        ({"token": "a", "login_url": "/login"}, "expected a URL"),
        ({"token": "a", "login_url": "https://jo:pw@x.example/"}, "without user, password"),
        ({"token": "a", "password": "pass"}, "a secret never stands in the file"),
    ],
)
def test_a_wrong_description_is_refused(given, told):
    with pytest.raises(ValidationError, match=told):
        auth("https://x.example", **given)


@pytest.mark.parametrize("kind", [TOKEN, SESSION])
def test_a_login_whose_end_is_told_by_200_and_nothing_is_renewed(world, client_for, kind):
    world.ended = (200, {})
    client = client_for(nothing_means="ended", **kind)
    page(client)
    world.known.append("known-to-nobody")

    told = page(client)

    assert b"hidden" in told
    assert len(world.logins) == 2
    assert len(world.asked) == 3


def test_nothing_after_a_new_login_is_taken_as_it_is(world, client_for):
    world.holds_records = False
    client = client_for(nothing_means="ended", **TOKEN)

    assert page(client) == b"[]"
    assert len(world.logins) == 2


def test_nothing_is_a_page_where_the_file_says_no_more(world, client_for):
    world.holds_records = False

    assert page(client_for(**TOKEN)) == b"[]"
    assert len(world.logins) == 1
