"""Kinds whose secret itself goes to the API: none, bearer, basic, a key in header or query."""

import base64
import hashlib
from collections.abc import Iterable
from typing import Literal

from msgspec.structs import replace
from pydantic import Field

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth.kind import Kind, SecretOrText, header_value, with_header, without_params
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.target import Target


class NoAuth(Kind):
    """The API is open."""

    type: Literal["none"] = "none"

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:  # noqa: ARG002 -- the same for all kinds
        """The request as it is."""
        return request


class Bearer(Kind):
    """`Authorization: Bearer TOKEN` (RFC 6750)."""

    type: Literal["bearer"]
    token: Secret = Field(description="the token: {env: NAME}, {file: PATH} or a store")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token in its header.

        >>> bearer = Bearer(type="bearer", token={"env": "TOKEN"})
        >>> bearer.apply(PageRequest("https://x.example"), Secrets({"TOKEN": "abc-def"})).headers
        (('Authorization', 'Bearer abc-def'),)
        """
        token = header_value(secrets.value(self.token), str(self.token))
        return with_header(request, "Authorization", f"Bearer {token}")

    @property
    def carried(self) -> frozenset[str]:
        """The token."""
        return frozenset({self.token.name})

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.value(self.token),)


class Basic(Kind):
    """`Authorization: Basic` of user and password (RFC 7617)."""

    type: Literal["basic"]
    user: SecretOrText = Field(description="the user as text, or as a secret where the API takes its key as the user")
    password: Secret | None = Field(None, description="the password, as {env: NAME} or the like; left out: empty")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with user and password in its header.

        >>> basic = Basic(type="basic", user="jo@x.example/token", password={"env": "TOKEN"})
        >>> basic.apply(PageRequest("https://x.example"), Secrets({"TOKEN": "abc-def"})).headers
        (('Authorization', 'Basic am9AeC5leGFtcGxlL3Rva2VuOmFiYy1kZWY='),)
        """
        pair = ":".join(self._identity(secrets))
        if name := self._pair_name():
            secrets.remember(name, pair)
        return with_header(request, "Authorization", "Basic " + base64.b64encode(pair.encode()).decode())

    @property
    def carried(self) -> frozenset[str]:
        """User and password, by themselves and as the pair that is sent."""
        return frozenset({*(secret.name for secret in self.secrets()), self._pair_name()})

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


class ApiKey(Kind):
    """A key in a header, in the query, or in the body of a POST."""

    type: Literal["api_key"]
    name: str = Field(min_length=1, description="name of header or parameter, such as X-Api-Key; in a body, a path")
    value: Secret = Field(description="the key: {env: NAME}, {file: PATH} or a store")
    place: Literal["header", "query", "body"] = Field("header", description="where the key goes")
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
            return with_header(request, self.name, header_value(value, str(self.value)))
        if self.place == "body":
            if request.method != "POST":
                raise ConfigError("auth: place: body: a request by GET has no body: say `method: POST`")
            return Target(body=self.name).put(request, value)
        params = tuple(pair for pair in request.params if pair[0] != self.name)
        return replace(request, url=without_params(request.url, {self.name}), params=(*params, (self.name, value)))

    @property
    def carried(self) -> frozenset[str]:
        """The key."""
        return frozenset({self.value.name})

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.value(self.value),)
