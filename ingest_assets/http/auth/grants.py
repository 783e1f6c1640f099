"""The grants of OAuth 2: by the client itself, by a refresh token, by a signed assertion; and a token signed here."""

import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ingest_assets.errors import ConfigError
from ingest_assets.http.auth.exchanged import Ask, Exchanged, Refreshed, Token, url_of_exchange
from ingest_assets.http.auth.jwts import GRANT_TYPE, Algorithm, signed
from ingest_assets.http.auth.kind import with_header
from ingest_assets.http.auth.oauth2 import OAuth2, flat
from ingest_assets.http.page import PageRequest, origin
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

_MINUTES = timedelta(minutes=5)


class OAuth2ClientCredentials(OAuth2):
    """A token by client id and secret or key (RFC 6749 §4.4), renewed before it is over, once for all processes."""

    type: Literal["oauth2_client_credentials"]

    @model_validator(mode="after")
    def _has_a_client(self) -> "OAuth2ClientCredentials":
        if self.client_id is None or (self.client_secret is None and self.private_key is None):
            raise ValueError("expected client_id, and client_secret or private_key")
        return self

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:
        """A new token; RequestFailed, with the code of RFC 6749 §5.2 and what to do, where the server gives none.

        >>> from ingest_assets.http.auth.exchanged import Answer
        >>> auth = OAuth2ClientCredentials(type="oauth2_client_credentials", token_url="https://auth.example/token",
        ...     client_id="me", client_secret={"env": "KEY"})
        >>> given = Answer(200, body=b'{"access_token": "abc-def", "token_type": "Bearer", "expires_in": 60}')
        >>> token = auth.exchange(Secrets({"KEY": "123456"}), lambda request: given)
        >>> token.value, token.lifetime_seconds
        ('abc-def', 60.0)
        """
        return self.given({"grant_type": "client_credentials"}, secrets, ask)


class OAuth2RefreshToken(OAuth2, Refreshed):
    """A token by a refresh token (RFC 6749 §6), which the server may replace by another one each time.

    The newest refresh token lies beside the tokens, under what it began with: the client's secret, scope and params may
    be replaced without losing what is kept.
    """

    type: Literal["oauth2_refresh_token"]
    refresh_token: Secret | None = Field(
        None, description="the first one: {env: NAME} or the like; without it `ingest auth SOURCE` gets one"
    )
    authorize_url: Annotated[str, AfterValidator(url_of_exchange)] | None = Field(
        None, description="where a person allows the client in, once, by `ingest auth SOURCE`"
    )
    authorize_params: dict[str, str] = Field(
        default_factory=dict, description="more of that request's parameters, such as access_type: offline; no secrets"
    )
    redirect_port: int = Field(
        0, ge=0, le=65535, description="the port of http://127.0.0.1 that the client is registered with; 0: any"
    )
    kept_as: str = Field("", description="under which name a granted refresh token is kept; the source's by itself")

    @model_validator(mode="after")
    def _has_a_beginning(self) -> "OAuth2RefreshToken":
        if self.client_id is None:
            raise ValueError("expected client_id")
        if (self.refresh_token is None) == (self.authorize_url is None):
            raise ValueError("give one of refresh_token, and authorize_url for `ingest auth`")
        if self.authorize_url is not None and isinstance(self.client_id, Secret):
            raise ValueError("client_id: a browser shows it, so it is no secret: write it as text")
        return self

    @property
    def token_name(self) -> str:
        """What markers call the token."""
        return f"{self.refresh_token.name if self.refresh_token else self.kept_as}_token"

    def first(self, secrets: Secrets) -> str:
        """The refresh token of the secret that the file names."""
        if self.refresh_token is None:
            raise ConfigError(f"auth: nobody has allowed this client in yet: run `ingest auth {self.kept_as}` once")
        return secrets.value(self.refresh_token)

    def refreshed(
        self, refresh: str, secrets: Secrets, ask: Ask, keep: Callable[[str], None], *, may_be_lost: bool
    ) -> Token:
        """A new token and the refresh token to come; RequestFailed, saying how to get in again, where it is refused."""
        lost = (
            "It was sent before, and the answer was lost, with the refresh token that took its place: "
            if may_be_lost
            else "The refresh token is over, revoked, or was used elsewhere: "
        )
        again = (
            f"run `ingest auth {self.kept_as}` once more"
            if self.refresh_token is None
            else f"put a new one into {self.refresh_token}"
        )
        return self.given({"grant_type": "refresh_token", "refresh_token": refresh}, secrets, ask, lost + again, keep)

    def chain_key(self, secrets: Secrets) -> str:
        """What the first refresh token began: whatever is asked for by it, it may be good once.

        What a person granted is for this very client and scope: another one has to be granted anew.
        """
        if self.refresh_token is None:
            return self.token_key(secrets)
        return self._digest("chain", (origin(self.token_url), secrets.value(self.refresh_token)))[:32]

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (*super()._identity(secrets), self.kept_as)

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        begun = secrets.value(self.refresh_token) if self.refresh_token else self.kept_as
        return (self.token_url, self._client(secrets), begun, " ".join(self.scope), *flat(self.params))


class OAuth2Assertion(OAuth2):
    """A token by an assertion that a service account signs with `private_key` (RFC 7523 §2.1)."""

    type: Literal["oauth2_jwt"]
    issuer: str | None = Field(None, min_length=1, description="the claim `iss`: the service account, or the client")
    subject: str | None = Field(None, min_length=1, description="the claim `sub`: for whom")
    audience: str | None = Field(None, min_length=1, description="the claim `aud`; token_url where nothing is said")
    claims: dict[str, Any] = Field(default_factory=dict, description="more claims, such as scope; no secrets")
    valid_for: timedelta = Field(_MINUTES, gt=timedelta(0), description="how long an assertion is good")

    @model_validator(mode="after")
    def _has_a_key(self) -> "OAuth2Assertion":
        if self.private_key is None:
            raise ValueError("expected private_key: what the assertion is signed with")
        return self

    @property
    def client_key(self) -> None:
        """The key signs the assertion, and says nothing of the client."""

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:
        """A new token for a new assertion; RequestFailed where the server refuses it, saying why."""
        named = {"iss": self.issuer, "sub": self.subject, "aud": self.audience or self.token_url}
        claims = {name: value for name, value in named.items() if value is not None} | self.claims
        key = self.private_key or self.secrets()[0]
        told = signed(key, secrets, self.algorithm, claims, self.valid_for.total_seconds(), self.key_id)
        advice = f"Check the claims, the clock of this machine, and that {key} is the key of this account"
        return self.given({"grant_type": GRANT_TYPE, "assertion": told}, secrets, ask, advice)

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (*super()._identity(secrets), self.issuer or "", self.subject or "")

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        claims = json.dumps(self.claims, sort_keys=True, default=str)
        return (*super()._token_parts(secrets), self.issuer or "", self.subject or "", self.audience or "", claims)


class Jwt(Exchanged):
    """A JSON Web Token that is signed here and goes to the API itself, a new one before each is over."""

    type: Literal["jwt"]
    key: Secret = Field(description="what is signed with: a private key as PEM, or for HS256 and the like a text")
    key_id: str | None = Field(None, min_length=1, description="what the server calls that key: `kid`")
    algorithm: Algorithm = Field("RS256", description="how is signed")
    claims: dict[str, Any] = Field(default_factory=dict, description="the claims, beside iat, exp and jti; no secrets")
    valid_for: timedelta = Field(_MINUTES, gt=timedelta(0), description="how long one is good")
    header: str = Field("Authorization", min_length=1, description="the header that carries it")
    prefix: str = Field("Bearer ", description="text before it there, with its space")

    def exchange_url(self) -> str:
        """None: nobody is asked."""
        return ""

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:  # noqa: ARG002 -- nobody is asked
        """A new token, signed here."""
        seconds = self.valid_for.total_seconds()
        return Token(signed(self.key, secrets, self.algorithm, self.claims, seconds, self.key_id), seconds)

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token in its header."""
        return with_header(request, self.header, self.prefix + secrets.in_use(self.token_name))

    @property
    def token_name(self) -> str:
        """What markers call it."""
        return f"{self.key.name}_jwt"

    def when_refused(self) -> str:
        """What to do where the API refuses a token that was signed just now."""
        return f"A token signed just now is refused: check {self.key}, key_id, claims and the clock of this machine"

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (secrets.text(self.key),)

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        claims = json.dumps(self.claims, sort_keys=True, default=str)
        return (secrets.text(self.key), self.key_id or "", self.algorithm, claims, str(self.valid_for))
