"""Credentials that are not sent to the API themselves, but exchanged for a token that is.

    secrets ──► exchange(ask) ──► Token ──► one file for all processes ──► apply ──► request

A kind says only what to ask and how to read the answer. Who asks, keeps the token, and asks anew where it is
over or refused, is `ingest_assets.http.tokens`; so none of that is written twice.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ingest_assets.http.auth.kind import Kind
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets

SHORTEST_TOKEN = 6  # as for any secret: a shorter one could not be kept out of stored data
_LONGEST_LIFE_SECONDS = 1e9
_UNAUTHORIZED = 401


@dataclass(frozen=True)
class Token:
    """What an exchange gave; `lifetime_seconds` from when it was asked for, None where nobody says.

    `refresh` is the refresh token that came with it, where one did.
    """

    value: str = field(repr=False)
    lifetime_seconds: float | None = None
    refresh: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Answer:
    """An answer in an exchange, as it came: never a redirect followed, never stored.

    Header names are in small letters, and may stand several times, as Set-Cookie does.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


Ask = Callable[[PageRequest], Answer]
"""Sends a request of an exchange. Raises TransientFailure for connections, timeouts, and statuses that may pass."""


class Exchanged(Kind):
    """A kind whose requests carry a token. Below it: `type`, the four methods, and `_token_parts`."""

    @property
    def exchanged(self) -> "Exchanged":
        """Itself."""
        return self

    def exchange_url(self) -> str:
        """Where the exchange is asked: its origin may be another than the API's."""
        raise NotImplementedError

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:
        """A new token. Raises RequestFailed where it is refused for good, saying why and what to do."""
        raise NotImplementedError

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the token, which stands in `secrets` under `token_name`."""
        raise NotImplementedError

    @property
    def carried(self) -> frozenset[str]:
        """The token alone: what it is exchanged for goes to who gives it."""
        return frozenset({self.token_name})

    @property
    def token_name(self) -> str:
        """What markers call the token, in letters, digits and underscores."""
        raise NotImplementedError

    def refuses(self, status: int, location: str) -> bool:  # noqa: ARG002 -- some kinds look where a redirect leads
        """Whether an answer of the API, by its status and where it redirects to, says that the token is not taken."""
        return status == _UNAUTHORIZED

    def token_key(self, secrets: Secrets) -> str:
        """Thirty-two hex digits that are the same where the same token would be given, and tell nothing else."""
        return self._digest("token", self._token_parts(secrets))[:32]

    def chain_key(self, secrets: Secrets) -> str:
        """The same where the same refresh tokens would be sent, one after the other; most kinds have none."""
        return self.token_key(secrets)

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        """All that decides which token is given, the secret too: a token of a replaced secret is not used."""
        raise NotImplementedError


class Refreshed(Exchanged):
    """A kind whose token is asked for with a refresh token, which each exchange may replace by another one."""

    def first(self, secrets: Secrets) -> str:
        """The refresh token to begin with. Raises ConfigError where there is none yet, saying how to get one."""
        raise NotImplementedError

    def refreshed(
        self, refresh: str, secrets: Secrets, ask: Ask, keep: Callable[[str], None], *, may_be_lost: bool
    ) -> Token:
        """A new token, and with it the refresh token to come, where that is another one; `keep` is told of it first.

        `may_be_lost` says that this one was sent before, and no answer came.
        """
        raise NotImplementedError

    def exchange(self, secrets: Secrets, ask: Ask) -> Token:
        """A new token by the first refresh token."""
        return self.refreshed(self.first(secrets), secrets, ask, lambda _refresh: None, may_be_lost=False)


def fits(token: str) -> bool:
    """Whether a token can be kept out of stored data, and carried by a header.

    >>> fits("abc-def"), fits("abc"), fits("abc def\\n")
    (True, False, False)
    """
    return len(token) >= SHORTEST_TOKEN and token.isprintable() and token == token.strip()


def life(told: Any, otherwise: float | None) -> float | None:
    """How many seconds a token lives: as an answer says, where that is a number or its text; else `otherwise`.

    >>> life(3600, None), life("60", None), life("soon", 5.0), life(None, None)
    (3600.0, 60.0, 5.0, None)
    """
    try:
        seconds = otherwise if told is None or isinstance(told, bool) else float(told)
    except (TypeError, ValueError, OverflowError):
        return otherwise
    if seconds is None or not math.isfinite(seconds) or seconds <= 0:
        return otherwise
    return min(seconds, _LONGEST_LIFE_SECONDS)


def url_of_exchange(value: str) -> str:
    """The URL itself, or a ValueError where it is none, or holds what is named beside it."""
    if not re.match(r"https?://[^/?#]|\{", value):  # a setting may hold the scheme
        raise ValueError("expected a URL such as https://auth.example.com/oauth/token")
    if "@" in value.split("://", 1)[-1].split("/", 1)[0] or "#" in value:
        raise ValueError("expected a URL without user, password and #: these are named beside it")
    return value
