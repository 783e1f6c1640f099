"""Logging in with user and password, as a person does: for a token, or for a session's cookie.

token:     POST {user, password} ──► {"token": …} ──► a header of each request
cookie:    GET the form ──► a token against forgery (CSRF), in a cookie
           POST {user, password, that token} ──► Set-Cookie ──► Cookie: of each request (RFC 6265)
"""

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urljoin, urlsplit

from pydantic import AfterValidator, Field, model_validator

from ingest_assets.errors import RequestFailed
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
from ingest_assets.http.auth.kind import SecretOrText, header_value, with_header
from ingest_assets.http.page import PageRequest, dig, origin
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

_KEYS_SHOWN = 10
_MOST_COOKIES = 2  # the session's, and the one against forgery
_FOR_TOKENS = ("header", "prefix", "expires_in")
_FOR_COOKIES = ("csrf_cookie", "csrf_param", "csrf_header")


class Login(Exchanged):
    """User and password go to `login_url` once; its token or cookie goes to the API, and is renewed once refused."""

    type: Literal["login"]
    login_url: Annotated[str, AfterValidator(url_of_exchange)] = Field(
        description="where one logs in, such as https://api.example.com/login"
    )
    user: SecretOrText = Field(description="the user as text, or as {env: NAME}, {file: PATH} or a store")
    password: Secret = Field(description="the password: {env: NAME}, {file: PATH} or a store")
    user_param: str = Field("username", min_length=1, description="what the login calls the user")
    password_param: str = Field("password", min_length=1, description="what the login calls the password")
    params: dict[str, str] = Field(default_factory=dict, description="more that the login wants; no secrets")
    body_as: Literal["json", "form"] | None = Field(
        None, description="how they are sent; json for a token and form for a cookie where nothing is said"
    )
    token: str | None = Field(None, min_length=1, description="path in the login's answer of the token")
    expires_in: str | None = Field(None, min_length=1, description="path there of the seconds that it lives")
    header: str = Field("Authorization", min_length=1, description="the header that carries the token to the API")
    prefix: str = Field("Bearer ", description="text before the token there, with its space, such as 'Token '")
    cookie: str | None = Field(None, min_length=1, description="instead of token: the session's cookie, by name")
    csrf_cookie: str | None = Field(
        None, min_length=1, description="the cookie of the login's form that has to come back, such as csrftoken"
    )
    csrf_param: str = Field("csrfmiddlewaretoken", min_length=1, description="what the form calls it")
    csrf_header: str = Field("X-CSRFToken", min_length=1, description="the header that carries it with a POST")
    lifetime: timedelta | None = Field(
        None, gt=timedelta(0), description="how long token or session live where the answer does not say"
    )

    nothing_means: Literal["page", "ended"] = Field(
        "page",
        description="what a good status with an empty body, [], {} or null means: a page without records, or that the "
        "login is over; then one logs in once more, and takes what comes",
    )

    @property
    def tells_end_by_nothing(self) -> bool:
        """Whether an answer of a good status that holds nothing says that token or session is over."""
        return self.nothing_means == "ended"

    @model_validator(mode="after")
    def _one_way(self) -> "Login":
        if (self.token is None) == (self.cookie is None):
            raise ValueError("give one of token (its path in the answer) and cookie (the session's cookie)")
        other = _FOR_COOKIES if self.cookie is None else _FOR_TOKENS
        if found := [name for name in other if name in self.model_fields_set]:
            raise ValueError(f"{found[0]} goes with {'cookie' if self.cookie is None else 'token'} only")
        if found := sorted({self.user_param, self.password_param} & set(self.params)):
            raise ValueError(f"params: {found[0]!r} is set by user or password")
        return self

    def exchange_url(self) -> str:
        """Where one logs in."""
        return self.login_url

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:
        """A new token, or the cookies of a new session as one header; RequestFailed where the login is refused.

        >>> auth = Login(type="login", login_url="https://x.example/login", user="jo", password={"env": "PASSWORD"},
        ...     token="data.key", prefix="Token ")
        >>> given = Answer(200, body=b'{"data": {"key": "abc-def"}}')
        >>> auth.exchange(Secrets({"PASSWORD": "123456"}), lambda request: given).value
        'abc-def'
        """
        if self.cookie is None:
            return self._token_of(ask(self._request(secrets)), secrets)
        forgery = self._against_forgery(ask, secrets)
        answer = ask(self._request(secrets, forgery))
        return self._session_of(answer, forgery, secrets)

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token in its header, or with the session's cookies.

        >>> auth = Login(type="login", login_url="https://x.example/login", user="jo", password={"env": "PASSWORD"},
        ...     cookie="sid")
        >>> secrets = Secrets({"PASSWORD": "123456"})
        >>> secrets.remember(auth.token_name, "sid=abc-def")
        >>> auth.apply(PageRequest("https://x.example"), secrets).headers
        (('Cookie', 'sid=abc-def'),)
        """
        told = header_value(secrets.in_use(self.token_name), "what the login gave")
        if self.cookie is None:
            return with_header(request, self.header, f"{self.prefix}{told}")
        cookies = dict(pair.split("=", 1) for pair in told.split("; "))
        for number, value in enumerate(filter(fits, cookies.values())):
            secrets.remember(f"{self.token_name}_cookie{number}", value)  # an answer may hold one without the other
        request = with_header(request, "Cookie", told)
        if self.csrf_cookie is None or request.method != "POST":
            return request
        request = with_header(request, self.csrf_header, cookies[self.csrf_cookie])
        return with_header(request, "Referer", request.url)  # over https, Django wants to know where it comes from

    @property
    def token_name(self) -> str:
        """What markers call the token or session: by the password."""
        return f"{self.password.name}_login"

    @property
    def carried(self) -> frozenset[str]:
        """The token, or the session and its cookies, by themselves too."""
        return frozenset({self.token_name, *(f"{self.token_name}_cookie{number}" for number in range(_MOST_COOKIES))})

    def when_refused(self) -> str:
        """What to do where the API refuses what a login just now gave."""
        what = f"cookie {self.cookie!r}" if self.cookie else "token"
        return f"The {what} that {origin(self.login_url)} gave just now is refused: look at what the user may do there"

    def refuses(self, status: int, location: str) -> bool:
        """Also where a session has ended: some APIs say 403 then, or lead to the login."""
        if self.cookie is None:
            return super().refuses(status, location)
        login = urlsplit(self.login_url)
        there = urlsplit(urljoin(self.login_url, location)) if location else None
        leads = there is not None and (there.netloc, there.path) == (login.netloc, login.path)
        return status in (401, 403) or (300 <= status < 400 and leads)

    def _request(self, secrets: Secrets, forgery: str | None = None) -> PageRequest:
        user, password = self._pair(secrets)
        body = {**self.params, self.user_param: user, self.password_param: password}
        headers = [("Accept", "application/json" if self.cookie is None else "*/*")]
        if forgery is not None:
            body[self.csrf_param] = forgery
            headers += [("Cookie", f"{self.csrf_cookie}={forgery}"), ("Referer", self.login_url)]
        form: Literal["json", "form"] = self.body_as or ("json" if self.cookie is None else "form")
        return PageRequest(self.login_url, method="POST", headers=tuple(headers), body=body, body_as=form)

    def _against_forgery(self, ask: Ask, secrets: Secrets) -> str | None:
        if self.csrf_cookie is None:
            return None
        found = _cookies(_lines(ask(PageRequest(self.login_url, headers=(("Accept", "*/*"),))))).get(self.csrf_cookie)
        if found is None:
            raise RequestFailed(f"{self._named(secrets)}: a GET of it sets no cookie {self.csrf_cookie!r}")
        if fits(found):
            secrets.remember(f"{self.token_name}_form", found)
        return found

    def _token_of(self, answer: Answer, secrets: Secrets) -> Token:
        told = _json(answer.body)
        found = dig(told, self.token or "")
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, secrets, "")
        if not isinstance(found, str) or not fits(found):
            keys = ", ".join(sorted(told)[:_KEYS_SHOWN]) if isinstance(told, dict) else "none: it is no JSON object"
            raise self._refusal(
                answer,
                secrets,
                f"the answer holds no token of at least {SHORTEST_TOKEN} characters at {self.token!r}; its keys are "
                f"{secrets.redactor().text(keys)}. ",
            )
        return Token(found, life(dig(told, self.expires_in) if self.expires_in else None, self._said))

    def _session_of(self, answer: Answer, forgery: str | None, secrets: Secrets) -> Token:
        lines = _lines(answer)
        found = _cookies(lines)
        session = found.get(self.cookie or "")
        if answer.status >= 400 or session is None or not fits(session):
            raise self._refusal(answer, secrets, f"it sets no cookie {self.cookie!r}. ")
        pairs = [f"{self.cookie}={session}"]
        if self.csrf_cookie is not None:
            pairs.append(f"{self.csrf_cookie}={found.get(self.csrf_cookie) or forgery}")
        return Token("; ".join(pairs), life(_max_age(lines, self.cookie or ""), self._said))

    def _refusal(self, answer: Answer, secrets: Secrets, found: str) -> RequestFailed:
        names = " and ".join(self.secret_names())
        return RequestFailed(
            f"{self._named(secrets)}: HTTP {answer.status}: {found}Check {names}, and whether the login wants "
            f"{self.user_param!r} and {self.password_param!r} as {self._request(secrets).body_as}",
            answer.status,
        )

    @property
    def _said(self) -> float | None:
        return self.lifetime.total_seconds() if self.lifetime else None

    def _named(self, secrets: Secrets) -> str:
        return secrets.redactor().text(f"login at {self.login_url.partition('?')[0]}")

    def _pair(self, secrets: Secrets) -> tuple[str, str]:
        user = secrets.value(self.user) if isinstance(self.user, Secret) else self.user
        return user, secrets.value(self.password)

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        """The user, whatever the password: limits are counted by it."""
        return (self.login_url, self._pair(secrets)[0])

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        more = (part for pair in sorted(self.params.items()) for part in pair)
        names = (self.token or "", self.cookie or "", self.csrf_cookie or "")
        return (self.login_url, *self._pair(secrets), self.user_param, self.password_param, *names, *more)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _lines(answer: Answer) -> list[str]:
    return [value for name, value in answer.headers if name == "set-cookie"]


def _cookies(lines: Iterable[str]) -> dict[str, str]:
    """The cookies that some Set-Cookie lines leave behind: one whose life is over is taken away."""
    return {name: value for name, value, age in map(_parsed, lines) if age is None or age > 0}


def _max_age(lines: Iterable[str], cookie: str) -> float | None:
    """How many seconds a cookie lives; None where nothing is said."""
    return next((age for name, _, age in map(_parsed, lines) if name == cookie), None)


def _parsed(line: str) -> tuple[str, str, float | None]:
    """Name, value and Max-Age of a Set-Cookie line (RFC 6265 §5.2), whatever other attributes it has.

    >>> _parsed("sid=a=b; Path=/; Max-Age=60; Partitioned"), _parsed("sid=; max-age=0")
    (('sid', 'a=b', 60.0), ('sid', '', 0.0))
    """
    pair, *attributes = line.split(";")
    name, _, value = pair.partition("=")
    age = None
    for attribute in attributes:
        key, _, told = attribute.partition("=")
        if key.strip().lower() == "max-age" and re.fullmatch(r"-?[0-9]{1,10}", told.strip()):
            age = float(told)
    return name.strip(), value.strip(), age
