"""Requests that are signed: HMAC as an API describes it, and AWS Signature Version 4 by AWS's own examples."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from pydantic import TypeAdapter, ValidationError

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth import Auth
from ingest_assets.http.auth.kind import Sent
from ingest_assets.http.client import Client
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets

KEY = "a-key-to-sign-with"
NOW = datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)


def auth(**given):
    return TypeAdapter(Auth).validate_python(given)


def hashed(text):
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256)


def fetched(api, kind, secrets, request=None):
    with Client(api.url, kind, secrets) as client:
        client.fetch(request or PageRequest(api.url + "/a%2Fb", (("q", "ü 1"),)), lambda r: b"".join(r.chunks()))
    return api.asked[-1]


def test_what_goes_over_the_wire_is_what_is_signed(api):
    api.answer(body=b"[]")
    kind = auth(
        type="hmac", key={"env": "KEY"}, key_id="me", message="{timestamp}\n{method}\n{target}\n{body}",
        headers={"X-Key": "{key_id}", "X-Time": "{timestamp}", "X-Signature": "v1={signature}"},
    )  # fmt: skip
    request = PageRequest(api.url + "/a%2Fb", (("q", "ü 1"),), method="POST", body={"name": "{nonce}é"})

    asked = fetched(api, kind, Secrets({"KEY": KEY}), request)

    time, sent = asked.headers["x-time"], asked.body.decode()
    assert asked.target == "/a%2Fb?q=%C3%BC%201"
    assert asked.headers["x-signature"] == "v1=" + hashed(f"{time}\nPOST\n{asked.target}\n{sent}").hexdigest()
    assert asked.headers["x-key"] == "me"
    assert KEY not in str(asked)


def test_time_and_signature_may_stand_in_the_query(api):
    api.answer(body=b"[]")
    kind = auth(
        type="hmac", key={"env": "KEY"}, message="{query}", timestamp="unix_ms", signature_as="base64",
        params={"timestamp": "{timestamp}", "signature": "{signature}"},
    )  # fmt: skip

    asked = fetched(api, kind, Secrets({"KEY": KEY}))

    query, _, signature = urlsplit(asked.target).query.partition("&signature=")
    expected = base64.b64encode(hashed(query).digest()).decode()
    assert "&timestamp=" in query
    assert signature.replace("%3D", "=").replace("%2B", "+").replace("%2F", "/") == expected


def test_what_signs_a_request_takes_the_place_of_what_signed_the_one_before(api):
    api.answer(body=b"[]")
    kind = auth(
        type="hmac", key={"env": "KEY"}, message="{query}",
        params={"timestamp": "{timestamp}", "signature": "{signature}"},
    )  # fmt: skip
    following = PageRequest(api.url + "/things?q=%C3%BC+1&timestamp=1&signature=abc&page=2")

    asked = fetched(api, kind, Secrets({"KEY": KEY}), following)

    query, _, signature = urlsplit(asked.target).query.partition("&signature=")
    assert [name for name, _ in parse_qsl(query)] == ["q", "page", "timestamp"]
    assert query.startswith("q=%C3%BC+1&page=2&timestamp=")
    assert signature == hashed(query).hexdigest()


def test_a_signature_goes_to_its_own_origin_only(api, elsewhere):
    api.answer(302, headers={"Location": elsewhere.url + "/there"})
    elsewhere.answer(body=b"[]")
    kind = auth(type="hmac", key={"env": "KEY"}, message="{url}", headers={"X-Signature": "{signature}"})

    fetched(api, kind, Secrets({"KEY": KEY}))

    assert "x-signature" in api.asked[0].headers
    assert "x-signature" not in elsewhere.asked[0].headers


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"message": "{tiemstamp}"}, "message: {tiemstamp} is nothing; known are body"),
        ({"message": "{body}", "headers": {"X": "{key_id}"}}, "the signature is sent nowhere"),
        ({"message": "{signature}", "headers": {"X": "{signature}"}}, "message: {signature} is nothing"),
    ],
)
def test_a_wrong_description_is_refused(given, says):
    with pytest.raises(ValidationError) as failed:
        auth(type="hmac", key={"env": "KEY"}, **given)

    assert says in str(failed.value)


def test_a_key_that_is_not_written_as_stated_is_told():
    kind = auth(type="hmac", key={"env": "KEY"}, key_as="hex", message="{url}", headers={"X": "{signature}"})

    with pytest.raises(ConfigError, match=r"environment variable KEY: expected a key written as hex"):
        kind.signed(Sent("GET", "https://x.example/", {}, b""), Secrets({"KEY": KEY}), NOW)


AWS = {
    "type": "aws_sigv4",
    "region": "us-east-1",
    "service": "service",
    "access_key_id": "AKIDEXAMPLE",
    "secret_access_key": {"env": "KEY"},
}
AWS_KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def authorization(url, body=b"", method="GET", **more):
    signature = auth(**AWS | more).signed(Sent(method, url, {"Accept": "*/*"}, body), Secrets({"KEY": AWS_KEY}), NOW)
    return signature.headers["Authorization"]


@pytest.mark.parametrize(
    ("method", "query", "signature"),
    [  # AWS's test suite for Signature Version 4: get-vanilla, get-vanilla-query-order-key-case, post-vanilla
        ("GET", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ("GET", "?Param2=value2&Param1=value1", "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"),
        ("POST", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
    ],
)
def test_the_published_vectors_of_aws_are_met(monkeypatch, method, query, signature):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))

    told = authorization(f"https://example.amazonaws.com/{query}", method=method)

    assert told == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders=host;x-amz-date, Signature={signature}"
    )


def test_a_server_that_computes_the_signature_anew_finds_the_same(api):
    api.answer(body=b"[]")
    secrets = Secrets({"KEY": AWS_KEY, "SESSION": "session-token-1"})
    request = PageRequest(api.url + "/a b/c", (("q", "ü/1"),), method="POST", body={"a": 1})

    asked = fetched(api, auth(**AWS, session_token={"env": "SESSION"}), secrets, request)

    names = asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    kept = {name: asked.headers[name] for name in names if name != "host"}
    again = botocore.awsrequest.AWSRequest(asked.method, api.url + asked.target, kept, asked.body)
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", AWS_KEY), "service", "us-east-1")
    again.context["timestamp"] = asked.headers["x-amz-date"]
    text = signer.string_to_sign(again, signer.canonical_request(again))
    assert asked.headers["authorization"].endswith(signer.signature(text, again))
    assert {"host", "content-type", "x-amz-date", "x-amz-security-token"} <= set(names)
    assert json.loads(asked.body) == {"a": 1}


def test_the_url_of_a_next_page_is_signed_as_aws_writes_it(monkeypatch):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: NOW.replace(tzinfo=None))
    values = {"after": "aé/b==", "at": "10:30", "q": "a b"}
    again = botocore.awsrequest.AWSRequest("GET", "https://x.example/a", {}, b"", params=values)
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", AWS_KEY), "service", "us-east-1")

    url = "https://x.example/a?after=a%c3%a9/b==&at=10:30&q=a+b"
    signature = auth(**AWS).signed(Sent("GET", url, {}, b""), Secrets({"KEY": AWS_KEY}), NOW)
    signer.add_auth(again)

    assert signature.headers["Authorization"] == again.headers["Authorization"]
    assert signature.url == "https://x.example/a?after=a%C3%A9%2Fb%3D%3D&at=10%3A30&q=a%20b"
