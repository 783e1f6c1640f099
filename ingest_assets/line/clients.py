"""What asks a source's API: its credential, limits and breaker put together, as its file says."""

import contextlib
import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from ingest_assets.http.auth import Auth
from ingest_assets.http.breaker import Breaker
from ingest_assets.http.client import Client
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import origin
from ingest_assets.http.rates import Allowed, Cost, PointLimit
from ingest_assets.http.responses import ResponseRule
from ingest_assets.http.retry import RetryPolicy
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.trace import Asked
from ingest_assets.http.traffic import Wait
from ingest_assets.http.transport import Timeouts, session
from ingest_assets.line.folders import limits_folder, tokens_folder
from ingest_assets.line.pace import Pace
from ingest_assets.source import Endpoint, Source

if TYPE_CHECKING:
    from ingest_assets.extract.jobs import Control
    from ingest_assets.http.auth.exchanged import Ask, Exchanged, Token
    from ingest_assets.http.rotation import Rotation


class Clients(Struct, frozen=True):
    """Makes the clients of one source, whose settings are in place."""

    source: Source
    secrets: Secrets
    pace: Pace

    def client(
        self,
        endpoint: str,
        on_asked: Callable[[Asked], None],
        sleep: Callable[[float], None],
        on_wait: Callable[[Wait], None],
        *,
        insists: bool = False,
        base: str | None = None,
    ) -> Client:
        """A client of one endpoint, or of another `base` URL; one that `insists` asks an API that is down, too."""
        model = self.source.endpoints[endpoint]
        base = base or model.base_url or self.source.base_url
        auth = model.auth or self.source.auth
        credential = auth.credential_id(self.secrets)
        return Client(
            base,
            auth,
            self.secrets,
            self._limiters(endpoint, base, credential, sleep),
            rotation=self._rotation(auth, endpoint, base, sleep),
            tls=self.source.tls,
            cost=model.cost.told if isinstance(model.cost, Cost) else None,
            connect_timeout_seconds=self.pace.connect_timeout_seconds,
            read_timeout_seconds=self.pace.read_timeout_seconds,
            retry=RetryPolicy(seconds=self.pace.retry_seconds),
            error_message=self.source.error_message,
            max_body_bytes=model.answer.max_mb << 20,
            max_ratio=model.answer.max_ratio,
            member=model.answer.member,
            responses=self._responses(model),
            breaker=None if insists else self._breaker(base, sleep),
            on_wait=on_wait,
            on_asked=on_asked,
            sleep=sleep,
            tokens=tokens_folder(),
            token_limiter=self._token_limiter(auth, base, credential, sleep),
        )

    def _responses(self, model: Endpoint) -> tuple[ResponseRule, ...]:
        told = (*model.responses, *self.source.responses)
        if not model.asks_graphql:
            return told
        from ingest_assets.http.graphql import THROTTLED

        return (*told, *THROTTLED)

    def control(self, endpoint: str, own: Client, another: Callable[..., Client]) -> "Control | None":
        """What the jobs of an endpoint need: a client of their own base_url, and the places of those at work."""
        model = self.source.endpoints[endpoint]
        if model.job is None:
            return None
        from ingest_assets.extract.jobs import Control

        base = model.job.base_url or model.base_url or self.source.base_url
        whose = (model.auth or self.source.auth).credential_id(self.secrets)
        places = limits_folder() / "jobs" / hashlib.sha256(f"{origin(base)} {whose}".encode()).hexdigest()[:16]
        return Control(partial(another, base=base) if origin(base) != own.origin else None, places)

    def down(self) -> list[str]:
        """The origins of the source that count as down: since when, why, and until when nothing is asked of them."""
        bases = [endpoint.base_url or self.source.base_url for endpoint in self.source.endpoints.values()]
        breakers = [self._breaker(base, time.sleep) for base in {origin(base): base for base in bases}.values()]
        found = [(breaker.origin, breaker.state()) for breaker in breakers]
        return [f"{where} is {down.told(time.time())}" for where, down in found if down is not None and down.is_open]

    def _breaker(self, base: str, sleep: Callable[[float], None]) -> Breaker:
        return Breaker(limits_folder(), self.source.name, origin(base), self.source.breaker, sleep=sleep)

    def grant(self, auth: "Exchanged", given: "Callable[[Ask], Token]") -> None:
        """Keep a token that a person has granted; `given` gets it by asking the token's server."""
        from ingest_assets.http.exchange import Exchange
        from ingest_assets.http.tokens import TokenFile

        times = Timeouts(self.pace.connect_timeout_seconds, self.pace.read_timeout_seconds)
        file = TokenFile(tokens_folder(), auth.token_key(self.secrets), chain=auth.chain_key(self.secrets))
        with contextlib.closing(session(self.source.tls)) as pool:
            Exchange(auth, self.secrets, file, None, pool, times, lambda _seconds, _why: None).grant(given)

    def _rotation(self, auth: Auth, endpoint: str, base: str, sleep: Callable[[float], None]) -> "Rotation | None":
        """The credentials that take turns, where there are several, each with limits of its own."""
        if not auth.turns:
            return None
        from ingest_assets.http.rotation import Credential, Rotation

        named = [(one, one.credential_id(self.secrets)) for one in auth.turns]
        return Rotation([Credential(one, self._limiters(endpoint, base, key, sleep)) for one, key in named])

    def _token_limiter(self, auth: Auth, base: str, credential: str, sleep: Callable[[float], None]) -> Limiter | None:
        """A token's request counts like any other where it goes to the API itself; elsewhere only 429s hold it back."""
        exchanged = auth.exchanged
        if exchanged is None:
            return None
        of_the_api = origin(exchanged.exchange_url()) in {origin(base), origin(self.source.base_url)}
        limits = self.source.rate_limit if of_the_api else ()
        return self._limiter(exchanged.exchange_url(), credential, "", limits, sleep)

    def _limiters(self, endpoint: str, base: str, credential: str, sleep: Callable[[float], None]) -> list[Limiter]:
        """The narrowest first; the last one is that of all requests of the source, and learns from answers."""
        model, limits = self.source.endpoints[endpoint], self.source.rate_limit
        named = [(f"bucket {name}", self.source.buckets[name]) for name in model.bucket]
        narrow = [(name, found) for name, found in [(endpoint, model.rate_limit), *named] if found]
        return [self._limiter(base, credential, *bucket, sleep, endpoint) for bucket in [*narrow, ("", limits)]]

    def _limiter(
        self,
        url: str,
        credential: str,
        bucket: str,
        limits: Sequence[Allowed],
        sleep: Callable[[float], None],
        endpoint: str | None = None,
    ) -> Limiter:
        model = self.source.endpoints[endpoint] if endpoint is not None else None
        in_points = any(isinstance(limit, PointLimit) for limit in limits)
        return Limiter(
            limits_folder(),
            f"{origin(url)} {credential} {bucket}",
            limits,
            points=model.points if model is not None else 1,
            corrected=in_points and model is not None and isinstance(model.cost, Cost),
            endpoint=endpoint or "",
            learns=endpoint is not None and not bucket and self.source.learn,
            share=self.pace.share,
            priority=self.pace.priority,
            max_wait_seconds=self.pace.max_wait.total_seconds(),
            sleep=sleep,
        )
