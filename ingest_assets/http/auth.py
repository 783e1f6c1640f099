"""How a request says who asks: one frozen model a kind, each with the one method `apply`.

A credential is added at the last moment and for its own origin only, see `ingest_assets.http.client`.
"""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import unquote_plus, urlsplit

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from ingest_assets.errors import ConfigError
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secret, Secrets

# Enough that guessing a weak password from the name of a file takes long, little enough to do at each start.
_ROUNDS = 100_000


class _Auth(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    def credential_id(self, secrets: Secrets) -> str:
        """Twelve hex digits that are the same for the same credential, and tell nothing else of it."""
        told = "\0".join([type(self).__name__, *self._identity(secrets)])
        return hashlib.pbkdf2_hmac("sha256", told.encode(), b"ingest_assets credential id", _ROUNDS).hex()[:12]

    def secret_names(self) -> tuple[str, ...]:
        """The secrets it needs, as messages name them."""
        return tuple(str(value) for _, value in self if isinstance(value, Secret))

    def _identity(self, secrets: Secrets) -> Iterable[str]:  # noqa: ARG002 -- the same for all kinds
        return ()


def _header_value(text: str, secret: str) -> str:
    if not text.isascii():
        raise ConfigError(f"{secret} holds characters outside ASCII, which no header can carry")
    return text


class NoAuth(_Auth):
    """The API is open."""

    type: Literal["none"] = "none"

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:  # noqa: ARG002 -- the same for all kinds
        """The request as it is."""
        return request


class Bearer(_Auth):
    """`Authorization: Bearer TOKEN` (RFC 6750)."""

    type: Literal["bearer"]
    token: Secret = Field(description="the token: {env: NAME} or {file: PATH}")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token in its header.

        >>> bearer = Bearer(type="bearer", token={"env": "TOKEN"})
        >>> bearer.apply(PageRequest("https://x.example"), Secrets({"TOKEN": "abc-def"})).headers
        (('Authorization', 'Bearer abc-def'),)
        """
        token = _header_value(secrets.value(self.token), str(self.token))
        return _with_header(request, "Authorization", f"Bearer {token}")

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.value(self.token),)


class Basic(_Auth):
    """`Authorization: Basic` of user and password (RFC 7617)."""

    type: Literal["basic"]
    user: Annotated[
        Annotated[Secret, Tag("secret")] | Annotated[str, Tag("text")],
        Discriminator(lambda given: "text" if isinstance(given, str) else "secret"),
    ] = Field(description="the user as text, or as a secret where the API takes its key as the user")
    password: Secret | None = Field(None, description="the password: {env: NAME} or {file: PATH}; left out: empty")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with user and password in its header.

        >>> basic = Basic(type="basic", user="jo@x.example/token", password={"env": "TOKEN"})
        >>> basic.apply(PageRequest("https://x.example"), Secrets({"TOKEN": "abc-def"})).headers
        (('Authorization', 'Basic am9AeC5leGFtcGxlL3Rva2VuOmFiYy1kZWY='),)
        """
        pair = ":".join(self._identity(secrets))
        if name := self._pair_name():
            secrets.remember(name, pair)
        return _with_header(request, "Authorization", "Basic " + base64.b64encode(pair.encode()).decode())

    def _identity(self, secrets: Secrets) -> tuple[str, str]:
        user = secrets.value(self.user) if isinstance(self.user, Secret) else self.user
        if ":" in user:
            raise ConfigError("auth: the user of basic authentication holds a colon, which RFC 7617 does not allow")
        return user, secrets.value(self.password) if self.password is not None else ""

    def _pair_name(self) -> str:
        if isinstance(self.user, Secret):
            return f"{self.user.name}_{self.password.name}_basic" if self.password else f"{self.user.name}_basic"
        user = hashlib.sha256(self.user.encode()).hexdigest()[:6]
        return f"{self.password.name}_{user}_basic" if self.password else ""


class ApiKey(_Auth):
    """A key in a header or in the query."""

    type: Literal["api_key"]
    name: str = Field(min_length=1, description="name of the header or of the query parameter, such as X-Api-Key")
    value: Secret = Field(description="the key: {env: NAME} or {file: PATH}")
    place: Literal["header", "query"] = Field("header", description="where the key goes")
    prefix: str = Field("", description="text before the key, with its space: 'Token '")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the key, which takes the place of one that a next URL may hold.

        >>> key = ApiKey(type="api_key", name="key", value={"env": "KEY"}, place="query")
        >>> key.apply(PageRequest("https://x.example/?key=old&page=2"), Secrets({"KEY": "abc-def"}))
        ... # doctest: +ELLIPSIS
        PageRequest(url='https://x.example/?page=2', params=(('key', 'abc-def'),), ...)
        """
        value = self.prefix + secrets.value(self.value)
        if self.place == "header":
            return _with_header(request, self.name, _header_value(value, str(self.value)))
        params = tuple(pair for pair in request.params if pair[0] != self.name)
        return replace(request, url=_without_param(request.url, self.name), params=(*params, (self.name, value)))

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.value(self.value),)


def _with_header(request: PageRequest, name: str, value: str) -> PageRequest:
    others = tuple(pair for pair in request.headers if pair[0].lower() != name.lower())
    return replace(request, headers=(*others, (name, value)))


def _without_param(url: str, name: str) -> str:
    """The URL without one parameter; what is left keeps its own percent-encoding."""
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and unquote_plus(part.split("=", 1)[0]) != name]
    return parts._replace(query="&".join(kept)).geturl()


Auth = Annotated[NoAuth | Bearer | Basic | ApiKey, Field(discriminator="type")]
