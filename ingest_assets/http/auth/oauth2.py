"""OAuth 2: how a client asks for a token (RFC 6749), and what it is told; the grants are beside, in `grants`."""

import base64
import json
from collections.abc import Callable, Iterable
from datetime import timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal
from urllib.parse import quote_plus, urljoin, urlsplit

from msgspec.structs import replace
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http.auth.exchanged import (
    SHORTEST_TOKEN,
    Answer,
    Ask,
    Exchanged,
    Token,
    fits,
    life,
    url_of_exchange,
)
from ingest_assets.http.auth.jwts import ASSERTION_TYPE, Algorithm, signed
from ingest_assets.http.auth.kind import SecretOrText, header_value, with_header
from ingest_assets.http.page import PageRequest, origin
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

_QUOTED_CHARACTERS = 200
_KEYS_SHOWN = 10
_ASSERTION_SECONDS = 300
_NOT_HERE = {"client_id", "client_secret", "client_assertion", "password", "refresh_token", "assertion", "scope"}
_PASSING = {"temporarily_unavailable", "server_error", "slow_down"}
_ADVICE = {
    "invalid_request": "The request lacks or repeats a parameter: look at `scope`, `params` and `place`",
    "invalid_client": "Check {names}; if they are right, the server may want `place: {other}`",
    "invalid_grant": "The server refuses this grant: look at `params`, and at the client where it is registered",
    "unauthorized_client": "This client may not ask for a token by itself: allow it the grant client_credentials "
    "where it is registered",
    "unsupported_grant_type": "There is no client_credentials grant at this token_url: look it up in the API's manual",
    "invalid_scope": "Mend `scope`: it is unknown, malformed, or more than this client was granted",
    "invalid_target": "Mend `resource` or `audience` under `params` (RFC 8707)",
}


def _words(value: Any) -> Any:
    return tuple(value.split()) if isinstance(value, str) else value


class OAuth2(Exchanged):
    """What all grants share: who the client is, what is asked for, and how the answer is read."""

    token_url: Annotated[str, AfterValidator(url_of_exchange)] = Field(
        description="where tokens are given, such as https://auth.example.com/oauth/token"
    )
    client_id: SecretOrText | None = Field(None, description="the client's id as {env: NAME} or the like, or as text")
    client_secret: Secret | None = Field(None, description="the client's secret: {env: NAME}, {file: PATH} or a store")
    private_key: Secret | None = Field(
        None, description="instead of the secret: the key that the client signs with (private_key_jwt), as PEM"
    )
    key_id: str | None = Field(None, min_length=1, description="what the server calls that key: `kid`")
    algorithm: Algorithm = Field("RS256", description="how is signed")
    place: Literal["header", "body"] = Field(
        "header", description="where id and secret go: header (basic authentication, what RFC 6749 prefers) or body"
    )
    scope: Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | tuple[str, ...])] = Field(
        (), description="what the token is to allow, as text with spaces or a list"
    )
    params: dict[str, str] = Field(
        default_factory=dict, description="more of the token request's parameters, such as audience; no secrets"
    )
    lifetime: timedelta | None = Field(
        None, gt=timedelta(0), description="how long a token lives where the answer holds no expires_in"
    )
    header: str = Field("Authorization", min_length=1, description="the header that carries the token to the API")
    prefix: str = Field("Bearer ", description="text before the token there, with its space")

    @field_validator("params")
    @classmethod
    def _hold_no_credential(cls, value: dict[str, str]) -> dict[str, str]:
        if found := sorted(_NOT_HERE & set(value)):
            raise ValueError(f"{found[0]} does not go here: write client_id, client_secret and scope beside params")
        return value

    @model_validator(mode="after")
    def _one_client(self) -> "OAuth2":
        if self.client_secret is not None and self.private_key is not None:
            raise ValueError("give one of client_secret and private_key")
        if (self.client_secret or self.client_key) and self.client_id is None:
            raise ValueError("client_id: needed beside client_secret or private_key")
        return self

    def exchange_url(self) -> str:
        """The token URL."""
        return self.token_url

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token in its header."""
        token = header_value(secrets.in_use(self.token_name), "the token")
        return with_header(request, self.header, f"{self.prefix}{token}")

    @property
    def token_name(self) -> str:
        """What markers call the token: by the secret that it is asked for with."""
        return f"{(self.client_secret or self.private_key or self.secrets()[0]).name}_token"

    def when_refused(self) -> str:
        """What to do where the API refuses a token that was given just now."""
        return (
            f"A token that {origin(self.token_url)} gave just now is refused: look at `scope` and `params` of auth, "
            "and at what the client may do where it is registered"
        )

    @property
    def client_key(self) -> Secret | None:
        """The key that the client says who it is with."""
        return self.private_key

    @property
    def _said(self) -> float | None:
        return self.lifetime.total_seconds() if self.lifetime else None

    def given(
        self,
        asked: dict[str, str],
        secrets: Secrets,
        ask: Ask,
        advice: str = "",
        keep: Callable[[str], None] = lambda _refresh: None,
    ) -> Token:
        """The token for a grant; RequestFailed, with the code of RFC 6749 §5.2, where the server gives none.

        `advice` is what to do where it refuses the grant itself. `keep` is told the refresh token before anything else
        of the answer is judged: the one that it replaces is no longer good, whatever came with it.
        """
        scope = {"scope": " ".join(self.scope)} if self.scope else {}
        answer = ask(self._request(asked | scope | self.params, secrets))
        try:
            told = json.loads(answer.body)
        except (ValueError, RecursionError):
            told = None
        is_given = isinstance(told, dict) and 200 <= answer.status < 300
        refresh = _refresh(told) if is_given else None
        if refresh is not None:
            keep(refresh)
        if not is_given or told.get("error"):
            raise self._refusal(answer, told, secrets, advice)
        return Token(self._token(told, answer.status, secrets), life(told.get("expires_in"), self._said), refresh)

    def _request(self, asked: dict[str, str], secrets: Secrets) -> PageRequest:
        """What is asked, with the client as RFC 6749 §2.3.1 and RFC 7523 §2.2 say."""
        request = PageRequest(
            self.token_url, method="POST", headers=(("Accept", "application/json"),), body=asked, body_as="form"
        )
        client_id = self._client(secrets)
        if (key := self.client_key) is not None:
            claims = {"iss": client_id, "sub": client_id, "aud": self.token_url}
            told = signed(key, secrets, self.algorithm, claims, _ASSERTION_SECONDS, self.key_id)
            body = {"client_id": client_id, "client_assertion_type": ASSERTION_TYPE, "client_assertion": told}
            return replace(request, body=asked | body)
        if self.client_secret is None:
            return replace(request, body=asked | ({"client_id": client_id} if client_id else {}))
        secret = secrets.value(self.client_secret)
        if self.place == "body":
            return replace(request, body=asked | {"client_id": client_id, "client_secret": secret})
        # Both are form-encoded first (RFC 6749 §2.3.1), so that a colon in the id is no separator.
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        secrets.remember(f"{self.client_secret.name}_basic", pair)
        return with_header(request, "Authorization", "Basic " + base64.b64encode(pair.encode()).decode())

    def _token(self, told: dict[str, Any], status: int, secrets: Secrets) -> str:
        token, kind = told.get("access_token"), told.get("token_type")
        if not isinstance(token, str) or not token:
            keys = ", ".join(sorted(told)[:_KEYS_SHOWN]) or "none"
            raise RequestFailed(
                f"{self._named(secrets)}: the answer holds no access_token; the keys there are: "
                f"{secrets.redactor().text(keys)}. Is token_url right?",
                status,
            )
        if not fits(token):
            raise RequestFailed(
                f"{self._named(secrets)}: the token is shorter than {SHORTEST_TOKEN} characters, or holds what no "
                "header can carry",
                status,
            )
        if self.header == "Authorization" and isinstance(kind, str) and not kind.lower().startswith("bearer"):
            raise RequestFailed(
                f"{self._named(secrets)}: the token is of type {_shown(kind, secrets)}; only bearer tokens are known. "
                "Where the API takes it all the same, write `header` and `prefix`",
                status,
            )
        return token

    def _refusal(
        self, answer: Answer, told: Any, secrets: Secrets, grant_advice: str
    ) -> RequestFailed | TransientFailure:
        named = f"{self._named(secrets)}: HTTP {answer.status}"
        if 300 <= answer.status < 400:
            return RequestFailed(
                f"{named}: redirected{_target(self.token_url, answer)}. Not followed, since the client's secret would "
                "go along: write the right token_url",
                answer.status,
            )
        names, other = " and ".join(self.secret_names()), "body" if self.place == "header" else "header"
        if not isinstance(told, dict) or not isinstance(code := told.get("error"), str):
            said = "is no JSON object" if not isinstance(told, dict) else "holds no error code"
            wrong_client = _ADVICE["invalid_client"].format(names=names, other=other)
            where = "Is token_url right, and does it take this grant?"
            advice = wrong_client if answer.status == HTTPStatus.UNAUTHORIZED else where
            return RequestFailed(f"{named}: the answer {said}. {advice}", answer.status)
        message = f"{named}: {_shown(code, secrets)}"
        if description := told.get("error_description"):
            message += f" ({_shown(description, secrets)})" if isinstance(description, str) else ""
        if code in _PASSING:
            return TransientFailure(message)
        if code == "invalid_grant" and grant_advice:
            return RequestFailed(f"{message}. {grant_advice}", answer.status)
        advice = _ADVICE.get(code, "Look the code up in the manual of the API's authorization server")
        return RequestFailed(f"{message}. {advice.format(names=names, other=other)}", answer.status)

    def _named(self, secrets: Secrets) -> str:
        return secrets.redactor().text(f"token request to {self.token_url.partition('?')[0]}")

    def _client(self, secrets: Secrets) -> str:
        return secrets.value(self.client_id) if isinstance(self.client_id, Secret) else self.client_id or ""

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        """The client, whatever token or scope: limits are counted by it, also after its secret was replaced."""
        return (self.token_url, self._client(secrets), *flat(self.params))

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        keys = [secrets.text(key) for key in (self.client_secret, self.private_key) if key is not None]
        client = (self._client(secrets), *keys, self.place)
        return (self.token_url, *client, " ".join(self.scope), *flat(self.params))


def _refresh(told: dict[str, Any]) -> str | None:
    """The refresh token of an answer, where it holds one that can be used."""
    refresh = told.get("refresh_token")
    return refresh if isinstance(refresh, str) and fits(refresh) else None


def flat(params: dict[str, str]) -> Iterable[str]:
    """Names and values of parameters, in order."""
    return (part for pair in sorted(params.items()) for part in pair)


def _shown(text: str, secrets: Secrets) -> str:
    """A text that the server wrote, on one line, short and without secrets."""
    plain = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return repr(secrets.redactor().text(plain)[:_QUOTED_CHARACTERS])


def _target(url: str, answer: Answer) -> str:
    """Where a redirect leads, by its origin alone."""
    location = dict(answer.headers).get("location", "")
    try:
        found = urljoin(url, location)
        return f" to {origin(found)}" if location and urlsplit(found).hostname else ""
    except ValueError:
        return ""
