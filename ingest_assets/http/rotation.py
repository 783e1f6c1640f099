"""Which of several credentials the next request goes with: the one that waits least, else the one of before."""

from collections.abc import Sequence

from msgspec import Struct

from ingest_assets.http.auth import Auth
from ingest_assets.http.limits import Limiter


class Credential(Struct, frozen=True):
    """A credential and the limits that it counts in."""

    auth: Auth
    limiters: Sequence[Limiter]

    def wait(self) -> float:
        """How many seconds a request with it would wait, as things stand."""
        return max((limiter.ahead() for limiter in self.limiters), default=0.0)


class Rotation:
    """The credentials of one client, and the one that was used last."""

    def __init__(self, credentials: Sequence[Credential]) -> None:
        self._credentials = list(credentials)

    def next(self) -> Credential:
        """The credential for the next request."""
        found = min(self._credentials, key=Credential.wait)  # of equals the first, which is the one of before
        self._credentials.sort(key=lambda one: one is not found)
        return found

    def wait(self) -> float:
        """How many seconds until one of them is free."""
        return min(one.wait() for one in self._credentials)
