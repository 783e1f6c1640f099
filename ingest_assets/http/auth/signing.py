"""Kinds that sign each request as it goes over the wire: HMAC over a described text, and AWS Signature Version 4."""

import base64
import hashlib
import hmac
import re
import secrets as random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, unquote_to_bytes, urlsplit

from pydantic import Field, model_validator

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth.kind import Kind, SecretOrText, Sent, Signature, without_params
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

_NAMES = {
    "timestamp", "nonce", "key_id", "method", "host", "path", "query", "target", "url", "body", "body_sha256",
}  # fmt: skip
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_PORTS = {"https": ":443", "http": ":80"}
# These encode a path once, and want the hash of the body in a header; so does OpenSearch Serverless.
_OF_S3 = {"s3", "s3-object-lambda", "s3-outposts"}
_WANT_BODY_HASH = _OF_S3 | {"aoss"}
_BODY_HASH = "X-Amz-Content-SHA256"


class Hmac(Kind):
    """A keyed hash (RFC 2104) over a text that is made of the request, in headers or parameters of your naming."""

    type: Literal["hmac"]
    key: Secret = Field(description="the shared secret: {env: NAME} or the like")
    key_as: Literal["text", "base64", "hex"] = Field("text", description="how the secret is written")
    key_id: SecretOrText = Field("", description="what {key_id} stands for: by what the API knows the key")
    algorithm: Literal["sha1", "sha256", "sha512"] = "sha256"
    message: str = Field(
        min_length=1,
        description="what is signed, of {timestamp}, {nonce}, {key_id}, {method}, {host}, {path}, {query}, {target} "
        "(path and query), {url}, {body}, {body_sha256}",
    )
    signature_as: Literal["hex", "base64"] = "hex"
    timestamp: Literal["unix", "unix_ms", "iso"] = Field("unix", description="how {timestamp} is written")
    headers: dict[str, str] = Field(default_factory=dict, description="headers to add, of the same and {signature}")
    params: dict[str, str] = Field(
        default_factory=dict, description="parameters to add to the query; those that hold {signature} after signing"
    )

    @model_validator(mode="after")
    def _known_names(self) -> "Hmac":
        texts = {"message": [self.message], "headers": self.headers.values(), "params": self.params.values()}
        for field, values in texts.items():
            known = _NAMES if field == "message" else _NAMES | {"signature"}
            for name in (name for text in values for name in _PLACEHOLDER.findall(text)):
                if name not in known:
                    raise ValueError(f"{field}: {{{name}}} is nothing; known are {', '.join(sorted(known))}")
        if not any("{signature}" in text for text in [*self.headers.values(), *self.params.values()]):
            raise ValueError("the signature is sent nowhere: write {signature} in headers or params")
        return self

    @property
    def placeholders(self) -> frozenset[str]:
        """What it replaces itself."""
        return frozenset(_NAMES | {"signature"})

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:  # noqa: ARG002 -- the same for all kinds
        """The request as it is: it is signed once it is put together."""
        return request

    def signed(self, sent: Sent, secrets: Secrets, now: datetime) -> Signature:
        """Headers and URL with the signature, which takes the place of one that a next URL may hold."""
        values = {"timestamp": _written(now, self.timestamp), "nonce": random.token_hex(16)}
        values["key_id"] = secrets.value(self.key_id) if isinstance(self.key_id, Secret) else self.key_id
        before = {name: text for name, text in self.params.items() if "{signature}" not in text}
        url = _with_params(without_params(sent.url, self.params), before, values)
        values |= _parts(sent, url)
        told = hmac.new(self._key(secrets), _filled(self.message, values), self.algorithm)
        values["signature"] = (
            told.hexdigest() if self.signature_as == "hex" else base64.b64encode(told.digest()).decode()
        )
        after = {name: text for name, text in self.params.items() if name not in before}
        headers = {name: _filled(text, values).decode() for name, text in self.headers.items()}
        return Signature(headers, _with_params(url, after, values))

    @property
    def carried(self) -> frozenset[str]:
        """What the key is known by, and never the key."""
        return frozenset({self.key_id.name} if isinstance(self.key_id, Secret) else ())

    def _key(self, secrets: Secrets) -> bytes:
        text = secrets.value(self.key)
        try:
            if self.key_as == "base64":
                return base64.b64decode(text, validate=True)
            return bytes.fromhex(text) if self.key_as == "hex" else text.encode()
        except ValueError:
            pass
        raise ConfigError(f"{self.key}: expected a key written as {self.key_as}, as auth.key_as says")

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.value(self.key),)


class AwsSigV4(Kind):
    """AWS Signature Version 4, as botocore makes it."""

    type: Literal["aws_sigv4"]
    region: str = Field(min_length=1, description="such as eu-west-1")
    service: str = Field(min_length=1, description="as AWS calls it when signing, such as execute-api")
    access_key_id: SecretOrText = Field(description="the key's id as {env: NAME} or the like, or as text")
    secret_access_key: Secret = Field(description="the key: {env: NAME} or the like")
    session_token: Secret | None = Field(None, description="the token that goes with a temporary key")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:  # noqa: ARG002 -- the same for all kinds
        """The request as it is: it is signed once it is put together."""
        return request

    def signed(self, sent: Sent, secrets: Secrets, now: datetime) -> Signature:  # noqa: ARG002 -- botocore has its clock
        """Headers with the signature; of the request's own headers the type of its body and those of AWS are signed."""
        try:
            from botocore.auth import S3SigV4Auth, SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.credentials import Credentials
        except ModuleNotFoundError:
            raise ConfigError("auth: aws_sigv4 needs the package boto3: pip install 'ingest-assets[aws]'") from None
        token = secrets.value(self.session_token) if self.session_token is not None else None
        credentials = Credentials(*self._pair(secrets), token)
        own = {name: value for name, value in sent.headers.items() if _is_signed(name.lower())}
        of_s3 = self.service in _OF_S3
        url = _encoded_as_aws_does(sent.url, path_too=of_s3)
        more = {_BODY_HASH: hashlib.sha256(sent.body).hexdigest()} if self.service in _WANT_BODY_HASH else {}
        request = AWSRequest(sent.method, url, own | more, sent.body)
        (S3SigV4Auth if of_s3 else SigV4Auth)(credentials, self.service, self.region).add_auth(request)
        return Signature({name: value for name, value in request.headers.items() if own.get(name) != value}, url)

    @property
    def carried(self) -> frozenset[str]:
        """The key's id and the token that goes with it, and never the key."""
        sent = (self.access_key_id, self.session_token)
        return frozenset(secret.name for secret in sent if isinstance(secret, Secret))

    def _pair(self, secrets: Secrets) -> tuple[str, str]:
        given = self.access_key_id
        return secrets.value(given) if isinstance(given, Secret) else given, secrets.value(self.secret_access_key)

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        """The key's id, region and service: limits are counted by it."""
        return (self._pair(secrets)[0], self.region, self.service)


def _is_signed(header: str) -> bool:
    """Whether a header of the request itself is signed: AWS refuses its own ones otherwise (S3: HeadersNotSigned)."""
    return header == "content-type" or (header.startswith("x-amz-") and header != _BODY_HASH.lower())


def _encoded_as_aws_does(url: str, *, path_too: bool = False) -> str:
    """The URL with its query as AWS writes it before it compares signatures; botocore signs a URL's query as it is.

    Of S3 also the path: other services encode what came once more, and S3 what it decoded (SigV4, "URI-encode").

    >>> _encoded_as_aws_does("https://x.example/a?after=b/c==&&all")
    'https://x.example/a?after=b%2Fc%3D%3D&all'
    >>> _encoded_as_aws_does("https://x.example/a:b/%24c", path_too=True)
    'https://x.example/a%3Ab/%24c'
    """
    parts = urlsplit(url)
    path = quote(unquote_to_bytes(parts.path), safe="/~") if path_too else parts.path
    pairs = (pair.partition("=") for pair in parts.query.replace("+", " ").split("&") if pair)
    query = "&".join(f"{_encoded(name)}{sign}{_encoded(value)}" for name, sign, value in pairs)
    return parts._replace(path=path or "/", query=query).geturl()


def _encoded(text: str) -> str:
    return quote(unquote_to_bytes(text), safe="~")


def _written(now: datetime, form: str) -> str:
    if form == "iso":
        return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z"
    return str(int(now.timestamp() * (1000 if form == "unix_ms" else 1)))


def _parts(sent: Sent, url: str) -> dict[str, str]:
    url = _as_asked_for(url)
    parts = urlsplit(url)
    return {
        "method": sent.method,
        "host": parts.netloc,
        "path": parts.path,
        "query": parts.query,
        "target": f"{parts.path}?{parts.query}" if parts.query else parts.path,
        "url": url,
        "body": sent.body.decode("utf-8", "surrogateescape"),
        "body_sha256": hashlib.sha256(sent.body).hexdigest(),
    }


def _as_asked_for(url: str) -> str:
    """The URL as a server sees it: its host as in the header Host (RFC 9110 §7.2), and never without a path.

    >>> _as_asked_for("https://API.example.com:443?b=1")
    'https://api.example.com/?b=1'
    """
    parts = urlsplit(url)
    host = parts.netloc.lower().removesuffix(_PORTS.get(parts.scheme, ""))
    return parts._replace(netloc=host, path=parts.path or "/").geturl()


def _filled(text: str, values: Mapping[str, str]) -> bytes:
    filled = _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)
    return filled.encode("utf-8", "surrogateescape")


def _with_params(url: str, params: Mapping[str, str], values: Mapping[str, str]) -> str:
    told = "&".join(f"{quote(name, safe='')}={quote(_filled(text, values), safe='')}" for name, text in params.items())
    return f"{url}{'&' if urlsplit(url).query else '?'}{told}" if told else url
