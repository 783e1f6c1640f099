"""Gets a token for requests, and another one where that is over or refused.

    fresh in the file? ──► used
          └─ no ──► lock ──► fresh by now? ──► used
                               └─ no ──► exchange: ask the token's server ──► kept for all ──► used

What is asked and answered here is never stored, and no redirect is followed: it would take the secret along.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus

import requests

from ingest_assets.errors import RequestFailed, TransientFailure
from ingest_assets.http import body
from ingest_assets.http.auth.exchanged import Answer, Ask, Exchanged, Refreshed, Token
from ingest_assets.http.limits import Limiter
from ingest_assets.http.page import PageRequest
from ingest_assets.http.retry import RETRIED_STATUSES, is_throttled, retry_after
from ingest_assets.http.secrets import Secrets
from ingest_assets.http.tokens import KeptToken, TokenFile
from ingest_assets.http.transport import Pool, Timeouts, prepared, sent

_MOST_BYTES = 1 << 20
_REFUSED = frozenset({200, 400, 401, 403})  # some say it with 200, and the error in the body
_SUCCESS = range(200, 300)
_LONGEST_PUSH_BACK_SECONDS = 86_400.0
# Where a 429 does not say how long, all wait this long, and the one that saw it as its retries say.
_UNSAID_SECONDS = 1.0


class Exchange:
    """The tokens of one credential, for one client. `limiter` grants each request to the token's server."""

    def __init__(
        self,
        auth: Exchanged,
        secrets: Secrets,
        file: TokenFile,
        limiter: Limiter | None,
        pool: Pool,
        timeouts: Timeouts,
        on_wait: Callable[[float, str], None],
    ) -> None:
        self._auth, self._secrets = auth, secrets
        self._file, self._limiter = file, limiter
        self._pool, self._timeouts, self._on_wait = pool, timeouts, on_wait

    def token(self) -> KeptToken:
        """A token that is fresh, in use as a secret from now on; of its failures none is a matter of one page."""
        return self._in_use(self._file.fresh() or self._renewed())

    def renewed(self, refused: KeptToken) -> None:
        """See that the next token is another one than this, which the API refused."""
        self._in_use(self._renewed(refused))

    def grant(self, given: Callable[[Ask], Token]) -> None:
        """Keep the token that a person has granted, in place of any other."""
        self._file.put(given(self._ask))

    def is_refused(self, answer: requests.Response) -> bool:
        """Whether the API answers that it does not take the token; a 403 that is a limit says nothing of it."""
        headers = answer.headers
        if is_throttled(answer.status_code, headers):
            return False
        return self._auth.refuses(answer.status_code, headers.get("location", ""))

    def refuses(self, status: int) -> bool:
        """Whether an answer of this status, which is no limit's, says that the API does not take the token."""
        return self._auth.refuses(status, "")

    def is_fresh(self, token: KeptToken) -> bool:
        """Whether a token will still be alive when it arrives."""
        return self._file.is_fresh(token)

    def is_new(self, token: KeptToken) -> bool:
        """Whether a token was asked for just now."""
        return self._file.is_new(token)

    def _renewed(self, refused: KeptToken | None = None) -> KeptToken:
        try:
            return self._file.renewed(self._new, refused)
        except TransientFailure as error:
            error.for_all = True
            raise
        except RequestFailed as error:
            error.status = HTTPStatus.UNAUTHORIZED  # its 404 does not say that there is no such page
            raise

    def _in_use(self, token: KeptToken) -> KeptToken:
        self._secrets.remember(self._auth.token_name, token.value)
        return token

    def _new(self) -> Token:
        sent_with = self._auth.sent(self._secrets)
        try:
            return self._exchanged()
        except RequestFailed as error:  # the secret may have been replaced since it was looked up
            if error.status not in _REFUSED or not self._secrets.renewed(sent_with, sent_with):
                raise
        return self._exchanged()

    def _exchanged(self) -> Token:
        if not isinstance(self._auth, Refreshed):
            return replace(self._auth.exchange(self._secrets, self._ask), refresh=None)  # a secret that nobody needs
        kept = self._file.refresh()
        refresh = kept.value if kept is not None else self._auth.first(self._secrets)
        may_be_lost = kept is not None and kept.is_pending
        self._secrets.remember(f"{self._auth.token_name}_refresh", refresh)
        self._file.note_sent(refresh)
        try:
            token = self._auth.refreshed(refresh, self._secrets, self._ask, self._keep, may_be_lost=may_be_lost)
        except RequestFailed as error:
            if not may_be_lost and error.status not in _SUCCESS:
                self._file.note_sent(refresh, is_pending=False)
            raise
        return replace(token, refresh=token.refresh or refresh)

    def _keep(self, refresh: str) -> None:
        """See that the refresh token to come is a secret, and on disk."""
        self._secrets.remember(f"{self._auth.token_name}_refresh", refresh)
        self._file.note_sent(refresh, is_pending=False)

    def _ask(self, request: PageRequest) -> Answer:
        named = self._secrets.redactor().text(f"{request.method} {request.url.partition('?')[0]}")
        if self._limiter is None:
            return self._asked(request, named)
        with self._limiter.granted(self._on_wait):
            return self._asked(request, named)

    def _asked(self, request: PageRequest, named: str) -> Answer:
        answer = sent(self._pool, prepared(request, named), self._timeouts, named)
        with answer:
            headers = tuple((name.lower(), value) for name, value in answer.raw.headers.items())
            if answer.status_code in RETRIED_STATUSES:
                raise self._passing(answer.status_code, dict(headers), named)
            text = b"".join(body.chunks(answer, named, _MOST_BYTES, lambda _: None))
        return Answer(answer.status_code, headers, text)

    def _passing(self, status: int, headers: dict[str, str], named: str) -> TransientFailure:
        wait_seconds = retry_after(headers, datetime.now(UTC))
        throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        if self._limiter is not None and (throttled or wait_seconds is not None):
            held_back = _UNSAID_SECONDS if wait_seconds is None else wait_seconds
            self._limiter.push_back(min(held_back, _LONGEST_PUSH_BACK_SECONDS))
        return TransientFailure(f"{named}: HTTP {status}, and so no token", wait_seconds)
