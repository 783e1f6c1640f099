"""Several credentials of one API, each with a quota of its own: a request goes with the one that is free first."""

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field

from ingest_assets.http.auth.kind import Kind
from ingest_assets.http.auth.static import ApiKey, Basic, Bearer
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets

Single = Annotated[Bearer | Basic | ApiKey, Field(discriminator="type")]


class Rotated(Kind):
    """Credentials that are used in turn: each counts in the source's limits by itself."""

    type: Literal["rotated"]
    each: tuple[Single, ...] = Field(min_length=2, description="the credentials: bearer, basic or api_key")

    def apply(self, request: PageRequest, secrets: Secrets) -> PageRequest:
        """The request with the first of them."""
        return self.each[0].apply(request, secrets)

    @property
    def turns(self) -> tuple[Single, ...]:
        """All of them."""
        return self.each

    @property
    def carried(self) -> frozenset[str]:
        """Those of all of them: what one was answered may be asked for with the next."""
        return frozenset().union(*(one.carried for one in self.each))

    def _identity(self, secrets: Secrets) -> Iterable[str]:
        return (one.credential_id(secrets) for one in self.each)
