"""How a request says who asks."""

import base64

import pytest
from pydantic import TypeAdapter

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth import Auth
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets

ASKED = PageRequest("https://x.example/a?b=%2F", (("c", "d"),), headers=(("X-A", "1"),))


def auth(**given):
    return TypeAdapter(Auth).validate_python(given)


def test_without_credentials_the_request_stays_as_it_is():
    assert auth(type="none").apply(ASKED, Secrets()) == ASKED


def test_a_password_may_be_left_out_and_the_user_be_the_key():
    applied = auth(type="basic", user={"env": "KEY"}).apply(ASKED, Secrets({"KEY": "sk-123456"}))

    assert dict(applied.headers)["Authorization"] == "Basic " + base64.b64encode(b"sk-123456:").decode()


def test_the_pair_of_user_and_password_is_redacted_as_a_whole():
    secrets = Secrets({"KEY": "abc-def"})
    applied = auth(type="basic", user="jo", password={"env": "KEY"}).apply(ASKED, secrets)
    header = dict(applied.headers)["Authorization"]

    redacted = secrets.redactor().text(header)

    assert redacted.startswith("Basic ~hidden.KEY_")
    assert redacted.endswith("_basic.base64.")
    assert secrets.redactor().restore(redacted) == header


@pytest.mark.parametrize(
    ("kind", "carried"),
    [
        ({"type": "none"}, set()),
        ({"type": "bearer", "token": {"env": "A"}}, {"A"}),
        ({"type": "basic", "user": {"env": "A"}, "password": {"env": "B"}}, {"A", "B", "A_B_basic"}),
        ({"type": "api_key", "name": "key", "value": {"env": "A"}}, {"A"}),
        (
            {"type": "rotated", "each": [{"type": "bearer", "token": {"env": one}} for one in "AB"]},
            {"A", "B"},
        ),
        (
            {
                "type": "oauth2_refresh_token", "token_url": "https://x.example/token", "client_id": {"env": "A"},
                "client_secret": {"env": "B"}, "refresh_token": {"env": "C"},
            },
            {"C_token"},
        ),
        ({"type": "jwt", "key": {"env": "A"}}, {"A_jwt"}),
        (
            {"type": "login", "login_url": "https://x.example/login", "user": {"env": "A"}, "password": {"env": "B"},
             "cookie": "sid"},
            {"B_login", "B_login_cookie0", "B_login_cookie1"},
        ),
        (
            {"type": "hmac", "key": {"env": "A"}, "key_id": {"env": "B"}, "message": "{url}",
             "headers": {"X-Signature": "{signature}"}},
            {"B"},
        ),
        (
            {"type": "aws_sigv4", "region": "r", "service": "s", "access_key_id": {"env": "A"},
             "secret_access_key": {"env": "B"}, "session_token": {"env": "C"}},
            {"A", "C"},
        ),
    ],
)  # fmt: skip
def test_what_is_exchanged_or_signed_with_is_nothing_that_requests_carry(kind, carried):
    assert auth(**kind).carried == carried


def test_a_key_in_a_header_takes_the_place_of_one_that_is_there():
    key = auth(type="api_key", name="x-a", value={"env": "KEY"}, prefix="Token ")

    assert key.apply(ASKED, Secrets({"KEY": "abc-def"})).headers == (("x-a", "Token abc-def"),)


def test_a_key_in_the_query_leaves_the_rest_of_the_url_as_it_is():
    key = auth(type="api_key", name="b", value={"env": "KEY"}, place="query")

    applied = key.apply(
        PageRequest("https://x.example/a?x=%2f&b=old&y=1+2", (("c", "d"),)), Secrets({"KEY": "abc-def"})
    )

    assert applied.url == "https://x.example/a?x=%2f&y=1+2"
    assert applied.params == (("c", "d"), ("b", "abc-def"))


def test_the_id_of_a_credential_tells_one_from_another_and_nothing_else():
    bearer = auth(type="bearer", token={"env": "KEY"})
    key = auth(type="api_key", name="k", value={"env": "KEY"})
    ids = [
        bearer.credential_id(Secrets({"KEY": "abc-def"})),
        bearer.credential_id(Secrets({"KEY": "abc-deg"})),
        key.credential_id(Secrets({"KEY": "abc-def"})),
        auth(type="none").credential_id(Secrets()),
    ]

    assert len(set(ids)) == 4
    assert ids[0] == bearer.credential_id(Secrets({"KEY": "abc-def"}))
    assert all(len(each) == 12 for each in ids)


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"type": "bearer", "token": {"env": "KEY"}}, {"KEY": "gehéim-nis"}),
        ({"type": "basic", "user": "a:b"}, {}),
    ],
)
def test_what_no_header_can_carry_is_refused(given, values):
    with pytest.raises(ConfigError):
        auth(**given).apply(ASKED, Secrets(values))
