"""Credentials that are not sent to the API themselves, but exchanged for a token that is.

    secrets ──► exchange(ask) ──► Token ──► one file for all processes ──► apply ──► request

A kind says only what to ask and how to read the answer. Who asks, keeps the token, and asks anew where it is
over or refused, is `ingest_assets.http.tokens`; so none of that is written twice.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ingest_assets.http.auth.kind import Kind
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets


@dataclass(frozen=True)
class Token:
    """What an exchange gave; `lifetime_seconds` from when it was asked for, None where nobody says."""

    value: str = field(repr=False)
    lifetime_seconds: float | None = None


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
    def token_name(self) -> str:
        """What markers call the token, in letters, digits and underscores."""
        raise NotImplementedError

    def token_key(self, secrets: Secrets) -> str:
        """Thirty-two hex digits that are the same where the same token would be given, and tell nothing else."""
        return self._digest("token", self._token_parts(secrets))[:32]

    def _token_parts(self, secrets: Secrets) -> Iterable[str]:
        """All that decides which token is given, the secret too: a token of a replaced secret is not used."""
        raise NotImplementedError
