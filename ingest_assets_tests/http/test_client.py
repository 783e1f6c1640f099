"""Fetching from a real server: what is sent, to whom, how often; and what comes of each kind of answer."""

import gzip
import json
import logging
import socket
import threading
import time
import traceback

import pytest

from ingest_assets.errors import ConfigError, RequestFailed, TransientFailure
from ingest_assets.http.auth.static import ApiKey, Basic, Bearer
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.transport import session

KEY = "sk/quokka+123"
BEARER = Bearer(type="bearer", token={"env": "KEY"})
QUERY = ApiKey(type="api_key", name="key", value={"env": "KEY"}, place="query")


def whole(response):
    return b"".join(response.chunks())


@pytest.fixture
def client_for(clock):
    clients = []

    def made(base_url, auth=BEARER, **options):
        client = Client(base_url, auth, Secrets({"KEY": KEY}), sleep=clock.sleep, **options)
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


def failed(client, request, kind, receive=whole):
    """The error that a fetch ends with, after a look that none of its texts holds the key."""
    with pytest.raises(kind) as raised:
        client.fetch(request, receive)
    told = "".join(traceback.format_exception(raised.value))
    assert "quokka" not in told
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    return raised.value


def test_a_page_is_fetched_with_its_params_headers_and_credential(api, client_for):
    api.answer(200, b'{"ok": true}', {"X-Request-Id": "r1", "Set-Cookie": "a=b"})
    client = client_for(api.url)

    response = client.fetch(
        PageRequest(f"{api.url}/v1/a%2Fb?x=%7e", (("created[gte]", "1 +2"), ("e", "é")), headers=(("X-Version", "7"),)),
        lambda response: (
            response.status,
            response.headers["x-request-id"],
            "set-cookie" in response.headers,
            whole(response),
        ),
    )

    (asked,) = api.asked
    assert response == (200, "r1", False, b'{"ok": true}')
    assert asked.target == "/v1/a%2Fb?x=%7E&created%5Bgte%5D=1%20%2B2&e=%C3%A9"
    assert (asked.headers["authorization"], asked.headers["x-version"]) == (f"Bearer {KEY}", "7")
    assert client.traffic.requests == 1
    assert client.traffic.bytes_received == 12


@pytest.mark.parametrize(
    ("body_as", "kind", "sent"),
    [
        ("json", "application/json", b'{"query": "{a}", "variables": {"n": 1}}'),
        ("form", "application/x-www-form-urlencoded", b"query=%7Ba%7D&n=1"),
    ],
)
def test_a_post_sends_its_body_as_json_or_as_a_form(api, client_for, body_as, kind, sent):
    api.answer(200, b"{}")
    body = {"query": "{a}", "variables": {"n": 1}} if body_as == "json" else {"query": "{a}", "n": 1}

    client_for(api.url).fetch(PageRequest(api.url, method="POST", body=body, body_as=body_as), whole)

    (asked,) = api.asked
    assert (asked.method, asked.headers["content-type"], asked.body) == ("POST", kind, sent)


def test_a_form_writes_truth_values_small_and_lists_value_by_value(api, client_for):
    api.answer(200, b"{}")
    request = PageRequest(api.url, method="POST", body={"all": True, "id": [1, False, "x"]}, body_as="form")

    client_for(api.url).fetch(request, whole)

    (asked,) = api.asked
    assert asked.body == b"all=true&id=1&id=false&id=x"


def test_redacted_values_are_put_back_before_a_request_is_sent(api, client_for):
    api.answer(200, b"{}")
    request = PageRequest(
        f"{api.url}/?a=~hidden.KEY.percent.",
        (("b", "~hidden.KEY.plain."),),
        method="POST",
        headers=(("X-C", "~hidden.KEY.plain."),),
        body={"d": ["~hidden.KEY.jsonslash."]},
    )

    client_for(api.url).fetch(request, whole)

    (asked,) = api.asked
    assert asked.target == "/?a=sk%2Fquokka%2B123&b=sk%2Fquokka%2B123"
    assert (asked.headers["x-c"], json.loads(asked.body)) == (KEY, {"d": [KEY]})


@pytest.mark.parametrize(
    "given",
    [
        {"url": "/?next=~hidden.OTHER.percent."},
        {"params": (("cursor", "~hidden.OTHER.plain."),)},
        {"url": "/{id}", "path": (("id", "~hidden.KEY.plain.~hidden.OTHER.base64."),)},
        {"headers": (("X-After", "~hidden.OTHER.plain."),)},
        {"method": "POST", "body": {"after": ["~hidden.OTHER.json."]}},
    ],
)
def test_the_marker_of_a_secret_that_the_api_is_not_sent_brings_out_nothing(api, clock, given):
    secrets = Secrets({"KEY": KEY, "OTHER": "of-quokka-island"})
    secrets.value(Secret(env="OTHER"))
    request = PageRequest(**{**given, "url": api.url + given.get("url", "/")})

    with Client(api.url, BEARER, secrets, sleep=clock.sleep) as client:
        error = failed(client, request, RequestFailed)

    assert "an answer has the marker of OTHER" in str(error)
    assert api.asked == []


def test_the_marker_of_another_name_of_the_same_value_is_put_back(api, clock):
    secrets = Secrets({"ALSO": KEY, "KEY": KEY})
    secrets.value(Secret(env="ALSO"))
    api.answer(200, b"{}")

    with Client(api.url, BEARER, secrets, sleep=clock.sleep) as client:
        client.fetch(PageRequest(api.url, (("next", "~hidden.ALSO.plain."),)), whole)

    assert api.asked[0].target == "/?next=sk%2Fquokka%2B123"


def test_a_redirect_by_the_marker_of_a_secret_that_the_api_is_not_sent_is_not_followed(api, clock):
    secrets = Secrets({"KEY": KEY, "OTHER": "of-quokka-island"})
    secrets.value(Secret(env="OTHER"))
    api.answer(302, headers={"Location": "/~hidden.OTHER.plain."})

    with Client(api.url, BEARER, secrets, sleep=clock.sleep) as client:
        failed(client, PageRequest(api.url), RequestFailed)

    assert [asked.target for asked in api.asked] == ["/"]


def test_nothing_of_an_answer_holds_the_key(api, client_for):
    echo = json.dumps({"next": f"{api.url}/?key=sk%2Fquokka%2B123", "key": KEY}).encode()
    api.answer(200, [echo[:30], echo[30:]], {"X-Echo": KEY}, length=False)

    url, headers, body = client_for(api.url, QUERY).fetch(
        PageRequest(api.url), lambda response: (response.url, dict(response.headers), whole(response))
    )

    assert api.asked[0].target == "/?key=sk%2Fquokka%2B123"
    assert "quokka" not in f"{url}{headers}{body}"
    assert json.loads(body)["next"] == f"{api.url}/?key=~hidden.KEY.percent."


def test_no_header_holds_a_key_that_came_in_it_as_utf_8(api, clock):
    key = "pässwört12"
    api.answer(200, b"[]", {"Link": f'<{api.url}/?key={key}&page=2>; rel="next"'.encode().decode("latin-1")})

    with Client(api.url, QUERY, Secrets({"KEY": key}), sleep=clock.sleep) as client:
        headers = client.fetch(PageRequest(api.url), lambda response: dict(response.headers))

    assert headers["link"] == f'<{api.url}/?key=~hidden.KEY.plain.&page=2>; rel="next"'


def test_the_log_of_connections_does_not_hold_the_key(api, client_for, caplog):
    api.answer(200, b"{}")
    caplog.set_level(logging.DEBUG)

    client_for(api.url, QUERY).fetch(PageRequest(api.url), whole)

    assert "GET /?(hidden) HTTP/1.1" in caplog.text
    assert "quokka" not in caplog.text


def test_the_log_of_headers_that_are_odd_does_not_hold_the_key(api, client_for, caplog):
    api.answer(headers={"Content-Type": "multipart/mixed"})

    client_for(api.url, QUERY).fetch(PageRequest(api.url), whole)

    assert "Failed to parse headers (url=http://" in caplog.text
    assert "quokka" not in caplog.text


def test_a_password_file_of_the_user_is_never_used(api, client_for, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("default login jo password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    api.answer(200, b"{}")

    client_for(api.url, None).fetch(PageRequest(api.url), whole)

    assert "authorization" not in api.asked[0].headers


def test_a_proxy_of_the_environment_is_used(api, client_for, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", api.url)
    api.answer(200, b"by proxy")

    assert client_for("http://x.example").fetch(PageRequest("http://x.example/a"), whole) == b"by proxy"
    assert api.asked[0].target == "http://x.example/a"


def test_cookies_are_not_kept(api, client_for):
    api.answer(200, b"{}", {"Set-Cookie": "session=1"})
    client = client_for(api.url)

    client.fetch(PageRequest(api.url), whole)
    client.fetch(PageRequest(api.url), whole)

    assert "cookie" not in api.asked[1].headers


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 507, 520, 522, 524, 529, 530, 599])
def test_a_status_that_may_pass_is_asked_again(api, client_for, status):
    api.answer(status).answer(status).answer(200, b"fine")
    client = client_for(api.url)

    assert client.fetch(PageRequest(api.url), whole) == b"fine"
    assert (client.traffic.requests, client.traffic.retries) == (3, 2)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 422, 501, 505, 304, 305])
def test_any_other_status_is_a_refusal_for_good(api, client_for, status):
    api.answer(status)

    error = failed(client_for(api.url, QUERY), PageRequest(f"{api.url}/charges", (("limit", "2"),)), RequestFailed)

    assert error.status == status
    assert str(error).startswith(f"GET {api.url}/charges?limit=2: HTTP {status} ")
    assert len(api.asked) == 1


@pytest.mark.parametrize("told", ["bytes 0-4/400", "bytes 0-4/*", "bytes 5-9/10", "BYTES"])
def test_some_bytes_of_a_body_are_no_page(api, client_for, told):
    api.answer(206, b"a,b\n1", {"Content-Range": told})

    error = failed(client_for(api.url), PageRequest(api.url), RequestFailed)

    assert "HTTP 206 Partial Content. it was not asked for some bytes only" in str(error)


@pytest.mark.parametrize("headers", [{"Content-Range": "bytes 0-4/5"}, {"Content-Range": "items 0-0/67"}, {}])
def test_a_206_is_a_page_where_it_is_whole_or_speaks_of_no_bytes(api, client_for, headers):
    api.answer(206, b"a,b\n1", headers)

    assert client_for(api.url).fetch(PageRequest(api.url), whole) == b"a,b\n1"


def test_a_refused_credential_is_named(api, client_for):
    api.answer(401)

    error = failed(client_for(api.url), PageRequest(api.url), RequestFailed)

    assert "Check the secret: environment variable KEY" in str(error)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_at_another_origin_does_not_blame_the_credential(api, elsewhere, client_for, status):
    api.answer(301, headers={"Location": elsewhere.url})
    elsewhere.answer(status)

    error = failed(client_for(api.url), PageRequest(api.url), RequestFailed)

    assert "another origin than that of base_url, so no credential was sent there" in str(error)
    assert "KEY" not in str(error)


def test_what_the_api_said_is_quoted_where_the_file_names_it(api, client_for):
    told = {"error": {"message": f"bad key {KEY}\n" + "x" * 500}}
    api.answer(400, json.dumps(told).encode())

    quoting = failed(client_for(api.url, error_message=("title", "error.message")), PageRequest(api.url), RequestFailed)
    silent = failed(client_for(api.url), PageRequest(api.url), RequestFailed)

    assert "'bad key ~hidden.KEY.plain. xxx" in str(quoting)
    assert len(str(quoting)) < 350
    assert "bad key" not in str(silent)


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b'{"error": {"message": 5}}', b"[" * 100_000, b"\xff"])
def test_an_error_body_that_says_nothing_hides_no_error(api, client_for, body):
    api.answer(404, body)

    assert (
        failed(client_for(api.url, error_message=("error.message",)), PageRequest(api.url), RequestFailed).status == 404
    )


def test_a_429_holds_back_every_process_for_what_it_asks(api, client_for, clock, tmp_path):
    api.answer(429, headers={"Retry-After": "30"}).answer(200, b"fine")
    limiter = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep)
    other = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep, max_wait_seconds=0)
    held_back = []

    def look(wait):
        with pytest.raises(TransientFailure, match="held back"):
            other.granted().__enter__()
        held_back.append((wait.kind, wait.seconds))

    client = client_for(api.url, limiters=[limiter], on_wait=look)

    assert client.fetch(PageRequest(api.url), whole) == b"fine"
    assert held_back == [("retry", 30.0)]
    assert client.traffic.retry_wait_seconds == 30.0


def held_back(limiter):
    with limiter._slots() as here:
        return here.state.held_back_until


def test_a_429_without_retry_after_holds_back_every_process_too(api, client_for, clock, tmp_path):
    api.answer(429).answer(200, b"fine")
    limiter = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep)
    pushed = []

    client_for(api.url, limiters=[limiter], on_wait=lambda _: pushed.append(held_back(limiter))).fetch(
        PageRequest(api.url), whole
    )

    assert pushed[0] > 1000


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "7"},
        {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "7"},
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "at {now + 8}"},
    ],
)
def test_a_403_that_is_a_limit_is_waited_for_and_holds_back_every_process(api, client_for, clock, tmp_path, headers):
    limiter = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep)
    at = str(int(time.time()) + 8)  # the server's clock shows whole seconds
    api.answer(403, b"", {name: value.replace("at {now + 8}", at) for name, value in headers.items()})
    api.answer(200, b"ok")

    assert client_for(api.url, limiters=[limiter]).fetch(PageRequest(api.url), whole) == b"ok"

    assert 7 <= sum(clock.slept) <= 8


def test_a_403_with_an_allowance_left_is_a_refusal_for_good(api, client_for):
    api.answer(403, b"", {"x-ratelimit-remaining": "58", "x-ratelimit-reset": "1767225667"})

    failed(client_for(api.url), PageRequest(api.url), RequestFailed)

    assert len(api.asked) == 1


def test_a_longer_wait_than_allowed_is_told_and_not_waited(api, client_for, clock):
    api.answer(503, headers={"Retry-After": "3600"})

    error = failed(client_for(api.url), PageRequest(api.url), TransientFailure)

    assert (error.wait_seconds, clock.slept, len(api.asked)) == (3600.0, [], 1)


def test_a_wait_for_thousands_of_years_says_nothing(api, client_for):
    api.answer(503, headers={"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}).answer(200, b"fine")

    assert client_for(api.url).fetch(PageRequest(api.url), whole) == b"fine"


def test_what_a_limiter_refuses_is_not_waited_by_trying_again(api, client_for, clock, tmp_path):
    limiter = Limiter(tmp_path, "key", clock=clock, sleep=clock.sleep, max_wait_seconds=5)
    limiter.push_back(60)

    error = failed(client_for(api.url, limiters=[limiter]), PageRequest(f"{api.url}/a"), TransientFailure)

    assert (clock.slept, api.asked) == ([], [])
    assert str(error).startswith(f"GET {api.url}/a: held back by the API: waits until 20")
    assert str(error).endswith(", longer than the 5 s allowed")


def test_all_limiters_have_to_grant_and_their_waits_are_counted(api, client_for, clock, tmp_path):
    api.answer(200, b"fine")
    waits = []
    limiters = [Limiter(tmp_path, key, clock=clock, sleep=clock.sleep) for key in ("account", "endpoint")]
    limiters[1].push_back(20)
    client = client_for(api.url, limiters=limiters, on_wait=waits.append)

    client.fetch(PageRequest(api.url), whole)

    assert [wait.kind for wait in waits] == ["limit"]
    assert 20 <= client.traffic.limit_wait_seconds < 21


CUT = {
    "content-length": ({}, [b"x" * 10], 20),
    "chunked": ({}, [b"x" * 10, None], False),
    "less than nothing": ({"Transfer-Encoding": "chunked"}, [b"-3\r\nxxx\r\n"], True),
    "gzip": ({"Content-Encoding": "gzip"}, [gzip.compress(b"x" * 1000)[:-9]], True),
    "damaged": ({"Content-Encoding": "gzip"}, [b"\x1f\x8b\x08\x00" + b"\xff" * 30], True),
    "connection": ({}, [None], True),
}


@pytest.mark.parametrize("kind", CUT)
def test_a_body_that_is_cut_on_its_way_is_asked_for_again(api, client_for, kind):
    headers, parts, length = CUT[kind]
    api.answer(200, parts, headers, length).answer(200, b"fine")

    assert client_for(api.url).fetch(PageRequest(api.url), whole) == b"fine"


def test_an_answer_of_two_lengths_is_asked_for_again_and_told(api, client_for):
    api.answer(200, b"fine", {"Content-Length": "9"})

    error = failed(client_for(api.url, QUERY, retry=RetryPolicy(attempts=2)), PageRequest(api.url), TransientFailure)

    assert "the answer names two lengths of its body (Content-Length). Gave up after 2" in str(error)
    assert len(api.asked) == 2


def test_a_body_that_is_always_cut_is_a_failure_that_may_pass(api, client_for):
    api.answer(200, [b"x" * 10], length=20)

    error = failed(client_for(api.url, QUERY, retry=RetryPolicy(attempts=2)), PageRequest(api.url), TransientFailure)

    assert "cut body: the connection ended" in str(error)
    assert "Gave up after 2 attempts" in str(error)


def test_a_body_that_its_reader_finds_cut_is_asked_for_again(api, client_for):
    api.answer(200, b"[1, 2").answer(200, b"[1, 2]")

    def receive(response):
        if not (body := whole(response)).endswith(b"]"):
            raise TransientFailure("cut body: not closed")
        return body

    assert client_for(api.url).fetch(PageRequest(api.url), receive) == b"[1, 2]"


def test_other_errors_of_the_reader_pass_through(api, client_for):
    api.answer(200, b"x")

    def receive(_response):
        raise RequestFailed("not what the file says")

    with pytest.raises(RequestFailed, match="not what the file says"):
        client_for(api.url).fetch(PageRequest(api.url), receive)
    assert len(api.asked) == 1


def test_the_environment_is_looked_at_once_for_an_origin_also_where_the_path_is_empty():
    with session() as pool:
        first = pool.settings("http://x.example?cursor=1")

        assert pool.settings("http://x.example?cursor=2") is first
        assert pool.settings("http://x.example/?cursor=2") is first
        assert pool.settings("http://x.example:8080/") is not first


def test_the_connections_of_a_client_are_closed_with_it_though_garbage_is_collected_later(client_for):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        client, accepted = client_for(url), []
        answering = threading.Thread(target=lambda: accepted.append(_answered_once(server)))
        answering.start()

        with client:
            client.fetch(PageRequest(url), whole)
        answering.join()

        with accepted[0] as connection:
            connection.settimeout(10)
            assert connection.recv(1) == b""
        assert client is not None  # somebody still holds it


def _answered_once(server):
    """A connection on which one request was answered, and which may be used for another."""
    connection, _ = server.accept()
    connection.recv(65_536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")
    return connection


@pytest.mark.parametrize("length", [True, False])
def test_a_body_of_a_few_megabytes_comes_as_one_piece_and_a_larger_one_in_pieces_of_such_a_size(
    api, client_for, length
):
    small, large = [b"0123456789abcdef" * 4000] * 30, [b"0123456789abcdef" * 4000] * 150
    api.answer(200, [b"".join(small)] if length else small, length=length)
    api.answer(200, [b"".join(large)] if length else large, length=length)
    client = client_for(api.url)

    one = client.fetch(PageRequest(api.url), lambda response: list(response.chunks()))
    many = client.fetch(PageRequest(api.url), lambda response: list(response.chunks()))

    assert one == [b"".join(small)]
    assert b"".join(many) == b"".join(large)
    assert max(map(len, many)) < (4 << 20) + (1 << 18) + 100
    assert client.traffic.bytes_received == 180 * 64_000


def test_a_gzip_body_is_unzipped_also_in_several_members(api, client_for):
    big = b"0123456789" * 300_000
    packed = gzip.compress(big) + gzip.compress(b"end")
    api.answer(200, packed, {"Content-Encoding": "gzip"})
    client = client_for(api.url)
    sizes = []

    def receive(response):
        sizes.extend(map(len, chunks := list(response.chunks())))
        return b"".join(chunks)

    assert client.fetch(PageRequest(api.url), receive) == big + b"end"
    assert max(sizes) < 1 << 19
    assert client.traffic.bytes_received == len(packed)


def test_an_empty_gzip_body_is_empty(api, client_for):
    api.answer(200, b"", {"Content-Encoding": "gzip"})

    assert client_for(api.url).fetch(PageRequest(api.url), whole) == b""


def test_an_encoding_that_was_not_asked_for_is_refused(api, client_for):
    api.answer(200, b"x", {"Content-Encoding": "br"})

    assert "asked for gzip or plain" in str(failed(client_for(api.url), PageRequest(api.url), RequestFailed))


def test_a_body_larger_than_allowed_is_refused_once_unzipped(api, client_for):
    api.answer(200, gzip.compress(b"x" * 1_000_000), {"Content-Encoding": "gzip"})

    error = failed(client_for(api.url, max_body_bytes=500_000), PageRequest(api.url), RequestFailed)

    assert "larger than 500,000 bytes" in str(error)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_origin_keeps_credential_and_headers(api, client_for, status):
    api.answer(status, headers={"Location": "/there?a=%2F"}).answer(200, b"fine")
    request = PageRequest(f"{api.url}/here", (("limit", "2"),), headers=(("X-Version", "7"),))

    url = client_for(api.url).fetch(request, lambda response: (response.url, whole(response)))

    assert url == (f"{api.url}/there?a=%2F", b"fine")
    assert api.asked[1].target == "/there?a=%2F"
    assert (api.asked[1].headers["authorization"], api.asked[1].headers["x-version"]) == (f"Bearer {KEY}", "7")


def test_a_header_that_came_several_times_has_all_of_its_values(api, client_for):
    api.answer(200, b"fine", {"X-Part": "one", "x-part": "two", "X-PART": "three", "SET-Cookie": "a=b"})

    told = client_for(api.url).fetch(PageRequest(api.url), lambda response: (whole(response), response.headers))

    assert told[0] == b"fine"
    assert told[1]["x-part"] == "one, two, three"
    assert "set-cookie" not in told[1]


def test_a_path_that_is_left_out_is_asked_for_as_the_root(api, client_for):
    api.answer(200, b"fine")

    client_for(api.url).fetch(PageRequest(f"{api.url}?page=2"), whole)

    assert api.asked[0].target == "/?page=2"


@pytest.mark.parametrize(("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")])
def test_a_redirected_post_stays_one_where_the_status_says_so(api, client_for, status, method):
    api.answer(status, headers={"Location": "/there"}).answer(200, b"fine")

    client_for(api.url).fetch(PageRequest(api.url, method="POST", body={"a": 1}), whole)

    assert (api.asked[1].method, bool(api.asked[1].body)) == (method, method == "POST")


@pytest.mark.parametrize("auth", [BEARER, QUERY, Basic(type="basic", user={"env": "KEY"})])
def test_a_redirect_to_another_origin_goes_without_credential_and_headers(api, elsewhere, client_for, auth):
    api.answer(302, headers={"Location": f"{elsewhere.url}/file?signature=abc"})
    elsewhere.answer(200, b"fine")

    url, body = client_for(api.url, auth).fetch(
        PageRequest(api.url, headers=(("X-Version", "7"),)), lambda response: (response.url, whole(response))
    )

    (asked,) = elsewhere.asked
    assert (url, body) == (f"{elsewhere.url}/file", b"fine")
    assert asked.target == "/file?signature=abc"
    assert not {"authorization", "x-version", "cookie"} & asked.headers.keys()
    assert "quokka" not in str(asked)


@pytest.mark.parametrize(
    ("location", "method"),
    [
        ("{elsewhere}/?key=sk%2Fquokka%2B123", "GET"),
        ("{elsewhere}/", "POST"),
        ("http://jo:pw@127.0.0.1/", "GET"),
        ("file:///etc/passwd", "GET"),
        ("http://[::1", "GET"),
        ("//evil.example\\@127.0.0.1/", "GET"),
    ],
)
def test_a_redirect_that_could_leak_is_not_followed(api, elsewhere, client_for, location, method):
    api.answer(307, headers={"Location": location.format(elsewhere=elsewhere.url)})
    elsewhere.answer(200)

    request = PageRequest(api.url, method=method, body={"a": 1} if method == "POST" else None)
    error = failed(client_for(api.url), request, RequestFailed)

    assert "Not followed" in str(error)
    assert elsewhere.asked == []


def test_redirects_in_a_circle_end(api, client_for):
    api.answer(302, headers={"Location": "/again"})

    assert "more than 5 times" in str(failed(client_for(api.url), PageRequest(api.url), RequestFailed))
    assert len(api.asked) == 6


def test_each_redirect_needs_a_grant_of_its_own(api, client_for, tmp_path):
    api.answer(302, headers={"Location": "/there"}).answer(200, b"fine")
    granted = []

    class Counting(Limiter):
        def granted(self, *given):
            granted.append(1)
            return super().granted(*given)

    client_for(api.url, limiters=[Counting(tmp_path, "key")]).fetch(PageRequest(api.url), whole)

    assert len(granted) == 2


@pytest.mark.parametrize("url", ["{elsewhere}/", "http://127.0.0.1:1@{host}/", "file:///etc/passwd", "http://[::1"])
def test_a_request_for_another_origin_is_never_sent(api, elsewhere, client_for, url):
    elsewhere.answer(200)
    other = url.format(elsewhere=elsewhere.url, host=elsewhere.url.removeprefix("http://"))

    failed(client_for(api.url), PageRequest(other), RequestFailed)

    assert api.asked == elsewhere.asked == []


def test_a_marker_cannot_move_a_request_to_another_origin(api, elsewhere, clock):
    secrets = Secrets({"KEY": elsewhere.url.removeprefix("http://") + "/"})
    elsewhere.answer(200)
    with Client("http://127.0.0.1", BEARER, secrets, sleep=clock.sleep) as client, pytest.raises(RequestFailed):
        client.fetch(PageRequest("http://127.0.0.1@~hidden.KEY.plain./"), whole)

    assert elsewhere.asked == []


def test_a_server_that_is_not_there_is_told_in_plain_words(client_for, clock):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"

    error = failed(client_for(url, QUERY), PageRequest(f"{url}/a"), TransientFailure)

    assert (
        str(error)
        == f"GET {url}/a: no connection: Connection refused (check host and port of base_url). Gave up after 6 attempts"
    )
    assert len(clock.slept) == 5


def test_an_answer_that_does_not_come_is_a_failure_that_may_pass(api, client_for):
    api.answer(200, b"late", delay=0.5)

    client = client_for(api.url, QUERY, read_timeout_seconds=0.05, retry=RetryPolicy(attempts=1))

    assert "no answer within 0.05 s" in str(failed(client, PageRequest(api.url), TransientFailure))


def test_a_header_that_cannot_be_sent_is_refused_without_showing_it(api, client_for):
    request = PageRequest(api.url, headers=(("X-A", "~hidden.KEY.plain.\nX-B: 1"),))

    assert "cannot be sent" in str(failed(client_for(api.url), request, ConfigError))
    assert api.asked == []


def test_a_missing_secret_is_named_before_anything_is_sent(api):
    with (
        Client(api.url, BEARER, Secrets(environ={})) as client,
        pytest.raises(ConfigError, match="variable KEY is not"),
    ):
        client.fetch(PageRequest(api.url), whole)

    assert api.asked == []


@pytest.mark.parametrize(
    "base_url", ["", "api.example.com", "ftp://x.example", "https://jo:pw@x.example", "https://é.example"]
)
def test_a_base_url_that_is_none_is_refused(base_url):
    with pytest.raises(ConfigError, match="base_url") as refused:
        Client(base_url)

    assert "pw" not in str(refused.value)
