"""What a source file says that answers mean: another try, a failure in its own words, another credential."""

import json

import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import NotBefore, RequestFailed, Ruled, TransientFailure
from ingest_assets.http.auth import Auth
from ingest_assets.http.breaker import Breaker, BreakerSettings
from ingest_assets.http.client import Client
from ingest_assets.http.conditions import holds
from ingest_assets.http.page import PageRequest
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.secrets import Secrets
from ingest_assets.source import Source

PAGE = b'{"data": []}'
ADVICE = "The API is off for this account: turn it on under Settings > API, then run again."


def rules(*told):
    return TypeAdapter(tuple[ResponseRule, ...]).validate_python(told)


def whole(response):
    return b"".join(response.chunks())


CONDITIONS = {
    "a status": (404, {}, {}, {"status": 404}),
    "a header in a good answer": (200, {"X-State": "warming up"}, {}, {"header": "x-state", "text": "Warming"}),
    "a path in a good answer": (200, {}, {"error": {"code": 7}}, {"path": "error.code", "equals": [6, 7]}),
    "the text of a refusal": (400, {}, {"told": "Index is NOT READY"}, {"status": [400, 409], "text": "not ready"}),
    "a condition in a good answer": (
        200,
        {},
        {"meta": {"ready": False, "shards": [{"up": True}, {"up": False}]}},
        {"jmespath": "!(meta.ready) && meta.shards[?!up]"},
    ),
    "a condition on a refusal": (
        409,
        {},
        {"errors": [{"code": "E1"}, {"code": "E7"}]},
        {"status": 409, "jmespath": "contains(errors[].code, 'E7')"},
    ),
    "no content": (204, {}, None, {"status": 204}),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_an_answer_is_asked_for_again_where_a_rule_says_so(api, asking, name):
    status, headers, body, condition = CONDITIONS[name]
    told = b"" if body is None else json.dumps(body).encode()
    api.answer(status, told, headers).answer(status, told, headers).answer(200, PAGE)

    assert asking({**condition, "means": "retry"}).fetch(PageRequest(api.url), whole) == PAGE

    assert len(api.asked) == 3


@pytest.mark.parametrize("name", CONDITIONS)
def test_an_answer_fails_in_the_words_of_the_file_and_is_not_asked_for_again(api, asking, name):
    status, headers, body, condition = CONDITIONS[name]
    api.answer(status, b"" if body is None else json.dumps(body).encode(), headers)

    with pytest.raises(RequestFailed) as failed:
        asking({**condition, "means": "fail", "message": ADVICE}).fetch(PageRequest(api.url), whole)

    assert str(failed.value).startswith(f"GET {api.url}")
    assert f"HTTP {status}" in str(failed.value)
    assert str(failed.value).endswith(ADVICE)
    assert len(api.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_would_be_tried_again_fails_at_once_where_a_rule_says_so(api, asking, status):
    api.answer(status, b'{"error": "quota of this contract is over"}')

    with pytest.raises(Ruled, match="Buy more"):
        asking({"status": status, "text": "contract", "means": "fail", "message": "Buy more"}).fetch(
            PageRequest(api.url), whole
        )

    assert len(api.asked) == 1


def test_what_is_asked_for_again_in_vain_fails_as_what_may_pass(api, asking):
    api.answer(404, b"{}")

    with pytest.raises(TransientFailure, match="to be asked again, as its status says so"):
        asking({"status": 404, "means": "retry"}).fetch(PageRequest(api.url), whole)


def test_another_try_waits_as_the_rule_says_and_holds_back_nobody_else(api, asking, clock, limiter):
    api.answer(409, b"{}").answer(200, PAGE)

    asking({"status": 409, "means": "retry", "wait": "PT20S"}).fetch(PageRequest(api.url), whole)

    assert clock.slept == [20.0]
    clock.now -= 20.0
    assert limiter.ahead() == 0.0


@pytest.mark.parametrize(("headers", "everywhere"), [({}, False), ({"Retry-After": "7200"}, True)])
def test_another_try_after_longer_than_is_waited_keeps_others_only_where_the_api_says_so(
    api, asking, limiter, headers, everywhere
):
    api.answer(409, b"{}", headers)

    with pytest.raises(NotBefore, match=r"waits until .* \(2 h\)") as failed:
        asking({"status": 409, "means": "retry", "wait": "PT2H"}).fetch(PageRequest(api.url), whole)

    assert (failed.value.everywhere, failed.value.for_all, limiter.ahead() > 0) == (everywhere,) * 3


def test_another_try_that_the_api_dates_holds_back_all(api, asking, clock, limiter):
    api.answer(409, b"{}", {"Retry-After": "30"}).answer(200, PAGE)
    client = asking({"status": 409, "means": "retry"})

    client.fetch(PageRequest(api.url), whole)

    assert sum(clock.slept) == pytest.approx(30.0, abs=0.1)


def test_the_first_rule_that_fits_counts(api, asking):
    api.answer(403, b'{"error": {"code": "off"}}')
    client = asking(
        {"status": 404, "means": "retry"},
        {"status": 403, "path": "error.code", "equals": "off", "means": "fail", "message": "first"},
        {"status": 403, "means": "fail", "message": "second"},
    )

    with pytest.raises(Ruled, match="first"):
        client.fetch(PageRequest(api.url), whole)


def test_an_answer_that_no_rule_speaks_of_is_what_its_status_says(api, asking):
    api.answer(403, b'{"error": {"code": "other"}}')

    with pytest.raises(RequestFailed, match="the credential may lack a permission") as failed:
        asking({"status": 403, "jmespath": "error.code == 'off'", "means": "fail", "message": "x"}).fetch(
            PageRequest(api.url), whole
        )

    assert failed.value.status == 403


def test_a_secret_in_an_answer_that_fails_is_in_no_message(api, asking):
    secrets, auth = (
        Secrets({"KEY": "s3cr3t-value"}),
        TypeAdapter(Auth).validate_python({"type": "bearer", "token": {"env": "KEY"}}),
    )
    api.answer(403, b'{"told": "key s3cr3t-value is off"}')
    client = asking(
        {"status": 403, "text": "is off", "means": "fail", "message": "Turn it on"}, auth=auth, secrets=secrets
    )

    with pytest.raises(Ruled) as failed:
        client.fetch(PageRequest(f"{api.url}/?of=s3cr3t-value"), whole)

    assert "s3cr3t-value" not in str(failed.value)


@pytest.mark.parametrize(("means", "is_open"), [("fail", False), ("retry", True)])
def test_a_5xx_with_a_meaning_of_its_own_is_no_sign_that_the_api_is_down(api, asking, tmp_path, means, is_open):
    settings = BreakerSettings(failures=2, lasting="PT0S")
    breaker = Breaker(tmp_path / "down", "shop", api.url, settings)
    api.answer(500, b"{}")
    more = {"message": "Mend it"} if means == "fail" else {}
    client = asking({"status": 500, "means": means, **more}, breaker=breaker)

    for _ in range(2):
        with pytest.raises((Ruled, TransientFailure)):
            client.fetch(PageRequest(api.url), whole)

    down = breaker.state()
    assert (down is not None and down.is_open) is is_open


EXPIRED = {"status": 403, "path": "error", "equals": "token_expired", "means": "new_credential"}


@pytest.fixture
def with_token(world, clock, tmp_path):
    """A client whose secrets are exchanged for tokens, with some rules."""
    clients = []

    def made(*told, url=""):
        given = {"client_id": "shop", "client_secret": {"env": "SECRET"}, "token_url": f"{world.url}/token"}
        auth = TypeAdapter(Auth).validate_python({"type": "oauth2_client_credentials", **given})
        secrets = Secrets({"SECRET": "s3cr3t-value"})
        client = Client(
            url or world.url, auth, secrets, responses=rules(*told), sleep=clock.sleep, tokens=tmp_path / "tokens"
        )
        clients.append(client)
        return client

    yield made
    for client in clients:
        client.close()


@pytest.mark.parametrize(("status", "rule"), [(403, EXPIRED), (200, {**EXPIRED, "status": 200})])
def test_another_token_is_asked_for_once_where_the_api_says_that_it_is_over(api, with_token, world, status, rule):
    api.answer(status, b'{"error": "token_expired"}').answer(200, PAGE)

    assert with_token(rule, url=api.url).fetch(PageRequest(api.url), whole) == PAGE

    first, second = (asked.headers["authorization"] for asked in api.asked)
    assert first != second
    assert len(world.exchanges) == 2


def test_another_token_that_is_refused_too_is_a_failure_for_good(api, with_token, world):
    api.answer(403, b'{"error": "token_expired"}')

    with pytest.raises(Ruled, match="the credential is not taken, as 'error' is 'token_expired'") as failed:
        with_token(EXPIRED, url=api.url).fetch(PageRequest(api.url), whole)

    assert (failed.value.status, len(api.asked), len(world.exchanges)) == (401, 2, 2)


def test_each_page_may_have_another_token(api, with_token, world):
    over = b'{"error": "token_expired"}'
    api.answer(403, over).answer(200, PAGE).answer(403, over).answer(200, PAGE)
    client = with_token(EXPIRED, url=api.url)

    for _ in range(2):
        client.fetch(PageRequest(api.url), whole)

    assert len(world.exchanges) == 3


def test_a_secret_that_was_replaced_is_looked_up_again_where_the_api_says_that_it_is_over(api, asking, tmp_path):
    key = tmp_path / "key"
    key.write_text("former-key")
    auth = TypeAdapter(Auth).validate_python({"type": "bearer", "token": {"file": str(key)}})
    over = b'{"error": "token_expired"}'

    def replacing():
        key.write_text("newer-key")
        yield over

    api.answers.append((403, {}, replacing(), len(over), 0.0))
    api.answer(200, PAGE)

    assert asking(EXPIRED, auth=auth, secrets=Secrets()).fetch(PageRequest(api.url), whole) == PAGE

    assert api.asked[-1].headers["authorization"] == "Bearer newer-key"


def test_a_secret_that_is_still_the_same_fails_for_good_at_once(api, asking):
    auth = TypeAdapter(Auth).validate_python({"type": "bearer", "token": {"env": "KEY"}})
    api.answer(403, b'{"error": "token_expired"}')

    with pytest.raises(Ruled, match=r"there is no other one. .*KEY"):
        asking(EXPIRED, auth=auth, secrets=Secrets({"KEY": "s3cr3t-value"})).fetch(PageRequest(api.url), whole)

    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"status": 403, "means": "fail"}, "needs `message`"),
        ({"status": 403, "means": "retry", "message": "x"}, "message is what a failure says"),
        ({"status": 403, "means": "fail", "message": "x", "wait": "PT1S"}, "wait is for means: throttled and retry"),
        ({"status": 200, "means": "retry"}, "every page has such a status"),
        ({"status": 201, "means": "fail", "message": "x"}, "every page has such a status"),
        ({"means": "retry"}, "which answers are meant"),
        ({"status": 403, "means": "give_up"}, "'throttled', 'retry', 'fail'"),
        ({"jmespath": "a ==", "means": "retry"}, "'a ==' is no JMESPath expression"),
        ({"jmespath": "size(a)", "means": "retry"}, r"calls size\(\), which JMESPath does not have"),
        ({"jmespath": "a[?starts_with(b)]", "means": "retry"}, r"gives starts_with\(\) 1 values, and it takes 2"),
        ({"jmespath": "b || !a.ready", "means": "retry"}, "around the whole path"),
        ({"jmespath": "a", "path": "b", "means": "retry"}, "a condition of its own"),
        ({"jmespath": "a", "text": "b", "means": "retry"}, "a condition of its own"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule, told):
    with pytest.raises(ValidationError, match=told):
        rules(rule)


@pytest.mark.parametrize("at_endpoint", [True, False])
def test_a_new_credential_of_an_api_without_any_is_refused(at_endpoint):
    told = {"responses": [EXPIRED]}
    things = {"path": "/", "write": "replace", **(told if at_endpoint else {})}

    with pytest.raises(ValidationError, match="no credential to renew"):
        Source.model_validate(
            {"name": "shop", "base_url": "https://shop.example", "endpoints": {"things": things}}
            | ({} if at_endpoint else told)
        )


@pytest.mark.parametrize("means", ["end", "empty", "skip_parent"])
def test_a_rule_on_records_speaks_of_no_status_that_says_nothing_of_them(means):
    (rule,) = rules({"path": "state", "equals": "none", "means": means})

    spoken_of = [status for status in (200, 202, 204, 304, 401, 404, 407, 429, 500) if rule.speaks_of(status)]

    assert spoken_of == [200, 204, 404, 500]


@pytest.mark.parametrize(
    ("expression", "body", "expected"),
    [
        ("a", {"a": 0}, True),
        ("a", {"a": False}, False),
        ("a", {"a": ""}, False),
        ("a", {"a": {}}, False),
        ("a", None, False),
        ("max_by(a, &n).n > `3`", {"a": [{"n": 5}]}, True),
        ("max_by(a, &n)", {"a": "no list"}, False),
        ("merge(a, b)", {"a": {"x": 1}, "b": {}}, True),
        ('"odd.key" == `null`', {}, True),
    ],
)
def test_a_condition_holds_where_it_gives_something(expression, body, expected):
    assert holds(expression, body) is expected
