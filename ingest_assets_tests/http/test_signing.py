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


def signed_headers(asked):
    return asked.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")


def signed_again(asked, url, signer):
    """The signature that a server finds for what came."""
    kept = {name: asked.headers[name] for name in signed_headers(asked) if name != "host"}
    again = botocore.awsrequest.AWSRequest(asked.method, url + asked.target, kept, asked.body)
    again.context["timestamp"] = asked.headers["x-amz-date"]
    return signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)


def test_a_server_that_computes_the_signature_anew_finds_the_same(api):
    api.answer(body=b"[]")
    secrets = Secrets({"KEY": AWS_KEY, "SESSION": "session-token-1"})
    request = PageRequest(api.url + "/a b/c", (("q", "ü/1"),), method="POST", body={"a": 1})

    asked = fetched(api, auth(**AWS, session_token={"env": "SESSION"}), secrets, request)

    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", AWS_KEY), "service", "us-east-1")
    assert asked.headers["authorization"].endswith(signed_again(asked, api.url, signer))
    names = signed_headers(asked)
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


S3 = {**AWS, "service": "s3", "access_key_id": "AKIAIOSFODNN7EXAMPLE"}
S3_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
OF_NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize(
    ("target", "signature"),
    [  # examples of "Signature Calculations for the Authorization Header" in the manual of S3
        ("/?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("?lifecycle", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        ("/?max-keys=2&prefix=J", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("/?&max-keys=2&&prefix=J&", "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
    ],
)
def test_the_examples_of_s3_are_met_with_the_hash_of_the_body_that_it_wants(monkeypatch, target, signature):
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: datetime(2013, 5, 24))  # noqa: DTZ001 -- as botocore's
    sent = Sent("GET", f"https://examplebucket.s3.amazonaws.com{target}", {"Accept": "*/*"}, b"")

    told = auth(**S3).signed(sent, Secrets({"KEY": S3_KEY}), NOW).headers

    assert told["X-Amz-Content-SHA256"] == OF_NOTHING
    assert told["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
        f"SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature={signature}"
    )


def test_the_path_of_an_object_of_s3_is_encoded_once_as_s3_writes_it(api):
    api.answer(body=b"[]")
    signer = botocore.auth.S3SigV4Auth(botocore.credentials.Credentials("me", S3_KEY), "s3", "us-east-1")

    asked = fetched(api, auth(**S3), Secrets({"KEY": S3_KEY}), PageRequest(api.url + "/2024:$é(1)//a%20b%2bc~.json"))

    assert asked.target == "/2024%3A%24%C3%A9%281%29//a%20b%2Bc~.json"
    assert asked.headers["authorization"].endswith(signed_again(asked, api.url, signer))


@pytest.mark.parametrize("service", ["s3", "execute-api"])
def test_headers_of_aws_that_the_file_adds_are_signed_since_aws_refuses_them_otherwise(api, service):
    api.answer(body=b"[]")
    request = PageRequest(
        api.url + "/a", headers=(("x-amz-request-payer", "requester"), ("X-Amz-Target", "Prices.List"))
    )

    asked = fetched(api, auth(**S3 | {"service": service}), Secrets({"KEY": S3_KEY}), request)

    assert asked.headers["x-amz-target"] == "Prices.List"
    assert {"x-amz-request-payer", "x-amz-target"} <= set(signed_headers(asked))


def test_opensearch_serverless_gets_the_hash_of_the_body_too(api):
    api.answer(body=b"[]")
    request = PageRequest(api.url + "/_search", method="POST", body={"size": 9})
    signer = botocore.auth.SigV4Auth(botocore.credentials.Credentials("me", S3_KEY), "aoss", "us-east-1")

    asked = fetched(api, auth(**S3 | {"service": "aoss"}), Secrets({"KEY": S3_KEY}), request)

    assert asked.headers["x-amz-content-sha256"] == hashlib.sha256(asked.body).hexdigest()
    assert asked.headers["authorization"].endswith(signed_again(asked, api.url, signer))


def test_host_and_url_are_signed_as_they_go_over_the_wire(api):
    api.answer(body=b"[]")
    kind = auth(type="hmac", key={"env": "KEY"}, message="{host} {url}", headers={"X-Signature": "{signature}"})
    base = api.url.replace("127.0.0.1", "LOCALHOST")

    with Client(base, kind, Secrets({"KEY": KEY})) as client:
        client.fetch(PageRequest(base + "/a"), lambda r: b"".join(r.chunks()))

    host = api.asked[-1].headers["host"]
    assert host.startswith("localhost:")
    assert api.asked[-1].headers["x-signature"] == hashed(f"{host} http://{host}/a").hexdigest()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://API.example.com:443/a?b=1", "api.example.com https://api.example.com/a?b=1"),
        ("http://api.example.com:80", "api.example.com http://api.example.com/"),
        ("http://[::1]:8080/A", "[::1]:8080 http://[::1]:8080/A"),
    ],
)
def test_a_port_that_goes_without_saying_is_not_signed_since_it_is_not_sent(url, told):
    kind = auth(type="hmac", key={"env": "KEY"}, message="{host} {url}", headers={"X-Signature": "{signature}"})

    signature = kind.signed(Sent("GET", url, {}, b""), Secrets({"KEY": KEY}), NOW)

    assert signature.headers["X-Signature"] == hashed(told).hexdigest()


def test_a_signed_header_carries_utf_8_as_any_other_does(api):
    api.answer(body=b"[]")
    kind = auth(
        type="hmac", key={"env": "KEY"}, key_id="…é", message="{key_id}",
        headers={"X-Key": "{key_id}", "X-Signature": "{signature}"},
    )  # fmt: skip

    asked = fetched(api, kind, Secrets({"KEY": KEY}))

    assert asked.headers["x-key"].encode("latin-1").decode() == "…é"
    assert asked.headers["x-signature"] == hashed("…é").hexdigest()
