"""What every kind of auth is: a frozen model that names its secrets, and adds them to a request by `apply`."""

import hashlib
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import unquote_plus, urlsplit

from msgspec.structs import replace
from pydantic import BaseModel, ConfigDict, Discriminator, Tag

from ingest_assets.errors import ConfigError
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secret import Secret
from ingest_assets.http.secrets import Secrets

if TYPE_CHECKING:
    from ingest_assets.http.auth.exchanged import Exchanged

# Enough that guessing a weak password from the name of a file takes long, little enough to do at each start.
_ROUNDS = 100_000

SecretOrText = Annotated[
    Annotated[Secret, Tag("secret")] | Annotated[str, Tag("text")],
    Discriminator(lambda given: "text" if isinstance(given, str) else "secret"),
]
"""What may be a secret, named by where it is, or plain text: a user, the id of a client."""


@dataclass(frozen=True)
class Sent:
    """A request as it goes over the wire, but for what signs it."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class Signature:
    """What signs a request: headers to add, and its URL with the parameters of the signature."""

    headers: Mapping[str, str] = field(repr=False)
    url: str


class Kind(BaseModel):
    """The base of all kinds; each adds its `type`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, hide_input_in_errors=True)

    if TYPE_CHECKING:
        type: str

    @abstractmethod
    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request to send."""

    @property
    def exchanged(self) -> "Exchanged | None":
        """Itself, where its secrets are exchanged for a token."""
        return None

    @property
    def turns(self) -> "tuple[Kind, ...]":
        """The credentials that take turns, where there are several."""
        return ()

    @property
    def placeholders(self) -> frozenset[str]:
        """The `{names}` in its fields that it replaces itself."""
        return frozenset()

    def signed(self, sent: Sent, secrets: Secrets, now: datetime) -> Signature | None:  # noqa: ARG002 -- most do not
        """What signs the request, for the kinds that do so."""
        return None

    @property
    def signs(self) -> bool:
        """Whether it signs requests: most kinds do not."""
        return type(self).signed is not Kind.signed

    @property
    def tells_end_by_nothing(self) -> bool:
        """Whether an answer of a good status that holds nothing says that a token or session is over."""
        return False

    @property
    def carried(self) -> frozenset[str]:
        """What markers call the secrets that go to the API in its requests: no other is put back into one."""
        return frozenset()

    def credential_id(self, secrets: Secrets) -> str:
        """Twelve hex digits that are the same for the same credential, and tell nothing else of it."""
        return self._digest("credential id", self._identity(secrets))[:12]

    def secret_names(self) -> tuple[str, ...]:
        """The secrets it needs, as messages name them."""
        return tuple(map(str, self.secrets()))

    def secrets(self) -> tuple[Secret, ...]:
        """The secrets it needs, each once."""
        return self._needed

    @cached_property
    def _needed(self) -> tuple[Secret, ...]:
        return tuple(dict.fromkeys(_secrets(value for _, value in self)))

    def sent(self, secrets: Secrets) -> dict[Secret, str]:
        """The value of each of its secrets, as a request is sent with it."""
        return {secret: secrets.text(secret) for secret in self.secrets()}

    def when_refused(self) -> str:
        """What to do where the API answers 401."""
        names = " and ".join(self.secret_names())
        return f"Check the secret: {names}" if names else "The API wants a credential; the source file names none"

    def _identity(self, secrets: Secrets) -> Iterable[str]:  # noqa: ARG002 -- the same for all kinds
        return ()

    def _digest(self, purpose: str, parts: Iterable[str]) -> str:
        names, salt = [type(self).__name__, *parts], f"ingest_assets {purpose}".encode()
        told = "\0".join(names).encode()
        if len(names) == 1:  # no part of it is anybody's secret
            return hashlib.sha256(salt + told).hexdigest()
        return _slow_digest(told, salt)


@lru_cache(maxsize=64)
def _slow_digest(told: bytes, salt: bytes) -> str:
    """What nobody guesses a secret from, made once a process: it takes as long as a small partition's whole load."""
    return hashlib.pbkdf2_hmac("sha256", told, salt, _ROUNDS).hex()


def _secrets(values: Iterable[Any]) -> Iterator[Secret]:
    for value in values:
        if isinstance(value, Secret):
            yield value
        elif isinstance(value, Mapping):
            yield from _secrets(value.values())
        elif isinstance(value, Kind):
            yield from value.secrets()
        elif isinstance(value, list | tuple):
            yield from _secrets(value)


def header_value(text: str, secret: str) -> str:
    """The text, where a header can carry it; else ConfigError, naming the secret."""
    if not text.isascii():
        raise ConfigError(f"{secret} holds characters outside ASCII, which no header can carry")
    return text


def with_header(request: PageRequest, name: str, value: str) -> PageRequest:
    """The request with this header in place of any other of its name."""
    others = tuple(pair for pair in request.headers if pair[0].lower() != name.lower())
    return replace(request, headers=(*others, (name, value)))


def without_params(url: str, names: Collection[str]) -> str:
    """The URL without the parameters of these names, as a next URL may hold them; the others keep their encoding.

    >>> without_params("https://x.example/a?key=old&q=%C3%BC+1", {"key"})
    'https://x.example/a?q=%C3%BC+1'
    """
    parts = urlsplit(url)
    kept = [part for part in parts.query.split("&") if part and unquote_plus(part.split("=", 1)[0]) not in names]
    return parts._replace(query="&".join(kept)).geturl()
