"""Tokens that are signed here: exchanged as an assertion, as the client's own credential, and sent as they are."""

import json
from datetime import date

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import TypeAdapter

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth import Auth
from ingest_assets.http.auth.exchanged import Answer
from ingest_assets.http.auth.jwts import ASSERTION_TYPE, GRANT_TYPE
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets

HMAC_KEY = "a text of at least thirty-two bytes"
TOKEN_URL = "https://auth.example/token"


def pem(key):
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


RSA, EC = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
KEYS = {
    "RS256": (pem(RSA), RSA.public_key()),
    "ES256": (pem(EC), EC.public_key()),
    "HS256": (HMAC_KEY, HMAC_KEY),
}


def asked_of(values, **given):
    """What a kind of auth asks the token server for, and the token that it gets."""
    asked, kind = [], TypeAdapter(Auth).validate_python({"token_url": TOKEN_URL, **given})

    def ask(request):
        asked.append(dict(request.body))
        return Answer(200, body=b'{"access_token": "abc-def-1", "token_type": "Bearer"}')

    token = kind.exchange(Secrets(values), ask)
    return asked[0], token.value


@pytest.mark.parametrize("algorithm", KEYS)
def test_an_assertion_is_exchanged_for_a_token(algorithm):
    key, public = KEYS[algorithm]
    claims = {"issuer": "bot@shop.example", "subject": "jo@shop.example", "claims": {"scope": "orders.read"}}

    asked, token = asked_of(
        {"KEY": key}, type="oauth2_jwt", private_key={"env": "KEY"}, algorithm=algorithm, key_id="k1", **claims,
        valid_for="PT10M",
    )  # fmt: skip

    told = jwt.decode(asked.pop("assertion"), public, [algorithm], audience=TOKEN_URL)
    assert asked == {"grant_type": GRANT_TYPE}
    assert token == "abc-def-1"
    assert (told["iss"], told["sub"], told["scope"]) == ("bot@shop.example", "jo@shop.example", "orders.read")
    assert told["exp"] - told["iat"] == 600


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_a_client_may_say_who_it_is_by_its_key(algorithm):
    key, public = KEYS[algorithm]

    asked, _ = asked_of(
        {"KEY": key}, type="oauth2_client_credentials", client_id="me", private_key={"env": "KEY"},
        algorithm=algorithm, key_id="k1",
    )  # fmt: skip

    told = jwt.decode(asked["client_assertion"], public, [algorithm], audience=TOKEN_URL)
    assert jwt.get_unverified_header(asked["client_assertion"])["kid"] == "k1"
    assert (told["iss"], told["sub"]) == ("me", "me")
    assert asked["client_assertion_type"] == ASSERTION_TYPE
    assert {"grant_type", "client_id"} < set(asked)


def test_each_assertion_is_another_one():
    given = {"type": "oauth2_jwt", "private_key": {"env": "KEY"}, "algorithm": "HS256"}

    (first, _), (second, _) = asked_of({"KEY": HMAC_KEY}, **given), asked_of({"KEY": HMAC_KEY}, **given)

    assert first["assertion"] != second["assertion"]


@pytest.mark.parametrize(
    ("algorithm", "key"), [("RS256", HMAC_KEY), ("ES256", KEYS["RS256"][0]), ("RS256", "-----BEGIN")]
)
def test_a_key_that_does_not_fit_is_named_and_never_shown(algorithm, key):
    with pytest.raises(
        ConfigError, match=r"environment variable KEY: cannot sign by .*expected a private key"
    ) as failed:
        asked_of({"KEY": key}, type="oauth2_jwt", private_key={"env": "KEY"}, algorithm=algorithm)

    assert failed.value.__cause__ is None
    assert key not in str(failed.value)


def test_a_key_whose_lines_are_written_as_backslash_n_as_in_an_environment_file_signs():
    key, public = KEYS["RS256"]

    asked, _ = asked_of({"KEY": key.replace("\n", "\\n")}, type="oauth2_jwt", private_key={"env": "KEY"})

    assert jwt.decode(asked["assertion"], public, ["RS256"], audience=TOKEN_URL)


def test_an_issuer_that_is_a_number_is_sent_as_text_as_the_id_of_an_app():
    key, public = KEYS["RS256"]
    given = {"private_key": {"env": "KEY"}, "claims": {"iss": 123456, "sub": 7}}

    asked, _ = asked_of({"KEY": key}, type="oauth2_jwt", **given)

    told = jwt.decode(asked["assertion"], public, ["RS256"], audience=TOKEN_URL)
    assert (told["iss"], told["sub"]) == ("123456", "7")


def test_a_claim_that_json_does_not_know_is_told_and_not_blamed_on_the_key():
    given = {"private_key": {"env": "KEY"}, "claims": {"birthday": date(2026, 1, 1)}}

    with pytest.raises(
        ConfigError, match=r"auth: claims: birthday: expected what JSON knows, found date .write a date in quotes"
    ):
        asked_of({"KEY": KEYS["RS256"][0]}, type="oauth2_jwt", **given)


def test_a_token_that_is_signed_here_goes_to_the_api_itself(api, tmp_path):
    kind = {"type": "jwt", "key": {"env": "KEY"}, "algorithm": "ES256", "claims": {"aud": "shop"}, "valid_for": "PT1H"}
    secrets = Secrets({"KEY": KEYS["ES256"][0]})
    api.answer(body=b"[]")

    with Client(api.url, TypeAdapter(Auth).validate_python(kind), secrets, tokens=tmp_path) as client:
        for _ in range(2):
            client.fetch(PageRequest(api.url), lambda response: b"".join(response.chunks()))

    sent = [asked.headers["authorization"].removeprefix("Bearer ") for asked in api.asked]
    assert jwt.decode(sent[0], KEYS["ES256"][1], ["ES256"], audience="shop")["exp"]
    assert sent[0] == sent[1]
    assert secrets.redactor().text(json.dumps(sent)) == '["~hidden.KEY_jwt.plain.", "~hidden.KEY_jwt.plain."]'


def test_a_key_may_stand_in_the_body_as_a_parameter_or_at_a_path(api):
    api.answer(body=b"[]")
    secrets = Secrets({"KEY": "sk-123456"})
    kind = TypeAdapter(Auth).validate_python(
        {"type": "api_key", "name": "auth.key", "place": "body", "value": {"env": "KEY"}}
    )

    with Client(api.url, kind, secrets) as client:
        for form in ("json", "form"):
            asked = PageRequest(api.url, method="POST", body={"q": "all"}, body_as=form)
            client.fetch(asked, lambda response: b"".join(response.chunks()))
        with pytest.raises(ConfigError, match="place: body"):
            client.fetch(PageRequest(api.url), lambda _: b"")

    assert json.loads(api.asked[0].body) == {"q": "all", "auth": {"key": "sk-123456"}}
    assert api.asked[1].body == b"q=all&auth.key=sk-123456"
