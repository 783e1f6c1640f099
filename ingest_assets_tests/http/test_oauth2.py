"""OAuth 2 client credentials against a real token server and a real API: who renews, when, and what is told."""

import base64
import itertools
import json
import logging
import multiprocessing
import os
import re
import time
import traceback
from datetime import timedelta
from urllib.parse import unquote_plus

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import ConfigError, RequestFailed, TransientFailure
from ingest_assets.http.auth import Auth
from ingest_assets.http.auth.exchanged import Answer
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.rates import RateLimit
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import Secrets

FORKS = multiprocessing.get_context("spawn")
SECRET = "s3cr:t/+%x1"
VALUES = {"CLIENT": "client:one", "SECRET": SECRET}
LONG = os.environ.get("INGEST_LONG") == "1"


def auth(url, **more):
    given = {"client_id": {"env": "CLIENT"}, "client_secret": {"env": "SECRET"}, "token_url": f"{url}/token"}
    return TypeAdapter(Auth).validate_python({"type": "oauth2_client_credentials", **given, **more})


@pytest.fixture
def client_for(world, clock, tmp_path):
    clients = []

    def made(base_url="", secrets=None, retry=None, **more):
        options = {key: more.pop(key) for key in ("limiters", "token_limiter", "error_message") if key in more}
        secrets = secrets or Secrets(VALUES)
        kind = auth(world.url, **more)
        client = Client(
            base_url or world.url, kind, secrets, sleep=clock.sleep, tokens=tmp_path / "tokens", retry=retry, **options
        )
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


def page(client, path="/items"):
    return client.fetch(PageRequest(client.origin + path), lambda response: b"".join(response.chunks()))


def failed(client, kind):
    """The error that a fetch ends with, after a look that none of its texts holds a secret."""
    with pytest.raises(kind) as raised:
        page(client)
    told = "".join(traceback.format_exception(raised.value))
    assert "s3cr" not in told
    assert "tok/" not in told
    return raised.value


def test_the_token_is_asked_for_by_basic_auth_and_sent_as_bearer(world, client_for):
    page(client_for(scope=["read", "write"], params={"audience": "https://api.example"}))

    _, headers, body = world.exchanges[0]
    pair = base64.b64decode(headers["authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(part) for part in pair.split(":")] == ["client:one", SECRET]
    assert body == {"grant_type": "client_credentials", "scope": "read write", "audience": "https://api.example"}
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert headers["accept"] == "application/json"
    assert world.statuses == [200]


def test_id_and_secret_go_into_the_body_where_the_file_says_so(world, client_for):
    page(client_for(place="body", client_id="public-id", scope="read write"))

    _, headers, body = world.exchanges[0]
    assert "authorization" not in headers
    assert (body["client_id"], body["client_secret"], body["scope"]) == ("public-id", SECRET, "read write")


def test_the_api_may_want_the_token_in_a_header_of_its_own(world):
    kind = auth("https://auth.example", header="X-Shop-Token", prefix="")
    secrets = Secrets(VALUES)
    secrets.remember(kind.token_name, "tok/123")

    assert kind.apply(PageRequest("https://x.example"), secrets).headers == (("X-Shop-Token", "tok/123"),)


def test_one_token_serves_many_requests_and_clients(world, client_for):
    one, other = client_for(), client_for()

    for client in (one, other, one):
        page(client)

    assert len(world.exchanges) == 1
    assert world.statuses == [200, 200, 200]


@pytest.mark.parametrize(
    "other", [{"scope": "more"}, {"params": {"audience": "b"}}, {"client_id": "other-id"}, {"place": "body"}]
)
def test_another_client_scope_or_audience_is_another_token(world, client_for, other):
    page(client_for())
    page(client_for(**other))

    assert len(world.exchanges) == 2


def test_a_token_of_a_secret_that_was_replaced_is_not_used(world, client_for):
    page(client_for())
    page(client_for(secrets=Secrets(VALUES | {"SECRET": "another-one"})))

    assert len(world.exchanges) == 2


def test_the_budget_of_a_client_is_one_whatever_token_secret_or_scope():
    kind, other = auth("https://auth.example"), auth("https://auth.example", client_id="other-id")
    ids = [
        kind.credential_id(Secrets(VALUES)),
        kind.credential_id(Secrets(VALUES | {"SECRET": "another-one"})),
        auth("https://auth.example", scope="x").credential_id(Secrets(VALUES)),
    ]

    assert len(set(ids)) == 1
    assert other.credential_id(Secrets(VALUES)) != ids[0]


def test_a_token_is_renewed_before_it_is_over(world, client_for):
    world.lifetime = 600.0
    client = client_for()
    page(client)
    client._asking.exchange._file._clock = lambda: time.monotonic() + 540  # the API would take it yet for a minute

    page(client)

    assert len(world.exchanges) == 2
    assert world.statuses == [200, 200]


def test_a_token_that_is_revoked_early_is_renewed_once_and_the_request_made_again(world, client_for):
    client = client_for()
    page(client)
    world.refused |= set(world.issued)

    page(client)

    assert world.statuses == [200, 401, 200]
    assert len(world.exchanges) == 2


def test_where_another_process_has_renewed_already_its_token_is_used_without_a_renewal(world, client_for):
    one, other = client_for(), client_for()
    world.refused |= {next(iter(world.issued), "") for _ in [page(one)]}
    held = one._asking.exchange.token()
    page(other)

    one._asking.exchange.renewed(held)
    page(one)

    assert len(world.exchanges) == 2
    assert world.statuses == [200, 401, 200, 200]


def test_a_new_token_that_is_refused_too_ends_the_fetch_after_one_renewal(world, client_for):
    world.refuses_all = True

    error = failed(client_for(), RequestFailed)

    assert world.statuses == [401, 401]
    assert len(world.exchanges) == 2
    assert "gave just now is refused: look at `scope` and `params`" in str(error)
    assert error.status == 401


def test_each_page_may_renew_once(world, client_for):
    client = client_for()
    for _ in range(3):
        page(client)
        world.refused |= set(world.issued)

    assert world.statuses == [200, 401, 200, 401, 200]


@pytest.mark.parametrize("said", [None, "soon", -1, 0, True, [], {}])
def test_a_token_whose_life_nobody_states_is_used_until_it_is_refused(world, client_for, said):
    world.says = {"expires_in": said}
    client = client_for()
    page(client)
    page(client)
    world.refused |= set(world.issued)
    page(client)

    assert len(world.exchanges) == 2


@pytest.mark.parametrize(("said", "seconds"), [(60, 60), ("60", 60), (1e400, 90), (None, 90), (1e30, 1e9)])
def test_a_life_may_be_stated_as_text_or_by_the_file(said, seconds):
    kind = auth("https://auth.example", lifetime=timedelta(seconds=90))
    told = json.dumps({"access_token": "abc-def", "expires_in": said}).encode()

    token = kind.exchange(Secrets(VALUES), lambda _: Answer(200, body=told))

    assert token.lifetime_seconds == seconds


def test_the_clock_of_the_server_decides_nothing(world, client_for):
    world.answers = [
        (200, {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"}, b'{"access_token": "tok/early0", "expires_in": 3600}')
    ]
    world.issued["tok/early0"] = time.monotonic()
    client = client_for()

    page(client)
    page(client)

    assert len(world.exchanges) == 1


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (401, "invalid_client", "Check environment variable CLIENT and environment variable SECRET; .* `place: body`"),
        (400, "invalid_client", "Check environment variable CLIENT"),
        (400, "invalid_scope", "Mend `scope`"),
        (400, "unauthorized_client", "allow it the grant client_credentials"),
        (400, "unsupported_grant_type", "no client_credentials grant at this token_url"),
        (400, "invalid_request", "lacks or repeats a parameter"),
        (400, "invalid_grant", "refuses this grant"),
        (403, "vendor_code", "Look the code up"),
        (200, "bad_verification_code", "Look the code up"),
    ],
)
def test_what_the_token_server_refuses_is_told_with_its_code_and_what_to_do(world, client_for, status, code, advice):
    told = {"error": code, "error_description": f"no, {SECRET}\n is not it"}
    world.answers = [(status, {}, json.dumps(told).encode())]

    error = failed(client_for(), RequestFailed)

    assert f"/token: HTTP {status}: '{code}' ('no, ~hidden.SECRET" in str(error)
    assert error.__cause__ is None
    assert re.search(advice, str(error))
    assert len(world.exchanges) == 1
    assert world.asked == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ((404, {}, b"<html>"), "HTTP 404: the answer is no JSON object. Is token_url right"),
        ((200, {}, b"access_token=tok/123456"), "is no JSON object"),
        ((200, {}, b"[" * 100_000), "is no JSON object"),
        ((200, {}, b"{}"), "holds no access_token; the keys there are: none"),
        ((200, {}, b'{"token": "tok/123456"}'), "the keys there are: token"),
        ((200, {}, b'{"access_token": 1234567}'), "holds no access_token"),
        ((200, {}, b'{"access_token": "abc"}'), "shorter than 6 characters"),
        ((200, {}, b'{"access_token": "tok/12\\n3456"}'), "what no header can carry"),
        ((200, {}, b'{"access_token": "tok/123456", "token_type": "mac"}'), "of type 'mac'"),
        ((400, {}, b'{"error": {"code": 1}}'), "holds no error code"),
        (
            (401, {}, b"Unauthorized"),
            "is no JSON object. Check environment variable CLIENT and environment variable SECRET",
        ),
        ((401, {}, b'{"message": "no"}'), "holds no error code. Check environment variable CLIENT"),
        ((500 + 5, {}, b""), "HTTP 505: the answer is no JSON object"),
    ],
)
def test_an_answer_that_holds_no_token_says_what_it_is(world, client_for, answer, says):
    world.answers = [answer]

    assert says in str(failed(client_for(), RequestFailed))


def test_a_redirect_of_the_token_request_is_refused(world, client_for, elsewhere):
    elsewhere.answer(200, b'{"access_token": "tok/123456"}')
    world.answers = [(307, {"Location": f"{elsewhere.url}/token?x=1"}, b"")]

    error = failed(client_for(), RequestFailed)

    assert f"redirected to {elsewhere.url}. Not followed" in str(error)
    assert elsewhere.asked == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_failure_of_the_token_server_that_may_pass_is_tried_again(world, client_for, status):
    world.answers = [(status, {}, b""), (400, {}, b'{"error": "temporarily_unavailable"}')]

    page(client_for())

    assert len(world.exchanges) == 3
    assert world.statuses == [200]


def test_a_token_server_that_is_not_there_is_a_failure_that_may_pass(client_for):
    client = client_for(token_url="http://127.0.0.1:9/token", retry=RetryPolicy(attempts=2))

    assert "POST http://127.0.0.1:9/token: no connection" in str(failed(client, TransientFailure))


def test_what_the_token_server_asks_to_wait_holds_back_every_process(world, client_for, clock, tmp_path):
    world.answers = [(429, {"Retry-After": "7"}, b""), (429, {}, b"")]
    limiters = [Limiter(tmp_path / "limits", "key", clock=clock, sleep=clock.sleep) for _ in range(2)]

    page(client_for(token_limiter=limiters[0]))

    assert sum(clock.slept) >= 8
    with limiters[1].granted():
        pass
    assert len(world.exchanges) == 3


def test_a_token_request_to_the_api_itself_counts_in_its_limit(world, client_for, clock, tmp_path):
    limiter = Limiter(
        tmp_path / "limits", "k", [RateLimit(requests=2, per=timedelta(seconds=9))], clock=clock, sleep=clock.sleep
    )
    client = client_for(limiters=[limiter], token_limiter=limiter)

    page(client)
    assert clock.slept == []
    page(client)

    assert 9 <= sum(clock.slept) < 10


def test_a_token_that_ends_while_its_request_waits_is_replaced_before_it_is_sent(world, client_for, clock, tmp_path):
    """The limit's wait takes longer than the token lives; no slot is lost, no 401 is caused."""
    world.lifetime = 0.4
    limiter = Limiter(tmp_path / "limits", "k", [RateLimit(requests=1, per=timedelta(seconds=0.6))])
    client = client_for(limiters=[limiter])

    for _ in range(3):
        page(client)

    assert world.statuses == [200, 200, 200]
    assert len(world.exchanges) == 3
    gaps = [late - early for (early, *_), (late, *_) in itertools.pairwise(world.asked)]
    assert all(0.6 <= gap < 1.1 for gap in gaps), gaps


def test_a_token_goes_to_the_origin_of_the_api_only_and_the_secret_to_that_of_the_token(
    world, client_for, elsewhere, api
):
    api.answer(302, b"", {"Location": f"{elsewhere.url}/file"})
    elsewhere.answer(200, b"{}")

    page(client_for(base_url=api.url))

    assert api.asked[0].headers["authorization"].startswith("Bearer tok/")
    assert "authorization" not in elsewhere.asked[0].headers
    sent = f"{api.asked} {elsewhere.asked}"
    assert SECRET not in sent
    assert base64.b64encode(SECRET.encode()).decode()[:8] not in sent


def test_an_answer_that_names_the_marker_of_the_secret_does_not_get_it(world, client_for, api):
    api.answer(200, b'{"next": "~hidden.SECRET.plain."}')
    client = client_for(base_url=api.url)
    page(client)

    with pytest.raises(RequestFailed, match="the marker of SECRET"):
        client.fetch(PageRequest(api.url, (("cursor", "~hidden.SECRET.plain."),)), lambda response: response)

    assert len(api.asked) == 1


def test_a_401_of_another_origin_renews_nothing(world, client_for, elsewhere, api):
    api.answer(302, b"", {"Location": f"{elsewhere.url}/file"})
    elsewhere.answer(401)

    failed(client_for(base_url=api.url), RequestFailed)

    assert len(world.exchanges) == 1


def test_no_log_and_no_answer_holds_token_or_secret(world, client_for, caplog):
    caplog.set_level(logging.DEBUG)
    client = client_for(place="body")

    told = page(client)
    world.refused |= set(world.issued)
    again = page(client)

    assert told == again == b'{"token": "~hidden.SECRET_token.plain."}'
    assert "tok/" not in caplog.text
    assert "s3cr" not in caplog.text


def test_a_former_token_is_hidden_too_and_put_back_as_the_one_that_holds_now():
    secrets = Secrets()
    for token in ("tok/old", "tok/new"):
        secrets.remember("T", token)
    redactor = secrets.redactor()

    assert redactor.text("a=tok/old&b=tok%2Fnew") == "a=~hidden.T.plain.&b=~hidden.T.percent."
    assert redactor.restore("a=~hidden.T.plain.&b=~hidden.T.percent.") == "a=tok/new&b=tok%2Fnew"


def test_no_secret_is_on_disk_outside_the_token_file(world, client_for, tmp_path):
    page(client_for(place="body"))

    (token,) = world.issued
    holding = [file for file in tmp_path.rglob("*") if file.is_file() and token in file.read_text()]
    assert [file.suffix for file in holding] == [".json"]
    assert not [file for file in tmp_path.rglob("*") if file.is_file() and SECRET in file.read_text()]
    assert not [file for file in tmp_path.rglob("*") if "client" in file.name]


def test_a_refresh_token_that_nobody_asked_for_is_kept_nowhere(world, client_for, tmp_path):
    world.says = {"refresh_token": "refresh-of-nobody"}

    page(client_for())

    kept = [file.read_text() for file in (tmp_path / "tokens").rglob("*") if file.is_file()]
    assert kept
    assert not [text for text in kept if "refresh-of-nobody" in text]


def test_a_missing_secret_is_named_before_anything_is_sent(world, clock, tmp_path):
    with pytest.raises(ConfigError, match="environment variable SECRET is not set"):
        Client(world.url, auth(world.url), Secrets({"CLIENT": "client:one"}, {}), tokens=tmp_path)

    assert world.exchanges == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"token_url": "auth.example/token"}, "expected a URL such as"),
        ({"token_url": "https://me:secret@auth.example/token"}, "without user, password"),
        ({"token_url": "https://auth.example/token#x"}, "without user, password and #"),
        ({"params": {"client_secret": "x"}}, "client_secret does not go here"),
        ({"place": "query"}, "'header' or 'body'"),
        ({"lifetime": timedelta(0)}, "greater than 0"),
    ],
)
def test_a_wrong_description_is_refused(given, says):
    with pytest.raises(ValidationError, match=says):
        auth("https://auth.example", **given)


def work(folder, url, seconds, together, results):
    """Ask again and again for some time; tell how often, or why that failed."""
    count, slow = 0, 0.0
    together.wait()
    until = time.monotonic() + seconds
    try:
        with Client(url, auth(url), Secrets(VALUES), tokens=folder) as client:
            while time.monotonic() < until:
                begin = time.monotonic()
                page(client)
                slow = max(slow, time.monotonic() - begin)
                count += 1
                time.sleep(0.02)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test tells it
        results.put(("failed", repr(error), slow))
    else:
        results.put(("fine", count, slow))


def test_eight_processes_renew_a_short_token_once_a_life_and_see_no_401(world, tmp_path):
    """Each token is used from its exchange to a tenth before its end: lives follow each other without overlap."""
    world.lifetime = 2.0
    results, together = FORKS.Queue(), FORKS.Barrier(8)
    given = (tmp_path, world.url, 90 if LONG else 5.5, together, results)
    workers = [FORKS.Process(target=work, args=given) for _ in range(8)]

    for worker in workers:
        worker.start()
    told = [results.get() for _ in workers]
    for worker in workers:
        worker.join()

    begun = sorted(world.issued.values())
    span = world.asked[-1][0] - begun[0]
    refused = world.statuses.count(401)
    assert {kind for kind, *_ in told} == {"fine"}, told
    # Only a token that was on its way for a tenth of its life is refused, and its request made once again.
    assert refused < len(world.asked) / 10
    # An exchange begins at the earliest nine tenths of a life after the former one began, and the server gives its
    # token later than that by the time of an exchange, which is the slowest request at most.
    slowest = max(slow for *_, slow in told)
    gaps = [late - early for early, late in itertools.pairwise(begun)]
    assert all(gap > 0.9 * world.lifetime - slowest for gap in gaps), (gaps, slowest)
    assert span / world.lifetime <= len(begun) + 1
    assert len(begun) == len(world.exchanges)


@pytest.mark.parametrize("status", [401, 400, 200])
def test_a_secret_that_was_replaced_is_looked_up_where_the_token_server_refuses_it(world, clock, tmp_path, status):
    file, world.answers = tmp_path / "secret", [(status, {}, b'{"error": "invalid_client"}')]
    file.write_text("secret-of-yesterday")
    world.meanwhile = lambda: file.write_text(SECRET)
    kind = auth(world.url, client_secret={"file": str(file)})

    with Client(world.url, kind, Secrets(VALUES), sleep=clock.sleep, tokens=tmp_path / "tokens") as client:
        page(client)

    pairs = [base64.b64decode(headers["authorization"].split()[1]).decode() for _, headers, _ in world.exchanges]
    assert [unquote_plus(pair.split(":")[1]) for pair in pairs] == ["secret-of-yesterday", SECRET]
