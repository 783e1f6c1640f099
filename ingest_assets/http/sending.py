"""A request as it goes over the wire: credential added, redacted values put back, signed, sent, traced."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import requests
from msgspec.structs import replace

from ingest_assets.errors import RequestFailed
from ingest_assets.http.auth import Auth
from ingest_assets.http.auth.kind import Sent
from ingest_assets.http.naming import Naming, origin_of
from ingest_assets.http.page import PageRequest
from ingest_assets.http.secrets import Secrets, is_marked
from ingest_assets.http.tls import Tls
from ingest_assets.http.traffic import Meter
from ingest_assets.http.transport import Pool, Timeouts, as_sent, prepared, sent, session, url_of


class Sending:
    """Sends the requests of one client; the certificate of `tls` is for its own origin and its tokens' server only.

    Of the secrets in use only the `carried` ones are put back into a request: see `Kind.carried`.
    """

    def __init__(
        self,
        naming: Naming,
        secrets: Secrets,
        meter: Meter,
        timeouts: Timeouts,
        tls: Tls | None,
        carried: frozenset[str],
    ) -> None:
        self.timeouts = timeouts
        self.pool = session(tls)
        self._naming, self._secrets, self._meter = naming, secrets, meter
        self._carried = carried

    def close(self) -> None:
        """Close the connections."""
        self.pool.close()
        if "_elsewhere" in vars(self):
            self._elsewhere.close()

    @cached_property
    def _elsewhere(self) -> Pool:
        """Connections to other origins, which few walks need."""
        return session()

    def sent(self, request: PageRequest, auth: Auth | None) -> tuple[requests.Response, float]:
        """The answer to a request, and how many seconds it took; `auth` is None for another origin than its own."""
        made = self._prepared(request, auth)
        self._meter.traffic.requests += 1
        self._meter.tracer.sends(request.method, self._naming.shown(request))
        began = time.monotonic()
        pool = self.pool if auth is not None else self._elsewhere
        answer = sent(pool, made, self.timeouts, self._naming.named(request))
        return answer, time.monotonic() - began

    def _prepared(self, request: PageRequest, auth: Auth | None) -> requests.PreparedRequest:
        """The request as it is sent: with its credential, and with the values that were redacted."""
        if auth is not None:
            request = auth.apply(request, self._secrets)
        restored = _restored_request(request, lambda text: self._put_back(text, request, auth))
        if (origin_of(url_of(restored).partition("?")[0]) == self._naming.origin) != (auth is not None):
            raise RequestFailed(
                f"{self._naming.named(request)}: its URL leads to another origin once it is put together"
            )
        made = prepared(restored, self._naming.named(request))
        if auth is not None and auth.signs:
            self._sign(made, auth)
        return made

    def _put_back(self, text: str, request: PageRequest, auth: Auth | None) -> str:
        redactor = self._naming.redactor
        name = redactor.foreign(text, self._carried if auth is not None else ())
        if name is not None:
            raise RequestFailed(
                f"{self._naming.named(request)}: an answer has the marker of {name} where this request takes a value "
                "from, and that secret is not sent there. Not asked for. If it is no secret, such as the id of a "
                "client, write it into the source file as text"
            )
        return redactor.restore_decoded(text)

    def _sign(self, made: requests.PreparedRequest, auth: Auth) -> None:
        body = made.body if isinstance(made.body, bytes) else b""
        told = Sent(made.method or "", made.url or "", dict(made.headers), body)
        signature = auth.signed(told, self._secrets, datetime.now(UTC))
        if signature is not None:
            made.headers.update(as_sent(signature.headers))
            made.url = signature.url


def _restored_request(request: PageRequest, restore: Callable[[str], str]) -> PageRequest:
    texts = [request.url, *(value for pairs in (request.params, request.path, request.headers) for _, value in pairs)]
    if request.body is None and not is_marked("\n".join(texts)):
        return request
    return replace(
        request,
        url=restore(request.url),
        params=tuple((name, restore(value)) for name, value in request.params),
        path=tuple((name, restore(value)) for name, value in request.path),
        headers=tuple((name, restore(value)) for name, value in request.headers),
        body=_restored(request.body, restore),
    )


def _restored(value: Any, restore: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return restore(value)
    if isinstance(value, Mapping):
        return {key: _restored(inner, restore) for key, inner in value.items()}
    return [_restored(inner, restore) for inner in value] if isinstance(value, list | tuple) else value
